package auth

import (
	"slices"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/unicode/norm"
)

// maxPhone is how many bytes of a typed number are looked at. E.164 has 15 digits.
const maxPhone = 64

// phoneNumber is a number in the one form that all ways to write it have.
type phoneNumber struct {
	e164    string // +491701234567
	country string // ISO 3166, or + and the calling code where the number is of no country
}

// parsePhone reads a number as people write it: with spaces and punctuation, with + or 00 before the calling code, or without
// one when the configuration names a region. Only numbers that can take a text message are accepted, since one that
// can be bought by the hundred makes one person many: no premium, toll-free, shared-cost or internet numbers. The
// error is *InputError and says nothing of whether an account has the number.
func (c RegistrationConfig) parsePhone(text string) (phoneNumber, error) {
	unfit := &InputError{"phone", "must be a mobile number, with its country's code, such as +49 170 1234567"}
	if len(text) > maxPhone {
		return phoneNumber{}, unfit
	}
	text = strings.TrimSpace(norm.NFKC.String(text))
	// The library reads letters as the digits of a keypad, extensions, and URIs: more ways than people need, and more
	// than we want to have thought about.
	if strings.Trim(text, "+0123456789 -./()") != "" || strings.LastIndexByte(text, '+') > 0 {
		return phoneNumber{}, unfit
	}
	if rest, ok := strings.CutPrefix(text, "00"); ok {
		text = "+" + rest
	}
	number, err := phonenumbers.Parse(text, c.Region)
	if err != nil || !phonenumbers.IsValidNumber(number) {
		return phoneNumber{}, unfit
	}
	switch phonenumbers.GetNumberType(number) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE:
	default:
		return phoneNumber{}, unfit
	}
	code := "+" + strconv.Itoa(int(number.GetCountryCode()))
	found := phoneNumber{e164: phonenumbers.Format(number, phonenumbers.E164), country: phonenumbers.GetRegionCodeForNumber(number)}
	if !isRegion(found.country) {
		found.country = code
	}
	if !slices.Contains(c.Countries, found.country) && !slices.Contains(c.Countries, code) {
		return phoneNumber{}, &InputError{"phone", "is of a country whose numbers are not accepted here"}
	}
	return found, nil
}

// isRegion tells whether the text is the code of a country that has phone numbers.
func isRegion(code string) bool { return phonenumbers.GetSupportedRegions()[code] }

// isCallingCode tells whether the text is + and the calling code of a country.
func isCallingCode(text string) bool {
	digits, plus := strings.CutPrefix(text, "+")
	code, err := strconv.Atoi(digits)
	return plus && err == nil && "+"+strconv.Itoa(code) == text && phonenumbers.GetSupportedCallingCodes()[code]
}

// shortenPhone shows enough of a number to recognise it as one's own.
func shortenPhone(number string) string {
	if len(number) < 8 {
		return ""
	}
	return number[:3] + "…" + number[len(number)-2:]
}
