package waf_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/doorward/doorward/gateway/waf"
	"github.com/doorward/doorward/racetest"
)

// entry is one text of the corpus and where it is put.
type entry struct {
	class, place, coding, language string
	text                           string
	line                           int
	file                           string
}

func (e entry) String() string {
	return fmt.Sprintf("%s:%d %s %s %s: %.300q", e.file, e.line, e.class, e.place, e.coding, e.text)
}

// corpus reads one file of testdata/corpus.
func corpus(t testing.TB, file, language string) []entry {
	t.Helper()
	text, err := os.ReadFile("testdata/corpus/" + file + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []entry
	at := entry{language: language, file: file}
	seen := map[entry]int{}
	for i, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		if strings.HasPrefix(line, "# ") {
			continue
		}
		if head, ok := strings.CutPrefix(line, "@ "); ok {
			words := strings.Fields(head)
			if len(words) == 4 {
				at.language, words = words[3], words[:3]
			}
			if len(words) != 3 {
				t.Fatalf("%s:%d: %q: write class, place, coding and perhaps a language", file, i+1, line)
			}
			at.class, at.place, at.coding = words[0], words[1], words[2]
			continue
		}
		e := at
		e.text = strings.NewReplacer("⏎", "\n", "␍", "\r").Replace(line)
		if n := seen[e]; n > 0 || strings.TrimSpace(e.text) == "" {
			t.Errorf("%s:%d: an empty line, or the same as line %d", file, i+1, n)
		}
		seen[e] = i + 1
		e.line = i + 1
		all = append(all, e)
	}
	return all
}

// harmless is what people write, in five languages.
func harmless(t testing.TB) []entry {
	var all []entry
	for _, language := range []string{"en", "de", "fr", "es", "it"} {
		all = append(all, corpus(t, "harmless-"+language, language)...)
	}
	return append(all, corpus(t, "second-harmless", "")...)
}

// coded writes a text in a coding.
func coded(t testing.TB, text, coding string) string {
	switch coding {
	case "plain", "unicode":
		return text
	case "url2":
		return url.QueryEscape(text)
	case "url3":
		return url.QueryEscape(url.QueryEscape(text))
	case "base64":
		return base64.StdEncoding.EncodeToString([]byte(text))
	case "base64url":
		return base64.RawURLEncoding.EncodeToString([]byte(text))
	case "hex":
		return hex.EncodeToString([]byte(text))
	case "json":
		return `{"page":3,"filter":{"text":` + quote(text) + `},"sort":["name"]}`
	case "xml":
		return `<filter><page>3</page><text>` + escapeXML(text) + `</text></filter>`
	case "mixed":
		out := []rune(text)
		for i := range out {
			if i%2 == 0 {
				out[i] = unicode.ToUpper(out[i])
			}
		}
		return string(out)
	}
	t.Fatalf("there is no coding %q", coding)
	return ""
}

func quote(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string
	return strings.TrimSpace(b.String())
}

func escapeXML(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // to memory
	return b.String()
}

// escapePath escapes what cannot stand in a request's line.
func escapePath(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("<>\"`{}|\\^", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// request is a browser's request with the text in its place.
func request(t testing.TB, e entry) *http.Request {
	text := coded(t, e.text, e.coding)
	h := http.Header{"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		"Accept":          {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
		"Accept-Language": {"en-US,en;q=0.5"}, "Accept-Encoding": {"gzip, deflate"}, "Cookie": {"sid=7f3a91c2; theme=light"}}
	method, uri, kind, body := http.MethodGet, "/", "", ""
	place, argument, _ := strings.Cut(e.place, ":")
	switch place {
	case "query":
		uri = "/find?page=2&q=" + url.QueryEscape(text)
	case "name":
		uri = "/find?page=2&" + url.QueryEscape(text) + "=1"
	case "path":
		uri = escapePath(text)
	case "method":
		method = text
	case "header":
		h[argument] = []string{text}
	case "cookie":
		h.Set("Cookie", "sid=7f3a91c2; pref="+text)
	case "form":
		kind, body = "application/x-www-form-urlencoded", "subject=Printer&text="+url.QueryEscape(text)+"&send=1"
	case "json":
		kind, body = "application/json", `{"subject":"Printer","text":`+quoteAs(text, e.coding)+`,"tags":["a"]}`
	case "xml":
		kind, body = "text/xml", `<?xml version="1.0"?><ticket><text>`+escapeXMLUnless(text)+`</text></ticket>`
	case "multipart", "filename":
		kind, body = parts(place, text)
	case "body":
		kind, body = argument, text
	default:
		t.Fatalf("there is no place %q", e.place)
	}
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		u = &url.URL{Path: "/"} // the rules are told the target as it was sent
	}
	r := &http.Request{Method: method, URL: u, RequestURI: uri, Proto: "HTTP/1.1", Host: "desk.example", Header: h, Body: http.NoBody}
	if kind != "" {
		r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader(body)), int64(len(body))
		h.Set("Content-Type", kind)
	}
	return r
}

func quoteAs(text, coding string) string {
	if coding != "unicode" {
		return quote(text)
	}
	var b strings.Builder
	for _, c := range text {
		fmt.Fprintf(&b, `\u%04x`, c)
	}
	return `"` + b.String() + `"`
}

// escapeXMLUnless leaves a text alone that is written in XML already.
func escapeXMLUnless(text string) string {
	if strings.HasPrefix(text, "&") || strings.HasPrefix(text, "<![CDATA[") || strings.Contains(text, "&#x") {
		return text
	}
	return escapeXML(text)
}

// parts is a multipart body with the text in a field or as the name of a file.
func parts(place, text string) (kind, body string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	field, name := text, "notes.txt"
	if place == "filename" {
		field, name = "see the file", text
	}
	// Writing to memory does not fail.
	_ = w.WriteField("text", field)
	part, _ := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename="` + name + `"`}, "Content-Type": {"text/plain"}})
	_, _ = io.WriteString(part, "a few words")
	_ = w.Close()
	return w.FormDataContentType(), b.String()
}

// engine makes an engine with one of the rule sets; its sites share the rules.
func engine(t testing.TB, ruleSet string) *waf.Engine {
	t.Helper()
	e, err := waf.NewEngine(ruleSet, 64<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// site makes a site that blocks at the level.
func site(t testing.TB, e *waf.Engine, level int) *waf.Site {
	t.Helper()
	s, err := e.Site(waf.SiteOptions{Mode: waf.Block, Answers: waf.Off, ParanoiaLevel: level, InboundThreshold: 5, OutboundThreshold: 4,
		BodyLimit: 2 << 20, AnswerLimit: 1 << 10})
	if err == nil {
		err = s.Ready()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// judge shows a request to a site: whether it is refused, and by which rules.
func judge(t testing.TB, s *waf.Site, e entry) (refused bool, hits string) {
	t.Helper()
	now := time.Unix(1700000000, 0).UTC()
	r := request(t, e)
	i, verdict, err := s.Inspect(r, waf.Request{ID: "id", Client: netip.MustParseAddr("192.0.2.7"), Server: netip.MustParseAddrPort("192.0.2.1:443"),
		Host: "desk.example", URI: r.RequestURI, Covers: func(string) bool { return false }}, now)
	if err != nil {
		t.Fatalf("%v: %v", e, err)
	}
	if verdict == nil {
		if _, verdict, err = i.Body(r.Body); err != nil {
			t.Fatalf("%v: %v", e, err)
		}
	}
	if report := i.Finish(now, nil); report != nil {
		var all []string
		for _, h := range report.Hits {
			all = append(all, strings.TrimSpace(fmt.Sprintf("%d %s %s", h.Rule, h.Variable, h.View)))
		}
		hits = strings.Join(all, ", ")
	}
	return verdict != nil, hits
}

// rate is a share of a class.
type rate struct{ refused, all int }

// attacks is the corpus of attacks.
func attacks(t testing.TB) []entry {
	return append(corpus(t, "attacks", ""), corpus(t, "second-attacks", "")...)
}

// TestRates measures how many attacks are stopped and how many harmless texts pass, and prints the table of docs/waf-rules.md
// with -v. The texts of the files unseen-… were written after the rules, which are not changed for them.
func TestRates(t *testing.T) {
	bad, good := attacks(t), harmless(t)
	newBad, newGood := corpus(t, "unseen-attacks", ""), corpus(t, "unseen-harmless", "")
	if len(bad) < 500 || len(good) < 1000 {
		t.Errorf("the corpus has %d attacks and %d harmless texts, and must have 500 and 1000", len(bad), len(good))
	}
	t.Logf("%d attacks and %d harmless texts; unseen %d and %d", len(bad), len(good), len(newBad), len(newGood))
	if racetest.On {
		bad, good = eighth(bad), eighth(good)
	}
	plain := entry{place: "query", coding: "plain", text: "printer"}
	engines := map[string]*waf.Engine{waf.CRS: engine(t, waf.CRS), waf.Doorward: engine(t, waf.Doorward)}
	// Floors in percent. Of doorward at level 1 they are what was promised, the others a little below what was measured.
	for _, c := range []struct {
		rules        string
		level        int
		stopped, let float64
	}{
		{waf.CRS, 1, 75, 85}, {waf.CRS, 2, 80, 50}, {waf.Doorward, 1, 90, 99}, {waf.Doorward, 2, 95, 50},
	} {
		s := site(t, engines[c.rules], c.level)
		if refused, hits := judge(t, s, plain); refused {
			t.Fatalf("%s at level %d refuses a word: %s", c.rules, c.level, hits)
		}
		of := func(e entry) string { return e.class }
		tell := func(e entry, refused bool, hits string) {
			if attack := e.language == ""; attack != refused {
				t.Logf("%s %d errs: %v (%s)", c.rules, c.level, e, hits)
			}
		}
		old, byClass := measure(t, s, bad, of, tell)
		unseen, byNewClass := measure(t, s, newBad, of, tell)
		oldGood, byLanguage := measure(t, s, good, func(e entry) string { return e.language }, tell)
		unseenGood, byNewLanguage := measure(t, s, newGood, func(e entry) string { return e.language }, tell)
		stopped, let := percent(old), 100-percent(oldGood)
		t.Logf("| `%s` | %d | %.1f %% | %.1f %% | %.1f %% | %.1f %% |", c.rules, c.level, stopped, let, percent(unseen), 100-percent(unseenGood))
		t.Logf("%s %d stops %s; of the unseen %s", c.rules, c.level, list(byClass), list(byNewClass))
		t.Logf("%s %d refuses of harmless ones %s; of the unseen %s", c.rules, c.level, list(byLanguage), list(byNewLanguage))
		if !racetest.On && (stopped < c.stopped || let < c.let) {
			t.Errorf("%s at level %d: %.1f %% of attacks are stopped and %.1f %% of harmless texts pass; want %v and %v", c.rules, c.level,
				stopped, let, c.stopped, c.let)
		}
	}
}

// eighth is each eighth entry.
func eighth(all []entry) []entry {
	var some []entry
	for i := 0; i < len(all); i += 8 {
		some = append(some, all[i])
	}
	return some
}

func measure(t *testing.T, s *waf.Site, all []entry, group func(entry) string, tell func(entry, bool, string)) (rate, map[string]rate) {
	var sum rate
	groups := map[string]rate{}
	for _, e := range all {
		refused, hits := judge(t, s, e)
		tell(e, refused, hits)
		g := groups[group(e)]
		g.all++
		sum.all++
		if refused {
			g.refused++
			sum.refused++
		}
		groups[group(e)] = g
	}
	return sum, groups
}

func percent(r rate) float64 { return 100 * float64(r.refused) / float64(max(1, r.all)) }

func list(groups map[string]rate) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		fmt.Fprintf(&b, "%s %d/%d ", name, groups[name].refused, groups[name].all)
	}
	return b.String()
}

// TestPaddedAttacks puts the attacks into sentences: what is narrowed for the sake of prose must not open a way for them.
func TestPaddedAttacks(t *testing.T) {
	published, own := site(t, engine(t, waf.CRS), 1), site(t, engine(t, waf.Doorward), 1)
	var before, after rate
	bad := attacks(t)
	if racetest.On {
		bad = eighth(bad)
	}
	for _, e := range bad {
		if e.place != "query" && e.place != "form" && e.place != "json" {
			continue
		}
		e.text = "Dear all, please have a look at this: " + e.text + " which I found today. Thanks, Ann"
		was, _ := judge(t, published, e)
		is, hits := judge(t, own, e)
		before.all, after.all = before.all+1, after.all+1
		if was {
			before.refused++
		}
		if is {
			after.refused++
		}
		if was && !is {
			t.Logf("passes in a sentence: %v (%s)", e, hits)
			// A file's name or an address is no attack any more in a sentence: nothing opens it.
			if e.class != "lfi" && e.class != "rfi" && e.class != "ssrf" {
				t.Errorf("the published rules stop it: %v", e)
			}
		}
	}
	t.Logf("in sentences the published rules stop %.1f %% of %d, Doorward's %.1f %%", percent(before), before.all, percent(after))
	if percent(after) < percent(before) {
		t.Errorf("Doorward's rules stop fewer attacks in sentences than the published ones: %.1f %% of %.1f %%", percent(after), percent(before))
	}
}
