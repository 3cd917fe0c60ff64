package fail2ban

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/doorward/doorward/detect/fail2ban/pyre"
)

// What the tags of an expression stand for. The group of an address is named for its kind, as fail2ban's own names are; an
// expression may refer to them.
const (
	ip4Text    = `(?:::f{4,6}:)?(?P<ip4>(?:\d{1,3}\.){3}\d{1,3})`
	ip6Text    = `(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|::){1,7}(?:[0-9a-fA-F]{1,4}|(?<=:):))`
	dnsText    = `(?P<dns>[\w\-.^_]*\w)`
	cidrText   = `(?P<cidr>\d+)`
	addrText   = `\[?(?:` + ip4Text + `|` + ip6Text + `)\]?`
	hostText   = `(?:` + addrText + `|` + dnsText + `)`
	subnetText = `\[?(?:` + ip4Text + `|` + ip6Text + `)(?:/` + cidrText + `)?\]?`
)

// simpleTag is what a tag without an end stands for.
func simpleTag(name string) (string, bool) {
	switch name {
	case "IP4", "F-IP4/":
		return ip4Text, true
	case "IP6", "F-IP6/":
		return ip6Text, true
	case "ADDR", "F-ADDR/":
		return addrText, true
	case "CIDR", "F-CIDR/":
		return cidrText, true
	case "SUBNET", "F-SUBNET/":
		return subnetText, true
	case "DNS", "F-DNS/":
		return dnsText, true
	case "F-ID/":
		return `(?P<fid>\S+)`, true
	case "F-PORT/":
		return `(?P<fport>\w+)`, true
	}
	return "", false
}

// groupName is the name of the group for an F- tag.
func groupName(tag string) string {
	switch name := strings.ToLower(tag); name {
	case "id":
		return "fid"
	case "port":
		return "fport"
	default:
		return name
	}
}

// expression is one regular expression with the tags of fail2ban filled in.
type expression struct {
	text    string
	re      *pyre.Regexp
	names   []string    // of the groups by number; "" has none
	named   []int       // the groups that have one
	content int         // the group of <F-CONTENT>; 0: none
	alt     [][2]string // groups that stand in for another: alt_user_1 for user
	tuple   [][2]string // groups that are added to another
	tagged  []string    // the groups that F- tags made, other than addresses
}

var (
	tagText  = regexp.MustCompile(`</?[\pL\pN_\-]+/?>`)
	ownTag   = regexp.MustCompile(`^(/?)F-([A-Z0-9_\-]+)$`)
	standIn  = regexp.MustCompile(`^(alt_|tuple_)(.*?)(?:_\d+)?$`)
	flagOnly = regexp.MustCompile(`\((?:\?:)?(\(\?[a-z]+)\)`)
)

// fillExpression replaces the tags of an expression: <HOST>, <ADDR>, <F-USER>...</F-USER>, <SKIPLINES> and the others. A tag that
// is none of them stays. With names false <HOST> is an address and never a name.
func fillExpression(text string, names bool) (string, []string) {
	var tagged []string
	open := map[string]bool{}
	skips := 0
	add := func(name string) {
		if !slices.Contains(tagged, name) && !addressGroup(name) {
			tagged = append(tagged, name)
		}
	}
	filled := tagText.ReplaceAllStringFunc(text, func(tag string) string {
		name := tag[1 : len(tag)-1]
		switch {
		case name == "HOST" && names:
			return hostText
		case name == "HOST":
			return addrText
		case name == "SKIPLINES":
			skips++
			return fmt.Sprintf(`\n(?P<skiplines%d>(?:(?:.*\n)*?))`, skips-1)
		}
		if simple, ok := simpleTag(name); ok {
			if name == "F-ID/" || name == "F-PORT/" {
				add(groupName(strings.TrimSuffix(name[2:], "/")))
			}
			return simple
		}
		m := ownTag.FindStringSubmatch(name)
		switch {
		case m == nil:
			return tag
		case m[1] != "" && open[m[2]]:
			return ")"
		case m[1] != "":
			return tag
		}
		open[m[2]] = true
		add(groupName(m[2]))
		return "(?P<" + groupName(m[2]) + ">"
	})
	return localFlags(filled), tagged
}

// addressGroup tells whether a group holds an address, which is told as the host and not as a capture.
func addressGroup(name string) bool {
	switch name {
	case "ip4", "ip6", "dns", "cidr", "content":
		return true
	}
	return false
}

// localFlags makes ((?i)x) the local (?i:x), as fail2ban does; a bracket after a backslash is none.
func localFlags(text string) string {
	var out strings.Builder
	last := 0
	for _, m := range flagOnly.FindAllStringSubmatchIndex(text, -1) {
		if m[0] > 0 && text[m[0]-1] == '\\' {
			continue
		}
		out.WriteString(text[last:m[0]] + text[m[2]:m[3]] + ":")
		last = m[1]
	}
	return out.String() + text[last:]
}

// compileExpression fills the tags and compiles. lines: the expression meets several lines at once.
func compileExpression(text string, names, lines bool) (*expression, error) {
	filled, tagged := fillExpression(text, names)
	if strings.TrimLeftFunc(filled, isSpace) == "" {
		return nil, fmt.Errorf("the expression is empty")
	}
	re, err := pyre.Compile(filled, pyre.Options{MultiLine: lines})
	if err != nil {
		return nil, fmt.Errorf("expression %.80q: %w", text, err)
	}
	e := &expression{text: filled, re: re, names: re.Names(), tagged: tagged}
	for i, name := range e.names {
		if name != "" && i > 0 {
			e.named = append(e.named, i)
		}
		if name == "content" {
			e.content = i
		}
		m := standIn.FindStringSubmatch(name)
		if m == nil || len(name) <= len("alt_") {
			continue
		}
		pair := [2]string{name, groupName(m[2])}
		if m[1] == "alt_" {
			e.alt = append(e.alt, pair)
		} else {
			e.tuple = append(e.tuple, pair)
		}
	}
	order := func(a, b [2]string) int { return strings.Compare(a[0]+"\x00"+a[1], b[0]+"\x00"+b[1]) }
	slices.SortFunc(e.alt, order)
	slices.SortFunc(e.tuple, order)
	return e, nil
}

// has tells whether the expression has a group of one of these names.
func (e *expression) has(names ...string) bool {
	return e != nil && slices.ContainsFunc(names, func(n string) bool { return slices.Contains(e.names, n) })
}

// fields are the named groups of a match, those that took no part with set false.
// memory may be those of another match, which are overwritten.
func (e *expression) fields(m *pyre.Match, memory fields) fields {
	all := memory[:0]
	for _, i := range e.named {
		v, ok := m.Group(i)
		all = append(all, field{name: e.names[i], value: v, set: ok})
	}
	for _, pair := range e.alt {
		if v, _ := all.get(pair[0]); v != "" {
			if old, _ := all.get(pair[1]); old == "" {
				all.put(pair[1], v)
			}
		}
	}
	for _, pair := range e.tuple {
		v, _ := all.get(pair[0])
		all.extend(pair[1], v)
	}
	return all
}

// skipped are the lines that <SKIPLINES> passed.
func (e *expression) skipped(m *pyre.Match) []string {
	var text strings.Builder
	for n := 0; slices.Contains(e.names, fmt.Sprintf("skiplines%d", n)); n++ {
		v, _ := m.Named(fmt.Sprintf("skiplines%d", n))
		text.WriteString(v)
	}
	if text.Len() == 0 {
		return nil
	}
	return splitLines(text.String())
}

// splitLines cuts a text at every line end that Python's splitlines knows.
func splitLines(text string) []string {
	var all []string
	text = strings.ReplaceAll(text, "\r\n", "\n")
	start := 0
	for i, r := range text {
		switch r {
		case '\n', '\r', '\v', '\f', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029:
			all = append(all, text[start:i])
			start = i + len(string(r))
		}
	}
	if start < len(text) {
		all = append(all, text[start:])
	}
	return all
}
