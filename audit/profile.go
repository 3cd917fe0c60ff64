package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Profile is a choice of controls: those of one guide, or of all.
type Profile struct {
	Name  string `yaml:"-"`     // of its file: idoit
	Title string `yaml:"title"` // of the guide
	// Guide is the letter with which the ids of the guide's rows begin; empty means every guide.
	Guide string `yaml:"guide"`
	// Rows is how many rows the guide has, numbered from 1.
	Rows int `yaml:"rows"`
	// Choose names, by control, the variant that counts where readings differ.
	Choose []Choice `yaml:"choose"`
}

// Choice is a profile's word on a control that can be read in several ways.
type Choice struct {
	Control string `yaml:"control"`
	Variant string `yaml:"variant"`
}

// Has says whether the profile asks for the control with this id.
func (p Profile) Has(id string) bool {
	letter, _, _ := strings.Cut(id, "-")
	return p.Guide == "" || p.Guide == letter
}

// readProfiles reads every *.yaml file in tree.
func readProfiles(tree fs.FS) ([]Profile, error) {
	names, err := fs.Glob(tree, "*.yaml")
	if err != nil {
		return nil, err
	}
	var all []Profile
	var errs []error
	for _, name := range names {
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p := Profile{Name: strings.TrimSuffix(path.Base(name), ".yaml")}
		if err := yaml.UnmarshalWithOptions(text, &p, yaml.Strict()); err != nil {
			errs = append(errs, fmt.Errorf("read profile %s: %s", name, strings.TrimSpace(yaml.FormatError(err, false, true))))
			continue
		}
		all = append(all, p)
	}
	return all, errors.Join(errs...)
}

// Profile returns the profile of that name.
func (c *Catalogue) Profile(name string) (Profile, bool) {
	i := slices.IndexFunc(c.profiles, func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return Profile{}, false
	}
	return c.profiles[i], true
}

// Profiles lists all profiles by name.
func (c *Catalogue) Profiles() []Profile { return slices.Clone(c.profiles) }
