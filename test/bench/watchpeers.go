package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// fail2banFiles is where Debian's package has its filters and actions.
const fail2banFiles = "/etc/fail2ban"

// jail is one jail of the configuration that both fail2ban and Doorward are given.
type jail struct {
	filter, log, action string
	retry               int
	findTime            string
}

// fail2banFolder writes a configuration with one jail. Filters and actions are copies of the package's; nothing in its folder is changed.
func fail2banFolder(dir string, j jail) (folder string, err error) {
	folder = filepath.Join(dir, "fail2ban")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"filter.d", "action.d"} {
		if err := os.CopyFS(filepath.Join(folder, name), os.DirFS(filepath.Join(fail2banFiles, name))); err != nil {
			return "", fmt.Errorf("copy fail2ban's %s: %w", name, err)
		}
	}
	main := fmt.Sprintf("[Definition]\nloglevel = NOTICE\nlogtarget = %[1]s/fail2ban.log\nsyslogsocket = auto\nsocket = %[1]s/fail2ban.sock\npidfile = %[1]s/fail2ban.pid\n"+
		"dbfile = %[1]s/fail2ban.sqlite3\ndbpurgeage = 1d\ndbmaxmatches = 10\n", dir)
	text := fmt.Sprintf("[DEFAULT]\nbackend = polling\nusedns = warn\nbantime = 1d\nfindtime = %s\nlogencoding = utf-8\n\n[bench]\nenabled = true\nfilter = %s\nlogpath = %s\nmaxretry = %d\naction = %s\n",
		j.findTime, j.filter, j.log, j.retry, j.action)
	for name, data := range map[string]string{"fail2ban.conf": main, "jail.conf": text} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(data), 0o644); err != nil {
			return "", err
		}
	}
	return folder, nil
}

// fail2ban is a server of its own: its socket, its database and its log are in the folder of the run.
type fail2ban struct {
	*process
	dir string
}

func startFail2ban(ctx context.Context, dir, folder string, within ...string) (*fail2ban, error) {
	p, err := runProcess("fail2ban", append(slices.Clone(within), "fail2ban-server", "-f", "-c", folder, "-s", filepath.Join(dir, "fail2ban.sock"),
		"-p", filepath.Join(dir, "fail2ban.pid"), "start")...)
	if err != nil {
		return nil, err
	}
	f := &fail2ban{process: p, dir: dir}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if out, err := f.command(ctx, "status", "bench"); err == nil && strings.Contains(out, "Currently banned") {
			return f, nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			f.stop()
			return nil, fmt.Errorf("start fail2ban: its jail does not run\n%s", f.log)
		}
	}
}

// command asks the server for something, with fail2ban's own client.
func (f *fail2ban) command(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "fail2ban-client", append([]string{"-s", filepath.Join(f.dir, "fail2ban.sock")}, args...)...).CombinedOutput()
	return string(out), err
}

// bans counts the bans in its log, and tells whether one is of the address.
func (f *fail2ban) bans(a netip.Addr) (n int, there bool, err error) {
	data, err := os.ReadFile(filepath.Join(f.dir, "fail2ban.log"))
	if err != nil {
		return 0, false, err
	}
	return bytes.Count(data, []byte("] Ban ")), bytes.Contains(data, []byte("] Ban "+a.String()+"\n")), nil
}

// crowdsec is Debian's package, unpacked into the folder of the run and never installed.
type crowdsec struct{ dir, version string }

// crowdsecConfig has everything in the folder, and no hub but the one that the package brings.
const crowdsecConfig = `
common: {daemonize: false, log_media: stdout, log_level: warning, working_dir: %[1]s}
config_paths: {config_dir: %[1]s/etc, data_dir: %[1]s/data, simulation_path: %[1]s/etc/simulation.yaml, hub_dir: %[1]s/hub, index_path: %[1]s/hub/.index.json}
crowdsec_service: {parser_routines: 1}
cscli: {output: human}
db_config: {log_level: warning, type: sqlite, db_path: %[1]s/data/crowdsec.db, use_wal: true}
api:
  client: {credentials_path: %[1]s/etc/credentials.yaml}
  server: {log_level: warning, listen_uri: "127.0.0.1:%[2]d", profiles_path: %[1]s/etc/profiles.yaml, console_path: %[1]s/etc/console.yaml}
prometheus: {enabled: false}
`

// crowdsecParts are the parsers and scenarios that are in force, of the many that the package brings.
var crowdsecParts = []string{"parsers/s00-raw/crowdsecurity/syslog-logs.yaml", "parsers/s01-parse/crowdsecurity/sshd-logs.yaml",
	"parsers/s01-parse/crowdsecurity/nginx-logs.yaml", "parsers/s02-enrich/crowdsecurity/dateparse-enrich.yaml",
	"parsers/s02-enrich/crowdsecurity/http-logs.yaml", "scenarios/crowdsecurity/ssh-bf.yaml", "scenarios/crowdsecurity/http-probing.yaml",
	"scenarios/crowdsecurity/http-sensitive-files.yaml"}

// unpackCrowdsec fetches the package and unpacks it. The error says why it cannot be measured.
func unpackCrowdsec(ctx context.Context, dir string) (*crowdsec, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	port, err := freePorts("api")
	if err != nil {
		return nil, err
	}
	c := &crowdsec{dir: dir}
	script := `set -e
cd "$1"
apt-get -q -o APT::Sandbox::User=root download crowdsec
dpkg-deb -x crowdsec_*.deb root
mkdir -p etc data hub
cp -r root/etc/crowdsec/patterns root/etc/crowdsec/simulation.yaml root/etc/crowdsec/profiles.yaml etc/
cp root/usr/share/crowdsec/data/* data/
printf '{"parsers":{},"scenarios":{},"collections":{},"postoverflows":{}}' >hub/.index.json
: >etc/console.yaml
shift
for part; do
	to=etc/$(dirname "$(dirname "$part")")
	mkdir -p "$to"
	cp "root/usr/share/crowdsec/hub/$part" "$to/"
done
printf '{}' >etc/credentials.yaml
`
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), fmt.Appendf(nil, crowdsecConfig, dir, port["api"]), 0o644); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, "sh", append([]string{"-c", script, "sh", dir}, crowdsecParts...)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("unpack Debian's crowdsec: %w: %.300s", err, out)
	}
	if out, err := exec.CommandContext(ctx, filepath.Join(dir, "root/usr/bin/cscli"), "-c", filepath.Join(dir, "config.yaml"), "machines", "add", "bench",
		"--password", "only for this run", "-f", filepath.Join(dir, "etc/credentials.yaml")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("prepare crowdsec: %w: %.300s", err, out)
	}
	names, err := filepath.Glob(filepath.Join(dir, "crowdsec_*.deb"))
	if err != nil || len(names) != 1 {
		return nil, fmt.Errorf("unpack Debian's crowdsec: no package")
	}
	c.version = strings.Split(strings.TrimPrefix(filepath.Base(names[0]), "crowdsec_"), "-")[0]
	return c, nil
}

// replay has crowdsec read a file to its end, and returns what that took.
func (c *crowdsec) replay(ctx context.Context, file, kind string) (cpu time.Duration, rss int64, err error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.dir, "root/usr/bin/crowdsec"), "-c", filepath.Join(c.dir, "config.yaml"), "-dsn", "file://"+file, "-type", kind)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("crowdsec reads %s: %w: %.300s", file, err, out)
	}
	cpu, rss = spent(cmd)
	return cpu, rss, nil
}
