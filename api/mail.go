package api

import (
	"net/http"

	"github.com/doorward/doorward/auth"
)

// maxMail bounds one answer: the newest are what somebody looks for.
const maxMail = 1000

func (h *Handler) queue(r *http.Request, _ auth.Actor) (any, error) {
	limit, err := number(r, "limit", maxMail, maxMail)
	if err != nil {
		return nil, err
	}
	all, err := h.deps.Mail.Queue(r.Context(), int(limit))
	if err != nil {
		return nil, err
	}
	out := make([]Mail, 0, len(all))
	for _, e := range all {
		out = append(out, Mail{ID: e.ID, Kind: e.Kind, To: e.To, State: e.State, Created: e.Created, Expires: e.Expires, Next: e.Next,
			Done: e.Done, Tries: e.Tries, Detail: e.Detail})
	}
	return out, nil
}
