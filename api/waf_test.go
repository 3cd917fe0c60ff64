package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/event"
)

// record writes findings of the firewall to the rig's log.
func (r *rig) record(t *testing.T, events ...event.Event) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.events.Run(ctx) }()
	for _, e := range events {
		r.events.Append(e)
	}
	err := r.events.Flush(t.Context())
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
}

func wafFinding(request, site, target string, matches ...string) event.Event {
	e := event.Event{Time: time.Now(), Class: event.Detection, Action: "waf", Outcome: event.Refused, Site: site, User: "maria", Fields: []event.Field{
		{Key: "request_id", Value: request}, {Key: "method", Value: "GET"}, {Key: "target", Value: target}, {Key: "score", Value: "10"}, {Key: "refused_by", Value: "949110"}}}
	for _, m := range matches {
		e.Fields = append(e.Fields, event.Field{Key: "match", Value: m})
	}
	return e
}

func wafMatch(rule int, variable string) string {
	return fmt.Sprintf(`{"rule":%d,"message":"rule %d","variable":%q,"value":"x","file":"f","line":1,"phase":2}`, rule, rule, variable)
}

func findings() []event.Event {
	engine := wafFinding("ENGINE", "a.example", "/")
	engine.Action = "waf-error"
	long := wafFinding("LONG", "a.example", "/api")
	long.Action, long.Fields = "waf-limit", append(long.Fields, event.Field{Key: "setting", Value: "fields_limit"}, event.Field{Key: "limit", Value: "1048576"})
	return []event.Event{
		wafFinding("R1", "a.example", "/ticket/7/reply?body=x", wafMatch(941100, "ARGS:body"), wafMatch(942100, "ARGS:body"), wafMatch(920000, "ARGS:/.*/")),
		wafFinding("ROOT", "a.example", "/", wafMatch(920001, "TX:0")),
		wafFinding("GONE", "gone.example", "/x", wafMatch(941100, "ARGS:body")),
		wafFinding("OFF", "off.example", "/x", wafMatch(941100, "ARGS:body")),
		engine, long,
	}
}

// TestExclude goes from a finding to its exclusions, their undoing and what cannot be excluded, over the socket and in the same process.
func TestExclude(t *testing.T) {
	for name, connect := range map[string]func(*testing.T, *rig) *api.Client{
		"socket":  func(t *testing.T, r *rig) *api.Client { return dial(t, r.serve(t)) },
		"process": func(_ *testing.T, r *rig) *api.Client { return api.Local(r.handler, api.ActorOf(os.Geteuid())) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.record(t, findings()...)
			excludeOne(t, r, connect(t, r))
		})
	}
}

func excludeOne(t *testing.T, r *rig, c *api.Client) {
	t.Helper()
	ctx := t.Context()
	f, err := c.WAFFinding(ctx, " r1 ", time.Now().Add(-time.Hour))
	if err != nil || len(f.Hits) != 3 || len(f.Exclusions) != 2 || f.Exclusions[0].YAML != `{path: "/ticket/7/reply", rules: [941100], parameter: "body"}` ||
		f.Exclusions[0].InForce != "" || len(f.Unnarrowed) != 1 || f.Event.User != "maria" {
		t.Fatalf("the finding is %+v, %v", f, err)
	}
	if f, err := c.WAFFinding(ctx, "long", time.Time{}); err != nil || f.Exceeded != "fields_limit" || f.Limit != 1<<20 || len(f.Hits)+len(f.Exclusions) != 0 {
		t.Errorf("of a body that was too long the finding is %+v, %v", f, err)
	}
	dry, err := c.AddWAFExclusion(ctx, api.NewWAFExclusion{Request: "R1", DryRun: true})
	if err != nil || len(dry.Exclusions) != 2 || dry.Exclusions[0].ID != "" {
		t.Errorf("a dry run gave %+v, %v", dry, err)
	}
	if all, err := c.WAFExclusions(ctx, ""); err != nil || len(all) != 0 {
		t.Errorf("after a dry run %+v stand, %v", all, err)
	}
	one, err := c.AddWAFExclusion(ctx, api.NewWAFExclusion{Request: "R1", Rule: 942100, Path: "/ticket", Reason: "people paste SQL"})
	if err != nil || len(one.Exclusions) != 1 || one.Exclusions[0].Path != "/ticket" || one.Exclusions[0].Rule != 942100 || one.Exclusions[0].InForce != "" ||
		one.Exclusions[0].Reason != "people paste SQL" || !strings.HasPrefix(one.Exclusions[0].CreatedBy, "cli:") {
		t.Fatalf("one rule below a path gave %+v, %v", one, err)
	}
	if f, err = c.WAFFinding(ctx, "R1", time.Time{}); err != nil || f.Exclusions[0].InForce != "" || f.Exclusions[1].InForce != one.Exclusions[0].ID {
		t.Errorf("afterwards the finding is %+v, %v; want rule 942100 in force", f, err)
	}
	rest, err := c.AddWAFExclusion(ctx, api.NewWAFExclusion{Request: "R1"})
	if err != nil || len(rest.Exclusions) != 2 || rest.Exclusions[0].ID == "" || rest.Exclusions[0].InForce != "" || rest.Exclusions[1].InForce != one.Exclusions[0].ID || len(rest.Unnarrowed) != 1 {
		t.Errorf("the rest gave %+v, %v", rest, err)
	}
	if open, err := c.WAFProposals(ctx, "a.example", time.Now().Add(-time.Hour), 1); err != nil || len(open) != 1 || open[0].Exclusion.Rule != 941100 || open[0].Exclusion.Path != "/ticket" {
		t.Errorf("proposals are %+v, %v; want the one that is wider than what is in force", open, err)
	}
	r.leftOut = 941100
	if open, err := c.WAFProposals(ctx, "a.example", time.Now().Add(-time.Hour), 1); err != nil || len(open) != 0 {
		t.Errorf("proposals are %+v, %v; want none beside the configuration", open, err)
	}
	if all, err := c.WAFExclusions(ctx, "a.example"); err != nil || len(all) != 2 {
		t.Errorf("%+v stand, %v; want two", all, err)
	}
	gone, err := c.DeleteWAFExclusion(ctx, "R1", "it was an attack")
	if err != nil || len(gone) != 2 {
		t.Errorf("undone by the request: %+v, %v", gone, err)
	}
	if sites, err := c.WAFSites(ctx); err != nil || len(sites) != 2 || sites[0].Site != "a.example" {
		t.Errorf("the sites are %+v, %v", sites, err)
	}
	entries, err := c.Entries(ctx, 0, 100)
	var actions []string
	for _, e := range entries {
		actions = append(actions, e.Action)
	}
	if want := "waf.exclude waf.exclude waf.exclusion-delete waf.exclusion-delete"; err != nil || strings.Join(actions, " ") != want {
		t.Errorf("the journal has %v, %v, want %s", actions, err, want)
	}
	refuseExclusions(t, c)
}

func refuseExclusions(t *testing.T, c *api.Client) {
	t.Helper()
	for what, n := range map[string]struct {
		in     api.NewWAFExclusion
		status int
		text   string
	}{
		"no request":                  {api.NewWAFExclusion{}, http.StatusBadRequest, "request has to be"},
		"an unknown one":              {api.NewWAFExclusion{Request: "NOSUCH"}, http.StatusNotFound, "found nothing in a request NOSUCH"},
		"the engine's error":          {api.NewWAFExclusion{Request: "ENGINE"}, http.StatusConflict, "not about a rule that matched"},
		"a site that is gone":         {api.NewWAFExclusion{Request: "GONE"}, http.StatusConflict, "gone.example, which is no longer configured"},
		"a site that is off":          {api.NewWAFExclusion{Request: "OFF"}, http.StatusConflict, "is off"},
		"a body that was too long":    {api.NewWAFExclusion{Request: "LONG"}, http.StatusConflict, "no rule matched: the body went beyond fields_limit (1048576 bytes)"},
		"a rule that did not match":   {api.NewWAFExclusion{Request: "R1", Rule: 94110}, http.StatusBadRequest, "none of those that matched: 941100, 942100, 920000"},
		"a rule that is not narrow":   {api.NewWAFExclusion{Request: "R1", Rule: 920000}, http.StatusConflict, "cannot be left out narrowly"},
		"a rule for the whole site":   {api.NewWAFExclusion{Request: "ROOT"}, http.StatusConflict, "path is the whole site, in which the rule would be switched off"},
		"another path":                {api.NewWAFExclusion{Request: "R1", Path: "/tick"}, http.StatusBadRequest, "a prefix, of whole segments"},
		"a reason that is a novel":    {api.NewWAFExclusion{Request: "R1", Reason: strings.Repeat("x", 501)}, http.StatusBadRequest, "reason has more than 500 bytes"},
		"what is not the site's path": {api.NewWAFExclusion{Request: "R1", Path: "ticket"}, http.StatusBadRequest, "a prefix, of whole segments"},
	} {
		var refused *api.Error
		if _, err := c.AddWAFExclusion(t.Context(), n.in); !errors.As(err, &refused) || refused.Status != n.status || !strings.Contains(refused.Message, n.text) {
			t.Errorf("%s: got %v, want %d with %q", what, err, n.status, n.text)
		}
	}
	var refused *api.Error
	if _, err := c.DeleteWAFExclusion(t.Context(), "nonsense", ""); !errors.As(err, &refused) || refused.Status != http.StatusNotFound || refused.Message != "there is no such exclusion" {
		t.Errorf("undo of nothing gave %v", err)
	}
}

// TestExclusionsOverHTTPS: a token sees, and can undo, but what lets more through takes a person.
func TestExclusionsOverHTTPS(t *testing.T) {
	d := newDoor(t)
	d.account("the-admin", "admin")
	d.record(t, findings()...)
	if _, err := api.Local(d.handler, api.ActorOf(0)).AddWAFExclusion(t.Context(), api.NewWAFExclusion{Request: "R1", Rule: 941100}); err != nil {
		t.Fatal(err)
	}
	admin := d.token("the-admin", nil)
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"POST", "exclusions", `{"request":"R1"}`, 403, "takes a person"},
		{"GET", "exclusions?site=a.example", "", 200, `"parameter":"body"`},
		{"GET", "exclusions?site=b.example", "", 200, `[]`},
		{"GET", "findings/R1", "", 200, `"in_force":"`},
		{"GET", "findings/R1?from=yesterday", "", 400, "from must be a time"},
		{"GET", "proposals", "", 400, "site has to be"},
		{"GET", "proposals?site=a.example&people=2", "", 200, `[]`},
		{"GET", "sites", "", 200, `"added":1`},
		{"DELETE", "exclusions/r1", "", 200, `"rule":941100`},
		{"DELETE", "exclusions/R1", "", 404, "no such exclusion"},
	} {
		answer, text := d.send(admin, c.method, "/api/v1/waf/"+c.path, c.body)
		if answer.StatusCode != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s %s %s: got %d %s, want %d with %q", c.method, c.path, c.body, answer.StatusCode, text, c.status, c.text)
		}
	}
}
