package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
)

// maxSshdRuns bounds how often sshd -T is asked; the files say the rest.
const maxSshdRuns = 24

// Sshd is what the OpenSSH server lets whom do. The facts are those of its configuration, for every kind of client that
// its Match blocks and AllowUsers tell apart: with a program to ask, as sshd -T answers, else as the files are evaluated.
type Sshd struct {
	Installed bool   `cel:"installed"`
	Version   string `cel:"version"` // of the package; empty when dpkg does not know it
	Source    string `cel:"source"`  // "sshd -T", or why it was not asked
	// Effective are, by directive in lower case (permitrootlogin), its distinct values with the first client that has each.
	// With sshd -T all directives are there, else those with a default that sshdDefaults knows, and those that are set.
	Effective map[string][]SshdValue `cel:"effective"`
	// Contexts are the kinds of clients. Where sshd treats several alike, one stands for them.
	Contexts []SshdContext `cel:"contexts"`
	// Root is what holds for root, and for other accounts of user id 0.
	Root []SshdRoot `cel:"root"`
	// Methods are the ways in: each list of methods that together let a client in, for the first context that has it.
	Methods []SshdMethod `cel:"methods"`
	Listen  []SshdListen `cel:"listen"`
	Origin  string       `cel:"origin"` // the configuration file
}

// SshdValue is one value of a directive.
type SshdValue struct {
	Value   string `cel:"value"`
	Context string `cel:"context"` // whom it holds for
	Origin  string `cel:"origin"`
}

// SshdContext is one kind of client.
type SshdContext struct {
	Name    string   `cel:"name"`    // the Match blocks that hold for it, and the client that was asked for
	User    string   `cel:"user"`    // "anybody" is one that no pattern names
	Address string   `cel:"address"` // of the client
	Admin   bool     `cel:"admin"`   // the address is one that administrators come from, see Config.AdminNetworks
	Allowed bool     `cel:"allowed"` // AllowUsers and its like, PermitRootLogin and the methods let it in if it can prove who it is
	Blocks  []string `cel:"blocks"`  // the Match lines that hold
	Origin  string   `cel:"origin"`  // of the last of them, or the configuration file
}

// SshdRoot is what PermitRootLogin comes to for root from some address.
type SshdRoot struct {
	Value   string `cel:"value"`   // yes, no, without-password, forced-commands-only
	Allowed bool   `cel:"allowed"` // false where it is no, or where AllowUsers and its like keep root out
	Context string `cel:"context"`
	Origin  string `cel:"origin"`
}

// SshdMethod is a list of authentication methods that suffices.
type SshdMethod struct {
	Methods  string `cel:"methods"`  // publickey, or publickey,password
	Password bool   `cel:"password"` // nothing but what can be guessed: password and keyboard-interactive
	PAM      bool   `cel:"pam"`      // keyboard-interactive is among them, so that PAM may ask for a further factor
	// Factors are how many different ones: a key, its own PIN, a password. What PAM asks counts as the password.
	Factors int    `cel:"factors"`
	Context string `cel:"context"`
	Origin  string `cel:"origin"` // the directive that allows it
}

// SshdListen is one address that sshd listens on.
type SshdListen struct {
	Address string `cel:"address"` // 0.0.0.0 and :: are every address
	Port    int    `cel:"port"`
	Admin   bool   `cel:"admin"` // only administrators' networks reach it: a loopback address, or one in Config.AdminNetworks
	Origin  string `cel:"origin"`
}

func collectSshd(ctx context.Context, h *Host, t Target) (Sshd, []Missing) {
	s := Sshd{Effective: map[string][]SshdValue{}}
	program := h.Look("/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd")
	if program == "" {
		if other := h.Look("/usr/sbin/dropbear", "/usr/local/sbin/dropbear"); other != "" {
			return s, missing("%s serves SSH, and only OpenSSH is known", other)
		}
		return s, nil
	}
	s.Installed = true
	var err error
	if s.Version, err = packageVersion(h, "openssh-server"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, missing("%s", because(err))
	}
	options, err := readSshdOptions(h)
	if err != nil {
		return s, missing("%s", because(err))
	}
	s.Origin = options.file
	p := &sshdParser{h: h}
	if err := p.file(options.file, nil, 0); err != nil {
		return s, missing("%s", because(err))
	}
	if err := s.evaluate(ctx, h, t, p, sshdAsker{h: h, program: program, options: options}); err != nil {
		return s, missing("%s", because(err))
	}
	return s, nil
}

// evaluate finds out what holds for every kind of client.
func (s *Sshd) evaluate(ctx context.Context, h *Host, t Target, p *sshdParser, ask sshdAsker) error {
	users, err := readPasswd(h)
	if err != nil {
		return err
	}
	groups, err := readGroups(h)
	if err != nil {
		return err
	}
	version := openSSHVersion(s.Version)
	defaults, lines := sshdDefaults(version), lastCounts(slices.Concat(ask.options.lines, p.lines), version)
	if ask.options.port {
		lines = slices.DeleteFunc(lines, func(d sshdLine) bool {
			return d.keyword == "port" && !slices.ContainsFunc(ask.options.lines, func(o sshdLine) bool { return o.origin == d.origin })
		})
	}
	base := evaluateSshd(lines, defaults, sshdClient{})
	patterns := patternsOf(p)
	if patterns.directory, err = usesDirectory(h); err != nil {
		return err
	}
	clients, err := sshdClients(patterns, users, groups, base, t)
	if err != nil {
		return err
	}
	if err := ask.begin(ctx); err != nil {
		return err
	}
	for _, l := range sshdListens(base) {
		l.Admin = t.admin(l.Address)
		s.Listen = append(s.Listen, l)
	}
	for _, c := range clients {
		set := evaluateSshd(lines, defaults, c)
		blocks := p.holding(c)
		if err := ask.refine(ctx, c, blocks, &set); err != nil {
			return err
		}
		s.add(c, blocks, set, t)
	}
	s.Source = ask.source
	return nil
}

// holding lists the Match blocks that hold for c.
func (p *sshdParser) holding(c sshdClient) []*sshdMatch {
	return slices.DeleteFunc(slices.Clone(p.matches), func(m *sshdMatch) bool {
		return !m.matches(c) || slices.ContainsFunc(m.outer, func(o *sshdMatch) bool { return !o.matches(c) })
	})
}

// add takes up what holds for one client.
func (s *Sshd) add(c sshdClient, blocks []*sshdMatch, set sshdSet, t Target) {
	context := SshdContext{User: c.user, Address: c.address, Admin: t.admin(c.address), Origin: s.Origin}
	for _, m := range blocks {
		context.Blocks = append(context.Blocks, m.text)
		context.Origin = m.origin
	}
	context.Name = fmt.Sprintf("%s from %s", c.user, c.address)
	if c.host != c.address {
		context.Name += " (" + c.host + ")"
	}
	if len(blocks) > 0 {
		context.Name += " (" + strings.Join(context.Blocks, "; ") + ")"
	}
	for keyword, v := range set.values {
		value := SshdValue{v.Value, context.Name, v.Origin}
		if keyword == "permitrootlogin" && !c.root {
			continue // it says nothing of others
		}
		if !slices.ContainsFunc(s.Effective[keyword], func(o SshdValue) bool {
			return o.Value == v.Value && (o.Origin == v.Origin || strings.HasPrefix(o.Origin, "sshd -T") && strings.HasPrefix(v.Origin, "sshd -T"))
		}) {
			s.Effective[keyword] = append(s.Effective[keyword], value)
		}
	}
	methods := set.methods(c)
	admitted := set.admits(c)
	context.Allowed = admitted && len(methods) > 0
	if c.root {
		v := set.values["permitrootlogin"]
		root := SshdRoot{v.Value, context.Allowed, context.Name, v.Origin}
		if !slices.ContainsFunc(s.Root, func(o SshdRoot) bool {
			return o.Value == root.Value && o.Origin == root.Origin && o.Allowed == root.Allowed
		}) {
			s.Root = append(s.Root, root)
		}
	}
	s.Contexts = append(s.Contexts, context)
	if !admitted {
		return
	}
	for _, m := range methods {
		m.Context = context.Name
		if !slices.ContainsFunc(s.Methods, func(o SshdMethod) bool { return o.Methods == m.Methods && o.Origin == m.Origin }) {
			s.Methods = append(s.Methods, m)
		}
	}
}

// methods are the lists of methods that let c in.
func (s sshdSet) methods(c sshdClient) []SshdMethod {
	enabled := map[string]Setting{}
	enable := func(method, keyword string) {
		if s.yes(keyword) {
			enabled[method] = s.values[keyword]
		}
	}
	enable("publickey", "pubkeyauthentication")
	enable("password", "passwordauthentication")
	enable("hostbased", "hostbasedauthentication")
	enable("gssapi-with-mic", "gssapiauthentication")
	if s.yes("usepam") { // without PAM there is nothing that would ask
		enable("keyboard-interactive", "kbdinteractiveauthentication")
	}
	lists := s.lists["authenticationmethods"]
	every := len(lists) == 0 || len(lists) == 1 && lists[0] == "any"
	if every {
		lists = []string{"publickey", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic"}
	}
	if c.root {
		switch s.value("permitrootlogin") {
		case "no":
			return nil
		case "without-password", "forced-commands-only":
			delete(enabled, "password")
			delete(enabled, "keyboard-interactive")
		}
	}
	var all []SshdMethod
	for _, list := range lists {
		m, kinds, ok := SshdMethod{Methods: list, Password: true}, map[string]bool{}, true
		for name := range strings.SplitSeq(list, ",") {
			name, _, _ = strings.Cut(name, ":")
			setting, on := enabled[name]
			ok = ok && on
			m.Origin = setting.Origin
			m.PAM = m.PAM || name == "keyboard-interactive"
			m.Password = m.Password && (name == "password" || name == "keyboard-interactive")
			switch name {
			case "keyboard-interactive":
				kinds["password"] = true // as a rule PAM asks for the same one
			case "hostbased": // it says nothing of the person
			default:
				kinds[name] = true
			}
			if name == "publickey" && strings.Contains(s.value("pubkeyauthoptions"), "verify-required") {
				kinds["the key's own PIN"] = true
			}
		}
		if !every {
			m.Origin = s.values["authenticationmethods"].Origin
		}
		if m.Factors = len(kinds); ok {
			all = append(all, m)
		}
	}
	return all
}

// sshdListens are the addresses that ListenAddress, Port and AddressFamily come to.
func sshdListens(base sshdSet) []SshdListen {
	var all []SshdListen
	origin := base.values["listenaddress"].Origin
	addresses := base.lists["listenaddress"]
	if len(addresses) == 0 {
		origin = base.values["port"].Origin
		switch base.value("addressfamily") {
		case "inet":
			addresses = []string{"0.0.0.0"}
		case "inet6":
			addresses = []string{"::"}
		default:
			addresses = []string{"0.0.0.0", "::"}
		}
	}
	for i := 0; i < len(addresses); i++ {
		if addresses[i] == "rdomain" { // "ADDRESS rdomain NAME"
			i++
			continue
		}
		address, port, err := net.SplitHostPort(addresses[i])
		ports := []string{port}
		if err != nil || port == "" {
			address, ports = strings.Trim(addresses[i], "[]"), base.lists["port"]
		}
		for _, port := range ports {
			n, _ := strconv.Atoi(port) // a service's name is 0: the number is not known
			all = append(all, SshdListen{Address: address, Port: n, Origin: origin})
		}
	}
	return all
}

// sshdOptions are what the service starts sshd with.
type sshdOptions struct {
	file  string
	lines []sshdLine // -o and -p
	port  bool       // -p was given: Port of the file does not count
	args  []string
}

// readSshdOptions reads SSHD_OPTS, which Debian's unit and init script pass to sshd: what it sets wins over the files.
func readSshdOptions(h *Host) (sshdOptions, error) {
	const name = "/etc/default/ssh"
	o := sshdOptions{file: "/etc/ssh/sshd_config"}
	text, err := h.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return o, err
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "SSHD_OPTS=")
		if !ok {
			continue
		}
		if words, err := splitArgs(value); err == nil && len(words) == 1 {
			value = words[0]
		}
		o = sshdOptions{file: "/etc/ssh/sshd_config"} // the last line counts
		if err := o.read(strings.Fields(value), fmt.Sprintf("%s:%d", name, n)); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (o *sshdOptions) read(words []string, origin string) error {
	for i := 0; i < len(words); i++ {
		flag, value := words[i], ""
		if len(flag) < 2 || flag[0] != '-' || !strings.ContainsRune("ofp", rune(flag[1])) {
			continue
		}
		if value = flag[2:]; value == "" && i+1 < len(words) {
			i++
			value = words[i]
		}
		switch flag[1] {
		case 'f':
			if !path.IsAbs(value) {
				return fmt.Errorf("%s: -f %s is no absolute path", origin, value)
			}
			o.file = value
			continue
		case 'p':
			o.port, value = true, "Port "+value
		}
		d, ok, err := splitSshd(value)
		if err != nil || !ok || d.keyword == "match" || d.keyword == "include" {
			return fmt.Errorf("%s: the option %q cannot be read", origin, value)
		}
		d.origin = origin
		o.lines = append(o.lines, d)
		o.args = append(o.args, "-o", value)
	}
	return nil
}
