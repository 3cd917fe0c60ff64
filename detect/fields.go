package detect

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/detect/sigma"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/ingest"
)

// unproven stands before the address of events that somebody else could have written: it groups them apart, and is no address
// that could be decided on.
const unproven = "unproven "

// taxonomy is how the gateway's own fields are called in Sigma's taxonomy of web servers and proxies.
var taxonomy = [...]struct{ ours, theirs string }{
	{"host", "cs-host"}, {"status", "sc-status"}, {"bytes", "sc-bytes"}, {"user_agent", "cs-user-agent"},
}

// fielder writes events as rules see them; docs/watch.md lists the fields.
type fielder struct {
	inside []netip.Prefix
	names  []string // domains, with a point before them
	event  sigma.Event
}

func newFielder(cfg Config) *fielder {
	f := &fielder{inside: cfg.Inside}
	for _, n := range cfg.InsideNames {
		f.names = append(f.names, "."+strings.ToLower(n))
	}
	return f
}

// gateway makes the event of one of Doorward's own. It is valid until the next call.
func (f *fielder) gateway(e *event.Event) *sigma.Event {
	f.event = sigma.Event{Time: e.Time, Ref: e.ID, Fields: f.event.Fields[:0], Text: e.Raw,
		Source: sigma.Logsource{Product: "doorward", Service: string(e.Class)}}
	switch e.Class {
	case event.HTTP:
		f.event.Source.Category, f.event.Source.Service = "webserver", "gateway"
	case event.Authentication:
		f.event.Source.Category, f.event.Source.Service = "authentication", "sign-in"
	case event.Detection:
		f.event.Source.Service = "waf"
	}
	f.common(e)
	for _, field := range e.Fields {
		f.add(field.Key, field.Value)
		for _, t := range taxonomy {
			if t.ours == field.Key && e.Class == event.HTTP {
				f.add(t.theirs, field.Value)
			}
		}
		if field.Key == "target" && e.Class == event.HTTP {
			stem, query := splitTarget(field.Value)
			f.add("cs-uri", field.Value)
			f.add("cs-uri-stem", stem)
			f.add("cs-uri-query", query)
			f.asked(stem, query)
		}
	}
	if e.Class == event.HTTP {
		f.add("cs-method", e.Action)
		if e.User != "" {
			f.add("cs-username", e.User)
		}
		if e.Source.IsValid() {
			f.add("c-ip", e.Source.String())
		}
	}
	return &f.event
}

// parsed makes the event of one that was read from a log. ref names it.
func (f *fielder) parsed(e *ingest.Parsed, ref string) *sigma.Event {
	f.event = sigma.Event{Time: e.Time, Ref: ref, Fields: f.event.Fields[:0], Text: e.Raw,
		Source: sigma.Logsource{Category: e.Logsource.Category, Product: e.Logsource.Product, Service: e.Logsource.Service}}
	f.common(&e.Event)
	stem, query := "", ""
	for _, field := range e.Fields {
		switch field.Key {
		case "user", "src_ip": // common has them
			continue
		case "src_net", "inside": // common alone says them: what an application logs of a client's words must not choose who is banned
			continue
		}
		f.add(field.Key, field.Value)
		switch field.Key {
		case "cs-uri-stem":
			stem = field.Value
		case "cs-uri-query":
			query = field.Value
		}
	}
	if stem != "" {
		if before, after, found := strings.Cut(stem, "?"); found && query == "" {
			stem, query = before, after
		}
		f.asked(stem, query)
	}
	return &f.event
}

// common adds what every event has.
func (f *fielder) common(e *event.Event) {
	f.add("class", string(e.Class))
	f.add("action", e.Action)
	f.add("outcome", string(e.Outcome))
	f.add("severity", e.Severity.String())
	if e.User != "" {
		f.add("user", e.User)
	}
	if e.Site != "" {
		f.add("site", e.Site)
	}
	if !e.Source.IsValid() {
		return
	}
	source := e.Source.Unmap().WithZone("")
	network := decision.ForAddress(source, decision.OneNetwork).Short()
	if forgeable(e) {
		network = unproven + network
	}
	f.add("src_ip", source.String())
	f.add("src_net", network)
	inside := "false"
	if f.isInside(source, fieldOf(e, "host_name")) {
		inside = "true"
	}
	f.add("inside", inside)
}

func (f *fielder) isInside(a netip.Addr, name string) bool {
	for _, p := range f.inside {
		if p.Contains(a) {
			return true
		}
	}
	name = "." + strings.ToLower(strings.TrimSuffix(name, "."))
	for _, domain := range f.names {
		if strings.HasSuffix(name, domain) {
			return true
		}
	}
	return false
}

// asked adds the path and the query as they are meant: an attacker writes the same one in many ways. Where something may stand behind the file that
// is meant, the path without it is a second value of path.
func (f *fielder) asked(stem, query string) {
	path := plainPath(stem)
	f.add("path", path)
	if bare := barePath(path); bare != path {
		f.add("path", bare)
	}
	if query != "" {
		f.add("query", plainText(query))
	}
}

func (f *fielder) add(name, value string) {
	f.event.Fields = append(f.event.Fields, sigma.Field{Name: name, Value: value})
}

// forgeable tells whether somebody else could have written the event's address, whatever else the record says of it.
func forgeable(e *event.Event) bool {
	for _, f := range e.Fields {
		if f.Key == "forgeable" && f.Value == "true" {
			return true
		}
	}
	return false
}

func fieldOf(e *event.Event, key string) string {
	for _, f := range e.Fields {
		if f.Key == key {
			return f.Value
		}
	}
	return ""
}

// splitTarget splits what stands in a request line; a whole URL loses its host.
func splitTarget(target string) (stem, query string) {
	stem, query, _ = strings.Cut(target, "?")
	if _, rest, found := strings.Cut(stem, "://"); found && !strings.HasPrefix(stem, "/") {
		_, path, _ := strings.Cut(rest, "/")
		stem = "/" + path
	}
	return stem, query
}

// plainPath is a path decoded, in small letters, with slashes as they are meant.
func plainPath(stem string) string {
	s := strings.ReplaceAll(plainText(stem), `\`, "/")
	for strings.Contains(s, "//") {
		s = strings.ReplaceAll(s, "//", "/")
	}
	return s
}

// barePath is a plain path without what servers pass over or give to the file as its own: what stands behind a NUL, parameters behind a
// semicolon, what follows a .php file, and slashes, blanks and points at the end.
func barePath(path string) string {
	path, _, _ = strings.Cut(path, "\x00")
	if strings.Contains(path, ";") {
		segments := strings.Split(path, "/")
		for i, s := range segments {
			segments[i], _, _ = strings.Cut(s, ";")
		}
		path = strings.Join(segments, "/")
	}
	if before, _, found := strings.Cut(path, ".php/"); found {
		path = before + ".php"
	}
	return strings.TrimRight(path, "/ .")
}

// maxDecoded is how often a text is decoded: some servers do it twice, and no honest one more often.
const maxDecoded = 3

func plainText(s string) string {
	for range maxDecoded {
		if !strings.Contains(s, "%") {
			break
		}
		decoded, err := url.PathUnescape(s)
		if err != nil {
			decoded = lenientUnescape(s)
		}
		if decoded == s {
			break
		}
		s = decoded
	}
	return strings.ToLower(s)
}

// lenientUnescape decodes what can be decoded and leaves the rest.
func lenientUnescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
