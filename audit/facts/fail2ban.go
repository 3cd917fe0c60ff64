package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const fail2banFolder = "/etc/fail2ban"

// Fail2ban is the service that bans addresses by what stands in logs.
type Fail2ban struct {
	Installed bool   `cel:"installed"`
	Starts    string `cel:"starts"`  // the link or script that starts it; empty if nothing does
	Running   bool   `cel:"running"` // its server runs and answers
	// Overrides are the administrator's own files: *.local, and those of jail.d that no package brings.
	Overrides []string `cel:"overrides"`
	// Error is why fail2ban cannot read its configuration, and then starts no jail at all.
	Error  string `cel:"error"`
	Origin string `cel:"origin"`
}

// collectFail2ban reads the configuration, and on a live host asks the server which jails run.
func collectFail2ban(ctx context.Context, h *Host, daemons []Process) (f Fail2ban, jails []Jail, running []string, gone []Missing) {
	f.Origin = fail2banFolder
	f.Installed = h.Look("/usr/bin/fail2ban-server", "/usr/local/bin/fail2ban-server", "/usr/bin/fail2ban-client") != "" || h.Exists(fail2banFolder+"/jail.conf")
	if !f.Installed {
		return f, nil, nil, nil
	}
	units := unitFiles{h: h}
	f.Starts = units.enabledBy("fail2ban.service")
	f.overrides(h)
	jails, err := readJails(h)
	switch {
	case errors.Is(err, fs.ErrPermission):
		gone = append(gone, Missing{"jails", because(err)}, Missing{"fail2ban.error", because(err)})
	case err != nil:
		f.Error = err.Error()
	}
	if !h.Live() {
		return f, jails, nil, append(gone, Missing{"fail2ban.running", ErrNotLive.Error()}, Missing{"running_jails", ErrNotLive.Error()})
	}
	if _, ok := daemon(daemons, "fail2ban-server"); !ok {
		return f, jails, nil, gone
	}
	client := h.Look("/usr/bin/fail2ban-client", "/usr/local/bin/fail2ban-client")
	out, err := h.Run(ctx, client, "status")
	if err != nil {
		return f, jails, nil, append(gone, Missing{"fail2ban.running", because(err)}, Missing{"running_jails", because(err)})
	}
	if out.Code != 0 { // a server that does not answer bans nobody
		return f, jails, nil, gone
	}
	f.Running = true
	for line := range strings.Lines(string(out.Stdout)) {
		if _, list, ok := strings.Cut(line, "Jail list:"); ok {
			for name := range strings.SplitSeq(list, ",") {
				running = append(running, strings.TrimSpace(name))
			}
		}
	}
	if err := askServer(ctx, h, client, jails, running); err != nil {
		gone = append(gone, Missing{"jails", because(err)})
	}
	return f, jails, running, gone
}

var jailName = regexp.MustCompile(`^[\w.@+-]+$`)

// askServer takes the numbers of the jails that run from the server: files that were changed since it read them do not count.
func askServer(ctx context.Context, h *Host, client string, jails []Jail, running []string) error {
	var asked []*Jail
	var questions strings.Builder
	for i := range jails {
		if j := &jails[i]; slices.Contains(running, j.Name) && jailName.MatchString(j.Name) {
			asked = append(asked, j)
			fmt.Fprintf(&questions, "get %[1]s maxretry\nget %[1]s findtime\nget %[1]s bantime\n", j.Name)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	out, err := h.RunWith(ctx, []byte(questions.String()), client, "-i")
	if err != nil {
		return err
	}
	answers := strings.Split(string(out.Stdout), "fail2ban> ")
	if len(answers) < 1+3*len(asked) {
		return fmt.Errorf("fail2ban-client -i: %d answers to %d questions", len(answers)-1, 3*len(asked))
	}
	for i, j := range asked {
		before := [3]int64{j.Maxretry, j.Findtime, j.Bantime}
		for k, value := range []*int64{&j.Maxretry, &j.Findtime, &j.Bantime} {
			n, err := strconv.ParseInt(strings.TrimSpace(answers[1+3*i+k]), 10, 64)
			if err != nil {
				return fmt.Errorf("fail2ban-client get %s: %w", j.Name, err)
			}
			*value = n
		}
		j.Enabled = true
		if before != [3]int64{j.Maxretry, j.Findtime, j.Bantime} {
			j.Origin = "the running server, by fail2ban-client get " + j.Name + "; its files differ: " + j.Origin
		}
	}
	return nil
}

// overrides lists the files over those of the package.
func (f *Fail2ban) overrides(h *Host) {
	for _, pattern := range []string{"/*.local", "/jail.d/*", "/fail2ban.d/*", "/filter.d/*.local", "/action.d/*.local"} {
		names, err := h.Glob(fail2banFolder + pattern)
		if err != nil {
			continue
		}
		for _, name := range names {
			if ending := path.Ext(name); (ending == ".conf" || ending == ".local") && path.Base(name) != "defaults-debian.conf" && len(f.Overrides) < 100 {
				f.Overrides = append(f.Overrides, name)
			}
		}
	}
}
