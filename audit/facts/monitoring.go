package facts

import (
	"cmp"
	"context"
	"errors"
	"path"
	"regexp"
	"strings"
)

// Monitoring is what looks after the host while nobody does, and how it tells people.
type Monitoring struct {
	// Agents are the monitoring programs that are installed.
	Agents []Agent `cel:"agents"`
	// Covers are the subjects that an agent which is started looks at: processes, memory, storage, web, database, users, updates,
	// hardware.
	Covers []Cover `cel:"covers"`
	// Alerts are who is told: a monitoring server that asks or is sent to, or an address.
	Alerts []Setting `cel:"alerts"`
	// Disks is who is told of failing disks by smartd; Arrays of broken arrays by mdadm. Empty where nobody is.
	Disks  Setting `cel:"disks"`
	Arrays Setting `cel:"arrays"`
	// Audits are the jobs that run a security audit again and again; Scans those that look at the network protection or for intruders.
	Audits []Setting `cel:"audits"`
	Scans  []Setting `cel:"scans"`
	Mail   Mailing   `cel:"mail"`
	Origin string    `cel:"origin"`
}

// Agent is a monitoring program.
type Agent struct {
	Name    string `cel:"name"`
	Starts  string `cel:"starts"`  // the link or job that starts it; empty if nothing does
	Running bool   `cel:"running"` // false for a folder of files: look at Starts
	Origin  string `cel:"origin"`
}

// Cover is a subject that is looked at.
type Cover struct {
	Subject string `cel:"subject"`
	By      string `cel:"by"`
	Origin  string `cel:"origin"`
}

// agents are known by their service, their program, and what they look at by themselves.
var agents = []struct {
	name, service, file string
	programs            []string
	covers              string
}{
	{"prometheus node exporter", "prometheus-node-exporter.service", "/usr/bin/prometheus-node-exporter", []string{"prometheus-node-exporter"}, "processes memory storage"},
	{"node exporter", "node_exporter.service", "/usr/local/bin/node_exporter", []string{"node_exporter"}, "processes memory storage"},
	{"prometheus apache exporter", "prometheus-apache-exporter.service", "/usr/bin/prometheus-apache-exporter", []string{"prometheus-apache-exporter"}, "web"},
	{"prometheus nginx exporter", "prometheus-nginx-exporter.service", "/usr/bin/prometheus-nginx-exporter", []string{"prometheus-nginx-exporter"}, "web"},
	{"prometheus mysqld exporter", "prometheus-mysqld-exporter.service", "/usr/bin/prometheus-mysqld-exporter", []string{"prometheus-mysqld-exporter"}, "database"},
	{"prometheus postgres exporter", "prometheus-postgres-exporter.service", "/usr/bin/prometheus-postgres-exporter", []string{"prometheus-postgres-exporter"}, "database"},
	{"zabbix agent", "zabbix-agent.service", "/usr/sbin/zabbix_agentd", []string{"zabbix_agentd"}, "processes memory storage users"},
	{"zabbix agent 2", "zabbix-agent2.service", "/usr/sbin/zabbix_agent2", []string{"zabbix_agent2"}, "processes memory storage users"},
	{"check_mk agent", "check-mk-agent.socket", "/usr/bin/check_mk_agent", []string{"cmk-agent-ctl"}, "processes memory storage"},
	{"netdata", "netdata.service", "/usr/sbin/netdata", []string{"netdata"}, "processes memory storage web database"},
	{"munin node", "munin-node.service", "/usr/sbin/munin-node", []string{"munin-node"}, "processes memory storage users"},
	{"collectd", "collectd.service", "/usr/sbin/collectd", []string{"collectd"}, "memory storage"},
	{"telegraf", "telegraf.service", "/usr/bin/telegraf", []string{"telegraf"}, "memory storage"},
	{"nagios nrpe", "nagios-nrpe-server.service", "/usr/sbin/nrpe", []string{"nrpe"}, ""},
	{"icinga 2", "icinga2.service", "/usr/sbin/icinga2", []string{"icinga2"}, ""},
	{"monit", "monit.service", "/usr/bin/monit", []string{"monit"}, ""},
	{"smartd", "smartmontools.service", "/usr/sbin/smartd", []string{"smartd"}, "hardware"},
	{"rasdaemon", "rasdaemon.service", "/usr/sbin/rasdaemon", []string{"rasdaemon"}, "hardware"},
}

func collectMonitoring(ctx context.Context, h *Host, t Target) (Monitoring, []Missing) {
	m := Monitoring{Origin: "/etc/systemd/system"}
	units := unitFiles{h: h}
	daemons, err := processes(ctx, h)
	if err != nil && !errors.Is(err, ErrNotLive) {
		return m, missing("%s", because(err))
	}
	jobs, err := readJobs(h)
	if err != nil {
		return m, missing("%s", because(err))
	}
	for _, a := range agents {
		if h.Look(a.file) == "" {
			continue
		}
		one := Agent{Name: a.name, Origin: a.file, Starts: units.enabledBy(a.service)}
		if a.name == "smartd" && one.Starts == "" {
			one.Starts = units.enabledBy("smartd.service")
		}
		_, one.Running = daemon(daemons, a.programs...)
		m.Agents = append(m.Agents, one)
		if m.active(h, one) {
			for subject := range strings.FieldsSeq(a.covers) {
				m.Covers = append(m.Covers, Cover{subject, a.name, cmp.Or(one.Starts, a.file)})
			}
			m.configured(h, a.name)
		}
	}
	m.scheduled(jobs)
	m.arrays(h, &units)
	return m, m.mail(ctx, h, t.Now)
}

// active says whether an agent does its work: on a live host it has to run, in a folder to be started.
func (m *Monitoring) active(h *Host, a Agent) bool {
	if h.Live() && !strings.HasSuffix(a.Starts, ".socket") {
		return a.Running
	}
	return a.Starts != ""
}

// subjects are what a check is about, by words in its configuration.
var subjects = []struct {
	subject string
	words   *regexp.Regexp
}{
	{"web", regexp.MustCompile(`(?i)apache|nginx|httpd|check_http|port (?:80|443)\b|protocol https?`)},
	{"database", regexp.MustCompile(`(?i)mysql|mariadb|postgres|pgsql|check_(?:my|pg)sql`)},
	{"storage", regexp.MustCompile(`(?i)check filesystem|check_disk|space usage|vfs\.fs`)},
	{"memory", regexp.MustCompile(`(?i)memory usage|check_mem|check_swap|vm\.memory`)},
	{"processes", regexp.MustCompile(`(?i)check process|check_procs|check_load|loadavg|proc\.num`)},
	{"users", regexp.MustCompile(`(?i)check_users|system\.users`)},
	{"updates", regexp.MustCompile(`(?i)check_apt|apt\.updates|updates`)},
}

// configured reads what an agent is told to look at and whom it tells.
func (m *Monitoring) configured(h *Host, name string) {
	var patterns []string
	var told *regexp.Regexp
	switch name {
	case "monit":
		patterns = []string{"/etc/monit/monitrc", "/etc/monit/conf-enabled/*", "/etc/monit/conf.d/*", "/etc/monitrc"}
		told = regexp.MustCompile(`(?i)^set\s+(?:alert|mmonit)\s+(\S+)`)
	case "nagios nrpe":
		patterns = []string{"/etc/nagios/nrpe.cfg", "/etc/nagios/nrpe_local.cfg", "/etc/nagios/nrpe.d/*.cfg"}
		told = regexp.MustCompile(`^(?:allowed_hosts)\s*=\s*(\S+)`)
	case "zabbix agent", "zabbix agent 2":
		patterns = []string{"/etc/zabbix/zabbix_agentd.conf", "/etc/zabbix/zabbix_agentd.d/*.conf", "/etc/zabbix/zabbix_agentd.conf.d/*.conf", "/etc/zabbix/zabbix_agent2.conf", "/etc/zabbix/zabbix_agent2.d/*.conf"}
		told = regexp.MustCompile(`^(?:ServerActive|Server)\s*=\s*(\S+)`)
	case "check_mk agent":
		names, err := h.Glob("/usr/lib/check_mk_agent/plugins/*")
		for _, plugin := range names[:min(len(names), 200)] {
			if err == nil {
				m.covered(path.Base(plugin), plugin, name)
			}
		}
	}
	for _, pattern := range patterns {
		names, err := h.Glob(pattern)
		if err != nil {
			continue
		}
		for _, file := range names {
			text, err := h.ReadFile(file)
			if err != nil || len(text) > maxScript {
				continue
			}
			for line := range strings.Lines(string(text)) {
				line = strings.TrimSpace(line)
				if strings.HasPrefix(line, "#") || line == "" {
					continue
				}
				m.covered(line, file, name)
				if s := told.FindStringSubmatch(line); s != nil && len(m.Alerts) < 100 {
					if where := s[1]; where != "127.0.0.1" && where != "127.0.0.1,::1" && where != "localhost" {
						m.Alerts = append(m.Alerts, Setting{name + ": " + where, file})
					}
				}
			}
		}
	}
}

func (m *Monitoring) covered(text, origin, by string) {
	for _, s := range subjects {
		if s.words.MatchString(text) && len(m.Covers) < 500 {
			m.Covers = append(m.Covers, Cover{s.subject, by, origin})
		}
	}
}

var (
	auditJob = regexp.MustCompile(`\bdoorward\b[^\n]*\baudit\b|\blynis\b|\boscap\b|\bdebsecan\b|\bcnspec\b`)
	scanJob  = regexp.MustCompile(`\bdoorward\b[^\n]*\baudit\b|\bnmap\b|\bgvm|\bopenvas\b|\brkhunter\b|\bchkrootkit\b|\baide(?:\.wrapper)?\b|\btripwire\b|\bnuclei\b|\btestssl|\bsuricata-update\b`)
)

func (m *Monitoring) scheduled(jobs []job) {
	for _, j := range jobs {
		if auditJob.MatchString(j.text) && len(m.Audits) < 100 {
			m.Audits = append(m.Audits, Setting{j.every, j.origin})
		}
		if scanJob.MatchString(j.text) && len(m.Scans) < 100 {
			m.Scans = append(m.Scans, Setting{j.every, j.origin})
		}
	}
}

var (
	smartMail = regexp.MustCompile(`(?m)^\s*[^#\n]*\s-m\s+(\S+)`)
	mdadmMail = regexp.MustCompile(`(?mi)^MAILADDR\s+(\S+)`)
)

// arrays finds who is told of disks and arrays.
func (m *Monitoring) arrays(h *Host, units *unitFiles) {
	for _, a := range m.Agents {
		if text, err := h.ReadFile("/etc/smartd.conf"); a.Name == "smartd" && m.active(h, a) && err == nil {
			if to := smartMail.FindSubmatch(text); to != nil {
				m.Disks = Setting{string(to[1]), "/etc/smartd.conf"}
			}
		}
	}
	if by := cmp.Or(units.enabledBy("mdmonitor.service"), units.enabledBy("mdmonitor-oneshot.timer"), units.enabledBy("mdadm.service")); by != "" {
		for _, name := range []string{"/etc/mdadm/mdadm.conf", "/etc/mdadm.conf"} {
			if text, err := h.ReadFile(name); err == nil {
				if to := mdadmMail.FindSubmatch(text); to != nil {
					m.Arrays = Setting{string(to[1]), name}
				}
			}
		}
	}
}
