package geo

import (
	"fmt"
	"strings"

	"golang.org/x/text/language"
)

// Country is where an address is: an ISO 3166-1 alpha-2 code in capitals ("DE"), Unknown or Private. The zero value
// is Unknown.
type Country string

const (
	// Unknown is the answer without a database, and for an address that the database has no country for.
	Unknown Country = ""
	// Private is the answer for addresses that belong to no country, whatever a database says; Ranges lists them.
	Private Country = "private"
)

// codes are the 249 codes of ISO 3166-1 alpha-2 in order, and XK: no country has that code, but every database marks
// the addresses of Kosovo with it. A test compares them with the Unicode CLDR.
const codes = "" +
	"ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCR" +
	"CUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHU" +
	"IDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQ" +
	"MRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSI" +
	"SJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW"

// Known tells whether c is the code of a country.
func (c Country) Known() bool { return len(c) == 2 }

// String returns the code, "private" or "unknown".
func (c Country) String() string {
	if c == Unknown {
		return "unknown"
	}
	return string(c)
}

// ParseCountry returns the country that text is the ISO 3166-1 alpha-2 code of, in capitals or not. Its error says
// what may have been meant.
func ParseCountry(text string) (Country, error) {
	upper := upperASCII(text)
	if c := countryAt(codeIndex(upper)); c.Known() {
		return c, nil
	}
	if len(text) > 40 {
		return Unknown, fmt.Errorf("a text of %d bytes is not the two-letter code of a country (ISO 3166-1 alpha-2)", len(text))
	}
	if meant := likelyCode(upper); meant != "" {
		return Unknown, fmt.Errorf("%q is not the two-letter code of a country; did you mean %s?", text, meant)
	}
	switch upper {
	case "EU", "AP":
		return Unknown, fmt.Errorf("%q is not a country but a region; list the countries that you mean", text)
	case "AN", "CS", "SU", "YU":
		return Unknown, fmt.Errorf("%q is the code of a country that no longer exists; list those that followed it", text)
	}
	return Unknown, fmt.Errorf("%q is not the two-letter code of a country (ISO 3166-1 alpha-2, such as DE)", text)
}

// upperASCII is text with capitals for a to z. Unicode has other letters whose capitals are among A to Z, such as the
// long s; they are in no country's code.
func upperASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, text)
}

// likelyCode is the code that a person meant by the word, or "". The library of languages knows three-letter and
// retired codes; the names here are the ones of common use that it does not know.
func likelyCode(upper string) string {
	switch upper {
	case "EN", "ENG", "ENGLAND", "SCOTLAND", "WALES":
		return "GB"
	case "EL": // the European Union's own code
		return "GR"
	case "GER", "GERMANY":
		return "DE"
	case "USA":
		return "US"
	}
	if len(upper) > 3 {
		return ""
	}
	region, err := language.ParseRegion(upper)
	if err != nil {
		return ""
	}
	if code := region.Canonicalize().String(); codeIndex(code) != 0 {
		return code
	}
	return ""
}

// codeIndex is the place of a code in capitals in the list, from 1; 0 means that it is not there.
func codeIndex(code string) int {
	if len(code) != 2 {
		return 0
	}
	low, high := 0, len(codes)/2
	for low < high {
		middle := (low + high) / 2
		switch at := codes[2*middle : 2*middle+2]; {
		case at == code:
			return middle + 1
		case at < code:
			low = middle + 1
		default:
			high = middle
		}
	}
	return 0
}

// countryAt is the country at a place of the list, without an allocation; Unknown at 0 and outside.
func countryAt(index int) Country {
	if index < 1 || index > len(codes)/2 {
		return Unknown
	}
	return Country(codes[2*index-2 : 2*index])
}
