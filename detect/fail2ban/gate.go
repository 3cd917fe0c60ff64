package fail2ban

import "strings"

// gate keeps lines from expressions that can't match them: each expression names texts of which one must stand in what it
// matches. A filter that looks at several lines at once has no gate.
type gate struct {
	open   bool // every line is looked at
	prefix needles
	fail   []needles
}

// needles are texts of which one must be there. None: nothing is known.
type needles struct {
	texts []string
	fold  bool // the texts are in lower case, and case does not matter
}

func newGate(f *Filter) *gate {
	g := &gate{open: f.maxLines > 1}
	if f.prefix != nil {
		g.prefix = literals(f.prefix)
	}
	if len(f.ignore) > 0 && len(f.ignore) < len(f.fail)-2 {
		g.open = true // ignored lines are told, whatever the failregexes say
	}
	for _, e := range f.fail {
		g.fail = append(g.fail, literals(e))
	}
	return g
}

func literals(e *expression) needles {
	texts, fold := e.re.Literals()
	return needles{texts: texts, fold: fold}
}

// in tells whether the text may match.
func (n needles) in(text string) bool {
	if len(n.texts) == 0 {
		return true
	}
	for _, needle := range n.texts {
		if n.fold && containsFold(text, needle) || !n.fold && strings.Contains(text, needle) {
			return true
		}
	}
	return false
}

// containsFold looks for a text in lower case, whatever the case of ASCII letters.
func containsFold(text, needle string) bool {
	if needle == "" {
		return true
	}
	low := needle[0]
	for i := 0; i+len(needle) <= len(text); i++ {
		c := text[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c == low && strings.EqualFold(text[i:i+len(needle)], needle) {
			return true
		}
	}
	return false
}

// closed tells that no expression can match the line.
func (g *gate) closed(line splitLine) bool {
	if g.open {
		return false
	}
	text := line.before + line.after + "\n"
	if !g.prefix.in(text) {
		return true
	}
	for i := range g.fail {
		if g.fail[i].in(text) {
			return false
		}
	}
	return true
}

// worth tells whether a failregex may match the text.
func (g *gate) worth(i int, text string) bool { return g.fail[i].in(text) }
