package transform

import "strings"

// Kinds says which of the bytes that functions look for stand in a text. Most values have few of them, so that one pass over a value
// tells that most functions, and whole chains of them, change nothing.
type Kinds uint16

const (
	kindUpper   Kinds = 1 << iota // A to Z
	kindHigh                      // beyond ASCII
	kindSpace                     // white space of ASCII
	kindGap                       // white space that is more than one blank
	kindShell                     // what cmdLine changes: quotes and the like, and a blank before / or (
	kindEscape                    // % and +
	kindBack                      // a backslash
	kindAnd                       // &
	kindNull                      // NUL
	kindPath                      // / and .
	kindColon                     // :
	kindStar                      // *
	kindDash                      // # and -
	kindUnknown                   // in each text: what functions change that look for nothing
)

// AnyKind is what a text may be that was not looked at.
const AnyKind Kinds = 1<<16 - 1

// kindTable is read only.
var kindTable = newKindTable()

func newKindTable() (t [256]Kinds) {
	for b := 'A'; b <= 'Z'; b++ {
		t[b] |= kindUpper
	}
	for b := 0x80; b < 256; b++ {
		t[b] |= kindHigh
	}
	for _, of := range []struct {
		kind  Kinds
		bytes string
	}{{kindSpace, spaces}, {kindGap, "\t\n\r\f\v"}, {kindShell, "\"'\\^,;\t\r\n"}, {kindEscape, "%+"}, {kindBack, `\`}, {kindAnd, "&"},
		{kindNull, "\x00"}, {kindPath, "/."}, {kindColon, ":"}, {kindStar, "*"}, {kindDash, "#-"}} {
		for i := range len(of.bytes) {
			t[of.bytes[i]] |= of.kind
		}
	}
	return t
}

// KindsOf looks through a text.
func KindsOf(s string) Kinds {
	k := kindUnknown
	blank := false
	for i := range len(s) {
		b := s[i]
		k |= kindTable[b]
		if blank {
			switch b {
			case ' ':
				k |= kindGap
			case '/', '(':
				k |= kindShell
			}
		}
		blank = b == ' '
	}
	return k
}

// Changes is what a text must have for the function of that name, in any case, to change it.
func Changes(name string) Kinds {
	switch strings.ToLower(name) {
	case "lowercase":
		return kindUpper | kindHigh
	case "urldecode", "urldecodeuni":
		return kindEscape
	case "htmlentitydecode":
		return kindAnd
	case "jsdecode", "cssdecode", "escapeseqdecode":
		return kindBack
	case "removenulls", "replacenulls":
		return kindNull
	case "utf8tounicode":
		return kindHigh
	case "trim", "trimleft", "trimright":
		return kindSpace
	case "compresswhitespace":
		return kindGap | kindHigh
	case "removewhitespace":
		return kindSpace | kindHigh
	case "cmdline":
		return kindUpper | kindGap | kindShell
	case "normalisepath", "normalizepath":
		return kindPath
	case "normalisepathwin", "normalizepathwin":
		return kindPath | kindBack | kindColon | kindSpace
	case "replacecomments":
		return kindStar
	case "removecomments", "removecommentschar":
		return kindStar | kindDash
	}
	return kindUnknown
}
