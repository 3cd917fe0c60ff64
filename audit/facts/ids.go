package facts

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

const (
	maxRuleFiles  = 2000
	maxRuleLines  = 1_000_000
	maxConfigSize = 4 << 20 // bytes of a YAML configuration
)

// IDS is what watches for attacks and bans.
type IDS struct {
	Fail2ban Fail2ban `cel:"fail2ban"`
	Jails    []Jail   `cel:"jails"`
	// RunningJails are those that fail2ban's server runs now, by name.
	RunningJails []string `cel:"running_jails"`
	Suricata     Suricata `cel:"suricata"`
	CrowdSec     CrowdSec `cel:"crowdsec"`
	// Sensors are the programs that run and watch for attacks: fail2ban, suricata, crowdsec, wazuh, snort, zeek, sshguard.
	Sensors []Process `cel:"sensors"`
	// Signatures are the sets of rules that are here, each with the age of its newest file.
	Signatures []RuleSet `cel:"signatures"`
	// Feeds are the lists of other people's attackers that are taken.
	Feeds []RuleSet `cel:"feeds"`
	// Alerts are the ways in which a sensor tells people.
	Alerts []Setting `cel:"alerts"`
}

// RuleSet is a set of rules or addresses that somebody else makes.
type RuleSet struct {
	Name    string    `cel:"name"`
	Updated time.Time `cel:"updated"`
	// Within is how old it may be: audit.rule_days, or audit.program_rule_days for what comes with a program.
	Within time.Duration `cel:"within"`
	Origin string        `cel:"origin"`
}

// Suricata is OISF's network sensor.
type Suricata struct {
	Installed bool   `cel:"installed"`
	Starts    string `cel:"starts"`
	Running   bool   `cel:"running"`
	// EVE is the file that its events go to; EVEWritten is when it last got one. Empty when the output is off.
	EVE        string    `cel:"eve"`
	EVEWritten time.Time `cel:"eve_written"`
	// IPS says that it stands in the way of packets, by nfqueue or by af-packet with copy-mode ips; Mode tells which. Drops is how
	// many rules then drop.
	IPS   bool    `cel:"ips"`
	Mode  Setting `cel:"mode"`
	Drops int64   `cel:"drops"`
	// Rules is how many rules are loaded, RulesUpdated the age of the newest file of them.
	Rules        int64     `cel:"rules"`
	RulesUpdated time.Time `cel:"rules_updated"`
	Interfaces   []string  `cel:"interfaces"`
	Error        string    `cel:"error"` // why its configuration cannot be read
	Origin       string    `cel:"origin"`
}

// CrowdSec is the engine that shares what it sees.
type CrowdSec struct {
	Installed bool   `cel:"installed"`
	Starts    string `cel:"starts"`
	Running   bool   `cel:"running"`
	// Bouncer says that something which enforces its decisions runs.
	Bouncer     bool     `cel:"bouncer"`
	Collections []string `cel:"collections"`
	Enrolled    bool     `cel:"enrolled"` // it exchanges addresses with the others
	Origin      string   `cel:"origin"`
}

func collectIDS(ctx context.Context, h *Host, t Target) (IDS, []Missing) {
	var i IDS
	var gone []Missing
	daemons, err := processes(ctx, h)
	if err != nil {
		gone = append(gone, Missing{"sensors", because(err)}, Missing{"suricata.running", because(err)},
			Missing{"crowdsec.running", because(err)}, Missing{"crowdsec.bouncer", because(err)})
	}
	for _, name := range []string{"fail2ban-server", "suricata", "Suricata-Main", "crowdsec", "wazuh-logcollector", "ossec-logcollector", "snort", "zeek", "sshguard", "sshg-parser", "denyhosts"} {
		if p, ok := daemon(daemons, name); ok {
			i.Sensors = append(i.Sensors, p)
		}
	}
	var more []Missing
	i.Fail2ban, i.Jails, i.RunningJails, more = collectFail2ban(ctx, h, daemons)
	gone = append(gone, more...)
	i.Suricata = suricata(h, daemons)
	i.crowdSec(h, daemons)
	i.signatures(h, t)
	i.feeds(h, t)
	i.alerts(h)
	return i, gone
}

// suricataConf is what counts of suricata.yaml.
type suricataConf struct {
	RulePath string   `yaml:"default-rule-path"`
	Rules    []string `yaml:"rule-files"`
	LogDir   string   `yaml:"default-log-dir"`
	Outputs  []map[string]struct {
		Enabled  any    `yaml:"enabled"`
		Filename string `yaml:"filename"`
		Filetype string `yaml:"filetype"`
	} `yaml:"outputs"`
	Packets []struct {
		Interface string `yaml:"interface"`
		CopyMode  string `yaml:"copy-mode"`
		CopyTo    string `yaml:"copy-iface"`
	} `yaml:"af-packet"`
}

func suricata(h *Host, daemons []Process) Suricata {
	const name = "/etc/suricata/suricata.yaml"
	units := unitFiles{h: h}
	s := Suricata{Origin: name, Starts: units.enabledBy("suricata.service")}
	s.Installed = h.Look("/usr/bin/suricata", "/usr/local/bin/suricata", "/usr/sbin/suricata") != "" || h.Exists(name)
	running, ok := daemon(daemons, "suricata")
	s.Running = ok
	if !s.Installed {
		return s
	}
	text, err := h.ReadFile(name)
	if err == nil && len(text) > maxConfigSize {
		err = errors.New("longer than 4 MiB")
	}
	var conf suricataConf
	if err == nil {
		err = yaml.Unmarshal(text, &conf)
	}
	if err != nil {
		s.Error = cutError(err)
		return s
	}
	for _, output := range conf.Outputs {
		if eve, ok := output["eve-log"]; ok && yamlTruth(eve.Enabled) && (eve.Filetype == "" || eve.Filetype == "regular") {
			s.EVE = inFolder(cmp.Or(conf.LogDir, "/var/log/suricata"), cmp.Or(eve.Filename, "eve.json"))
			s.EVEWritten, _ = modified(h, s.EVE)
		}
	}
	for _, p := range conf.Packets {
		if p.Interface != "default" {
			s.Interfaces = append(s.Interfaces, p.Interface)
		}
		if p.CopyMode == "ips" && p.CopyTo != "" {
			s.IPS, s.Mode = true, Setting{"af-packet copy-mode ips", name}
		}
	}
	if queue := suricataQueue(h, running); queue.Value != "" {
		s.IPS, s.Mode = true, queue
	}
	for _, pattern := range conf.Rules {
		files, err := h.Glob(inFolder(cmp.Or(conf.RulePath, "/etc/suricata/rules"), pattern))
		if err != nil || len(files) > maxRuleFiles {
			continue
		}
		for _, file := range files {
			rules, drops := countRules(h, file)
			s.Rules, s.Drops = s.Rules+rules, s.Drops+drops
			if t, ok := modified(h, file); ok && t.After(s.RulesUpdated) {
				s.RulesUpdated = t
			}
		}
	}
	return s
}

// suricataQueue is nfqueue, which only the command line turns on: that of the process, or of what starts it.
func suricataQueue(h *Host, running Process) Setting {
	if running.PID > 0 {
		text, err := hostProc(running.PID, "cmdline")
		if err == nil && queueOption.MatchString(strings.ReplaceAll(text, "\x00", " ")) {
			return Setting{"nfqueue", running.Origin + "/cmdline"}
		}
		return Setting{}
	}
	for _, name := range []string{"/etc/default/suricata", "/etc/systemd/system/suricata.service"} {
		text, err := h.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line == "LISTENMODE=nfqueue" || strings.HasPrefix(line, "ExecStart=") && queueOption.MatchString(line) {
				return Setting{"nfqueue", name}
			}
		}
	}
	return Setting{}
}

var queueOption = regexp.MustCompile(`\s-q\s*[0-9]`)

func countRules(h *Host, name string) (rules, drops int64) {
	f, err := h.stream(name)
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 128<<20))
	if err != nil {
		return 0, 0
	}
	for line := range bytes.Lines(text) {
		if rules > maxRuleLines {
			return rules, drops
		}
		switch word, _, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" ")); string(word) {
		case "alert", "pass":
			rules++
		case "drop", "reject", "rejectsrc", "rejectdst", "rejectboth":
			rules++
			drops++
		}
	}
	return rules, drops
}

func (i *IDS) crowdSec(h *Host, daemons []Process) {
	c := &i.CrowdSec
	c.Origin = "/etc/crowdsec"
	units := unitFiles{h: h}
	c.Installed = h.Exists(c.Origin + "/config.yaml")
	c.Starts = units.enabledBy("crowdsec.service")
	_, c.Running = daemon(daemons, "crowdsec")
	_, c.Bouncer = daemon(daemons, "crowdsec-firewall-bouncer", "cs-firewall-bouncer", "crowdsec-custom-bouncer")
	names, _ := h.Glob(c.Origin + "/collections/*.yaml") // what cannot be listed is not counted
	for _, name := range names[:min(len(names), 200)] {
		c.Collections = append(c.Collections, strings.TrimSuffix(path.Base(name), ".yaml"))
	}
	text, err := h.ReadFile(c.Origin + "/online_api_credentials.yaml")
	c.Enrolled = err == nil && bytes.Contains(text, []byte("login:"))
}

// ruleSets are where programs keep the rules that others make, by what they are called.
var ruleSets = map[string][]string{
	"suricata rules":        {"/var/lib/suricata/rules/*.rules", "/etc/suricata/rules/*.rules"},
	"snort rules":           {"/etc/snort/rules/*.rules", "/usr/local/etc/snort/rules/*.rules"},
	"OWASP core rule set":   {"/usr/share/modsecurity-crs/rules/*.conf", "/etc/modsecurity/crs/rules/*.conf", "/etc/nginx/modsec/*/rules/*.conf"},
	"crowdsec hub":          {"/etc/crowdsec/hub/.index.json", "/var/lib/crowdsec/hub/.index.json"},
	"clamav signatures":     {"/var/lib/clamav/daily.c[lv]d"},
	"rkhunter signatures":   {"/var/lib/rkhunter/db/*.dat"},
	"wazuh vulnerabilities": {"/var/ossec/queue/vd/feed"},
}

// feedSets are where lists of attackers arrive.
var feedSets = map[string][]string{
	"crowdsec community":   {"/var/lib/crowdsec/data/crowdsec.db"},
	"suricata sources":     {"/var/lib/suricata/update/cache/*", "/var/lib/suricata/rules/suricata.rules"},
	"firehol ipsets":       {"/etc/firehol/ipsets/*.*set"},
	"MISP export":          {"/var/lib/misp/*"},
	"doorward block lists": {"/var/lib/doorward/feeds/*"},
}

func (i *IDS) signatures(h *Host, t Target) {
	i.Signatures = newest(h, ruleSets, within(t.RuleDays, defaultRuleDays))
	var filters []string // of the jails, each of which is a pattern of one file
	for _, j := range i.Jails {
		if j.Enabled && !strings.ContainsAny(j.Filter, `/*?[\`) {
			filters = append(filters, "/etc/fail2ban/filter.d/"+j.Filter+".conf", "/etc/fail2ban/filter.d/"+j.Filter+".local")
		}
	}
	if len(filters) > 0 {
		i.Signatures = append(i.Signatures, newest(h, map[string][]string{"fail2ban filters": filters}, within(t.ProgramRuleDays, defaultProgramRuleDays))...)
	}
}

func (i *IDS) feeds(h *Host, t Target) {
	i.Feeds = newest(h, feedSets, within(t.RuleDays, defaultRuleDays))
	i.Feeds = slices.DeleteFunc(i.Feeds, func(f RuleSet) bool { return f.Name == "crowdsec community" && !i.CrowdSec.Enrolled })
}

// newest finds the sets that are there, with the time of their newest file and how old that may be.
func newest(h *Host, sets map[string][]string, within time.Duration) (all []RuleSet) {
	for name, patterns := range sets {
		found := RuleSet{Name: name, Within: within}
		for _, pattern := range patterns {
			files, err := h.Glob(pattern)
			if err != nil {
				continue
			}
			for _, file := range files[:min(len(files), maxRuleFiles)] {
				if t, ok := modified(h, file); ok && t.After(found.Updated) {
					found.Updated, found.Origin = t, file
				}
			}
		}
		if found.Origin != "" {
			all = append(all, found)
		}
	}
	slices.SortFunc(all, func(a, b RuleSet) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// alerts lists who is told by the sensors.
func (i *IDS) alerts(h *Host) {
	for _, j := range i.Jails {
		for _, action := range j.Actions {
			if j.Enabled && (strings.Contains(action, "mail") || strings.Contains(action, "slack") || strings.Contains(action, "telegram") || action == "xarf-login-attack") {
				i.Alerts = append(i.Alerts, Setting{"fail2ban jail " + j.Name + " by " + action, j.Origin})
			}
		}
	}
	for name, marks := range map[string][]string{
		"/etc/crowdsec/profiles.yaml":      {"notifications:"},
		"/var/ossec/etc/ossec.conf":        {"<email_notification>yes"},
		"/etc/monit/monitrc":               {"set alert "},
		"/etc/prometheus/alertmanager.yml": {"receivers:"},
	} {
		text, err := h.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) || err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); slices.ContainsFunc(marks, func(mark string) bool { return strings.HasPrefix(line, mark) }) {
				i.Alerts = append(i.Alerts, Setting{line, name})
				break
			}
		}
	}
	slices.SortFunc(i.Alerts, func(a, b Setting) int { return strings.Compare(a.Value+a.Origin, b.Value+b.Origin) })
}

// inFolder is name in folder, unless it is absolute.
func inFolder(folder, name string) string {
	if path.IsAbs(name) {
		return name
	}
	return path.Join(folder, name)
}

// yamlTruth reads a truth value as YAML 1.1 has it, in which yes is one.
func yamlTruth(value any) bool {
	switch v := value.(type) {
	case bool:
		return v
	case string:
		return iniTruth(v)
	}
	return false
}

// cutError is an error of one line.
func cutError(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}
