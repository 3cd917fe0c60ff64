package audit

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// Catalogue is all controls and profiles, ready to judge. It is immutable.
type Catalogue struct {
	controls []compiled // by guide and number
	profiles []Profile
}

// Source is a tree of data files.
type Source struct {
	Controls fs.FS // *.yaml, see docs/controls-format.md
	Profiles fs.FS // *.yaml; nil for a folder that has controls only
}

// Load reads and compiles all controls and profiles of sources. A control of a later source that has the id of an
// earlier one replaces it. All that is wrong is told at once: unknown keys, conditions that do not fit the facts' types,
// choices of variants that do not exist.
func Load(sources ...Source) (*Catalogue, error) {
	var controls []Control
	c := &Catalogue{}
	var errs []error
	for _, source := range sources {
		own, err := readControls(source.Controls)
		errs = append(errs, err)
		seen := map[string]string{}
		for _, control := range own {
			if before, ok := seen[control.ID]; ok {
				errs = append(errs, fmt.Errorf("control %s: it is in %s and in %s", control.ID, before, control.file))
			}
			seen[control.ID] = control.file
		}
		controls = slices.DeleteFunc(controls, func(old Control) bool { return seen[old.ID] != "" })
		controls = append(controls, own...)
		if source.Profiles != nil {
			profiles, err := readProfiles(source.Profiles)
			errs = append(errs, err)
			c.profiles = append(c.profiles, profiles...)
		}
	}
	errs = append(errs, settle(controls)...)
	slices.SortFunc(controls, func(a, b Control) int { return compareIDs(a.ID, b.ID) })
	compiler, err := newCompiler()
	if err != nil {
		return nil, err
	}
	for _, control := range controls {
		for _, p := range control.problems() {
			errs = append(errs, fmt.Errorf("control %s in %s: %s", control.ID, control.file, p))
		}
		built, err := compiler.control(control)
		if err != nil {
			errs = append(errs, fmt.Errorf("control %s in %s: %w", control.ID, control.file, err))
		}
		c.controls = append(c.controls, built)
	}
	errs = append(errs, c.checkProfiles()...)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

// settle gives the controls that repeat others what they repeat.
func settle(controls []Control) []error {
	byID := map[string]*Control{}
	for i := range controls {
		byID[controls[i].ID] = &controls[i]
	}
	var errs []error
	for i := range controls {
		c := &controls[i]
		if c.SameAs == "" {
			continue
		}
		of := byID[c.SameAs]
		switch {
		case of == nil || of.SameAs != "":
			errs = append(errs, fmt.Errorf("control %s in %s: same_as %q is no control that stands by itself", c.ID, c.file, c.SameAs))
		case c.When+c.Over+c.Expect != "" || len(c.Variants) > 0:
			errs = append(errs, fmt.Errorf("control %s in %s: it repeats %s and has conditions of its own", c.ID, c.file, c.SameAs))
		default:
			c.repeat(*of)
		}
	}
	return errs
}

func (c *Catalogue) checkProfiles() []error {
	var errs []error
	for _, p := range c.profiles {
		for _, choice := range p.Choose {
			i := slices.IndexFunc(c.controls, func(built compiled) bool { return built.ID == choice.Control })
			if i < 0 || c.controls[i].variants[choice.Variant] == nil {
				errs = append(errs, fmt.Errorf("profile %s: control %s has no variant %q", p.Name, choice.Control, choice.Variant))
			}
		}
	}
	slices.SortFunc(c.profiles, func(a, b Profile) int { return strings.Compare(a.Name, b.Name) })
	return errs
}

// Controls lists the controls that a profile asks for, by guide and number.
func (c *Catalogue) Controls(p Profile) []Control {
	var all []Control
	for _, built := range c.controls {
		if p.Has(built.ID) {
			all = append(all, built.Control)
		}
	}
	return all
}

// compareIDs orders I-9 before I-10.
func compareIDs(a, b string) int {
	letterA, numberA, _ := strings.Cut(a, "-")
	letterB, numberB, _ := strings.Cut(b, "-")
	x, _ := strconv.Atoi(numberA)
	y, _ := strconv.Atoi(numberB)
	return cmp.Or(strings.Compare(letterA, letterB), cmp.Compare(x, y))
}
