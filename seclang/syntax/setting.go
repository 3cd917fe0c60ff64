package syntax

import (
	"fmt"
	"strconv"
	"strings"
)

// EngineMode says what the rules may do.
type EngineMode int

// The modes of the engine.
const (
	EngineUnset   EngineMode = iota // no SecRuleEngine was read
	EngineOn                        // rules may refuse
	EngineDetects                   // DetectionOnly: rules run, nothing is refused
	EngineOff                       // no rule runs
)

// Settings is what the Sec… directives say besides rules. A zero means that none said it.
type Settings struct {
	Engine             EngineMode
	RequestBodyAccess  Switch
	ResponseBodyAccess Switch
	RequestBodyLimit   int64 // bytes
	ResponseBodyLimit  int64 // bytes
	RequestFieldsLimit int64 // bytes: SecRequestBodyNoFilesLimit
	RequestBodyPartial bool  // SecRequestBodyLimitAction ProcessPartial: a longer body is looked at as far as the limit
	RequestBodyJSON    int   // levels of JSON
	ArgumentsLimit     int
	ResponseTypes      []string // media types of answers that are looked at, in lower case
	Components         []string // SecComponentSignature: which rule sets are loaded
}

// foreign are directives about logs, disks and internals that are not this engine's.
var foreign = map[string]string{
	"secauditengine": "events are our audit log", "secauditlog": "events are our audit log", "secauditlog2": "events are our audit log",
	"secauditlogdirmode": "events are our audit log", "secauditlogfilemode": "events are our audit log",
	"secauditlogformat": "events are our audit log", "secauditlogparts": "events are our audit log",
	"secauditlogrelevantstatus": "events are our audit log", "secauditlogstoragedir": "events are our audit log",
	"secauditlogtype": "events are our audit log", "secauditlogdir": "events are our audit log",
	"secdebuglog": "there is no debug log", "secdebugloglevel": "there is no debug log",
	"secdatadir": "nothing is kept on disk", "sectmpdir": "nothing is kept on disk", "secuploaddir": "nothing is kept on disk",
	"secuploadkeepfiles": "nothing is kept on disk", "secuploadfilemode": "nothing is kept on disk",
	"secuploadfilelimit":          "the limits of the site hold",
	"seccollectiontimeout":        "no collection outlives a request",
	"secrequestbodyinmemorylimit": "bodies are held in memory, up to the site's limit",
	"secpcrematchlimit":           "expressions run in linear time", "secpcrematchlimitrecursion": "expressions run in linear time",
	"secunicodemapfile": "the map is built in", "seccookieformat": "cookies are read as browsers send them",
	"secserversignature": "an answer names no server", "secstatusengine": "nothing is reported to others",
	"secwebappid": "sites are told apart by their configuration", "secsensorid": "events name the host",
	"secinterceptonerror": "an error of the engine always closes the door",
}

// setting applies a directive that is one word and its value; known is false when there is none of that name.
func (s *Settings) setting(name string, args []string) (known bool, err error) {
	one := ""
	if len(args) == 1 {
		one = args[0]
	}
	switch name {
	case "secruleengine":
		s.Engine, err = engineMode(one)
	case "secrequestbodyaccess":
		s.RequestBodyAccess, err = onOffSwitch(one)
	case "secresponsebodyaccess":
		s.ResponseBodyAccess, err = onOffSwitch(one)
	case "secrequestbodylimit":
		s.RequestBodyLimit, err = size(one)
	case "secrequestbodynofileslimit":
		s.RequestFieldsLimit, err = size(one)
	case "secresponsebodylimit":
		s.ResponseBodyLimit, err = size(one)
	case "secrequestbodylimitaction":
		s.RequestBodyPartial, err = partial(one)
	case "secresponsebodylimitaction":
		if !strings.EqualFold(one, "ProcessPartial") {
			err = fmt.Errorf("is %.20q; only ProcessPartial is supported: a longer answer is looked at as far as the limit", one)
		}
	case "secrequestbodyjsondepthlimit":
		s.RequestBodyJSON, err = number(one, 1, 10_000)
	case "secargumentslimit":
		s.ArgumentsLimit, err = number(one, 1, 1_000_000)
	case "secargumentseparator":
		if one != "&" {
			err = fmt.Errorf("is %.20q; only & is supported, which is what browsers and applications use", one)
		}
	case "secresponsebodymimetype":
		if len(args) == 0 {
			return true, fmt.Errorf("names no media type")
		}
		for _, a := range args {
			s.ResponseTypes = append(s.ResponseTypes, strings.ToLower(a))
		}
	case "secresponsebodymimetypesclear":
		s.ResponseTypes = nil
	case "seccomponentsignature":
		if one == "" {
			return true, fmt.Errorf("names nothing")
		}
		s.Components = append(s.Components, one)
	default:
		return false, nil
	}
	return true, err
}

func engineMode(text string) (EngineMode, error) {
	switch strings.ToLower(text) {
	case "on":
		return EngineOn, nil
	case "off":
		return EngineOff, nil
	case "detectiononly":
		return EngineDetects, nil
	}
	return 0, fmt.Errorf("is %.20q; write On, Off or DetectionOnly", text)
}

func onOff(text string) (bool, error) {
	if !oneOf(text, "On", "Off") {
		return false, fmt.Errorf("is %.20q; write On or Off", text)
	}
	return strings.EqualFold(text, "On"), nil
}

func onOffSwitch(text string) (Switch, error) {
	on, err := onOff(text)
	switch {
	case err != nil:
		return Unset, err
	case on:
		return On, nil
	}
	return Off, nil
}

func partial(text string) (bool, error) {
	if !oneOf(text, "Reject", "ProcessPartial") {
		return false, fmt.Errorf("is %.20q; write Reject or ProcessPartial", text)
	}
	return strings.EqualFold(text, "ProcessPartial"), nil
}

// maxSize is the largest limit of a body: 1 GiB.
const maxSize = 1 << 30

func size(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > maxSize {
		return 0, fmt.Errorf("is %.20q; write a number of bytes from 1 to %d", text, maxSize)
	}
	return n, nil
}
