package gateway_test

import (
	"strings"
	"testing"
)

// TestBypassHost attacks who is meant: Host, TLS server name, absolute form; and what is wanted: the method.
func TestBypassHost(t *testing.T) {
	t.Parallel()
	b := startBypass(t)
	attacks := append(hosts(), absoluteForms()...)
	attacks = append(attacks, methods()...)
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) { b.run(t, a) })
	}
	enough(t, b, 110)
}

func hosts() []attack {
	host := func(lines string) string { return "GET /ok HTTP/1.1\r\n" + lines + "{agent}\r\n" }
	return []attack{
		{name: "none", request: host(""), want: "400 close", seen: nothing},
		{name: "empty", request: host("Host:\r\n"), want: "400", seen: nothing},
		{name: "two", request: host("Host: {host}\r\nHost: {other}\r\n"), want: "400 close", seen: nothing},
		{name: "two, the same", request: host("Host: {host}\r\nHost: {host}\r\n"), want: "400 close", seen: nothing},
		{name: "a list", request: host("Host: {host}, {other}\r\n"), want: "400", seen: nothing},
		{name: "folded", request: host("Host: {host}\r\n {other}\r\n"), want: "400", seen: nothing},
		{name: "second one spelled otherwise", request: host("Host: {host}\r\nHost : {other}\r\n"), want: "400 close", seen: nothing},
		{name: "unknown", request: host("Host: evil.example\r\n"), want: "421", seen: nothing},
		{name: "another site than the server name", request: host("Host: {other}\r\n"), want: "421", seen: nothing},
		{name: "server name of another site", request: host("Host: {host}\r\n"), sni: "other.localhost", want: "421", seen: nothing},
		{name: "session of another site", request: "GET /ok HTTP/1.1\r\nHost: {host}\r\n{looseagent}\r\n", want: "401", seen: nothing},
		{name: "public site, session of another", request: "GET /ok HTTP/1.1\r\nHost: {other}\r\n{agent}\r\n", sni: "other.localhost", want: "200", seen: seen("- GET /ok")},
		{name: "folder's admin path on a public site", request: "GET /admin HTTP/1.1\r\nHost: {other}\r\n\r\n", sni: "other.localhost", want: "401", seen: nothing},
		{name: "upper case", request: host("hOsT: HELP.LocalHost\r\n"), want: "200", seen: seen("agent GET /ok"), also: []string{"Host=help.localhost"}},
		{name: "final dot", request: host("Host: help.localhost.\r\n"), want: "200", seen: seen("agent GET /ok"), also: []string{"Host=help.localhost"}},
		{name: "two final dots", request: host("Host: help.localhost..\r\n"), want: "400", seen: nothing},
		{name: "path in it", request: host("Host: help.localhost/admin\r\n"), want: "400", seen: nothing},
		{name: "query in it", request: host("Host: help.localhost?x\r\n"), want: "400", seen: nothing},
		{name: "user in it", request: host("Host: x@help.localhost\r\n"), want: "400", seen: nothing},
		{name: "user in front of another", request: host("Host: help.localhost:1@other.localhost\r\n"), want: "400", seen: nothing},
		{name: "port that is none", request: host("Host: help.localhost:x\r\n"), want: "400", seen: nothing},
		{name: "port too large", request: host("Host: help.localhost:65536\r\n"), want: "400", seen: nothing},
		{name: "two ports", request: host("Host: help.localhost:1:2\r\n"), want: "400", seen: nothing},
		{name: "escaped", request: host("Host: help%2elocalhost\r\n"), want: "400", seen: nothing},
		{name: "tab", request: host("Host: help.localhost\tother.localhost\r\n"), want: "400", seen: nothing},
		{name: "backslash", request: host("Host: help.localhost\\other\r\n"), want: "400", seen: nothing},
		{name: "brackets", request: host("Host: [help.localhost]\r\n"), want: "400", seen: nothing},
		{name: "zone", request: host("Host: [::1%25lo]\r\n"), want: "400", seen: nothing},
		{name: "address", request: host("Host: 127.0.0.1\r\n"), want: "421", seen: nothing},
		{name: "underscore behind", request: host("Host: help.localhost_\r\n"), want: "421", seen: nothing},
		{name: "longer label", request: host("Host: xhelp.localhost\r\n"), want: "421", seen: nothing},
		{name: "below it", request: host("Host: x.help.localhost\r\n"), want: "421", seen: nothing},
		{name: "X-Host", request: host("Host: {host}\r\nX-Host: {other}\r\nX-Forwarded-Host: {other}\r\nX-Http-Host-Override: {other}\r\nForwarded: host=spoofed\r\n"),
			want: "200", seen: seen("agent GET /ok"), also: []string{"!X-Host", "!X-Http-Host-Override"}},
		{name: "plain listener", request: "GET /ok HTTP/1.1\r\nHost: {host}\r\n{agent}\r\n", on: "plain", want: "200", seen: seen("agent GET /ok"), also: []string{"X-Forwarded-Proto=http"}},
		{name: "plain listener, claims TLS", request: "GET /ok HTTP/1.1\r\nHost: {host}\r\n{agent}X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: on\r\nFront-End-Https: on\r\n\r\n", on: "plain",
			want: "200", seen: seen("agent GET /ok"), also: []string{"X-Forwarded-Proto=http", "!Front-End-Https", "!X-Forwarded-Ssl"}},
		{name: "redirecting listener, unknown host", request: "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", on: "http", want: "421", seen: nothing},
		{name: "redirecting listener forwards nothing", request: "POST /ok HTTP/1.1\r\nHost: help.localhost\r\n{agent}Content-Length: 0\r\n\r\n", on: "http", want: "308|400|301|403 close", seen: nothing},
	}
}

func absoluteForms() []attack {
	form := func(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: {host}\r\n{agent}\r\n" }
	ok := seen("agent GET /ok")
	return []attack{
		{name: "absolute", request: form("https://{host}/ok"), want: "200", seen: ok},
		{name: "absolute, upper case", request: form("HTTPS://HELP.localhost/ok"), want: "200", seen: ok},
		{name: "absolute, admin", request: form("https://{host}/admin"), want: "403", seen: nothing},
		{name: "absolute, climbing", request: form("https://{host}/static/../admin"), want: "400", seen: nothing},
		{name: "absolute, encoded slash", request: form("https://{host}/a%2Fb"), want: "400", seen: nothing},
		{name: "absolute, empty segment", request: form("https://{host}//evil.example"), want: "308", seen: nothing, also: []string{"location=/evil.example"}},
		{name: "absolute without a path", request: form("https://{host}"), want: "200", seen: seen("agent GET /")},
		{name: "absolute, query only", request: form("https://{host}?a=b"), want: "200", seen: seen("agent GET /?a=b")},
		{name: "absolute, other scheme", request: form("http://{host}/ok"), want: "400", seen: nothing},
		{name: "absolute, another site", request: form("https://{other}/ok"), want: "421", seen: nothing},
		{name: "absolute, unknown host", request: form("https://evil.example/ok"), want: "421", seen: nothing},
		{name: "absolute, Host of another site", request: "GET https://{host}/ok HTTP/1.1\r\nHost: {other}\r\n{agent}\r\n", want: "200", seen: ok},
		{name: "absolute, user", request: form("https://x@{host}/ok"), want: "400", seen: nothing},
		{name: "absolute, user that looks like the host", request: form("https://{host}@evil.example/ok"), want: "421", seen: nothing},
		{name: "absolute, user to the host", request: form("https://evil.example@help.localhost/ok"), want: "400", seen: nothing},
		{name: "absolute, no host", request: form("https:///ok"), want: "400", seen: nothing},
		{name: "absolute, one slash", request: form("https:/ok"), want: "400", seen: nothing},
		{name: "absolute, file", request: form("file:///etc/passwd"), want: "400", seen: nothing},
		{name: "absolute, ftp", request: form("ftp://{host}/ok"), want: "400", seen: nothing},
		{name: "absolute, backslashes", request: form(`https:\\help.localhost\ok`), want: "400", seen: nothing},
		{name: "absolute, backslash before a user", request: form(`https://help.localhost\@evil.example/ok`), want: "400", seen: nothing},
		{name: "absolute, fragment", request: form("https://{host}#/ok"), want: "400", seen: nothing},
		{name: "absolute, bad port", request: form("https://help.localhost:99999/ok"), want: "400", seen: nothing},
		{name: "absolute, over plain", request: form("http://{host}/ok"), on: "plain", want: "200", seen: ok},
		{name: "no slash", request: form("ok"), want: "400 close", seen: nothing},
		{name: "host as a path", request: form("help.localhost/ok"), want: "400 close", seen: nothing},
		{name: "scheme-relative", request: form("//{other}/ok"), want: "308", seen: nothing},
		{name: "asterisk", request: "OPTIONS * HTTP/1.1\r\nHost: {host}\r\n{agent}\r\n", want: "400", seen: nothing},
		{name: "asterisk for GET", request: form("*"), want: "400", seen: nothing},
		{name: "question mark first", request: form("?/admin"), want: "400 close", seen: nothing},
		{name: "empty target", request: "GET  HTTP/1.1\r\nHost: {host}\r\n\r\n", want: "400 close", seen: nothing},
		{name: "another request's target", request: form("/ok?x=https://{other}/admin"), want: "200", seen: seen("agent GET /ok?x=https://{other}/admin")},
	}
}

func methods() []attack {
	var attacks []attack
	line := func(method, target string) string {
		return method + " " + target + " HTTP/1.1\r\nHost: {host}\r\n{agent}Content-Length: 0\r\n\r\n"
	}
	for _, method := range []string{"TRACE", "TRACK", "DEBUG", "PROPFIND", "MOVE", "COPY", "MKCOL", "LOCK", "SEARCH", "PURGE", "LINK", "REPORT", "get", "Get", "gET", "POSTX", "FOO",
		"X", "GET_", "HTTP/1.1", "Q" + strings.Repeat("X", 100)} {
		attacks = append(attacks, attack{name: "method " + method, request: line(method, "/ok"), want: "400", seen: nothing})
	}
	for _, method := range []string{"GE T", "GET(", "GET\x00", "\"GET\"", "GÉT", ""} {
		attacks = append(attacks, attack{name: "no method " + method, request: line(method, "/ok"), want: "400 close", seen: nothing})
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		attacks = append(attacks,
			attack{name: "passes " + method, request: line(method, "/ok"), want: "200", seen: seen("agent " + method + " /ok")},
			attack{name: "denied " + method, request: line(method, "/admin"), want: "403", seen: nothing})
	}
	return append(attacks,
		attack{name: "CONNECT", request: "CONNECT help.localhost:443 HTTP/1.1\r\nHost: {host}\r\n{agent}\r\n", want: "400", seen: nothing},
		attack{name: "CONNECT to a path", request: "CONNECT /ok HTTP/1.1\r\nHost: {host}\r\n{agent}\r\n", want: "400", seen: nothing},
		attack{name: "CONNECT elsewhere", request: "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", want: "400|421", seen: nothing},
		attack{name: "HTTP/2 preface", request: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", want: "400|421|505 close", seen: nothing},
		attack{name: "HTTP/2 preface in the clear", request: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", on: "plain", want: "400|421|505 close", seen: nothing},
		attack{name: "method override", request: post("X-HTTP-Method-Override: DELETE\r\nX-HTTP-Method: PUT\r\nX-Method-Override: DELETE\r\nContent-Length: 0", ""),
			want: "200", seen: seen("agent POST /ok"), also: []string{"!X-HTTP-Method-Override", "!X-HTTP-Method", "!X-Method-Override"}},
	)
}
