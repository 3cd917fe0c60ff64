// Package body takes the bodies of requests apart: forms, multipart, JSON and XML, and the pairs of query strings and
// cookies. It knows no rule and no transaction, decides nothing, and writes nothing to disk; what is malformed becomes
// an error or a flag, and what was readable is returned all the same, so that rules can look at it.
//
// Names and values are those that Coraza makes, for which the published rules are tested. Where another parser could
// read a name or a value in another way, the other reading is returned too, and a flag says so. Pairs keep the order in
// which they stand in the body.
package body

import (
	"errors"
	"strings"
)

// Limits bounds what a stranger can make grow. A zero is the default.
type Limits struct {
	Arguments   int // name and value pairs of one body, query or cookie header; default 1000
	Depth       int // nested objects and arrays of JSON, elements of XML; default 512
	Parts       int // parts of a multipart body; default 1000
	HeaderBytes int // header lines of one part, together; default 16384. There may be 100 of them
	Nodes       int // attributes and texts of an XML body, together; default 65536. One tag may have as many bytes
	// Fields is how many bytes a body may have besides the contents of files; default: any number. Of a longer one only the front is
	// read, and Result.Over says so.
	Fields int
}

func (l Limits) filled() Limits {
	fill := func(n *int, value int) {
		if *n <= 0 {
			*n = value
		}
	}
	fill(&l.Arguments, 1000)
	fill(&l.Depth, 512)
	fill(&l.Parts, 1000)
	fill(&l.HeaderBytes, 16384)
	fill(&l.Nodes, 65536)
	return l
}

// Errors that a caller may tell apart. All others say what is malformed.
var (
	ErrDepth     = errors.New("the body is nested too deeply")
	ErrParts     = errors.New("the body has too many parts")
	ErrHeader    = errors.New("a part's header is too large")
	ErrNodes     = errors.New("the body has too many attributes and texts")
	ErrFlattened = errors.New("the body's names are much longer than the body")
)

// Pair is one name and its value.
type Pair struct{ Name, Value string }

// File is one uploaded file.
type File struct {
	Field string // the field's name: FILES_NAMES
	Name  string // the name that the client gave it: FILES
	Other string // the name that another parser would take, empty where all agree: FILES too
	Size  int64  // bytes: FILES_SIZES
}

// Result is what a body holds.
type Result struct {
	Arguments []Pair // ARGS_POST, ARGS_GET, RESPONSE_ARGS or REQUEST_COOKIES

	Files     []File
	Combined  int64  // FILES_COMBINED_SIZE: bytes of all files and fields, as Coraza counts
	Headers   []Pair // MULTIPART_PART_HEADERS: the field's name and a header line "Name: value"
	Names     []Pair // MULTIPART_NAME: the field's name, twice
	Filenames []Pair // MULTIPART_FILENAME: the field's name and the file's
	Charsets  []Pair // MULTIPART_FILENAME_CHARSET
	Languages []Pair // MULTIPART_FILENAME_LANGUAGE

	Attributes []string // XML://@*
	Texts      []string // XML:/*
	Directives []string // of XML, without their comments: !DOCTYPE and what it declares

	Flags     Flags
	Fields    int   // bytes of the body that were read and are no content of a file
	Over      bool  // there were more of them than Limits.Fields, and the rest was not read
	Truncated bool  // Limits.Arguments was reached, and the rest was not read: ARGUMENTS_LIMIT_REACHED
	Err       error // REQBODY_ERROR and its message; nil when the body is well formed
}

// cut is the front of a text that is no longer than Limits.Fields, for a body all of whose bytes count.
func (r *Result) cut(text string, l Limits) string {
	if l.Fields > 0 && len(text) > l.Fields {
		r.Over = true
		text = text[:l.Fields]
	}
	r.Fields = len(text)
	return text
}

// fail keeps the first error.
func (r *Result) fail(err error) {
	if r.Err == nil {
		r.Err = err
	}
}

// Flags is a set of what is odd about a body.
type Flags uint32

// The flags of ModSecurity's reference manual (MULTIPART_…), and then those of our own.
const (
	BoundaryQuoted       Flags = 1 << iota // MULTIPART_BOUNDARY_QUOTED: the boundary stands in quotes
	BoundaryWhitespace                     // MULTIPART_BOUNDARY_WHITESPACE: white space in it or beside its equals sign
	DataBefore                             // MULTIPART_DATA_BEFORE: text before the first boundary
	DataAfter                              // MULTIPART_DATA_AFTER: text behind the last one
	HeaderFolding                          // MULTIPART_HEADER_FOLDING: a part's header goes on in the next line
	InvalidHeaderFolding                   // MULTIPART_INVALID_HEADER_FOLDING: and has nothing to go on from, or holds nothing
	LFLine                                 // MULTIPART_LF_LINE: a line ends without CR
	CRLFLFLines                            // MULTIPART_CRLF_LF_LINES: and others with it
	MissingSemicolon                       // MULTIPART_MISSING_SEMICOLON: text behind a quoted value
	InvalidQuoting                         // MULTIPART_INVALID_QUOTING: single quotes, open quotes, quotes around filename*
	InvalidPart                            // MULTIPART_INVALID_PART: a part without a field's name
	FileLimitExceeded                      // MULTIPART_FILE_LIMIT_EXCEEDED: Limits.Parts was reached
	UnmatchedBoundary                      // MULTIPART_UNMATCHED_BOUNDARY: a line looks like a boundary and is none
	DuplicatePartHeader                    // MULTIPART_DUPLICATE_PART_HEADER: a header or a parameter stands twice
	Incomplete                             // the body ends within a part, or within XML's elements
	Malformed                              // a header of the body or of a part cannot be read
	Ambiguous                              // parsers differ on a name or a value, and each reading is returned
	Contested                              // parsers differ on a boundary, a header or an encoding
	InvalidEscape                          // URLENCODED_ERROR: a % without two hexadecimal digits
	Semicolons                             // a form has a raw semicolon, which separates pairs for Perl and older parsers
	Entities                               // XML declares entities, or names a file that may declare some
)

// Strict are the flags that make MULTIPART_STRICT_ERROR, beside Result.Err: those of the manual and what our own
// parser knows to be a way past it. UnmatchedBoundary is not among them, because the recommended configuration has a
// rule of its own for it.
const Strict = BoundaryQuoted | BoundaryWhitespace | DataBefore | DataAfter | HeaderFolding | InvalidHeaderFolding | LFLine | CRLFLFLines |
	MissingSemicolon | InvalidQuoting | InvalidPart | FileLimitExceeded | DuplicatePartHeader | Incomplete | Malformed | Contested

// StrictCoraza are those that make it in Coraza, which reads the rest without a word.
const StrictCoraza = InvalidQuoting | FileLimitExceeded | DuplicatePartHeader | Incomplete | Malformed

// Has says whether any of the flags is set.
func (f Flags) Has(any Flags) bool { return f&any != 0 }

// String names the set flags, separated by spaces.
func (f Flags) String() string {
	var set []string
	for i, name := range [...]string{
		"boundary-quoted", "boundary-whitespace", "data-before", "data-after", "header-folding", "invalid-header-folding", "lf-line", "crlf-lf-lines",
		"missing-semicolon", "invalid-quoting", "invalid-part", "file-limit-exceeded", "unmatched-boundary", "duplicate-part-header", "incomplete",
		"malformed", "ambiguous", "contested", "invalid-escape", "semicolons", "entities",
	} {
		if f&(1<<i) != 0 {
			set = append(set, name)
		}
	}
	return strings.Join(set, " ")
}
