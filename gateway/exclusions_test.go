package gateway_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/gateway/exclusion"
	"github.com/doorward/doorward/gateway/waf"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// exclusions is a list over a store, as one of several nodes has it.
func exclusions(t *testing.T, db *store.DB, key string) *exclusion.List {
	t.Helper()
	j, err := journal.Open(t.Context(), db, key)
	must(t, err)
	l, err := exclusion.Open(t.Context(), exclusion.Deps{DB: db, Journal: j, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	return l
}

var admin = exclusion.Actor{Name: "admin", Origin: "local"}

// TestExclusionsHoldAtOnce: from a refusal by its finding to an exclusion, and back, on one connection and with the rules that were compiled
// before; a reload and a start keep it.
func TestExclusionsHoldAtOnce(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	db, key := storetest.SQLite(t), filepath.Join(t.TempDir(), "journal.key")
	list := exclusions(t, db, key)
	site := walled(t, up.URL)
	site.WAF.Exclude = []gateway.WAFExclusion{{Path: "/other", Rules: []gateway.RuleRange{{First: 941100, Last: 941100}}, Parameter: "q"}}
	r := startWith(t, gateway.Deps{Exclusions: list}, gateway.Config{}, site)
	client := r.client()
	ask := func(what, target string, want int) (reused bool) {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, r.url("https", target), nil)
		must(t, err)
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }}))
		req.Header.Set("User-Agent", browser)
		req.Header.Set("Accept", "text/html")
		res, err := client.Do(req)
		must(t, err)
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %s got %d, want %d", what, target, res.StatusCode, want)
		}
		return reused
	}
	attack := "?q=" + url.QueryEscape(scriptAttack)
	ask("before", "/reply"+attack, 403)
	f := exclusion.Read(r.findings(1)[0])
	narrowest, not := f.Narrowest("")
	if len(narrowest) == 0 || len(not) > 0 || r.LeftOut(narrowest[0]) {
		t.Fatalf("the finding's exclusions are %+v, and not %+v", narrowest, not)
	}
	made, _, err := list.Add(t.Context(), admin, narrowest, time.Now())
	must(t, err)
	if !ask("excluded", "/reply"+attack, 200) {
		t.Error("the connection was closed")
	}
	ask("below it", "/reply/7"+attack, 200)
	ask("another path", "/replyto"+attack, 403)
	ask("another parameter", "/reply"+strings.Replace(attack, "q=", "p=", 1), 403)
	status := r.Firewalls(time.Now())[0]
	if status.Added != len(made) || status.Unused != 0 || status.Configured != 1 || status.Mode != "block" || status.Compiled == "no" || status.Learning {
		t.Errorf("the status is %+v, want %d added", status, len(made))
	}
	must(t, r.Reload(t.Context(), r.cfg))
	ask("after a reload", "/reply"+attack, 200)
	for _, e := range made {
		_, err := list.Delete(t.Context(), admin, e.ID, "")
		must(t, err)
	}
	if !ask("undone", "/reply"+attack, 403) {
		t.Error("the connection was closed")
	}
	if x := (exclusion.Exclusion{Site: "localhost", Path: "/other/x", Rule: 941100, Target: "ARGS:q"}); !r.LeftOut(x) {
		t.Error("what the configuration leaves out is not said to be")
	}
	// Another node's change, and one that fits no rule.
	other := exclusions(t, db, key)
	_, _, err = other.Add(t.Context(), admin, append(narrowest, exclusion.Exclusion{Site: "localhost", Path: "/reply", Rule: 1234567, Target: "ARGS:q"}), time.Now())
	must(t, err)
	must(t, list.Follow(t.Context()))
	ask("another node's", "/reply"+attack, 200)
	if status := r.Firewalls(time.Now())[0]; status.Unused != 1 || status.Added != len(narrowest)+1 {
		t.Errorf("the status is %+v, want one that fits no rule", status)
	}
	again := startWith(t, gateway.Deps{Exclusions: exclusions(t, db, key)}, gateway.Config{}, site)
	if got, _ := fetch(t, again.client(), http.MethodGet, again.url("https", "/reply"+attack)); got.StatusCode != 200 {
		t.Errorf("after a start: got %d, want 200", got.StatusCode)
	}
}

// TestExclusionsShareRules: a thousand exclusions compile no rules anew.
func TestExclusionsShareRules(t *testing.T) {
	t.Parallel()
	engine, err := waf.NewEngine(waf.Doorward, 1<<26, nil)
	must(t, err)
	site, err := engine.Site(waf.SiteOptions{Mode: waf.Block, Answers: waf.Detect, ParanoiaLevel: 1, InboundThreshold: 5, OutboundThreshold: 4, BodyLimit: 1 << 20, AnswerLimit: 1 << 20})
	must(t, err)
	must(t, site.Ready())
	var many []waf.Exclusion
	for i := range exclusion.Max {
		many = append(many, waf.Exclusion{Path: fmt.Sprint("/x/", i), Rules: []waf.IDs{{First: 941100, Last: 941100}}, Target: "ARGS:q"})
	}
	with, problems := site.With(many)
	if len(problems) > 0 || engine.RuleSets() != 1 || with.Compiled() != waf.Fast {
		t.Errorf("with many exclusions: %v, %d rule sets, compiled %s; want none, 1, fast", problems, engine.RuleSets(), with.Compiled())
	}
}

// TestLearningPeriod: until its end a site detects, from then on it blocks, by the clock alone.
func TestLearningPeriod(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	site := walled(t, up.URL)
	site.WAF.Answers = "block"
	end := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	site.WAF.LearnUntil = gateway.LearnUntil{Time: end}
	r := start(t, gateway.Config{}, site)
	if got := r.Walls("localhost", end.Add(-time.Nanosecond), end, end.Add(time.Hour)); fmt.Sprint(got) != "[detect block block]" {
		t.Errorf("modes before, at and after the end: %v", got)
	}
	attack := r.url("https", "/reply?q="+url.QueryEscape(scriptAttack))
	cookie, _ := r.signInAs("maria", auth.User)
	req, err := http.NewRequest(http.MethodGet, attack, nil)
	must(t, err)
	req.AddCookie(cookie)
	req.Header.Set("User-Agent", browser)
	res, err := r.client().Do(req)
	must(t, err)
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Errorf("while it learns: got %d, want 200", res.StatusCode)
	}
	if f := r.findings(1); len(f) != 1 || valueOf(f[0], "would_refuse") == "" {
		t.Fatalf("findings %+v, want one that would have been refused", f)
	}
	if s := r.Firewalls(time.Now())[0]; !s.Learning || !s.LearnUntil.Equal(end) || s.Mode != "block" {
		t.Errorf("the status is %+v, want learning until %s", s, end)
	}
	ended := site
	ended.WAF.LearnUntil = gateway.LearnUntil{Time: time.Now().Add(-time.Hour).UTC()}
	cfg := r.cfg
	cfg.Sites = []gateway.SiteConfig{ended}
	cfg.SetDefaults()
	must(t, r.Reload(t.Context(), cfg))
	if got, _ := fetch(t, r.client(), http.MethodGet, attack); got.StatusCode != 403 {
		t.Errorf("afterwards: got %d, want 403", got.StatusCode)
	}
}

// told are the events about learning periods, latest first.
func (r *running) told() (all []string) {
	r.t.Helper()
	must(r.t, r.deps.Events.Flush(r.t.Context()))
	found, err := r.deps.Events.Query(r.t.Context(), event.Query{Class: event.Compliance, Limit: 100})
	must(r.t, err)
	for _, e := range found {
		all = append(all, fmt.Sprintf("%s %s %s", e.Action, e.Severity, valueOf(e, "proposals")))
	}
	return all
}

// TestLearningIsTold: once a day while a site learns, and once when it has learnt, whoever asks how often.
func TestLearningIsTold(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	site := walled(t, up.URL)
	now := time.Now()
	end := now.Add(90 * time.Minute).Truncate(time.Second)
	site.WAF.LearnUntil = gateway.LearnUntil{Time: end}
	r := start(t, gateway.Config{}, site)
	eventually(t, time.Minute, "the start tells that the site learns", func() bool { return len(r.told()) == 1 })
	next, err := r.NoteLearning(t.Context(), "localhost", now.Add(time.Minute))
	if must(t, err); !next.Equal(end) {
		t.Errorf("told already: asks again at %s, want the end %s", next, end)
	}
	cookie, _ := r.signInAs("maria", auth.User)
	req, err := http.NewRequest(http.MethodGet, r.url("https", "/reply?q="+url.QueryEscape(scriptAttack)), nil)
	must(t, err)
	req.AddCookie(cookie)
	req.Header.Set("User-Agent", browser)
	res, err := r.client().Do(req)
	must(t, err)
	res.Body.Close()
	r.findings(1)
	for _, after := range []time.Duration{2 * time.Hour, 3 * time.Hour, 26 * time.Hour, 8 * 24 * time.Hour} {
		if _, err := r.NoteLearning(t.Context(), "localhost", now.Add(after)); err != nil {
			t.Errorf("%s later: %v", after, err)
		}
	}
	told := r.told()
	if len(told) != 2 || !strings.HasPrefix(told[0], "waf-blocks medium ") || strings.HasSuffix(told[0], " 0") || told[1] != "waf-learning informational 0" {
		t.Errorf("told %q, want the period with nothing open, then its end with open proposals", told)
	}
	if !strings.Contains(r.log.String(), "learning period is over: it blocks now") {
		t.Error("the log does not say that the site blocks now")
	}
}

func TestLearnUntil(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2026-12-10": "", "2026-12-10T08:00:00+01:00": "", "2020-01-01": "", "2027-02-24": "", "2027-02-25": "more than 90 days ahead",
		"tomorrow": "is not a date", "2026-13-01": "is not a date", "": "is not a date",
	} {
		var l gateway.LearnUntil
		err := l.UnmarshalText([]byte(text))
		got := l.Problem("block", now)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	var l gateway.LearnUntil
	must(t, l.UnmarshalText([]byte("2026-12-10")))
	for _, mode := range []string{"detect", "off"} {
		if got := l.Problem(mode, now); !strings.Contains(got, "set mode: block") {
			t.Errorf("mode %s: got %q", mode, got)
		}
	}
}
