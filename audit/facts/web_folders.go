package facts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Web is what the web servers of the host show of its file system, both of them together.
type Web struct {
	// Data are the folders that hold what people gave to the declared applications (audit.apps), each with the web server
	// that reaches it, if one does. Nothing is in there when no application is declared.
	Data []WebData `cel:"data"`
	// Tools are programs that administer a database from a browser: phpMyAdmin and Adminer, as packages, below document roots, or
	// as an alias.
	Tools []WebTool `cel:"tools"`
	// Roots is how many folders web servers show.
	Roots int `cel:"roots"`
}

// WebData is one data folder.
type WebData struct {
	App  string `cel:"app"`
	Path string `cel:"path"` // as it is declared
	Real string `cel:"real"` // with links followed
	// Shown is the folder of a web server below which it lies, or in which a link leads to it; empty when there is none.
	Shown  string `cel:"shown"`
	By     string `cel:"by"` // the web server and its site
	Origin string `cel:"origin"`
}

// WebTool is one such program.
type WebTool struct {
	Name   string `cel:"name"` // phpMyAdmin or Adminer
	Path   string `cel:"path"`
	Origin string `cel:"origin"`
}

func collectWeb(ctx context.Context, h *Host, t Target) (Web, []Missing) {
	w := Web{Data: []WebData{}, Tools: []WebTool{}}
	c, err := readWeb(ctx, h, t)
	if err != nil {
		return w, missing("%s", because(err))
	}
	w.Roots = len(c.roots)
	var lost []Missing
	switch w.Tools, err = c.tools(ctx, h); {
	case err != nil:
		lost = append(lost, Missing{"tools", because(err)})
	case w.Roots == 0 && !h.Exists("/var/lib/dpkg/status"): // then nothing was looked at
		lost = append(lost, Missing{"tools", "neither folders of a web server nor a list of packages could be read"})
	}
	if w.Data, err = c.data(ctx, h); err != nil {
		lost = append(lost, Missing{"data", because(err)})
	}
	return w, lost
}

// realPath follows all links of name inside the root. What does not exist stays as it is from there on.
func (h *Host) realPath(name string) (string, error) {
	name = path.Clean("/" + name)
	top, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", h.top.Fd()))
	if err != nil {
		return "", err
	}
	rest := ""
	for {
		f, err := h.open(name, unix.O_PATH)
		if errors.Is(err, fs.ErrNotExist) && name != "/" {
			rest = path.Join(path.Base(name), rest)
			name = path.Dir(name)
			continue
		}
		if err != nil {
			return "", err
		}
		link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
		f.Close()
		if err != nil {
			return "", err
		}
		return path.Join("/", strings.TrimPrefix(link, strings.TrimSuffix(top, "/")), rest), nil
	}
}

// data finds for every declared data folder the web server that shows it. A link in a document root counts where links
// are followed; links are looked for four folders deep.
func (c webConfig) data(ctx context.Context, h *Host) ([]WebData, error) {
	all := []WebData{}
	for _, app := range c.apps {
		folders, origin, err := dataFolders(h, app)
		if err != nil {
			return all, err
		}
		for _, folder := range folders {
			if !path.IsAbs(folder) {
				folder = path.Join(app.Root, folder)
			}
			real, err := h.realPath(folder)
			if err != nil {
				return all, err
			}
			all = append(all, WebData{App: app.Name, Path: folder, Real: real, Origin: origin})
		}
	}
	if len(all) == 0 {
		return all, nil
	}
	left := maxFolders
	seen := map[string]bool{}
	for _, r := range c.roots {
		real, err := h.realPath(r.folder)
		if err != nil {
			return all, err
		}
		for i := range all {
			if lies(all[i].Real, real) || lies(all[i].Path, r.folder) {
				all[i].show(r, r.folder)
			}
		}
		if seen[real] || !r.followsLinks {
			continue
		}
		seen[real] = true
		err = walkFolders(ctx, h, real, 4, &left, func(dir string, entries []fs.DirEntry) {
			for _, e := range entries {
				if e.Type()&fs.ModeSymlink == 0 {
					continue
				}
				target, err := h.realPath(path.Join(dir, e.Name()))
				for i := range all {
					if err == nil && (lies(all[i].Real, target) || lies(target, all[i].Real)) {
						all[i].show(r, path.Join(dir, e.Name()))
					}
				}
			}
		})
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func (d *WebData) show(r webRoot, where string) {
	if d.Shown == "" {
		d.Shown, d.By, d.Origin = where, strings.TrimSpace(r.program+" "+r.site), r.origin
	}
}

var deskproData = regexp.MustCompile(`(?m)^\s*\$DP_CONFIG\[\s*['"]dir_data['"]\s*\]\s*=\s*(.+?)\s*;`)

var deskproPath = regexp.MustCompile(`^(?:(DP_ROOT|__DIR__|dirname\(__FILE__\))\s*\.\s*)?['"]([^'"$]*)['"]$`)

// dataFolders are those that are declared; of Deskpro else the one that its config.php names, by default data.
func dataFolders(h *Host, app App) ([]string, string, error) {
	if len(app.Data) > 0 {
		return app.Data, "audit.apps " + app.Name, nil
	}
	if app.Kind != "deskpro" {
		kind, err := readAppKind(app.Kind)
		return kind.paths(kind.Data), "rules/apps/" + app.Kind + "/host.yaml", err
	}
	file := h.Look(path.Join(app.Root, "config.php"), path.Join(app.Root, "config/config.php"))
	if file == "" {
		return []string{path.Join(app.Root, "data")}, "default", nil
	}
	text, err := h.ReadFile(file)
	if err != nil {
		return nil, "", err
	}
	found := deskproData.FindAllSubmatchIndex(text, 100)
	if len(found) == 0 {
		return []string{path.Join(app.Root, "data")}, "default", nil
	}
	at := found[len(found)-1]
	value := string(text[at[2]:at[3]])
	origin := fmt.Sprintf("%s:%d", file, bytes.Count(text[:at[2]], []byte("\n"))+1)
	m := deskproPath.FindStringSubmatch(value)
	switch {
	case m == nil:
		return nil, origin, fmt.Errorf("%s: dir_data is computed: %s", origin, value)
	case m[1] == "DP_ROOT":
		return []string{path.Join(app.Root, m[2])}, origin, nil
	case m[1] != "":
		return []string{path.Join(path.Dir(file), m[2])}, origin, nil
	}
	return []string{m[2]}, origin, nil
}

// tools finds phpMyAdmin and Adminer by package, by usual folders, and below what web servers show, three folders deep, under
// whatever name: phpMyAdmin by its composer.json, Adminer by its file.
func (c webConfig) tools(ctx context.Context, h *Host) ([]WebTool, error) {
	all := []WebTool{}
	add := func(t WebTool) {
		if len(all) < 100 && !slices.ContainsFunc(all, func(o WebTool) bool { return o.Path == t.Path }) {
			all = append(all, t)
		}
	}
	for _, name := range []string{"phpmyadmin", "adminer"} {
		list := "/var/lib/dpkg/info/" + name + ".list"
		if !h.Exists(list) || !h.Exists("/usr/share/"+name) { // a package that was removed leaves its list of configuration files
			continue
		}
		add(WebTool{map[string]string{"phpmyadmin": "phpMyAdmin", "adminer": "Adminer"}[name], "/usr/share/" + name, list})
	}
	left := maxFolders
	seen := map[string]bool{}
	for _, r := range c.roots {
		real, err := h.realPath(r.folder)
		if err != nil {
			return all, err
		}
		if seen[real] {
			continue
		}
		seen[real] = true
		err = walkFolders(ctx, h, real, 3, &left, func(dir string, entries []fs.DirEntry) {
			if name := toolIn(h, dir, entries); name != "" {
				add(WebTool{name, dir, r.origin})
			}
			for _, e := range entries {
				if e.Type()&fs.ModeSymlink != 0 {
					target := path.Join(dir, e.Name())
					if inner, err := h.ReadDir(target); err == nil && toolIn(h, target, inner) != "" {
						add(WebTool{toolIn(h, target, inner), target, r.origin})
					}
				}
			}
		})
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

var phpMyAdminName = regexp.MustCompile(`"name"\s*:\s*"phpmyadmin/?(?:phpmyadmin)?"`)

var adminerFile = regexp.MustCompile(`(?i)^adminer(?:[-_.][a-z0-9._-]*)?\.php$`)

func toolIn(h *Host, dir string, entries []fs.DirEntry) string {
	if base := strings.ToLower(path.Base(dir)); base == "phpmyadmin" {
		return "phpMyAdmin"
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "composer.json" || name == "package.json":
			if text, err := h.ReadFile(path.Join(dir, name)); err == nil && phpMyAdminName.Match(text) {
				return "phpMyAdmin"
			}
		case name == "show_config_errors.php" && slices.ContainsFunc(entries, func(o fs.DirEntry) bool { return o.Name() == "libraries" }):
			return "phpMyAdmin" // Debian's package comes without composer.json
		case adminerFile.MatchString(name):
			return "Adminer"
		}
	}
	return ""
}
