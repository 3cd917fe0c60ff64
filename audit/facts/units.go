package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const maxUnits = 10_000

// Units is which services the host starts, and which run.
type Units struct {
	// Manager is what starts services: systemd, or the name of another first process; empty for a folder of files.
	Manager string `cel:"manager"`
	// Enabled are the units that are started at boot or by a socket, timer, path or target, and that are not masked.
	Enabled []Unit `cel:"enabled"`
	Masked  []Unit `cel:"masked"`
	// Failed are the units that systemd could not start; only a running systemd knows.
	Failed []Unit `cel:"failed"`
	// Running are the active units as systemd has them; on a host without, the programs that run as daemons.
	Running []Unit `cel:"running"`
	// Processes are the programs that run.
	Processes []Process `cel:"processes"`
	Origin    string    `cel:"origin"`
}

// Unit is a unit of systemd, or a start script.
type Unit struct {
	Name string `cel:"name"` // with its ending: ssh.service
	Kind string `cel:"kind"` // service, socket, timer, …, or init for a start script
	// Class is what kind of thing the unit is, by the package of its name in rules/packages.yaml.
	Class    string `cel:"class"`
	Unwanted bool   `cel:"unwanted"`
	Origin   string `cel:"origin"` // the link or file that starts it
}

// unitFolders are where systemd looks, the ones that win first.
func unitFolders() []string {
	return []string{"/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}
}

// unitFiles reads which units are started, by the links of systemctl enable.
type unitFiles struct {
	h     *Host
	links map[string]string // by unit: the link that starts it
	err   error
}

// enabledBy is the link that starts a unit, or "" if nothing does or it is masked.
func (u *unitFiles) enabledBy(name string) string {
	if u.links == nil {
		u.read()
	}
	if u.masked(name) != "" {
		return ""
	}
	return u.links[name]
}

func (u *unitFiles) read() {
	u.links = map[string]string{}
	for _, folder := range unitFolders() {
		for _, pattern := range []string{"/*.wants/*", "/*.requires/*"} {
			names, err := u.h.Glob(folder + pattern)
			if err != nil {
				u.err = err
				return
			}
			for _, name := range names {
				if base := path.Base(name); u.links[base] == "" && u.file(base) != "" {
					u.link(base, name)
				}
			}
		}
	}
	// Start scripts: of the runlevels that a server is in.
	scripts, err := u.h.Glob("/etc/rc[2-5].d/S[0-9][0-9]*")
	if err != nil {
		u.err = err
		return
	}
	for _, name := range scripts {
		script := path.Base(name)[3:]
		// systemd ignores a script that has a unit of the same name.
		if u.links[script+".service"] == "" && (u.file(script+".service") == "" || u.h.Live() && !runsSystemd(u.h)) {
			u.link(script+".service", name)
		}
	}
}

// link notes what starts a unit. One that is not counted must not look as if it were off.
func (u *unitFiles) link(unit, by string) {
	if len(u.links) == maxUnits {
		u.err = fmt.Errorf("more than %d units are started", maxUnits)
		return
	}
	u.links[unit] = by
}

// file is the unit's file, or "".
func (u *unitFiles) file(name string) string {
	names := []string{name}
	if at := strings.IndexByte(name, '@'); at >= 0 { // an instance is that of its template
		names = append(names, name[:at+1]+path.Ext(name))
	}
	for _, name := range names {
		for _, folder := range unitFolders() {
			if full := path.Join(folder, name); u.h.Exists(full) {
				return full
			}
		}
	}
	return ""
}

// masked is the link to /dev/null, or the empty file, that keeps a unit from being started.
func (u *unitFiles) masked(name string) string {
	for _, folder := range []string{"/etc/systemd/system", "/run/systemd/system"} {
		full := path.Join(folder, name)
		if target, err := u.h.linkTarget(full); err == nil {
			if path.Join(folder, target) == "/dev/null" || target == "/dev/null" {
				return full
			}
			return ""
		}
		if info, err := u.h.Stat(full); err == nil {
			if info.Mode().IsRegular() && info.Size() == 0 {
				return full
			}
			return ""
		}
	}
	return ""
}

// linkTarget reads what a symbolic link says, without following it.
func (h *Host) linkTarget(name string) (string, error) {
	f, err := h.open(name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return "", err
	}
	defer f.Close()
	target := make([]byte, 4096)
	n, err := unix.Readlinkat(int(f.Fd()), "", target)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(target[:n]), nil
}

// runsSystemd says whether systemd manages the running host, as sd_booted(3) does.
func runsSystemd(h *Host) bool {
	if !h.Live() {
		return false
	}
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

func collectUnits(ctx context.Context, h *Host, t Target) (Units, []Missing) {
	u := Units{Origin: "/etc/systemd/system"}
	classes, err := readPackageClasses()
	if err != nil {
		return u, missing("%s", because(err))
	}
	files := &unitFiles{h: h}
	files.read()
	if files.err != nil {
		return u, missing("%s", because(files.err))
	}
	unit := func(name, origin string) Unit {
		base, kind := strings.TrimSuffix(name, path.Ext(name)), strings.TrimPrefix(path.Ext(name), ".")
		one := Unit{Name: name, Kind: kind, Origin: origin}
		if class := classes.of(base); class != nil {
			one.Class, one.Unwanted = class.Class, class.Unwanted && !slices.Contains(t.NeededPackages, base)
		}
		return one
	}
	for name, by := range files.links {
		if mask := files.masked(name); mask != "" {
			u.Masked = append(u.Masked, unit(name, mask))
		} else {
			u.Enabled = append(u.Enabled, unit(name, by))
		}
	}
	byName := func(a, b Unit) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(u.Enabled, byName)
	slices.SortFunc(u.Masked, byName)
	if len(files.links) == 0 && !slices.ContainsFunc(append(unitFolders(), "/etc/init.d"), h.Exists) {
		return u, missing("there are no units of systemd and no start scripts")
	}
	if !h.Live() {
		return u, []Missing{{"manager", ErrNotLive.Error()}, {"running", ErrNotLive.Error()}, {"failed", ErrNotLive.Error()}, {"processes", ErrNotLive.Error()}}
	}
	u.Processes, err = processes(ctx, h)
	if err != nil {
		return u, []Missing{{"manager", because(err)}, {"running", because(err)}, {"failed", because(err)}, {"processes", because(err)}}
	}
	if !runsSystemd(h) {
		u.daemons(unit)
		return u, []Missing{{"failed", "systemd does not manage this host"}}
	}
	u.Manager = "systemd"
	if err := u.ask(ctx, h, unit); err != nil {
		return u, []Missing{{"running", because(err)}, {"failed", because(err)}}
	}
	return u, nil
}

// daemons stands in for systemctl: what runs from the system's folders, each program once.
func (u *Units) daemons(unit func(name, origin string) Unit) {
	u.Manager = "none"
	seen := map[string]bool{}
	for _, p := range u.Processes {
		if p.PID == 1 {
			u.Manager = p.Name
		}
		program := p.Exe
		if p.Script != "" {
			program = p.Script
		}
		if name := path.Base(program); program != "" && systemFolder(program) && !seen[name] && len(u.Running) < maxUnits {
			seen[name] = true
			u.Running = append(u.Running, unit(name+".service", p.Origin))
		}
	}
}

// ask lists the active and the failed units as systemd has them.
func (u *Units) ask(ctx context.Context, h *Host, unit func(name, origin string) Unit) error {
	const systemctl = "/usr/bin/systemctl"
	out, err := h.Run(ctx, systemctl, "list-units", "--all", "--plain", "--no-legend", "--no-pager", "--full")
	if err != nil {
		return err
	}
	if out.Code != 0 {
		return errors.New(strings.TrimSpace("systemctl list-units: " + string(out.Stderr)))
	}
	for line := range strings.Lines(string(out.Stdout)) {
		fields := strings.Fields(line) // unit, load, active, sub, description
		if len(fields) < 4 {
			continue
		}
		if len(u.Running)+len(u.Failed) >= maxUnits {
			return fmt.Errorf("more than %d units", maxUnits)
		}
		switch fields[2] {
		case "active", "activating", "reloading":
			u.Running = append(u.Running, unit(fields[0], "systemctl list-units"))
		case "failed":
			u.Failed = append(u.Failed, unit(fields[0], "systemctl list-units"))
		}
	}
	return nil
}
