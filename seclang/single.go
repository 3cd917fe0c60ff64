package seclang

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/doorward/doorward/seclang/body"
	"github.com/doorward/doorward/seclang/syntax"
)

// singleValue is the value of a variable that is no collection.
func (t *Transaction) singleValue(v syntax.Variable) string {
	switch v {
	case syntax.ArgsCombinedSize:
		size := 0
		for _, list := range [...]int{argsGet, argsPost} {
			for i := range t.lists[list] {
				if t.lists[list][i].view != "" {
					continue
				}
				size += len(t.lists[list][i].key) + len(t.lists[list][i].value)
			}
		}
		return strconv.Itoa(size)
	case syntax.MatchedVar:
		return t.last.Value
	case syntax.MatchedVarName:
		if !t.hasLast {
			return ""
		}
		return t.last.Name()
	case syntax.HighestSeverity:
		return strconv.Itoa(t.severity)
	case syntax.Time, syntax.TimeDay, syntax.TimeEpoch, syntax.TimeHour, syntax.TimeMin, syntax.TimeMon, syntax.TimeSec,
		syntax.TimeWday, syntax.TimeYear:
		return t.clock(v)
	}
	return t.single[v]
}

// clock is when the transaction began, in the zone of the time that Begin was given.
func (t *Transaction) clock(v syntax.Variable) string {
	switch v {
	case syntax.TimeDay:
		return strconv.Itoa(t.start.Day())
	case syntax.TimeEpoch:
		return strconv.FormatInt(t.start.Unix(), 10)
	case syntax.TimeHour:
		return t.start.Format("15")
	case syntax.TimeMin:
		return t.start.Format("04")
	case syntax.TimeMon:
		return strconv.Itoa(int(t.start.Month()))
	case syntax.TimeSec:
		return t.start.Format("05")
	case syntax.TimeWday:
		return strconv.Itoa(int(t.start.Weekday()))
	case syntax.TimeYear:
		return strconv.Itoa(t.start.Year())
	}
	return t.start.Format("15:04:05")
}

// ruleFields is the collection RULE: the rule that is running.
func (t *Transaction) ruleFields() []pair {
	if t.current == nil {
		return nil
	}
	r := t.currentLink.source
	fields := []pair{{key: "id", value: strconv.Itoa(t.current.source.ID)}, {key: "rev", value: r.Revision},
		{key: "severity", value: ""}, {key: "msg", value: t.expand(&t.currentLink.message)},
		{key: "logdata", value: t.expand(&t.currentLink.logData)}}
	if r.Severity >= 0 {
		fields[2].value = strconv.Itoa(r.Severity)
	}
	for i := range fields {
		fields[i].low = fields[i].key
	}
	return fields
}

// RequestLine says what is asked for: uri as it stands in the request, protocol as "HTTP/1.1".
func (t *Transaction) RequestLine(method, uri, protocol string) {
	t.single[syntax.RequestMethod] = method
	t.single[syntax.RequestProtocol] = protocol
	t.single[syntax.RequestURIRaw] = uri
	t.single[syntax.RequestLine] = method + " " + uri + " " + protocol

	uri, _, _ = strings.Cut(uri, "#")
	path, query, _ := strings.Cut(uri, "?")
	whole := uri
	if u, err := url.ParseRequestURI(uri); err != nil {
		t.single[syntax.URIParseError] = "1"
	} else {
		path, query, whole = u.Path, u.RawQuery, u.String()
	}
	t.single[syntax.RequestURI] = whole
	t.single[syntax.RequestFilename] = path
	t.single[syntax.QueryString] = query
	t.single[syntax.RequestBasename] = path
	if i := strings.LastIndexAny(path, `/\`); i >= 0 && i+1 < len(path) {
		t.single[syntax.RequestBasename] = path[i+1:]
	}
	if query != "" {
		r := body.Query(query, t.limits())
		t.addArguments(argsGet, &r)
		t.noteViews(argsGet, 0, query, &r)
		if r.Flags.Has(body.InvalidEscape) {
			t.single[syntax.UrlencodedError] = "1"
		}
	}
}

func (t *Transaction) limits() body.Limits {
	return body.Limits{Arguments: t.site.arguments, Depth: t.site.depth, Parts: t.site.parts}
}

func (t *Transaction) readCookies(header string) {
	r := body.Cookies(header, t.limits())
	from := len(t.lists[cookies])
	t.addArguments(cookies, &r)
	t.noteViews(cookies, from, header, &r)
}

// addArguments appends pairs to a collection and notes what did not fit.
func (t *Transaction) addArguments(list int, r *body.Result) {
	t.addPairs(list, r.Arguments)
	if r.Truncated {
		t.Dropped.Arguments++
		t.single[syntax.ArgumentsLimitReached] = "1"
	}
}

// Values are the values of one name in a collection, and what they were decoded to once more.
func (t *Transaction) Values(v syntax.Variable, key string) []string {
	var all []string
	for _, one := range t.collect(nil, &target{Target: syntax.Target{Variable: v, Key: key}, low: strings.ToLower(key), slot: -1}) {
		all = append(all, one.value)
	}
	return all
}

func (t *Transaction) addPairs(list int, pairs []body.Pair) {
	for _, p := range pairs {
		t.lists[list] = append(t.lists[list], pair{key: p.Name, low: strings.ToLower(p.Name), value: p.Value})
	}
}
