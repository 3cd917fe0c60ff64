package gateway

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/gateway/exclusion"
	"github.com/doorward/doorward/gateway/waf"
)

// wall is the firewall of one site as it stands: it learns until a moment and blocks from then on, and leaves out what administrators said
// since the configuration was read.
type wall struct {
	configured, learning *waf.Site // learning is nil without a learning period
	until                time.Time // the end of the learning period; zero: there is none

	state atomic.Pointer[wallState]
}

// wallState is what an exclusion that is added or undone exchanges; a request goes on with the one that it began with.
type wallState struct {
	configured, learning *waf.Site
	added, unused        int // exclusions that administrators added, and those among them that fit no rule
}

// newWall builds the firewall of a site; nil when it is off.
func newWall(engine *waf.Engine, sc SiteConfig, app *App) (*wall, error) {
	configured, err := newSiteWAF(engine, sc, app)
	if err != nil || configured == nil {
		return nil, err
	}
	w := &wall{configured: configured, until: sc.WAF.LearnUntil.Time}
	if !w.until.IsZero() {
		// Both share their rules; what differs is a few words in memory.
		sc.WAF.Mode = string(waf.Detect)
		if sc.WAF.Answers == string(waf.Block) {
			sc.WAF.Answers = string(waf.Detect)
		}
		if w.learning, err = newSiteWAF(engine, sc, app); err != nil {
			return nil, err
		}
	}
	w.state.Store(&wallState{configured: w.configured, learning: w.learning})
	return w, nil
}

// learns tells whether the learning period is not over at the moment now.
func (w *wall) learns(now time.Time) bool { return now.Before(w.until) }

// at is the firewall at the moment now.
func (w *wall) at(now time.Time) *waf.Site {
	s := w.state.Load()
	if w.learns(now) {
		return s.learning
	}
	return s.configured
}

// leaveOut exchanges what administrators left out.
func (w *wall) leaveOut(site string, all []exclusion.Exclusion, log *slog.Logger) {
	more := make([]waf.Exclusion, 0, len(all))
	for _, e := range all {
		more = append(more, waf.Exclusion{Path: e.Path, Rules: []waf.IDs{{First: e.Rule, Last: e.Rule}}, Target: e.Target})
	}
	next := &wallState{added: len(all)}
	var problems []error
	next.configured, problems = w.configured.With(more)
	next.unused = len(problems)
	if w.learning != nil {
		next.learning, _ = w.learning.With(more) // with the same problems
	}
	if before := w.state.Load(); len(problems) > 0 && before.unused != next.unused {
		log.Warn("some exclusions of the firewall fit no rule", slog.String("site", site), slog.Int("exclusions", len(problems)), slog.Any("first", problems[0]))
	}
	w.state.Store(next)
}

// useExclusions puts in force what administrators left out, at once and without a new policy: no connection, upstream or compiled rule
// is touched.
func (g *Gateway) useExclusions(all []exclusion.Exclusion) {
	g.reload.Lock()
	defer g.reload.Unlock()
	g.excluded = make(map[string][]exclusion.Exclusion)
	for _, e := range all {
		g.excluded[e.Site] = append(g.excluded[e.Site], e)
	}
	for _, s := range g.policy.Load().sites {
		g.leaveOut(s)
	}
}

// leaveOut gives a site its exclusions; the caller holds g.reload.
func (g *Gateway) leaveOut(s *site) {
	if s.waf != nil {
		s.waf.leaveOut(s.name, g.excluded[s.name], g.log)
	}
}

// FirewallStatus is how the firewall of a site stands.
type FirewallStatus struct {
	Site          string
	Mode          string    // off, detect or block, as configured
	Learning      bool      // it only detects, until LearnUntil
	LearnUntil    time.Time // zero: there is no learning period
	Rules         string    // the rule set
	ParanoiaLevel int
	Configured    int    // exclusions of the configuration and the application's folder
	Added         int    // exclusions that administrators added since
	Unused        int    // those among them that fit no rule
	Compiled      string // no, plain or fast
}

// Firewalls tells how the firewall of each site stands at the moment now.
func (g *Gateway) Firewalls(now time.Time) []FirewallStatus {
	p := g.policy.Load()
	out := make([]FirewallStatus, 0, len(p.sites))
	for _, s := range p.sites {
		one := FirewallStatus{Site: s.name, Mode: string(waf.Off)}
		if s.waf != nil {
			state := s.waf.state.Load()
			one = FirewallStatus{Site: s.name, Mode: s.cfg.WAF.Mode, Learning: s.waf.learns(now), LearnUntil: s.waf.until, Rules: p.cfg.WAF.Rules,
				ParanoiaLevel: s.cfg.WAF.ParanoiaLevel, Configured: len(s.app.Exclusions) + len(s.cfg.WAF.Exclude), Added: state.added, Unused: state.unused,
				Compiled: string(state.configured.Compiled())}
		}
		out = append(out, one)
	}
	return out
}

// LeftOut tells whether the configuration, or the application's folder, leaves out whatever x would. Exclusions by tags are not looked at.
func (g *Gateway) LeftOut(x exclusion.Exclusion) bool {
	s := g.policy.Load().siteFor(x.Site)
	if s == nil {
		return false
	}
	for _, list := range [][]WAFExclusion{s.app.Exclusions, s.cfg.WAF.Exclude} {
		for _, e := range list {
			if e.covers(x) {
				return true
			}
		}
	}
	return false
}

func (e WAFExclusion) covers(x exclusion.Exclusion) bool {
	target := e.compile().Target
	if e.Path != "" && !exclusion.Below(x.Path, e.Path) || target != "" && !strings.EqualFold(target, x.Target) {
		return false
	}
	for _, r := range e.Rules {
		if waf.IDs(r).Has(x.Rule) {
			return true
		}
	}
	return false
}

// LearnUntil is the moment at which a learning period ends.
type LearnUntil struct{ time.Time }

// maxLearning is how far ahead a learning period may end: one that nobody remembers is a firewall that is off.
const maxLearning = 90 * 24 * time.Hour

// UnmarshalText reads a date, which begins at midnight in UTC, or a time as RFC 3339 has it.
func (l *LearnUntil) UnmarshalText(text []byte) error {
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(form, string(text)); err == nil {
			l.Time = t.UTC()
			return nil
		}
	}
	return fmt.Errorf("%q is not a date as 2026-12-10, or a time as 2026-12-10T08:00:00Z", text)
}

// problem tells what is wrong with a learning period at the moment now; empty: nothing.
func (l LearnUntil) problem(mode string, now time.Time) string {
	switch {
	case l.IsZero():
		return ""
	case mode != string(waf.Block):
		return fmt.Sprintf("has no use with mode: %s, in which nothing is refused anyway; set mode: block, which holds from then on", mode)
	case l.Sub(now) > maxLearning:
		return fmt.Sprintf("is more than %d days ahead; give an earlier day, on which somebody looks again", int(maxLearning/(24*time.Hour)))
	}
	return ""
}
