package waf

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/seclang"
	"github.com/doorward/doorward/seclang/syntax"
)

// Report is what the rules found in one request and its answer.
type Report struct {
	Hits     []Hit
	More     int // hits that are not in Hits
	Inbound  int // the anomaly score of the request
	Outbound int // and of the answer
	// Refused is the verdict that was given; nil when there was none.
	Refused *Verdict
	// Would is the rule that would have refused, had the site not only told.
	Would int
	// Exceeded is a limit that the request's body went beyond; nil when it did not.
	Exceeded *Exceeded
	// Fault is what kept the engine from judging; nil when nothing did. Closed tells that the request or the answer was not let
	// through for it.
	Fault  *Fault
	Closed bool
}

// Found tells whether rules found something.
func (r *Report) Found() bool { return len(r.Hits) > 0 || r.Refused != nil || r.Would != 0 }

// Hit is a rule that matched, and a value at which it did.
type Hit struct {
	Rule     int    `json:"rule"`
	Message  string `json:"message"`
	Variable string `json:"variable"`       // ARGS:q
	View     string `json:"view,omitempty"` // how the value was decoded once more: base64 json
	Value    string `json:"value"`          // cut, and redacted where it may be a secret
	Severity string `json:"severity,omitempty"`
	Level    int    `json:"level,omitempty"` // of paranoia
	File     string `json:"file"`
	Line     int    `json:"line"`
	Phase    int    `json:"phase"`
}

// Caps of what is told of one request.
const (
	maxHits  = 20
	maxValue = 200 // bytes
)

// Finish runs the last phase and tells what was found and what failed; nil when nothing was. The inspection cannot be used afterwards.
// logged, if any, gets every match that is logged.
func (i *Inspection) Finish(now time.Time, logged func(seclang.Match)) *Report {
	r := &Report{Refused: i.refuse}
	i.conclude(r, now, logged)
	r.Fault, r.Closed, r.Exceeded = i.fault, i.closed, i.exceeded
	i.end(now)
	c := i.site.engine.counters
	if r.Found() {
		c.detected.Add(1)
	}
	if r.Refused != nil {
		c.refused.Add(1)
	}
	if !r.Found() && r.Fault == nil && r.Exceeded == nil {
		return nil
	}
	return r
}

// conclude runs the last phase and gathers what was found.
func (i *Inspection) conclude(r *Report, now time.Time, logged func(seclang.Match)) {
	var late error // the answer is out, or was refused
	defer i.catch(stepEnd, &late)
	if i.tx == nil {
		return
	}
	i.tx.Finish(now)
	for _, m := range i.tx.Matches() {
		if m.Rule.Log != syntax.On {
			continue
		}
		if logged != nil {
			logged(m)
		}
		if verdicts(m.Rule.ID) {
			continue
		}
		r.add(m, i.reveals)
	}
	r.Inbound, r.Outbound = i.score("blocking_inbound_anomaly_score"), i.score("blocking_outbound_anomaly_score")
	if d := i.tx.Detected(); d != nil {
		r.Would = d.Rule
	} else if stop := i.tx.Interruption(); stop != nil && i.refuse == nil {
		r.Would = stop.Rule
	}
	i.site.engine.counters.drop(i.tx.Dropped)
}

// end gives back what the inspection holds, at once or when the plain way has judged the request too.
func (i *Inspection) end(now time.Time) {
	held, tx, sample := i.held, i.tx, i.sample
	i.held, i.tx, i.sample, i.body = 0, nil, nil, ""
	release := func() {
		if tx != nil {
			tx.Close()
		}
		if held > 0 {
			i.site.engine.memory.give(i.client, held)
		}
	}
	if sample == nil {
		release()
		return
	}
	i.site.compare(sample, tx, i.started, now, release)
}

// verdicts tells whether a rule of the Core Rule Set adds up scores: it says how much, and not what was found.
func verdicts(id int) bool {
	return id >= 949000 && id < 950000 || id >= 959000 && id < 960000 || id >= 980000 && id < 981000
}

func (i *Inspection) score(name string) int {
	text, _ := i.tx.Variable(name)
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// reveals tells whether a value that has no name of its own came out of a text in which secrets stand.
func (i *Inspection) reveals(f seclang.Found) bool {
	switch {
	case f.Variable == syntax.XML:
		body := strings.ToLower(i.body)
		return slices.ContainsFunc(secretWords(), func(word string) bool { return strings.Contains(body, word) })
	case f.View != "" && f.Key == "":
		return namesSecret(i.body)
	case f.View != "":
		return slices.ContainsFunc(i.tx.Values(f.Variable, f.Key), namesSecret)
	}
	return false
}

// add makes a hit of each value that the rule matched; of a chain, of those of its last link.
func (r *Report) add(m seclang.Match, reveals func(seclang.Found) bool) {
	h := Hit{Rule: m.Rule.ID, Message: clip(m.Message, maxValue), File: m.Rule.Place.File, Line: m.Rule.Place.Line, Phase: int(m.Rule.Phase),
		Severity: severityName(m.Rule.Severity)}
	for _, tag := range m.Rule.Tags {
		if level, ok := strings.CutPrefix(tag.String(), "paranoia-level/"); ok {
			h.Level, _ = strconv.Atoi(level)
		}
	}
	if len(m.Found) == 0 {
		r.keep(h)
		return
	}
	last := m.Found[len(m.Found)-1].Link
	// A later link may show what an earlier one looked at.
	hide := slices.ContainsFunc(m.Found, func(f seclang.Found) bool { return f.Link < last && (secret(f) || reveals(f)) })
	for _, f := range m.Found {
		if f.Link != last {
			continue
		}
		one := h
		one.View = f.View
		one.Variable, one.Value = clip(f.Name(), maxValue), clip(f.Value, maxValue)
		if hide || secret(f) || reveals(f) {
			one.Value = hidden
		}
		r.keep(one)
	}
}

func (r *Report) keep(h Hit) {
	if len(r.Hits) == maxHits {
		r.More++
		return
	}
	r.Hits = append(r.Hits, h)
}

func severityName(s int) string {
	names := [...]string{"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"}
	if s < 0 || s >= len(names) {
		return ""
	}
	return names[s]
}

// clip cuts a text at a letter's end. The copy lets go of the rest.
func clip(s string, length int) string {
	if len(s) <= length {
		return s
	}
	s = s[:length]
	for i := 0; i < utf8.UTFMax && len(s) > 0 && !utf8.ValidString(s[len(s)-min(len(s), utf8.UTFMax):]); i++ {
		s = s[:len(s)-1]
	}
	return strings.Clone(s) + "…"
}

// hidden stands for what may be a secret.
const hidden = "(not shown)"

// secret tells whether a value must not be shown: it is a whole body or a cookie, in which anything may stand, or it belongs to a
// parameter, or to a query with one, whose name says so, or names a secret itself: the address of the page before, JSON.
func secret(f seclang.Found) bool {
	name := f.Key
	switch f.Variable {
	case syntax.RequestCookies, syntax.RequestBody, syntax.ResponseBody:
		return true
	case syntax.RequestURI, syntax.RequestURIRaw, syntax.RequestLine, syntax.QueryString:
		name = f.Raw
	}
	if namesSecret(f.Raw) {
		return true
	}
	name = strings.ToLower(name)
	return slices.ContainsFunc(secretWords(), func(word string) bool { return strings.Contains(name, word) })
}

// namesSecret tells whether a text gives a secret's name and, behind it, perhaps the secret.
func namesSecret(text string) bool {
	const most = 40 // characters between the word and the sign behind the name: "password_confirmation" :
	lower := strings.ToLower(text)
	for _, word := range []string{"passw", "passphrase", "passcode", "pwd", "secret", "token", "credential", "apikey", "api_key", "api-key", "sessionid", "session_id", "iban"} {
		for rest := lower; ; {
			at := strings.Index(rest, word)
			if at < 0 {
				break
			}
			rest = rest[at+len(word):]
			if i := strings.IndexAny(rest[:min(len(rest), most)], "=:>\n.!?"); i >= 0 && strings.IndexByte("=:>", rest[i]) >= 0 {
				return true
			}
		}
	}
	return false
}

func secretWords() []string {
	return []string{"pass", "pwd", "secret", "token", "auth", "cookie", "session", "sid", "credential", "apikey", "api_key", "api-key", "private",
		"pin", "otp", "card", "cvv", "iban", "ssn"}
}
