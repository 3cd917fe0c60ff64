package password_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth/password"
)

const nist = "NIST SP 800-63B-4 3.1.1.2"

func TestDeviations(t *testing.T) {
	for _, c := range []struct {
		name    string
		cfg     password.Config
		against string
		want    []password.Deviation
	}{
		{"nist from itself", password.Config{}, "nist", nil},
		{"mor from itself", password.Config{Preset: "mor"}, "mor", nil},
		{"mor from nist", password.Config{Preset: "mor"}, "nist", []password.Deviation{
			{Setting: "min_length", Have: "12", Want: "15", Control: nist},
			{Setting: "min_length_with_factor", Have: "12", Want: "8", Control: nist, Stricter: true},
			{Setting: "classes", Have: "digit, symbol, letter", Want: "none", Control: nist, Stricter: true, Discouraged: true},
			{Setting: "max_age", Have: "365 days", Want: "none", Control: nist, Stricter: true, Discouraged: true},
		}},
		{"deskpro from asvs-l2", password.Config{Preset: "deskpro"}, "asvs-l2", []password.Deviation{
			{Setting: "classes", Have: "lower, upper, digit, symbol", Want: "none", Control: "ASVS 5.0 6.2.5", Stricter: true, Discouraged: true},
			{Setting: "max_age", Have: "365 days", Want: "none", Control: "ASVS 5.0 6.2.10", Stricter: true, Discouraged: true},
			{Setting: "change_at_first_sign_in", Have: "off", Want: "on", Control: "ASVS 5.0 6.4.1"},
			{Setting: "min_score", Have: "3", Want: "2", Control: "choice", Stricter: true},
			{Setting: "breach_check", Have: "off", Want: "on", Control: "ASVS 5.0 6.2.12"},
		}},
		{"asvs-l2 needs a breach check", password.Config{Preset: "asvs-l2"}, "asvs-l2", []password.Deviation{
			{Setting: "breach_check", Have: "off", Want: "on", Control: "ASVS 5.0 6.2.12"}}},
		{"asvs-l2 has one", password.Config{Preset: "asvs-l2", BreachCheck: password.BreachConfig{URL: "https://breach.example/range/"}}, "asvs-l2", nil},
		{"a loosened deskpro", password.Config{Preset: "deskpro", MinLength: 8, Classes: []string{"lower", "digit"}, MaxAge: 2 * year, History: 1, AllowCommon: true},
			"deskpro", []password.Deviation{
				{Setting: "min_length", Have: "8", Want: "15", Control: "D-04"},
				{Setting: "classes", Have: "lower, digit", Want: "lower, upper, digit, symbol", Control: "D-05"},
				{Setting: "max_age", Have: "730 days", Want: "365 days", Control: "D-06"},
				{Setting: "history", Have: "1", Want: "4", Control: "D-07"},
				{Setting: "common_passwords", Have: "off", Want: "on", Control: "D-02"},
			}},
		{"a tightened mor", password.Config{Preset: "mor", Classes: []string{"lower", "upper", "digit", "symbol"}, MaxAge: year / 4}, "mor", []password.Deviation{
			{Setting: "classes", Have: "lower, upper, digit, symbol", Want: "digit, symbol, letter", Control: "M-03", Stricter: true},
			{Setting: "max_age", Have: "2190h0m0s", Want: "365 days", Control: "M-06", Stricter: true},
		}},
		{"nist from mor", password.Config{}, "mor", []password.Deviation{
			{Setting: "min_length", Have: "15", Want: "12", Control: "M-02", Stricter: true},
			{Setting: "min_length_with_factor", Have: "8", Want: "12", Control: "M-02"},
			{Setting: "classes", Have: "none", Want: "digit, symbol, letter", Control: "M-03"},
			{Setting: "max_age", Have: "none", Want: "365 days", Control: "M-06"},
			{Setting: "history", Have: "0", Want: "1", Control: "M-06"},
			{Setting: "change_at_first_sign_in", Have: "off", Want: "on", Control: "M-07"},
		}},
	} {
		policy, err := password.Resolve(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		preset, err := password.LoadPreset(c.against)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, password.Deviations(policy, preset)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestDeviationSentences(t *testing.T) {
	for _, c := range []struct {
		have password.Deviation
		want string
	}{
		{password.Deviation{Setting: "min_length", Have: "12", Want: "15", Control: nist},
			"min_length is 12: less than NIST SP 800-63B-4 3.1.1.2, which has 15"},
		{password.Deviation{Setting: "classes", Have: "digit", Want: "none", Control: nist, Stricter: true, Discouraged: true},
			"classes is digit: advised against by NIST SP 800-63B-4 3.1.1.2, which has none"},
		{password.Deviation{Setting: "min_score", Have: "4", Want: "2", Control: "choice", Stricter: true},
			"min_score is 4: more than the preset, which has 2"},
	} {
		if got := c.have.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
