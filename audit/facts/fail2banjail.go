package facts

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Jail is a jail as fail2ban reads it: of all its files the last word counts.
type Jail struct {
	Name    string `cel:"name"`
	Enabled bool   `cel:"enabled"`
	Filter  string `cel:"filter"` // its name, without options
	// Maxretry failures within Findtime seconds ban for Bantime seconds; a negative Bantime is for ever.
	Maxretry  int64  `cel:"maxretry"`
	Findtime  int64  `cel:"findtime"`
	Bantime   int64  `cel:"bantime"`
	Increment bool   `cel:"increment"` // who comes back is banned longer
	Backend   string `cel:"backend"`
	// Logs are the files that it is told to read. Reads says that one of them is there, or that it reads the journal.
	Logs  []string `cel:"logs"`
	Reads bool     `cel:"reads"`
	// Actions are what it does, by name. Blocks says that one of them keeps the address out: dummy and those that write mail or tell
	// others do not, and fail2ban counts an address as banned all the same.
	Actions []string `cel:"actions"`
	Blocks  bool     `cel:"blocks"`
	Ignored []string `cel:"ignored"` // addresses that it never bans
	// Words are the texts that its failregexes look for, in lower case, taken apart at every sign that means something in a regular
	// expression. Failures is how many failregexes there are.
	Words     []string `cel:"words"`
	Failures  int64    `cel:"failures"`
	FailRegex []string `cel:"failregex"` // with its references and tags filled in
	// Error is why fail2ban leaves the jail out.
	Error  string `cel:"error"`
	Origin string `cel:"origin"` // of enabled and of the numbers

	// broken is an error over which fail2ban gives up as a whole.
	broken string
}

// readJails evaluates fail2ban's configuration.
func readJails(h *Host) ([]Jail, error) {
	conf, err := readIni(h, fail2banFolder+"/jail")
	if err != nil {
		return nil, err
	}
	var all []Jail
	for _, name := range conf.order {
		if name == "INCLUDES" || strings.HasPrefix(name, "KNOWN/") {
			continue
		}
		j := readJail(h, conf, name)
		if j.broken != "" && err == nil {
			err = errors.New(j.broken)
		}
		all = append(all, j)
	}
	return all, err
}

func readJail(h *Host, conf *ini, name string) Jail {
	j := Jail{Name: name}
	var origins []string
	enabled := false
	value := func(option, fallback string) string {
		s, ok := conf.get(name, option)
		if !ok {
			if s.Origin != "" && (enabled || option == "enabled") {
				j.broken = fmt.Sprintf("%s: %s refers to nothing", s.Origin, option)
			}
			return fallback
		}
		switch option {
		case "enabled", "maxretry", "findtime", "bantime":
			origins = append(origins, option+" "+s.Origin)
		}
		return s.Value
	}
	j.Enabled = iniTruth(value("enabled", "false"))
	enabled = j.Enabled
	j.Filter, _, _ = strings.Cut(value("filter", ""), "[")
	j.Filter = strings.TrimSpace(j.Filter)
	var bad error
	number := func(option, fallback string) int64 {
		n, err := fail2banSeconds(value(option, fallback))
		if err != nil && bad == nil {
			bad = fmt.Errorf("%s: %w", option, err)
		}
		return n
	}
	// The server's own defaults, for where no file says anything.
	j.Maxretry, j.Findtime, j.Bantime = number("maxretry", "3"), number("findtime", "600"), number("bantime", "600")
	j.Origin = strings.Join(origins, ", ")
	j.Increment = iniTruth(value("bantime.increment", "false"))
	j.Backend = value("backend", "auto")
	j.Ignored = strings.FieldsFunc(value("ignoreip", ""), func(r rune) bool { return r == ' ' || r == ',' || r == '\n' })
	for _, line := range strings.Split(value("logpath", ""), "\n") {
		if pattern, _, _ := strings.Cut(strings.TrimSpace(line), " "); pattern != "" {
			j.Logs = append(j.Logs, pattern)
		}
	}
	j.Reads = strings.HasPrefix(j.Backend, "systemd") || slices.ContainsFunc(j.Logs, func(pattern string) bool {
		found, err := h.Glob(pattern)
		return err == nil && len(found) > 0
	})
	badAction := j.actions(h, value("action", ""))
	if !j.Enabled {
		return j
	}
	if err := errors.Join(bad, badAction, j.filter(h, conf)); err != nil {
		j.Error = err.Error()
	}
	return j
}

func iniTruth(word string) bool {
	switch strings.ToLower(word) {
	case "1", "on", "true", "yes":
		return true
	}
	return false
}

var actionName = regexp.MustCompile(`^([\w\-.]+)(?:\[|$)`)

// actions lists the actions that a jail names, and tells one that is not there. An action goes on in deeper lines, and its options stand in brackets.
func (j *Jail) actions(h *Host, text string) (bad error) {
	depth := 0
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if m := actionName.FindStringSubmatch(line); m != nil && depth == 0 && len(j.Actions) < 50 {
			name := strings.TrimSuffix(m[1], ".py")
			file := fail2banFolder + "/action.d/" + name
			if h.Look(file+".conf", file+".local", file+".py") == "" {
				bad = fmt.Errorf("there is no action %q", name)
			}
			j.Actions = append(j.Actions, name)
			j.Blocks = j.Blocks || !tellsOnly(name)
		}
		depth = max(0, depth+strings.Count(line, "[")-strings.Count(line, "]"))
	}
	return bad
}

// tellsOnly says that an action of Debian's package keeps nobody out. One that is not known is taken to do so.
func tellsOnly(action string) bool {
	switch action {
	case "abuseipdb", "apprise", "blocklist_de", "complain", "dshield", "dummy", "ipthreat", "mynetwatchman", "nsupdate", "smtp", "xarf-login-attack":
		return true
	}
	return action == "mail" || strings.HasPrefix(action, "mail-") || strings.HasPrefix(action, "sendmail")
}

var (
	filterOption = regexp.MustCompile(`([\w\-.]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^,\]]*))`)
	filterTag    = regexp.MustCompile(`<([\w\-/?.]+)>`)
	regexSplit   = regexp.MustCompile(`[()|^$.*+?{}\[\]:"'<>=,/]+|\\[sSdDwWbB]`)
)

// filter reads the failregexes: those of the jail, or those of the filter with its options.
func (j *Jail) filter(h *Host, jails *ini) error {
	own, hasOwn := jails.get(j.Name, "failregex")
	text := own.Value
	if whole, ok := jails.get(j.Name, "filter"); ok && j.Filter != "" {
		conf, err := readIni(h, fail2banFolder+"/filter.d/"+j.Filter)
		if err != nil {
			return err
		}
		tags := iniSection{}
		for section, options := range map[string]iniSection{"Definition": conf.sections["Definition"], "Init": conf.sections["Init"]} {
			for option := range options {
				s, ok := conf.get(section, option)
				if !ok {
					j.broken = fmt.Sprintf("%s: %s refers to nothing", s.Origin, option)
				}
				if ok && (section == "Definition" || tags[option].Value == "") {
					tags[option] = s
				}
			}
		}
		if tags["logtype"].Value == "" {
			tags["logtype"] = Setting{Value: "file"}
			if strings.HasPrefix(j.Backend, "systemd") {
				tags["logtype"] = Setting{Value: "journal"}
			}
		}
		_, options, _ := strings.Cut(whole.Value, "[")
		for _, m := range filterOption.FindAllStringSubmatch(options, 50) {
			tags[strings.ToLower(m[1])] = Setting{Value: m[2] + m[3] + strings.TrimSpace(m[4])}
		}
		if !hasOwn {
			text = tags["failregex"].Value
		}
		text = fillTags(text, tags, conf)
	} else if !hasOwn {
		return errors.New("it has no filter")
	}
	words := map[string]bool{}
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		j.FailRegex = append(j.FailRegex, line)
		plain := strings.NewReplacer(`\ `, " ", `\-`, "-", `\s+`, " ", `\s*`, " ", `\s`, " ", `\.`, "\x00", `\/`, "\x00").Replace(line)
		for _, word := range regexSplit.Split(plain, 10_000) {
			if word = strings.ToLower(strings.Trim(word, " \\")); word != "" {
				words[word] = true
			}
		}
	}
	j.Failures, j.Words = int64(len(j.FailRegex)), slices.Sorted(maps.Keys(words))
	if j.Failures == 0 {
		return errors.New("its filter looks for nothing")
	}
	return nil
}

// fillTags replaces <NAME> and <SECTION/NAME> by the option of that name, from the inside out, until nothing changes.
func fillTags(text string, tags iniSection, conf *ini) string {
	for range 30 {
		size, changed := len(text), false
		next := filterTag.ReplaceAllStringFunc(text, func(tag string) string {
			name := strings.ToLower(tag[1 : len(tag)-1])
			s, ok := tags[name]
			if section, option, other := strings.Cut(tag[1:len(tag)-1], "/"); !ok && other {
				s, ok = conf.get(section, strings.ToLower(option))
			} else if !ok {
				s, ok = conf.get("Definition", name)
			}
			if !ok || size > maxIniValue {
				return tag
			}
			changed = true
			size += len(s.Value)
			return s.Value
		})
		if !changed {
			break
		}
		text = next
	}
	return text
}
