package api_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/api"
)

func TestDecisionsOverHTTPS(t *testing.T) {
	d := newDoor(t)
	for _, role := range []string{"owner", "admin", "agent"} {
		d.account("the-"+role, role)
	}
	admin := d.token("the-admin", nil)
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"POST", "decisions", `{"target":"203.0.113.7","seconds":3600,"reason":"rude"}`, 200, `"result":"made"`},
		{"POST", "decisions", `{"target":"203.0.113.7","seconds":60}`, 200, `"result":"standing"`},
		{"POST", "decisions", `{"target":"203.0.113.7","permanent":true}`, 200, `"result":"extended"`},
		{"POST", "decisions", `{"target":"127.0.0.1"}`, 409, "127.0.0.1 is the address that you use now"},
		{"POST", "decisions", `{"target":"192.0.2.0/24"}`, 409, "192.0.2.9, which is always allowed"},
		{"POST", "decisions", `{"target":"0.0.0.0/0"}`, 409, "wider than /16"},
		{"POST", "decisions", `{"target":"nobody"}`, 400, "target has to be an address"},
		{"POST", "decisions", `{"target":"203.0.113.9","action":"hug"}`, 400, "action has to be"},
		{"POST", "decisions", `{"target":"203.0.113.9","seconds":1,"permanent":true}`, 400, "contradict"},
		{"POST", "decisions", `{"target":"account:the-owner"}`, 403, "only an owner"},
		{"POST", "decisions", `{"target":"account:the-admin"}`, 403, "their own account"},
		{"POST", "decisions", `{"target":"account:the-agent","seconds":60}`, 200, `"target":"account:the-agent"`},
		{"POST", "decisions", `{"target":"account:nobody"}`, 404, "no such account"},
		{"GET", "decisions?address=203.0.113.7", "", 200, `"origin":"admin:the-admin"`},
		{"GET", "decisions?address=x", "", 400, "address must be"},
		{"GET", "decisions?action=throttle", "", 200, "[]"},
		{"GET", "decisions?action=throtle", "", 400, "action must be"},
		{"POST", "decisions", `{"target":"203.0.113.128/25"}`, 200, `"target":"203.0.113.128/25"`},
		{"DELETE", "decisions?which=203.0.113.200", "", 404, "the ban of 203.0.113.128/25 holds for it"},
		{"DELETE", "decisions?which=203.0.113.128/25", "", 200, `"count":1`},
		{"POST", "decisions/import", `{"name":"l","decisions":[{"target":"203.0.113.20"},{"target":"127.0.0.1"},{"target":"x"},{"target":"account:joe"}]}`, 200, `{"made":1,"extended":0,"standing":0,"refused_count":3,"refused":[{`},
		{"DELETE", "decisions", "", 400, "say which"},
		{"DELETE", "decisions?which=203.0.113.7&reason=fine", "", 200, `"count":1`},
		{"DELETE", "decisions?which=203.0.113.7", "", 404, "no such decision"},
		{"DELETE", "decisions?origin=import:l", "", 200, `"count":1`},
		{"POST", "bouncers/fw", "", 403, "takes a person"},
		{"DELETE", "bouncers/fw", "", 404, "no such bouncer"},
	} {
		answer, text := d.send(admin, c.method, "/api/v1/"+c.path, c.body)
		if answer.StatusCode != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s %s %s: got %d %s, want %d with %q", c.method, c.path, c.body, answer.StatusCode, text, c.status, c.text)
		}
	}
	if _, ok := d.decisions.Lookup(netip.MustParseAddr("203.0.113.7"), time.Now()); ok {
		t.Error("the lifted one still holds")
	}
	_, text := d.send(d.token("the-owner", nil), "GET", "/api/v1/journal", "")
	var entries []api.Entry
	if err := json.Unmarshal([]byte(text), &entries); err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]int)
	for _, e := range entries {
		counts[e.Action]++
		if strings.HasPrefix(e.Action, "decision.") && (e.Actor != "the-admin" || e.Origin != "127.0.0.1") {
			t.Errorf("the journal has %+v", e)
		}
	}
	if counts["decision.add"] != 5 || counts["decision.import"] != 1 || counts["decision.delete"] != 2 || counts["decision.delete-origin"] != 1 {
		t.Errorf("the journal has %v", counts)
	}
}

// TestDecisionClient uses the socket as the command line does.
func TestDecisionClient(t *testing.T) {
	r := newRig(t)
	c := dial(t, r.serve(t))
	added, err := c.AddDecision(t.Context(), api.NewDecision{Target: "203.0.113.7", Seconds: 60, From: "203.0.113.9"})
	if err != nil || added.Until.IsZero() || added.Target != "203.0.113.7" || !strings.HasPrefix(added.Origin, "admin:cli:") {
		t.Fatalf("got %+v, %v", added, err)
	}
	if _, err := c.AddDecision(t.Context(), api.NewDecision{Target: "203.0.113.0/24", From: "203.0.113.9"}); err == nil || !strings.Contains(err.Error(), "that you use now") {
		t.Errorf("got %v, want the own address protected", err)
	}
	var many api.ImportedDecisions
	for n := range 5000 {
		many.Decisions = append(many.Decisions, api.ImportedDecision{Target: fmt.Sprintf("100.64.%d.%d", n>>8, n&255), Reason: strings.Repeat("r", 200)})
	}
	many.Name = "big"
	if got, err := c.ImportDecisions(t.Context(), many); err != nil || got.Made != 5000 {
		t.Fatalf("got %+v, %v", got, err)
	}
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	ends := api.ImportedDecisions{Name: "ends", Decisions: []api.ImportedDecision{{Target: "100.127.0.1", Until: end}, {Target: "100.127.0.2", Until: time.Now().Add(-time.Second)},
		{Target: "100.127.0.3", Until: end, Seconds: 5}}}
	if got, err := c.ImportDecisions(t.Context(), ends); err != nil || got.Made != 1 || got.RefusedCount != 2 || got.Refused[0].Problem != "has ended" {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := c.ImportDecisions(t.Context(), ends); err != nil || got.Standing != 1 {
		t.Errorf("what ends at the same time stands already; got %+v, %v", got, err)
	}
	if got, err := c.Decisions(t.Context(), api.DecisionFilter{Origin: "import:ends"}); err != nil || len(got) != 1 || !got[0].Until.Equal(end) {
		t.Errorf("got %+v, %v; want an end at %v", got, err, end)
	}
	page, err := c.Decisions(t.Context(), api.DecisionFilter{Origin: "import:big", Limit: 10, After: added.Number})
	if err != nil || len(page) != 10 || page[0].Evidence == nil && page[0].Reason == "" {
		t.Errorf("got %+v, %v", page, err)
	}
	key, err := c.AddBouncer(t.Context(), "fw")
	if err != nil || len(key.Key) != 64 {
		t.Fatalf("got %+v, %v", key, err)
	}
	if _, err := c.AddBouncer(t.Context(), "fw"); err == nil {
		t.Error("two bouncers have one name")
	}
	if list, err := c.Bouncers(t.Context()); err != nil || len(list) != 1 || list[0].Name != "fw" {
		t.Errorf("got %+v, %v", list, err)
	}
	if err := c.RemoveBouncer(t.Context(), "fw"); err != nil {
		t.Error(err)
	}
	if lifted, err := c.DeleteDecisionsOf(t.Context(), "import:big", ""); err != nil || lifted.Count != 5000 {
		t.Errorf("got %+v, %v", lifted, err)
	}
	if lifted, err := c.DeleteDecision(t.Context(), added.ID, ""); err != nil || lifted.Count != 1 {
		t.Errorf("got %+v, %v", lifted, err)
	}
}
