package fail2ban

import (
	"fmt"
	"strings"
)

// zoneNames are the abbreviations of time zones that fail2ban 1.0.2 knows, by their fixed offset from UTC in minutes.
// One letter is a military zone. An abbreviation says nothing of summer: CET is +1 in July too.
func zoneNames() map[int]string {
	return map[int]string{
		-720: "Y", -660: "X NUT SST", -600: "W CKT HAST HST TAHT TKT", -570: "MART MIT", -540: "V AKST GAMT GIT HADT HNY",
		-480: "U AKDT CIST HAY HNP PST PT", -420: "T HAP HNR MST PDT", -360: "S CST EAST GALT HAR HNC MDT",
		-300: "R CDT COT EASST ECT EST ET HAC HNE PET", -270: "HLV VET", -240: "Q AST BOT CLT COST EDT FKT GYT HAE HNA PYT",
		-210: "HNT NST NT", -180: "P ADT ART BRT CLST FKST GFT HAA PMST PYST SRT UYT WGT", -150: "HAT NDT",
		-120: "O BRST FNT PMDT UYST WGST", -60: "N AZOT CVT EGT", 0: "Z EGST GMT UTC WET WT", 60: "A CET DFT WAT WEDT WEST",
		120: "B CAT CEDT CEST EET SAST WAST", 180: "C EAT EEDT EEST IDT MSK", 210: "IRST", 240: "D AMT AZT GET GST KUYT MSD MUT RET SAMT SCT",
		270: "AFT IRDT", 300: "E AMST AQTT AZST HMT MAWT MVT PKT TFT TJT TMT UZT YEKT", 330: "SLT", 345: "NPT",
		360: "F ALMT BIOT BTT IOT KGT NOVT OMST YEKST", 390: "CCT MMT", 420: "G CXT DAVT HOVT ICT KRAT NOVST OMSST THA WIB",
		480: "H ACT AWST BDT BNT CAST HKT IRKT KRAST MYT PHT SGT ULAT WITA WST", 540: "I AWDT IRKST JST KST PWT TLT WDT WIT YAKT",
		570: "ACST", 600: "K AEST ChST PGT VLAT YAKST YAPT", 630: "ACDT LHST", 660: "L AEDT LHDT MAGT NCT PONT SBT VLAST VUT",
		690: "NFT", 720: "M ANAST ANAT FJT GILT MAGST MHT NZST PETST PETT TVT WFT", 780: "FJST NZDT",
	}
}

// zones is zoneNames by name; no name is UTC.
func zones() map[string]int {
	all := map[string]int{"": 0}
	for offset, names := range zoneNames() {
		for _, name := range strings.Fields(names) {
			all[name] = offset
		}
	}
	return all
}

// parseZone returns the offset from UTC in minutes of a zone as logtimezone and dates have it: an abbreviation, an
// offset (+hh, +hhmm, +hh:mm), or both, which are added.
func parseZone(known map[string]int, text string) (int, error) {
	name := text
	if i := strings.IndexAny(text, "+-"); i >= 0 {
		name = text[:i]
	}
	minutes, ok := known[name]
	rest := text[len(name):]
	if !ok || len(name) == 2 {
		return 0, fmt.Errorf("unknown time zone %q: use an abbreviation or UTC+hhmm", text)
	}
	if rest == "" {
		return minutes, nil
	}
	digits := rest[1:]
	if len(digits) == 5 && digits[2] == ':' {
		digits = digits[:2] + digits[3:]
	}
	if len(digits) != 2 && len(digits) != 4 || strings.Trim(digits, "0123456789") != "" || digits[0] > '1' {
		return 0, fmt.Errorf("unknown time zone %q: the offset is +hh, +hhmm or +hh:mm, up to 19 hours", text)
	}
	offset := (int(digits[0]-'0')*10 + int(digits[1]-'0')) * 60
	if len(digits) == 4 {
		offset += int(digits[2]-'0')*10 + int(digits[3]-'0')
	}
	if rest[0] == '-' {
		offset = -offset
	}
	return minutes + offset, nil
}
