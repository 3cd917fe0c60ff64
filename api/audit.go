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

// auditRoutes are about what people say of controls, and the systems that there are.
func (h *Handler) auditRoutes() []route {
	noStatement := noSuch("statement, or it has ended already", "doorward attest list and doorward waive list show them")
	noScan := noSuch("imported scan", "doorward attest scans shows them")
	noAsset := noSuch("system", "doorward asset list shows them")
	return []route{
		{method: "GET", path: "/v1/audit/statements", needs: auth.SeeEvents, summary: "Attestations and waivers that were not ended", out: []register.Statement{}, answer: h.statements},
		{method: "POST", path: "/v1/audit/statements", needs: auth.SignReviews, summary: "Attest or waive a control until a day. Not by an API token", in: NewStatement{},
			out: register.Statement{}, answer: h.addStatement},
		{method: "DELETE", path: "/v1/audit/statements/{id}", needs: auth.SignReviews, summary: "End an attestation or waiver. Not by an API token", out: done{},
			missing: noStatement, answer: h.endStatement},
		{method: "GET", path: "/v1/audit/scans", needs: auth.SeeEvents, summary: "What other scanners found, the latest scan first, without the findings", out: []scan.Import{}, answer: h.scans},
		{method: "POST", path: "/v1/audit/scans", needs: auth.SignReviews, summary: "Bring in what a scanner found. Not by an API token where the time is only stated", in: NewScan{},
			body: maxLargeBody, out: scan.Import{}, answer: h.addScan},
		{method: "GET", path: "/v1/audit/scans/{id}", needs: auth.SeeEvents, summary: "One scan with its gravest findings", out: scan.Import{}, missing: noScan, answer: h.scan},
		{method: "DELETE", path: "/v1/audit/scans/{id}", needs: auth.SignReviews, summary: "Take an imported scan back. Not by an API token", out: done{}, missing: noScan,
			answer: h.removeScan},
		{method: "GET", path: "/v1/audit/assets", needs: auth.SeeEvents, summary: "The systems that belong to the installation", out: []register.Asset{}, answer: h.assets},
		{method: "PUT", path: "/v1/audit/assets/{name}", needs: auth.SignReviews, summary: "Add or replace a system", in: NewAsset{}, out: register.Asset{}, answer: h.setAsset},
		{method: "DELETE", path: "/v1/audit/assets/{name}", needs: auth.SignReviews, summary: "Forget a system", out: done{}, missing: noAsset, answer: h.removeAsset},
	}
}

// NewStatement is what a person says about a control.
type NewStatement struct {
	Kind     string    `json:"kind"` // attestation or waiver
	Control  string    `json:"control"`
	Finding  string    `json:"finding,omitempty"` // of an imported scan: the one that a waiver accepts
	Owner    string    `json:"owner"`             // who stands for it
	Text     string    `json:"text"`
	Evidence string    `json:"evidence,omitempty"` // name, size and SHA-256 of a file
	Until    time.Time `json:"until"`
}

// NewAsset is a system without its name, which is in the path.
type NewAsset struct {
	Address        string    `json:"address,omitempty"`
	Zone           string    `json:"zone"`
	Classification string    `json:"classification"`
	Owner          string    `json:"owner"`
	Note           string    `json:"note,omitempty"`
	Until          time.Time `json:"until"` // when it has to be looked at again
}

func (h *Handler) statements(r *http.Request, _ auth.Actor) (any, error) {
	return h.deps.Register.Statements(r.Context())
}

func (h *Handler) addStatement(r *http.Request, who auth.Actor) (any, error) {
	by, err := person(who)
	if err != nil {
		return nil, err
	}
	var in NewStatement
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	return h.deps.Register.Add(r.Context(), by, register.Statement{Kind: register.Kind(in.Kind), Control: in.Control, Finding: in.Finding, Owner: in.Owner, Text: in.Text,
		Evidence: in.Evidence, Until: in.Until}, time.Now())
}

func (h *Handler) endStatement(r *http.Request, who auth.Actor) (any, error) {
	by, err := person(who)
	if err != nil {
		return nil, err
	}
	return done{}, h.deps.Register.End(r.Context(), by, r.PathValue("id"), time.Now())
}

// person refuses API tokens: what a program says of itself attests nothing.
func person(who auth.Actor) (register.Actor, error) {
	if who.As != nil && who.As.Token {
		return register.Actor{}, &Error{Status: http.StatusForbidden, Message: "a statement is a person's; an API token is not enough"}
	}
	return register.Actor{Name: who.Name, Origin: who.Origin}, nil
}

func (h *Handler) assets(r *http.Request, _ auth.Actor) (any, error) {
	return h.deps.Register.Assets(r.Context())
}

func (h *Handler) setAsset(r *http.Request, who auth.Actor) (any, error) {
	var in NewAsset
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	return h.deps.Register.SetAsset(r.Context(), register.Actor{Name: who.Name, Origin: who.Origin}, register.Asset{Name: r.PathValue("name"), Address: in.Address,
		Zone: in.Zone, Classification: in.Classification, Owner: in.Owner, Note: in.Note, Until: in.Until}, time.Now())
}

func (h *Handler) removeAsset(r *http.Request, who auth.Actor) (any, error) {
	return done{}, h.deps.Register.RemoveAsset(r.Context(), register.Actor{Name: who.Name, Origin: who.Origin}, r.PathValue("name"))
}

// Statements lists attestations and waivers that were not ended, the newest first.
func (c *Client) Statements(ctx context.Context) ([]register.Statement, error) {
	var out []register.Statement
	err := c.call(ctx, http.MethodGet, "/v1/audit/statements", nil, &out)
	return out, err
}

// AddStatement attests or waives a control.
func (c *Client) AddStatement(ctx context.Context, s NewStatement) (register.Statement, error) {
	var out register.Statement
	err := c.call(ctx, http.MethodPost, "/v1/audit/statements", s, &out)
	return out, err
}

// EndStatement takes an attestation or waiver back.
func (c *Client) EndStatement(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/audit/statements/"+url.PathEscape(id), nil, nil)
}

// Assets lists the systems that belong to the installation, by name.
func (c *Client) Assets(ctx context.Context) ([]register.Asset, error) {
	var out []register.Asset
	err := c.call(ctx, http.MethodGet, "/v1/audit/assets", nil, &out)
	return out, err
}

// SetAsset adds or replaces a system.
func (c *Client) SetAsset(ctx context.Context, name string, a NewAsset) (register.Asset, error) {
	var out register.Asset
	err := c.call(ctx, http.MethodPut, "/v1/audit/assets/"+url.PathEscape(name), a, &out)
	return out, err
}

// RemoveAsset forgets a system.
func (c *Client) RemoveAsset(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/v1/audit/assets/"+url.PathEscape(name), nil, nil)
}
