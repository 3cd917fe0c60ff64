package facts

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

const (
	maxPGFiles = 500 // files of one cluster's configuration
	maxPGDepth = 10  // files that include each other
)

// pgReader reads postgresql.conf and what it includes as the server does: the last line of a name wins.
type pgReader struct {
	h      *Host
	values map[string]Setting
	lines  []ConfigLine
	files  int
	lost   []string
}

func (r *pgReader) file(name string, must bool, depth int) {
	if len(r.lost) > maxLost {
		return
	}
	if r.files++; r.files > maxPGFiles || depth > maxPGDepth {
		r.lost = append(r.lost, name+": too many files include each other")
		return
	}
	text, err := r.h.ReadFile(name)
	if err != nil {
		if must || !errors.Is(err, fs.ErrNotExist) {
			r.lost = append(r.lost, because(err))
		}
		return
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		key, value := pgLine(line)
		other := value
		if !path.IsAbs(other) {
			other = path.Join(path.Dir(name), other)
		}
		switch key {
		case "":
		case "include", "include_if_exists":
			r.file(other, key == "include", depth+1)
		case "include_dir":
			r.folder(other, depth)
		default:
			r.values[key] = Setting{value, fmt.Sprintf("%s:%d", name, n)}
			if len(r.lines) < maxOptions {
				r.lines = append(r.lines, ConfigLine{name, n, key, value})
			}
		}
	}
}

// folder reads the *.conf files of a folder in the order of their names.
func (r *pgReader) folder(name string, depth int) {
	entries, err := r.h.ReadDir(name)
	if err != nil {
		r.lost = append(r.lost, because(err))
		return
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".conf") && !strings.HasPrefix(e.Name(), ".") {
			r.file(path.Join(name, e.Name()), true, depth+1)
		}
	}
}

// pgLine reads "name = 'value' # comment". The sign may be left out.
func pgLine(line string) (key, value string) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", ""
	}
	at := strings.IndexAny(line, " \t=")
	if at < 0 {
		return "", ""
	}
	key = strings.ToLower(line[:at])
	value = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line[at:]), "="))
	if !strings.HasPrefix(value, "'") {
		value, _, _ = strings.Cut(value, "#")
		return key, strings.TrimSpace(value)
	}
	var text strings.Builder
	for i := 1; i < len(value); i++ {
		switch {
		case value[i] == '\'' && i+1 < len(value) && value[i+1] == '\'', value[i] == '\\' && i+1 < len(value):
			i++
		case value[i] == '\'':
			return key, text.String()
		}
		text.WriteByte(value[i])
	}
	return key, text.String()
}
