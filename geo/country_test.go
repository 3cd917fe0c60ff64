package geo_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"

	"github.com/doorward/doorward/geo"
)

func TestParseCountry(t *testing.T) {
	for _, c := range []struct {
		text, want, message string
	}{
		{"DE", "DE", ""},
		{"de", "DE", ""},
		{"NO", "NO", ""},
		{"AD", "AD", ""},
		{"ZW", "ZW", ""},
		{"XK", "XK", ""},
		{"UK", "", `"UK" is not the two-letter code of a country; did you mean GB?`},
		{"England", "", `"England" is not the two-letter code of a country; did you mean GB?`},
		{"EL", "", `"EL" is not the two-letter code of a country; did you mean GR?`},
		{"deu", "", `"deu" is not the two-letter code of a country; did you mean DE?`},
		{"GER", "", `"GER" is not the two-letter code of a country; did you mean DE?`},
		{"276", "", `"276" is not the two-letter code of a country; did you mean DE?`},
		{"DD", "", `"DD" is not the two-letter code of a country; did you mean DE?`},
		{"EU", "", `"EU" is not a country but a region; list the countries that you mean`},
		{"YU", "", `"YU" is the code of a country that no longer exists; list those that followed it`},
		{"ZZ", "", `"ZZ" is not the two-letter code of a country (ISO 3166-1 alpha-2, such as DE)`},
		{"", "", `"" is not the two-letter code of a country (ISO 3166-1 alpha-2, such as DE)`},
		{"private", "", `"private" is not the two-letter code of a country (ISO 3166-1 alpha-2, such as DE)`},
		{"D\u0130", "", "\"D\u0130\" is not the two-letter code of a country (ISO 3166-1 alpha-2, such as DE)"},
		{strings.Repeat("x", 41), "", "a text of 41 bytes is not the two-letter code of a country (ISO 3166-1 alpha-2)"},
	} {
		got, err := geo.ParseCountry(c.text)
		message := ""
		if err != nil {
			message = err.Error()
		}
		if string(got) != c.want || message != c.message {
			t.Errorf("ParseCountry(%q) = %q, %q; want %q, %q", c.text, string(got), message, c.want, c.message)
		}
	}
}

// TestCodesAreThoseOfISO compares our list with the Unicode CLDR, which also has what ISO 3166 only reserves and what it
// has withdrawn.
func TestCodesAreThoseOfISO(t *testing.T) {
	reserved := strings.Fields("AC CP CQ DG EA EZ IC TA UN") // exceptional reservations, not officially assigned
	withdrawn := strings.Fields("AN CS CT DY FQ HV JT MI NH NQ NT PC PU PZ RH SU VD WK YU")
	count := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string([]rune{a, b})
			region, err := language.ParseRegion(code)
			want := err == nil && region.IsCountry() && region.Canonicalize().String() == code &&
				!slices.Contains(reserved, code) && !slices.Contains(withdrawn, code)
			_, err = geo.ParseCountry(code)
			if got := err == nil; got != want {
				t.Errorf("%s is taken as a country: %v, want %v", code, got, want)
			}
			if want {
				count++
			}
		}
	}
	if count != 250 {
		t.Errorf("%d countries, want the 249 of ISO 3166-1 and XK", count)
	}
}

func TestCountryAsText(t *testing.T) {
	for _, c := range []struct {
		country geo.Country
		text    string
		known   bool
	}{{"DE", "DE", true}, {geo.Unknown, "unknown", false}, {geo.Private, "private", false}} {
		if got := c.country.String(); got != c.text || c.country.Known() != c.known {
			t.Errorf("%q is %q, known %v; want %q, %v", string(c.country), got, c.country.Known(), c.text, c.known)
		}
	}
}

func FuzzParseCountry(f *testing.F) {
	for _, seed := range []string{"DE", "uk", "EU", "Germany", "276", "", "\xff\xfe", "ſs", "ſſ", "ı"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := geo.ParseCountry(text)
		if (err == nil) != got.Known() || len(text) > 3 && err == nil {
			t.Errorf("ParseCountry(%q) = %q, %v", text, got, err)
		}
	})
}
