package gateway_test

import (
	"encoding/base64"
	"strings"
	"testing"
)

// TestBypassHeader attacks with headers: names that an application could take for the gateway's word, and
// ways to take the gateway's own away.
func TestBypassHeader(t *testing.T) {
	t.Parallel()
	b := startBypass(t)
	attacks := append(spoofedNames(), connectionTricks()...)
	attacks = append(attacks, credentials()...)
	attacks = append(attacks, headerSkips()...)
	attacks = append(attacks, parameters()...)
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) { b.run(t, a) })
	}
	enough(t, b, 255)
}

// spoofedNames all carry the word "spoofed", which must never arrive.
func spoofedNames() []attack {
	var attacks []attack
	for _, name := range []string{
		// the application's own
		"X-Remote-User", "x-remote-user", "X-REMOTE-USER", "x-ReMoTe-UsEr", "Remote-Email", "X-Desk-Name", "x-desk-name", "X-DESK-ROLES", "X-Desk-Secret", "x-desk-assertion",
		// folded onto the same variable by CGI, WSGI, PSGI, FastCGI
		"X_Remote_User", "X-Remote_User", "X_Remote-User", "x_remote_user", "X_DESK_SECRET", "X-Desk_Roles", "Remote_Email", "HTTP_X_REMOTE_USER",
		// and by less careful servers
		"X.Remote.User", "X-Remote-User-", "-X-Remote-User", "_X-Remote-User", "X-Remote-User_", "X--Remote-User", "X-Remote--User", "X-Remote-User!", "'X-Remote-User", "X-Remote-User'", "X~Remote~User",
		"X*Remote*User", "X-Remote-User.", "$X-Remote-User", "#X-Remote-User", "X|Remote|User", "X`Remote`User", "X^Remote-User", "%58-Remote-User", "X+Remote+User", "X-Remote-User%00",
		// others' names for the same thing
		"Remote-User", "REMOTE_USER", "Remote_User", "Http-Remote-User", "REDIRECT_REMOTE_USER", "Redirect-Remote-User", "X-User", "X-Username", "X-Auth-User", "X-Authenticated-User",
		"X-Authenticated-Userid", "X-WebAuth-User", "X-Auth-Request-User", "X-Auth-Request-Email", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups",
		"X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-authentik-username", "Remote-Groups", "Remote-Name", "Auth-User", "X-Email", "X-Roles", "X-Groups",
		"Oidc-Claim-Email", "OIDC_CLAIM_sub", "X-Sso-User", "SM_USER", "Sm-User", "Iv-User", "X-Shib-User", "Eppn", "X-Ms-Client-Principal-Name", "X-Goog-Authenticated-User-Email",
		"X-Amzn-Oidc-Identity", "Cf-Access-Authenticated-User-Email", "X-Pomerium-Claim-Email", "Tailscale-User-Login", "X-Doorward-User", "X-Doorward-Anything", "X_Doorward_User",
		// addresses
		"X-Forwarded-For", "X-Forwarded_For", "Forwarded", "X-Real-IP", "X_Real_IP", "X-Client-IP", "Client-IP", "CLIENT_IP", "True-Client-IP", "CF-Connecting-IP", "X-Cluster-Client-IP",
		"X-Originating-IP", "X-Remote-IP", "X-Remote-Addr", "REMOTE_ADDR", "X-ProxyUser-Ip", "X-Custom-IP-Authorization", "Fastly-Client-IP", "X-Azure-ClientIP", "Via",
		// targets
		"X-Original-URL", "X-Rewrite-URL", "X-Original-URI", "X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Forwarded-Path", "X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Server",
		"X-Forwarded-Port", "X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Forwarded", "X-Script-Name", "SCRIPT_NAME", "X-Sendfile-Type", "X-Accel-Mapping", "X-Middleware-Subrequest", "Proxy", "X-Host",
		// certificates
		"SSL_CLIENT_S_DN", "Ssl-Client-Cert", "X-SSL-Client-Cert", "X-SSL-Client-Verify", "X-Client-Cert", "X-Client-Verify", "Client-Cert", "X-Forwarded-Client-Cert", "X-ARR-ClientCert", "X-Tls-Client-Cert",
	} {
		attacks = append(attacks, attack{name: "spoofed " + name, request: with(name + ": spoofed"), want: "200", seen: seen("agent GET /ok")})
	}
	return append(attacks,
		attack{name: "spoofed twice", request: with("X-Remote-User: spoofed\r\nx-remote-user: spoofed"), want: "200", seen: seen("agent GET /ok")},
		attack{name: "spoofed by nobody", request: "GET /static/x HTTP/1.1\r\nHost: {host}\r\nX-Remote-User: spoofed\r\nX-Desk-Roles: spoofed\r\nX-Desk-Secret: spoofed\r\n\r\n", want: "200", seen: seen("- GET /static/x")},
		attack{name: "spoofed empty", request: with("X-Remote-User:\r\nX-Desk-Secret:"), want: "200", seen: seen("agent GET /ok")},
		attack{name: "ordinary headers pass", request: with("X-Requested-With: XMLHttpRequest\r\nX-CSRF-Token: t\r\nX-Note: n\r\nAccept: a\r\nAccept: b"), want: "200", seen: seen("agent GET /ok"),
			also: []string{"X-Requested-With=XMLHttpRequest", "X-CSRF-Token=t", "X-Note=n", "Accept=a + b"}},
	)
}

// connectionTricks ask the gateway to drop headers as if they concerned the connection alone.
func connectionTricks() []attack {
	ok := seen("agent GET /ok")
	var attacks []attack
	for _, line := range []string{"X-Remote-User", "close, X-Remote-User", "X-Desk-Secret, X-Desk-Assertion", "x-desk-roles,x-desk-name , remote-email", "X-Forwarded-For, Forwarded, X-Forwarded-Proto",
		"Cookie", "Host", "keep-alive, , X-Remote-User,", "Content-Length, Transfer-Encoding", "close\r\nConnection: X-Remote-User\r\nconnection: x-desk-secret", "upgrade, X-Remote-User"} {
		want := "200"
		if strings.Contains(line, "close") {
			want = "200 close"
		}
		attacks = append(attacks, attack{name: "connection " + line, request: with("Connection: " + line), want: want, seen: ok})
	}
	return append(attacks,
		attack{name: "connection names a header that is there", request: with("X-Note: n\r\nConnection: X-Note"), want: "200", seen: ok, also: []string{"!X-Note"}},
		attack{name: "connection names a header oddly", request: with("Connection: X_Remote_User"), want: "400", seen: nothing},
		attack{name: "connection with a quoted name", request: with("Connection: \"X-Remote-User\""), want: "400", seen: nothing},
		attack{name: "proxy connection", request: with("Proxy-Connection: X-Remote-User\r\nKeep-Alive: X-Remote-User"), want: "200", seen: ok, also: []string{"!Proxy-Connection", "!Keep-Alive"}},
		attack{name: "TE", request: with("Connection: TE\r\nTE: trailers, chunked;q=0.5"), want: "200", seen: ok, also: []string{"!Te"}},
		attack{name: "h2c", request: with("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"), want: "200", seen: ok, also: []string{"!Upgrade", "!HTTP2-Settings", "!Connection"}},
		attack{name: "h2c on the websocket path", request: "GET /ws HTTP/1.1\r\nHost: {host}\r\n{agent}Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n", want: "200", seen: seen("agent GET /ws"), also: []string{"!Upgrade"}},
		attack{name: "websocket elsewhere", request: with("Connection: Upgrade\r\nUpgrade: websocket"), want: "403", seen: nothing},
		attack{name: "websocket in another case of its path", request: "GET /WS HTTP/1.1\r\nHost: {host}\r\n{agent}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", want: "403", seen: nothing},
		attack{name: "websocket from another site", request: "GET /ws HTTP/1.1\r\nHost: {host}\r\n{agent}Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: https://evil.example\r\n\r\n", want: "403", seen: nothing},
		attack{name: "websocket by nobody", request: "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", want: "401", seen: nothing},
	)
}

// credentials are the application's own sign-in by header.
func credentials() []attack {
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("root:password"))
	api := func(path, lines string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: {host}\r\n{agent}" + lines + "\r\n\r\n"
	}
	return []attack{
		{name: "Basic", request: with(basic), want: "200", seen: seen("agent GET /ok"), also: []string{"!Authorization"}},
		{name: "Bearer", request: with("authorization: Bearer x"), want: "200", seen: seen("agent GET /ok"), also: []string{"!Authorization"}},
		{name: "Authorization with an underscore", request: with("AUTHORIZATION_: Basic x\r\nHTTP_AUTHORIZATION: Basic x"), want: "200", seen: seen("agent GET /ok"), also: []string{"!AUTHORIZATION_", "!HTTP_AUTHORIZATION"}},
		{name: "Redirect-Http-Authorization", request: with("Redirect-Http-Authorization: Basic spoofed\r\nX-HTTP-Authorization: x"), want: "200", seen: seen("agent GET /ok"), also: []string{"!Redirect-Http-Authorization"}},
		{name: "Basic without a session", request: "GET /ok HTTP/1.1\r\nHost: {host}\r\n" + basic + "\r\n\r\n", want: "401", seen: nothing},
		{name: "Basic on a public path", request: "GET /static/x HTTP/1.1\r\nHost: {host}\r\n" + basic + "\r\n\r\n", want: "200", seen: seen("- GET /static/x"), also: []string{"!Authorization"}},
		{name: "Basic on a declared path", request: api("/api/v1/x", basic), want: "200", seen: seen("agent GET /api/v1/x"), also: []string{strings.Replace(basic, ": ", "=", 1)}},
		{name: "twice on a declared path", request: api("/api/v1/x", basic+"\r\n"+basic), want: "400", seen: nothing},
		{name: "other case of the declared path", request: api("/API/v1/x", basic), want: "200", seen: seen("agent GET /API/v1/x"), also: []string{"!Authorization"}},
		{name: "longer than the declared path", request: api("/api/v10", basic), want: "200", seen: seen("agent GET /api/v10"), also: []string{"!Authorization"}},
		{name: "declared path and a way out", request: api("/api/v1/../../ok", basic), want: "400", seen: nothing},
		{name: "declared path in the query", request: api("/ok?/api/v1/", basic), want: "200", seen: seen("agent GET /ok?/api/v1/"), also: []string{"!Authorization"}},
		{name: "declared path cut off", request: api("/api%3F/v1", basic), want: "200", seen: seen("agent GET /api%3F/v1"), also: []string{"!Authorization"}},
		{name: "Proxy-Authorization", request: api("/api/v1/x", "Proxy-Authorization: Basic spoofed"), want: "200", seen: seen("agent GET /api/v1/x"), also: []string{"!Proxy-Authorization"}},
		{name: "the application's own", request: with("X-RPC-Auth-Username: spoofed\r\nx-rpc-auth-username: spoofed\r\nX_RPC_Auth_Username: spoofed"), want: "200", seen: seen("agent GET /ok")},
	}
}

// headerSkips are headers by which other gateways could be made to skip the question who is asking.
func headerSkips() []attack {
	var attacks []attack
	for _, line := range []string{"User-Agent: GoogleHC/1.0", "User-Agent: kube-probe/1.30", "User-Agent: ELB-HealthChecker/2.0", "User-Agent: Googlebot", "X-Forwarded-Uri: /static/a.css",
		"X-Original-URL: /static/a.css", "X-Original-URI: /static/a.css", "X-Rewrite-URL: /static/a.css", "X-Forwarded-Method: OPTIONS", "X-Http-Method-Override: OPTIONS", "X-Forwarded-For: 127.0.0.1",
		"X-Forwarded-For: 10.0.0.1", "X-Real-IP: 10.0.0.1", "Forwarded: for=10.0.0.1", "X-Forwarded-Proto: https", "Authorization: Basic YWRtaW46YWRtaW4=", "X-Auth-Request-Redirect: /static",
		"X-Middleware-Subrequest: middleware:middleware:middleware:middleware:middleware", "Upgrade: websocket\r\nConnection: Upgrade", "Purpose: prefetch", "Sec-Fetch-Mode: cors", "Referer: https://{host}/admin",
		"Origin: https://{host}", "X-Doorward-Allow: yes", "Range: bytes=0-", "Expect: 100-continue", "Access-Control-Request-Method: GET"} {
		attacks = append(attacks, attack{name: "skip by " + line, request: "GET /ok HTTP/1.1\r\nHost: {host}\r\n" + line + "\r\n\r\n", want: "401", seen: nothing})
	}
	for _, target := range []string{"/healthz", "/readyz", "/metrics", "/ping", "/oauth2/auth", "/robots.txt", "/favicon.ico", "/.well-known/acme-challenge/x", "/ok#/static/", "/ok%23/static/", "/ok?/static/a.css", "/ok/static/..a"} {
		want := "401"
		if strings.Contains(target, "#") {
			want = "400"
		}
		attacks = append(attacks, attack{name: "skip by path " + target, request: anonymous(target), want: want, seen: nothing})
	}
	network := func(line string) attack {
		return attack{name: "network " + line, request: "GET /intra/x HTTP/1.1\r\nHost: {host}\r\n{agent}" + line + "\r\n\r\n", want: "403", seen: nothing}
	}
	return append(attacks, network("X-Forwarded-For: 10.0.0.1"), network("X-Forwarded-For: 10.0.0.1, 127.0.0.1"), network("Forwarded: for=10.0.0.1"), network("X-Real-IP: 10.0.0.1"), network("X_Forwarded_For: 10.0.0.1"),
		attack{name: "preflight is no pass", request: "OPTIONS /ok HTTP/1.1\r\nHost: {host}\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n", want: "401", seen: nothing},
		attack{name: "from another site", request: post("Origin: https://evil.example\r\nContent-Length: 0", ""), want: "403", seen: nothing},
		attack{name: "from another site, says the browser", request: post("Sec-Fetch-Site: cross-site\r\nContent-Length: 0", ""), want: "403", seen: nothing},
		attack{name: "from a sister site", request: post("Sec-Fetch-Site: same-site\r\nContent-Length: 0", ""), want: "403", seen: nothing},
		attack{name: "from two origins", request: post("Origin: https://{host}\r\nOrigin: https://evil.example\r\nContent-Length: 0", ""), want: "400|403", seen: nothing},
		attack{name: "two fetch sites", request: post("Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 0", ""), want: "400|403", seen: nothing},
		attack{name: "two content types", request: post("Content-Type: application/json\r\nContent-Type: text/plain\r\nContent-Length: 0", ""), want: "400", seen: nothing},
		attack{name: "open redirect by return_to", request: anonymous("/.doorward/sign-in?return_to=//evil.example"), want: "200", seen: nothing},
		attack{name: "navigation goes to the sign-in page", request: "GET /ok?a=b HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n", want: "303", seen: nothing, also: []string{"location=/.doorward/sign-in?return_to=%2Fok%3Fa%3Db"}},
	)
}

// parameters are the application's own sign-in by query or form.
func parameters() []attack {
	var attacks []attack
	for _, query := range []string{"user=root&pass=password", "a=b&user=root", "a=b;user=root", "us%65r=root", "USER=root", "user", "%20user=root", "user%20=root", "user[]=root", "user%00=root", "+pass=x", "pass%5B0%5D=x", "&&user=", "a=b&%75%73%65%72=root"} {
		attacks = append(attacks, attack{name: "parameter " + query, request: get("/rest/1.0/ticket?" + query), want: "403", seen: nothing})
	}
	attacks = append(attacks,
		attack{name: "parameter, other case of the path", request: get("/REST/1.0?user=root"), want: "403", seen: nothing},
		attack{name: "parameter elsewhere", request: get("/ok?user=root"), want: "200", seen: seen("agent GET /ok?user=root")},
		attack{name: "parameter that only looks like it", request: get("/rest?username=x&query=user%3Droot"), want: "200", seen: seen("agent GET /rest?username=x&query=user%3Droot")},
	)
	form := func(name, kind, body, want string) attack {
		a := attack{name: name, want: want, request: "POST /rest/1.0 HTTP/1.1\r\nHost: {host}\r\n{agent}" + kind + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body}
		if want == "200" {
			a.seen, a.also = seen("agent POST /rest/1.0"), []string{"body=" + body}
		}
		return a
	}
	const urlencoded = "Content-Type: application/x-www-form-urlencoded\r\n"
	const multipart = "Content-Type: multipart/form-data; boundary=b\r\n"
	part := func(disposition string) string {
		return "--b\r\n" + disposition + "\r\n\r\nroot\r\n--b--\r\n"
	}
	return append(attacks,
		form("form", urlencoded, "user=root&pass=password", "403"),
		form("form in another case", "content-type: APPLICATION/X-WWW-FORM-URLENCODED; charset=utf-8\r\n", "a=b&User=root", "403"),
		form("form with semicolons", urlencoded, "a=b;pass=x", "403"),
		form("form without a type", "", "user=root", "403"),
		form("form whose type is dropped", "Content-Type: application/json\r\nConnection: Content-Type\r\n", "user=root", "403"),
		form("form, compressed", urlencoded+"Content-Encoding: gzip\r\n", "\x1f\x8b", "403"),
		form("form that is fine", urlencoded, "content=id%3A+new&username=x", "200"),
		form("JSON", "Content-Type: application/json\r\n", `{"user":"root"}`, "200"),
		form("form too large", urlencoded, strings.Repeat("a", 1<<20+1), "413 close"),
		form("multipart", multipart, part(`Content-Disposition: form-data; name="user"`), "403"),
		form("multipart, unquoted", multipart, part(`content-disposition:form-data;name=pass`), "403"),
		form("multipart, single quotes", multipart, part(`Content-Disposition: form-data; name='user'`), "403"),
		form("multipart, extended", multipart, part(`Content-Disposition: form-data; name*=utf-8''us%65r`), "403"),
		form("multipart, folded", multipart, part("Content-Disposition: form-data;\r\n name=\"user\""), "403"),
		form("multipart, second name", multipart, part(`Content-Disposition: form-data; name="a"; name="user"`), "403"),
		form("multipart, other boundary", multipart, "--c\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nroot\r\n--c--\r\n", "403"),
		form("multipart, mixed", "Content-Type: multipart/mixed; boundary=b\r\n", part(`Content-Disposition: form-data; name="user"`), "403"),
		form("multipart that is fine", multipart, part(`Content-Disposition: form-data; name="content"; filename="user"`), "200"),
		attack{name: "form in chunks", request: "POST /rest/1.0 HTTP/1.1\r\nHost: {host}\r\n{agent}" + urlencoded + "Transfer-Encoding: chunked\r\n\r\n3\r\nuse\r\n6\r\nr=root\r\n0\r\n\r\n", want: "403", seen: nothing},
		attack{name: "form by PUT", request: "PUT /rest/1.0 HTTP/1.1\r\nHost: {host}\r\n{agent}" + urlencoded + "Content-Length: 9\r\n\r\nuser=root", want: "403", seen: nothing},
	)
}
