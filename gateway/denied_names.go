package gateway

import "strings"

// nameRules are the names that no segment of a path may have, wherever in it: repositories, settings and copies of
// programs that somebody left lying about. They are immutable.
type nameRules struct {
	exact    map[string]bool
	patterns []namePattern
	except   []string // paths whose segments are names that people chose, as written
}

// namePattern is a name with one *: it begins and ends like this.
type namePattern struct{ prefix, suffix string }

func newNameRules(app *App) *nameRules {
	n := &nameRules{exact: make(map[string]bool), except: app.AttachmentPaths}
	for _, name := range app.DenyNames {
		prefix, suffix, wild := strings.Cut(strings.ToLower(name), "*")
		if wild {
			n.patterns = append(n.patterns, namePattern{prefix, suffix})
		} else {
			n.exact[prefix] = true
		}
	}
	return n
}

// deny tells whether a segment of the path, by any reading, has such a name.
func (n *nameRules) deny(path canonicalPath) bool {
	if len(n.exact)+len(n.patterns) == 0 {
		return false
	}
	found := n.denyReading(path.folded)
	for _, other := range path.others {
		found = found || n.denyReading(other.folded)
	}
	return found && !path.under(n.except)
}

func (n *nameRules) denyReading(folded string) bool {
	for segment := range strings.SplitSeq(folded, "/") {
		if segment == "" {
			continue
		}
		if n.exact[segment] {
			return true
		}
		for _, p := range n.patterns {
			if len(segment) > len(p.prefix)+len(p.suffix) && strings.HasPrefix(segment, p.prefix) && strings.HasSuffix(segment, p.suffix) {
				return true
			}
		}
	}
	return false
}

// denyNameProblem says what is wrong with a name of a folder's deny_names, or nothing.
func denyNameProblem(name string) string {
	bare := strings.Replace(name, "*", "", 1)
	switch {
	case name == "":
		return "an item has no name"
	case strings.Contains(bare, "*"):
		return "name \"" + name + "\" has more than one *"
	case len(bare) < 2:
		return "name \"" + name + "\" would deny nearly everything; write at least two letters beside the *"
	case strings.ContainsAny(bare, "/?#%\\;") || strings.ContainsFunc(bare, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "name \"" + name + "\" is not plain: write one segment of a path, decoded"
	case strings.HasPrefix(".well-known", strings.ToLower(bare)) && strings.HasSuffix(name, "*"):
		return "name \"" + name + "\" would deny .well-known, by which certificates are proven (RFC 8615)"
	}
	return ""
}
