package fix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	sshdConfig = "/etc/ssh/sshd_config"
	sshdFolder = "/etc/ssh/sshd_config.d"
	// sshdDropIn sorts before what distributions and people write, because sshd takes the first value that it reads.
	sshdDropIn = "00-doorward.conf"
)

// sshdAliases are older names of directives.
func sshdAliases(key string) []string {
	if key == "kbdinteractiveauthentication" {
		return []string{key, "challengeresponseauthentication", "skeyauthentication"}
	}
	return []string{key}
}

// sshdLast says whether of several lines the last counts, as it does of these up to OpenSSH 9.7; of all others it is the first.
func sshdLast(key string) bool { return key == "persourcemaxstartups" || key == "maxstartups" }

// planSSHD plans directives that hold for everybody: in a drop-in that is read first, where sshd_config includes its folder,
// else at the top of sshd_config. What would win over them, in Match blocks or in files that are read before, becomes a
// comment.
func (p *planner) planSSHD(_ context.Context, r repair) error {
	if len(r.SSHD) == 0 {
		return nil
	}
	main, now, err := p.file(sshdConfig)
	if err != nil {
		return err
	}
	if now.Type != isFile {
		return nothing("there is no %s", sshdConfig)
	}
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(r.SSHD)) {
		lines = append(lines, key+" "+r.SSHD[key])
		p.g.sshd[strings.ToLower(key)] = strings.ToLower(r.SSHD[key])
	}
	include := includesFolder(string(now.Bytes))
	files := []string{sshdConfig}
	if include {
		found, err := p.m.host.Glob(sshdFolder + "/*.conf")
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	for _, name := range files {
		if path.Base(name) == sshdDropIn {
			continue
		}
		if err := p.silenceSSHD(name, r.SSHD, include); err != nil {
			return err
		}
	}
	if include {
		return p.writeIn(sshdFolder, writing{File: sshdDropIn, Comment: "#", Lines: lines, Keyed: true})
	}
	if _, now, err = p.file(sshdConfig); err != nil {
		return err
	}
	text := string(now.Bytes)
	for _, line := range slices.Backward(lines) {
		if !strings.HasPrefix(text, line+"\n") && !strings.Contains(text, "\n"+line+" # doorward fix\n") && !strings.HasPrefix(text, line+" # doorward fix\n") {
			text = line + " # doorward fix\n" + text
		}
	}
	p.text(main, now, text)
	return nil
}

// includesFolder says whether sshd_config reads its folder for everybody.
func includesFolder(text string) bool {
	for line := range strings.Lines(text) {
		key, value := sshdLine(line)
		switch key {
		case "match":
			return false
		case "include":
			if slices.Contains(strings.Fields(value), sshdFolder+"/*.conf") || slices.Contains(strings.Fields(value), "sshd_config.d/*.conf") {
				return true
			}
		}
	}
	return false
}

// sshdLine splits a line into its key, in lower case, and its value. A comment has neither.
func sshdLine(line string) (key, value string) {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") {
		return "", ""
	}
	at := strings.IndexAny(line, " \t=")
	if at < 0 {
		return strings.ToLower(line), ""
	}
	value = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line[at:]), "="))
	return strings.ToLower(line[:at]), strings.Trim(value, `"`)
}

// silenceSSHD makes comments of the lines of one file that would win over the wanted directives.
func (p *planner) silenceSSHD(name string, wanted map[string]string, include bool) error {
	full, now, err := p.file(name)
	if err != nil {
		return err
	}
	if now.Type != isFile {
		return nil
	}
	early := include && name != sshdConfig && path.Base(name) < sshdDropIn
	beforeInclude := include && name == sshdConfig
	inMatch := false
	lines := splitLines(string(now.Bytes))
	for i, line := range lines {
		key, value := sshdLine(line)
		switch key {
		case "match":
			inMatch = !strings.EqualFold(strings.TrimSpace(value), "all")
		case "include":
			beforeInclude = false
		}
		for want, is := range wanted {
			if !slices.Contains(sshdAliases(strings.ToLower(want)), key) || strings.EqualFold(value, is) {
				continue
			}
			if inMatch || early || beforeInclude || include && sshdLast(key) {
				lines[i] = "# doorward fix: " + line
			}
		}
	}
	p.text(full, now, strings.Join(lines, ""))
	return nil
}

// sshdSays asks sshd itself for what is in force, for nobody in particular and for root from elsewhere.
func (m *Machine) sshdSays(ctx context.Context, want map[string]string) error {
	program := m.host.Look("/usr/sbin/sshd")
	if len(want) == 0 || program == "" || !m.execs {
		return nil
	}
	for _, args := range [][]string{{"-T"}, {"-T", "-C", "user=root,host=client.example,addr=203.0.113.9"}, {"-T", "-C", "user=root,host=localhost,addr=127.0.0.1"}} {
		out, err := m.run(ctx, nil, program, args...)
		if err != nil {
			return err
		}
		for line := range strings.Lines(out) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			if is, asked := want[key]; asked && !strings.EqualFold(is, value) {
				return fmt.Errorf("%s %s says %s %s; something still wins over %s", program, strings.Join(args, " "), key, value, is)
			}
		}
	}
	return nil
}

// acceptedKey is sshd's line about a sign-in by key, as syslog and the journal have it. It is bound to the beginning of the
// line, because names that strangers send stand further on.
var acceptedKey = regexp.MustCompile(`(?m)^(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8}|\d{4}-\d\d-\d\dT\S+) \S+ sshd(?:-session)?\[\d+\]: Accepted publickey for (\S+) from (\S+) port`)

const logTail = 8 << 20 // bytes of the end of a log

// keyLogin refuses a repair that needs a sign-in by key before it, until one was seen of an account that is still there.
func (p *planner) keyLogin(ctx context.Context, r repair) error {
	if !r.KeyLogin {
		return nil
	}
	var texts [][]byte
	for _, name := range []string{"/var/log/auth.log", "/var/log/auth.log.1", "/var/log/secure"} {
		text, err := p.m.tail(name, logTail)
		if err == nil {
			texts = append(texts, text)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if p.m.host.Exists("/var/log/journal") || p.m.host.Exists("/run/log/journal") {
		out, err := p.m.run(ctx, nil, "/usr/bin/journalctl", "--quiet", "--no-pager", "--output=short", "--grep=^Accepted publickey", "--lines=50", "_COMM=sshd", "+", "_COMM=sshd-session")
		if err == nil {
			texts = append(texts, []byte(out))
		}
	}
	passwd, err := p.m.host.ReadFile("/etc/passwd")
	if err != nil {
		return err
	}
	for _, text := range texts {
		for _, found := range acceptedKey.FindAllSubmatch(text, -1) {
			if bytes.HasPrefix(passwd, append(found[1], ':')) || bytes.Contains(passwd, []byte("\n"+string(found[1])+":")) {
				p.note("a sign-in by key was seen: %s from %s", found[1], found[2])
				return nil
			}
		}
	}
	return nothing("no sign-in by key was seen in auth.log or the journal: sign in once with a key (ssh -i), or passwords are all there is")
}

// tail returns the end of a file.
func (m *Machine) tail(name string, most int64) ([]byte, error) {
	f, err := openat(m.place.top, path.Clean("/"+name), os.O_RDONLY|unix.O_NONBLOCK, 0, unix.RESOLVE_IN_ROOT)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	if from := info.Size() - most; from > 0 {
		if _, err := f.Seek(from, io.SeekStart); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(io.LimitReader(f, most))
}
