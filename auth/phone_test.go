package auth_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/doorward/doorward/auth"
)

// All ways to write a number are one number; what can take no text message, or is of another country, is none.
func TestParsePhone(t *testing.T) {
	german := auth.RegistrationConfig{Region: "DE", Countries: []string{"DE", "IT", "GB", "MX", "US"}}
	abroad := auth.RegistrationConfig{Countries: []string{"+49", "US"}}
	for _, c := range []struct {
		cfg        auth.RegistrationConfig
		text, want string // no want: refused
	}{
		{german, "+49 170 1234567", "+491701234567"},
		{german, "0170/1234567", "+491701234567"},
		{german, "0049 170-123.45.67", "+491701234567"},
		{german, " +49 (0) 170 1234567 ", "+491701234567"},
		{german, "+49 (170) 1234567", "+491701234567"},
		{german, "＋４９ １７０ １２３４５６７", "+491701234567"},
		{german, "+49\u00a0170\u00a01234567", "+491701234567"},
		{german, "+39 347 123 4567", "+393471234567"},
		{german, "+44 7400 123456", "+447400123456"},
		{german, "+44 (0)7400 123456", "+447400123456"},
		{german, "+1 201 555 0123", "+12015550123"},
		{german, "+52 55 1234 5678", "+525512345678"},
		{german, "+52 1 55 1234 5678", ""}, // how it was dialled until 2019

		{german, "+49 30 123456", ""},                // a fixed line
		{german, "+49 900 1 123456", ""},             // premium
		{german, "+49 800 1234567", ""},              // free of charge
		{german, "+1 242 357 1234", ""},              // the Bahamas, which share +1
		{german, "+33 6 12 34 56 78", ""},            // a country that is not named
		{german, "+882 16 1234567", ""},              // no country's: satellite networks
		{german, "+49 170 1234567 ext. 5", ""},       // one phone, many numbers
		{german, "+49 170 1234567;ext=5", ""},        // the same
		{german, "tel:+49-170-1234567", ""},          //
		{german, "+49 170 12345678901234", ""},       // too long
		{german, "+49 170 12", ""},                   // too short
		{german, "++49 170 1234567", ""},             //
		{german, "+49 170 1234567+", ""},             //
		{german, "1-800-FLOWERS", ""},                //
		{german, "", ""},                             //
		{german, "+", ""},                            //
		{german, strings.Repeat("0", 1000), ""},      //
		{german, "+49 170 1234567\x00", ""},          //
		{german, "+49 170 123456\u0667", ""},         // an Arabic seven
		{abroad, "+49 170 1234567", "+491701234567"}, //
		{abroad, "00491701234567", "+491701234567"},  //
		{abroad, "0170 1234567", ""},                 // no region
		{abroad, "+44 7400 123456", ""},              //
	} {
		got, err := auth.ParsePhone(c.cfg, c.text)
		var input *auth.InputError
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.As(err, &input) {
			t.Errorf("ParsePhone(%q) = %q, %v; want %q", c.text, got, err, c.want)
		}
	}
}

// Whatever is typed gives a number of E.164, which is the same when it is typed again, or is refused.
func FuzzParsePhone(f *testing.F) {
	for _, seed := range []string{"+49 170 1234567", "0170/1234567", "00491701234567", "+1 201 555 0123", "", "+", "00", "ext", "+39 02 1234567", "٠١٧٠"} {
		f.Add(seed)
	}
	cfg := auth.RegistrationConfig{Region: "DE", Countries: []string{"DE", "US", "IT", "MX", "AR", "BR", "+44", "+7"}}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := auth.ParsePhone(cfg, text)
		if err != nil {
			if got != "" {
				t.Errorf("%q: refused, and %q", text, got)
			}
			return
		}
		if len(got) < 8 || len(got) > 16 || got[0] != '+' || strings.Trim(got[1:], "0123456789") != "" || !utf8.ValidString(got) {
			t.Errorf("%q: %q is no E.164 number", text, got)
		}
		if again, err := auth.ParsePhone(cfg, got); again != got || err != nil {
			t.Errorf("%q: %q is read again as %q, %v", text, got, again, err)
		}
	})
}
