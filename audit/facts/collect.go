package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"time"
)

const (
	// collectorTime is what one collector gets. A host at work is slow, and a fact that is missing for that says nothing; what waits
	// for an answer from elsewhere has a shorter time of its own (probeTime).
	collectorTime = 10 * time.Second
	allTime       = 20 * time.Second // of all of them
)

// Setting is one value of a configuration, as the program that it belongs to reads it.
type Setting struct {
	Value  string `cel:"value"`
	Origin string `cel:"origin"` // file:line or command that says so; "default" when nothing sets it
}

// Missing says that a fact could not be read, and why. Controls that ask for it are unknown, never passed.
type Missing struct {
	// Fact is the name of the fact, or of a field of it: "accounts", "accounts.hashes".
	Fact   string
	Reason string
}

// Facts is what was read off a host at one time.
type Facts struct {
	Time    time.Time
	Values  map[string]any // by name; each is a struct of this package, as Types tells
	Missing []Missing      // sorted by fact
}

// Target is what one audit looks at.
type Target struct {
	Config
	Now time.Time // of the audit
	// Policy is Doorward's own, by its configuration; nil when there is none.
	Policy *Policy
	// Watch is what the running Doorward says of what it watches; nil when there is no configuration of Doorward.
	Watch *WatchAnswer
}

// collector reads one fact, which may have many fields.
type collector struct {
	name    string
	of      reflect.Type
	within  time.Duration
	collect func(ctx context.Context, h *Host, t Target) (any, []Missing)
}

// read makes a collector of a function that fills a T. The names in what it returns as missing are relative to the
// fact: "" is all of it, "hashes" a field.
func read[T any](name string, fill func(ctx context.Context, h *Host, t Target) (T, []Missing)) collector {
	return collector{name, reflect.TypeFor[T](), collectorTime, func(ctx context.Context, h *Host, t Target) (any, []Missing) {
		value, missing := fill(ctx, h, t)
		return value, missing
	}}
}

// slow gives a collector more time than the usual ten seconds.
func (c collector) slow(within time.Duration) collector {
	c.within = within
	return c
}

// guarded collects. Whoever writes one of the host's files must not end the whole audit by a mistake of ours: a fact whose
// collector panics is missing.
func (c collector) guarded(ctx context.Context, h *Host, t Target) (value any, lost []Missing) {
	defer func() {
		if p := recover(); p != nil {
			value, lost = nil, missing("a defect of Doorward's: %v", p)
		}
	}()
	return c.collect(ctx, h, t)
}

// Types tells the type of every fact by its name. Controls are checked against it when they are read.
func Types() map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for _, c := range collectors() {
		types[c.name] = c.of
	}
	return types
}

// missing is all of a fact.
func missing(reason string, args ...any) []Missing {
	return []Missing{{Reason: fmt.Sprintf(reason, args...)}}
}

// Collect reads all facts, side by side, each within 10 s unless it is known to be slow, all within 20 s. What is not
// done by then is missing, like what could not be read. progress, when not nil, is called with how many of how many
// are done, from one goroutine.
func Collect(ctx context.Context, h *Host, t Target, progress func(done, all int)) Facts {
	ctx, cancel := context.WithTimeout(ctx, allTime)
	defer cancel()
	type result struct {
		at      int
		value   any
		missing []Missing
	}
	all := collectors()
	results := make(chan result, len(all)) // buffered: one that is too late finds nobody waiting, and ends
	for i, c := range all {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, c.within)
			defer cancel()
			done := make(chan result, 1)
			go func() {
				value, missing := c.guarded(ctx, h, t)
				done <- result{i, value, missing}
			}()
			select {
			case r := <-done:
				results <- r
			case <-ctx.Done():
				results <- result{at: i, missing: missing("not read in %v", c.within)}
			}
		}()
	}
	facts := Facts{Time: t.Now, Values: map[string]any{}}
	for n := range all {
		r := <-results
		name, whole := all[r.at].name, false
		for _, m := range r.missing {
			whole = whole || m.Fact == ""
			m.Fact = strings.TrimSuffix(name+"."+m.Fact, ".")
			facts.Missing = append(facts.Missing, m)
		}
		if !whole {
			facts.Values[name] = r.value
		}
		if progress != nil {
			progress(n+1, len(all))
		}
	}
	slices.SortFunc(facts.Missing, func(a, b Missing) int { return strings.Compare(a.Fact, b.Fact) })
	return facts
}

// because words an error as the reason that a fact is missing.
func because(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return err.Error() + ": run the audit as root"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return err.Error()
}
