package fail2ban

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/detect/fail2ban/pyre"
)

// hit is a match and the lines that it covers.
type hit struct {
	match              *pyre.Match
	matched, unmatched []splitLine
}

// search runs an expression on what is searched now. Not found: no match, or it took too long, which is noted.
func (r *run) search(e *expression, memory *pyre.Match) (hit, bool) {
	return r.searchIn(e, memory, r.text, r.lines)
}

func (r *run) searchIn(e *expression, memory *pyre.Match, text string, lines []splitLine) (hit, bool) {
	found, err := e.re.SearchWithin(&r.f.budget, memory, text, 0)
	if err != nil {
		if errors.Is(err, pyre.ErrTimeout) {
			r.f.Count.Timeouts++
		}
		r.err = fmt.Errorf("filter %s: %w", r.f.name, err)
		return hit{}, false
	}
	if !found {
		return hit{}, false
	}
	if len(lines) <= 1 {
		return hit{match: memory, matched: lines}, true
	}
	return cover(e, memory, text, lines), true
}

// cover finds the lines that a match covers, without those that it skipped.
func cover(e *expression, m *pyre.Match, text string, lines []splitLine) hit {
	start, end := m.Span(0)
	from := strings.LastIndexByte(text[:min(start+1, len(text))], '\n') + 1
	to, last := len(text), end-1
	if last < 0 {
		last = len(text) - 1 // an empty match at the start covers all, as in fail2ban
	}
	if i := strings.IndexByte(text[last:], '\n'); i >= 0 {
		to = last + i + 1
	}
	first := min(strings.Count(text[:from], "\n"), len(lines))
	end = min(strings.Count(text[:to], "\n"), len(lines))
	h := hit{match: m}
	if first < end {
		h.matched = append(h.matched, lines[first:end]...)
	}
	h.unmatched = append(h.unmatched, lines[:first]...)
	n := 0
	for _, skipped := range e.skipped(m) {
		for i := n; i < len(h.matched); i++ {
			if h.matched[i].before+h.matched[i].after != skipped {
				continue
			}
			h.unmatched = append(h.unmatched, h.matched[i])
			h.matched = append(h.matched[:i:i], h.matched[i+1:]...)
			n = i
			break
		}
	}
	h.unmatched = append(h.unmatched, lines[end:]...)
	return h
}

// ignored tells whether an ignoreregex matches what a failregex matched, or the line when none did yet.
func (r *run) ignored(m *hit) bool {
	searched, lines := r.text, r.lines
	if m != nil && r.f.maxLines > 1 {
		lines = m.matched
		searched = text(lines)
	}
	for _, e := range r.f.ignore {
		var memory pyre.Match // that of the failregex is still needed
		if _, ok := r.searchIn(e, &memory, searched, lines); !ok {
			continue
		}
		if m != nil {
			r.f.buffer, r.fresh = m.unmatched, false
		}
		return true
	}
	return false
}

// judge makes a result of a match. done is false when it named nobody and the next expression is to be tried.
func (r *run) judge(i int, e *expression, m *hit, before fields) (done bool, result Result) {
	result.Regex = i
	r.f.scratch[1] = e.fields(m.match, r.f.scratch[1])
	found := r.f.scratch[1]
	if len(before) > 0 {
		all := append(r.f.scratch[2][:0], before...)
		all.cover(found)
		r.f.scratch[2], found = all, all
	}
	c := &r.f.now
	*c = connection{fields: found}
	id, known := found.get("mlfid")
	if known {
		c = r.connect(id, c, m)
		if v, _ := c.fields.get("nofail"); v != "" {
			result.NoFail = true
			return true, result
		}
	} else if !r.f.options.NoCaptures {
		c.lines.add(m.matched)
	}
	host, v6, raw := c.host()
	fid, hasID := c.fields.get("fid")
	switch {
	case host == "" && !hasID && !known && !c.named():
		r.f.Count.Nameless++
		return false, result
	case host == "" && !c.named() && !hasID:
		c.pending = true
		result.NoFail = true
		return true, result
	case !c.named():
		host, raw = fid, true
	}
	r.name(&result, c, host, fid, hasID, v6, raw)
	result.Match = true
	result.Time = r.date
	r.captures(&result, c)
	return true, result
}

// name fills in whom a failure is of.
func (r *run) name(result *Result, c *connection, host, fid string, hasID, v6, raw bool) {
	result.Host, result.ID = host, host
	if !raw {
		length, _ := c.fields.get("cidr")
		result.Host, result.Prefix = address(host, length, v6)
		result.ID = result.Host
	}
	if hasID && fid != host {
		result.ID = fid
	}
}

// captureNames are the names that captures can have: the F- tags, and what others stand in for.
func captureNames(all []*expression) []string {
	var names []string
	add := func(name string) {
		if !addressGroup(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, e := range all {
		if e == nil {
			continue
		}
		for _, name := range e.tagged {
			add(name)
		}
		for _, pair := range slices.Concat(e.alt, e.tuple) {
			add(pair[1])
		}
	}
	return names
}

// captures tells the lines, and the named parts that the filter's F- tags found.
func (r *run) captures(result *Result, c *connection) {
	if r.f.options.NoCaptures {
		return
	}
	result.Lines = c.lines[:len(c.lines):len(c.lines)] // they are added to, never changed
	result.Captures = make([]Capture, 0, 4)
	for _, name := range r.f.tags {
		if v, ok := c.fields.get(name); ok {
			result.Captures = append(result.Captures, Capture{Name: name, Value: v})
		}
	}
}

// evidence is lines that are kept, cut and capped.
type evidence []string

func (e *evidence) add(lines []splitLine) {
	for _, l := range lines {
		if len(*e) >= maxEvidence {
			*e = append((*e)[:0:0], (*e)[1:]...)
		}
		text := l.whole()
		if len(text) > maxEvidenceLine {
			text = strings.Clone(strings.ToValidUTF8(text[:maxEvidenceLine], ""))
		}
		*e = append(*e, text)
	}
}

// join adds other lines.
func (e *evidence) join(other evidence) {
	*e = append(*e, other...)
	if n := len(*e) - maxEvidence; n > 0 {
		*e = append((*e)[:0:0], (*e)[n:]...)
	}
}

// expired tells whether a connection that was first seen then is forgotten by now.
func expired(first, now time.Time) bool { return !now.Before(first.Add(connectionLife)) }
