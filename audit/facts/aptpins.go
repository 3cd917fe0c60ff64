package facts

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// aptPin is a stanza of apt's preferences (apt_preferences(5)).
type aptPin struct {
	packages []string // patterns; nil for all packages
	kind     string   // version, release or origin
	value    string
	priority int
	origin   string
}

// pinVersions gives versions the priorities that preferences say: for a package the first stanza that names it and fits, else the
// first of those for all packages that fits.
func pinVersions(h *Host, lists []AptList, offered map[string][]available) error {
	pins, err := readPins(h)
	if err != nil || len(pins) == 0 {
		return err
	}
	byOrigin := map[string]AptList{}
	for _, l := range lists {
		byOrigin[l.Origin] = l
	}
	for name, versions := range offered {
		for i := range versions {
			for _, general := range []bool{true, false} { // what names the package comes last, and wins
				for _, p := range pins {
					if (p.packages == nil) == general && p.fits(name, versions[i], byOrigin[versions[i].list]) {
						versions[i].priority = p.priority
						break
					}
				}
			}
		}
	}
	return nil
}

func (p aptPin) fits(name string, v available, list AptList) bool {
	named := p.packages == nil
	for _, pattern := range p.packages {
		ok, err := path.Match(pattern, name)
		named = named || ok && err == nil
	}
	if !named {
		return false
	}
	fits := func(pattern, value string) bool { ok, err := path.Match(pattern, value); return ok && err == nil }
	switch p.kind {
	case "version":
		return fits(p.value, v.version)
	case "origin":
		return fits(strings.Trim(p.value, `"`), list.host)
	}
	for part := range strings.SplitSeq(p.value, ",") {
		key, want, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok { // "release stable" is the archive or codename, "release 12.5" the version
			if !fits(key, list.Archive) && !fits(key, list.Codename) && !fits(key, list.version) {
				return false
			}
			continue
		}
		value := map[string]string{"a": list.Archive, "n": list.Codename, "o": list.Maker, "l": list.Label, "c": list.Component, "v": list.version}[key]
		if !fits(strings.Trim(want, `"`), value) {
			return false
		}
	}
	return true
}

// readPins reads preferences.d by name, then preferences. A stanza that is no pattern of names cannot be told.
func readPins(h *Host) (pins []aptPin, err error) {
	names, err := h.Glob("/etc/apt/preferences.d/*")
	if err != nil {
		return nil, err
	}
	for _, name := range append(names, "/etc/apt/preferences") {
		if ending := path.Ext(name); ending != "" && ending != ".pref" || !aptFileName.MatchString(path.Base(name)) {
			continue
		}
		text, err := h.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var bad error
		err = stanzas(bytes.NewReader(text), []string{"Package", "Pin", "Pin-Priority"}, func(f map[string]string, line int) bool {
			origin := fmt.Sprintf("%s:%d", name, line)
			if f["Package"] == "" { // a comment by itself
				return true
			}
			if len(pins) == 1000 {
				bad = fmt.Errorf("%s: more than 1000 pins", origin)
				return false
			}
			var p aptPin
			if p, bad = newPin(f, origin); bad == nil {
				pins = append(pins, p)
			}
			return bad == nil
		})
		if err := errors.Join(err, bad); err != nil {
			return nil, err
		}
	}
	return pins, nil
}

func newPin(f map[string]string, origin string) (aptPin, error) {
	p := aptPin{origin: origin}
	priority, err := strconv.Atoi(f["Pin-Priority"])
	if err != nil {
		return p, fmt.Errorf("%s: Pin-Priority %q is no number", origin, f["Pin-Priority"])
	}
	p.priority = priority
	kind, value, _ := strings.Cut(f["Pin"], " ")
	p.kind, p.value = strings.ToLower(kind), strings.TrimSpace(value)
	if p.kind != "version" && p.kind != "release" && p.kind != "origin" {
		return p, fmt.Errorf("%s: the pin %q cannot be told", origin, f["Pin"])
	}
	for word := range strings.FieldsSeq(f["Package"]) {
		if strings.HasPrefix(word, "/") || strings.HasPrefix(word, "src:") || len(p.packages) == 1000 {
			return p, fmt.Errorf("%s: which packages %q are only apt can tell", origin, word)
		}
		p.packages = append(p.packages, trimArch(word))
	}
	if len(p.packages) == 1 && p.packages[0] == "*" {
		p.packages = nil
	}
	return p, nil
}

func trimArch(name string) string { name, _, _ = strings.Cut(name, ":"); return name }
