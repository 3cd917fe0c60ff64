package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// DecisionFilter picks decisions; empty fields pick all.
type DecisionFilter struct {
	Address, Target, Origin, Action string
	After                           int64
	Limit                           int // 0: a page of 1000
}

// Decisions lists decisions that stand, by their number: one page of at most 1000.
func (c *Client) Decisions(ctx context.Context, f DecisionFilter) ([]Decision, error) {
	q := url.Values{}
	for name, value := range map[string]string{"address": f.Address, "target": f.Target, "origin": f.Origin, "action": f.Action} {
		if value != "" {
			q.Set(name, value)
		}
	}
	q.Set("after", strconv.FormatInt(f.After, 10))
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	var out []Decision
	err := c.call(ctx, http.MethodGet, "/v1/decisions?"+q.Encode(), nil, &out)
	return out, err
}

// AddDecision decides.
func (c *Client) AddDecision(ctx context.Context, n NewDecision) (AddedDecision, error) {
	var out AddedDecision
	err := c.call(ctx, http.MethodPost, "/v1/decisions", n, &out)
	return out, err
}

// ImportDecisions decides on up to 5000 targets.
func (c *Client) ImportDecisions(ctx context.Context, in ImportedDecisions) (ImportReport, error) {
	var out ImportReport
	err := c.call(ctx, http.MethodPost, "/v1/decisions/import", in, &out)
	return out, err
}

// DeleteDecision lifts a decision by its id, or all about a target.
func (c *Client) DeleteDecision(ctx context.Context, which, reason string) (LiftedDecisions, error) {
	return c.lift(ctx, url.Values{"which": {which}, "reason": {reason}})
}

// DeleteDecisionsOf lifts all decisions of an origin.
func (c *Client) DeleteDecisionsOf(ctx context.Context, origin, reason string) (LiftedDecisions, error) {
	return c.lift(ctx, url.Values{"origin": {origin}, "reason": {reason}})
}

func (c *Client) lift(ctx context.Context, q url.Values) (LiftedDecisions, error) {
	var out LiftedDecisions
	err := c.call(ctx, http.MethodDelete, "/v1/decisions?"+q.Encode(), nil, &out)
	return out, err
}

// Bouncers lists the programs that read the decisions.
func (c *Client) Bouncers(ctx context.Context) ([]Bouncer, error) {
	var out []Bouncer
	err := c.call(ctx, http.MethodGet, "/v1/bouncers", nil, &out)
	return out, err
}

// AddBouncer lets a program read the decisions.
func (c *Client) AddBouncer(ctx context.Context, name string) (AddedBouncer, error) {
	var out AddedBouncer
	err := c.call(ctx, http.MethodPost, "/v1/bouncers/"+url.PathEscape(name), nil, &out)
	return out, err
}

// RemoveBouncer takes a program's key away.
func (c *Client) RemoveBouncer(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/v1/bouncers/"+url.PathEscape(name), nil, nil)
}
