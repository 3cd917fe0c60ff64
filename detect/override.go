package detect

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/doorward/doorward/detect/sigma"
)

// override changes one detection (M-29).
type override struct {
	name, at string // at: file:line
	set      overrideFile
}

// overrideFile is what may stand under the name of a detection. Durations are written as in detections: 10m, 7d.
type overrideFile struct {
	Off       bool   `yaml:"off"`
	Count     *int   `yaml:"count"`
	Timespan  string `yaml:"timespan"`
	Ban       string `yaml:"ban"`
	Throttle  string `yaml:"throttle"`
	Challenge string `yaml:"challenge"`
	Alert     string `yaml:"alert"`
	Scope     string `yaml:"scope"`
	Escalate  *struct {
		Factor float64 `yaml:"factor"`
		Max    string  `yaml:"max"`
	} `yaml:"escalate"`
}

// readOverrides reads a file of overrides: a map from names or ids of detections to what changes.
func readOverrides(name string, text []byte) ([]override, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var entries []*ast.MappingValueNode
	for _, doc := range file.Docs {
		switch body := doc.Body.(type) {
		case nil, *ast.NullNode, *ast.CommentGroupNode:
		case *ast.MappingNode:
			entries = append(entries, body.Values...)
		case *ast.MappingValueNode:
			entries = append(entries, body)
		default:
			return nil, fmt.Errorf("%s:%d: overrides are a map from names of detections", name, body.GetToken().Position.Line)
		}
	}
	var all []override
	var errs []error
	for _, e := range entries {
		o := override{name: e.Key.GetToken().Value, at: fmt.Sprintf("%s:%d", name, e.Key.GetToken().Position.Line)}
		if slices.ContainsFunc(all, func(other override) bool { return other.name == o.name }) {
			errs = append(errs, fmt.Errorf("%s: %s stands twice", o.at, o.name))
			continue
		}
		if err := yaml.NodeToValue(e.Value, &o.set, yaml.Strict()); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", o.at, o.name, plainly(err, name)))
			continue
		}
		all = append(all, o)
	}
	return all, errors.Join(errs...)
}

// plainly is what is wrong with a value, in a sentence about the file and not about Doorward's code.
func plainly(err error, name string) error {
	var unknown *yaml.UnknownFieldError
	var where yaml.Error
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%s: %s; there are off, count, timespan, ban, throttle, challenge, alert, escalate and scope", lineOf(name, unknown), unknown.Message)
	case errors.As(err, &where):
		return fmt.Errorf("%s: %q cannot stand there: off is true or false, count a whole number, escalate a factor and a max, the others are texts", lineOf(name, where), where.GetToken().Value)
	}
	return err
}

func lineOf(name string, e yaml.Error) string {
	return fmt.Sprintf("%s:%d", name, e.GetToken().Position.Line)
}

// apply changes the collection by the overrides, and then lists the detections.
func (s *Ruleset) apply(all []override) error {
	s.describe()
	var errs []error
	off := map[*sigma.Head]bool{}
	for _, o := range all {
		h, c := s.find(o.name)
		if h == nil {
			errs = append(errs, fmt.Errorf("%s: there is no detection %s; doorward detect list shows them", o.at, o.name))
			continue
		}
		i := slices.IndexFunc(s.detections, func(d Detection) bool { return d.File == h.File && d.Line == h.Line && d.Title == h.Title })
		if i < 0 {
			errs = append(errs, fmt.Errorf("%s: %s only feeds other detections; override those", o.at, o.name))
			continue
		}
		d := &s.detections[i]
		before := *d
		if err := o.change(h, c); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", o.at, o.name, err))
			continue
		}
		after := about(h)
		if c != nil {
			after.Count, _ = c.Threshold()
			after.Timespan = c.Timespan
		}
		after.Logsource, after.Off, after.OverrideFile, after.Overrides = before.Logsource, o.set.Off, o.at, differences(before, after)
		if after.Off {
			off[h] = true
			after.Overrides = append(after.Overrides, "off")
		}
		*d = after
	}
	errs = append(errs, s.remove(off))
	return errors.Join(errs...)
}

// find is what a name or an id means.
func (s *Ruleset) find(name string) (*sigma.Head, *sigma.Correlation) {
	is := func(h *sigma.Head) bool { return h.Name == name || h.ID != "" && strings.EqualFold(h.ID, name) }
	for _, c := range s.collection.Correlations {
		if is(&c.Head) {
			return &c.Head, c
		}
	}
	for _, r := range s.collection.Rules {
		if is(&r.Head) {
			return &r.Head, nil
		}
	}
	return nil, nil
}

// change applies an override.
func (o override) change(h *sigma.Head, c *sigma.Correlation) error {
	if o.set.Count != nil {
		if c == nil {
			return errors.New("count: it is met by a single event")
		}
		if err := c.SetThreshold(*o.set.Count); err != nil {
			return fmt.Errorf("count: %w", err)
		}
	}
	if o.set.Timespan != "" {
		if c == nil {
			return errors.New("timespan: it is met by a single event")
		}
		var ok bool
		if c.Timespan, ok = sigma.ParseSpan(o.set.Timespan); !ok {
			return fmt.Errorf("timespan: %q is no duration such as 10m", o.set.Timespan)
		}
	}
	return o.respond(h)
}

// respond changes the response.
func (o override) respond(h *sigma.Head) error {
	actions := []struct {
		action sigma.Action
		length string
	}{{sigma.Ban, o.set.Ban}, {sigma.Throttle, o.set.Throttle}, {sigma.Challenge, o.set.Challenge}, {sigma.Alert, o.set.Alert}}
	actions = slices.DeleteFunc(actions, func(a struct {
		action sigma.Action
		length string
	}) bool {
		return a.length == ""
	})
	if len(actions) == 0 && o.set.Escalate == nil && o.set.Scope == "" {
		return nil
	}
	if h.Respond == nil {
		return errors.New("it has no response that could be changed")
	}
	r := *h.Respond
	if len(actions) > 1 {
		return errors.New("only one of ban, throttle, challenge and alert")
	}
	for _, a := range actions {
		r.Action, r.For = a.action, 0
		if a.action == sigma.Alert {
			r.EscalateFactor, r.EscalateMax = 0, 0
		}
		if a.length != "permanent" || a.action != sigma.Ban {
			var ok bool
			if r.For, ok = sigma.ParseSpan(a.length); !ok {
				return fmt.Errorf("%s: %q is no duration such as 10m", a.action, a.length)
			}
		}
	}
	if e := o.set.Escalate; e != nil {
		longest, ok := sigma.ParseSpan(e.Max)
		if !ok || !(e.Factor > 1 && e.Factor <= 100) { // also of NaN
			return errors.New("escalate: needs a factor over 1 and up to 100, and a max such as 7d")
		}
		r.EscalateFactor, r.EscalateMax = e.Factor, longest
	}
	if o.set.Scope != "" {
		r.Scope = sigma.Scope(o.set.Scope)
	}
	switch {
	case !slices.Contains([]sigma.Scope{sigma.ScopeAddress, sigma.ScopeSubnet64, sigma.ScopeSubnet, sigma.ScopeAccount}, r.Scope):
		return fmt.Errorf("scope: %q is none of address, subnet64, subnet and account", r.Scope)
	case (r.Scope == sigma.ScopeAccount) != (h.Respond.Scope == sigma.ScopeAccount):
		return errors.New("scope: what is about accounts cannot be about addresses, nor the other way round")
	case r.Scope == sigma.ScopeAccount && r.Action == sigma.Ban && r.For == 0:
		return errors.New("ban: an account cannot be banned for good")
	case r.For == 0:
		r.EscalateFactor, r.EscalateMax = 0, 0
	case r.EscalateFactor > 0 && r.EscalateMax < r.For:
		if o.set.Escalate != nil {
			return errors.New("escalate: max is less than the first duration")
		}
		r.EscalateMax = r.For
	}
	h.Respond = &r
	return nil
}

// remove takes out what is off, and what only fed that.
func (s *Ruleset) remove(off map[*sigma.Head]bool) error {
	if len(off) == 0 {
		return nil
	}
	before := referenced(s.collection)
	for changed := true; changed; {
		kept := slices.DeleteFunc(slices.Clone(s.collection.Correlations), func(c *sigma.Correlation) bool { return off[&c.Head] })
		changed = len(kept) != len(s.collection.Correlations)
		s.collection.Correlations = kept
		after := referenced(s.collection)
		for _, c := range kept {
			if names(&c.Head, before) && !names(&c.Head, after) && c.Respond == nil {
				off[&c.Head] = true
				changed = true
			}
		}
	}
	after := referenced(s.collection)
	var errs []error
	for h := range off {
		if names(h, after) {
			errs = append(errs, fmt.Errorf("%s cannot be off: other detections are made of it", cmpName(h)))
		}
	}
	s.collection.Rules = slices.DeleteFunc(slices.Clone(s.collection.Rules), func(r *sigma.Rule) bool {
		return off[&r.Head] || names(&r.Head, before) && !names(&r.Head, after)
	})
	return errors.Join(errs...)
}

func cmpName(h *sigma.Head) string {
	if h.Name != "" {
		return h.Name
	}
	return h.Key()
}

// differences says what an override changed.
func differences(before, after Detection) []string {
	var all []string
	note := func(what, from, to string) {
		if from != to {
			all = append(all, what+" "+from+" → "+to)
		}
	}
	note("count", strconv.Itoa(before.Count), strconv.Itoa(after.Count))
	note("timespan", lengthText(before.Timespan), lengthText(after.Timespan))
	note("respond", before.response(), after.response())
	note("scope", before.Scope, after.Scope)
	return all
}

// response is the response in words.
func (d Detection) response() string {
	if d.Action == "" {
		return "none"
	}
	text := d.Action + " " + lengthText(d.For)
	if d.EscalateFactor > 0 {
		text += " ×" + strconv.FormatFloat(d.EscalateFactor, 'g', -1, 64) + " up to " + lengthText(d.EscalateMax)
	}
	return text
}

func lengthText(d time.Duration) string {
	if d == 0 {
		return "for good"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
