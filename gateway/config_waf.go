package gateway

import (
	"fmt"
	"strconv"
	"strings"
)

// WAFConfig is the web application firewall: what all sites share (F-07, F-32, I-24, I-61).
type WAFConfig struct {
	// Rules is doorward (the Core Rule Set with decoded views of values, tuned for prose and code) or crs (the Core Rule Set
	// as it is published). Default: doorward.
	Rules string `yaml:"rules"`
	// Memory is what the bodies of all requests that are looked at may take together. Default 256MiB.
	Memory Size `yaml:"memory"`
	// MatchLog is a file to which each match is added in ModSecurity's form, with the values as they came. For public test
	// tools; events hold the matches anyway. Default: none.
	MatchLog string `yaml:"match_log"`
	// Compare is the share of requests, 0 to 1, that are judged by each rule one by one too, after they are judged: a check of the
	// engine in use. One at a time; what differs is an event. Default: none.
	Compare float64 `yaml:"compare"`
}

// SiteWAFConfig is the firewall of one site.
type SiteWAFConfig struct {
	// Mode is block, detect (tell and refuse nothing) or off. Default: block.
	Mode string `yaml:"mode"`
	// LearnUntil ends a learning period, with mode block: until then the site only detects, from then on it blocks, without a restart. A
	// date (2026-12-10, midnight in UTC) or a time (2026-12-10T08:00:00+01:00), at most 90 days ahead. Default: none.
	LearnUntil LearnUntil `yaml:"learn_until"`
	// Answers is the same for the application's answers: pages that quote an error or a program look like leaks. Default: detect,
	// and off with mode off.
	Answers string `yaml:"answers"`
	// ParanoiaLevel is 1 to 4: how much of the Core Rule Set is asked. Default 1.
	ParanoiaLevel int `yaml:"paranoia_level"`
	// InboundThreshold is the anomaly score at which a request is refused; a critical match scores 5. Default 5.
	InboundThreshold int `yaml:"inbound_threshold"`
	// OutboundThreshold is the anomaly score at which an answer is refused. Default 4.
	OutboundThreshold int `yaml:"outbound_threshold"`
	// BodyLimit is the largest body of a request; with mode block a longer one is refused (413), with detect its rest is not
	// looked at. Default 16MiB, or max_body where that is less.
	BodyLimit Size `yaml:"body_limit"`
	// FieldsLimit is how much of a request's body may be something else than the contents of uploaded files: the whole of forms, JSON and
	// XML, and of multipart the fields, names and headers. It bounds the time that one request takes, since files are not looked at. Beyond
	// it as beyond body_limit. A lower SecRequestBodyNoFilesLimit in a file of before or after holds in its place. Default 1MiB, or
	// body_limit where that is less.
	FieldsLimit Size `yaml:"fields_limit"`
	// ParameterLimit is how many parameters the query and the form or JSON body may have each, and how many cookies there may be. With
	// mode block a request with more is refused (503), with detect the rest is not looked at. Default 1000, at most 100000: each one
	// takes time.
	ParameterLimit int `yaml:"parameter_limit"`
	// AnswerLimit is how much of an answer's body is looked at. Default 512KiB.
	AnswerLimit Size `yaml:"answer_limit"`
	// Before are files of your own rules in SecLang, read before those of the Core Rule Set.
	Before []string `yaml:"before"`
	// After are files of your own rules that are read after them.
	After []string `yaml:"after"`
	// Exclude leaves rules out, beside what the application's folder leaves out.
	Exclude []WAFExclusion `yaml:"exclude"`
}

// WAFExclusion leaves rules, or one value of a request, out of the requests below a path.
type WAFExclusion struct {
	// Path is a prefix of whole segments, exactly as written. Default: everywhere.
	Path string `yaml:"path"`
	// Rules are ids or ranges of them: 942100, 941000-941999.
	Rules []RuleRange `yaml:"rules"`
	// Tags are tags of rules, such as attack-sqli.
	Tags []string `yaml:"tags"`
	// Parameter is the name of a parameter in query or form whose value the rules leave out.
	Parameter string `yaml:"parameter"`
	// Target is any value in the words of rules, such as REQUEST_HEADERS:Referer; in place of parameter.
	Target string `yaml:"target"`
}

// RuleRange is a rule's id, or a range of ids with both ends in it.
type RuleRange struct{ First, Last int }

// UnmarshalText reads 942100 or 941000-941999.
func (r *RuleRange) UnmarshalText(text []byte) error {
	first, last, ranged := strings.Cut(string(text), "-")
	if !ranged {
		last = first
	}
	a, errA := strconv.Atoi(first)
	b, errB := strconv.Atoi(last)
	if errA != nil || errB != nil || a < 1 || b < a {
		return fmt.Errorf("rule %q: write an id such as 942100, or a range such as 941000-941999", text)
	}
	r.First, r.Last = a, b
	return nil
}

// String writes the range as UnmarshalText reads it.
func (r RuleRange) String() string {
	if r.First == r.Last {
		return strconv.Itoa(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}
