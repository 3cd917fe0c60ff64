package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// WAFFinding is what the firewall found in a request, as far back as from.
func (c *Client) WAFFinding(ctx context.Context, request string, from time.Time) (WAFFinding, error) {
	var out WAFFinding
	err := c.call(ctx, http.MethodGet, "/v1/waf/findings/"+url.PathEscape(request)+"?from="+url.QueryEscape(from.Format(time.RFC3339)), nil, &out)
	return out, err
}

// WAFProposals lists exclusions for what signed-in people sent to a site since from, for at least so many people.
func (c *Client) WAFProposals(ctx context.Context, site string, from time.Time, people int) ([]WAFProposal, error) {
	q := url.Values{"site": {site}, "from": {from.Format(time.RFC3339)}, "people": {strconv.Itoa(people)}}
	var out []WAFProposal
	err := c.call(ctx, http.MethodGet, "/v1/waf/proposals?"+q.Encode(), nil, &out)
	return out, err
}

// WAFExclusions lists what administrators left out; site "" is every site.
func (c *Client) WAFExclusions(ctx context.Context, site string) ([]WAFExclusion, error) {
	var out []WAFExclusion
	err := c.call(ctx, http.MethodGet, "/v1/waf/exclusions?site="+url.QueryEscape(site), nil, &out)
	return out, err
}

// AddWAFExclusion takes over what a finding proposes.
func (c *Client) AddWAFExclusion(ctx context.Context, n NewWAFExclusion) (WAFExclusions, error) {
	var out WAFExclusions
	err := c.call(ctx, http.MethodPost, "/v1/waf/exclusions", n, &out)
	return out, err
}

// DeleteWAFExclusion undoes an exclusion by its id, or all that were made of a request.
func (c *Client) DeleteWAFExclusion(ctx context.Context, id, reason string) ([]WAFExclusion, error) {
	var out []WAFExclusion
	err := c.call(ctx, http.MethodDelete, "/v1/waf/exclusions/"+url.PathEscape(id)+"?reason="+url.QueryEscape(reason), nil, &out)
	return out, err
}

// WAFSites tells how the firewall of each site stands.
func (c *Client) WAFSites(ctx context.Context) ([]WAFSite, error) {
	var out []WAFSite
	err := c.call(ctx, http.MethodGet, "/v1/waf/sites", nil, &out)
	return out, err
}
