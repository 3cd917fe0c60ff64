package fail2ban

import (
	"fmt"
	"strings"
)

// nextTag is the first <NAME> in text at or after from: no space and no angle bracket within.
func nextTag(text string, from int) (start, end int, found bool) {
	start = -1
	for i := from; i < len(text); i++ {
		switch text[i] {
		case '<':
			start = i
		case ' ':
			start = -1
		case '>':
			if start >= 0 && i > start+1 {
				return start, i + 1, true
			}
			start = -1
		}
	}
	return 0, 0, false
}

// tagFiller replaces <NAME> in options by other options.
type tagFiller struct {
	options *dict
	ignore  map[string]bool
	more    func(name string) (string, bool, error) // what no option of the file names
	counts  map[string]map[string]int
}

// fillTags replaces the tags in all options, again and again until none is left that can be. An option that contains itself is an
// error, and so is one that grows too long.
func fillTags(options *dict, ignore map[string]bool, more func(string) (string, bool, error)) (*dict, error) {
	t := &tagFiller{options: options.clone(), ignore: ignore, more: more, counts: map[string]map[string]int{}}
	done := map[string]bool{}
	for again := true; again; {
		again = false
		for _, name := range t.options.keys {
			if ignore[name] || done[name] {
				continue
			}
			old := t.options.values[name]
			value, counts, err := t.fill(name, old)
			if err != nil {
				return nil, err
			}
			if value != old {
				if _, _, left := nextTag(value, 0); left {
					t.counts[name] = counts
					again = true
				}
				t.options.values[name] = value
			}
			if !strings.Contains(value, "<") {
				done[name] = true
			}
		}
	}
	return t.options, nil
}

// fill replaces the tags in one option and counts them.
func (t *tagFiller) fill(name, value string) (string, map[string]int, error) {
	counts := t.counts[name]
	if counts == nil {
		counts = map[string]int{}
	}
	start, end, found := nextTag(value, 0)
	for found {
		tag := value[start+1 : end-1]
		if t.ignore[tag] {
			start, end, found = nextTag(value, end)
			continue
		}
		if tag == name || counts[tag] > maxRepeats {
			return "", nil, fmt.Errorf("option %q: <%s> contains itself", name, tag)
		}
		text, ok := t.options.get(tag)
		if !ok {
			var err error
			if text, ok, err = t.more(tag); err != nil {
				return "", nil, err
			}
		}
		if !ok {
			start, end, found = nextTag(value, end) // <HOST> and the like, which are filled later
			continue
		}
		value = strings.ReplaceAll(value, "<"+tag+">", text)
		if len(value) > maxValue {
			return "", nil, fmt.Errorf("option %q is longer than %d bytes", name, maxValue)
		}
		counts[tag]++
		start, end, found = nextTag(value, start)
	}
	return value, counts, nil
}
