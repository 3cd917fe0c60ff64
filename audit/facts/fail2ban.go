package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const fail2banFolder = "/etc/fail2ban"

// Fail2ban is the service that bans addresses by what stands in logs.
type Fail2ban struct {
	Installed bool   `cel:"installed"`
	Starts    string `cel:"starts"`  // the link or script that starts it; empty if nothing does
	Running   bool   `cel:"running"` // its server runs and answers
	// Overrides are the administrator's own files: *.local, and those of jail.d that no package brings.
	Overrides []string `cel:"overrides"`
	// Error is why fail2ban cannot read its configuration, and then starts no jail at all.
	Error  string `cel:"error"`
	Origin string `cel:"origin"`
}

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

var (
	timePart  = regexp.MustCompile(`(?i)^\s*([+-]?)\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)`)
	timeUnits = []struct {
		names   []string
		seconds float64
	}{
		{[]string{"", "s", "ss", "sec", "secs", "second", "seconds"}, 1},
		{[]string{"m", "mm", "min", "mins", "minute", "minutes"}, 60},
		{[]string{"h", "hh", "hour", "hours"}, 3600},
		{[]string{"d", "dd", "da", "day", "days"}, 86400},
		{[]string{"w", "ww", "wee", "week", "weeks"}, 7 * 86400},
		{[]string{"mo", "mon", "month", "months"}, 2629800},
		{[]string{"y", "yy", "yea", "year", "years"}, 31557600},
	}
)

// fail2banSeconds reads a time as fail2ban does: seconds, or sums such as "1d 12h" and "1hour+30min". Its server would take any
// expression of Python; others than sums are an error here.
func fail2banSeconds(text string) (int64, error) {
	rest, sum := strings.TrimSpace(text), 0.0
	if rest == "" || len(rest) > 200 {
		return 0, fmt.Errorf("%q is no time", text)
	}
	for rest != "" {
		m := timePart.FindStringSubmatch(rest)
		if m == nil {
			return 0, fmt.Errorf("%q is no time", text)
		}
		n, err := strconv.ParseFloat(m[2], 64)
		unit := slices.IndexFunc(timeUnits, func(u struct {
			names   []string
			seconds float64
		}) bool {
			return slices.Contains(u.names, strings.ToLower(m[3]))
		})
		if err != nil || unit < 0 {
			return 0, fmt.Errorf("%q is no time", text)
		}
		n *= timeUnits[unit].seconds
		if m[1] == "-" {
			n = -n
		}
		sum += n
		rest = strings.TrimSpace(rest[len(m[0]):])
	}
	if sum > 1e15 || sum < -1e15 {
		return 0, fmt.Errorf("%q is no time", text)
	}
	return int64(sum), nil
}

// collectFail2ban reads the configuration, and on a live host asks the server which jails run.
func collectFail2ban(ctx context.Context, h *Host, daemons []Process) (f Fail2ban, jails []Jail, running []string, gone []Missing) {
	f.Origin = fail2banFolder
	f.Installed = h.Look("/usr/bin/fail2ban-server", "/usr/local/bin/fail2ban-server", "/usr/bin/fail2ban-client") != "" || h.Exists(fail2banFolder+"/jail.conf")
	if !f.Installed {
		return f, nil, nil, nil
	}
	units := unitFiles{h: h}
	f.Starts = units.enabledBy("fail2ban.service")
	f.overrides(h)
	jails, err := readJails(h)
	switch {
	case errors.Is(err, fs.ErrPermission):
		gone = append(gone, Missing{"jails", because(err)}, Missing{"fail2ban.error", because(err)})
	case err != nil:
		f.Error = err.Error()
	}
	if !h.Live() {
		return f, jails, nil, append(gone, Missing{"fail2ban.running", ErrNotLive.Error()}, Missing{"running_jails", ErrNotLive.Error()})
	}
	if _, ok := daemon(daemons, "fail2ban-server"); !ok {
		return f, jails, nil, gone
	}
	client := h.Look("/usr/bin/fail2ban-client", "/usr/local/bin/fail2ban-client")
	out, err := h.Run(ctx, client, "status")
	if err != nil {
		return f, jails, nil, append(gone, Missing{"fail2ban.running", because(err)}, Missing{"running_jails", because(err)})
	}
	if out.Code != 0 { // a server that does not answer bans nobody
		return f, jails, nil, gone
	}
	f.Running = true
	for line := range strings.Lines(string(out.Stdout)) {
		if _, list, ok := strings.Cut(line, "Jail list:"); ok {
			for name := range strings.SplitSeq(list, ",") {
				running = append(running, strings.TrimSpace(name))
			}
		}
	}
	if err := askServer(ctx, h, client, jails, running); err != nil {
		gone = append(gone, Missing{"jails", because(err)})
	}
	return f, jails, running, gone
}

var jailName = regexp.MustCompile(`^[\w.@+-]+$`)

// askServer takes the numbers of the jails that run from the server: files that were changed since it read them do not count.
func askServer(ctx context.Context, h *Host, client string, jails []Jail, running []string) error {
	var asked []*Jail
	var questions strings.Builder
	for i := range jails {
		if j := &jails[i]; slices.Contains(running, j.Name) && jailName.MatchString(j.Name) {
			asked = append(asked, j)
			fmt.Fprintf(&questions, "get %[1]s maxretry\nget %[1]s findtime\nget %[1]s bantime\n", j.Name)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	out, err := h.RunWith(ctx, []byte(questions.String()), client, "-i")
	if err != nil {
		return err
	}
	answers := strings.Split(string(out.Stdout), "fail2ban> ")
	if len(answers) < 1+3*len(asked) {
		return fmt.Errorf("fail2ban-client -i: %d answers to %d questions", len(answers)-1, 3*len(asked))
	}
	for i, j := range asked {
		before := [3]int64{j.Maxretry, j.Findtime, j.Bantime}
		for k, value := range []*int64{&j.Maxretry, &j.Findtime, &j.Bantime} {
			n, err := strconv.ParseInt(strings.TrimSpace(answers[1+3*i+k]), 10, 64)
			if err != nil {
				return fmt.Errorf("fail2ban-client get %s: %w", j.Name, err)
			}
			*value = n
		}
		j.Enabled = true
		if before != [3]int64{j.Maxretry, j.Findtime, j.Bantime} {
			j.Origin = "the running server, by fail2ban-client get " + j.Name + "; its files differ: " + j.Origin
		}
	}
	return nil
}

// overrides lists the files over those of the package.
func (f *Fail2ban) overrides(h *Host) {
	for _, pattern := range []string{"/*.local", "/jail.d/*", "/fail2ban.d/*", "/filter.d/*.local", "/action.d/*.local"} {
		names, err := h.Glob(fail2banFolder + pattern)
		if err != nil {
			continue
		}
		for _, name := range names {
			if ending := path.Ext(name); (ending == ".conf" || ending == ".local") && path.Base(name) != "defaults-debian.conf" && len(f.Overrides) < 100 {
				f.Overrides = append(f.Overrides, name)
			}
		}
	}
}
