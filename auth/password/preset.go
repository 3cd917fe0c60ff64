package password

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/doorward/doorward/rules"
)

// DefaultPreset is the preset of a configuration that names none.
const DefaultPreset = "nist"

// Preset is a guide's or standard's rules for passwords, read from rules/passwords/presets. A nil setting is one that the
// source does not speak of.
type Preset struct {
	Name  string // as in the configuration: nist, mor, …
	Title string // for people

	MinLength           *Fact[int]           // characters, of a password that is the only factor
	MinLengthWithFactor *Fact[int]           // characters, of a password beside a second factor
	Classes             *Fact[Classes]       // all of them must occur
	MaxAge              *Fact[time.Duration] // 0: no periodic change
	History             *Fact[int]           // none of so many former passwords again
	ChangeAtFirstSignIn *Fact[bool]          // a password that somebody else has set is changed at once
	CommonPasswords     *Fact[bool]          // the list of common passwords is looked into
	BreachCheck         *Fact[bool]          // passwords known from breaches are refused
	MinScore            *Fact[int]           // 0 to 4, of zxcvbn
}

// Fact is one value of a preset with its source: a control of the guides (D-05), a section of a standard
// (ASVS 5.0 6.2.5), or "choice" for what nobody prescribes. Why says what the source leaves open.
type Fact[T any] struct {
	Value  T      `yaml:"value"`
	Source string `yaml:"source"`
	Why    string `yaml:"why"`
}

// presetFile is a preset as written.
type presetFile struct {
	Title    string `yaml:"title"`
	Settings struct {
		MinLength           *Fact[int]           `yaml:"min_length"`
		MinLengthWithFactor *Fact[int]           `yaml:"min_length_with_factor"`
		Classes             *Fact[[]string]      `yaml:"classes"`
		MaxAge              *Fact[time.Duration] `yaml:"max_age"`
		History             *Fact[int]           `yaml:"history"`
		ChangeAtFirstSignIn *Fact[bool]          `yaml:"change_at_first_sign_in"`
		CommonPasswords     *Fact[bool]          `yaml:"common_passwords"`
		BreachCheck         *Fact[bool]          `yaml:"breach_check"`
		MinScore            *Fact[int]           `yaml:"min_score"`
	} `yaml:"settings"`
}

// PresetNames lists the presets, sorted. An error is a defect of the build.
func PresetNames() ([]string, error) {
	files, err := fs.Glob(rules.Passwords(), "presets/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list password presets: %w", err)
	}
	var names []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(file, "presets/"), ".yaml"))
	}
	slices.Sort(names)
	return names, nil
}

// LoadPreset reads the preset of that name. The error for an unknown one names those that there are.
func LoadPreset(name string) (Preset, error) {
	names, err := PresetNames()
	if err != nil {
		return Preset{}, err
	}
	if !slices.Contains(names, name) {
		return Preset{}, fmt.Errorf("password preset %q is not known; known: %s", name, strings.Join(names, ", "))
	}
	text, err := fs.ReadFile(rules.Passwords(), "presets/"+name+".yaml")
	if err != nil {
		return Preset{}, fmt.Errorf("read password preset %q: %w", name, err)
	}
	var file presetFile
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		return Preset{}, fmt.Errorf("read password preset %q: %w", name, err)
	}
	s := file.Settings
	preset := Preset{Name: name, Title: file.Title, MinLength: s.MinLength, MinLengthWithFactor: s.MinLengthWithFactor,
		MaxAge: s.MaxAge, History: s.History, ChangeAtFirstSignIn: s.ChangeAtFirstSignIn,
		CommonPasswords: s.CommonPasswords, BreachCheck: s.BreachCheck, MinScore: s.MinScore}
	if s.Classes != nil {
		set, err := ParseClasses(s.Classes.Value)
		if err != nil {
			return Preset{}, fmt.Errorf("read password preset %q: %w", name, err)
		}
		preset.Classes = &Fact[Classes]{Value: set, Source: s.Classes.Source, Why: s.Classes.Why}
	}
	return preset, nil
}

// value is the fact's value, or the zero value where the source is silent.
func (f *Fact[T]) value() (v T) {
	if f != nil {
		v = f.Value
	}
	return v
}
