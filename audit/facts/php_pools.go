package facts

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// phpPool is one pool of a php-fpm.
type phpPool struct {
	name, origin        string
	user, group, listen Setting
	values, admins      []phpSetting // php_value and php_flag; php_admin_value and php_admin_flag
}

const maxPools = 1_000

// poolReader reads php-fpm.conf with what it includes; a pool may be continued in another file.
type poolReader struct {
	h       *Host
	pools   []*phpPool
	current *phpPool
	files   int
}

func readPools(h *Host, file string) ([]*phpPool, error) {
	r := &poolReader{h: h}
	err := r.file(file, 0)
	return r.pools, err
}

func (r *poolReader) file(name string, depth int) error {
	if r.files++; r.files > 2_000 || depth > 5 { // php-fpm itself takes 5 includes within each other
		return fmt.Errorf("%s: too many files, or within each other", name)
	}
	text, err := r.h.ReadFile(name)
	if err != nil {
		return err
	}
	section := ""
	for _, s := range readPHPIni(name, string(text)) {
		if s.section != section { // a header; what a file begins with belongs to the pool of the file around it
			section = s.section
			if err := r.enter(s); err != nil {
				return err
			}
		}
		if err := r.setting(name, s, depth); err != nil {
			return err
		}
	}
	return nil
}

func (r *poolReader) setting(file string, s phpSetting, depth int) error {
	if s.key == "include" {
		pattern := s.value
		if !path.IsAbs(pattern) {
			pattern = path.Join(path.Dir(file), pattern)
		}
		names, err := r.h.Glob(pattern)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, name := range names {
			if err := r.file(name, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	p := r.current
	if p == nil {
		return nil
	}
	value := Setting{strings.ReplaceAll(s.value, "$pool", p.name), s.origin}
	name, rest, _ := strings.Cut(s.key, "[")
	key := strings.TrimSuffix(rest, "]")
	switch name {
	case "user":
		p.user = value
	case "group":
		p.group = value
	case "listen":
		p.listen = value
	case "php_value", "php_admin_value", "php_flag", "php_admin_flag":
		if strings.HasSuffix(name, "_flag") {
			value.Value = phpFlag(value.Value)
		}
		own := phpSetting{key: key, value: value.Value, origin: s.origin}
		if strings.HasPrefix(name, "php_admin_") {
			p.admins = append(p.admins, own)
		} else {
			p.values = append(p.values, own)
		}
	}
	return nil
}

// enter makes the section's pool the current one.
func (r *poolReader) enter(s phpSetting) error {
	if strings.EqualFold(s.section, "global") {
		r.current = nil
		return nil
	}
	i := slices.IndexFunc(r.pools, func(p *phpPool) bool { return p.name == s.section })
	if i < 0 {
		if len(r.pools) >= maxPools {
			return fmt.Errorf("%s: more than %d pools", s.origin, maxPools)
		}
		none := Setting{"", "default"}
		r.pools = append(r.pools, &phpPool{name: s.section, origin: s.origin, user: none, group: none, listen: none})
		i = len(r.pools) - 1
	}
	r.current = r.pools[i]
	return nil
}

// over lays what the pool sets over the values of the php.ini files. disable_functions of a pool adds to them: what is
// once taken away does not come back.
func (p *phpPool) over(v phpValues) phpValues {
	v = v.clone()
	for _, list := range [][]phpSetting{p.values, p.admins} {
		for _, s := range slices.Backward(list) { // of the same directive twice, php-fpm takes the first
			if s.key == "disable_functions" || s.key == "disable_classes" {
				before := v.settings[s.key].Value
				v.settings[s.key] = Setting{strings.Trim(before+","+s.value, ","), s.origin}
				continue
			}
			v.set(s.key, s.value, s.origin)
		}
	}
	for _, s := range p.admins {
		v.locked[s.key] = true
	}
	return v
}

// answers says whether the pool listens at an address as a web server names it.
func (p *phpPool) answers(address string) bool {
	if address == "" || address == "module" {
		return false
	}
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		clean := func(name string) string { return strings.TrimPrefix(path.Clean(name), "/var") } // /var/run is /run
		return clean(socket) == clean(p.listen.Value)
	}
	_, theirs := splitListen(address)
	_, ours := splitListen(p.listen.Value)
	if _, err := strconv.Atoi(ours); err != nil {
		return false
	}
	return theirs == ours
}
