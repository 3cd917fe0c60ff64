package auth_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/language/languagetest"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// What is sealed is opened by the same purpose and context only, and nothing else is believed.
func TestSealed(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	sealed := f.Seal("a", "row 1", []byte("secret"))
	if got, err := f.Open("a", "row 1", sealed); err != nil || string(got) != "secret" {
		t.Errorf("open what was sealed: %q, %v", got, err)
	}
	if strings.Contains(sealed, "secret") || sealed == f.Seal("a", "row 1", []byte("secret")) {
		t.Errorf("sealing twice gives the same text, or the text shows: %s", sealed)
	}
	flip := func(i int) string {
		b := []byte(sealed)
		b[i] = map[bool]byte{true: 'A', false: 'B'}[b[i] != 'A']
		return string(b)
	}
	for what, c := range map[string]struct{ purpose, context, sealed string }{
		"another purpose":             {"b", "row 1", sealed},
		"another context":             {"a", "row 2", sealed},
		"purpose and context shifted": {"a\x00row", " 1", sealed},
		"first byte changed":          {"a", "row 1", flip(0)},
		"last byte changed":           {"a", "row 1", flip(len(sealed) - 2)},
		"cut":                         {"a", "row 1", sealed[:len(sealed)-4]},
		"longer":                      {"a", "row 1", sealed + "AAAA"},
		"with a line break":           {"a", "row 1", sealed[:8] + "\n" + sealed[8:]},
		"empty":                       {"a", "row 1", ""},
		"no base64":                   {"a", "row 1", "€€€"},
		"huge":                        {"a", "row 1", strings.Repeat("A", 1<<20)},
	} {
		if got, err := f.Open(c.purpose, c.context, c.sealed); err == nil {
			t.Errorf("%s: opened as %q", what, got)
		}
	}
	first, again := f.MAC("a", []byte("x")), f.MAC("a", []byte("x"))
	if first == f.MAC("b", []byte("x")) || first != again {
		t.Error("a MAC does not depend on its purpose, or not only on it and the data")
	}
}

// The keys are HKDF's (RFC 5869).
func TestDerivedKeys(t *testing.T) {
	key := [32]byte{1, 2, 3}
	want, err := hkdf.Expand(sha256.New, key[:], "doorward seal totp", 32)
	if got := auth.Derived(key, "seal", "totp"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("derived key is %x, want %x (%v)", got, want, err)
	}
}

// The key's file is made once, private, and missed when it is gone: a new key would silently make every
// second factor worthless.
func TestKeyFile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.cfg.DataDir = filepath.Join(t.TempDir(), "data")
		f.restart()
		path := filepath.Join(f.cfg.DataDir, "auth.key")
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("key file: mode %v, %v; want 0600", info, err)
		}
		first, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sealed := f.Seal("a", "", []byte("x"))
		f.restart()
		if _, err := f.Open("a", "", sealed); err != nil {
			t.Errorf("after a restart: %v", err)
		}
		fails := func(when, want string) {
			t.Helper()
			a, err := auth.New(f.cfg, auth.Deps{DB: f.db, Journal: f.journal, Log: slog.New(slog.DiscardHandler), Texts: languagetest.Shipped(t)})
			if err == nil || a != nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want an error with %q", when, err, want)
			}
		}
		write := func(text string, mode os.FileMode) {
			t.Helper()
			if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		fails("the key is gone", "auth.key is missing: copy auth.key from a node that shares this database")
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("a start without the key left one: %v", err)
		}
		write(strings.Repeat("ab", 32)+"\n", 0o600)
		fails("another key", "is not the one that this database was used with: copy auth.key")
		write("abc", 0o600)
		fails("half a key", "is not 32 bytes in hexadecimal")
		write(string(first), 0o640)
		fails("a key that others can read", "has mode 0640, so that others may read it: it must be 0600")

		write("", 0o600)
		before := len(f.entries(0))
		f.Auth = f.another()
		if _, err := f.Open("a", "", sealed); err == nil {
			t.Error("what the lost key sealed is opened with the new one")
		}
		if got := f.entries(int64(before)); len(got) != 1 || got[0].Action != "factor.key" {
			t.Errorf("journal of a new key: %+v", got)
		}
		write(string(first), 0o600)
		fails("the key before, after a new one was begun", "is not the one that this database was used with")
	})
}
