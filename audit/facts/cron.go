package facts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const (
	maxCronFiles = 2_000
	maxCronJobs  = 10_000
)

// Cron are the jobs of cron and anacron.
type Cron struct {
	Installed bool      `cel:"installed"` // a cron daemon is there
	Mailer    bool      `cel:"mailer"`    // there is a sendmail, without which cron cannot mail
	Jobs      []CronJob `cel:"jobs"`
}

// maxCronCommand is the longest argument that the kernel takes (execve(2), MAX_ARG_STRLEN): no shell can be given more, so
// that a longer line never runs. Every account has a crontab, and must not keep the others from being looked at.
const maxCronCommand = 128 << 10

// CronJob is one line of a crontab, or one script of a folder such as /etc/cron.daily.
type CronJob struct {
	Schedule string `cel:"schedule"`
	User     string `cel:"user"`
	Command  string `cel:"command"` // its first program; arguments and variables, which may be passwords, are left out
	// Output and Errors are where its standard output and errors go: "file", "log" (syslog or the journal), "mail",
	// "discarded" (/dev/null), or "lost" (to cron, which has nobody to mail to or no mailer).
	Output string `cel:"output"`
	Errors string `cel:"errors"`
	MailTo string `cel:"mail_to"`
	Script string `cel:"script"` // the first file that it runs from outside the system's own folders; ""
	// Writable says who but root may change a file that a job of root runs, or a folder on the way; "" nobody.
	Writable string `cel:"writable"`
	Origin   string `cel:"origin"`

	paths []string // what it runs
}

func collectCron(ctx context.Context, h *Host, _ Target) (Cron, []Missing) {
	c := Cron{Mailer: h.Look("/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/bin/sendmail") != ""}
	c.Installed = h.Look("/usr/sbin/cron", "/usr/sbin/crond", "/usr/sbin/anacron", "/usr/bin/crond") != ""
	users, err := readPasswd(h)
	if err != nil {
		return c, missing("%s", because(err))
	}
	names, err := cronFiles(h)
	if err != nil {
		return c, missing("%s", because(err))
	}
	uids := map[string]int{}
	for _, u := range users {
		uids[u.Name] = u.UID
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return c, missing("%s", because(ctx.Err()))
		}
		if err := c.file(h, name, uids); err != nil {
			return c, missing("%s", because(err))
		}
		if len(c.Jobs) > maxCronJobs {
			return c, missing("%s: there are more than %d jobs", name, maxCronJobs)
		}
	}
	for i := range c.Jobs {
		c.Jobs[i].Command = shownCommand(c.Jobs[i].Command)
	}
	return c, nil
}

// shownCommand is what a report may tell of a command: the program, and that there is more.
func shownCommand(command string) string {
	words := strings.Fields(command)
	for i, w := range words {
		if strings.Contains(w, "=") && !strings.HasPrefix(w, "/") {
			if strings.ContainsAny(w, "\"'`$(") {
				return "…" // the value may go on in the next word
			}
			continue
		}
		if strings.ContainsAny(w, "\"'`$()<>|&;=") {
			return "…"
		}
		if i < len(words)-1 {
			return w + " …"
		}
		return w
	}
	return "…"
}

// cronFiles lists the crontabs that cron reads: in cron.d only names without a dot.
func cronFiles(h *Host) ([]string, error) {
	names := []string{"/etc/crontab", "/etc/anacrontab"}
	for _, dir := range []string{"/etc/cron.d", "/var/spool/cron/crontabs", "/var/spool/cron"} {
		entries, err := h.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() || dir == "/etc/cron.d" && strings.Trim(e.Name(), cronName) != "" {
				continue
			}
			names = append(names, path.Join(dir, e.Name()))
		}
	}
	if len(names) > maxCronFiles {
		return nil, fmt.Errorf("there are more than %d crontabs", maxCronFiles)
	}
	return names, nil
}

const cronName = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// file looks at the jobs of one crontab.
func (c *Cron) file(h *Host, name string, uids map[string]int) error {
	entries, err := readCrontab(h, name)
	if err != nil {
		return err
	}
	shells := map[string]bool{}
	for _, e := range entries {
		bash, asked := shells[e.shell]
		if !asked {
			bash = isBash(h, e.shell)
			shells[e.shell] = bash
		}
		c.route(&e.CronJob, e.mailTo, bash)
		e.inspect(h, uids)
		if c.Jobs = append(c.Jobs, e.CronJob); len(c.Jobs) > maxCronJobs {
			return nil
		}
	}
	return nil
}

// cronEntry is a line of a crontab that cron runs, with what the lines before it set.
type cronEntry struct {
	CronJob // its command is the whole one
	mailTo  string
	shell   string
}

// readCrontab reads what cron would run of one crontab: nothing where cron refuses the file or it is not there.
func readCrontab(h *Host, name string) ([]cronEntry, error) {
	text, err := h.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	own := strings.HasPrefix(name, "/var/spool/cron")
	if cronRefuses(h, name, text) {
		return nil, nil
	}
	var all []cronEntry
	env := map[string]string{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if key, value, ok := cronVariable(line); ok {
			env[key] = value
			continue
		}
		job, ok := parseCron(line, own, path.Base(name), strings.HasSuffix(name, "anacrontab"))
		if !ok {
			continue
		}
		job.Origin = fmt.Sprintf("%s:%d", name, n)
		mailTo, set := env["MAILTO"]
		if !set {
			mailTo = job.User
		}
		all = append(all, cronEntry{job, mailTo, cmp.Or(env["SHELL"], "/bin/sh")})
		if len(all) > maxCronJobs {
			break
		}
	}
	return all, nil
}

// cronRefuses says that cron does not read a file: Debian's none without an end of its last line, and none of the system's that group
// or others may write.
func cronRefuses(h *Host, name string, text []byte) bool {
	if strings.HasSuffix(name, "anacrontab") {
		return false
	}
	if len(text) > 0 && text[len(text)-1] != '\n' && h.Exists("/etc/debian_version") {
		return true
	}
	info, err := h.Stat(name)
	return err == nil && strings.HasPrefix(name, "/etc/") && info.Mode().Perm()&0o022 != 0
}

func cronVariable(line string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(line, "=")
	key = strings.Trim(strings.TrimSpace(key), `"'`)
	if !ok || key == "" || strings.Trim(key, cronName) != "" {
		return "", "", false
	}
	return key, strings.Trim(strings.TrimSpace(value), `"'`), true
}

func parseCron(line string, own bool, user string, anacron bool) (CronJob, bool) {
	n := 5
	switch {
	case anacron:
		n = 3 // days, delay, name
	case line[0] == '@':
		n = 1
	}
	job := CronJob{User: user}
	fields, rest := []string{}, line
	take := func() string {
		word := rest
		if at := strings.IndexAny(rest, " \t"); at >= 0 {
			word, rest = rest[:at], strings.TrimLeft(rest[at:], " \t")
		} else {
			rest = ""
		}
		return word
	}
	for range n {
		fields = append(fields, take())
	}
	job.Schedule = strings.Join(fields, " ")
	switch {
	case anacron:
		job.User = "root"
	case !own:
		job.User = take()
	}
	// A % that is not escaped ends the command; what follows is its input.
	for i := range len(rest) {
		if rest[i] == '%' && (i == 0 || rest[i-1] != '\\') {
			rest = rest[:i]
			break
		}
	}
	job.Command = strings.TrimSpace(rest)
	return job, job.Command != "" && len(job.Command) < maxCronCommand
}

// route finds where output and errors go, by the redirections of the command.
func (c *Cron) route(job *CronJob, mailTo string, bash bool) {
	rest := "lost"
	if mailTo != "" && c.Mailer {
		rest, job.MailTo = "mail", mailTo
	}
	job.Output, job.Errors = commandStreams(job.Command, rest, bash)
}

// isBash says whether a shell is bash, also under the name sh.
func isBash(h *Host, shell string) bool {
	real, err := h.realPath(shell)
	return path.Base(shell) == "bash" || err == nil && path.Base(real) == "bash"
}

// inspect finds the files that a command runs, and for a job of root who else may change them.
func (job *CronJob) inspect(h *Host, uids map[string]int) {
	root := job.User == "root"
	if uid, ok := uids[job.User]; ok {
		root = uid == 0
	}
	for _, name := range programs(cronWords(job.Command)) {
		system := slices.ContainsFunc([]string{"/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"}, func(dir string) bool { return strings.HasPrefix(name, dir) })
		if !system && job.Script == "" {
			job.Script = name
		}
		if !root || !h.Exists(name) {
			continue
		}
		job.look(h, name)
		entries, err := h.ReadDir(name) // of run-parts; an error is that it is no folder
		for _, e := range entries[:min(len(entries), maxCronFiles)] {
			if err == nil && e.Type().IsRegular() {
				job.look(h, path.Join(name, e.Name()))
			}
		}
	}
}

// look notes a file that the job runs.
func (job *CronJob) look(h *Host, name string) {
	if len(job.paths) < maxCronFiles {
		job.paths = append(job.paths, name)
	}
	if job.Writable == "" {
		job.Writable = foreign(h, name, 0)
	}
}

// programs are the absolute names in those places of a command where something is run.
func programs(words []string) []string {
	var all []string
	runs := true // the next word is run
	last := ""
	for _, w := range words {
		base := path.Base(w)
		switch {
		case strings.ContainsAny(w, "|&;(){}") && !strings.Contains(w, ">"):
			runs = true
		case strings.ContainsAny(w, "<>"):
			last, runs = "redirect", false
		case last == "redirect":
			last = ""
		case last == "argument" && !strings.HasPrefix(w, "-"): // the time of timeout, the lock of flock
			last, runs = "", true
		case !runs || strings.HasPrefix(w, "-") || w == "!" || w == "if" || w == "then" || strings.Contains(w, "="):
		case base == "run-parts" || base == "cd":
			runs, last = base == "run-parts", ""
		case slices.Contains([]string{"sh", "bash", "dash", "ksh", "zsh", "php", "python", "python3", "perl", "ruby", "node", "nice", "ionice",
			"nohup", "setsid", "env", "exec", "sudo", "time", "chronic", "."}, base) || strings.HasPrefix(base, "php") || strings.HasPrefix(base, "python"):
			if path.IsAbs(w) {
				all = append(all, w)
			}
		default:
			if path.IsAbs(w) {
				all = append(all, w)
			}
			if runs = false; base == "timeout" || base == "flock" {
				last = "argument"
			}
		}
	}
	return all
}
