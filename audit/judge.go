package audit

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/doorward/doorward/audit/facts"
)

// Judge says for every control of the profile how it stands at the facts' time, by the facts and by what people have
// said. It needs nothing else, so that the same facts always give the same findings.
func (c *Catalogue) Judge(p Profile, f facts.Facts, records Records) []Finding {
	j := newJudge(f)
	findings := []Finding{}
	for _, built := range c.controls {
		if p.Has(built.ID) {
			findings = append(findings, j.finding(choose(built, p), records))
		}
	}
	return findings
}

// choose puts the profile's reading of a control in place.
func choose(built compiled, p Profile) compiled {
	for _, choice := range p.Choose {
		for _, v := range built.Variants {
			if choice.Control == built.ID && choice.Variant == v.Name {
				built.expect, built.Expected = built.variants[v.Name], v.Expected
				built.Note = strings.TrimSpace(built.Note + " " + v.Why)
			}
		}
	}
	return built
}

// judge evaluates over one host's facts.
type judge struct {
	facts    facts.Facts
	vars     map[string]any
	unknowns []*cel.AttributePatternType
}

func newJudge(f facts.Facts) *judge {
	j := &judge{facts: f, vars: map[string]any{"now": f.Time}}
	for name, value := range f.Values {
		j.vars[name] = value
	}
	for _, m := range f.Missing {
		segments := strings.Split(m.Fact, ".")
		pattern := cel.AttributePattern(segments[0])
		for _, field := range segments[1:] {
			pattern = pattern.QualString(field)
		}
		j.unknowns = append(j.unknowns, pattern)
	}
	return j
}

// errUnknown is that a fact is missing, with its name and the reason.
type errUnknown struct{ reason string }

func (e errUnknown) Error() string { return e.reason }

// eval evaluates x with further variables. A missing fact that decides is an errUnknown.
func (j *judge) eval(x *expression, it ref.Val) (ref.Val, error) {
	vars := j.vars
	if it != nil {
		vars = make(map[string]any, len(j.vars)+1)
		for name, value := range j.vars {
			vars[name] = value
		}
		vars["it"] = it
	}
	activation, err := cel.PartialVars(vars, j.unknowns...)
	if err != nil {
		return nil, err
	}
	value, _, err := x.program.Eval(activation)
	if types.IsUnknown(value) {
		return nil, errUnknown{j.reasons(x)}
	}
	if err != nil && strings.Contains(err.Error(), "cost limit exceeded") { // cel-go has no other sign of it
		return nil, errUnknown{"there is more on the host than is compared: " + x.name()}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", x.text, err)
	}
	return value, nil
}

func (j *judge) ask(x *expression, it ref.Val) (bool, error) {
	value, err := j.eval(x, it)
	if err != nil {
		return false, err
	}
	return value == types.True, nil
}

// reasons tells why the facts that x names are missing.
func (j *judge) reasons(x *expression) string {
	var all []string
	for _, m := range j.facts.Missing {
		for _, name := range x.names {
			path := strings.Join(name, ".")
			if strings.HasPrefix(path+".", m.Fact+".") || strings.HasPrefix(m.Fact+".", path+".") {
				all = append(all, m.Fact+": "+m.Reason)
				break
			}
		}
	}
	return strings.Join(all, "; ")
}

// finding judges one control: first its check, then what people have said.
func (j *judge) finding(c compiled, records Records) Finding {
	f := Finding{ID: c.ID, Title: c.Title, Severity: c.Severity, Expected: c.Expected, Fix: c.Fix, Note: c.Note, Evidence: []Evidence{}}
	if c.expect != nil {
		j.check(c, &f)
	}
	switch {
	case c.Scan != nil:
		scanned(c, &f, records, j.facts.Time)
	case c.Attest != nil:
		attest(c, &f, records, j.facts.Time)
	}
	waive(&f, records, j.facts.Time)
	f.Reason = Plain(f.Reason)
	return f
}

// check sets the finding's status and evidence by the facts.
func (j *judge) check(c compiled, f *Finding) {
	err := func() error {
		if c.when != nil {
			applies, err := j.ask(c.when, nil)
			if err != nil {
				return err
			}
			if !applies {
				f.Status, f.Reason = NotApplicable, c.Otherwise
				j.show(f, c.when)
				return nil
			}
		}
		defer func() { j.show(f, c.show...) }()
		if c.over != nil {
			return j.each(c, f)
		}
		j.show(f, c.expect)
		ok, err := j.ask(c.expect, nil)
		if err != nil {
			return err
		}
		f.Status = Fail
		if ok {
			f.Status = Pass
		}
		return nil
	}()
	var unknown errUnknown
	switch {
	case errors.As(err, &unknown):
		f.Status, f.Reason = Unknown, unknown.reason
	case err != nil:
		f.Status, f.Reason = Errored, err.Error()
	}
}

// each asks for every entry of the control's list.
func (j *judge) each(c compiled, f *Finding) error {
	value, err := j.eval(c.over, nil)
	if err != nil {
		return err
	}
	list, ok := value.(traits.Lister)
	if !ok {
		return fmt.Errorf("%s: it is no list", c.over.text)
	}
	name, n := c.over.name(), 0
	f.Status = Pass
	var unknown error
	for at := list.Iterator(); at.HasNext() == types.True; n++ {
		item := at.Next()
		ok, err := j.ask(c.expect, item)
		if errors.As(err, new(errUnknown)) {
			unknown = err // an entry that fails says more than one of which nothing is known
			continue
		}
		if err != nil {
			return err
		}
		e := evidenceOf(name, item.Value())
		if e.Offends = !ok; e.Offends {
			f.Status = Fail
		}
		f.add(e)
	}
	j.show(f, c.expect)
	if f.Status != Fail && unknown != nil {
		return unknown
	}
	if n == 0 {
		f.Status = c.Empty
		if f.Status == "" {
			f.Status = Unknown
		}
		f.Reason = "there is nothing in " + name
		j.show(f, c.over)
	}
	return nil
}

// attested is an answer as evidence.
func attested(a Attestation) Evidence {
	return Evidence{Fact: "attestation", Value: strings.TrimSpace(a.Text + " " + a.Evidence), Origin: a.Owner + ", " + a.Made.Format(time.DateOnly)}
}

// attest takes a person's answer into account.
func attest(c compiled, f *Finding, records Records, now time.Time) {
	alone := c.expect == nil
	a, ok := records.Attestations[c.ID]
	valid := ok && now.Before(a.Until)
	if valid || ok {
		f.add(attested(a))
	}
	need := alone || c.Attest.Required && f.Status == Pass
	switch {
	case valid && (alone || f.Status == Unknown || c.Attest.Required && f.Status == Pass):
		until := a.Until
		f.Status, f.Until = Attested, &until
	case !need:
	case records.Unread != "":
		f.Status, f.Reason = Unknown, "what people have attested could not be read: "+records.Unread
	case ok:
		f.Status, f.Reason = Fail, "the attestation ended on "+a.Until.Format(time.DateOnly)
	default:
		f.Status, f.Reason = Fail, "nobody has attested it: "+c.Attest.Text
	}
	if alone {
		f.Expected = c.Attest.Text
		if f.Fix == "" {
			f.Fix = "doorward attest " + c.ID + "; keep as evidence: " + c.Attest.Evidence
		}
	}
}

// waive lets a waiver stand in for what fails or is unknown. A defect of ours cannot be waived.
func waive(f *Finding, records Records, now time.Time) {
	w, ok := records.Waivers[f.ID]
	if !ok || f.Status != Fail && f.Status != Unknown {
		return
	}
	if !now.Before(w.Until) {
		f.Reason = strings.TrimPrefix(f.Reason+"; the waiver ended on "+w.Until.Format(time.DateOnly), "; ")
		return
	}
	until := w.Until
	f.Underlying, f.Status, f.Until, f.Reason = f.Status, Waived, &until, w.Reason+" ("+w.By+")"
}
