package syntax

import (
	"fmt"
	"strconv"
	"strings"
)

// action is one of a rule's actions, not yet understood.
type action struct{ name, value string }

// maxActions is how many one rule may have; the longest list of CRS has 40.
const maxActions = 500

// splitActions parts a list of actions at the commas that stand in no single quotes. Quotes around a whole value go.
func splitActions(text string) ([]action, error) {
	var all []action
	for start := 0; start <= len(text); {
		end, closed := actionEnd(text, start)
		if !closed {
			return nil, fmt.Errorf("the quote in action %.40q has no end", strings.TrimSpace(text[start:end]))
		}
		name, value, _ := strings.Cut(text[start:end], ":")
		name = strings.ToLower(strings.TrimSpace(name))
		start = end + 1
		if name == "" {
			if start > len(text) && len(all) > 0 {
				return nil, fmt.Errorf("there is a comma after the last action")
			}
			return nil, fmt.Errorf("an action is empty")
		}
		all = append(all, action{name: name, value: unquote(strings.TrimSpace(value))})
		if len(all) > maxActions {
			return nil, fmt.Errorf("more than %d actions in one rule", maxActions)
		}
	}
	return all, nil
}

func actionEnd(text string, i int) (end int, closed bool) {
	inQuotes := false
	for ; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == '\'':
			inQuotes = !inQuotes
		case text[i] == ',' && !inQuotes:
			return i, true
		}
	}
	return len(text), !inQuotes
}

func unquote(value string) string {
	if len(value) < 2 || value[0] != '\'' || value[len(value)-1] != '\'' {
		return value
	}
	return strings.ReplaceAll(value[1:len(value)-1], `\'`, `'`)
}

// unsupportedActions names what other engines do and this one does not, with what to do instead.
var unsupportedActions = map[string]string{
	"append": "bodies are not changed", "deprecatevar": "no collection outlives a request",
	"exec": "a rule starts no programs", "expirevar": "no collection outlives a request", "pause": "a request is not held up",
	"prepend": "bodies are not changed", "proxy": "a rule does not choose where a request goes",
	"sanitisearg": "secrets are redacted by their names", "sanitisematched": "secrets are redacted by their names",
	"sanitisematchedbytes":   "secrets are redacted by their names",
	"sanitiserequestheader":  "secrets are redacted by their names",
	"sanitiseresponseheader": "secrets are redacted by their names",
	"setrsc":                 "no collection outlives a request", "setsid": "no collection outlives a request",
	"setuid": "no collection outlives a request", "xmlns": "only XML:/* and XML://@* are supported",
}

// apply fills the rule with one action.
func (r *Rule) apply(a action) error {
	wantsValue, known := actionValues[a.name]
	switch {
	case !known:
		if why, unsupported := unsupportedActions[a.name]; unsupported {
			return fmt.Errorf("action %s is not supported: %s", a.name, why)
		}
		return fmt.Errorf("there is no action %.40q", a.name)
	case wantsValue == needsArgument && a.value == "":
		return fmt.Errorf("action %s needs a value: %s:…", a.name, a.name)
	case wantsValue == noArgument && a.value != "":
		return fmt.Errorf("action %s takes no value; it has %.40q", a.name, a.value)
	}
	if err := r.applyFlow(a); err != nil {
		return fmt.Errorf("action %s: %w", a.name, err)
	}
	if err := r.applyData(a); err != nil {
		return fmt.Errorf("action %s: %w", a.name, err)
	}
	return nil
}

// actionValues says which actions there are, and whether they take a value.
var actionValues = map[string]argument{
	"accuracy": needsArgument, "allow": mayHaveArgument, "auditlog": noArgument, "block": noArgument, "capture": noArgument,
	"chain": noArgument, "ctl": needsArgument, "deny": noArgument, "drop": noArgument, "id": needsArgument,
	"initcol": needsArgument, "log": noArgument, "logdata": needsArgument, "maturity": needsArgument, "msg": needsArgument,
	"multimatch": noArgument, "noauditlog": noArgument, "nolog": noArgument, "pass": noArgument, "phase": needsArgument,
	"redirect": needsArgument, "rev": needsArgument, "setenv": needsArgument, "setvar": needsArgument,
	"severity": needsArgument, "skip": needsArgument, "skipafter": needsArgument, "status": needsArgument,
	"t": needsArgument, "tag": needsArgument, "ver": needsArgument,
}

// applyFlow does what concerns where the transaction goes on.
func (r *Rule) applyFlow(a action) (err error) {
	switch a.name {
	case "pass":
		r.Disruption = Pass
	case "block":
		r.Disruption = Inherit
	case "deny":
		r.Disruption = Deny
	case "drop":
		r.Disruption = Drop
	case "redirect":
		r.Disruption = Redirect
		r.Location, err = macro(a.value)
	case "allow":
		r.Disruption = Allow
		scopes := map[string]Scope{"": AllowAll, "phase": AllowPhase, "request": AllowRequest}
		scope, ok := scopes[strings.ToLower(a.value)]
		if !ok {
			return fmt.Errorf("is %.20q; write allow, allow:phase or allow:request", a.value)
		}
		r.Scope = scope
	case "status":
		r.Status, err = number(a.value, 100, 599)
	case "skip":
		r.Skip, err = number(a.value, 1, 1_000_000)
	case "skipafter":
		r.SkipAfter = a.value
	case "chain":
		r.chained = true
	case "phase":
		r.Phase, err = phase(a.value)
	case "id":
		r.ID, err = ruleID(a.value)
	case "log":
		r.Log = On
		r.AuditLog = On
	case "nolog":
		r.Log = Off
		r.AuditLog = Off
	case "auditlog":
		r.AuditLog = On
	case "noauditlog":
		r.AuditLog = Off
	}
	return err
}

// applyData does what concerns values and words.
func (r *Rule) applyData(a action) (err error) {
	switch a.name {
	case "t":
		return r.transform(a.value)
	case "capture":
		r.Capture = true
	case "multimatch":
		r.MultiMatch = true
	case "setvar", "setenv", "ctl":
		make := map[string]func(string) (Effect, error){"setvar": setVariable, "setenv": setEnvironment, "ctl": control}
		e, err := make[a.name](a.value)
		if err != nil {
			return err
		}
		r.Effects = append(r.Effects, e)
	case "initcol":
		// Accepted since CRS writes it; a rule that reads such a collection is refused, so nothing is lost.
		_, err = macro(a.value)
	case "msg":
		r.Message, err = macro(a.value)
	case "logdata":
		r.LogData, err = macro(a.value)
	case "tag":
		tag, err := macro(a.value)
		if err != nil {
			return err
		}
		r.Tags = append(r.Tags, tag)
	case "severity":
		r.Severity, err = severity(a.value)
	case "maturity":
		r.Maturity, err = number(a.value, 0, 9)
	case "accuracy":
		r.Accuracy, err = number(a.value, 0, 9)
	case "rev":
		r.Revision = a.value
	case "ver":
		r.Version = a.value
	}
	return err
}

// maxTransformations is how many one rule may have.
const maxTransformations = 30

func (r *Rule) transform(name string) error {
	name = strings.ToLower(name)
	switch {
	case name == "none":
		r.Transformations = nil
	case !transformations[name]:
		return fmt.Errorf("there is no transformation %.40q", name)
	case len(r.Transformations) == maxTransformations:
		return fmt.Errorf("more than %d transformations in one rule", maxTransformations)
	default:
		r.Transformations = append(r.Transformations, name)
	}
	return nil
}

func number(text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("is %.20q; write a whole number from %d to %d", text, least, most)
	}
	return n, nil
}

func phase(text string) (Phase, error) {
	switch strings.ToLower(text) {
	case "1":
		return PhaseRequestHeaders, nil
	case "2", "request":
		return PhaseRequestBody, nil
	case "3":
		return PhaseResponseHeaders, nil
	case "4", "response":
		return PhaseResponseBody, nil
	case "5", "logging":
		return PhaseLogging, nil
	}
	return 0, fmt.Errorf("is %.20q; write 1 to 5, request, response or logging", text)
}

func severity(text string) (int, error) {
	for i, name := range severities {
		if strings.EqualFold(text, name) {
			return i, nil
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 7 {
		return 0, fmt.Errorf("is %.20q; write 0 to 7 or %s", text, strings.Join(severities, ", "))
	}
	return n, nil
}
