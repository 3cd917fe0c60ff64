package gateway_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// field is one HTTP/2 header field, pseudo or not, in the order it is sent.
type field struct{ name, value string }

// attack2 is one HTTP/2 request, frame by frame. Values hold the same words in braces as attack's, and
// want and seen mean the same; "reset" as an answer is RST_STREAM or GOAWAY. Fields of a GET of /ok by the
// agent that are not given are added; an empty value of a pseudo-header leaves it out.
type attack2 struct {
	name     string
	fields   []field
	body     string
	trailers []field
	want     string
	seen     []string
	also     []string
	sni      string
}

// TestBypassHTTP2 sends requests that only HTTP/2 can carry, and those that become something else when they
// are written down as HTTP/1.1.
func TestBypassHTTP2(t *testing.T) {
	t.Parallel()
	b := startBypass(t)
	attacks := append(pseudoHeaders(), paths2()...)
	attacks = append(attacks, fields2()...)
	attacks = append(attacks, lengths2()...)
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) { b.run2(t, a) })
	}
	enough(t, b, 145)
}

func pseudoHeaders() []attack2 {
	ok := seen("agent GET /ok")
	return []attack2{
		{name: "plain", want: "200", seen: ok},
		{name: "admin", fields: []field{{":path", "/admin"}}, want: "403", seen: nothing},
		{name: "nobody", fields: []field{{"cookie", ""}}, want: "401", seen: nothing},
		{name: "two methods", fields: []field{{":method", "GET"}, {":method", "POST"}}, want: "reset", seen: nothing},
		{name: "two paths", fields: []field{{":path", "/ok"}, {":path", "/admin"}}, want: "reset", seen: nothing},
		{name: "two authorities", fields: []field{{":authority", "{host}"}, {":authority", "{other}"}}, want: "reset", seen: nothing},
		{name: "two schemes", fields: []field{{":scheme", "https"}, {":scheme", "http"}}, want: "reset", seen: nothing},
		{name: "no method", fields: []field{{":method", ""}}, want: "reset", seen: nothing},
		{name: "no path", fields: []field{{":path", ""}}, want: "reset", seen: nothing},
		{name: "no scheme", fields: []field{{":scheme", ""}}, want: "reset", seen: nothing},
		{name: "no authority", fields: []field{{":authority", ""}}, want: "400|421", seen: nothing},
		{name: "host for authority", fields: []field{{":authority", ""}, {"host", "{host}"}}, want: "200", seen: ok},
		{name: "host beside authority, the same", fields: []field{{"host", "{host}"}}, want: "200", seen: ok},
		{name: "host beside authority, another", fields: []field{{"host", "{other}"}}, want: "400", seen: nothing},
		{name: "host beside authority, twice", fields: []field{{"host", "{host}"}, {"host", "{other}"}}, want: "400", seen: nothing},
		{name: "pseudo-header behind", fields: []field{{"x", "y"}, {":path", "/admin"}}, want: "reset", seen: nothing},
		{name: "unknown pseudo-header", fields: []field{{":user", "admin"}}, want: "reset", seen: nothing},
		{name: "answer's pseudo-header", fields: []field{{":status", "200"}}, want: "reset", seen: nothing},
		{name: "extended CONNECT", fields: []field{{":method", "CONNECT"}, {":protocol", "websocket"}}, want: "reset", seen: nothing},
		{name: "CONNECT", fields: []field{{":method", "CONNECT"}, {":path", ""}, {":scheme", ""}}, want: "400|reset", seen: nothing},
		{name: "CONNECT with a path", fields: []field{{":method", "CONNECT"}}, want: "reset", seen: nothing},
		// net/http forgets the TLS state for it, and with that the server name.
		{name: "scheme http", fields: []field{{":scheme", "http"}}, want: "200", seen: ok, also: []string{"X-Forwarded-Proto=https"}},
		{name: "scheme http to pass the server name", fields: []field{{":scheme", "http"}, {":authority", "{other}"}}, want: "421", seen: nothing},
		{name: "scheme that is none", fields: []field{{":scheme", "ftp"}}, want: "reset", seen: nothing},
		{name: "scheme with a request in it", fields: []field{{":scheme", "https://{host}/admin?"}}, want: "reset", seen: nothing},
		{name: "authority of another site", fields: []field{{":authority", "{other}"}}, want: "421", seen: nothing},
		{name: "authority unknown", fields: []field{{":authority", "evil.example"}}, want: "421", seen: nothing},
		{name: "authority with a user", fields: []field{{":authority", "x@help.localhost"}}, want: "400|reset", seen: nothing},
		{name: "authority with a path", fields: []field{{":authority", "help.localhost/admin"}}, want: "400|reset", seen: nothing},
		{name: "authority with a space", fields: []field{{":authority", "help.localhost x"}}, want: "400|reset", seen: nothing},
		{name: "authority with a line", fields: []field{{":authority", "help.localhost\r\nX-Remote-User: spoofed"}}, want: "reset", seen: nothing},
		{name: "authority in upper case", fields: []field{{":authority", "HELP.LOCALHOST"}}, want: "200", seen: ok, also: []string{"Host=help.localhost"}},
		{name: "server name of another site", sni: "other.localhost", want: "421", seen: nothing},
		{name: "method in lower case", fields: []field{{":method", "get"}}, want: "400", seen: nothing},
		{name: "method TRACE", fields: []field{{":method", "TRACE"}}, want: "400", seen: nothing},
		{name: "method PRI", fields: []field{{":method", "PRI"}}, want: "400", seen: nothing},
		{name: "method with a request in it", fields: []field{{":method", "GET /admin HTTP/1.1"}}, want: "400|reset", seen: nothing},
		{name: "method with lines", fields: []field{{":method", "GET /admin HTTP/1.1\r\nHost: x\r\n\r\nGET"}}, want: "reset", seen: nothing},
		{name: "method with a space", fields: []field{{":method", "GET "}}, want: "400|reset", seen: nothing},
		{name: "method not ASCII", fields: []field{{":method", "G\xc3\x89T"}}, want: "400|reset", seen: nothing},
		{name: "OPTIONS *", fields: []field{{":method", "OPTIONS"}, {":path", "*"}}, want: "400", seen: nothing},
	}
}

func paths2() []attack2 {
	var attacks []attack2
	for _, path := range []string{"/a b", "/ok HTTP/1.1", "/ok HTTP/1.1\r\nX-Remote-User: spoofed\r\nX: ", "/ok\r\n\r\nGET /admin HTTP/1.1", "/ok\n", "/ok\x00", "/ok\t", "/admin#/static", "/ok#",
		"/static/../admin", "/static/%2e%2e/admin", "/a%2fb", `/a\b`, "/a;b", "/a%252fb", "/a%00", "/caf\xc3\xa9", "/\x80", "/a%zz", "/a%", "https://{host}/ok", "https://{other}/ok", "http://{host}/ok", "//{other}/%2e%2e/x",
		"ok", "admin", "*", "?x", "../admin", "@evil.example/", ":80/", ".evil.example/", "/ok?a b", "/ok?\x7f", "/ok?a#b", "/ok?\xff"} {
		attacks = append(attacks, attack2{name: "path " + path, fields: []field{{":path", path}}, want: "400|reset", seen: nothing})
	}
	for path, arrives := range map[string]string{"/%6fk": "/ok", "/ok?a=%0d%0a;b": "/ok?a=%0d%0a;b", "/caf%c3%a9": "/caf%C3%A9"} {
		attacks = append(attacks, attack2{name: "path passes " + path, fields: []field{{":path", path}}, want: "200", seen: seen("agent GET " + arrives)})
	}
	for _, path := range []string{"/ADMIN", "/%61dmin", "/admin%3Fx", "/Data/x"} {
		attacks = append(attacks, attack2{name: "path denied " + path, fields: []field{{":path", path}}, want: "403", seen: nothing})
	}
	return append(attacks, attack2{name: "path collapsed", fields: []field{{":path", "//evil.example"}}, want: "308", seen: nothing, also: []string{"location=/evil.example"}})
}

func fields2() []attack2 {
	ok := seen("agent GET /ok")
	var attacks []attack2
	for _, name := range []string{"x-remote-user", "x_remote_user", "x-desk_secret", "x-desk-roles", "remote-email", "x-forwarded-for", "forwarded", "x-real-ip", "x-original-url", "x-doorward-user", "proxy", "x.remote.user", "x--remote-user", "ssl_client_s_dn"} {
		attacks = append(attacks, attack2{name: "spoofed " + name, fields: []field{{name, "spoofed"}}, want: "200", seen: ok})
	}
	for name, f := range map[string]field{
		"name in upper case":            {"X-Remote-User", "spoofed"},
		"name with a space":             {"x-remote-user ", "spoofed"},
		"name with a colon":             {"x-remote-user: spoofed\r\nx", "y"},
		"name with a colon at its end":  {"x-remote-user:", "spoofed"},
		"name with lines":               {"x\r\nx-remote-user", "spoofed"},
		"name with a NUL":               {"x-remote-user\x00", "spoofed"},
		"name not ASCII":                {"x-r\xc3\xa9mote-user", "spoofed"},
		"value with lines":              {"x-note", "a\r\nX-Remote-User: spoofed"},
		"value with a line feed":        {"x-note", "a\nX-Remote-User: spoofed"},
		"value with a carriage return":  {"x-note", "a\rX-Remote-User: spoofed"},
		"value with a second request":   {"x-note", "a\r\n\r\nGET /admin HTTP/1.1\r\nHost: {host}\r\n\r\n"},
		"value with a NUL":              {"x-note", "a\x00b"},
		"transfer-encoding":             {"transfer-encoding", "chunked"},
		"transfer-encoding in pieces":   {"transfer-encoding", "identity, chunked"},
		"connection":                    {"connection", "x-remote-user"},
		"connection close":              {"connection", "close"},
		"keep-alive":                    {"keep-alive", "timeout=5"},
		"proxy-connection":              {"proxy-connection", "keep-alive"},
		"upgrade":                       {"upgrade", "websocket"},
		"upgrade to HTTP/1.1":           {"upgrade", "HTTP/1.1"},
		"te other than trailers":        {"te", "chunked"},
		"name with a line and a method": {"x: y\r\n\r\nget /admin http/1.1\r\nhost", "{host}"},
	} {
		attacks = append(attacks, attack2{name: name, fields: []field{f}, want: "400|reset", seen: nothing})
	}
	return append(attacks,
		attack2{name: "te trailers", fields: []field{{"te", "trailers"}}, want: "200", seen: ok, also: []string{"!Te"}},
		attack2{name: "lookalike of a forbidden name", fields: []field{{"transfer_encoding", "chunked"}, {"http2-settings", "x"}}, want: "200", seen: ok, also: []string{"!transfer_encoding", "!HTTP2-Settings"}},
		attack2{name: "cookies in crumbs", fields: []field{{"cookie", "a=1"}, {"cookie", "__Host-doorward={token}"}, {"cookie", "b=2"}}, want: "200", seen: ok, also: []string{"Cookie=a=1; b=2"}},
		attack2{name: "cookie tossed in crumbs", fields: []field{{"cookie", "__Host-doorward=x"}, {"cookie", "__Host-doorward={token}"}}, want: "401", seen: nothing},
		attack2{name: "cookie cut across crumbs", fields: []field{{"cookie", "__Host-door"}, {"cookie", "ward={token}"}}, want: "401", seen: nothing},
		attack2{name: "cookie with a quote across crumbs", fields: []field{{"cookie", `a="x`}, {"cookie", "__Host-doorward={token}"}, {"cookie", `b=y"`}}, want: "200", seen: ok, also: []string{`Cookie=a="x; b=y"`}},
		attack2{name: "Basic", fields: []field{{"authorization", "Basic x"}}, want: "200", seen: ok, also: []string{"!Authorization"}},
		attack2{name: "two content types", fields: []field{{"content-type", "a/b"}, {"content-type", "c/d"}}, want: "400", seen: nothing},
		attack2{name: "parameter", fields: []field{{":path", "/rest?user=root"}}, want: "403", seen: nothing},
		attack2{name: "huge field", fields: []field{{"x-note", strings.Repeat("a", 64<<10)}}, want: "431|reset", seen: nothing},
	)
}

func lengths2() []attack2 {
	post := func(fields ...field) []field { return append([]field{{":method", "POST"}}, fields...) }
	ok := seen("agent POST /ok")
	return []attack2{
		{name: "body without a length", fields: post(), body: hiddenChunk, want: "200", seen: ok, also: []string{"body=" + hiddenChunk}},
		{name: "body with its length", fields: post(field{"content-length", "45"}), body: hiddenChunk, want: "200", seen: ok, also: []string{"body=" + hiddenChunk, "Content-Length=45"}},
		// The request is whole before its surplus is seen; what counts is that the surplus goes nowhere.
		{name: "H2.CL 0", fields: post(field{"content-length", "0"}), body: hiddenChunk, want: "200|400|reset", seen: seen("perhaps agent POST /ok"), also: []string{"body="}},
		{name: "H2.CL short", fields: post(field{"content-length", "5"}), body: hiddenChunk, want: "400|reset", seen: seen("broken")},
		{name: "H2.CL long", fields: post(field{"content-length", "99"}), body: hiddenChunk, want: "400|reset", seen: seen("broken")},
		{name: "H2.CL without a body", fields: post(field{"content-length", "5"}), want: "400|reset", seen: nothing},
		{name: "H2.CL twice", fields: post(field{"content-length", "45"}, field{"content-length", "0"}), body: hiddenChunk, want: "400|reset", seen: nothing},
		{name: "H2.CL twice, the same", fields: post(field{"content-length", "45"}, field{"content-length", "45"}), body: hiddenChunk, want: "400|reset", seen: nothing},
		{name: "H2.CL list", fields: post(field{"content-length", "45, 45"}), body: hiddenChunk, want: "400|reset", seen: nothing},
		{name: "H2.CL signed", fields: post(field{"content-length", "+45"}), body: hiddenChunk, want: "400|reset", seen: nothing},
		{name: "H2.CL word", fields: post(field{"content-length", "x"}), body: hiddenChunk, want: "400|reset", seen: nothing},
		{name: "H2.CL huge", fields: post(field{"content-length", "99999999999999999999"}), body: hiddenChunk, want: "400|reset", seen: nothing},
		{name: "H2.TE", fields: post(field{"transfer-encoding", "chunked"}), body: "0\r\n\r\n" + hiddenChunk, want: "400|reset", seen: nothing},
		{name: "H2.TE lookalike", fields: post(field{"transfer_encoding", "chunked"}), body: "0\r\n\r\n" + hiddenChunk, want: "200", seen: ok, also: []string{"body=0\r\n\r\n" + hiddenChunk}},
		{name: "GET with a body", body: hiddenChunk, want: "200", seen: seen("agent GET /ok"), also: []string{"body=" + hiddenChunk}},
		{name: "identity in trailers", fields: post(field{"trailer", "x-remote-user"}), body: "hello", trailers: []field{{"x-remote-user", "spoofed"}}, want: "200", seen: ok, also: []string{"body=hello", "!Trailer"}},
		{name: "trailers that nobody announced", fields: post(), body: "hello", trailers: []field{{"x-desk-secret", "spoofed"}}, want: "200", seen: ok, also: []string{"body=hello"}},
		{name: "pseudo-header in trailers", fields: post(), body: "hello", trailers: []field{{":path", "/admin"}}, want: "400|reset", seen: seen("broken")},
		{name: "refused with a body", fields: post(field{":path", "/admin"}), body: hiddenChunk, want: "403", seen: nothing},
	}
}

// complete adds what is not given, pseudo-headers first, and leaves out what is given empty.
func (a attack2) complete() []field {
	given := make(map[string]bool)
	for _, f := range a.fields {
		given[f.name] = true
	}
	var all []field
	for _, f := range []field{{":method", "GET"}, {":scheme", "https"}, {":authority", "{host}"}, {":path", "/ok"}} {
		if !given[f.name] || strings.HasPrefix(a.name, "pseudo-header behind") && f.name == ":path" {
			all = append(all, f)
		}
	}
	if strings.HasPrefix(a.name, "pseudo-header behind") {
		return append(append(all, a.fields...), field{"cookie", "__Host-doorward={token}"})
	}
	for _, pseudo := range []bool{true, false} {
		for _, f := range a.fields {
			if strings.HasPrefix(f.name, ":") == pseudo && f.value != "" {
				all = append(all, f)
			}
		}
	}
	if !given["cookie"] {
		all = append(all, field{"cookie", "__Host-doorward={token}"})
	}
	return all
}

func (b *bypass) encode(t *testing.T, fields []field) []byte {
	t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		must(t, encoder.WriteField(hpack.HeaderField{Name: b.words.Replace(f.name), Value: b.words.Replace(f.value)}))
	}
	return block.Bytes()
}

// run2 carries out one attack over HTTP/2.
func (b *bypass) run2(t *testing.T, a attack2) {
	t.Helper()
	b.count++
	b.up.take()
	name := a.sni
	if name == "" {
		name = "help.localhost"
	}
	conn, err := tls.Dial("tcp", b.address("https"), &tls.Config{RootCAs: b.roots, ServerName: name, NextProtos: []string{"h2"}})
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, http2.ClientPreface)
	must(t, err)
	framer := http2.NewFramer(conn, conn)
	framer.AllowIllegalWrites = true
	must(t, framer.WriteSettings())
	b.sendFrames(t, framer, a)
	answers := []answer{readStream(t, framer)}
	conn.Close()
	b.up.waitQuiet(t)
	b.judge(t, attack{name: a.name, want: a.want, seen: a.seen, also: a.also}, answers)
}

// sendFrames ignores write errors: the server may be gone before all is sent.
func (b *bypass) sendFrames(t *testing.T, framer *http2.Framer, a attack2) {
	t.Helper()
	const stream = 1
	block := b.encode(t, a.complete())
	const most = 16 << 10
	first := block[:min(len(block), most)]
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndHeaders: len(first) == len(block), EndStream: a.body == ""})
	for block = block[len(first):]; len(block) > 0; {
		part := block[:min(len(block), most)]
		block = block[len(part):]
		_ = framer.WriteContinuation(stream, len(block) == 0, part)
	}
	if a.body != "" {
		_ = framer.WriteData(stream, len(a.trailers) == 0, []byte(b.words.Replace(a.body)))
	}
	if len(a.trailers) > 0 {
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b.encode(t, a.trailers), EndHeaders: true, EndStream: true})
	}
}

// readStream reads until the stream has its answer, or is reset, or the connection ends.
func readStream(t *testing.T, framer *http2.Framer) answer {
	t.Helper()
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	got := answer{}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			if errors.Is(err, io.EOF) || strings.Contains(err.Error(), "reset") || strings.Contains(err.Error(), "closed") {
				return answer{status: "reset"}
			}
			t.Fatalf("read frame: %v", err)
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			got = answer{status: f.PseudoValue("status"), header: make(map[string][]string)}
			for _, h := range f.RegularFields() {
				got.header.Add(h.Name, h.Value)
			}
			got.bare = got.header.Get("X-Request-Id") == "" && got.status >= "400"
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			if got.status != "" {
				return got
			}
			return answer{status: "reset"}
		}
		if frame.Header().StreamID == 1 && frame.Header().Flags.Has(http2.FlagDataEndStream) && (frame.Header().Type == http2.FrameData || frame.Header().Type == http2.FrameHeaders) {
			return got
		}
	}
}
