package facts

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Bounds of an sshd configuration: far above every real one.
const (
	maxSshdFiles   = 256    // read by Include, each time that it is included
	maxSshdDepth   = 16     // of Include, as sshd has it
	maxSshdLines   = 20_000 // directives
	maxSshdMatches = 200    // Match blocks
)

// sshdLine is one directive, and the Match blocks that it stands in: its own, and that which includes its file.
type sshdLine struct {
	keyword string // lower case, old names replaced
	args    []string
	origin  string
	when    []*sshdMatch // all of them have to match; none: it is global
}

// sshdMatch is one Match line.
type sshdMatch struct {
	text     string
	origin   string
	criteria []sshdCriterion // none: all
	outer    []*sshdMatch    // in which its file is included
}

type sshdCriterion struct {
	kind string // user, group, host, address, localaddress, localport, rdomain, invalid-user
	list string // patterns separated by commas
}

// sshdParser reads sshd_config and what it includes, in the order in which sshd does.
type sshdParser struct {
	h       *Host
	files   int
	lines   []sshdLine
	matches []*sshdMatch
}

// file reads one file. outer are the Match blocks in which it is included: a Match in it narrows them, and ends with it.
func (p *sshdParser) file(name string, outer []*sshdMatch, depth int) error {
	if p.files++; p.files > maxSshdFiles {
		return fmt.Errorf("%s: more than %d files are included", name, maxSshdFiles)
	}
	if depth > maxSshdDepth {
		return fmt.Errorf("%s: included more than %d deep", name, maxSshdDepth)
	}
	text, err := p.h.ReadFile(name)
	if err != nil {
		return err
	}
	when, n := outer, 0
	for line := range strings.Lines(string(text)) {
		n++
		origin := fmt.Sprintf("%s:%d", name, n)
		d, ok, err := splitSshd(line)
		if err != nil {
			return fmt.Errorf("%s: %w", origin, err)
		}
		if !ok {
			continue
		}
		d.origin, d.when = origin, when
		switch d.keyword {
		case "match":
			m, err := parseSshdMatch(d.args[0])
			if err != nil {
				return fmt.Errorf("%s: %w", origin, err)
			}
			m.origin, m.outer = origin, outer
			if p.matches = append(p.matches, m); len(p.matches) > maxSshdMatches {
				return fmt.Errorf("%s: more than %d Match blocks", origin, maxSshdMatches)
			}
			when = append(slices.Clip(outer), m)
		case "include":
			if err := p.include(d, when, depth); err != nil {
				return err
			}
		default:
			if err := p.valid(d); err != nil {
				return fmt.Errorf("%s: %w", origin, err)
			}
			if p.lines = append(p.lines, d); len(p.lines) > maxSshdLines {
				return fmt.Errorf("%s: more than %d directives", origin, maxSshdLines)
			}
		}
	}
	return nil
}

// valid refuses what sshd refuses, of the directives whose values decide who gets in: a configuration that is not taken
// says nothing of the sshd that runs.
func (p *sshdParser) valid(d sshdLine) error {
	flags := []string{"passwordauthentication", "kbdinteractiveauthentication", "pubkeyauthentication", "permitemptypasswords",
		"hostbasedauthentication", "gssapiauthentication", "kerberosauthentication", "usepam", "strictmodes", "usedns"}
	global := []string{"usepam", "strictmodes", "usedns", "port", "listenaddress", "addressfamily", "maxstartups",
		"persourcemaxstartups", "persourcenetblocksize", "logingracetime", "permituserenvironment"}
	value := sshdValue(d.keyword, d.args)
	switch {
	case len(d.when) > 0 && slices.Contains(global, d.keyword):
		return fmt.Errorf("%s stands in a Match block", d.keyword)
	case slices.Contains(flags, d.keyword) && value != "yes" && value != "no",
		d.keyword == "permitrootlogin" && !slices.Contains([]string{"yes", "no", "without-password", "forced-commands-only"}, value):
		return fmt.Errorf("%s has the value %q", d.keyword, value)
	case d.keyword == "authenticationmethods" && slices.Contains(d.args, "any"):
		if len(d.args) > 1 || slices.ContainsFunc(p.lines, func(o sshdLine) bool { return o.keyword == d.keyword && len(o.when) == 0 }) {
			return errors.New("any stands with other methods")
		}
	}
	return nil
}

func (p *sshdParser) include(d sshdLine, when []*sshdMatch, depth int) error {
	for _, pattern := range d.args {
		if !path.IsAbs(pattern) {
			pattern = path.Join("/etc/ssh", pattern)
		}
		names, err := p.h.Glob(pattern)
		if err != nil {
			return fmt.Errorf("%s: %w", d.origin, err)
		}
		for _, name := range names {
			// A file that goes away between the two is one that sshd does not find either.
			if err := p.file(name, when, depth+1); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// splitSshd reads one line. Match keeps its rest as one argument, because it is split by other rules.
func splitSshd(line string) (sshdLine, bool, error) {
	line = strings.TrimRight(line, " \t\r\n\f")
	keyword, rest := strdelim(strings.TrimLeft(line, " \t"))
	if keyword == "" || keyword[0] == '#' {
		return sshdLine{}, false, nil
	}
	d := sshdLine{keyword: sshdName(strings.ToLower(keyword))}
	if rest == "" {
		return d, false, fmt.Errorf("%s has no value", keyword)
	}
	if d.keyword == "match" {
		d.args = []string{rest}
		return d, true, nil
	}
	args, err := splitArgs(rest)
	if err != nil {
		return d, false, err
	}
	if len(args) == 0 {
		return d, false, fmt.Errorf("%s has no value", keyword)
	}
	d.args = args
	return d, true, nil
}

// strdelim cuts the first word off s, as sshd does: words end at white space or at one "=", and may stand in quotes.
func strdelim(s string) (word, rest string) {
	const space = " \t\r\n"
	if strings.HasPrefix(s, `"`) {
		word, rest, _ = strings.Cut(s[1:], `"`)
		return word, strings.TrimLeft(rest, space)
	}
	at := strings.IndexAny(s, space+"=")
	if at < 0 {
		return s, ""
	}
	word, rest = s[:at], strings.TrimLeft(s[at+1:], space)
	if s[at] != '=' && strings.HasPrefix(rest, "=") {
		rest = strings.TrimLeft(rest[1:], space)
	}
	return word, rest
}

// splitArgs splits a value into words, with quotes and escapes; "#" at a word's beginning ends it.
func splitArgs(s string) ([]string, error) {
	var args []string
	for i := 0; i < len(s); {
		if s[i] == ' ' || s[i] == '\t' {
			i++
			continue
		}
		if s[i] == '#' {
			break
		}
		var word strings.Builder
		quote := byte(0)
		for ; i < len(s); i++ {
			c := s[i]
			switch {
			case c == '\\' && i+1 < len(s) && (strings.IndexByte(`"'\`, s[i+1]) >= 0 || quote == 0 && s[i+1] == ' '):
				i++
				word.WriteByte(s[i])
				continue
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
				continue
			case quote != 0 && c == quote:
				quote = 0
				continue
			}
			if quote == 0 && (c == ' ' || c == '\t') {
				break
			}
			word.WriteByte(c)
		}
		if quote != 0 {
			return nil, errors.New("a quote is not closed")
		}
		args = append(args, word.String())
	}
	return args, nil
}

func parseSshdMatch(text string) (*sshdMatch, error) {
	m := &sshdMatch{text: "Match " + text}
	kinds := []string{"user", "group", "host", "address", "localaddress", "localport", "rdomain", "invalid-user"}
	n := 0
	for rest := text; rest != ""; n++ {
		var name, list string
		name, rest = strdelim(rest)
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "#") {
			break
		}
		if name == "all" {
			if next, _ := strdelim(rest); n > 0 || next != "" && next[0] != '#' {
				return nil, errors.New("in a Match line, all stands with other criteria")
			}
			return m, nil
		}
		if name == "invalid-user" {
			m.criteria = append(m.criteria, sshdCriterion{kind: name})
			continue
		}
		if list, rest = strdelim(rest); list == "" || list[0] == '#' {
			return nil, fmt.Errorf("the criterion %s of Match has no value", name)
		}
		if !slices.Contains(kinds, name) {
			return nil, fmt.Errorf("the criterion %s of Match is not known", name)
		}
		if name == "address" || name == "localaddress" {
			if _, err := matchAddresses("192.0.2.1", list); err != nil {
				return nil, err
			}
		}
		m.criteria = append(m.criteria, sshdCriterion{name, list})
	}
	if n == 0 {
		return nil, errors.New("a Match line has no criteria")
	}
	return m, nil
}

// sshdName gives old names of directives as what sshd calls them now.
func sshdName(keyword string) string {
	switch keyword {
	case "challengeresponseauthentication", "skeyauthentication":
		return "kbdinteractiveauthentication"
	case "dsaauthentication":
		return "pubkeyauthentication"
	case "pubkeyacceptedkeytypes":
		return "pubkeyacceptedalgorithms"
	case "hostbasedacceptedkeytypes":
		return "hostbasedacceptedalgorithms"
	}
	return keyword
}
