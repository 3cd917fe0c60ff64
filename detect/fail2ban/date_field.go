package fail2ban

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// dateFields returns the fields of a datepattern: the expression of each one, and the word that stands for it in the
// name of a template, by which fail2ban knows duplicates. The expressions allow what fail2ban 1.0.2 allows, in the C
// locale, because other locales change what a server's logs are compared with and not the logs.
func dateFields(now time.Time) map[string][2]string {
	day, month := `3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9]`, `1[0-2]|0[1-9]|[1-9]`
	clock := `(?P<H>2[0-3]|[0-1]\d|\d):(?P<M>[0-5]\d|\d):(?P<S>6[0-1]|[0-5]\d|\d)`
	zone, offset := `[A-Z](?:[A-Z]{2,4})?`, `[+-][01]\d(?::?\d{2})?`
	f := map[string][2]string{
		"a":   {group("a", strings.Join(weekdays(3), "|")), "DAY"},
		"A":   {group("A", strings.Join(longest(weekdays(0)), "|")), "DAYNAME"},
		"b":   {group("b", strings.Join(months(3), "|")), "MON"},
		"B":   {group("B", strings.Join(longest(months(0)), "|")), "MONTH"},
		"d":   {group("d", `[1-2]\d|[0 ]?[1-9]|3[0-1]`), "Day"},
		"f":   {group("f", `[0-9]{1,6}`), "Microseconds"},
		"G":   {group("G", `\d\d\d\d`), "%G"},
		"H":   {group("H", `[0-1]?\d|2[0-3]`), "24hour"},
		"I":   {group("I", `1[0-2]|0[1-9]|[1-9]`), "12hour"},
		"j":   {group("j", `36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9]`), "Yearday"},
		"k":   {` ?` + group("H", `[0-2]?\d`), "%k"},
		"l":   {` ?` + group("I", `1?\d`), "%l"},
		"m":   {group("m", `0?[1-9]|1[0-2]`), "Month"},
		"M":   {group("M", `[0-5]?\d`), "Minute"},
		"p":   {group("p", `am|pm`), "AMPM"},
		"S":   {group("S", `[0-5]?\d|6[0-1]`), "Second"},
		"u":   {group("u", `[1-7]`), "%u"},
		"U":   {group("U", `5[0-3]|[0-4]\d|\d`), "Yearweek"},
		"V":   {group("V", `5[0-3]|0[1-9]|[1-4]\d|\d`), "%V"},
		"w":   {group("w", `[0-6]`), "Weekday"},
		"W":   {group("W", `5[0-3]|[0-4]\d|\d`), "Yearweek"},
		"y":   {group("y", `\d\d`), "Year2"},
		"Y":   {group("Y", `\d{4}`), "Year"},
		"z":   {group("z", `Z|UTC|GMT|`+offset), "Zone offset"},
		"Z":   {group("Z", `Z|[A-Z]{3,5}`), "Zone name"},
		"%":   {`%`, "%"},
		"X":   {clock, "%X"},
		"x":   {group("m", month) + `/` + group("d", day) + `/` + group("y", `\d\d`), "%x"},
		"Exd": {group("d", `[1-2]\d|0[1-9]|3[0-1]`), "ExDay"},
		"ExH": {group("H", `[0-1]\d|2[0-3]`), "Ex24hour"},
		"Exk": {` ?` + group("H", `[0-1]?\d|2[0-3]`), "Ex%k"},
		"Exl": {` ?` + group("I", `1[0-2]|\d`), "Ex%l"},
		"Exm": {group("m", `0[1-9]|1[0-2]`), "ExMonth"},
		"ExM": {group("M", `[0-5]\d`), "ExMinute"},
		"ExS": {group("S", `[0-5]\d|6[0-1]`), "ExSecond"},
		"Exy": {group("y", `\d{2}`), "ExYear2"},
		"ExY": {group("Y", `20[`+decades(now)+`]\d`), "ExYear"},
		"ExZ": {group("Z", zone), "ExZone name"},
		"Exz": {group("z", `(?:`+zone+`)?`+offset+`|`+zone), "ExZone offset"},
	}
	f["c"] = [2]string{f["a"][0] + `\s+` + f["b"][0] + `\s+` + group("d", day) + `\s+` + clock + `\s+` + group("Y", `\d\d\d\d`), "%c"}
	return f
}

func group(name, expr string) string { return fmt.Sprintf("(?P<%s>%s)", name, expr) }

// weekdays returns the names from Monday on in lower case, cut to their first letters if cut is not 0.
func weekdays(cut int) []string {
	var all []string
	for d := time.Monday; d <= time.Saturday+1; d++ {
		all = append(all, shorten((d%7).String(), cut))
	}
	return all
}

func months(cut int) []string {
	var all []string
	for m := time.January; m <= time.December; m++ {
		all = append(all, shorten(m.String(), cut))
	}
	return all
}

func shorten(name string, cut int) string {
	name = strings.ToLower(name)
	if cut > 0 {
		return name[:cut]
	}
	return name
}

// longest sorts names by length, so that none hides a longer one.
func longest(names []string) []string {
	slices.SortStableFunc(names, func(a, b string) int { return len(b) - len(a) })
	return names
}

// decades are those from 2000 to the one that comes within three years: an exact year is a year in which the line can
// have been written, or a date of fail2ban's own tests.
func decades(now time.Time) string {
	var b strings.Builder
	for decade := 0; decade <= max(2, min(9, (now.Year()+3-2000)/10)); decade++ {
		fmt.Fprint(&b, decade)
	}
	return b.String()
}

// fieldAt returns the field of a datepattern that stands at the start of text, after the percent sign; "" if none does.
func fieldAt(fields map[string][2]string, text string) string {
	if len(text) >= 3 && text[:2] == "Ex" {
		if _, ok := fields[text[:3]]; ok {
			return text[:3]
		}
	}
	if text != "" {
		if _, ok := fields[text[:1]]; ok {
			return text[:1]
		}
	}
	return ""
}
