package password

import (
	"cmp"
	"fmt"
	"strconv"
	"time"
)

// Deviation is one setting in which a policy differs from a preset.
type Deviation struct {
	Setting    string // as in the configuration: min_length, classes, …
	Have, Want string // the policy's value and the preset's
	Control    string // where the preset's value comes from: D-05, NIST SP 800-63B-4 3.1.1.2, choice
	Stricter   bool   // the policy asks for more than the preset
	// Discouraged is set where the preset's source forbids to ask for more: classes and periodic change (NIST, ASVS).
	Discouraged bool
}

// String is the deviation as a sentence for the administrator.
func (d Deviation) String() string {
	how := "less than"
	switch {
	case d.Discouraged:
		how = "advised against by"
	case d.Stricter:
		how = "more than"
	}
	control := d.Control
	if control == "choice" {
		control = "the preset"
	}
	return fmt.Sprintf("%s is %s: %s %s, which has %s", d.Setting, d.Have, how, control, d.Want)
}

// Deviations names each setting in which the policy differs from what the preset's source speaks of, in the order of
// the configuration. A caller compares with the chosen preset and with nist.
func Deviations(effective Policy, against Preset) []Deviation {
	var all []Deviation
	all = append(all, compare("min_length", effective.MinLength, against.MinLength, strconv.Itoa)...)
	all = append(all, compare("min_length_with_factor", effective.MinLengthWithFactor, against.MinLengthWithFactor, strconv.Itoa)...)
	all = append(all, compareClasses(effective.Classes, against.Classes)...)
	all = append(all, compareAge(effective.MaxAge, against.MaxAge)...)
	all = append(all, compare("history", effective.History, against.History, strconv.Itoa)...)
	all = append(all, compareSwitch("change_at_first_sign_in", effective.ChangeAtFirstSignIn, against.ChangeAtFirstSignIn)...)
	all = append(all, compare("min_score", effective.MinScore, against.MinScore, strconv.Itoa)...)
	all = append(all, compareSwitch("common_passwords", effective.CommonPasswords, against.CommonPasswords)...)
	all = append(all, compareSwitch("breach_check", effective.BreachCheck, against.BreachCheck)...)
	return all
}

// compare is for settings where more is stricter.
func compare[T cmp.Ordered](setting string, have T, want *Fact[T], show func(T) string) []Deviation {
	if want == nil || have == want.Value {
		return nil
	}
	return []Deviation{{Setting: setting, Have: show(have), Want: show(want.Value), Control: want.Source, Stricter: have > want.Value}}
}

func compareSwitch(setting string, have bool, want *Fact[bool]) []Deviation {
	if want == nil || have == want.Value {
		return nil
	}
	show := map[bool]string{true: "on", false: "off"}
	return []Deviation{{Setting: setting, Have: show[have], Want: show[want.Value], Control: want.Source, Stricter: have}}
}

func compareClasses(have Classes, want *Fact[Classes]) []Deviation {
	if want == nil || have == want.Value {
		return nil
	}
	return []Deviation{{Setting: "classes", Have: have.String(), Want: want.Value.String(), Control: want.Source,
		Stricter: have.demands(want.Value), Discouraged: want.Value == 0}}
}

// compareAge is the other way round: a shorter age is stricter, and none at all is the least.
func compareAge(have time.Duration, want *Fact[time.Duration]) []Deviation {
	if want == nil || have == want.Value {
		return nil
	}
	return []Deviation{{Setting: "max_age", Have: age(have), Want: age(want.Value), Control: want.Source,
		Stricter: want.Value == 0 || have > 0 && have < want.Value, Discouraged: want.Value == 0}}
}

func age(d time.Duration) string {
	switch {
	case d == 0:
		return "none"
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return d.String()
}
