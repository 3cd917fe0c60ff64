package sigma

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// stateVersion is that of the saved form. State of another version is not read: its windows start anew.
const stateVersion = 1

type savedState struct {
	Version      int                `json:"version"`
	Correlations []savedCorrelation `json:"correlations"`
}

type savedCorrelation struct {
	Key    string       `json:"key"`
	Form   string       `json:"form"` // of the rule: the counts of another one mean something else
	Groups []savedGroup `json:"groups"`
}

// savedGroup has times in microseconds, and tags beside them.
type savedGroup struct {
	Key   []byte   `json:"k"`
	Times []int64  `json:"t"`
	Tags  []uint64 `json:"g,omitempty"` // none: all zero
	Refs  [][]byte `json:"r,omitempty"`
}

// form names what a correlation counts: two of the same form can use each other's groups.
func (c *Correlation) form() string {
	text := fmt.Sprintf("%q %q %q %v %v %v %q %g %s", c.Type, c.Rules, c.GroupBy, c.Aliases, c.Timespan, c.bounds, c.fields, c.percent, c.expr.text())
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// text is a condition over rules written out.
func (n *node) text() string {
	if n == nil {
		return ""
	}
	out := fmt.Sprintf("(%d %q", n.op, n.name)
	for _, kid := range n.kids {
		out += " " + kid.text()
	}
	return out + ")"
}

// State is what the correlations have counted so far, for Restore. The same events always give the same state. What would
// not fit into Limits.State is left out, oldest groups first.
func (e *Engine) State() ([]byte, error) {
	all := savedState{Version: stateVersion}
	left := e.limits.State
	for _, k := range e.chains {
		saved := savedCorrelation{Key: k.rule.Key(), Form: k.rule.form()}
		for g := k.newest; g != nil; g = g.older {
			one := save(g)
			if left -= one.size(); left < 0 {
				break
			}
			saved.Groups = append(saved.Groups, one)
		}
		slices.Reverse(saved.Groups) // oldest first, so that Restore makes them newest in the right order
		all.Correlations = append(all.Correlations, saved)
	}
	out, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("save the state of correlations: %w", err)
	}
	return out, nil
}

// size is at least what the saved form takes, in bytes.
func (s savedGroup) size() int {
	n := 64 + 21*len(s.Times) + 21*len(s.Tags) + len(s.Key)*4/3
	for _, r := range s.Refs {
		n += 6 + len(r)*4/3
	}
	return n
}

func save(g *group) savedGroup {
	s := savedGroup{Key: []byte(g.key)}
	tagged := slices.ContainsFunc(g.marks, func(m mark) bool { return m.tag != 0 })
	for _, m := range g.marks {
		s.Times = append(s.Times, m.at)
		if tagged {
			s.Tags = append(s.Tags, m.tag)
		}
	}
	for _, r := range g.refs {
		s.Refs = append(s.Refs, []byte(r))
	}
	return s
}

// Restore puts in place what State gave, instead of all that was counted. Groups of correlations that are gone or count
// something else now are dropped and counted in Counters.Dropped; so is what breaks a limit. An error means that saved is
// no state at all, or of another version; the engine starts with no counts then.
func (e *Engine) Restore(saved []byte) error {
	byKey := make(map[string]*correlator)
	for _, k := range e.chains {
		byKey[k.rule.Key()] = k
		for k.oldest != nil {
			k.remove(k.oldest)
		}
	}
	var all savedState
	if err := json.Unmarshal(saved, &all); err != nil {
		return fmt.Errorf("read the state of correlations: %w", err)
	}
	if all.Version != stateVersion {
		return fmt.Errorf("read the state of correlations: it has version %d, not %d", all.Version, stateVersion)
	}
	for _, c := range all.Correlations {
		k := byKey[c.Key]
		for _, s := range c.Groups {
			if k == nil || k.rule.form() != c.Form || !k.restore(s) {
				e.counters.Dropped++
			}
		}
	}
	return nil
}

// restore takes one saved group, or says that it does not fit.
func (k *correlator) restore(s savedGroup) bool {
	if len(s.Times) == 0 || len(s.Times) > k.keep || len(s.Refs) > maxRefs || !slices.IsSorted(s.Times) ||
		len(s.Tags) > 0 && len(s.Tags) != len(s.Times) || len(k.groups) >= k.limits.Groups || k.marks+len(s.Times) > k.limits.Marks {
		return false
	}
	if len(s.Key) > (maxKeyValue+2)*maxGroupBy || k.groups[string(s.Key)] != nil {
		return false
	}
	g := &group{key: string(s.Key)}
	for i, at := range s.Times {
		m := mark{at: at}
		if len(s.Tags) > 0 {
			m.tag = s.Tags[i]
		}
		if (k.rule.Type == Temporal || k.rule.Type == TemporalOrdered) && m.tag >= uint64(len(k.rule.Rules)) {
			return false
		}
		g.marks = append(g.marks, m)
	}
	for _, r := range s.Refs {
		g.refs = append(g.refs, string(r[:min(len(r), maxRefBytes)]))
	}
	k.groups[g.key] = g
	k.link(g)
	k.marks += len(g.marks)
	return true
}
