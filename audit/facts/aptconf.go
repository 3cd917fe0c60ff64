package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

const (
	maxAptNodes = 20_000
	maxAptDepth = 50
)

// aptConf is apt's configuration: a tree whose names are read in any case (apt.conf(5)).
type aptConf struct {
	root  aptNode
	nodes int
}

// aptNode is one name with its value and what stands under it. Items of lists have no name.
type aptNode struct {
	name     string
	value    Setting
	children []*aptNode
	named    map[string]*aptNode // by lower-case name
}

// errAptSyntax is what apt itself refuses a file for.
var errAptSyntax = errors.New("syntax error")

// at walks to a name such as APT::Periodic::Enable and makes what is not there; a last "::" makes a new item of the list.
func (c *aptConf) at(from *aptNode, name string) (*aptNode, error) {
	n := from
	for part := range strings.SplitSeq(name, "::") {
		next := n.named[strings.ToLower(part)]
		if part == "" || next == nil {
			if c.nodes++; c.nodes > maxAptNodes {
				return nil, fmt.Errorf("more than %d names", maxAptNodes)
			}
			next = &aptNode{name: part}
			n.children = append(n.children, next)
			if part != "" {
				if n.named == nil {
					n.named = map[string]*aptNode{}
				}
				n.named[strings.ToLower(part)] = next
			}
		}
		n = next
	}
	return n, nil
}

// find walks to a name; nil when it is not there.
func (c *aptConf) find(name string) *aptNode {
	n := &c.root
	for part := range strings.SplitSeq(name, "::") {
		if n = n.named[strings.ToLower(part)]; n == nil {
			return nil
		}
	}
	return n
}

// get is the value of a name, or fallback with the origin "default".
func (c *aptConf) get(name, fallback string) Setting {
	if n := c.find(name); n != nil && n.value.Value != "" {
		return n.value
	}
	return Setting{fallback, "default"}
}

// list is the values of a list's items, and of names that stand in it.
func (c *aptConf) list(name string) (all []Setting) {
	n := c.find(name)
	if n == nil {
		return nil
	}
	for _, child := range n.children {
		if child.value.Value != "" {
			all = append(all, child.value)
		}
	}
	return all
}

// clear empties a name and all under it; with a value, it removes the items of the list that have it.
func (c *aptConf) clear(name, value string) {
	n := c.find(strings.TrimSuffix(name, "::"))
	if n == nil {
		return
	}
	if value == "" {
		n.value, n.children, n.named = Setting{}, nil, nil
		return
	}
	kept := n.children[:0]
	for _, child := range n.children {
		if child.name == "" && child.value.Value == value {
			continue
		}
		kept = append(kept, child)
	}
	n.children = kept
}

// aptToken is a word, a quoted text, or one of ; { }.
type aptToken struct {
	text   string
	quoted bool
	line   int
}

// aptTokens takes a file apart. Comments are //, # and /* */, save #clear and #include.
func aptTokens(text string) (tokens []aptToken, err error) {
	line := 1
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '\n':
			line++
			i++
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case c == ';' || c == '{' || c == '}':
			tokens = append(tokens, aptToken{string(c), false, line})
			i++
		case strings.HasPrefix(text[i:], "/*"):
			end := strings.Index(text[i:], "*/")
			if end < 0 {
				return tokens, nil
			}
			line += strings.Count(text[i:i+end], "\n")
			i += end + 2
		case strings.HasPrefix(text[i:], "//"), c == '#' && !aptDirective(text[i:]):
			end := strings.IndexByte(text[i:], '\n')
			if end < 0 {
				return tokens, nil
			}
			i += end
		case c == '"':
			end := strings.IndexAny(text[i+1:], "\"\n")
			if end < 0 || text[i+1+end] == '\n' {
				return nil, fmt.Errorf("line %d: %w: a quote is not closed", line, errAptSyntax)
			}
			tokens = append(tokens, aptToken{text[i+1 : i+1+end], true, line})
			i += end + 2
		default:
			end := strings.IndexAny(text[i:], " \t\r\n;{}\"")
			if end < 0 {
				end = len(text) - i
			}
			tokens = append(tokens, aptToken{text[i : i+end], false, line})
			i += end
		}
	}
	return tokens, nil
}

func aptDirective(text string) bool {
	return strings.HasPrefix(text, "#clear") || strings.HasPrefix(text, "#include")
}

// parse reads one file into the tree. include reads what the file includes; nil ignores it.
func (c *aptConf) parse(text, origin string, include func(name string) error) error {
	tokens, err := aptTokens(text)
	if err != nil {
		return fmt.Errorf("%s: %w", origin, err)
	}
	scopes := []*aptNode{&c.root}
	for i := 0; i < len(tokens); {
		scope := scopes[len(scopes)-1]
		if t := tokens[i]; !t.quoted && t.text == "}" {
			if len(scopes) == 1 {
				return fmt.Errorf("%s:%d: %w: a brace too many", origin, t.line, errAptSyntax)
			}
			scopes = scopes[:len(scopes)-1]
			i++
			continue
		}
		begin := i
		for i < len(tokens) && (tokens[i].quoted || !strings.Contains(";{}", tokens[i].text)) {
			i++
		}
		if i == len(tokens) {
			return fmt.Errorf("%s: %w: the last statement has no end", origin, errAptSyntax)
		}
		opened, err := c.statement(scope, tokens[begin:i], origin, tokens[i].text == "{", include)
		if err != nil {
			return err
		}
		switch tokens[i].text {
		case "{":
			if len(scopes) == maxAptDepth {
				return fmt.Errorf("%s:%d: scopes nest deeper than %d", origin, tokens[i].line, maxAptDepth)
			}
			scopes = append(scopes, opened)
			i++
		case ";":
			i++
		}
	}
	if len(scopes) > 1 {
		return fmt.Errorf("%s: %w: a scope is not closed", origin, errAptSyntax)
	}
	return nil
}

// statement takes the words before ; or { into scope.
func (c *aptConf) statement(scope *aptNode, words []aptToken, origin string, opens bool, include func(string) error) (*aptNode, error) {
	if len(words) == 0 { // the ; behind a }, or a nameless scope
		if opens {
			return c.at(scope, "")
		}
		return scope, nil
	}
	var name, value string
	for i, w := range words {
		if i == 0 && !w.quoted {
			name = w.text
		} else {
			value = w.text
		}
	}
	from := Setting{value, fmt.Sprintf("%s:%d", origin, words[len(words)-1].line)}
	switch strings.ToLower(name) {
	case "#clear":
		target := words[1:]
		if len(target) == 0 {
			return scope, nil
		}
		second := ""
		if len(target) > 1 {
			second = target[1].text
		}
		c.clear(target[0].text, second)
		return scope, nil
	case "#include":
		if include == nil {
			return scope, nil
		}
		return scope, include(value)
	}
	n, err := c.at(scope, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	if len(words) > 1 || words[0].quoted || !opens {
		n.value = from
	}
	return n, nil
}

var aptFileName = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)

// readAptConf reads the host's files in apt's order: apt.conf.d by name, then apt.conf. It tells files that apt refuses.
func readAptConf(h *Host) (*aptConf, error) {
	c := &aptConf{}
	names, err := h.Glob("/etc/apt/apt.conf.d/*")
	if err != nil {
		return nil, err
	}
	depth := 0
	var read func(name string) error
	read = func(name string) error {
		text, err := h.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if depth++; depth > 10 {
			return fmt.Errorf("%s: files include each other deeper than 10", name)
		}
		defer func() { depth-- }()
		return c.parse(string(text), name, read)
	}
	for _, name := range append(names, "/etc/apt/apt.conf") {
		base := path.Base(name)
		if ending := path.Ext(base); base != "apt.conf" && ending != "" && ending != ".conf" || !aptFileName.MatchString(base) {
			continue
		}
		if info, err := h.Stat(name); err == nil && !info.Mode().IsRegular() {
			continue
		}
		if err := read(name); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// askApt asks apt-config for what apt itself reads, its built-in settings too, and takes the origins from the files.
func askApt(ctx context.Context, h *Host, files *aptConf) (*aptConf, error) {
	out, err := h.Run(ctx, "/usr/bin/apt-config", "dump")
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("apt-config dump: %s", strings.TrimSpace(string(out.Stderr)))
	}
	if err != nil {
		return nil, err
	}
	asked := &aptConf{}
	if err := asked.parse(string(out.Stdout), "apt-config dump", nil); err != nil {
		return nil, err
	}
	var locate func(n, of *aptNode, depth int)
	locate = func(n, of *aptNode, depth int) {
		n.value.Origin = "apt-config dump"
		if of.value.Value == n.value.Value && of.value.Origin != "" {
			n.value.Origin = of.value.Origin
		}
		item := 0
		for _, child := range n.children {
			if other := of.named[strings.ToLower(child.name)]; child.name != "" && other != nil {
				locate(child, other, depth+1)
			} else if child.name == "" {
				for item < len(of.children) && of.children[item].name != "" {
					item++
				}
				if item < len(of.children) {
					locate(child, of.children[item], depth+1)
					item++
				}
			}
		}
	}
	locate(&asked.root, &files.root, 0)
	return asked, nil
}
