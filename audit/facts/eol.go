package facts

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/doorward/doorward/rules"
)

// Support is until when a release gets security updates, by rules/eol.yaml.
type Support struct {
	Product  string `cel:"product"` // debian, ubuntu, php
	Version  string `cel:"version"`
	Codename string `cel:"codename"`
	// Known says that the table has the release; without it the times mean nothing.
	Known    bool      `cel:"known"`
	Standard time.Time `cel:"standard"` // the end of the maker's full support
	Ends     time.Time `cel:"ends"`     // the end of all security updates that this host gets
	// Distribution says that the package comes from the host's own distribution, which mends it as long as itself.
	Distribution bool   `cel:"distribution"`
	Source       string `cel:"source"` // where the days come from, and when somebody looked
	Origin       string `cel:"origin"`

	subscription time.Time
}

// eolDay is a day of the table; it ends with its last second.
type eolDay struct{ time.Time }

func (d *eolDay) UnmarshalYAML(text []byte) error {
	t, err := time.Parse(time.DateOnly, strings.Trim(strings.TrimSpace(string(text)), `"'`))
	if err != nil {
		return fmt.Errorf("read day: %w", err)
	}
	d.Time = t.Add(24*time.Hour - time.Second)
	return nil
}

type eolTable struct {
	Products []struct {
		Product  string `yaml:"product"`
		Source   string `yaml:"source"`
		Checked  eolDay `yaml:"checked"`
		Releases []struct {
			Version      string `yaml:"version"`
			Codename     string `yaml:"codename"`
			Standard     eolDay `yaml:"standard"`
			Ends         eolDay `yaml:"ends"`
			Subscription eolDay `yaml:"subscription"`
		} `yaml:"releases"`
	} `yaml:"products"`
}

func readEOL() (eolTable, error) {
	var t eolTable
	if err := yaml.UnmarshalWithOptions(rules.EOL(), &t, yaml.Strict()); err != nil {
		return t, fmt.Errorf("read rules/eol.yaml: %w", err)
	}
	return t, nil
}

// of looks a release up by version, or by codename where there is no version.
func (t eolTable) of(product, version, codename string) Support {
	s := Support{Product: product, Version: version, Codename: codename}
	for _, p := range t.Products {
		if p.Product != product {
			continue
		}
		s.Source = p.Source + ", looked up on " + p.Checked.Format(time.DateOnly)
		for _, r := range p.Releases {
			if r.Version == version || version == "" && codename != "" && r.Codename == codename {
				s.Known, s.Codename, s.Standard, s.Ends, s.subscription = true, r.Codename, r.Standard.Time, r.Ends.Time, r.Subscription.Time
			}
		}
	}
	return s
}

// osRelease reads the host's os-release(5) and tells its file.
func osRelease(h *Host) (map[string]string, string, error) {
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		text, err := h.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		values := map[string]string{}
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
				values[key] = strings.Trim(value, `"'`)
			}
		}
		return values, name, nil
	}
	return nil, "", errors.New("there is no /etc/os-release")
}
