package api

import (
	"net/http"

	"github.com/doorward/doorward/auth"
)

// maxEntries bounds one answer; the client asks again for more.
const maxEntries = 1000

func (h *Handler) entries(r *http.Request, _ auth.Actor) (any, error) {
	from, err := number(r, "from", 0, 1<<62)
	if err != nil {
		return nil, err
	}
	limit, err := number(r, "limit", maxEntries, maxEntries)
	if err != nil {
		return nil, err
	}
	all, err := h.deps.Journal.Entries(r.Context(), from, int(limit))
	if err != nil {
		return nil, err
	}
	out := make([]Entry, 0, len(all))
	for _, e := range all {
		out = append(out, Entry{Index: e.Index, Time: e.Time, Actor: e.Actor, Origin: e.Origin, Action: e.Action,
			Target: e.Target, Before: e.Before, After: e.After})
	}
	return out, nil
}

// headAnswer carries the signed note of the journal's head.
type headAnswer struct {
	Note string `json:"note"`
}

func (h *Handler) head(r *http.Request, _ auth.Actor) (any, error) {
	note, err := h.deps.Journal.Head(r.Context())
	return headAnswer{Note: note}, err
}

func (h *Handler) verify(r *http.Request, _ auth.Actor) (any, error) {
	var kept headAnswer
	if err := decode(r, &kept); err != nil {
		return nil, err
	}
	report, err := h.deps.Journal.Verify(r.Context(), kept.Note)
	if err != nil {
		return nil, err
	}
	out := Report{Size: report.Size, KeptSize: report.KeptSize, Problems: report.Problems, Limits: report.Limits()}
	if out.Problems == nil {
		out.Problems = []string{}
	}
	return out, nil
}
