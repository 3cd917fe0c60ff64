package seclang_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mutations is how many are compared by default: each takes Coraza 10 ms and more, and the continuous tests have minutes.
// With DOORWARD_FULL they are the 100,000 that are asked for; DOORWARD_MUTATIONS is another number, and
// DOORWARD_MUTATIONS_FROM the first of them.
const mutations = 1500

func TestSameRulesAsCorazaForMutations(t *testing.T) {
	count, from := mutations, 0
	if full() {
		count = 100_000
	}
	if n, err := strconv.Atoi(os.Getenv("DOORWARD_MUTATIONS")); err == nil {
		count = n
	}
	if n, err := strconv.Atoi(os.Getenv("DOORWARD_MUTATIONS_FROM")); err == nil {
		from = n
	}
	all := inputs(t)
	for n, s := range []setup{{1, false, false}, {1, true, false}, {4, false, false}, {4, true, false}} {
		t.Run(s.String(), func(t *testing.T) {
			e := newEngines(t, s)
			seen := 0
			for i := from + n; i < from+count; i += 4 {
				m := newMutator(i, all)
				r := m.request()
				seen++
				e.compare(t, fmt.Sprintf("mutation %d of %s", i, m.name), &r)
			}
			e.report(t, seen)
		})
	}
}

// mutator changes a request in ways that follow from its number alone.
type mutator struct {
	random *rand.Rand
	all    []input
	name   string
}

func newMutator(n int, all []input) *mutator {
	return &mutator{random: rand.New(rand.NewPCG(1, uint64(n))), all: all}
}

// request is an input with one to four changes.
func (m *mutator) request() request {
	in := &m.all[m.random.IntN(len(m.all))]
	m.name = in.name
	r := in.request
	r.headers = slices.Clone(r.headers)
	r.answer = slices.Clone(r.answer)
	for range 1 + m.random.IntN(4) {
		m.change(&r)
	}
	return r
}

func (m *mutator) change(r *request) {
	switch n := m.random.IntN(20); {
	case n < 8:
		r.uri = m.query(r.uri)
	case n < 14 && r.body != "":
		r.body = m.text(r.body)
	case n < 17 && len(r.headers) > 0:
		h := &r.headers[m.random.IntN(len(r.headers))]
		h.value = m.text(h.value)
	case n == 17:
		names := []string{"Cookie", "Referer", "User-Agent", "X-Forwarded-For", "X-Filename", "Range", "Content-Encoding"}
		r.headers = append(r.headers, header{names[m.random.IntN(len(names))], m.payload()})
	case n == 18 && r.answerBody != "":
		r.answerBody = m.text(r.answerBody)
	case n == 19 && r.body != "":
		kinds := []string{"application/json", "text/xml", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"}
		for i := range r.headers {
			if strings.EqualFold(r.headers[i].name, "content-type") {
				r.headers[i].value = kinds[m.random.IntN(len(kinds))]
			}
		}
	}
}

// query changes a URI behind its question mark, which stays printable as servers want it.
func (m *mutator) query(uri string) string {
	path, query, found := strings.Cut(uri, "?")
	if !found || m.random.IntN(4) == 0 {
		query += "&" + url.QueryEscape(m.word()) + "=" + url.QueryEscape(m.payload())
		return path + "?" + strings.TrimPrefix(query, "&")
	}
	changed := m.text(query)
	var b strings.Builder
	for i := 0; i < len(changed); i++ {
		if c := changed[i]; c <= ' ' || c >= 0x7f || c == '#' {
			fmt.Fprintf(&b, "%%%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return path + "?" + b.String()
}

// payload is a value of another input: its query, its body or a header.
func (m *mutator) payload() string {
	r := &m.all[m.random.IntN(len(m.all))].request
	if _, query, ok := strings.Cut(r.uri, "?"); ok && m.random.IntN(3) > 0 {
		if _, value, ok := strings.Cut(query, "="); ok {
			query = value
		}
		if plain, err := url.QueryUnescape(query); err == nil {
			return plain
		}
		return query
	}
	if r.body != "" && len(r.body) < 2000 {
		return r.body
	}
	if len(r.headers) > 0 {
		return r.headers[m.random.IntN(len(r.headers))].value
	}
	return m.word()
}

func (m *mutator) word() string {
	words := []string{"q", "id", "user", "a[b]", "x.y", "_method", "file", "ünï", "<b>", "select", "..", "$(x)", "'", "name", "1"}
	return words[m.random.IntN(len(words))]
}

// text changes one text at one place.
func (m *mutator) text(s string) string {
	at := 0
	if len(s) > 0 {
		at = m.random.IntN(len(s))
	}
	pieces := []string{"'", "\"", "<", ">", "%27", "%00", "%u0027", "\\", "/*!*/", "--", ";", "|", "`", "\n", "\r\n", "\t", " ", "&", "=", "+",
		"%", "%2", "\x00", "\xff", "\xc3\xa4", "ſ", "K", "&lt;", "&#x27;", "..", "/", "(", ")", "${", "{{", "\\x27", "\\u0027", "/**/", "A", "z",
		"0", "aWQ=", "union", "eval(", "javascript:"}
	switch m.random.IntN(9) {
	case 0, 1, 2:
		return s[:at] + pieces[m.random.IntN(len(pieces))] + s[at:]
	case 3:
		end := min(len(s), at+1+m.random.IntN(8))
		return s[:at] + s[end:]
	case 4:
		end := min(len(s), at+1+m.random.IntN(20))
		return s[:at] + flip(s[at:end]) + s[end:]
	case 5:
		end := min(len(s), at+1+m.random.IntN(6))
		return s[:at] + escapeAll(s[at:end]) + s[end:]
	case 6:
		end := min(len(s), at+1+m.random.IntN(30))
		return s[:end] + s[at:]
	case 7:
		return s[:at] + m.payload() + s[at:]
	}
	if len(s) == 0 {
		return s
	}
	return s[:at] + string([]byte{byte(m.random.IntN(256))}) + s[at+1:]
}

// flip turns the case of ASCII letters.
func flip(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c|0x20 && c|0x20 <= 'z' {
			b[i] = c ^ 0x20
		}
	}
	return string(b)
}

func escapeAll(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}
