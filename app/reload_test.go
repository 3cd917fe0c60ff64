package app_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
)

// TestReload: a good file takes effect for the next request, sessions stay; a bad file changes nothing, and
// both are in the journal.
func TestReload(t *testing.T) {
	r := start(t, store.Config{}, "")
	agent := r.mustSignIn("agent")
	if status, _ := r.get("/secret/", agent); status != 200 {
		t.Fatalf("before: got %d, want 200", status)
	}
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	operator := auth.Actor{Name: "cli:tester", Origin: "local"}
	r.write(string(text) + "    access:\n      - {path: /secret/, deny: true}\n")
	if err := r.ReloadFile(context.Background(), operator); err != nil {
		t.Fatalf("reload: %v", err)
	}
	if status, _ := r.get("/secret/", agent); status != 403 {
		t.Errorf("after the reload: got %d, want 403", status)
	}
	if status, body := r.get("/", agent); status != 200 || body != "hello agent" {
		t.Errorf("the session after the reload: got %d %q", status, body)
	}
	for name, bad := range map[string]string{
		"not YAML":             "sites: [",
		"unknown key":          string(text) + "    acess: []\n",
		"other listener":       strings.Replace(string(text), `https: ["127.0.0.1:0"]`, `https: ["127.0.0.2:0"]`, 1),
		"other console":        strings.Replace(string(text), "console:\n  listen: [\"127.0.0.1:0\"]", "console:\n  listen: [\"127.0.0.1:1\"]", 1),
		"other data_dir":       strings.Replace(string(text), "/data\n", "/data2\n", 1),
		"other header timeout": string(text) + "limits: {header_timeout: 7s}\n",
		"missing key file":     string(text) + "    tls: {certificate: /nonexistent.pem, key: /nonexistent.key}\n",
	} {
		r.write(bad)
		if err := r.ReloadFile(context.Background(), operator); err == nil {
			t.Errorf("%s: reload gave no error", name)
		}
		if status, _ := r.get("/secret/", agent); status != 403 {
			t.Errorf("%s: the policy changed: got %d for /secret/, want 403", name, status)
		}
	}
	entries, err := r.Journal().Entries(context.Background(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[string]int)
	for _, e := range entries {
		if strings.HasPrefix(e.Action, "config.") {
			count[e.Action]++
			if e.Actor != operator.Name || e.Origin != operator.Origin || e.Before == "" || e.After == "" {
				t.Errorf("entry %d: got %+v, want who, from where, before and after", e.Index, e)
			}
		}
	}
	if count["config.reload"] != 1 || count["config.reload-refused"] != 7 {
		t.Errorf("journal: got %v, want 1 reload and 7 refused", count)
	}
}
