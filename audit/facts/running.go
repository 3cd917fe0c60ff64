package facts

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

const maxRunning = 50_000

// Process is a program that runs.
type Process struct {
	PID  int64  `cel:"pid"`
	Name string `cel:"name"` // as the kernel has it, at most 15 bytes
	Exe  string `cel:"exe"`  // empty where the kernel does not tell
	UID  int64  `cel:"uid"`
	// Script is the file that an interpreter runs: /usr/bin/fail2ban-server for python.
	Script string `cel:"script"`
	Origin string `cel:"origin"`
}

// processes lists what runs on a live host, without the kernel's own threads.
func processes(ctx context.Context, h *Host) ([]Process, error) {
	if !h.Live() {
		return nil, ErrNotLive
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []Process
	for _, entry := range entries {
		pid, err := strconv.ParseInt(entry.Name(), 10, 64)
		if err != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(all) == maxRunning {
			return nil, fmt.Errorf("more than %d processes", maxRunning)
		}
		if p, ok := runningProcess(pid); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

// runningProcess reads one; it may end meanwhile.
func runningProcess(pid int64) (Process, bool) {
	dir := "/proc/" + strconv.FormatInt(pid, 10)
	p := Process{PID: pid, UID: -1, Origin: dir}
	command, err := os.ReadFile(dir + "/cmdline")
	if err != nil || len(command) == 0 { // a thread of the kernel, or one that ended
		return p, false
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return p, false
	}
	for line := range bytes.Lines(status) {
		key, value, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		switch fields := strings.Fields(value); {
		case key == "Name":
			p.Name = strings.TrimSpace(value)
		case key == "State" && len(fields) > 0 && fields[0] == "Z":
			return p, false
		case key == "Uid" && len(fields) == 4:
			p.UID, _ = strconv.ParseInt(fields[1], 10, 64)
		}
	}
	p.Exe, _ = os.Readlink(dir + "/exe") // of another user's process only root may know
	words := strings.Split(string(command), "\x00")
	if name := path.Base(p.Exe); len(words) > 1 && (strings.HasPrefix(name, "python") || strings.HasPrefix(name, "perl") || strings.HasPrefix(name, "ruby") || strings.HasPrefix(name, "php")) {
		i := slices.IndexFunc(words[1:], func(w string) bool { return !strings.HasPrefix(w, "-") })
		if i >= 0 {
			p.Script = words[1+i]
		}
	}
	return p, true
}

// daemon finds the process of a service by the base name of its program or script. A name that a process gives itself does not
// count, and no program that lies outside the system's folders does, because every user could start such a one.
func daemon(all []Process, names ...string) (Process, bool) {
	for _, p := range all {
		program := p.Exe
		if p.Script != "" {
			program = p.Script
		}
		program = strings.TrimSuffix(program, " (deleted)") // upgraded while it runs
		if slices.Contains(names, path.Base(program)) && systemFolder(program) {
			return p, true
		}
	}
	return Process{}, false
}

func systemFolder(program string) bool {
	for _, folder := range []string{"/usr/", "/bin/", "/sbin/", "/lib/", "/opt/", "/snap/"} {
		if strings.HasPrefix(program, folder) {
			return true
		}
	}
	return false
}

// hostProc reads a file of a process of the live host.
func hostProc(pid int64, name string) (string, error) {
	text, err := os.ReadFile("/proc/" + strconv.FormatInt(pid, 10) + "/" + name)
	return string(text), err
}
