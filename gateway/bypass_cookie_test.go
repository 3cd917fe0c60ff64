package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/auth"
)

// TestBypassCookie attacks the session cookie: ways to plant one, to have it read in two ways, and to make it
// reach the application.
func TestBypassCookie(t *testing.T) {
	t.Parallel()
	b := startBypass(t)
	ok := seen("agent GET /ok")
	cookies := func(lines string) string { return "GET /ok HTTP/1.1\r\nHost: {host}\r\n" + lines + "\r\n\r\n" }
	const ours = "__Host-doorward={token}"
	attacks := []attack{
		{name: "none", request: cookies("Accept: */*"), want: "401", seen: nothing},
		{name: "wrong", request: cookies("Cookie: __Host-doorward=x"), want: "401", seen: nothing},
		{name: "ours alone", request: cookies("Cookie: " + ours), want: "200", seen: ok, also: []string{"!Cookie"}},
		{name: "ours first", request: cookies("Cookie: " + ours + "; a=1"), want: "200", seen: ok, also: []string{"Cookie=a=1"}},
		{name: "ours last", request: cookies("Cookie: a=1; " + ours), want: "200", seen: ok, also: []string{"Cookie=a=1"}},
		{name: "ours between", request: cookies("Cookie: a=1; " + ours + "; b=2"), want: "200", seen: ok, also: []string{"Cookie=a=1; b=2"}},
		{name: "without spaces", request: cookies("Cookie: a=1;" + ours + ";b=2"), want: "200", seen: ok, also: []string{"Cookie=a=1;b=2"}},
		{name: "in two lines", request: cookies("Cookie: a=1\r\nCookie: " + ours + "\r\nCookie: b=2"), want: "200", seen: ok, also: []string{"Cookie=a=1; b=2"}},
		{name: "other names pass", request: cookies("Cookie: " + ours + "; host-door=1; doorward.=2; __Host-app=3"), want: "200", seen: ok, also: []string{"Cookie=host-door=1; doorward.=2; __Host-app=3"}},
		{name: "values pass as they are", request: cookies("Cookie: a=\"x,y\"; " + ours + "; b={\"c\":1,\"d\":[2,3]}; e"), want: "200", seen: ok, also: []string{`Cookie=a="x,y"; b={"c":1,"d":[2,3]}; e`}},
		// tossing: one planted beside ours
		{name: "tossed before", request: cookies("Cookie: __Host-doorward=x; " + ours), want: "401", seen: nothing},
		{name: "tossed behind", request: cookies("Cookie: " + ours + "; __Host-doorward=x"), want: "401", seen: nothing},
		{name: "tossed in another line", request: cookies("Cookie: " + ours + "\r\nCookie: __Host-doorward=x"), want: "401", seen: nothing},
		{name: "tossed twice the same", request: cookies("Cookie: " + ours + "; " + ours), want: "401", seen: nothing},
		{name: "tossed empty", request: cookies("Cookie: " + ours + "; __Host-doorward="), want: "401", seen: nothing},
		{name: "tossed in another case", request: cookies("Cookie: " + ours + "; __host-Doorward=x; a=1"), want: "200", seen: ok, also: []string{"Cookie=a=1"}},
		{name: "tossed with a quote", request: cookies(`Cookie: a="x; ` + ours + `; b=y"`), want: "200", seen: ok, also: []string{`Cookie=a="x; b=y"`}},
		{name: "tossed with a version", request: cookies("Cookie: $Version=1; " + ours + "; $Path=/"), want: "200", seen: ok, also: []string{"Cookie=$Version=1; $Path=/"}},
		{name: "tossed with an underscore in the header", request: cookies("Cookie: " + ours + "\r\nCookie2: __Host-doorward=x\r\nX_Cookie: a"), want: "200", seen: ok, also: []string{"!Cookie2"}},
		// the other realm's
		{name: "console's beside ours", request: cookies("Cookie: " + ours + "; __Host-doorward-console=x; a=1"), want: "200", seen: ok, also: []string{"Cookie=a=1"}},
		{name: "console's with our token", request: cookies("Cookie: __Host-doorward-console={token}"), want: "401", seen: nothing},
	}
	// Spellings of ours that must open nothing here. What of them an application might read is gone as well.
	for _, pair := range []string{"__host-doorward={token}", "__Host-Doorward={token}", "__HOST-DOORWARD={token}", "__Host-doorward ={token}", "__Host-doorward= {token}x", "__Host-doorward=\"{token}\"",
		"\"__Host-doorward\"={token}", "%5F_Host-doorward={token}", "__Host-%64oorward={token}", "__Secure-doorward={token}", "doorward={token}", "__Host-doorward={token},", "a=1, __Host-doorward={token}",
		"a=1,__Host-doorward={token}", "__Host-doorward[]={token}", "__Host-doorward.x={token}", "..Host-doorward={token}", "_+Host-doorward={token}", "__Host-doorward%3D={token}", "__Host-doorward", "={token}", "__Host-doorward\t\t={token}"} {
		attacks = append(attacks, attack{name: "spelled " + pair, request: cookies("Cookie: " + pair), want: "401", seen: nothing})
		if strings.Contains(pair, "ost-") && !strings.Contains(pair, "[]") {
			attacks = append(attacks, attack{name: "spelled on a public path " + pair, request: "GET /static/x HTTP/1.1\r\nHost: {host}\r\nCookie: b=2; " + pair + "; c=3\r\n\r\n", want: "200", seen: seen("- GET /static/x")})
		}
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) { b.run(t, a) })
	}
	enough(t, b, 60)
}

// person is somebody with a browser, as far as cookies go.
func (b *bypass) person(t *testing.T) *http.Client {
	t.Helper()
	client := b.client()
	jar, err := cookiejar.New(nil)
	must(t, err)
	client.Jar = jar
	return client
}

func (b *bypass) signInAs(t *testing.T, client *http.Client, login string) int {
	t.Helper()
	res, err := client.PostForm(b.words.Replace("https://{host}/.doorward/sign-in"), url.Values{"username": {login}, "password": {bypassPassword}, "return_to": {"/ok"}})
	must(t, err)
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	must(t, err)
	return res.StatusCode
}

// ask returns the status of a GET, and who the application was told it came from.
func (b *bypass) ask(t *testing.T, client *http.Client, path string) (int, string) {
	t.Helper()
	b.up.take()
	res, err := client.Get(b.words.Replace("https://{host}" + path))
	must(t, err)
	res.Body.Close()
	arrived := b.up.take()
	if len(arrived) == 0 {
		return res.StatusCode, ""
	}
	return res.StatusCode, arrived[0].get("X-Remote-User")
}

// TestBypassSession replays public bugs of sign-in and sign-out.
func TestBypassSession(t *testing.T) {
	t.Parallel()
	b := startBypass(t)
	cookie := func(c *http.Client) string {
		for _, cookie := range c.Jar.Cookies(&url.URL{Scheme: "https", Host: "help.localhost"}) {
			if cookie.Name == "__Host-doorward" {
				return cookie.Value
			}
		}
		return ""
	}
	withToken := func(token string) attack {
		return attack{request: "GET /ok HTTP/1.1\r\nHost: {host}\r\nCookie: __Host-doorward=" + token + "\r\n\r\n", want: "401", seen: nothing}
	}

	t.Run("sign-in replaces the session before", func(t *testing.T) {
		c := b.person(t)
		if status := b.signInAs(t, c, "admin"); status != http.StatusSeeOther {
			t.Fatalf("sign-in: got %d, want 303", status)
		}
		before := cookie(c)
		if status := b.signInAs(t, c, "agent"); status != http.StatusSeeOther {
			t.Fatalf("second sign-in: got %d, want 303", status)
		}
		if after := cookie(c); after == before || after == "" {
			t.Fatal("the second sign-in kept the first one's token")
		}
		if status, who := b.ask(t, c, "/ok"); status != 200 || who != "agent" {
			t.Errorf("got %d as %q, want 200 as agent", status, who)
		}
		b.run(t, withToken(before))
	})
	t.Run("sign-in does not take a token that was brought", func(t *testing.T) {
		c := b.person(t)
		fixed := strings.Repeat("A", 43)
		c.Jar.SetCookies(&url.URL{Scheme: "https", Host: "help.localhost"}, []*http.Cookie{{Name: "__Host-doorward", Value: fixed, Path: "/", Secure: true}})
		b.signInAs(t, c, "agent")
		if cookie(c) == fixed {
			t.Error("the session has the token that the attacker chose")
		}
		b.run(t, withToken(fixed))
	})
	t.Run("sign-out ends the session, not only the cookie", func(t *testing.T) {
		c := b.person(t)
		b.signInAs(t, c, "agent")
		token := cookie(c)
		res, err := c.PostForm(b.words.Replace("https://{host}/.doorward/sign-out"), nil)
		must(t, err)
		res.Body.Close()
		if left := cookie(c); left != "" {
			t.Errorf("the cookie is still there: %q", left)
		}
		b.run(t, withToken(token))
	})
	t.Run("sign-out by GET changes nothing", func(t *testing.T) {
		c := b.person(t)
		b.signInAs(t, c, "agent")
		b.ask(t, c, "/.doorward/sign-out")
		if status, who := b.ask(t, c, "/ok"); status != 200 || who != "agent" {
			t.Errorf("got %d as %q, want 200 as agent", status, who)
		}
	})
	t.Run("an address with two at signs is nobody", func(t *testing.T) {
		for _, email := range []string{"agent@example.org@evil.example", "agent@evil.example@example.org", "\"agent@evil.example\"@example.org", "agent@example.org,evil@example.org", "agent@example.org\x00", "agent@example.org "} {
			_, err := b.auth.AddPrincipal(t.Context(), auth.Actor{Name: "test", Origin: "local"},
				auth.NewPrincipal{Name: "mallory", Email: email, Roles: []auth.Role{auth.User}, Password: bypassPassword})
			if err == nil {
				t.Errorf("an account with the address %q was made", email)
			}
		}
		if status := b.signInAs(t, b.person(t), "agent@example.org@evil.example"); status != http.StatusUnauthorized {
			t.Errorf("sign-in: got %d, want 401", status)
		}
	})
	t.Run("return only to this host", func(t *testing.T) {
		for _, target := range []string{"//evil.example", `/\evil.example`, "https://evil.example", "/%2f/evil.example", "/\t/evil.example", "javascript:alert(1)", "/.doorward/sign-out", "http:evil.example", "/..//evil.example"} {
			res, err := b.person(t).PostForm(b.words.Replace("https://{host}/.doorward/sign-in"), url.Values{"username": {"agent"}, "password": {bypassPassword}, "return_to": {target}})
			must(t, err)
			res.Body.Close()
			if location := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || location != "/" {
				t.Errorf("return_to %q: got %d to %q, want 303 to /", target, res.StatusCode, location)
			}
		}
	})
	t.Run("assertion is for this site and names the session's person", func(t *testing.T) {
		c := b.person(t)
		b.signInAs(t, c, "agent")
		b.ask(t, c, "/static/before")
		b.up.take()
		res, err := c.Get(b.words.Replace("https://{host}/ok"))
		must(t, err)
		res.Body.Close()
		arrived := b.up.take()
		if len(arrived) != 1 {
			t.Fatalf("%d requests arrived, want 1", len(arrived))
		}
		b.checkAssertion(t, c, arrived[0].get("X-Desk-Assertion"))
	})
}

func (b *bypass) checkAssertion(t *testing.T, c *http.Client, assertion string) {
	t.Helper()
	res, err := c.Get(b.words.Replace("https://{host}/.doorward/jwks.json"))
	must(t, err)
	defer res.Body.Close()
	jwks, err := io.ReadAll(res.Body)
	must(t, err)
	claims, err := verifyAssertion(jwks, assertion)
	must(t, err)
	if claims["aud"] != "help.localhost" || claims["preferred_username"] != "agent" || claims["email"] != "agent@example.org" || claims["iss"] != "https://help.localhost" {
		t.Errorf("claims: %v", claims)
	}
	if life := claims["exp"].(float64) - claims["iat"].(float64); life != 60 {
		t.Errorf("the assertion lives %v s, want 60", life)
	}
	if roles, err := json.Marshal(claims["roles"]); err != nil || string(roles) != `["agent"]` {
		t.Errorf("roles: got %s, want [\"agent\"]", roles)
	}
}
