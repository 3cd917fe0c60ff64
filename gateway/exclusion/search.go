package exclusion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/event"
)

// ErrNoFinding is that the firewall told nothing about a request, or no longer.
var ErrNoFinding = errors.New("the firewall found nothing in the request")

// NotOfRulesError is that what was told about a request is no match of a rule.
type NotOfRulesError struct{ Action string }

// Error is the sentence.
func (e *NotOfRulesError) Error() string {
	return fmt.Sprintf("the finding (%s) is not about a rule that matched", e.Action)
}

// Find searches the log, from a time on, for what the firewall found in a request: rules that matched, or else that its body went beyond a
// limit. ErrNoFinding: nothing. A NotOfRulesError: something else.
func Find(ctx context.Context, log *event.Log, request string, from time.Time) (Finding, error) {
	q := event.Query{From: from, Class: event.Detection, Fields: []event.Field{{Key: "request_id", Value: request}}, Limit: 10}
	other := ""
	var over *Finding
	for e, err := range log.All(ctx, q) {
		if err != nil {
			return Finding{}, fmt.Errorf("search finding: %w", err)
		}
		switch e.Action {
		case "waf":
			return Read(e), nil
		case "waf-limit":
			f := Read(e)
			over = &f
		default:
			other = e.Action
		}
	}
	if over != nil {
		return *over, nil
	}
	if other != "" {
		return Finding{}, &NotOfRulesError{other}
	}
	return Finding{}, ErrNoFinding
}

// Proposal is an exclusion that is not in force, and what speaks for it.
type Proposal struct {
	Exclusion
	Message  string // of the rule
	Requests int
	People   int
}

// Caps of what is proposed: whoever needs more has another problem.
const (
	maxProposals = 200
	maxPeople    = 1000 // that are told apart for one proposal
	proposePage  = 500
)

// Propose adds up what the firewall refused, or would have refused, of people who were signed in at a site, from a time on: the most frequent
// first. A path ends before its first number. What inForce says is in force already is left out; it may be nil.
func Propose(ctx context.Context, log *event.Log, site string, from time.Time, inForce func(Exclusion) bool) ([]Proposal, error) {
	t := tally{at: make(map[Exclusion]int), inForce: inForce}
	q := event.Query{From: from, Class: event.Detection, Action: "waf", Site: site, Limit: proposePage}
	for e, err := range log.All(ctx, q) {
		if err != nil {
			return nil, fmt.Errorf("search findings: %w", err)
		}
		t.add(Read(e))
	}
	slices.SortStableFunc(t.all, func(a, b Proposal) int { return b.Requests - a.Requests })
	return t.all, nil
}

// tally adds up proposals.
type tally struct {
	all     []Proposal
	people  []map[string]bool
	at      map[Exclusion]int
	inForce func(Exclusion) bool
}

func (t *tally) add(f Finding) {
	if f.Event.User == "" || f.RefusedBy == 0 && f.Would == 0 {
		return
	}
	narrowest, _ := f.Narrowest(Widened(f.Path))
	for _, x := range narrowest {
		key := x
		key.Request = ""
		key.Target = strings.ToLower(key.Target)
		i, known := t.at[key]
		switch {
		case !known && (len(t.all) == maxProposals || t.inForce != nil && t.inForce(x)):
			continue
		case !known:
			i = len(t.all)
			t.at[key] = i
			t.all, t.people = append(t.all, Proposal{Exclusion: x, Message: messageOf(f, x.Rule)}), append(t.people, map[string]bool{})
		}
		t.all[i].Requests++
		if len(t.people[i]) < maxPeople && !t.people[i][f.Event.User] {
			t.people[i][f.Event.User] = true
			t.all[i].People++
		}
	}
}

func messageOf(f Finding, rule int) string {
	for _, hit := range f.Hits {
		if hit.Rule == rule {
			return hit.Message
		}
	}
	return ""
}
