package fail2ban

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Problem is something of a configuration that is not run as fail2ban would, and why.
type Problem struct {
	What string `json:"what"` // the option, the action or the file
	Why  string `json:"why"`
}

// Increment is how bans grow with each one (bantime.increment).
type Increment struct {
	On           bool          `json:"on"`
	Factor       float64       `json:"factor"`                // what the formula multiplies with, 1 when none is given
	Multipliers  []float64     `json:"multipliers,omitempty"` // instead of doubling: of the first ban, the second, ...
	Max          time.Duration `json:"max"`                   // the longest ban; 0: any
	Random       time.Duration `json:"random"`                // up to so much is added by chance
	OverAllJails bool          `json:"over_all_jails"`        // bans of other jails count too
}

// LogPath is a file, or files by a glob pattern, that a jail reads.
type LogPath struct {
	Pattern string `json:"pattern"`
	Tail    bool   `json:"tail"` // only what is written from now on
}

// Jail is a jail as it would run.
type Jail struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	Runs    bool   `json:"runs"` // it finds failures and bans; Problems says what is different

	Backend      string     `json:"backend"`
	FilterName   string     `json:"filter"`
	Expressions  int        `json:"expressions"` // failregexes
	LogPaths     []LogPath  `json:"log_paths,omitempty"`
	Journal      *Journal   `json:"journal,omitempty"`       // nil: the jail reads files
	JournalMatch [][]string `json:"journal_match,omitempty"` // words of one are all wanted unless a + stands between; of several one
	LogEncoding  string     `json:"log_encoding"`
	LogTimezone  string     `json:"log_timezone,omitempty"`
	UseDNS       string     `json:"use_dns"`

	MaxRetry   int           `json:"max_retry"`
	MaxMatches int           `json:"max_matches"`
	FindTime   time.Duration `json:"find_time"`
	BanTime    time.Duration `json:"ban_time"` // negative: without end
	Increment  Increment     `json:"increment"`
	IgnoreIP   []string      `json:"ignore_ip,omitempty"` // addresses, prefixes and names
	IgnoreSelf bool          `json:"ignore_self"`

	Actions  []Action  `json:"actions"`
	Problems []Problem `json:"problems"`

	options *dict // of the filter
}

// Filter makes the jail's filter ready to run. Lines are read as a running fail2ban reads them: one without a date has the time that
// it is read. local is the zone of dates that name none, when the jail's logtimezone names none either; now is when the jail starts.
func (j *Jail) Filter(local *time.Location, now time.Time) (*Filter, error) {
	if j.options == nil {
		return nil, fmt.Errorf("jail %s has no filter", j.Name)
	}
	return newFilter(j.FilterName, j.options, Options{LogTimezone: j.LogTimezone, Local: local, Now: now, NoDateIsNow: true, NoCaptures: true})
}

func (j *Jail) problem(what, format string, args ...any) {
	j.Problems = append(j.Problems, Problem{What: what, Why: fmt.Sprintf(format, args...)})
}

// Import is a whole configuration as it would run.
type Import struct {
	Dir      string    `json:"dir"`
	Jails    []Jail    `json:"jails"`
	Off      []string  `json:"off"`      // jails that are not enabled
	Problems []Problem `json:"problems"` // of files
}

// Import reads every jail that is enabled; with all, those that are off too. An error: nothing can be read.
func (c *Config) Import(all bool) (*Import, error) {
	p, names, err := c.jails()
	if err != nil {
		return nil, err
	}
	result := &Import{Dir: c.dir, Jails: []Jail{}, Off: []string{}, Problems: []Problem{}}
	for _, name := range names {
		raw, err := c.readJail(p, name, all)
		if err != nil {
			j := Jail{Name: name, Enabled: true, Actions: []Action{}}
			j.problem("configuration", "%v", err)
			result.Jails = append(result.Jails, j)
			continue
		}
		if !raw.enabled() {
			result.Off = append(result.Off, name)
			if !all {
				continue
			}
		}
		result.Jails = append(result.Jails, newJail(raw))
	}
	for _, text := range c.Unread {
		result.Problems = append(result.Problems, Problem{What: "file", Why: text})
	}
	return result, nil
}

// newJail takes a jail from its options; what an option lacks is as fail2ban's server has it.
func newJail(raw *rawJail) Jail {
	j := Jail{Name: raw.name, Enabled: raw.enabled(), FilterName: raw.filter, Actions: []Action{}, Problems: []Problem{}}
	for _, name := range raw.wrong {
		j.problem(name, "it is no number; fail2ban's own default is taken")
	}
	j.source(raw.options)
	j.limits(raw.options)
	j.growth(raw.options)
	j.exceptions(raw.options)
	j.filter(raw)
	enforced := false
	for _, a := range raw.actions {
		action := newAction(a)
		enforced = enforced || action.Kind == Enforce
		for _, why := range action.Notes {
			j.problem("action "+a.file, "%s", why)
		}
		j.Actions = append(j.Actions, action)
	}
	if !enforced {
		j.problem("action", "none of its actions bans anybody here: failures are found and counted, and that is all")
	}
	j.Runs = j.options != nil && j.Expressions > 0 && j.chooses()
	return j
}

// source says where lines come from.
func (j *Jail) source(o *dict) {
	j.Backend, _ = o.get("backend")
	j.LogEncoding, _ = o.get("logencoding")
	j.LogTimezone, _ = o.get("logtimezone")
	switch name := strings.ToLower(strings.ReplaceAll(j.LogEncoding, "_", "-")); name {
	case "", "auto", "utf-8", "utf8", "ascii", "us-ascii":
	default:
		j.problem("logencoding", "lines are read as UTF-8, not as %s: other letters than ASCII's are not what they were", j.LogEncoding)
	}
	if j.journal() {
		return
	}
	paths, _ := o.get("logpath")
	for _, line := range strings.Split(paths, "\n") {
		pattern, tail := line, ""
		if at := strings.LastIndexByte(line, ' '); at >= 0 {
			pattern, tail = line[:at], line[at+1:]
		}
		if pattern != "" {
			j.LogPaths = append(j.LogPaths, LogPath{Pattern: pattern, Tail: tail == "tail"})
		}
	}
	if len(j.LogPaths) == 0 {
		j.problem("logpath", "it names no file, so there is nothing to read")
	}
}

// limits says when a ban comes and how long it is.
func (j *Jail) limits(o *dict) {
	number := func(name string, otherwise int) int {
		if v, ok := o.get(name); ok {
			if n, err := strconv.Atoi(v); err == nil {
				return n
			}
		}
		return otherwise
	}
	j.MaxRetry = number("maxretry", 3)
	j.MaxMatches = number("maxmatches", 5)
	j.FindTime = j.span(o, "findtime", 10*time.Minute)
	j.BanTime = j.span(o, "bantime", 10*time.Minute)
}

func (j *Jail) span(o *dict, name string, otherwise time.Duration) time.Duration {
	v, ok := o.get(name)
	if !ok {
		return otherwise
	}
	d, err := span(v)
	if err != nil {
		j.problem(name, "%v; %s is taken", err, otherwise)
		return otherwise
	}
	return d
}

// growth reads bantime.increment and what belongs to it.
func (j *Jail) growth(o *dict) {
	in := &j.Increment
	in.Factor = 1
	v, _ := o.get("bantime.increment")
	in.On = truth(v)
	v, _ = o.get("bantime.overalljails")
	in.OverAllJails = truth(v)
	in.Max = max(j.span(o, "bantime.maxtime", 0), 0)
	in.Random = max(j.span(o, "bantime.rndtime", 0), 0)
	if v, _ = o.get("bantime.factor"); v != "" {
		n, err := seconds(v)
		if err != nil || n <= 0 {
			j.problem("bantime.factor", "%q is no number above 0; 1 is taken", v)
		} else {
			in.Factor = n
		}
	}
	v, _ = o.get("bantime.multipliers")
	for _, word := range strings.Fields(v) {
		n, err := strconv.ParseFloat(word, 64)
		if err != nil || n <= 0 {
			j.problem("bantime.multipliers", "%q is no number above 0; bans double instead", word)
			in.Multipliers = nil
			break
		}
		in.Multipliers = append(in.Multipliers, n)
	}
	v, _ = o.get("bantime.formula")
	if v != "" && in.On && len(in.Multipliers) == 0 && strings.ReplaceAll(v, " ", "") != defaultFormula {
		j.problem("bantime.formula", "it is a program in Python, which is not run: each ban doubles, as by fail2ban's own formula")
	}
}

// defaultFormula is what fail2ban's own comment gives for a ban that doubles each time.
const defaultFormula = "ban.Time*(1<<(ban.Countifban.Count<20else20))*banFactor"

// exceptions reads who is never banned.
func (j *Jail) exceptions(o *dict) {
	v, _ := o.get("ignoreip")
	j.IgnoreIP = words(v)
	v, ok := o.get("ignoreself")
	j.IgnoreSelf = !ok || truth(v)
	if v, _ = o.get("ignorecommand"); v != "" {
		j.problem("ignorecommand", "commands of a configuration are not run, so nobody is excepted by it: %.100q", v)
	}
}

// filter compiles the filter to see whether it can be run.
func (j *Jail) filter(raw *rawJail) {
	if raw.fopts == nil {
		j.problem("filter", "the jail names none")
		return
	}
	// An option that the jail gives is not read from the filter.
	options := raw.fopts.clone()
	for _, o := range filterOptions() {
		if v, ok := raw.options.get(o.name); ok {
			options.set(o.name, v)
		}
	}
	j.UseDNS, _ = options.get("usedns")
	switch strings.ToLower(j.UseDNS) {
	case "yes", "warn", "":
		j.problem("usedns", "a name in a line is not resolved: only addresses are banned")
	case "no", "raw":
	default:
		j.problem("usedns", "%q is none of yes, warn, raw and no: names are not looked for, as in fail2ban", j.UseDNS)
	}
	matches, _ := options.get("journalmatch")
	for _, line := range strings.Split(matches, "\n") {
		if line == "" {
			continue
		}
		w, err := shellWords(line)
		if err != nil {
			j.problem("journalmatch", "%v", err)
			continue
		}
		j.JournalMatch = append(j.JournalMatch, w)
	}
	f, err := newFilter(raw.filter, options, Options{LogTimezone: j.LogTimezone})
	if err != nil {
		j.problem("filter", "%v", err)
		return
	}
	j.options, j.Expressions = options, len(f.fail)
	if j.Expressions == 0 {
		j.problem("filter", "it has no failregex, so it finds nothing")
	}
}
