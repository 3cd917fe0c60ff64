package fix

import (
	"context"
	"path"
	"regexp"
	"strings"

	"github.com/doorward/doorward/audit/facts"
)

// cron plans what concerns scheduled jobs.
func (p *planner) cron(ctx context.Context, r repair) error {
	switch r.Cron {
	case "errors":
		return p.cronErrors()
	case "writable":
		return p.cronWritable(ctx)
	}
	return nil
}

// discarded are the ends of a command that throw its errors away. What stands in the middle of one is left to a person.
var discarded = regexp.MustCompile(`\s*(>\s*/dev/null\s+2>\s*(&1|/dev/null)|2>\s*/dev/null(\s+1?>\s*/dev/null)?|&>\s*/dev/null|>&\s*/dev/null)\s*$`)

// onlyErrors throws the errors away, and leaves the output where it goes.
var onlyErrors = regexp.MustCompile(`(^|[^>&\s])\s*2>\s*/dev/null\s*$`)

var noMail = regexp.MustCompile(`^\s*MAILTO\s*=\s*("\s*"|'\s*')?\s*$`)

// cronErrors plans that errors of jobs are kept: mailed to root where the host can mail, else written into the log of the system.
func (p *planner) cronErrors() error {
	mails := p.there("/usr/sbin/sendmail") || p.there("/usr/lib/sendmail") || p.there("/usr/bin/sendmail")
	if !mails && !p.there("/usr/bin/logger") {
		return nothing("this host has neither a mailer nor logger")
	}
	for _, glob := range []string{"/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/crontabs/*"} {
		names, err := p.m.host.Glob(glob)
		if err != nil {
			return err
		}
		for _, name := range names {
			full, now, err := p.file(name)
			if err != nil {
				return err
			}
			if now.Type != isFile || full != name && strings.HasPrefix(name, "/var/spool/") {
				continue // crontabs are their users' own, who could send us anywhere by a link
			}
			p.text(full, now, keepErrors(string(now.Bytes), mails, path.Base(name)))
		}
	}
	return nil
}

// keepErrors is the text of a crontab whose jobs throw no errors away.
func keepErrors(text string, mails bool, name string) string {
	lines := splitLines(text)
	silent := false // MAILTO is empty from here on
	for i, line := range lines {
		trimmed := strings.TrimSpace(line)
		body := strings.TrimSuffix(line, "\n")
		tail := line[len(body):]
		switch {
		case trimmed == "" || trimmed[0] == '#':
		case noMail.MatchString(body) && mails:
			lines[i] = instead("#", "MAILTO=root")(line)
		case noMail.MatchString(body):
			silent = true
		case strings.HasPrefix(strings.ReplaceAll(trimmed, " ", ""), "MAILTO="):
			silent = false
		case isVariable.MatchString(trimmed) || strings.Contains(line, "%"):
		case discarded.MatchString(body) && mails && !silent:
			rest := ""
			if !onlyErrors.MatchString(body) {
				rest = " >/dev/null"
			}
			lines[i] = discarded.ReplaceAllString(body, rest) + tail
		case !mails && (discarded.MatchString(body) || !strings.ContainsAny(body, ">|&")):
			lines[i] = strings.TrimRight(discarded.ReplaceAllString(body, ""), " \t") + " 2>&1 | logger -t cron-" + safeName(name) + tail
		}
	}
	return strings.Join(lines, "")
}

var isVariable = regexp.MustCompile(`^["']?[A-Za-z_][A-Za-z0-9_]*["']?\s*=`)

// cronWritable plans that what jobs of root run belongs to root, and that nobody else may write it.
func (p *planner) cronWritable(ctx context.Context) error {
	names, err := facts.CronPaths(ctx, p.m.host)
	if err != nil {
		return nothing("%v", err)
	}
	for _, name := range names {
		full, now, err := p.look(name)
		if err != nil {
			return err
		}
		if full != name || now.Type == isLink {
			if name, err = p.m.place.resolve(name); err != nil {
				return err
			}
			if full, now, err = p.look(name); err != nil {
				return err
			}
		}
		if strings.Count(full, "/") < 2 || now.Type != isFile && now.Type != isFolder || now.Type == isFile && now.links > 1 {
			p.note("%s stays as it is: it has another name elsewhere, or is no file of a job's own", full)
			continue
		}
		want := now
		want.UID = 0
		want.setMode(want.Mode &^ 0o022)
		p.set(full, now, want)
	}
	return nil
}
