package facts

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const (
	maxOptionFiles = 500 // option files that one server reads
	maxOptionDepth = 10  // files that include each other
	maxOptions     = 10_000
	maxLost        = 100 // reasons why a configuration is not read whole
)

// serverGroups are the groups of option files that a MariaDB or MySQL server reads, beside those with its version.
func serverGroups() []string {
	return []string{"mysqld", "server", "mariadb", "mariadbd", "client-server"}
}

// optionReader reads option files as the server does: in order, the later line wins.
type optionReader struct {
	h      *Host
	values map[string]Setting
	lines  []ConfigLine
	files  int
	lost   []string
}

// readOptions reads the server's options from the first option file of the distribution, and all that it includes.
func readOptions(h *Host) (map[string]Setting, []string) {
	r := allOptions(h)
	return r.values, r.lost
}

func allOptions(h *Host) *optionReader {
	r := &optionReader{h: h, values: map[string]Setting{}}
	for _, name := range []string{"/etc/my.cnf", "/etc/mysql/my.cnf"} {
		if h.Exists(name) {
			r.file(name, 0)
		}
	}
	return r
}

func (r *optionReader) file(name string, depth int) {
	if len(r.lost) > maxLost {
		return
	}
	if r.files++; r.files > maxOptionFiles || depth > maxOptionDepth {
		r.lost = append(r.lost, fmt.Sprintf("%s: too many option files include each other", name))
		return
	}
	text, err := r.h.ReadFile(name)
	if err != nil {
		r.lost = append(r.lost, because(err))
		return
	}
	group, n := false, 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case strings.HasPrefix(line, "!includedir"):
			r.folder(strings.TrimSpace(line[len("!includedir"):]), depth)
		case strings.HasPrefix(line, "!include"):
			r.file(r.path(name, strings.TrimSpace(line[len("!include"):])), depth+1)
		case line[0] == '[':
			end := strings.IndexByte(line, ']')
			group = end > 0 && serverGroup(strings.TrimSpace(line[1:end]))
		case group:
			key, value, set := strings.Cut(line, "=")
			r.option(key, value, set, name, n)
		}
	}
}

func (r *optionReader) path(from, name string) string {
	if path.IsAbs(name) {
		return name
	}
	return path.Join(path.Dir(from), name)
}

// folder reads the *.cnf files of a folder, in the order of their names.
func (r *optionReader) folder(name string, depth int) {
	entries, err := r.h.ReadDir(name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.lost = append(r.lost, because(err))
		}
		return
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".cnf") {
			r.file(path.Join(name, e.Name()), depth+1)
		}
	}
}

// option stores one line. Names have - or _ alike, loose- and enable- before them say nothing, skip- and disable- say no.
func (r *optionReader) option(key, value string, set bool, file string, n int) {
	if len(r.values) >= maxOptions {
		return
	}
	key = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(key)), "-", "_")
	key = strings.TrimPrefix(strings.TrimPrefix(key, "loose_"), "enable_")
	value = unquote(value)
	if !set {
		value = "1"
	}
	if rest, ok := strings.CutPrefix(key, "disable_"); ok {
		key, value = rest, "0"
	}
	if rest, ok := strings.CutPrefix(key, "skip_"); ok && !slices.Contains([]string{"networking", "name_resolve", "grant_tables", "show_database", "slave_start", "external_locking", "host_cache"}, rest) {
		key, value = rest, "0"
	}
	r.values[key] = Setting{value, fmt.Sprintf("%s:%d", file, n)}
	if len(r.lines) < maxOptions {
		r.lines = append(r.lines, ConfigLine{file, n, key, value})
	}
}

// serverGroup says whether a server reads the group, which may end with a version: [mariadb-10.11].
func serverGroup(name string) bool {
	if slices.Contains(serverGroups(), name) {
		return true
	}
	base, version, ok := strings.Cut(name, "-")
	return ok && slices.Contains(serverGroups(), base) && version != "" && version[0] >= '0' && version[0] <= '9'
}
