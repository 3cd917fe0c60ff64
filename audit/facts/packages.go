package facts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/doorward/doorward/rules"
)

const maxPackages = 50_000

const dpkgStatus = "/var/lib/dpkg/status"

// Packages is what the package manager has installed. Hosts without dpkg have no such fact.
type Packages struct {
	Installed []Package `cel:"installed"` // by name; also those of which the configuration is not done
	Residual  []Package `cel:"residual"`  // removed, but their configuration files are still there
	Broken    []Package `cel:"broken"`    // half installed, unpacked or half configured
	// Asterisk says that a telephone exchange is here, from a package or built by hand.
	Asterisk Setting `cel:"asterisk"`
	Origin   string  `cel:"origin"`
}

// Package is one package of dpkg.
type Package struct {
	Name    string `cel:"name"`
	Arch    string `cel:"arch"`
	Version string `cel:"version"`
	// Source is the source package that it was built of, by which security trackers name it, and SourceVersion its version.
	Source        string `cel:"source"`
	SourceVersion string `cel:"source_version"`
	Status        string `cel:"status"` // installed, config-files, half-configured, …
	Hold          bool   `cel:"hold"`   // it is kept from upgrades
	// Class is what kind of thing the package is, by rules/packages.yaml: desktop, printing, games, …; empty for most.
	Class string `cel:"class"`
	// Unwanted says that a server needs nothing of this kind, and that the administrator has not declared it as needed.
	Unwanted bool   `cel:"unwanted"`
	Why      string `cel:"why"` // what harm the kind does
	Origin   string `cel:"origin"`
}

// packageClass is an entry of rules/packages.yaml.
type packageClass struct {
	Class    string   `yaml:"class"`
	Unwanted bool     `yaml:"unwanted"`
	Why      string   `yaml:"why"`
	Names    []string `yaml:"names"` // patterns of path.Match
	Units    []string `yaml:"units"` // names of units that differ from their package's, without ending
}

// packageClasses looks names up: exact ones in a map, patterns one by one.
type packageClasses struct {
	exact    map[string]*packageClass
	patterns []struct {
		text string
		of   *packageClass
	}
}

func readPackageClasses() (packageClasses, error) {
	var file struct {
		Classes []packageClass `yaml:"classes"`
	}
	c := packageClasses{exact: map[string]*packageClass{}}
	if err := yaml.UnmarshalWithOptions(rules.Packages(), &file, yaml.Strict()); err != nil {
		return c, fmt.Errorf("read rules/packages.yaml: %w", err)
	}
	for i := range file.Classes {
		of := &file.Classes[i]
		for _, name := range slices.Concat(of.Names, of.Units) {
			if strings.ContainsAny(name, `*?[\`) {
				c.patterns = append(c.patterns, struct {
					text string
					of   *packageClass
				}{name, of})
			} else {
				c.exact[name] = of
			}
		}
	}
	return c, nil
}

func (c packageClasses) of(name string) *packageClass {
	if found := c.exact[name]; found != nil {
		return found
	}
	for _, p := range c.patterns {
		if ok, _ := path.Match(p.text, name); ok {
			return p.of
		}
	}
	return nil
}

func collectPackages(_ context.Context, h *Host, t Target) (Packages, []Missing) {
	all, err := dpkgPackages(h)
	if errors.Is(err, fs.ErrNotExist) {
		return Packages{}, missing("there is no %s: packages of other managers than dpkg are not read", dpkgStatus)
	}
	if err != nil {
		return Packages{}, missing("%s", because(err))
	}
	classes, err := readPackageClasses()
	if err != nil {
		return Packages{}, missing("%s", because(err))
	}
	p := Packages{Origin: dpkgStatus}
	for _, one := range all {
		if class := classes.of(one.Name); class != nil {
			one.Class, one.Why = class.Class, class.Why
			one.Unwanted = class.Unwanted && !slices.Contains(t.NeededPackages, one.Name)
		}
		switch one.Status {
		case "not-installed":
		case "config-files":
			p.Residual = append(p.Residual, one)
		case "half-installed", "unpacked", "half-configured":
			p.Broken = append(p.Broken, one)
			p.Installed = append(p.Installed, one)
		default:
			p.Installed = append(p.Installed, one)
		}
		if one.Name == "asterisk" && one.Status != "config-files" && one.Status != "not-installed" {
			p.Asterisk = Setting{one.Version, one.Origin}
		}
	}
	for _, name := range []string{"/usr/sbin/asterisk", "/usr/local/sbin/asterisk", "/etc/asterisk/asterisk.conf", "/etc/asterisk/sip.conf", "/etc/asterisk/pjsip.conf"} {
		if p.Asterisk.Value == "" && h.Exists(name) {
			p.Asterisk = Setting{name, name}
		}
	}
	return p, nil
}

// dpkgPackages reads what dpkg knows, by name.
func dpkgPackages(h *Host) ([]Package, error) {
	text, err := h.ReadFile(dpkgStatus)
	if err != nil {
		return nil, err
	}
	var all []Package
	over := false
	err = stanzas(bytes.NewReader(text), []string{"Package", "Status", "Version", "Source", "Architecture"}, func(f map[string]string, line int) bool {
		if f["Package"] == "" {
			return true
		}
		if over = len(all) == maxPackages; over {
			return false
		}
		p := Package{Name: f["Package"], Arch: f["Architecture"], Version: f["Version"], Source: f["Package"], SourceVersion: f["Version"],
			Origin: fmt.Sprintf("%s:%d", dpkgStatus, line)}
		if words := strings.Fields(f["Status"]); len(words) == 3 { // "hold ok installed"
			p.Hold, p.Status = words[0] == "hold", words[2]
		}
		if source, version, own := strings.Cut(f["Source"], " ("); source != "" {
			p.Source = source
			if own {
				p.SourceVersion = strings.TrimSuffix(version, ")")
			}
		}
		all = append(all, p)
		return true
	})
	if over {
		return nil, fmt.Errorf("read %s: more than %d packages", dpkgStatus, maxPackages)
	}
	slices.SortStableFunc(all, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}

// packageVersion is the version of an installed Debian package; "" when it is not installed.
func packageVersion(h *Host, name string) (version string, err error) {
	text, err := h.ReadFile(dpkgStatus)
	if err != nil || name == "" {
		return "", err
	}
	err = stanzas(bytes.NewReader(text), []string{"Package", "Status", "Version"}, func(f map[string]string, _ int) bool {
		if f["Package"] != name {
			return true
		}
		if strings.HasSuffix(f["Status"], " installed") {
			version = f["Version"]
		}
		return false
	})
	return version, err
}

// modified is when a file was last written, in UTC.
func modified(h *Host, name string) (time.Time, bool) {
	info, err := h.Stat(name)
	if err != nil {
		return time.Time{}, false
	}
	return info.ModTime().UTC(), true
}
