package bouncer

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/doorward/doorward/decision"
)

// item is a decision in CrowdSec's form.
type item struct {
	Duration string `json:"duration"` // 3h59m57s; below zero of what is over
	ID       int64  `json:"id"`
	Origin   string `json:"origin"`
	Scenario string `json:"scenario"`
	Scope    string `json:"scope"`
	Type     string `json:"type"`
	UUID     string `json:"uuid"`
	Value    string `json:"value"`
}

// forGood is what stands for no end: the protocol has no word for it.
const forGood = 10 * 365 * 24 * time.Hour

// itemOf writes a decision. over says that it does not stand any more.
func itemOf(d decision.Decision, over bool, now time.Time) item {
	left := forGood
	if !d.Until.IsZero() {
		left = d.Until.Sub(now)
	}
	if over {
		left = min(left, 0)
	} else {
		left = max(left, time.Second)
	}
	i := item{Duration: left.Truncate(time.Second).String(), ID: d.Number, Origin: originOf(d.Origin), Scenario: d.Origin, Type: typeOf(d.Action), UUID: d.ID}
	if i.Origin != "crowdsec" && d.Reason != "" {
		i.Scenario = d.Reason
	}
	switch {
	case d.Target.Kind == decision.Account:
		i.Scope, i.Value = "Username", d.Target.Name
	case d.Target.Kind == decision.Country:
		i.Scope, i.Value = "Country", d.Target.Name
	case d.Target.Prefix.IsSingleIP():
		i.Scope, i.Value = "Ip", d.Target.Prefix.Addr().String()
	default:
		i.Scope, i.Value = "Range", d.Target.Prefix.String()
	}
	return i
}

// originOf is the nearest of the origins that bouncers know and filter by.
func originOf(origin string) string {
	switch {
	case strings.HasPrefix(origin, "admin:"):
		return "cscli"
	case strings.HasPrefix(origin, "import:"):
		return "cscli-import"
	}
	return "crowdsec"
}

func typeOf(a decision.Action) string {
	if a == decision.Challenge {
		return "captcha"
	}
	return string(a)
}

// list writes a JSON array one item at a time, so that a long one needs no memory; an empty one is null, as CrowdSec answers.
type list struct {
	w   *bufio.Writer
	any bool
	err error
}

func newList(w io.Writer) *list { return &list{w: bufio.NewWriterSize(w, 32<<10)} }

func (l *list) text(s string) {
	if l.err == nil {
		_, l.err = l.w.WriteString(s)
	}
}

func (l *list) add(i item) bool {
	text, err := json.Marshal(i)
	if err != nil {
		l.err = err
		return false
	}
	if l.any {
		l.text(",")
	} else {
		l.text("[")
	}
	l.any = true
	l.text(string(text))
	return l.err == nil
}

// end closes the array; another may follow.
func (l *list) end() {
	if l.any {
		l.text("]")
	} else {
		l.text("null")
	}
	l.any = false
}

func (l *list) flush() error {
	if l.err == nil {
		l.err = l.w.Flush()
	}
	return l.err
}

// picks is which decisions a bouncer wants to hear of.
type picks struct{ scopes, origins, containing, without []string }

const maxWords = 64

// words splits a comma-separated parameter.
func words(text string) []string {
	var out []string
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" && len(out) < maxWords {
			out = append(out, word)
		}
	}
	return out
}

func (p picks) wants(i item) bool {
	return (len(p.scopes) == 0 || anyOf(p.scopes, func(s string) bool { return strings.EqualFold(s, i.Scope) })) &&
		(len(p.origins) == 0 || anyOf(p.origins, func(s string) bool { return strings.EqualFold(s, i.Origin) })) &&
		(len(p.containing) == 0 || anyOf(p.containing, func(s string) bool { return contains(i.Scenario, s) })) &&
		!anyOf(p.without, func(s string) bool { return contains(i.Scenario, s) })
}

func contains(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

func anyOf(list []string, is func(string) bool) bool {
	for _, s := range list {
		if is(s) {
			return true
		}
	}
	return false
}
