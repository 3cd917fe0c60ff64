package syntax

import "strings"

// Operators by their names in lower case. Whether one takes an argument is checked here, what the argument means by the
// engine.
var operators = map[string]argument{
	"rx": needsArgument, "pm": needsArgument, "pmfromfile": needsArgument, "pmf": needsArgument,
	"contains": needsArgument, "containsword": needsArgument, "beginswith": needsArgument, "endswith": needsArgument,
	"streq": mayHaveArgument, "strmatch": needsArgument, "within": mayHaveArgument,
	"eq": needsArgument, "ge": needsArgument, "gt": needsArgument, "le": needsArgument, "lt": needsArgument,
	"ipmatch": needsArgument, "ipmatchfromfile": needsArgument, "ipmatchf": needsArgument,
	"detectsqli": noArgument, "detectxss": noArgument,
	"validatebyterange": needsArgument, "validateurlencoding": noArgument, "validateutf8encoding": noArgument,
	"unconditionalmatch": noArgument, "nomatch": noArgument,
}

// argument says whether something takes one.
type argument int

const (
	noArgument argument = iota
	mayHaveArgument
	needsArgument
)

// unsupportedOperators names what other engines have, so that the problem says that the name is right and we do not have it.
var unsupportedOperators = []string{"fuzzyhash", "geolookup", "gsblookup", "inspectfile", "rbl", "rsub", "validatedtd",
	"validatehash", "validateschema", "verifycc", "verifycpf", "verifyssn", "verifysvnr", "validatenid", "restpath",
	"ipmatchfromdataset", "pmfromdataset"}

// transformations by their names in lower case; "none", which clears the list, is not one of them.
var transformations = map[string]bool{
	"base64decode": true, "base64decodeext": true, "base64encode": true, "cmdline": true, "compresswhitespace": true,
	"cssdecode": true, "escapeseqdecode": true, "hexdecode": true, "hexencode": true, "htmlentitydecode": true,
	"jsdecode": true, "length": true, "lowercase": true, "md5": true, "normalisepath": true, "normalizepath": true,
	"normalisepathwin": true, "normalizepathwin": true, "removecomments": true, "removecommentschar": true,
	"removenulls": true, "removewhitespace": true, "replacecomments": true, "replacenulls": true, "sha1": true, "sqlhexdecode": true, "trim": true,
	"trimleft": true, "trimright": true, "uppercase": true, "urldecode": true, "urldecodeuni": true, "urlencode": true,
	"utf8tounicode": true,
}

// severities by name, as syslog counts them.
var severities = []string{"EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"}

// Operators returns the names of all operators, in lower case and no order.
func Operators() []string { return keys(operators) }

// Transformations returns the names of all transformations, in lower case and no order.
func Transformations() []string { return keys(transformations) }

func keys[V any](m map[string]V) []string {
	all := make([]string, 0, len(m))
	for name := range m {
		all = append(all, name)
	}
	return all
}

// cutFold is strings.CutPrefix for ASCII without regard to case.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
