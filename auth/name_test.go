package auth_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/doorward/doorward/auth"
)

func TestLoginKey(t *testing.T) {
	for _, c := range []struct {
		login, key string
		email, ok  bool
	}{
		{"Zoë", "zoë", false, true},
		{"ZOE\u0308", "zoë", false, true},
		{" zoe\t", "zoe", false, true},
		{"STRASSE", "strasse", false, true},
		{"straße", "strasse", false, true},
		{"Ａｄｍｉｎ", "admin", false, true}, // full width
		{"Zoe@Example.COM", "zoe@example.com", true, true},
		{"zoe＠example.com", "zoe@example.com", true, true}, // full-width @ is an @ once composed
		{"zoe@example.com@evil.example", "", true, false},
		{"zoe＠example.com@evil.example", "", true, false},
		{"@example.com", "", true, false},
		{"zoe@", "", true, false},
		{`"zoe, x"@example.com`, "", true, false},
		{"zoe <zoe@example.com>", "", true, false},
		{"zoe@example.com\x00", "", false, false},
		{"zoe\x00", "", false, false},
		{"zoe\nroot", "", false, false},
		{"zoe\u202eroot", "", false, false}, // right-to-left override
		{"zo\u200be", "", false, false},     // zero-width space
		{"zoe\xff", "", false, false},
		{"", "", false, false},
		{"   ", "", false, false},
		{strings.Repeat("a", 256), strings.Repeat("a", 256), false, true},
		{strings.Repeat("a", 257), "", false, false},
	} {
		key, email, ok := auth.LoginKey(c.login)
		if ok != c.ok || ok && (key != c.key || email != c.email) {
			t.Errorf("LoginKey(%q) = %q, %t, %t; want %q, %t, %t", c.login, key, email, ok, c.key, c.email, c.ok)
		}
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"zoe": true, "Zoë": true, "demo-owner": true, "a.b_c+d-1": true, "7up": true, "张伟": true, "अनिता": true,
		"": false, "-x": false, ".x": false, "a b": false, "a@b": false, "a:b": false, "a/b": false, "a'b": false,
		"a\r\nX-Role: owner": false, "a\u00a0b": false, "ﷺ": false, "a\u200db": false, strings.Repeat("x", 257): false,
	} {
		if got := auth.ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %t, want %t", name, got, want)
		}
	}
}

func TestNameForEvent(t *testing.T) {
	for login, want := range map[string]string{
		"root": "root", "web-admin.2": "web-admin.2", "zoe@example.com": "zoe@example.com", "": "",
		"correct horse battery": "[not recorded]",
		"correcthorsebattery":   "[not recorded]",
		"Tr0ub4dor&3":           "[not recorded]",
		"Summer2026":            "[not recorded]",
		"hunter2@home":          "[not recorded]",
		"12345678":              "[not recorded]",
		"a\x00b":                "[not recorded]",
	} {
		if got := auth.NameForEvent(login); got != want {
			t.Errorf("NameForEvent(%q) = %q, want %q", login, got, want)
		}
	}
}

// FuzzLogin holds that a key is its own key, has nothing invisible in it, and is an e-mail address only
// with exactly one @.
func FuzzLogin(f *testing.F) {
	for _, s := range []string{"zoe", "ZOË", "straße", "zoe@example.com", "a@b@c", "＠", "\u0345\u0301", "ŉ", "ǰ", "\u1e9e", "İ", "ﬁ", "\u2126",
		"a\x00b", "\xff", " x ", strings.Repeat("ﷺ", 256), "\u03a3\u03c2", "\u0130\u0307", "\u1fb7", "\u0344"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, email, ok := auth.LoginKey(s)
		if !ok {
			return
		}
		if again := auth.Fold(key); again != key {
			t.Errorf("Fold(%q) = %q, but folded again %q", s, key, again)
		}
		if !utf8.ValidString(key) || strings.ContainsAny(key, "\x00\r\n\t") {
			t.Errorf("LoginKey(%q) = %q", s, key)
		}
		if (strings.Count(key, "@") == 1) != email {
			t.Errorf("LoginKey(%q) = %q, e-mail %t", s, key, email)
		}
		if auth.ValidName(s) && (email || auth.Fold(s) != key) {
			t.Errorf("%q is a valid name but its key is %q, e-mail %t", s, key, email)
		}
	})
}
