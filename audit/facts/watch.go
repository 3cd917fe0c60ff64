package facts

import (
	"context"
	"path"
	"slices"
	"strings"
	"time"
)

// Watch is what Doorward itself watches, bans, enforces and tells. It is what the process that runs says of itself, never what the
// configuration wishes; where there is a configuration and nobody answers, all of it is missing.
type Watch struct {
	// Running says that a Doorward answers on the admin socket; Where says what was found about that, for people.
	Running bool   `cel:"running"`
	Where   string `cel:"where"`
	// Sources are the logs that it reads.
	Sources []WatchSource `cel:"sources"`
	// Guards are its detections and jails for which a control asks, one for each subject that they are about. Those that are switched off are left out.
	Guards []Guard `cel:"guards"`
	// Kernel says that bans are in the kernel: doorward enforce is connected and well. Otherwise only the gateway refuses. KernelProblem says why not.
	Kernel        bool   `cel:"kernel"`
	KernelProblem string `cel:"kernel_problem"`
	// SIPTools are the attack tools that are banned for good at one message that Suricata sees, in small letters; each was tried.
	SIPTools []string `cel:"sip_tools"`
	// Overrides is the file that changes shipped detections, and that was read without an error. Empty: there is none.
	Overrides Setting `cel:"overrides"`
	// DigestRecipients is how many people get the daily digest; DigestSent is when the mail server took the last one.
	DigestRecipients int64     `cel:"digest_recipients"`
	DigestSent       time.Time `cel:"digest_sent"`
	// Rules are the sets of rules that it uses, each with its age.
	Rules  []RuleSet `cel:"rules"`
	Origin string    `cel:"origin"` // the admin socket
}

// WatchSource is a log that Doorward reads.
type WatchSource struct {
	Name    string `cel:"name"`
	Type    string `cel:"type"` // file, journal, syslog or query
	EVE     bool   `cel:"eve"`  // Suricata's events
	Problem string `cel:"problem"`
	Silent  bool   `cel:"silent"` // it has said nothing for longer than watch.sources[].silent_after
	// Read says that something was read from it, since the start or before.
	Read bool `cel:"read"`
	// Well says that it is read, not silent, and has said something.
	Well    bool      `cel:"well"`
	Parsers []string  `cel:"parsers"` // that are named for it, or knew one of its records
	Records int64     `cel:"records"` // since the start
	Last    time.Time `cel:"last"`
	Origin  string    `cel:"origin"`
}

// Guard is a detection or a jail in force, with its thresholds as overrides made them.
type Guard struct {
	// Subject is what it is about: ssh, web (sign-ins at a web server), database, sip, sip-tools, ami, hgc200, api, urls, agents (from
	// outside), actions (hacking attempts in a log of actions), errors (of applications).
	Subject string `cel:"subject"`
	Name    string `cel:"name"` // detection:NAME or jail:NAME
	// Count events within Within are enough; a count of 1 has no time.
	Count  int64         `cel:"count"`
	Within time.Duration `cel:"within"`
	// Bans says that it bans addresses, and that no stranger could have written these into the log. Otherwise it tells.
	Bans bool `cel:"bans"`
	// Lasts is how long the first ban is; Permanent ones have no end.
	Lasts     time.Duration `cel:"lasts"`
	Permanent bool          `cel:"permanent"`
	// Fed are the sources that it lives on and that are well; "gateway" is what Doorward sees itself.
	Fed    []string `cel:"fed"`
	Origin string   `cel:"origin"`
}

// WatchAnswer is what the running Doorward says.
type WatchAnswer struct {
	Socket string
	// Unread says why nothing is known of it; empty: it has answered.
	Unread           string
	Sources          []AnsweredSource
	Detections       []AnsweredDetection
	Jails            []AnsweredJail
	Kernel           bool
	KernelProblem    string
	SIPTools         []string
	Overrides        string
	DigestRecipients int
	DigestSent       time.Time
	RulesFolder      string    // of detections of one's own
	Fail2banFolder   string    // of the jails
	Countries        time.Time // when the database of countries was built; zero: there is none
	Built            time.Time // when Doorward was built; zero: it does not know
}

// AnsweredSource is one of its sources.
type AnsweredSource struct {
	Name, Type, Format, Problem string
	Silent, Read                bool
	Parsers, Sure               []string // Sure: whose addresses no stranger could have written
	Records                     uint64
	Last                        time.Time
}

// AnsweredDetection is one of its detections.
type AnsweredDetection struct {
	Name, Action, File string
	Off, Permanent     bool
	Count              int
	Timespan, For      time.Duration
}

// AnsweredJail is one of its jails of fail2ban.
type AnsweredJail struct {
	Name, Filter, Problem string
	MaxRetry              int
	FindTime, BanTime     time.Duration
	Permanent             bool
}

// maxAnswered caps each list of an answer.
const maxAnswered = 2000

// collectWatch makes facts of what the running Doorward says. Without any configuration of Doorward nothing runs, which is known.
func collectWatch(_ context.Context, h *Host, t Target) (Watch, []Missing) {
	const file = "/etc/doorward/doorward.yaml"
	if !h.Live() {
		if h.Exists(file) {
			return Watch{}, missing("%v", ErrNotLive)
		}
		return Watch{Where: "there is no " + file}, nil
	}
	a := t.Watch
	if a == nil {
		return Watch{Where: "there is no configuration of Doorward"}, nil
	}
	return a.Facts(h, t)
}

// Facts makes facts of the answer. Files that it names are looked up on h for their age.
func (a *WatchAnswer) Facts(h *Host, t Target) (Watch, []Missing) {
	if a.Unread != "" {
		return Watch{}, missing("%s", a.Unread)
	}
	w := Watch{Running: true, Where: "it answers on " + a.Socket, Origin: a.Socket, Kernel: a.Kernel, KernelProblem: a.KernelProblem,
		Overrides: Setting{Value: a.Overrides, Origin: a.Socket}, DigestRecipients: int64(a.DigestRecipients), DigestSent: a.DigestSent}
	for _, tool := range a.SIPTools[:min(len(a.SIPTools), maxAnswered)] {
		w.SIPTools = append(w.SIPTools, strings.ToLower(tool))
	}
	for _, s := range a.Sources[:min(len(a.Sources), maxAnswered)] {
		w.Sources = append(w.Sources, WatchSource{Name: s.Name, Type: s.Type, EVE: s.Format == "eve", Problem: s.Problem, Silent: s.Silent, Read: s.Read, Well: s.well(),
			Parsers: s.Parsers, Records: int64(s.Records), Last: s.Last, Origin: a.Socket})
	}
	for _, d := range a.Detections[:min(len(a.Detections), maxAnswered)] {
		if subject, known := detectionSubjects()[d.Name]; known && !d.Off {
			w.Guards = append(w.Guards, d.guard(subject, a))
		}
	}
	for _, j := range a.Jails[:min(len(a.Jails), maxAnswered)] {
		for _, subject := range jailSubjects(j) {
			w.Guards = append(w.Guards, j.guard(subject, a))
		}
	}
	var gone []Missing
	if w.Rules, gone = answeredRules(h, t, a); len(gone) > 0 {
		w.Rules = nil
	}
	return w, gone
}

func (s AnsweredSource) well() bool { return s.Problem == "" && !s.Silent && s.Read }

// subjectOf is what a detection is about, and which logs it lives on, by their parsers.
type subjectOf struct {
	subject string
	parsers []string
	gateway bool // it sees the gateway's own events too
}

// detectionSubjects are the shipped detections that controls ask for.
func detectionSubjects() map[string]subjectOf {
	return map[string]subjectOf{
		"sshd_guessing":       {"ssh", []string{"sshd"}, false},
		"web_guessing":        {"web", []string{"apache-error", "nginx-access", "nginx-error"}, false},
		"mariadb_guessing":    {"database", []string{"mariadb"}, false},
		"sip_guessing":        {"sip", []string{"asterisk"}, false},
		"sip_tool_suricata":   {"sip-tools", []string{"suricata"}, false},
		"ami_failure":         {"ami", []string{"asterisk"}, false},
		"hgc_200":             {"hgc200", []string{"mor"}, false},
		"mor_api":             {"api", []string{"mor"}, false},
		"mor_hacking_attempt": {"actions", []string{"mor"}, false},
		"suspicious_urls":     {"urls", []string{"apache-access", "nginx-access"}, true},
		"agent_outside":       {"agents", nil, true},
		"error_new":           {"errors", []string{"apache-error", "nginx-error", "php-error", "request-tracker", "json"}, false},
	}
}

func (d AnsweredDetection) guard(of subjectOf, a *WatchAnswer) Guard {
	g := Guard{Subject: of.subject, Name: "detection:" + d.Name, Count: int64(max(d.Count, 1)), Within: d.Timespan, Lasts: d.For, Permanent: d.Permanent,
		Origin: strings.TrimSpace(a.Socket + " " + d.File)}
	sure := of.gateway
	if of.gateway {
		g.Fed = append(g.Fed, "gateway")
	}
	for _, s := range a.Sources[:min(len(a.Sources), maxAnswered)] {
		named := func(list []string) bool {
			return slices.ContainsFunc(of.parsers, func(p string) bool { return slices.Contains(list, p) })
		}
		if s.well() && named(s.Parsers) {
			g.Fed = append(g.Fed, s.Name)
			sure = sure || named(s.Sure)
		}
	}
	g.Bans = d.Action == "ban" && sure
	return g
}

// jailSubjects are what a jail is about, by its filter.
func jailSubjects(j AnsweredJail) (all []string) {
	if strings.HasPrefix(j.Filter, "sshd") {
		all = append(all, "ssh")
	}
	if strings.HasPrefix(j.Filter, "apache-") || strings.HasPrefix(j.Filter, "nginx-") || j.Filter == "php-url-fopen" {
		all = append(all, "web")
	}
	if slices.Contains([]string{"mor_ddos", "apache-noscript", "apache-botsearch", "nginx-botsearch", "apache-404"}, j.Filter) || j.Name == "mor_ddos" {
		all = append(all, "urls")
	}
	if strings.HasPrefix(j.Filter, "mysqld") || strings.HasPrefix(j.Filter, "postgres") {
		all = append(all, "database")
	}
	if j.Filter == "asterisk" {
		all = append(all, "sip")
	}
	if strings.Contains(j.Name+" "+j.Filter, "hgc") {
		all = append(all, "hgc200")
	}
	if strings.Contains(j.Name+" "+j.Filter, "api") {
		all = append(all, "api")
	}
	return all
}

func (j AnsweredJail) guard(subject string, a *WatchAnswer) Guard {
	g := Guard{Subject: subject, Name: "jail:" + j.Name, Count: int64(j.MaxRetry), Within: j.FindTime, Lasts: j.BanTime, Permanent: j.Permanent, Bans: true,
		Origin: strings.TrimSpace(a.Socket + " " + a.Fail2banFolder)}
	if j.Problem == "" {
		g.Fed = []string{"its log"}
	}
	return g
}

// answeredRules are the rules that the running Doorward uses, with their age (F-20).
func answeredRules(h *Host, t Target, a *WatchAnswer) (all []RuleSet, gone []Missing) {
	program := within(t.ProgramRuleDays, defaultProgramRuleDays)
	if a.Built.IsZero() {
		return nil, []Missing{{"rules", "this Doorward was built without its date, and so the age of its rules is not known"}}
	}
	all = append(all, RuleSet{Name: "doorward detections, parsers and application folders", Updated: a.Built, Within: program, Origin: "the build of Doorward"})
	if a.RulesFolder != "" {
		all = append(all, newest(h, map[string][]string{"detections of one's own": {path.Join(a.RulesFolder, "*.yaml"), path.Join(a.RulesFolder, "lists/*.txt")}}, program)...)
	}
	var filters []string
	for _, j := range a.Jails[:min(len(a.Jails), maxAnswered)] {
		if a.Fail2banFolder != "" && !strings.ContainsAny(j.Filter, "/*?[\\") {
			filters = append(filters, path.Join(a.Fail2banFolder, "filter.d", j.Filter+".conf"), path.Join(a.Fail2banFolder, "filter.d", j.Filter+".local"))
		}
	}
	if len(filters) > 0 {
		all = append(all, newest(h, map[string][]string{"fail2ban filters in Doorward": filters}, program)...)
	}
	if !a.Countries.IsZero() {
		all = append(all, RuleSet{Name: "database of countries", Updated: a.Countries, Within: within(t.RuleDays, defaultRuleDays) * countryFactor, Origin: a.Socket})
	}
	return all, nil
}

// How old rules may be, in days, unless the configuration says so; what comes once a month, as free databases of countries do, may be three
// times as old as what comes every day.
const (
	defaultRuleDays        = 14
	defaultProgramRuleDays = 180
	countryFactor          = 3
)

func within(days, otherwise int) time.Duration {
	if days == 0 {
		days = otherwise
	}
	return time.Duration(days) * 24 * time.Hour
}

// validateRuleDays reports what cannot be used.
func (c Config) validateRuleDays(report func(path, format string, args ...any)) {
	for key, days := range map[string]int{"rule_days": c.RuleDays, "program_rule_days": c.ProgramRuleDays} {
		if days < 0 || days > 3660 {
			report(key, "%d is not from 1 to 3660 days", days)
		}
	}
}
