package facts

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
)

const maxProfiles = 5000

// MAC is the kernel's mandatory access control: what a program may do, whoever it runs as.
type MAC struct {
	// Module is apparmor or selinux when one of them is on in the kernel, else "none".
	Module string `cel:"module"`
	// Enforcing says that it refuses, and does not only report. For AppArmor each profile has its own mode.
	Enforcing bool `cel:"enforcing"`
	// Configured is what is set for the next start: SELINUX of /etc/selinux/config, or the unit that loads AppArmor's profiles.
	Configured Setting `cel:"configured"`
	// Profiles are those that AppArmor has loaded; Files those of web servers and PHP under /etc/apparmor.d, with their modes.
	Profiles []Confinement `cel:"profiles"`
	Files    []Confinement `cel:"files"`
	// Workers are the processes of web servers and PHP, with what confines each.
	Workers []Confinement `cel:"workers"`
	Origin  string        `cel:"origin"`
}

// Confinement is a profile, or what a process is confined by.
type Confinement struct {
	Name string `cel:"name"` // of the program or profile
	PID  int64  `cel:"pid"`
	// Label is the profile or the SELinux context. Mode is enforce, complain, kill, disabled or unconfined.
	Label  string `cel:"label"`
	Mode   string `cel:"mode"`
	Origin string `cel:"origin"`
}

// webPrograms are the servers that strangers talk to, by the base names of their programs.
func webPrograms() []string {
	return []string{"apache2", "httpd", "nginx", "lighttpd", "caddy", "litespeed", "php-fpm", "php-cgi"}
}

func webProgram(name string) bool {
	for _, web := range webPrograms() {
		if name == web || strings.HasPrefix(name, "php-fpm") || strings.HasPrefix(name, "php-cgi") {
			return true
		}
	}
	return false
}

func collectMAC(ctx context.Context, h *Host, _ Target) (MAC, []Missing) {
	m := MAC{Module: "none", Origin: "/sys/kernel/security"}
	m.configured(h)
	if err := m.files(h); err != nil {
		return m, missing("%s", because(err))
	}
	if !h.Live() {
		return m, []Missing{{"module", ErrNotLive.Error()}, {"enforcing", ErrNotLive.Error()}, {"profiles", ErrNotLive.Error()}, {"workers", ErrNotLive.Error()}}
	}
	var gone []Missing
	switch {
	case readByte("/sys/module/apparmor/parameters/enabled") == 'Y':
		m.Module, m.Enforcing, m.Origin = "apparmor", true, "/sys/module/apparmor/parameters/enabled"
		text, err := os.ReadFile("/sys/kernel/security/apparmor/profiles")
		if err != nil {
			gone = append(gone, Missing{"profiles", because(err)})
		}
		m.Profiles = appArmorProfiles(string(text))
	case exists("/sys/fs/selinux/enforce"):
		m.Module, m.Origin = "selinux", "/sys/fs/selinux/enforce"
		m.Enforcing = readByte(m.Origin) == '1'
	}
	all, err := processes(ctx, h)
	if err != nil {
		return m, append(gone, Missing{"workers", because(err)})
	}
	for _, p := range all {
		if program := path.Base(strings.TrimSuffix(p.Exe, " (deleted)")); webProgram(program) && len(m.Workers) < maxProfiles {
			m.Workers = append(m.Workers, m.worker(p, program))
		}
	}
	return m, gone
}

func exists(name string) bool { _, err := os.Stat(name); return err == nil }

func readByte(name string) byte {
	text, err := os.ReadFile(name)
	if err != nil || len(text) == 0 {
		return 0
	}
	return text[0]
}

// appArmorProfiles reads lines such as "/usr/sbin/apache2 (enforce)".
func appArmorProfiles(text string) (all []Confinement) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if at := strings.LastIndex(line, " ("); at > 0 && strings.HasSuffix(line, ")") && len(all) < maxProfiles {
			all = append(all, Confinement{Name: line[:at], Label: line[:at], Mode: line[at+2 : len(line)-1], Origin: "/sys/kernel/security/apparmor/profiles"})
		}
	}
	return all
}

// worker reads what the kernel confines a process by: "NAME (enforce)" of AppArmor, or a context of SELinux.
func (m *MAC) worker(p Process, program string) Confinement {
	c := Confinement{Name: program, PID: p.PID, Mode: "unconfined", Origin: p.Origin + "/attr/current"}
	text, err := hostProc(p.PID, "attr/current")
	if err != nil { // no module answers
		return c
	}
	c.Label = strings.TrimRight(text, "\x00\n ")
	switch m.Module {
	case "apparmor":
		if one := appArmorProfiles(c.Label); len(one) == 1 {
			c.Mode = one[0].Mode
		}
	case "selinux":
		// user:role:type:level; the type decides, and these types are free.
		parts := strings.SplitN(c.Label, ":", 4)
		if len(parts) >= 3 && !strings.HasPrefix(parts[2], "unconfined") && parts[2] != "initrc_t" && parts[2] != "kernel_t" && parts[2] != "init_t" {
			if c.Mode = "complain"; m.Enforcing {
				c.Mode = "enforce"
			}
		}
	}
	return c
}

func (m *MAC) configured(h *Host) {
	if text, err := h.ReadFile("/etc/selinux/config"); err == nil {
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), "SELINUX="); ok {
				m.Configured = Setting{"selinux " + value, "/etc/selinux/config"}
			}
		}
	}
	units := unitFiles{h: h}
	if by := units.enabledBy("apparmor.service"); by != "" {
		m.Configured = Setting{"apparmor", by}
	}
}

// files looks for profiles of web servers: a file that begins a profile for one, with its flags.
func (m *MAC) files(h *Host) error {
	const folder = "/etc/apparmor.d"
	entries, err := h.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries[:min(len(entries), maxProfiles)] {
		if entry.IsDir() {
			continue
		}
		name := path.Join(folder, entry.Name())
		text, err := h.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(text) {
			fields := strings.Fields(string(line))
			if len(fields) < 2 || fields[len(fields)-1] != "{" || strings.HasPrefix(fields[0], "#") {
				continue
			}
			of := fields[0]
			if of == "profile" {
				of = fields[1]
			}
			mode := "enforce"
			switch flags := string(line); {
			case h.Exists(folder + "/disable/" + entry.Name()):
				mode = "disabled"
			case strings.Contains(flags, "complain"):
				mode = "complain"
			case strings.Contains(flags, "unconfined"):
				mode = "unconfined"
			}
			if base := path.Base(strings.Trim(of, `"`)); webProgram(base) {
				m.Files = append(m.Files, Confinement{Name: base, Label: of, Mode: mode, Origin: name})
			}
		}
	}
	return nil
}
