package seclang

import (
	"errors"
	"html"
	"strconv"
	"strings"

	"github.com/doorward/doorward/seclang/body"
)

// readXML reads an XML body. Elements with the names of HTML's may have an end; to Coraza, and so to the published rules, such a body
// is broken.
func (t *Transaction) readXML(text string, l body.Limits) body.Result {
	r := body.XML(text, l)
	if t.site.views && r.Err != nil && !errorIsLimit(r.Err) {
		if data := body.DataXML(text, l); data.Err == nil || errors.Is(data.Err, body.ErrDepth) {
			return data
		}
	}
	return r
}

// overlong decodes the sequences of bytes that have the form of UTF-8 and are longer than their character needs: C0 BC or E0 80 BC for <.
// They are no UTF-8 (RFC 3629, 3); careless decoders take them.
func overlong(text string) (string, bool) {
	first := strings.IndexFunc(text, func(r rune) bool { return r == '\ufffd' }) // what is no UTF-8 is that
	if first < 0 {
		return "", false
	}
	tail := func(i int) (byte, bool) {
		if i >= len(text) || text[i]&0xc0 != 0x80 {
			return 0, false
		}
		return text[i] & 0x3f, true
	}
	var out []byte
	for i := first; i < len(text); i++ {
		c, long := text[i], 0
		switch second, ok := tail(i + 1); {
		case !ok:
		case c == 0xc0, c == 0xc1:
			c, long = c<<6|second, 1
		case c == 0xe0 && second < 2:
			if third, ok := tail(i + 2); ok {
				c, long = second<<6|third, 2
			}
		}
		if long > 0 && out == nil {
			out = append(make([]byte, 0, len(text)), text[:i]...)
		}
		if out != nil {
			out = append(out, c)
		}
		i += long
	}
	return string(out), out != nil
}

// fromEntities decodes the entities of HTML in a text that has some by number: rules on SQL and commands know none. What editors of web
// pages send is none.
func fromEntities(text string) (string, bool) {
	if !strings.Contains(text, "&#") && !strings.Contains(text, "&apos;") || text[0] == '<' && hypertext(text) {
		return "", false
	}
	value := html.UnescapeString(text)
	return value, value != text
}

// graphQLTexts are the texts in quotes in a query of GraphQL that has arguments, as they are without their escapes (GraphQL 2021, 2.9.4).
func graphQLTexts(text string) []string {
	rest := strings.TrimLeft(text, " \t\r\n")
	if strings.IndexByte(rest, '"') < 0 || !graphQL(rest) {
		return nil
	}
	var all []string
	for len(all) < maxLeaves {
		at := strings.IndexByte(rest, '"')
		if at < 0 {
			break
		}
		rest = rest[at+1:]
		end := 0
		for end < len(rest) && rest[end] != '"' {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(rest) {
			return append(all, rest) // it does not end: what stands there is shown all the same
		}
		value, err := strconv.Unquote(`"` + rest[:end] + `"`)
		if err != nil {
			value = rest[:end]
		}
		if value != "" {
			all = append(all, value)
		}
		rest = rest[end+1:]
	}
	return all
}

// graphQL tells whether a text begins as a query does and has a name and a colon behind a parenthesis.
func graphQL(text string) bool {
	begins := strings.HasPrefix(text, "{")
	for _, word := range []string{"query", "mutation", "subscription", "fragment"} {
		begins = begins || strings.HasPrefix(text, word)
	}
	if !begins {
		return false
	}
	for rest := text; ; {
		at := strings.IndexByte(rest, '(')
		if at < 0 {
			return false
		}
		rest = strings.TrimLeft(rest[at+1:], " \t\r\n$")
		name := strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")
		if len(name) < len(rest) && strings.HasPrefix(strings.TrimLeft(name, " \t\r\n"), ":") {
			return true
		}
	}
}

// addHeaderView shows the value of a header line of which nobody knows what it is for, as applications of their own read them, to the rules
// for parameters. The published rules look at few lines.
func (t *Transaction) addHeaderView(name, low, value string) {
	if !t.site.views || len(value) < 3 || knownHeader(low) || isWord(value) {
		return
	}
	if len(value) > maxViewValue {
		t.Dropped.Views++
		return
	}
	if t.addView(argsGet, pair{key: name, low: low, value: value, view: viewHeader}) {
		t.viewsOf(argsGet, name, low, value, viewHeader, viewDepth)
	}
}

// knownHeader tells whether a line is one of HTTP's own, or of browsers and proxies: its form is known, and what it holds looks like code
// now and then. Rules of our own look at the addresses and hosts that proxies tell.
func knownHeader(low string) bool {
	switch low {
	case "host", "user-agent", "referer", "origin", "connection", "content-length", "content-type", "content-encoding", "content-disposition",
		"content-language", "content-location", "content-md5", "content-range", "digest", "content-digest", "repr-digest", "date", "dnt", "expect", "forwarded", "from",
		"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "keep-alive", "link", "max-forwards", "pragma", "prefer",
		"priority", "range", "te", "trailer", "transfer-encoding", "upgrade", "upgrade-insecure-requests", "via", "warning", "cache-control",
		"cookie2", "dpop", "signature", "signature-input", "traceparent", "tracestate", "baggage", "sentry-trace", "save-data", "width", "viewport-width",
		"x-forwarded-for", "x-real-ip", "client-ip", "true-client-ip", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-client-cert",
		"x-original-url", "x-rewrite-url", "x-client-data", "x-csrf-token", "x-xsrf-token":
		return true
	}
	for _, start := range []string{"accept", "sec-", "access-control-", "proxy-", "if-", "x-ssl-", "ssl-"} {
		if strings.HasPrefix(low, start) {
			return true
		}
	}
	return false
}
