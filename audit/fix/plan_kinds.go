package fix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var noTime time.Time

// unused plans that modules of Apache are switched off which nothing in its configuration uses. What still uses one is
// found by the check, and the change is taken back.
func (p *planner) unused(_ context.Context, r repair) error {
	if len(r.Unused) == 0 {
		return nil
	}
	var all strings.Builder
	for _, glob := range []string{"/etc/apache2/apache2.conf", "/etc/apache2/ports.conf", "/etc/apache2/conf-enabled/*.conf", "/etc/apache2/sites-enabled/*"} {
		names, err := p.m.host.Glob(glob)
		if err != nil {
			return err
		}
		for _, name := range names {
			_, now, err := p.file(name) // as the other repairs leave it
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(now.Bytes)) {
				if !strings.HasPrefix(strings.TrimSpace(line), "#") {
					all.WriteString(line)
				}
			}
		}
	}
	for _, m := range r.Unused {
		links, err := p.m.links("/etc/apache2/mods-enabled/" + m.Name + ".*")
		if err != nil {
			return err
		}
		used, err := regexp.Compile(`(?im)` + m.Used)
		if err != nil {
			return err
		}
		if len(links) > 0 && m.Used != "" && used.MatchString(all.String()) {
			p.note("module %s stays: the configuration uses it (%q)", m.Name, used.FindString(all.String()))
			continue
		}
		for _, link := range links {
			full, now, err := p.look(link)
			if err != nil {
				return err
			}
			p.set(full, now, state{})
		}
	}
	return nil
}

const sysctlDropIn = "99-zz-doorward.conf"

// sysctl plans a file that sets parameters at the next start, and the running kernel.
func (p *planner) sysctl(ctx context.Context, r repair) error {
	for _, key := range slices.Sorted(maps.Keys(r.Sysctl)) {
		value := r.Sysctl[key]
		w := writing{Folder: "/etc/sysctl.d", File: sysctlDropIn, Comment: "#", Lines: []string{key + " = " + value}, Keyed: true}
		if err := p.write(ctx, repair{Write: []writing{w}}); err != nil {
			return err
		}
		now, err := p.m.sysctl(key)
		switch {
		case errors.Is(err, errOffline):
			p.note("the root is a folder: no running kernel is changed")
		case errors.Is(err, fs.ErrNotExist):
			return nothing("this kernel has no %s", key)
		case err != nil:
			return err
		case now != value:
			if err := p.m.interfacesAgree(key, now); err != nil {
				return err
			}
			p.edits++
			p.other = append(p.other, &sysctlChange{key, now, value})
		}
	}
	return nil
}

// interfacesAgree refuses a parameter of all interfaces when they differ: setting it sets each of them, and taking it back would
// make them the same.
func (m *Machine) interfacesAgree(key, all string) error {
	before, after, ok := strings.Cut(key, ".conf.all.")
	if !ok {
		return nil
	}
	names, err := m.host.ReadDir("/proc/sys/" + strings.ReplaceAll(before, ".", "/") + "/conf")
	if err != nil {
		return err
	}
	for _, name := range names {
		file := "/proc/sys/" + strings.ReplaceAll(before, ".", "/") + "/conf/" + name.Name() + "/" + after
		text, err := os.ReadFile(file)
		if err == nil && strings.TrimSpace(string(text)) != all {
			return nothing("interface %s has another %s than the others, which could not be put back: set it by hand", name.Name(), after)
		}
	}
	return nil
}

// unitsOff plans that units do not start any more, and stops them.
func (p *planner) unitsOff(ctx context.Context, r repair) error {
	for _, unit := range r.UnitsOff {
		var links []string
		for _, glob := range []string{"/etc/systemd/system/*.wants/", "/etc/systemd/system/*.requires/", "/etc/systemd/system/"} {
			found, err := p.m.links(glob + unit)
			if err != nil {
				return err
			}
			links = append(links, found...)
		}
		aliases, err := p.m.links("/etc/systemd/system/*")
		if err != nil {
			return err
		}
		for i, link := range append(links, aliases...) {
			full, now, err := p.look(link)
			if err != nil {
				return err
			}
			if now.Type == isLink && now.Target != "/dev/null" && (i < len(links) || path.Base(now.Target) == unit) {
				p.set(full, now, state{})
			}
		}
		if p.m.systemd() && p.m.active(ctx, unit) {
			p.edits++
			p.other = append(p.other, &unitChange{unit, true})
		}
	}
	if len(r.UnitsOff) > 0 && !p.m.systemd() && p.edits > 0 {
		p.note("systemd does not run here: what runs already goes on until the next start")
	}
	return nil
}

// attributes plans that rights are taken away from paths.
func (p *planner) attributes(_ context.Context, r repair) error {
	for _, rule := range r.Attributes {
		most, err := strconv.ParseUint(rule.Most, 8, 12)
		if err != nil {
			return fmt.Errorf("most: %q is no mode", rule.Most)
		}
		for _, glob := range rule.Paths {
			names, err := p.m.host.Glob(glob)
			if err != nil {
				return err
			}
			for _, name := range names {
				full, now, err := p.look(name)
				if err != nil {
					return err
				}
				// Some of these places are their users' own, who could send us anywhere by a link.
				if full != name || now.Type == isLink {
					p.note("%s stays as it is: a link leads there", name)
					continue
				}
				if now.Type != isFile && now.Type != isFolder || now.Type == isFile && now.links > 1 {
					continue
				}
				want := now
				want.setMode(want.Mode & uint32(most))
				if want.UID, err = p.m.id("/etc/passwd", rule.Owner, now.UID); err != nil {
					return err
				}
				if want.GID, err = p.m.id("/etc/group", rule.Group, now.GID); err != nil {
					return err
				}
				p.set(full, now, want)
			}
		}
	}
	return nil
}

// id finds the number of an account or group of the host; an empty name is none, and keeps the one that is there.
func (m *Machine) id(file, name string, now uint32) (uint32, error) {
	if name == "" {
		return now, nil
	}
	text, err := m.host.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) > 2 && fields[0] == name {
			n, err := strconv.ParseUint(fields[2], 10, 32)
			return uint32(n), err
		}
	}
	return 0, fmt.Errorf("there is no %q in %s", name, file)
}

// app plans what concerns the declared applications.
func (p *planner) app(ctx context.Context, r repair) error {
	if r.App == "" {
		return nil
	}
	if len(p.f.o.Apps) == 0 {
		return nothing("no application is declared under audit.apps, nor by --app NAME --app-root FOLDER")
	}
	if len(p.f.o.Apps) > 1 {
		return nothing("several applications are declared: name one with --app NAME")
	}
	a := p.f.o.Apps[0]
	root, err := p.m.place.resolve(a.Root)
	if err != nil {
		return fmt.Errorf("application %s: %w", a.Name, err)
	}
	if root != path.Clean(a.Root) {
		p.note("%s leads to %s", a.Root, root)
	}
	if root == "/" || strings.Count(root, "/") < 2 {
		return fmt.Errorf("application %s: %s is no folder of an application", a.Name, root)
	}
	a.Root = root
	p.g.app = &a
	if err := p.application(ctx, a, r.App); err != nil {
		return fmt.Errorf("application %s: %w", a.Name, err)
	}
	return nil
}

func (p *planner) application(ctx context.Context, a App, what string) error {
	switch what {
	case "password":
		return p.rotate(ctx, a)
	case "rights":
		return p.rights(ctx, a)
	}
	l, err := p.m.layout(a)
	if err != nil {
		return err
	}
	var c *treeChange
	switch what {
	case "seal":
		p.g.seal = sealed
		c, err = p.m.planTree(ctx, l, "seal "+a.Name, l.sealed)
	case "data":
		c, err = p.m.planData(ctx, l)
	case "readonly":
		c, err = p.m.planTree(ctx, l, "take the right to write from "+a.Name, l.readonly)
	case "owner":
		c, err = p.m.planTree(ctx, l, "give "+a.Name+" an owner other than root", l.owned)
	default:
		return fmt.Errorf("app: %q is none of owner, readonly, seal, data, password, rights", what)
	}
	if err != nil {
		return err
	}
	for _, n := range c.Notes {
		p.note("%s", n)
	}
	if len(c.entries) > 0 {
		p.edits++
		p.other = append(p.other, c)
	}
	return nil
}
