package exclusion_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway/exclusion"
	"github.com/doorward/doorward/gateway/waf"
	"github.com/doorward/doorward/store/storetest"
)

// finding is an event of the firewall.
func finding(t testing.TB, request, user, target string, hits ...waf.Hit) event.Event {
	t.Helper()
	e := event.Event{Time: now, Class: event.Detection, Action: "waf", Outcome: event.Refused, Site: "a.example", User: user,
		Fields: []event.Field{{Key: "request_id", Value: request}, {Key: "target", Value: target}, {Key: "score", Value: "5"}, {Key: "refused_by", Value: "949110"}}}
	for _, hit := range hits {
		text, err := json.Marshal(hit)
		if err != nil {
			t.Fatal(err)
		}
		e.Fields = append(e.Fields, event.Field{Key: "match", Value: string(text)})
	}
	return e
}

// TestNarrowest: the exclusions are as narrow as can be, also where a stranger chose the names.
func TestNarrowest(t *testing.T) {
	for what, c := range map[string]struct {
		target, variable string
		want             string // the exclusion, or "-" and a part of the problem
	}{
		"a parameter":             {"/reply?body=x", "ARGS:body", `{path: "/reply", rules: [1], parameter: "body"}`},
		"of the query only":       {"/reply?body=x", "ARGS_GET:body", `{path: "/reply", rules: [1], target: "ARGS_GET:body"}`},
		"a header":                {"/reply", "REQUEST_HEADERS:Referer", `{path: "/reply", rules: [1], target: "REQUEST_HEADERS:Referer"}`},
		"one value":               {"/reply", "REQUEST_URI", `{path: "/reply", rules: [1], target: "REQUEST_URI"}`},
		"text of XML":             {"/reply", "XML:/*", `{path: "/reply", rules: [1], target: "XML:/*"}`},
		"an escaped path":         {"/K%C3%A4se?x", "ARGS:a", `{path: "/Käse", rules: [1], parameter: "a"}`},
		"at the root":             {"/?q=x", "ARGS:q", `{path: "/", rules: [1], parameter: "q"}`},
		"a name with a colon":     {"/a", "ARGS:a:b", `{path: "/a", rules: [1], parameter: "a:b"}`},
		"made by rules":           {"/reply", "TX:0", `{path: "/reply", rules: [1]}`},
		"no variable":             {"/reply", "", `{path: "/reply", rules: [1]}`},
		"made by rules, the root": {"/", "MATCHED_VAR", "- path is the whole site, in which the rule would be switched off"},
		"the URI, the root":       {"/?q=x", "REQUEST_URI", "- path is the whole site"},
		"XML, the root":           {"/", "XML:/*", "- path is the whole site"},
		"a header, the root":      {"/", "REQUEST_HEADERS:Referer", `{path: "/", rules: [1], target: "REQUEST_HEADERS:Referer"}`},
		"an expression":           {"/reply", "ARGS:/.*/", "- means other values"},
		"a quoted name":           {"/reply", "ARGS:'a'", "- means other values"},
		"no name":                 {"/reply", "ARGS", "- without a name"},
		"a long name":             {"/reply", "ARGS:" + strings.Repeat("a", 195) + "…", "- too long"},
		"a strange path":          {"/a%3Bb", "ARGS:a", "- path has characters"},
		"a long path":             {"/" + strings.Repeat("a", 600), "ARGS:a", "- path is longer"},
		"what was cleaned":        {"/a", "ARGS:a\ufffd", "- cannot be written"},
		"what nobody sees":        {"/a", "ARGS:a\u202e", "- cannot be written"},
		"a path that nobody sees": {"/a%E2%80%AE", "ARGS:a", "- path has characters"},
		"an unknown variable":     {"/a", "NEWER:a", "- there is no variable"},
	} {
		all, not := exclusion.Read(finding(t, "R1", "", c.target, waf.Hit{Rule: 1, Variable: c.variable}, waf.Hit{Rule: 1, Variable: c.variable, View: "base64"})).Narrowest("")
		if problem, none := strings.CutPrefix(c.want, "- "); none {
			if len(all) != 0 || len(not) != 1 || !strings.Contains(not[0].Problem, problem) {
				t.Errorf("%s: got %+v and %+v, want the problem %q", what, all, not, problem)
			}
			continue
		}
		if len(all) != 1 || len(not) != 0 || all[0].YAML() != c.want || all[0].Site != "a.example" || all[0].Request != "R1" {
			t.Errorf("%s: got %+v and %+v, want %s", what, all, not, c.want)
		}
	}
}

// TestReadCut: a match that was cut short is counted, not taken for what it is not.
func TestReadCut(t *testing.T) {
	e := finding(t, "R1", "", "/", waf.Hit{Rule: 1, Variable: "ARGS:a"})
	e.Fields = append(e.Fields, event.Field{Key: "match", Value: `{"rule":2,"vari`}, event.Field{Key: "more", Value: "3"})
	if f := exclusion.Read(e); len(f.Hits) != 1 || f.More != 4 || f.RefusedBy != 949110 || f.Score != 5 {
		t.Errorf("got %+v, want one match and four more", f)
	}
}

func TestCovers(t *testing.T) {
	e := exclusion.Exclusion{Site: "a", Path: "/x", Rule: 1, Target: "ARGS:Body"}
	whole := exclusion.Exclusion{Site: "a", Path: "/", Rule: 1}
	for _, c := range []struct {
		a, b exclusion.Exclusion
		want bool
	}{
		{e, e, true}, {whole, e, true}, {e, whole, false},
		{e, exclusion.Exclusion{Site: "a", Path: "/x/y", Rule: 1, Target: "ARGS:body"}, true},
		{e, exclusion.Exclusion{Site: "a", Path: "/xy", Rule: 1, Target: "ARGS:body"}, false},
		{e, exclusion.Exclusion{Site: "b", Path: "/x", Rule: 1, Target: "ARGS:body"}, false},
		{e, exclusion.Exclusion{Site: "a", Path: "/x", Rule: 2, Target: "ARGS:body"}, false},
		{e, exclusion.Exclusion{Site: "a", Path: "/x", Rule: 1, Target: "ARGS:other"}, false},
	} {
		if got := c.a.Covers(c.b); got != c.want {
			t.Errorf("%s covers %s: got %v, want %v", c.a.YAML(), c.b.YAML(), got, c.want)
		}
	}
}

func eventLog(t *testing.T) *event.Log {
	t.Helper()
	var cfg event.Config
	cfg.SetDefaults()
	cfg.Dir = filepath.Join(t.TempDir(), "events")
	l, err := event.Open(t.Context(), cfg, storetest.SQLite(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, l.Close()); err != nil {
			t.Error(err)
		}
	})
	return l
}

// TestSearch: a finding is found by its request, and what people did often is proposed unless it is in force.
func TestSearch(t *testing.T) {
	l, now := eventLog(t), time.Now()
	hit := func(rule int, variable string) waf.Hit {
		return waf.Hit{Rule: rule, Variable: variable, Message: fmt.Sprint("rule ", rule)}
	}
	add := func(e event.Event) {
		e.Time = now
		l.Append(e)
	}
	for i := range 6 {
		add(finding(t, fmt.Sprint("R", i), fmt.Sprint("user", i%2), fmt.Sprintf("/ticket/%d/reply", i), hit(1, "ARGS:body"), hit(2, "ARGS:/.*/")))
	}
	add(finding(t, "S1", "user1", "/search", hit(3, "ARGS:q")))
	add(finding(t, "T1", "", "/search", hit(4, "ARGS:q"))) // a stranger's
	other := finding(t, "U1", "user1", "/search")
	other.Action = "waf-error"
	add(other)
	long := finding(t, "L1", "user1", "/api")
	long.Action, long.Fields = "waf-limit", append(long.Fields, event.Field{Key: "setting", Value: "fields_limit"}, event.Field{Key: "limit", Value: "1048576"})
	add(long)
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f, err := exclusion.Find(t.Context(), l, "R3", time.Time{}); err != nil || f.Request != "R3" || f.Path != "/ticket/3/reply" || len(f.Hits) != 2 {
		t.Errorf("Find gave %+v, %v", f, err)
	}
	if _, err := exclusion.Find(t.Context(), l, "R9", time.Time{}); !errors.Is(err, exclusion.ErrNoFinding) {
		t.Errorf("Find of nothing gave %v, want ErrNoFinding", err)
	}
	if _, err := exclusion.Find(t.Context(), l, "R3", now.Add(time.Second)); !errors.Is(err, exclusion.ErrNoFinding) {
		t.Errorf("Find of what is older gave %v, want ErrNoFinding", err)
	}
	var notOfRules *exclusion.NotOfRulesError
	if _, err := exclusion.Find(t.Context(), l, "U1", time.Time{}); !errors.As(err, &notOfRules) || notOfRules.Action != "waf-error" {
		t.Errorf("Find of an engine's error gave %v", err)
	}
	if f, err := exclusion.Find(t.Context(), l, "L1", time.Time{}); err != nil || f.Exceeded != "fields_limit" || f.Limit != 1<<20 || len(f.Hits) != 0 {
		t.Errorf("Find of a body that was too long gave %+v, %v", f, err)
	}
	all, err := exclusion.Propose(t.Context(), l, "a.example", now.Add(-time.Hour), nil)
	var got []string
	for _, p := range all {
		got = append(got, fmt.Sprintf("%s %s %d %d", p.YAML(), p.Message, p.Requests, p.People))
	}
	want := []string{`{path: "/ticket", rules: [1], parameter: "body"} rule 1 6 2`, `{path: "/search", rules: [3], parameter: "q"} rule 3 1 1`}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("proposals: %v (-want +got):\n%s", err, diff)
	}
	all, err = exclusion.Propose(t.Context(), l, "a.example", now.Add(-time.Hour), func(x exclusion.Exclusion) bool { return x.Rule == 1 })
	if err != nil || len(all) != 1 || all[0].Rule != 3 {
		t.Errorf("what is not in force: %+v, %v", all, err)
	}
}
