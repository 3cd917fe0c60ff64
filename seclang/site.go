package seclang

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/doorward/doorward/seclang/syntax"
)

// SiteConfig is what differs between the sites that share a program. A zero takes what the rules' directives say, and
// without those the default that stands here.
type SiteConfig struct {
	Mode syntax.EngineMode // off without a SecRuleEngine
	// Variables are set in TX before the first rule: paranoia level, thresholds and whatever else a rule set reads.
	Variables []Variable

	RequestBody       syntax.Switch
	ResponseBody      syntax.Switch
	RequestBodyLimit  int // bytes; default 128 KiB
	ResponseBodyLimit int // bytes; default 512 KiB
	// RequestFieldsLimit is how many bytes a request's body may have besides the contents of files; default: any number. A lower
	// SecRequestBodyNoFilesLimit among the rules holds in its place.
	RequestFieldsLimit int
	// RequestBodyPartial looks at what fits of a longer body; otherwise WriteRequestBody says that it is too long.
	RequestBodyPartial bool

	Arguments int      // pairs of a query, a body or a cookie header; default 1000
	Depth     int      // levels of JSON and XML; default 512
	Parts     int      // of a multipart body; default 1000
	Types     []string // media types of answers that are looked at; default text/plain, text/html, text/xml

	// Exclusions can be applied to a transaction by their numbers.
	Exclusions []Exclusion
	// StrictMultipart makes MULTIPART_STRICT_ERROR of everything that parsers of multipart bodies read in different ways;
	// otherwise only of what Coraza takes for it, which is what the published rules are tested with.
	StrictMultipart bool

	// Views shows values that can be decoded once more (base64, base64url, hexadecimal digits, URL encoding, JSON, XML) to the
	// same rules in their decoded form too, and pairs between semicolons.
	Views bool

	// Plain runs every rule over every value, one by one: slow, and the measure of the fast way.
	Plain bool
}

// Variable is a name in TX and its value.
type Variable struct{ Name, Value string }

// Site is a program as one site uses it. Nothing changes it.
type Site struct {
	program   *Program
	mode      syntax.EngineMode
	variables []siteVariable

	requestBody, responseBody bool
	requestLimit              int
	fieldsLimit               int
	responseLimit             int
	partial                   bool
	arguments, depth, parts   int
	types                     []string
	plain, strict, views      bool
	exclusions                []effect
	phases                    [6][]entry // what runs
}

type siteVariable struct {
	slot       int32
	key, value string
}

// Bounds of SiteConfig.
const (
	maxBody      = 1 << 30
	maxArguments = 1_000_000
	maxLevels    = 10_000
)

// NewSite binds the program to one site.
func (p *Program) NewSite(c SiteConfig) (*Site, error) {
	s := &Site{program: p, mode: c.Mode, plain: c.Plain, strict: c.StrictMultipart, views: c.Views, partial: c.RequestBodyPartial || p.settings.RequestBodyPartial,
		requestBody:   on(c.RequestBody, p.settings.RequestBodyAccess),
		responseBody:  on(c.ResponseBody, p.settings.ResponseBodyAccess),
		requestLimit:  cmp.Or(c.RequestBodyLimit, int(p.settings.RequestBodyLimit), 128<<10),
		responseLimit: cmp.Or(c.ResponseBodyLimit, int(p.settings.ResponseBodyLimit), 512<<10),
		fieldsLimit:   c.RequestFieldsLimit,
		arguments:     cmp.Or(c.Arguments, p.settings.ArgumentsLimit, 1000),
		depth:         cmp.Or(c.Depth, p.settings.RequestBodyJSON, 512),
		parts:         cmp.Or(c.Parts, 1000),
		types:         c.Types,
	}
	if said := int(p.settings.RequestFieldsLimit); said > 0 && (s.fieldsLimit == 0 || said < s.fieldsLimit) {
		s.fieldsLimit = said
	}
	s.plain = s.plain || !p.prepared
	if s.mode == syntax.EngineUnset {
		s.mode = p.settings.Engine
	}
	if s.mode == syntax.EngineUnset {
		s.mode = syntax.EngineOff
	}
	if len(s.types) == 0 {
		s.types = p.settings.ResponseTypes
	}
	if len(s.types) == 0 {
		s.types = []string{"text/plain", "text/html", "text/xml"}
	}
	for what, n := range map[string][2]int{"request body limit": {s.requestLimit, maxBody}, "request fields limit": {cmp.Or(s.fieldsLimit, maxBody), maxBody}, "response body limit": {s.responseLimit, maxBody},
		"arguments": {s.arguments, maxArguments}, "depth": {s.depth, maxLevels}, "parts": {s.parts, maxArguments}} {
		if n[0] < 1 || n[0] > n[1] {
			return nil, fmt.Errorf("make site: %s is %d, not from 1 to %d", what, n[0], n[1])
		}
	}
	for _, v := range c.Variables {
		slot, ok := p.names[strings.ToLower(v.Name)]
		if !ok {
			return nil, fmt.Errorf("make site: no rule knows the variable tx.%s", v.Name)
		}
		s.variables = append(s.variables, siteVariable{slot: slot, key: v.Name, value: v.Value})
	}
	for i, e := range c.Exclusions {
		compiled, err := p.newExclusion(e)
		if err != nil {
			return nil, fmt.Errorf("exclusion %d: %w", i+1, err)
		}
		s.exclusions = append(s.exclusions, *compiled)
	}
	s.phases = p.phasesOf(s)
	return s, nil
}

func on(said ...syntax.Switch) bool {
	for _, s := range said {
		if s != syntax.Unset {
			return s == syntax.On
		}
	}
	return false
}
