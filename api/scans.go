package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/doorward/doorward/audit/register"
	"github.com/doorward/doorward/audit/scan"
	"github.com/doorward/doorward/auth"
)

// NewScan is what a command read of a scanner's file.
type NewScan struct {
	File  string    `json:"file"`  // its name
	Until time.Time `json:"until"` // when it is too old for the first control that it answers
	scan.Report
}

func (h *Handler) scans(r *http.Request, _ auth.Actor) (any, error) {
	return h.deps.Register.Scans(r.Context())
}

func (h *Handler) scan(r *http.Request, _ auth.Actor) (any, error) {
	return h.deps.Register.Scan(r.Context(), r.PathValue("id"))
}

// addScan lets a program bring in what the file says, but not say itself when the scan was.
func (h *Handler) addScan(r *http.Request, who auth.Actor) (any, error) {
	var in NewScan
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	by := register.Actor{Name: who.Name, Origin: who.Origin}
	if in.Stated {
		var err error
		if by, err = person(who); err != nil {
			return nil, err
		}
	}
	return h.deps.Register.AddScan(r.Context(), by, scan.Import{File: in.File, Until: in.Until, Report: in.Report}, time.Now())
}

func (h *Handler) removeScan(r *http.Request, who auth.Actor) (any, error) {
	by, err := person(who)
	if err != nil {
		return nil, err
	}
	return done{}, h.deps.Register.RemoveScan(r.Context(), by, r.PathValue("id"))
}

// Scans lists the imported scans, the latest scan first, without their findings.
func (c *Client) Scans(ctx context.Context) ([]scan.Import, error) {
	var out []scan.Import
	err := c.call(ctx, http.MethodGet, "/v1/audit/scans", nil, &out)
	return out, err
}

// Scan returns one imported scan with its gravest findings.
func (c *Client) Scan(ctx context.Context, id string) (scan.Import, error) {
	var out scan.Import
	err := c.call(ctx, http.MethodGet, "/v1/audit/scans/"+url.PathEscape(id), nil, &out)
	return out, err
}

// AddScan brings in what a scanner found.
func (c *Client) AddScan(ctx context.Context, s NewScan) (scan.Import, error) {
	var out scan.Import
	err := c.call(ctx, http.MethodPost, "/v1/audit/scans", s, &out)
	return out, err
}

// RemoveScan takes an imported scan back.
func (c *Client) RemoveScan(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/audit/scans/"+url.PathEscape(id), nil, nil)
}
