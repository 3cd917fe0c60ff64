package gateway_test

import (
	"strings"
	"testing"
)

// TestBypassPath attacks the comparison of a path with the rules.
func TestBypassPath(t *testing.T) {
	t.Parallel()
	b := startBypass(t)
	attacks := []attack{
		{name: "plain", request: get("/ok"), want: "200", seen: seen("agent GET /ok")},
		{name: "plain admin", request: get("/admin"), want: "403", seen: nothing},
		{name: "admin by admin", request: "GET /admin/x HTTP/1.1\r\nHost: {host}\r\n{admin}\r\n", want: "200", seen: seen("admin GET /admin/x")},
		{name: "longer segment", request: get("/administrator"), want: "200", seen: seen("agent GET /administrator")},
		{name: "public", request: anonymous("/static/a.css"), want: "200", seen: seen("- GET /static/a.css")},
		{name: "public by rule", request: anonymous("/public"), want: "200", seen: seen("- GET /public")},
		{name: "not quite public", request: anonymous("/staticx"), want: "401", seen: nothing},
		{name: "own page", request: anonymous("/.doorward/sign-in"), want: "200", seen: nothing},
	}
	attacks = append(attacks, refusedPaths()...)
	attacks = append(attacks, foldedPaths()...)
	attacks = append(attacks, collapsedPaths()...)
	attacks = append(attacks, passedPaths()...)
	attacks = append(attacks, queries()...)
	attacks = append(attacks, loosePaths()...)
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) { b.run(t, a) })
	}
	enough(t, b, 260)
}

// enough fails when cases were lost: the suite is only worth what it runs.
func enough(t *testing.T, b *bypass, atLeast int) {
	t.Helper()
	if b.count < atLeast && !t.Failed() {
		t.Errorf("%d attacks ran, want at least %d", b.count, atLeast)
	}
	t.Logf("%d attacks, %d of them as questions of a proxy too", b.count, b.asked)
}

// refusedPaths can be read in two ways, so nobody gets to read them.
func refusedPaths() []attack {
	var attacks []attack
	for _, target := range []string{
		// separators in disguise
		"/a%2Fb", "/a%2fb", "/static%2F..%2Fadmin", "/a%5Cb", "/a%5cb", `/a\b`, `/\evil.example`, `/static\..\admin`, "/%2F/evil.example",
		"/%EF%BC%8Fadmin", "/static/%EF%BC%BC../x", "/a%E2%84%80b",
		// controls
		"/%00", "/admin%00", "/static/a.css%00/admin", "/a%0Ab", "/a%0d%0aX-Remote-User:%20spoofed", "/a%09b", "/admin%09", "/a%7Fb", "/a%1Fb", "/a%C2%85b",
		// dot segments
		"/.", "/..", "/../admin", "/a/../admin", "/a/./b", "/a/..", "/a/.", "/static/../admin", "/%2e%2e/admin", "/static/%2e%2e/admin",
		"/%2E%2E/%2E%2e/admin", "/static/.%2e/admin", "/static/%2e./admin", "/%2e/admin", "/./admin", "/a/...", "/.../admin", "/a/..%20/admin",
		"/a/..%20%20/x", "/a/%20../admin", "/a/%20/b", "/a/.%20./b", "/a/%2e%2e", "/static/%E2%80%A4%E2%80%A4/admin", "/static/%EF%BC%8E%EF%BC%8E/admin",
		"/static/.%C2%AD./admin",
		// parameters of segments
		"/a;b", "/admin;x=1", "/;/admin", "/static;/../admin", "/static/..;/admin", "/static/..;x=1/admin", "/static/.;/admin", "/a%3Bb",
		"/static/%2e%2e%3b/admin", "/static/..%3B/admin", "/admin;", "/admin;.css", "/admin;/static/a.css",
		// encoded twice
		"/a%252Fb", "/%252e%252e/admin", "/static/%252e%252e%252fadmin", "/a%25252Fb", "/a%255cb", "/a%2500", "/a%25u002fb", "/%2561dmin", "/a%25%32%66",
		"/%25%36%31dmin",
		// not UTF-8, or the long way round
		"/a%c0%afb", "/static/%c0%ae%c0%ae/admin", "/a%e0%80%afb", "/a%f0%80%80%afb", "/%ff", "/%C3", "/%ed%a0%80", "/%fc%80%80%80%80%af",
		// no escapes at all
		"/%", "/a%", "/a%2", "/a%zz", "/a%u002fb", "/a%U002Fb", "/%%32%65", "/a%+b", "/a%g1",
		// raw bytes
		"/caf\xc3\xa9", "/\xff", "/a\x80b", "/\xc0\xaf",
		// fragments
		"/static#/../admin", "/admin#/static", "/ok#x", "/#/admin",
		// Windows' own spellings
		"/ADMIN~1", "/admini~1/x", "/data::$INDEX_ALLOCATION/x", "/data%3A%3A$DATA", "/data:$I30:$INDEX_ALLOCATION", "/index.php%3A%3A$DATA",
	} {
		attacks = append(attacks, attack{name: "refused " + target, request: get(target), want: "400", seen: nothing})
	}
	return append(attacks,
		attack{name: "too long", request: get("/" + strings.Repeat("a", 4096)), want: "431", seen: nothing},
		attack{name: "other case of our own pages", request: get("/.DOORWARD/sign-in"), want: "404", seen: nothing},
		attack{name: "our own pages with a dot", request: get("/.doorward./sign-in"), want: "404", seen: nothing},
		attack{name: "our own pages, escaped", request: anonymous("/%2edoorward/sign-%69n"), want: "200", seen: nothing},
		attack{name: "our own pages with a parameter", request: get("/.doorward;x/sign-in"), want: "400", seen: nothing},
		attack{name: "our own pages and a way out", request: get("/.doorward/../admin"), want: "400", seen: nothing},
	)
}

// foldedPaths are other spellings of what the agent may not see.
func foldedPaths() []attack {
	var attacks []attack
	for _, target := range []string{"/ADMIN", "/Admin/x", "/aDmIn/", "/admin.", "/admin../x", "/admin%20", "/admin%20.", "/admin.%20/x", "/%61dmin",
		"/%41dmin", "/adm%69n/x", "/%61%64%6d%69%6e", "/admin%23x", "/admin%3Fx", "/admin%3Fa/b", "/admin?x", "/admin?/static/a.css", "/admin/?..",
		"/data", "/data/", "/DATA/x.php", "/Data./x", "/data%20/x", "/secret", "/Secret/x", "/%73ecret", "/%C5%BFecret", "/s%C2%ADecret",
		"/secret%E2%80%8B", "/%EF%BD%81dmin", "/%EF%BC%A1DMIN/x", "/intra", "/Intra/x", "/intra.", "/.git/config", "/.GIT/HEAD", "/phpMyAdmin/", "/.env",
		"/admin/%2A", "/admin%EF%BB%BF"} {
		attacks = append(attacks, attack{name: "denied " + target, request: get(target), want: "403", seen: nothing})
	}
	for _, target := range []string{"/STATIC/a.css", "/Static", "/static./a.css", "/static%20/a.css", "/PUBLIC", "/public.", "/public%20", "/static%E2%80%8B/a.css",
		"/public%EF%BC%9F", "/ok/static/a.css", "/api/v1", "/rest"} {
		attacks = append(attacks, attack{name: "not public " + target, request: anonymous(target), want: "401", seen: nothing})
	}
	return attacks
}

// collapsedPaths hold empty segments: sent to their one form, but never to another host.
func collapsedPaths() []attack {
	redirect := func(target, location string) attack {
		return attack{name: "collapsed " + target, request: get(target), want: "308", seen: nothing, also: []string{"location=" + location}}
	}
	return []attack{
		redirect("//", "/"),
		redirect("//evil.example", "/evil.example"),
		redirect("///evil.example/x", "/evil.example/x"),
		redirect("//evil.example//..a", "/evil.example/..a"),
		redirect("//admin", "/admin"),
		redirect("/static//admin", "/static/admin"),
		redirect("/a//", "/a/"),
		redirect("/a//b?x=//y&z", "/a/b?x=//y&z"),
		redirect("//%65vil.example", "/evil.example"),
		redirect("//user@evil.example", "/user@evil.example"),
		{name: "collapsed for HEAD", request: "HEAD //a HTTP/1.1\r\nHost: {host}\r\n\r\n", want: "308", seen: nothing},
		{name: "not collapsed for POST", request: "POST //a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n", want: "400", seen: nothing},
		{name: "not collapsed for DELETE", request: "DELETE /a//b HTTP/1.1\r\nHost: {host}\r\n{agent}\r\n", want: "400", seen: nothing},
		{name: "collapsed and climbing", request: get("//../admin"), want: "400", seen: nothing},
		{name: "collapsed and encoded", request: get("//%2e%2e/admin"), want: "400", seen: nothing},
		{name: "collapsed and backslash", request: get(`/\/evil.example`), want: "400", seen: nothing},
		{name: "collapsed and a tab", request: get("/%09/evil.example"), want: "400", seen: nothing},
	}
}

// passedPaths are unusual but have one meaning: they arrive in their one form.
func passedPaths() []attack {
	var attacks []attack
	for target, arrives := range map[string]string{
		"/%6f%6B":               "/ok",
		"/a%2db%5fc%7ed%2ee":    "/a-b_c~d.e",
		"/a%23b":                "/a%23b",
		"/a%3fb":                "/a%3Fb",
		"/caf%c3%a9":            "/caf%C3%A9",
		"/%e4%b8%ad%e6%96%87/x": "/%E4%B8%AD%E6%96%87/x",
		"/a%20b":                "/a%20b",
		"/a+b":                  "/a+b",
		"/a%2bb":                "/a%2Bb",
		"/100%25":               "/100%25",
		"/a%26b=c":              "/a%26b=c",
		"/~user/a~b":            "/~user/a~b",
		"/a..b/..c/d..":         "/a..b/..c/d..",
		"/.well-known/x":        "/.well-known/x",
		"/a[0]|b^c`d{e}":        "/a%5B0%5D%7Cb%5Ec%60d%7Be%7D",
		`/a"b<c>d`:              "/a%22b%3Cc%3Ed",
		"/a:b@c!$&'()*,=":       "/a:b@c!$&'()*,=",
		"/Foo::Bar":             "/Foo::Bar",
		"/":                     "/",
	} {
		attacks = append(attacks, attack{name: "passed " + target, request: get(target), want: "200", seen: seen("agent GET " + arrives)})
	}
	return append(attacks, attack{name: "public to a question mark", request: anonymous("/static/x%3F"), want: "200", seen: seen("- GET /static/x%3F")})
}

// queries are not judged, so they arrive byte for byte, unless they are no query.
func queries() []attack {
	var attacks []attack
	for _, query := range []string{"a=b;c=d", "x=%zz", "%", "a=../../admin", "a=%2e%2e%2f", "?", "??a", "a=//evil.example", "a=b&a=c", "a[]=%00", "%0d%0aX:y",
		`a=\b|"{}`, "=&&=", "a+b=%20"} {
		attacks = append(attacks, attack{name: "query " + query, request: get("/ok?" + query), want: "200", seen: seen("agent GET /ok?" + query)})
	}
	for _, query := range []string{"a#b", "#", "a=\xc3\xa9", "\x80", "a=b#/static"} {
		attacks = append(attacks, attack{name: "no query " + query, request: get("/ok?" + query), want: "400", seen: nothing})
	}
	return append(attacks, attack{name: "empty query", request: get("/ok?"), want: "200", seen: seen("agent GET /ok")})
}

// loosePaths go to a site that allows every class that can be allowed: every reading is judged there.
func loosePaths() []attack {
	var attacks []attack
	add := func(cookie, want, target, arrives string) {
		a := attack{name: "loose " + strings.TrimPrefix(cookie+" ", " ") + target, sni: "loose.localhost", want: want,
			request: "GET " + target + " HTTP/1.1\r\nHost: {loose}\r\n" + cookie + "\r\n"}
		switch {
		case arrives != "" && cookie == "":
			a.seen = seen("- GET " + arrives)
		case arrives != "":
			a.seen = seen("agent GET " + arrives)
		}
		attacks = append(attacks, a)
	}
	const agent = "{looseagent}"
	for target, arrives := range map[string]string{"/a%2Fb": "/a%2Fb", "/a%2f%2Fb": "/a%2F%2Fb", "/x;y/z;": "/x;y/z;", "/a%3bb": "/a%3Bb", `/a\b`: "/a%5Cb",
		"/a%5cb": "/a%5Cb", "/a%252Fb": "/a%252Fb", "/a%2520b": "/a%2520b"} {
		add(agent, "200", target, arrives)
	}
	for _, target := range []string{"/admin%2Fx", "/ADMIN%2fx", "/admin;x", "/admin;x/y", "/admin%3Bx", `/admin\x`, "/admin%5Cx", "/admin%252Fx", "/%2561dmin", "/%2561dmin;x",
		"/%252561dmin", "/data%2F..a", "/data%5c%2Fx", "/data%3F;x", "/secret%253Bx", "/secret;%2Fx"} {
		add(agent, "403", target, "")
	}
	for _, target := range []string{"/static%2Fx", "/static;x/y", `/static\x`, "/static%5Cx", "/static%252Fx"} {
		add("", "401", target, "")
	}
	add("", "200", "/static/a%2Fb", "/static/a%2Fb")
	for _, target := range []string{"/static%2F..%2Fadmin", "/static/..;/admin", "/static/..;x/admin", "/static/..%3Bx/admin", `/static\..\admin`, "/static/..%5Cadmin", "/a/%252e%252e%252fadmin",
		"/%25252561dmin", "/.doorward%2Fsign-in", "/.doorward;x/sign-in", "/%252edoorward/sign-in", "/a%00", "/a%2500", "/a%25c0%25af", "/a%252500", "/static/..%252Fadmin"} {
		add(agent, "400", target, "")
	}
	return attacks
}
