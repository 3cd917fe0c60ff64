package facts

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	maxJobs   = 2000
	maxScript = 256 << 10 // bytes of a script that are looked at
)

// job is a command that the host runs again and again.
type job struct {
	text   string // the command, or the script that it is
	every  string // hourly, daily, weekly, monthly, or the schedule as it stands
	origin string
}

// jobName is what run-parts looks at: it ignores every other name, backup.sh too.
var jobName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// readJobs lists what cron and systemd's timers run.
func readJobs(h *Host) ([]job, error) {
	var all []job
	add := func(j job) {
		if len(all) < maxJobs {
			all = append(all, j)
		}
	}
	crontabs, err := cronFiles(h)
	if err != nil {
		return nil, err
	}
	for _, name := range crontabs {
		entries, err := readCrontab(h, name)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			add(job{e.Command, e.Schedule, e.Origin})
		}
	}
	for _, every := range []string{"hourly", "daily", "weekly", "monthly"} {
		names, err := h.Glob("/etc/cron." + every + "/*")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			info, err := h.Stat(name)
			if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 || !jobName.MatchString(path.Base(name)) || info.Size() > maxScript {
				continue
			}
			text, err := h.ReadFile(name)
			if err != nil {
				return nil, err
			}
			add(job{withoutComments(string(text)), every, name})
		}
	}
	timers, err := readTimers(h)
	for _, t := range timers {
		add(t)
	}
	return all, err
}

// withoutComments leaves out the lines of a script that are comments.
func withoutComments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// readTimers lists what the timers start that are on.
func readTimers(h *Host) (all []job, err error) {
	units := unitFiles{h: h}
	units.read()
	if units.err != nil {
		return nil, units.err
	}
	for name, by := range units.links {
		if path.Ext(name) != ".timer" || units.masked(name) != "" {
			continue
		}
		timer := readUnit(h, &units, name)
		service := strings.TrimSuffix(name, ".timer") + ".service"
		if of := timer["Timer.Unit"]; len(of) > 0 {
			service = of[len(of)-1]
		}
		run := readUnit(h, &units, service)
		every := strings.Join(append(append(timer["Timer.OnCalendar"], timer["Timer.OnUnitActiveSec"]...), timer["Timer.OnBootSec"]...), " ")
		all = append(all, job{strings.Join(append(run["Service.ExecStart"], run["Service.ExecStartPre"]...), "\n"), every, by})
	}
	return all, nil
}

// readUnit reads a unit and its drop-ins: SECTION.KEY with the values in order; an empty value forgets those before.
func readUnit(h *Host, units *unitFiles, name string) map[string][]string {
	names := []string{units.file(name)}
	for _, folder := range unitFolders() {
		more, err := h.Glob(folder + "/" + name + ".d/*.conf")
		if err == nil {
			names = append(names, more...)
		}
	}
	values := map[string][]string{}
	for _, file := range names {
		if file == "" {
			continue
		}
		text, err := h.ReadFile(file)
		if err != nil || len(text) > maxScript {
			continue
		}
		for _, s := range unitSettings(string(text)) {
			if s.value == "" {
				delete(values, s.key)
				continue
			}
			values[s.key] = append(values[s.key], s.value)
		}
	}
	return values
}

// unitSetting is a line of a file in systemd's format.
type unitSetting struct {
	key, value string // SECTION.KEY
	line       int
}

func unitSettings(text string) (all []unitSetting) {
	section, number := "", 0
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		default:
			if key, value, ok := strings.Cut(line, "="); ok && len(all) < 5000 {
				all = append(all, unitSetting{section + "." + strings.TrimSpace(key), strings.TrimSpace(value), number})
			}
		}
	}
	return all
}

// daemonSetting is a value of one of systemd's own daemons: /etc/systemd/NAME.conf, then the drop-ins of all folders by
// their names, of which one in /etc hides one of the same name in /usr/lib.
func daemonSetting(h *Host, name, key, fallback string) Setting {
	result := Setting{fallback, "default"}
	files := map[string]string{}
	var order []string
	for _, folder := range []string{"/usr/lib/systemd", "/run/systemd", "/etc/systemd"} {
		more, err := h.Glob(folder + "/" + name + ".conf.d/*.conf")
		if err != nil {
			continue
		}
		for _, file := range more {
			if files[path.Base(file)] == "" {
				order = append(order, path.Base(file))
			}
			files[path.Base(file)] = file
		}
	}
	read := func(file string) {
		text, err := h.ReadFile(file)
		if err != nil {
			return
		}
		for _, s := range unitSettings(string(text)) {
			if s.key == key && s.value != "" {
				result = Setting{s.value, fmt.Sprintf("%s:%d", file, s.line)}
			}
		}
	}
	read(h.Look("/etc/systemd/"+name+".conf", "/usr/lib/systemd/"+name+".conf"))
	slices.Sort(order)
	for _, base := range order {
		read(files[base])
	}
	return result
}
