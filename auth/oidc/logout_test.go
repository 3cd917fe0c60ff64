package oidc_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth/oidc"
)

const event = "http://schemas.openid.net/event/backchannel-logout"

func logoutClaims(s *server) map[string]any {
	return map[string]any{"iss": s.URL, "aud": clientID, "sub": "248289761001", "sid": "08a5019c", "jti": "bWJq",
		"iat": start.Unix(), "exp": start.Add(2 * time.Minute).Unix(), "events": map[string]any{event: map[string]any{}}}
}

func TestLogoutNotice(t *testing.T) {
	s := newServer(t)
	p := s.provider(nil)
	for _, typ := range []string{"", "JWT", "logout+jwt"} {
		got, err := p.Logout(t.Context(), s.sign(s.keys[0], typ, logoutClaims(s)), start.Add(time.Second))
		want := oidc.LogoutNotice{Provider: "staff", Subject: "248289761001", SID: "08a5019c", Issued: start}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("type %q: error %v (-want +got):\n%s", typ, err, diff)
		}
	}
	notice := oidc.LogoutNotice{Issued: start}
	for began, want := range map[time.Time]bool{start.Add(-time.Hour): true, start.Add(time.Minute): true, start.Add(3 * time.Minute): false} {
		if got := began.Before(notice.Until()); got != want {
			t.Errorf("a notice of %v ends a session of %v: %t, want %t", start, began, got, want)
		}
	}
	for _, left := range []string{"sub", "sid", "exp"} {
		claims := logoutClaims(s)
		delete(claims, left)
		if _, err := p.Logout(t.Context(), s.sign(s.keys[0], "logout+jwt", claims), start); err != nil {
			t.Errorf("without %s: %v", left, err)
		}
	}
}

func TestForgedLogoutNotices(t *testing.T) {
	s := newServer(t)
	p := s.provider(nil)
	stranger := newKey(t, "first", jose.ES256)
	for name, token := range map[string]func(map[string]any) string{
		"none":                func(map[string]any) string { return "" },
		"huge":                func(map[string]any) string { return strings.Repeat("a", 65<<10) },
		"nonsense":            func(map[string]any) string { return "a.b.c" },
		"unsigned":            func(c map[string]any) string { return forge(t, `{"alg":"none"}`, c, nil) },
		"MAC":                 func(c map[string]any) string { return forge(t, `{"alg":"HS256"}`, c, []byte(secret)) },
		"stranger":            func(c map[string]any) string { return s.sign(stranger, "logout+jwt", c) },
		"another type":        func(c map[string]any) string { return s.sign(s.keys[0], "at+jwt", c) },
		"with a nonce":        func(c map[string]any) string { c["nonce"] = "x"; return s.sign(s.keys[0], "", c) },
		"with an empty nonce": func(c map[string]any) string { c["nonce"] = ""; return s.sign(s.keys[0], "", c) },
		"no event":            func(c map[string]any) string { delete(c, "events"); return s.sign(s.keys[0], "", c) },
		"another event": func(c map[string]any) string {
			c["events"] = map[string]any{"x": map[string]any{}}
			return s.sign(s.keys[0], "", c)
		},
		"event is null": func(c map[string]any) string {
			c["events"] = map[string]any{event: nil}
			return s.sign(s.keys[0], "", c)
		},
		"event is a text": func(c map[string]any) string {
			c["events"] = map[string]any{event: "yes"}
			return s.sign(s.keys[0], "", c)
		},
		"nobody meant":     func(c map[string]any) string { delete(c, "sub"); delete(c, "sid"); return s.sign(s.keys[0], "", c) },
		"no identifier":    func(c map[string]any) string { delete(c, "jti"); return s.sign(s.keys[0], "", c) },
		"no time of issue": func(c map[string]any) string { delete(c, "iat"); return s.sign(s.keys[0], "", c) },
		"old": func(c map[string]any) string {
			c["iat"] = start.Add(-6 * time.Minute).Unix()
			return s.sign(s.keys[0], "", c)
		},
		"of the future": func(c map[string]any) string {
			c["iat"] = start.Add(3 * time.Minute).Unix()
			return s.sign(s.keys[0], "", c)
		},
		"expired": func(c map[string]any) string {
			c["exp"] = start.Add(-time.Second).Unix()
			return s.sign(s.keys[0], "", c)
		},
		"old, no expiry": func(c map[string]any) string {
			c["iat"] = start.Add(-6 * time.Minute).Unix()
			delete(c, "exp")
			return s.sign(s.keys[0], "", c)
		},
		"expiry is a text": func(c map[string]any) string { c["exp"] = "later"; return s.sign(s.keys[0], "", c) },
		"huge times": func(c map[string]any) string {
			c["iat"], c["exp"] = 1e300, 1e300
			return s.sign(s.keys[0], "", c)
		},
		"another issuer": func(c map[string]any) string {
			c["iss"] = "https://login.evil.example"
			return s.sign(s.keys[0], "", c)
		},
		"another audience":  func(c map[string]any) string { c["aud"] = "another"; return s.sign(s.keys[0], "", c) },
		"unseen characters": func(c map[string]any) string { c["sid"] = "a\nb"; return s.sign(s.keys[0], "", c) },
	} {
		got, err := p.Logout(t.Context(), token(logoutClaims(s)), start)
		if got != (oidc.LogoutNotice{}) {
			t.Errorf("%s: a notice %+v came of it", name, got)
		}
		t.Run(name, func(t *testing.T) { wantReason(t, err, oidc.TokenInvalid) })
	}
	// An ID token is signed by the same key for the same client.
	id := map[string]any{"iss": s.URL, "aud": clientID, "sub": "248289761001", "iat": start.Unix(), "exp": start.Add(time.Hour).Unix(), "nonce": "n", "sid": "08a5019c"}
	_, err := p.Logout(t.Context(), s.sign(s.keys[0], "JWT", id), start)
	wantReason(t, err, oidc.TokenInvalid)
}

func TestLogoutNoticeIsNoSignIn(t *testing.T) {
	s := newServer(t)
	s.token = func(any) string { return s.sign(s.keys[0], "logout+jwt", logoutClaims(s)) }
	_, err := s.signIn(s.provider(nil))
	wantReason(t, err, oidc.TokenInvalid)
}

// FuzzLogout: no text that a stranger posts becomes a notice or takes the server down.
func FuzzLogout(f *testing.F) {
	s := newServer(f)
	p := s.provider(nil)
	stranger := newKey(f, "first", jose.ES256)
	f.Add("")
	f.Add("a.b.c")
	f.Add(s.sign(stranger, "logout+jwt", logoutClaims(s)))
	f.Add(forge(f, `{"alg":"none"}`, logoutClaims(s), nil))
	f.Add(forge(f, `{"alg":"ES256","kid":"first","crit":["b64"],"b64":false}`, logoutClaims(s), []byte("x")))
	f.Fuzz(func(t *testing.T, token string) {
		if got, err := p.Logout(t.Context(), token, start); err == nil {
			t.Errorf("%q became %+v", token, got)
		}
	})
}
