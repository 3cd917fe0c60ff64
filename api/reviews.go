package api

import (
	"net/http"
	"time"

	"github.com/doorward/doorward/auth"
)

func (h *Handler) reviewReport(r *http.Request, _ auth.Actor) (any, error) {
	now := time.Now()
	report, err := h.deps.Auth.ReviewReport(r.Context(), now)
	if err != nil {
		return nil, err
	}
	out := AccessReport{At: report.At, Last: report.Last, Due: report.Due, Overdue: auth.ReviewOverdue(report.Due, now),
		Roles: report.Snapshot.Roles, Accounts: report.Snapshot.Accounts, Others: report.Snapshot.Others, Findings: []Finding{}, Changes: []string{}}
	for _, f := range report.Findings {
		out.Findings = append(out.Findings, Finding{Control: f.Control, Account: f.Account, Problem: f.Problem})
	}
	out.Changes = append(out.Changes, report.Changes...)
	return out, nil
}

func (h *Handler) reviewStatus(r *http.Request, _ auth.Actor) (any, error) {
	s, err := h.deps.Auth.ReviewStatus(r.Context(), time.Now())
	return ReviewStatus{Last: s.Last, Due: s.Due, Overdue: s.Overdue}, err
}

// signRequest is the body of a signature.
type signRequest struct {
	Note string `json:"note"`
}

func (h *Handler) signReview(r *http.Request, who auth.Actor) (any, error) {
	var in signRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	signed, err := h.deps.Auth.SignReview(r.Context(), who, in.Note, time.Now())
	if err != nil {
		return nil, err
	}
	signed.Snapshot = nil // the caller has read the report
	return wireReview(signed), nil
}

func wireReview(r auth.Review) Review {
	return Review{ID: r.ID, Signed: r.Signed, Due: r.Due, Reviewer: r.Reviewer, Origin: r.Origin, Note: r.Note, Findings: r.Findings, Snapshot: r.Snapshot}
}

func (h *Handler) reviews(r *http.Request, _ auth.Actor) (any, error) {
	all, err := h.deps.Auth.Reviews(r.Context())
	if err != nil {
		return nil, err
	}
	out := make([]Review, 0, len(all))
	for _, v := range all {
		out = append(out, wireReview(v))
	}
	return out, nil
}

func (h *Handler) review(r *http.Request, _ auth.Actor) (any, error) {
	v, err := h.deps.Auth.Review(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return wireReview(v), nil
}
