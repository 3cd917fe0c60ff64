package gateway

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway/exclusion"
)

const (
	learnEvery = time.Minute        // how often learning periods are looked at
	tellEvery  = 24 * time.Hour     // how often it is told that a site learns
	tellEnd    = 7 * 24 * time.Hour // how long after a learning period its end is still told
	// proposeSince is from when on proposals are counted: what `doorward waf propose` looks at.
	proposeSince = 7 * 24 * time.Hour
	learnLimit   = time.Minute // of one look at the log
)

// The actions of the events about learning periods, of the class compliance.
const (
	learningAction = "waf-learning" // each day: how many proposals are open
	blocksAction   = "waf-blocks"   // once: the period is over
)

// tellLearning tells how learning periods stand, until ctx ends. What was told stands in the event log, so that neither a restart nor
// another node tells it twice.
func (g *Gateway) tellLearning(ctx context.Context) {
	look := time.NewTicker(learnEvery)
	defer look.Stop()
	type period struct {
		site  string
		until time.Time
	}
	due := map[period]time.Time{} // until then there is nothing to tell
	for {
		now := time.Now()
		for _, s := range g.policy.Load().sites {
			if s.waf == nil || s.waf.until.IsZero() || now.Before(due[period{s.name, s.waf.until}]) {
				continue
			}
			next, err := g.noteLearning(ctx, s, now)
			if err != nil && ctx.Err() == nil {
				g.log.Warn("look at learning period", slog.String("site", s.name), slog.Any("error", err))
			}
			due[period{s.name, s.waf.until}] = next
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// noteLearning tells what is to be told of a site at the moment now, and returns when to ask again.
func (g *Gateway) noteLearning(ctx context.Context, s *site, now time.Time) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, learnLimit)
	defer cancel()
	again := now.Add(learnEvery) // after an error
	action, from := learningAction, now.Add(-tellEvery)
	next := func(told time.Time) time.Time { return earlier(told.Add(tellEvery), s.waf.until) }
	if !s.waf.learns(now) {
		action, from = blocksAction, s.waf.until
		next = func(told time.Time) time.Time { return told.Add(tellEnd) }
		if now.Sub(s.waf.until) > tellEnd {
			return now.Add(tellEnd), nil
		}
	}
	told, err := g.lastTold(ctx, event.Query{From: from, Class: event.Compliance, Action: action, Site: s.name, Limit: 1})
	if err != nil {
		return again, err
	}
	if !told.IsZero() {
		return next(told), nil
	}
	open, err := exclusion.Propose(ctx, g.events, s.name, now.Add(-proposeSince), g.inForce)
	if err != nil {
		return again, err
	}
	requests := 0
	for _, p := range open {
		requests += p.Requests
	}
	e := event.Event{Time: now, Class: event.Compliance, Action: action, Outcome: event.Unknown, Severity: event.Informational, Site: s.name,
		Fields: []event.Field{{Key: "learn_until", Value: s.waf.until.Format(time.RFC3339)}, {Key: "proposals", Value: strconv.Itoa(len(open))},
			{Key: "requests", Value: strconv.Itoa(requests)}}}
	message := "the firewall learns and refuses nothing yet"
	if action == blocksAction {
		message = "the firewall's learning period is over: it blocks now"
		e.Outcome = event.Success
		if len(open) > 0 {
			e.Severity = event.Medium // people were refused today who were not yesterday
		}
	}
	g.log.Info(message, slog.String("site", s.name), slog.Time("learn_until", s.waf.until), slog.Int("proposals", len(open)), slog.Int("requests", requests))
	g.events.Append(e)
	return next(now), g.events.Flush(ctx)
}

// lastTold is the time of the newest event that q selects; zero: there is none.
func (g *Gateway) lastTold(ctx context.Context, q event.Query) (time.Time, error) {
	for e, err := range g.events.All(ctx, q) {
		return e.Time, err // the newest
	}
	return time.Time{}, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// inForce tells whether an exclusion is left out already, by the configuration or by an administrator.
func (g *Gateway) inForce(x exclusion.Exclusion) bool {
	if g.exclusions != nil {
		if _, covered := g.exclusions.Covering(x); covered {
			return true
		}
	}
	return g.LeftOut(x)
}
