package facts

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

// Apt is how the host keeps itself up to date.
type Apt struct {
	Installed bool `cel:"installed"` // apt is here
	// Unattended says that unattended-upgrades is installed.
	Unattended bool `cel:"unattended"`
	// Enable is APT::Periodic::Enable: "0" turns everything periodic off.
	Enable Setting `cel:"enable"`
	// Refresh and Upgrade are APT::Periodic::Update-Package-Lists and ::Unattended-Upgrade. Every is how often, in days: 0 is
	// never, what is under a day is "always".
	Refresh      Setting `cel:"refresh"`
	RefreshEvery float64 `cel:"refresh_every"`
	Upgrade      Setting `cel:"upgrade"`
	UpgradeEvery float64 `cel:"upgrade_every"`
	// Timers start the periodic work: timers that are enabled, or the daily job of cron on a host without systemd.
	Timers []Setting `cel:"timers"`
	// Patterns are which archives unattended-upgrades takes from.
	Patterns []OriginPattern `cel:"patterns"`
	// Security says that one of the patterns takes the security updates of this release.
	Security bool `cel:"security"`
	// Excluded are packages that are never upgraded.
	Excluded []Setting `cel:"excluded"`
	// Mail is who is told, empty for nobody; MailReport is when: always, only-on-error or on-change.
	Mail       Setting `cel:"mail"`
	MailReport Setting `cel:"mail_report"`
	// Mailer is the program that sends it; empty when there is none.
	Mailer string `cel:"mailer"`
	// LastRun is when unattended-upgrades last began; zero if it never did. LastError is the last error in its log.
	LastRun   time.Time `cel:"last_run"`
	LastError Setting   `cel:"last_error"`
	// Proxy is Acquire::http::Proxy. Unauthenticated says that unsigned archives or packages are taken.
	Proxy           Setting `cel:"proxy"`
	Unauthenticated Setting `cel:"unauthenticated"`
	Origin          string  `cel:"origin"`
}

// OriginPattern is an entry of Unattended-Upgrade::Origins-Pattern or ::Allowed-Origins.
type OriginPattern struct {
	Pattern  string `cel:"pattern"`
	Security bool   `cel:"security"` // it takes the security updates of this release
	Origin   string `cel:"origin"`
}

const unattendedLog = "/var/log/unattended-upgrades/unattended-upgrades.log"

func collectApt(ctx context.Context, h *Host, _ Target) (Apt, []Missing) {
	a := Apt{Origin: "/etc/apt/apt.conf.d"}
	a.Installed = h.Look("/usr/bin/apt-get") != "" || h.Exists("/etc/apt")
	if !a.Installed {
		return a, nil
	}
	conf, err := readAptConf(h)
	if err != nil {
		return a, missing("%s", because(err))
	}
	if asked, err := askApt(ctx, h, conf); err == nil {
		conf = asked
	} else if !errors.Is(err, ErrNoExec) && !errors.Is(err, fs.ErrNotExist) {
		return a, missing("%s", because(err))
	}
	a.Unattended = h.Look("/usr/bin/unattended-upgrade", "/usr/bin/unattended-upgrades") != ""
	a.periodic(conf)
	a.timers(h)
	a.patterns(conf, h)
	a.Excluded = conf.list("Unattended-Upgrade::Package-Blacklist")
	a.Mail = conf.get("Unattended-Upgrade::Mail", "")
	report := "on-change"
	if aptTruth(conf.get("Unattended-Upgrade::MailOnlyOnError", "").Value) {
		report = "only-on-error"
	}
	a.MailReport = conf.get("Unattended-Upgrade::MailReport", report)
	a.Mailer = h.Look("/usr/sbin/sendmail", "/usr/bin/mail")
	a.Proxy = conf.get("Acquire::http::Proxy", "")
	a.Proxy.Value = noUserInfo(a.Proxy.Value)
	for _, name := range []string{"APT::Get::AllowUnauthenticated", "Acquire::AllowInsecureRepositories", "Acquire::AllowDowngradeToInsecureRepositories"} {
		if s := conf.get(name, ""); aptTruth(s.Value) {
			a.Unauthenticated = Setting{name, s.Origin}
		}
	}
	return a, a.log(h)
}

// aptTruth reads a word as apt's FindB does.
func aptTruth(word string) bool {
	switch strings.ToLower(word) {
	case "yes", "true", "with", "on", "enable", "1":
		return true
	}
	return false
}

func (a *Apt) periodic(conf *aptConf) {
	a.Enable = conf.get("APT::Periodic::Enable", "1")
	a.Refresh = conf.get("APT::Periodic::Update-Package-Lists", "0")
	a.Upgrade = conf.get("APT::Periodic::Unattended-Upgrade", "0")
	a.RefreshEvery, a.UpgradeEvery = aptDays(a.Refresh.Value), aptDays(a.Upgrade.Value)
	if a.Enable.Value == "0" {
		a.RefreshEvery, a.UpgradeEvery = 0, 0
	}
}

// aptDays reads an interval of /usr/lib/apt/apt.systemd.daily: days, or with s, m, h, d; always.
func aptDays(text string) float64 {
	if text == "always" {
		return 1.0 / 24
	}
	unit := 1.0
	for ending, of := range map[string]float64{"s": 1.0 / 86400, "m": 1.0 / 1440, "h": 1.0 / 24, "d": 1} {
		if trimmed, ok := strings.CutSuffix(text, ending); ok {
			text, unit = trimmed, of
			break
		}
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil { // the script then does nothing
		return 0
	}
	return float64(n) * unit
}

func (a *Apt) timers(h *Host) {
	units := unitFiles{h: h}
	for _, name := range []string{"apt-daily.timer", "apt-daily-upgrade.timer"} {
		if by := units.enabledBy(name); by != "" && (!h.Live() || runsSystemd(h)) {
			a.Timers = append(a.Timers, Setting{name, by})
		}
	}
	const job = "/etc/cron.daily/apt-compat"
	if info, err := h.Stat(job); err == nil && info.Mode()&0o111 != 0 && h.Look("/usr/sbin/cron", "/usr/sbin/crond", "/usr/sbin/anacron") != "" && !runsSystemd(h) {
		a.Timers = append(a.Timers, Setting{"apt-compat", job})
	}
}

// patterns reads which archives are taken from, and tries each against the security archive of the release.
func (a *Apt) patterns(conf *aptConf, h *Host) {
	values, _, err := osRelease(h)
	if err != nil {
		values = map[string]string{}
	}
	table, err := readEOL()
	codename := values["VERSION_CODENAME"]
	if codename == "" && err == nil {
		codename = table.of(values["ID"], values["VERSION_ID"], "").Codename
	}
	maker, security := "Debian", map[string]string{"o": "Debian", "l": "Debian-Security", "n": codename + "-security", "c": "main"}
	archives := []string{"stable-security", "oldstable-security", "oldoldstable-security", codename + "-security"}
	if values["ID"] == "ubuntu" {
		maker, security = "Ubuntu", map[string]string{"o": "Ubuntu", "l": "Ubuntu", "n": codename, "c": "main"}
		archives = []string{codename + "-security"}
	}
	for _, l := range a.lists(h) {
		if l.Security && l.Maker == maker { // what the archive says of itself is better than what it is known to say
			security = map[string]string{"o": l.Maker, "l": l.Label, "n": l.Codename, "c": "main"}
			archives = []string{l.Archive}
			break
		}
	}
	fill := strings.NewReplacer("${distro_id}", maker, "${distro_codename}", codename).Replace
	for _, s := range conf.list("Unattended-Upgrade::Allowed-Origins") {
		// "Debian:stable" and "Debian stable" are both in use.
		origin, archive, ok := strings.Cut(fill(s.Value), ":")
		if !ok {
			origin, archive, _ = strings.Cut(fill(s.Value), " ")
		}
		a.try(s, "o="+strings.TrimSpace(origin)+",a="+strings.TrimSpace(archive), security, archives)
	}
	for _, s := range conf.list("Unattended-Upgrade::Origins-Pattern") {
		a.try(s, fill(s.Value), security, archives)
	}
}

// lists reads the Release files of the lists that the host has.
func (a *Apt) lists(h *Host) (all []AptList) {
	names, err := h.Glob(aptLists + "/*Release")
	if err != nil || len(names) > maxLists {
		return nil
	}
	for _, name := range names {
		if l, err := readRelease(h, name); err == nil {
			all = append(all, l)
		}
	}
	return all
}

// try says whether a pattern takes the security archive: every key of it has to fit.
func (a *Apt) try(s Setting, pattern string, security map[string]string, archives []string) {
	one := OriginPattern{Pattern: s.Value, Origin: s.Origin, Security: true}
	keys := map[string]string{"origin": "o", "o": "o", "label": "l", "l": "l", "codename": "n", "n": "n", "component": "c", "c": "c",
		"archive": "a", "suite": "a", "a": "a"}
	for part := range strings.SplitSeq(pattern, ",") {
		key, want, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok && strings.TrimSpace(part) == "*" {
			continue
		}
		fits := func(value string) bool { ok, err := path.Match(want, value); return ok && err == nil }
		switch short := keys[strings.TrimSpace(key)]; short {
		case "a":
			found := false
			for _, archive := range archives {
				found = found || fits(archive)
			}
			one.Security = one.Security && found
		case "":
			one.Security = false // a site, or a key that unattended-upgrades stops at
		default:
			one.Security = one.Security && fits(security[short])
		}
	}
	a.Patterns = append(a.Patterns, one)
	a.Security = a.Security || one.Security
}

// log reads when unattended-upgrades last ran and what went wrong. Its times are the host's local ones and read as UTC, which is
// off by some hours.
func (a *Apt) log(h *Host) []Missing {
	text, err := h.ReadFile(unattendedLog)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return []Missing{{"last_run", because(err)}, {"last_error", because(err)}}
	}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		stamp, rest, ok := bytes.Cut(line, []byte(","))
		if !ok {
			continue
		}
		at, err := time.Parse("2006-01-02 15:04:05", string(stamp))
		if err != nil {
			continue
		}
		switch {
		case bytes.Contains(rest, []byte("Starting unattended upgrades")):
			a.LastRun, a.LastError = at, Setting{}
		case bytes.Contains(rest, []byte(" ERROR ")):
			a.LastError = Setting{string(bytes.TrimSpace(line)), unattendedLog + ":" + strconv.Itoa(number)}
		}
	}
	return nil
}
