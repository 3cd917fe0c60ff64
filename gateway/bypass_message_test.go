package gateway_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestBypassMessage attacks where one request ends and the next begins. A second request that hides in the
// first must either be the first one's body, to the last byte, or be judged like any other.
func TestBypassMessage(t *testing.T) {
	t.Parallel()
	b := startBypass(t)
	attacks := append(twoFramings(), transferEncodings()...)
	attacks = append(attacks, contentLengths()...)
	attacks = append(attacks, chunks()...)
	attacks = append(attacks, lines()...)
	attacks = append(attacks, pipelines()...)
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) { b.run(t, a) })
	}
	enough(t, b, 140)
}

// post is a POST of /ok by the agent with these header lines and this body, which is sent as it is.
func post(lines, body string) string {
	return "POST /ok HTTP/1.1\r\nHost: {host}\r\n{agent}" + lines + "\r\n\r\n" + body
}

// hidden is a request that an attacker would like to see answered in somebody else's name.
const hidden = "GET /admin HTTP/1.1\r\nHost: {host}\r\nX-Ignore: "

const wholeHidden = "GET /admin HTTP/1.1\r\nHost: {host}\r\n\r\n"

// hiddenChunk is wholeHidden with the host that its length was counted with: {host} has another one.
const hiddenChunk = "GET /admin HTTP/1.1\r\nHost: help.localhost\r\n\r\n"

func twoFramings() []attack {
	empty := "0\r\n\r\n"
	return []attack{
		// The server goes by Transfer-Encoding and forwards that alone (RFC 9112 6.3); what follows is not read.
		{name: "CL.TE", request: post("Content-Length: 60\r\nTransfer-Encoding: chunked", empty+wholeHidden), want: "200 close", seen: seen("agent POST /ok"), also: []string{"body="}},
		{name: "CL.TE signed in", request: post("Content-Length: 6\r\nTransfer-Encoding: chunked", empty+get("/admin")), want: "200 close", seen: seen("agent POST /ok"), also: []string{"body="}},
		{name: "CL.TE prefix", request: post("Content-Length: 6\r\nTransfer-Encoding: chunked", empty+"G"), want: "200 close", seen: seen("agent POST /ok")},
		{name: "CL.TE half a request", request: post("Content-Length: 90\r\nTransfer-Encoding: chunked", empty+hidden), want: "200 close", seen: seen("agent POST /ok")},
		{name: "TE.CL", request: post("Transfer-Encoding: chunked\r\nContent-Length: 4", "2d\r\n"+hiddenChunk+"\r\n0\r\n\r\n"), want: "200", seen: seen("agent POST /ok"), also: []string{"body=" + hiddenChunk}},
		{name: "TE.CL with CL 0", request: post("Transfer-Encoding: chunked\r\nContent-Length: 0", "2d\r\n"+hiddenChunk+"\r\n0\r\n\r\n"), want: "200", seen: seen("agent POST /ok"), also: []string{"body=" + hiddenChunk}},
		{name: "TE and CL for GET", request: "GET /ok HTTP/1.1\r\nHost: {host}\r\n{agent}Content-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n" + empty + wholeHidden, want: "200 close", seen: seen("agent GET /ok")},
		{name: "TE and bad CL", request: post("Transfer-Encoding: chunked\r\nContent-Length: abc", empty), want: "400 close", seen: nothing},
		{name: "TE and two CL", request: post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\nContent-Length: 2", empty), want: "400 close", seen: nothing},
		{name: "TE in HTTP/1.0", request: "POST /ok HTTP/1.0\r\nHost: {host}\r\n{agent}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + empty, want: "200 close", seen: seen("agent POST /ok"), also: []string{"body=" + empty}},
		{name: "TE in HTTP/1.0, kept alive", request: "POST /ok HTTP/1.0\r\nHost: {host}\r\n{agent}Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + empty + wholeHidden, want: "200 400 close", seen: seen("agent POST /ok")},
	}
}

func transferEncodings() []attack {
	body := "5\r\nhello\r\n0\r\n\r\n"
	var attacks []attack
	for lines, want := range map[string]string{
		"Transfer-Encoding: xchunked":                               "501",
		"Transfer-Encoding: identity":                               "501",
		"Transfer-Encoding: gzip, chunked":                          "501",
		"Transfer-Encoding: chunked, identity":                      "501",
		"Transfer-Encoding: chunked, chunked":                       "501",
		"Transfer-Encoding: chunked;q=1":                            "501",
		"Transfer-Encoding: \"chunked\"":                            "501",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked":  "501",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: x":        "501",
		"Transfer-Encoding: x\r\nTransfer-Encoding: chunked":        "501",
		"Transfer-Encoding: chunked\r\nTransfer-encoding: identity": "501",
		"Transfer-Encoding:":                                        "501",
		"Transfer-Encoding: chunk":                                  "501",
		"Transfer-Encoding : chunked":                               "400",
		"Transfer-Encoding\t: chunked":                              "400",
		"Transfer-Encoding: \x0bchunked":                            "400|501",
		"Transfer-Encoding: chunked\x00":                            "400|501",
		"Transfer-Encoding: chunked\x0c":                            "400|501",
		"Transfer-Encoding: \xa0chunked":                            "400|501",
		"Transfer-Encoding: ch\xe2\x84\xaanked":                     "400|501",
		"Transfer-Encoding\x00: chunked":                            "400",
		"X: y\rTransfer-Encoding: chunked":                          "400",
		"Transfer-Encoding\r\n : chunked":                           "400",
	} {
		attacks = append(attacks, attack{name: "TE.TE " + lines, request: post(lines, body), want: want + " close", seen: nothing})
	}
	for _, lines := range []string{"Transfer-Encoding: chunked", "transfer-encoding: CHUNKED", "Transfer-Encoding:\tchunked\t", "Transfer-Encoding:\r\n chunked",
		"X: y\nTransfer-Encoding: chunked", "Transfer-Encoding:chunked"} {
		attacks = append(attacks, attack{name: "TE as it should be " + lines, request: post(lines, body), want: "200", seen: seen("agent POST /ok"), also: []string{"body=hello"}})
	}
	attacks = append(attacks, attack{name: "TE folded onto the cookies", request: post(" Transfer-Encoding: chunked", body), want: "401 400 close", seen: nothing})
	// Not the header, so its body is the Content-Length's; an application that folds underscores never sees it.
	for _, name := range []string{"Transfer_Encoding", "Transfer-Encoding-", "-Transfer-Encoding", "Transfer.Encoding"} {
		attacks = append(attacks, attack{name: "TE lookalike " + name, request: post(name+": chunked\r\nContent-Length: 15", body),
			want: "200", seen: seen("agent POST /ok"), also: []string{"body=" + body, "!" + name}})
	}
	return attacks
}

func contentLengths() []attack {
	var attacks []attack
	for _, value := range []string{"+5", "-5", "0x5", "5, 6", "5,5", "5 5", "5;", "5a", "a", "", "99999999999999999999", "5.0", "1e1", "\"5\"", "５", "5\x0b", "5\x00"} {
		attacks = append(attacks, attack{name: "CL " + value, request: post("Content-Length: "+value, "hello"), want: "400 close", seen: nothing})
	}
	return append(attacks,
		attack{name: "CL twice, differing", request: post("Content-Length: 5\r\nContent-Length: 6", "hello"), want: "400 close", seen: nothing},
		attack{name: "CL twice, differing in zeros", request: post("Content-Length: 5\r\nContent-Length: 05", "hello"), want: "400 close", seen: nothing},
		attack{name: "CL twice, the same", request: post("Content-Length: 5\r\nContent-Length: 5", "hello"), want: "200", seen: seen("agent POST /ok"), also: []string{"body=hello", "Content-Length=5"}},
		attack{name: "CL with a space before the colon", request: post("Content-Length : 5", "hello"), want: "400 close", seen: nothing},
		attack{name: "CL folded", request: post("Content-Length:\r\n 5", "hello"), want: "200", seen: seen("agent POST /ok"), also: []string{"body=hello", "Content-Length=5"}},
		attack{name: "CL lookalike", request: post("Content_Length: 5\r\nContent-Length: 0", wholeHidden), want: "200 401", seen: seen("agent POST /ok"), also: []string{"body="}},
		attack{name: "CL with leading zeros", request: post("Content-Length: 005", "hello"), want: "200", seen: seen("agent POST /ok"), also: []string{"body=hello", "Content-Length=5"}},
		attack{name: "CL too long", request: post("Content-Length: 50", "hello"), want: "open", seen: seen("broken")},
		attack{name: "CL too short", request: post("Content-Length: 2", "hello"), want: "200 open", seen: seen("agent POST /ok"), also: []string{"body=he"}},
		attack{name: "CL.0", request: post("Content-Length: 45", hiddenChunk), want: "200", seen: seen("agent POST /ok"), also: []string{"body=" + hiddenChunk}},
		attack{name: "CL.0 on a public file", request: "POST /static/a.css HTTP/1.1\r\nHost: {host}\r\nContent-Length: 45\r\n\r\n" + hiddenChunk, want: "200", seen: seen("- POST /static/a.css"), also: []string{"body=" + hiddenChunk}},
		attack{name: "0.CL", request: post("X-Content-Length: 45", wholeHidden), want: "200 401", seen: seen("agent POST /ok"), also: []string{"body="}},
		attack{name: "GET with a body", request: "GET /ok HTTP/1.1\r\nHost: {host}\r\n{agent}Content-Length: 45\r\n\r\n" + hiddenChunk, want: "200", seen: seen("agent GET /ok"), also: []string{"body=" + hiddenChunk}},
		attack{name: "HEAD with a body", request: "HEAD /ok HTTP/1.1\r\nHost: {host}\r\n{agent}Content-Length: 45\r\n\r\n" + hiddenChunk, want: "200", seen: seen("agent HEAD /ok"), also: []string{"body=" + hiddenChunk}},
		attack{name: "body of a refused request", request: "POST /admin HTTP/1.1\r\nHost: {host}\r\n{agent}Content-Length: 45\r\n\r\n" + hiddenChunk, want: "403", seen: nothing},
		attack{name: "body of a redirected request", request: "GET //x HTTP/1.1\r\nHost: {host}\r\n{agent}Content-Length: 45\r\n\r\n" + hiddenChunk, want: "308", seen: nothing},
	)
}

// chunks hold sizes and line ends that parsers disagree about. Once the head is on its way, the
// application's side can only be broken off: it must never see a whole request.
func chunks() []attack {
	var attacks []attack
	for _, body := range []string{"0x5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", "5,\r\nhello\r\n0\r\n\r\n", "g\r\nhello\r\n0\r\n\r\n",
		"ffffffffffffffff5\r\nhello\r\n0\r\n\r\n", "\r\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\nhello\n0\n\n",
		"5\r\nhello\n0\r\n\r\n", "5\r\nhello\r\n0\n\r\n", "5 5\r\nhello\r\n0\r\n\r\n", "5\x00\r\nhello\r\n0\r\n\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n", "5;a\rb\r\nhello\r\n0\r\n\r\n",
		"\x0b5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0;a\n" + hiddenChunk} {
		attacks = append(attacks, attack{name: fmt.Sprintf("chunk %q", body), request: post("Transfer-Encoding: chunked", body), want: "400 close", seen: seen("broken")})
	}
	for _, body := range []string{"5;x=y\r\nhello\r\n0\r\n\r\n", "5;x=\"y\"\r\nhello\r\n0;z\r\n\r\n", "05\r\nhello\r\n00\r\n\r\n", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n"} {
		attacks = append(attacks, attack{name: fmt.Sprintf("chunk that is fine %q", body), request: post("Transfer-Encoding: chunked", body), want: "200", seen: seen("agent POST /ok"), also: []string{"body=hello"}})
	}
	trailer := func(name, lines, trailer string) attack {
		return attack{name: name, request: post("Transfer-Encoding: chunked"+lines, "5\r\nhello\r\n0\r\n"+trailer+"\r\n\r\n"), want: "200", seen: seen("agent POST /ok"), also: []string{"body=hello", "!Trailer"}}
	}
	return append(attacks,
		attack{name: "chunk lines that end with CR", request: post("Transfer-Encoding: chunked", "5\rhello\r0\r\r"), want: "open", seen: seen("broken")},
		trailer("identity in a trailer", "\r\nTrailer: X-Remote-User", "X-Remote-User: spoofed"),
		trailer("identity in a trailer nobody announced", "", "X-Remote-User: spoofed"),
		trailer("secret in a trailer", "\r\nTrailer: X-Desk-Secret, X-Forwarded-For", "X-Desk-Secret: spoofed\r\nX-Forwarded-For: spoofed"),
		trailer("framing in a trailer", "", "Content-Length: 99"),
	)
}

// lines are ways to end, fold and begin header lines and request lines.
func lines() []attack {
	ok := seen("agent GET /ok")
	attacks := []attack{
		{name: "bare LF", request: strings.ReplaceAll(get("/ok"), "\r\n", "\n"), want: "200|400", seen: ok},
		{name: "LF in the request line", request: "GET /ok\n HTTP/1.1\r\nHost: {host}\r\n\r\n", want: "400 close", seen: nothing},
		{name: "bare CR between headers", request: with("X: a\rX-Remote-User: spoofed"), want: "400 close", seen: nothing},
		{name: "bare CR ends the head", request: with("X: a\r\rGET /admin HTTP/1.1"), want: "400 close", seen: nothing},
		{name: "folded value", request: with("X-Note: a\r\n b"), want: "200", seen: ok, also: []string{"X-Note=a b"}},
		{name: "folded with a tab", request: with("X-Note: a\r\n\tb"), want: "200", seen: ok, also: []string{"X-Note=a b"}},
		{name: "folded identity", request: with("X-Remote-User:\r\n spoofed"), want: "200", seen: ok},
		{name: "folded first line", request: "GET /ok HTTP/1.1\r\n X-Remote-User: spoofed\r\nHost: {host}\r\n{agent}\r\n", want: "400 close", seen: nothing},
		{name: "line without a colon", request: with("X-Remote-User"), want: "400 close", seen: nothing},
		{name: "no name", request: with(": spoofed"), want: "400 close", seen: nothing},
		{name: "space before the colon", request: with("X-Remote-User : spoofed"), want: "400 close", seen: nothing},
		{name: "tab before the colon", request: with("X-Remote-User\t: spoofed"), want: "400 close", seen: nothing},
		{name: "NUL in a name", request: with("X-Remote-User\x00: spoofed"), want: "400 close", seen: nothing},
		{name: "NUL in a value", request: with("X: a\x00b"), want: "400 close", seen: nothing},
		{name: "form feed in a value", request: with("X: a\x0cb"), want: "400 close", seen: nothing},
		{name: "bytes in a name", request: with("X-R\xc3\xa9mote-User: spoofed"), want: "400 close", seen: nothing},
		{name: "empty line first", request: "\r\n" + get("/ok"), want: "400 close", seen: nothing},
		{name: "two spaces", request: "GET  /ok HTTP/1.1\r\nHost: {host}\r\n\r\n", want: "400 close", seen: nothing},
		{name: "tab for a space", request: "GET\t/ok\tHTTP/1.1\r\nHost: {host}\r\n\r\n", want: "400 close", seen: nothing},
		{name: "space in the path", request: "GET /o k HTTP/1.1\r\nHost: {host}\r\n\r\n", want: "400 close", seen: nothing},
		{name: "request in the request line", request: "GET /ok HTTP/1.1 /admin HTTP/1.1\r\nHost: {host}\r\n\r\n", want: "400 close", seen: nothing},
		{name: "no version", request: "GET /ok\r\nHost: {host}\r\n\r\n", want: "400 close", seen: nothing},
		{name: "HTTP/0.9", request: "GET /ok HTTP/0.9\r\nHost: {host}\r\n\r\n", want: "505 close", seen: nothing},
		{name: "HTTP/1.10", request: "GET /ok HTTP/1.10\r\nHost: {host}\r\n\r\n", want: "400 close", seen: nothing},
		{name: "HTTP/2.0 in words", request: "GET /ok HTTP/2.0\r\nHost: {host}\r\n\r\n", want: "505 close", seen: nothing},
		{name: "lower-case version", request: "GET /ok http/1.1\r\nHost: {host}\r\n\r\n", want: "400 close", seen: nothing},
		{name: "HTTP/1.0", request: "GET /ok HTTP/1.0\r\nHost: {host}\r\n{agent}\r\n", want: "200 close", seen: ok},
		{name: "HTTP/1.0 without Host", request: "GET /ok HTTP/1.0\r\n{agent}\r\n", want: "400|421 close", seen: nothing},
		{name: "huge header", request: with("X: " + strings.Repeat("a", 64<<10)), want: "431 close", seen: nothing},
		{name: "many headers", request: with(strings.TrimSuffix(strings.Repeat("X: a\r\n", 9000), "\r\n")), want: "431 close", seen: nothing},
	}
	return attacks
}

func pipelines() []attack {
	return []attack{
		{name: "pipelined", request: get("/ok") + get("/admin") + anonymous("/ok") + get("/ok?2"), want: "200 403 401 200", seen: seen("agent GET /ok", "agent GET /ok?2")},
		{name: "identity does not carry over", request: get("/ok") + anonymous("/static/x"), want: "200 200", seen: seen("agent GET /ok", "- GET /static/x")},
		{name: "pipelined after a refusal", request: get("/a%2Fb") + get("/ok"), want: "400 200", seen: seen("agent GET /ok")},
		{name: "interim answer", request: get("/early") + get("/ok"), want: "103 200 200", seen: seen("agent GET /early", "agent GET /ok")},
		{name: "pipelined after close", request: with("Connection: close") + get("/ok?2"), want: "200 close", seen: seen("agent GET /ok")},
		{name: "websocket that is not taken up", request: "GET /ws HTTP/1.1\r\nHost: {host}\r\n{agent}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + get("/admin"),
			want: "200 403", seen: seen("agent GET /ws")},
		{name: "websocket with a strange version", request: "GET /ws HTTP/1.1\r\nHost: {host}\r\n{agent}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\n\r\n" + wholeHidden,
			want: "200 401", seen: seen("agent GET /ws")},
		{name: "expectation and a hidden request", request: post("Expect: 100-continue\r\nContent-Length: 45", hiddenChunk), want: "200", seen: seen("agent POST /ok"), also: []string{"body=" + hiddenChunk, "!Expect"}},
		{name: "expectation of something else", request: post("Expect: 200-ok\r\nContent-Length: 5", "hello"), want: "417", seen: nothing},
		{name: "expectation on a refused path", request: "POST /admin HTTP/1.1\r\nHost: {host}\r\n{agent}Expect: 100-continue\r\nContent-Length: 45\r\n\r\n" + hiddenChunk, want: "403 close", seen: nothing},
	}
}
