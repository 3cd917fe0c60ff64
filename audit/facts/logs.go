package facts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

const maxForwards = 500

// Logs is where what happens is written down, who gets it and who looks at it.
type Logs struct {
	// Forwards are the other hosts that get this host's logs.
	Forwards []Forward `cel:"forwards"`
	// Receives are the ways in which other devices' logs arrive here.
	Receives []Setting `cel:"receives"`
	// Persistent says that logs outlive a restart: the journal on disk, or a syslog daemon that writes files.
	Persistent Setting `cel:"persistent"`
	// Rotation is the job that keeps log files from filling the disk.
	Rotation Setting `cel:"rotation"`
	// Digests are summaries of the logs that are sent to people.
	Digests []Digest `cel:"digests"`
	// Declared are the logs that the administrator names.
	Declared []LogState `cel:"declared"`
	// Readers are the programs that look at files, with the files' patterns.
	Readers []LogReader `cel:"readers"`
	Origin  string      `cel:"origin"`
}

// Forward is a host that gets logs.
type Forward struct {
	To       string `cel:"to"`
	Protocol string `cel:"protocol"` // udp, tcp, relp, https, …
	TLS      bool   `cel:"tls"`
	By       string `cel:"by"` // rsyslog, journald, filebeat
	Origin   string `cel:"origin"`
}

// Digest is a summary by mail.
type Digest struct {
	By     string `cel:"by"`
	To     string `cel:"to"`    // empty: printed, or written to a file
	Every  string `cel:"every"` // daily
	Mailer string `cel:"mailer"`
	Origin string `cel:"origin"`
}

// LogReader is a program that looks at what is written into files.
type LogReader struct {
	By     string `cel:"by"`
	File   string `cel:"file"` // a pattern
	Origin string `cel:"origin"`
}

// LogState is a declared log as it is.
type LogState struct {
	File    string    `cel:"file"`
	Kind    string    `cel:"kind"` // errors, actions or calls
	Present bool      `cel:"present"`
	Written time.Time `cel:"written"` // its last line
	// Silent says that it has not gone on for as long as the administrator allows.
	Silent bool `cel:"silent"`
	// Readers are the programs that look at it.
	Readers []string `cel:"readers"`
	Origin  string   `cel:"origin"`
}

func collectLogs(_ context.Context, h *Host, t Target) (Logs, []Missing) {
	l := Logs{Origin: "/etc/rsyslog.conf"}
	if err := l.rsyslog(h); err != nil {
		return l, missing("%s", because(err))
	}
	units := unitFiles{h: h}
	l.journald(h, &units)
	l.shippers(h, &units)
	jobs, err := readJobs(h)
	if err != nil {
		return l, missing("%s", because(err))
	}
	for _, j := range jobs {
		if strings.Contains(j.text, "logrotate") && h.Look("/usr/sbin/logrotate", "/usr/bin/logrotate") != "" {
			l.Rotation = Setting{j.every, j.origin}
		}
	}
	l.digests(h, jobs)
	l.readers(h, &units)
	l.declared(h, t)
	return l, nil
}

var (
	rsyslogInclude = regexp.MustCompile(`(?i)^(?:\$IncludeConfig\s+(\S+)|include\s*\(\s*.*?(?:file\s*=\s*"([^"]+)").*\))`)
	rsyslogLegacy  = regexp.MustCompile(`(?:^|[\s;&])(@@?)(?:\([^)]*\))?(\[[0-9a-fA-F:]+\]|[\w.-]+)(?::(\d+))?`)
	rsyslogField   = regexp.MustCompile(`(?i)(\w[\w.]*)\s*=\s*"([^"]*)"`)
)

// rsyslog reads where rsyslog sends, in its order of files.
func (l *Logs) rsyslog(h *Host) error {
	if !h.Exists("/etc/rsyslog.conf") || h.Look("/usr/sbin/rsyslogd", "/sbin/rsyslogd") == "" {
		return nil
	}
	files := 0
	var read func(name string, depth int) error
	read = func(name string, depth int) error {
		if files++; files > 500 || depth > 10 {
			return fmt.Errorf("%s: rsyslog's files include each other too often", name)
		}
		text, err := h.ReadFile(name)
		if err != nil {
			return err
		}
		for _, s := range rsyslogStatements(string(text)) {
			if m := rsyslogInclude.FindStringSubmatch(s.text); m != nil {
				names, err := h.Glob(m[1] + m[2])
				if err != nil {
					return err
				}
				for _, name := range names {
					if err := read(name, depth+1); err != nil {
						return err
					}
				}
				continue
			}
			l.statement(s.text, fmt.Sprintf("%s:%d", name, s.line))
		}
		return nil
	}
	return read("/etc/rsyslog.conf", 0)
}

type rsyslogStatement struct {
	text string
	line int
}

// rsyslogStatements joins what stands in parentheses over several lines, and leaves comments out.
func rsyslogStatements(text string) (all []rsyslogStatement) {
	number, depth := 0, 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		if at := strings.Index(line, " #"); at >= 0 {
			line = line[:at]
		}
		if line == "" {
			continue
		}
		if depth > 0 {
			last := &all[len(all)-1]
			if len(last.text) < maxScript {
				last.text += " " + line
			}
		} else {
			all = append(all, rsyslogStatement{line, number})
		}
		depth = max(0, depth+strings.Count(line, "(")-strings.Count(line, ")"))
	}
	return all
}

func (l *Logs) statement(text, origin string) {
	fields := map[string]string{}
	for _, m := range rsyslogField.FindAllStringSubmatch(text, 100) {
		fields[strings.ToLower(m[1])] = m[2]
	}
	lower := strings.ToLower(text)
	switch kind := strings.ToLower(fields["type"]); {
	case len(l.Forwards)+len(l.Receives) >= maxForwards:
	case strings.Contains(lower, "action") && (kind == "omfwd" || kind == "omrelp" || kind == "omelasticsearch" || kind == "omhttp" || kind == "omkafka"):
		f := Forward{To: cmp.Or(fields["target"], fields["server"], fields["broker"]), Protocol: strings.ToLower(cmp.Or(fields["protocol"], "udp")), By: "rsyslog", Origin: origin}
		if kind != "omfwd" {
			f.Protocol = strings.TrimPrefix(kind, "om")
		}
		f.TLS = fields["streamdriver"] != "" && fields["streamdriver"] != "ptcp" && fields["streamdrivermode"] == "1" || iniTruth(fields["tls"]) || iniTruth(fields["usehttps"])
		l.Forwards = append(l.Forwards, f)
	case strings.HasPrefix(lower, "input") && (kind == "imudp" || kind == "imtcp" || kind == "imrelp"):
		l.Receives = append(l.Receives, Setting{kind + " port " + fields["port"], origin})
	case strings.HasPrefix(lower, "$udpserverrun") || strings.HasPrefix(lower, "$inputtcpserverrun"):
		l.Receives = append(l.Receives, Setting{text, origin})
	case strings.HasPrefix(lower, "input") && kind == "imfile":
		l.Readers = append(l.Readers, LogReader{"rsyslog", fields["file"], origin})
	case kind == "":
		if m := rsyslogLegacy.FindStringSubmatch(text); m != nil && !strings.HasPrefix(text, "$") {
			f := Forward{To: m[2], Protocol: "udp", By: "rsyslog", Origin: origin}
			if m[1] == "@@" {
				f.Protocol = "tcp"
			}
			l.Forwards = append(l.Forwards, f)
		}
	}
	if l.Persistent.Value == "" && (strings.Contains(text, "/var/log/") || strings.Contains(lower, "omfile")) && !strings.HasPrefix(lower, "input") {
		l.Persistent = Setting{"rsyslog writes files", origin}
	}
}

func (l *Logs) journald(h *Host, units *unitFiles) {
	storage := daemonSetting(h, "journald", "Journal.Storage", "auto")
	if storage.Value == "persistent" || storage.Value == "auto" && h.Exists("/var/log/journal") {
		if storage.Origin == "default" {
			storage.Origin = "/var/log/journal"
		}
		l.Persistent = Setting{"journal", storage.Origin}
	}
	if by := units.enabledBy("systemd-journal-upload.service"); by != "" {
		if url := daemonSetting(h, "journal-upload", "Upload.URL", ""); url.Value != "" {
			l.Forwards = append(l.Forwards, Forward{To: url.Value, Protocol: "https", TLS: !strings.HasPrefix(url.Value, "http:"), By: "journald", Origin: url.Origin})
		}
	}
	if by := units.enabledBy("systemd-journal-remote.socket"); by != "" {
		l.Receives = append(l.Receives, Setting{"systemd-journal-remote", by})
	}
}

var shippers = []struct{ name, service, file, mark string }{
	{"syslog-ng", "syslog-ng.service", "/etc/syslog-ng/syslog-ng.conf", `(?m)^[^#\n]*\b(?:network|tcp|udp|syslog|http)\s*\(\s*"?([\w.:-]+)"?`},
	{"filebeat", "filebeat.service", "/etc/filebeat/filebeat.yml", `(?m)^\s*hosts:\s*\[?\s*"?'?([\w.:/-]+)`},
	{"fluent-bit", "fluent-bit.service", "/etc/fluent-bit/fluent-bit.conf", `(?mi)^\s*host\s+([\w.:-]+)`},
	{"vector", "vector.service", "/etc/vector/vector.yaml", `(?m)^\s*(?:address|endpoint|endpoints|uri):\s*\[?\s*"?([\w.:/-]+)`},
	{"promtail", "promtail.service", "/etc/promtail/config.yml", `(?m)^\s*-?\s*url:\s*"?([\w.:/-]+)`},
	{"alloy", "alloy.service", "/etc/alloy/config.alloy", `(?m)^\s*url\s*=\s*"([\w.:/-]+)`},
	{"wazuh-agent", "wazuh-agent.service", "/var/ossec/etc/ossec.conf", `<address>([^<]+)</address>`},
}

// shippers lists the other programs that send logs away and are started.
func (l *Logs) shippers(h *Host, units *unitFiles) {
	for _, s := range shippers {
		by := units.enabledBy(s.service)
		text, err := h.ReadFile(s.file)
		if by == "" || err != nil {
			continue
		}
		if m := regexp.MustCompile(s.mark).FindSubmatch(text); m != nil {
			l.Forwards = append(l.Forwards, Forward{To: string(m[1]), Protocol: s.name, By: s.name, TLS: strings.HasPrefix(string(m[1]), "https:"), Origin: s.file})
		}
	}
}

var equals = regexp.MustCompile(`^\s*([A-Za-z]+)\s*=\s*"?([^"]*?)"?\s*$`)

// digests finds logwatch and logcheck where a job runs them.
func (l *Logs) digests(h *Host, jobs []job) {
	mailer := h.Look("/usr/sbin/sendmail", "/usr/bin/mail")
	logwatch := map[string]string{"output": "stdout", "mailto": "root"}
	for _, name := range []string{"/usr/share/logwatch/default.conf/logwatch.conf", "/usr/share/logwatch/dist.conf/logwatch.conf", "/etc/logwatch/conf/logwatch.conf"} {
		for key, value := range assignments(h, name) {
			logwatch[key] = value
		}
	}
	for _, j := range jobs {
		switch {
		case strings.Contains(j.text, "logwatch") && h.Look("/usr/sbin/logwatch", "/usr/share/logwatch/scripts/logwatch.pl") != "":
			d := Digest{By: "logwatch", Every: j.every, Mailer: mailer, Origin: j.origin}
			if to := logwatchTo.FindStringSubmatch(j.text); to != nil {
				d.To = to[1]
			} else if strings.EqualFold(logwatch["output"], "mail") || logwatchMail.MatchString(j.text) {
				d.To = logwatch["mailto"]
			}
			l.Digests = append(l.Digests, d)
		case strings.Contains(j.text, "/usr/sbin/logcheck") && h.Look("/usr/sbin/logcheck") != "" && !strings.HasPrefix(j.every, "@reboot"):
			l.Digests = append(l.Digests, Digest{By: "logcheck", To: cmp.Or(assignments(h, "/etc/logcheck/logcheck.conf")["sendmailto"], "logcheck"), Every: j.every, Mailer: mailer, Origin: j.origin})
		}
	}
}

var (
	logwatchMail = regexp.MustCompile(`--output[ =]mail`)
	logwatchTo   = regexp.MustCompile(`--mailto[ =](\S+)`)
)

// assignments reads lines such as "MailTo = root", the last of each name counting, with lower-case names.
func assignments(h *Host, name string) map[string]string {
	values := map[string]string{}
	text, err := h.ReadFile(name)
	if err != nil {
		return values
	}
	for line := range strings.Lines(string(text)) {
		if m := equals.FindStringSubmatch(line); m != nil {
			values[strings.ToLower(m[1])] = m[2]
		}
	}
	return values
}

var readerPatterns = []struct{ by, service, files, mark string }{
	{"logcheck", "", "/etc/logcheck/logcheck.logfiles", `(?m)^(/\S+)`},
	{"logcheck", "", "/etc/logcheck/logcheck.logfiles.d/*", `(?m)^(/\S+)`},
	{"crowdsec", "crowdsec.service", "/etc/crowdsec/acquis.yaml", `(?m)^\s*-\s+"?(/[^"\s]+)`},
	{"crowdsec", "crowdsec.service", "/etc/crowdsec/acquis.d/*", `(?m)^\s*-\s+"?(/[^"\s]+)`},
	{"filebeat", "filebeat.service", "/etc/filebeat/filebeat.yml", `(?m)^\s*-\s+"?(/[^"\s]+)`},
	{"promtail", "promtail.service", "/etc/promtail/config.yml", `(?m)^\s*__path__:\s*"?(/[^"\s]+)`},
	{"fluent-bit", "fluent-bit.service", "/etc/fluent-bit/fluent-bit.conf", `(?mi)^\s*path\s+(/\S+)`},
	{"wazuh-agent", "wazuh-agent.service", "/var/ossec/etc/ossec.conf", `<location>(/[^<]+)</location>`},
	{"monit", "monit.service", "/etc/monit/monitrc", `(?m)^\s*check\s+file\s+\S+\s+with\s+path\s+(/\S+)`},
	{"monit", "monit.service", "/etc/monit/conf-enabled/*", `(?m)^\s*check\s+file\s+\S+\s+with\s+path\s+(/\S+)`},
}

// readers lists the programs that look at logs and are started.
func (l *Logs) readers(h *Host, units *unitFiles) {
	if jails, err := readJails(h); err == nil && units.enabledBy("fail2ban.service") != "" {
		for _, j := range jails {
			for _, file := range j.Logs {
				if j.Enabled && j.Error == "" && !strings.HasPrefix(j.Backend, "systemd") && len(l.Readers) < 5000 {
					l.Readers = append(l.Readers, LogReader{"fail2ban jail " + j.Name, file, j.Origin})
				}
			}
		}
	}
	for _, p := range readerPatterns {
		if p.service != "" && units.enabledBy(p.service) == "" || p.service == "" && !slices.ContainsFunc(l.Digests, func(d Digest) bool { return d.By == p.by && d.To != "" }) {
			continue
		}
		names, err := h.Glob(p.files)
		if err != nil {
			continue
		}
		for _, name := range names {
			text, err := h.ReadFile(name)
			if errors.Is(err, fs.ErrNotExist) || err != nil {
				continue
			}
			for _, m := range regexp.MustCompile(p.mark).FindAllSubmatch(text, 1000) {
				if len(l.Readers) < 5000 {
					l.Readers = append(l.Readers, LogReader{p.by, string(m[1]), name})
				}
			}
		}
	}
}

func (l *Logs) declared(h *Host, t Target) {
	for _, log := range t.Logs {
		s := LogState{File: log.File, Kind: cmp.Or(log.Kind, "errors"), Origin: "audit.logs"}
		names, err := h.Glob(log.File)
		if err != nil {
			names = nil
		}
		for _, name := range names {
			if at, ok := modified(h, name); ok && !at.Before(s.Written) {
				s.Present, s.Written, s.Origin = true, at, name
			}
		}
		s.Silent = !s.Present || log.Within > 0 && t.Now.Sub(s.Written) > log.Within
		for _, r := range l.Readers {
			for _, name := range append(names, log.File) {
				if ok, err := path.Match(r.File, name); (r.File == name || ok && err == nil) && !slices.Contains(s.Readers, r.By) && len(s.Readers) < 20 {
					s.Readers = append(s.Readers, r.By)
				}
			}
		}
		l.Declared = append(l.Declared, s)
	}
}
