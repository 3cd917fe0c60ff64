package fail2ban

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Config is a tree of fail2ban's configuration, such as /etc/fail2ban. It reads each file once.
type Config struct {
	dir     string
	files   map[string]*iniFile
	parsers map[string]*parser
	// Unread are the files that could not be read, and why: an include that is not there is none of them.
	Unread []string
}

// Open gives the tree below dir; it must have a jail.conf or a filter.d, else it is none of fail2ban's.
func Open(dir string) (*Config, error) {
	for _, name := range []string{"jail.conf", "jail.local", "filter.d", "jail.d"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return &Config{dir: strings.TrimRight(dir, "/"), files: map[string]*iniFile{}, parsers: map[string]*parser{}}, nil
		}
	}
	return nil, fmt.Errorf("%s holds neither jail.conf nor filter.d: not a configuration of fail2ban", dir)
}

// load reads one file. Nil without an error: there is none.
func (c *Config) load(name string) (*iniFile, error) {
	if f, ok := c.files[name]; ok {
		return f, nil
	}
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.Unread = append(c.Unread, err.Error())
		}
		c.files[name] = nil
		return nil, nil
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("read %s: larger than %d bytes", name, maxFile)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		c.Unread = append(c.Unread, err.Error())
		c.files[name] = nil
		return nil, nil
	}
	f, err := parseIni(string(text))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	c.files[name] = f
	return f, nil
}

// read merges BASE.conf, BASE.d/*.conf, BASE.local and BASE.d/*.local below the tree, each with what it includes before and
// after. A fresh parser is given: a jail adds to it what its filter knows.
func (c *Config) read(base string) (*parser, error) {
	base = filepath.Join(c.dir, base)
	var names []string
	for _, ending := range []string{".conf", ".local"} {
		names = append(names, base+ending)
		more, err := filepath.Glob(escapeGlob(base) + ".d/*" + ending)
		if err != nil {
			return nil, fmt.Errorf("list %s.d: %w", base, err)
		}
		more = slices.DeleteFunc(more, func(s string) bool { return strings.HasPrefix(filepath.Base(s), ".") })
		slices.Sort(more)
		names = append(names, more...)
	}
	names = slices.DeleteFunc(names, func(s string) bool { _, err := os.Stat(s); return err != nil })
	if len(names) == 0 {
		return nil, fmt.Errorf("%s.conf is not there", base)
	}
	in := includer{c: c}
	if err := in.all(names, nil); err != nil {
		return nil, err
	}
	p := newParser()
	for _, name := range in.order {
		f, err := c.load(name)
		if err != nil {
			return nil, err
		}
		if f != nil {
			p.merge(f)
			p.files = append(p.files, name)
		}
	}
	return p, nil
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// includer lists files with those that they include.
type includer struct {
	c     *Config
	order []string
	asked int
}

// all adds the named files, each followed by its .local.
func (in *includer) all(names, above []string) error {
	for _, name := range names {
		if err := in.one(name, above); err != nil {
			return err
		}
		local := strings.TrimSuffix(name, filepath.Ext(name)) + ".local"
		if slices.Contains(names, local) {
			continue
		}
		if info, err := os.Stat(local); err == nil && info.Mode().IsRegular() {
			if err := in.one(local, above); err != nil {
				return err
			}
		}
	}
	return nil
}

// one adds what a file includes before it, the file, and what it includes after it.
func (in *includer) one(name string, above []string) error {
	if in.asked++; in.asked > maxFiles || len(in.order) > maxFiles {
		return fmt.Errorf("more than %d files are included", maxFiles)
	}
	f, err := in.c.load(name)
	if err != nil || f == nil {
		return err
	}
	if err := in.included(f, name, "before", above); err != nil {
		return err
	}
	in.order = append(in.order, name)
	return in.included(f, name, "after", above)
}

func (in *includer) included(f *iniFile, name, option string, above []string) error {
	if _, ok := f.sections["INCLUDES"]; !ok {
		return nil
	}
	p := newParser()
	p.merge(f)
	text, err := p.get("INCLUDES", option, nil)
	if errors.Is(err, errNoOption) {
		return nil
	} else if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	for _, other := range strings.Split(text, "\n") {
		if other == "" {
			continue
		}
		if !filepath.IsAbs(other) {
			other = filepath.Join(filepath.Dir(name), other)
		}
		if slices.Contains(above, other) {
			continue
		}
		if err := in.all([]string{other}, append(slices.Clone(above), name)); err != nil {
			return err
		}
	}
	return nil
}
