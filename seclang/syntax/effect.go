package syntax

import (
	"fmt"
	"strconv"
	"strings"
)

// EffectKind is the kind of an effect.
type EffectKind int

// The effects.
const (
	SetVariable    EffectKind = iota // setvar:tx.key=value
	DeleteVariable                   // setvar:!tx.key
	SetEnvironment                   // setenv:key=value, seen by ENV within this transaction only
	ControlEngine                    // ctl:…
)

// Effect is what a rule does to the transaction besides disrupting it.
type Effect struct {
	Kind    EffectKind
	Key     Macro
	Value   Macro // of SetVariable: "+5" adds and "-5" subtracts
	Control Control
}

// ControlName is the option of a ctl action.
type ControlName int

// The options.
const (
	AuditEngine ControlName = iota
	AuditLogParts
	ForceRequestBodyVariable
	RequestBodyAccess
	RequestBodyLimit
	RequestBodyProcessor
	ResponseBodyAccess
	ResponseBodyLimit
	RuleEngine
	RuleRemoveByID
	RuleRemoveByMsg
	RuleRemoveByTag
	RuleRemoveTargetByID
	RuleRemoveTargetByMsg
	RuleRemoveTargetByTag
)

// Control changes how the engine treats the rest of this transaction.
type Control struct {
	Name   ControlName
	Value  string // a tag, a message, a processor in upper case, …
	Number int64  // a limit
	IDs    IDRange
	Target Target
	Engine EngineMode
	On     bool
}

// controls by name in lower case.
var controls = map[string]ControlName{
	"auditengine": AuditEngine, "auditlogparts": AuditLogParts, "forcerequestbodyvariable": ForceRequestBodyVariable,
	"requestbodyaccess": RequestBodyAccess, "requestbodylimit": RequestBodyLimit, "requestbodyprocessor": RequestBodyProcessor,
	"responsebodyaccess": ResponseBodyAccess, "responsebodylimit": ResponseBodyLimit, "ruleengine": RuleEngine,
	"ruleremovebyid": RuleRemoveByID, "ruleremovebymsg": RuleRemoveByMsg, "ruleremovebytag": RuleRemoveByTag,
	"ruleremovetargetbyid": RuleRemoveTargetByID, "ruleremovetargetbymsg": RuleRemoveTargetByMsg,
	"ruleremovetargetbytag": RuleRemoveTargetByTag,
}

func setVariable(text string) (Effect, error) {
	e := Effect{Kind: SetVariable}
	text, remove := strings.CutPrefix(text, "!")
	name, value, assigned := strings.Cut(text, "=")
	key, ok := cutFold(name, "tx.")
	if !ok {
		return e, fmt.Errorf("setvar:%.40s: only TX can be set (setvar:tx.name=value); no other collection outlives a request", text)
	}
	var err error
	if e.Key, err = macro(strings.TrimSpace(key)); err != nil || len(e.Key) == 0 {
		return e, fmt.Errorf("setvar:%.40s: the name after tx. is missing or wrong (%v)", text, err)
	}
	if remove {
		if assigned {
			return e, fmt.Errorf("setvar:!%.40s: a variable that is deleted has no value", text)
		}
		e.Kind = DeleteVariable
		return e, nil
	}
	if !assigned {
		value = "1"
	}
	if e.Value, err = macro(value); err != nil {
		return e, fmt.Errorf("setvar:%.40s: %w", text, err)
	}
	return e, nil
}

func setEnvironment(text string) (Effect, error) {
	e := Effect{Kind: SetEnvironment}
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return e, fmt.Errorf("setenv:%.40s: write setenv:name=value", text)
	}
	var err error
	if e.Key, err = macro(name); err != nil {
		return e, err
	}
	e.Value, err = macro(value)
	return e, err
}

func control(text string) (Effect, error) {
	e := Effect{Kind: ControlEngine}
	name, value, ok := strings.Cut(text, "=")
	which, known := controls[strings.ToLower(name)]
	if !known {
		return e, fmt.Errorf("ctl:%.40s is not supported", name)
	}
	if !ok || value == "" {
		return e, fmt.Errorf("ctl:%s: a value is missing: ctl:%s=…", name, name)
	}
	c := Control{Name: which, Value: value}
	var err error
	switch which {
	case AuditLogParts: // the parts of another program's log
	case AuditEngine:
		if !oneOf(value, "On", "Off", "RelevantOnly") {
			err = fmt.Errorf("is %q; write On, Off or RelevantOnly", value)
		}
	case RuleEngine:
		c.Engine, err = engineMode(value)
	case ForceRequestBodyVariable, RequestBodyAccess, ResponseBodyAccess:
		c.On, err = onOff(value)
	case RequestBodyLimit, ResponseBodyLimit:
		c.Number, err = size(value)
	case RequestBodyProcessor:
		c.Value = strings.ToUpper(value)
		if !oneOf(value, "URLENCODED", "MULTIPART", "JSON", "XML", "RAW") {
			err = fmt.Errorf("is %.20q; write URLENCODED, MULTIPART, JSON, XML or RAW", value)
		}
	case RuleRemoveByID:
		c.IDs, err = idRange(value)
	case RuleRemoveTargetByID, RuleRemoveTargetByMsg, RuleRemoveTargetByTag:
		err = c.removeTarget(value)
	}
	if err != nil {
		return e, fmt.Errorf("ctl:%s: %w", name, err)
	}
	e.Control = c
	return e, nil
}

// removeTarget reads "942100;ARGS:user"; a "!" before the variable changes nothing.
func (c *Control) removeTarget(value string) error {
	from, what, ok := strings.Cut(value, ";")
	if !ok {
		return fmt.Errorf("is %.40q; write the rule, a semicolon and the variable: 942100;ARGS:user", value)
	}
	t, err := target(strings.TrimPrefix(strings.TrimSpace(what), "!"))
	if err != nil {
		return err
	}
	if t.Count || t.Exclude {
		return fmt.Errorf("%.40q: write the variable alone", what)
	}
	c.Target, c.Value = t, strings.TrimSpace(from)
	if c.Name == RuleRemoveTargetByID {
		c.IDs, err = idRange(c.Value)
	}
	return err
}

// idRange reads "942100" or "942000-942999".
func idRange(text string) (IDRange, error) {
	first, last, isRange := strings.Cut(text, "-")
	a, err := ruleID(first)
	if err != nil {
		return IDRange{}, err
	}
	if !isRange {
		return IDRange{a, a}, nil
	}
	b, err := ruleID(last)
	if err != nil {
		return IDRange{}, err
	}
	if b < a {
		return IDRange{}, fmt.Errorf("the range %s ends before it begins", text)
	}
	return IDRange{a, b}, nil
}

func ruleID(text string) (int, error) {
	id, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || id < 1 {
		return 0, fmt.Errorf("%.40q is no rule id; ids are whole numbers from 1", text)
	}
	return id, nil
}

func oneOf(value string, words ...string) bool {
	for _, w := range words {
		if strings.EqualFold(value, w) {
			return true
		}
	}
	return false
}
