package audit_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/test/real"
)

// TestCronMails lets the real cron run each crontab once, and compares where output and errors went with what the audit says of them.
// It waits for the next full minute.
func TestCronMails(t *testing.T) {
	real.Require(t, "cron")
	if !inCopy(t) {
		return
	}
	const say, job = "sh /run/say NAME", "* * * * * root sh /run/say NAME"
	cases := map[string]struct {
		text string
		mode os.FileMode
	}{
		"plain":              {text: job + "\n"},
		"nobody":             {text: "MAILTO=\"\"\n" + job + "\n"},
		"nobody-quoted":      {text: "MAILTO=''\n" + job + "\n"},
		"nobody-later":       {text: job + "\nMAILTO=\"\"\n"},
		"last-word":          {text: "MAILTO=\"\"\nMAILTO = anna\n" + job + "\n"},
		"output-away":        {text: job + " >/dev/null\n"},
		"all-away":           {text: job + " >/dev/null 2>&1\n"},
		"order":              {text: job + " 2>&1 >/dev/null\n"},
		"errors-away":        {text: job + " 2>/dev/null\n"},
		"file":               {text: job + " >>/run/kept-NAME 2>&1\n"},
		"errors-to-file":     {text: job + " 2>>/run/kept-NAME\n"},
		"bashism-in-bash":    {text: "SHELL=/bin/bash\n" + job + " &>/dev/null\n"},
		"percent":            {text: job + "%2>/dev/null\n"},
		"comment":            {text: job + " # 2>/dev/null\n"},
		"quoted":             {text: job + " '2>/dev/null'\n"},
		"group":              {text: "* * * * * root (" + say + ") 2>/dev/null\n"},
		"pipe":               {text: job + " | cat 2>/dev/null\n"},
		"pipe-of-both":       {text: job + " 2>&1 | cat >/dev/null\n"},
		"two":                {text: "* * * * * root true >/dev/null 2>&1; " + say + "\n"},
		"dotted.name":        {text: job + "\n"},
		"open-file":          {text: job + "\n", mode: 0o664},
		"no-end-of-line":     {text: job},
		"two-turned":         {text: job + " >/dev/null 2>&1; true\n"},
		"exec":               {text: "* * * * * root exec 2>/dev/null; " + say + "\n"},
		"if":                 {text: "* * * * * root if true; then " + say + "; fi 2>/dev/null\n"},
		"substitution":       {text: job + " $(echo x 2>/dev/null)\n"},
		"braces":             {text: "* * * * * root { " + say + " {}; } 2>/dev/null\n"},
		"name-with-a-tilde~": {text: job + "\n"},
	}
	clean(t, "/etc/cron.d/*", "/var/spool/cron/crontabs/*", "/etc/crontab", "/usr/sbin/sendmail")
	real.Write(t, "/usr/sbin", "sendmail", "#!/bin/sh\ncat >>/run/mails\n", 0o755)
	real.Write(t, "/run", "say", "touch /run/ran-$1; echo out-$1-end; echo err-$1-end >&2\n", 0o644)
	for name, c := range cases {
		if c.mode == 0 {
			c.mode = 0o644
		}
		real.Write(t, "/etc/cron.d", name, strings.ReplaceAll(c.text, "NAME", name), c.mode)
	}
	crond := real.Start(t, "cron", exec.Command("cron", "-f"))
	real.Eventually(t, 150*time.Second, "cron to run a job", func() bool { _, err := os.Stat("/run/ran-plain"); return err == nil })
	time.Sleep(2 * time.Second)                                                      // for the others
	real.Eventually(t, time.Minute, "cron to mail what the jobs said", func() bool { // one process a job, until it has mailed
		names, err := filepath.Glob("/proc/[0-9]*/comm")
		running := 0
		for _, name := range names {
			if comm, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(comm)) == "cron" {
				running++
			}
		}
		return err == nil && running == 1
	})
	crond.Stop()
	mails, err := os.ReadFile("/run/mails")
	if err != nil {
		t.Fatal(err)
	}
	jobs := map[string]facts.CronJob{}
	for _, j := range onHost(t, facts.Config{}).Values["cron"].(facts.Cron).Jobs {
		if file, _, _ := strings.Cut(j.Origin, ":"); filepath.Dir(file) == "/etc/cron.d" {
			jobs[filepath.Base(file)] = j
		}
	}
	for name := range cases {
		t.Run(name, func(t *testing.T) {
			j, listed := jobs[name]
			_, err := os.Stat("/run/ran-" + name)
			if runs := err == nil; runs != listed {
				t.Fatalf("the audit lists it: %v; cron runs it: %v", listed, runs)
			}
			kept, _ := os.ReadFile("/run/kept-" + name) // most write none
			for stream, said := range map[string]string{"out": j.Output, "err": j.Errors} {
				marker, went := fmt.Sprintf("%s-%s-end", stream, name), "nowhere"
				switch {
				case strings.Contains(string(mails), marker):
					went = "mail"
				case strings.Contains(string(kept), marker):
					went = "file"
				}
				if said == "discarded" || said == "lost" {
					said = "nowhere"
				}
				if listed && said != went {
					t.Errorf("%s of %q: the audit says %s; it went %s", stream, j.Command, said, went)
				}
			}
		})
	}
}

// clean removes files of the copy.
func clean(t *testing.T, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}
