package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/store/storetest"
)

// TestCommandsOnPostgreSQL runs commands without a daemon on a real PostgreSQL, in this process.
func TestCommandsOnPostgreSQL(t *testing.T) {
	url, _, _ := storetest.PostgreSQL(t)
	dir := t.TempDir()
	secret := filepath.Join(dir, "postgresql.url")
	if err := os.WriteFile(secret, []byte(url+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "doorward.yaml")
	text := "data_dir: data\nstore: {url_file: postgresql.url}\npassword_hash: {memory_kib: 64}\n" +
		"sites: [{hosts: [a.localhost], upstreams: ['http://127.0.0.1:1']}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		args string
		code int
		want string
	}{
		{"check", 0, "ok"},
		{"user add maria --role owner --generate-password", 0, "password: "},
		{"user add joe --generate-password --json", 0, `"name": "joe"`},
		{"user disable joe", 0, "disabled joe"},
		{"user disable maria", 1, "this is the last enabled owner"},
		{"user list", 0, "maria  owner  enabled"},
		{"journal verify", 0, "intact: 3 entries"},
		{"session list --json", 0, "[]"},
	} {
		var out bytes.Buffer
		args := append(strings.Fields(step.args), "--config", file)
		code := run(t.Context(), args, streams{out: &out, err: &out})
		if code != step.code || !strings.Contains(out.String(), step.want) {
			t.Errorf("doorward %s: exit code %d, want %d, and %q in:\n%s", step.args, code, step.code, step.want, out.String())
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "doorward.db")); err == nil {
		t.Error("an SQLite file was made beside PostgreSQL")
	}
}
