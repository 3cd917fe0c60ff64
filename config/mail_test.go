package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/doorward/doorward/config"
)

// TestMailPageExamples: what docs/mail.md shows can be used as it stands.
func TestMailPageExamples(t *testing.T) {
	page, err := os.ReadFile("../docs/mail.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1)
	if len(examples) != 2 {
		t.Fatalf("the page has %d examples, want 2", len(examples))
	}
	for _, example := range examples {
		text := string(example[1]) + "sites: [{hosts: [a.example.org], upstreams: ['http://127.0.0.1:8080']}]\n"
		if cfg, err := config.Parse("doorward.yaml", []byte(text)); err != nil || !cfg.Mail.Enabled() {
			t.Errorf("%v in:\n%s", err, text)
		}
	}
}

// TestLoadMail: only the mail section and its files stop the command that tries the mail server.
func TestLoadMail(t *testing.T) {
	f := newFolder(t)
	f.write("password", 0o600, "secret\n")
	text := "mail: {host: smtp.example.org, from: desk@example.org, username: desk, password_file: password}\n" +
		"sites: [{hosts: [a.example.org], upstreams: [nonsense]}]\n"
	f.write("doorward.yaml", 0o644, text)
	file := filepath.Join(f.dir, "doorward.yaml")
	cfg, err := config.LoadMail(file)
	if err != nil || cfg.Mail.PasswordFile != filepath.Join(f.dir, "password") {
		t.Fatalf("got %+v, %v", cfg, err)
	}
	f.write("password", 0o644, "secret\n")
	if _, err := config.LoadMail(file); err == nil {
		t.Error("a password that everybody can read was accepted")
	}
	// Neither does a mistake in the mail section keep an administrator from ending a session.
	f.write("doorward.yaml", 0o644, "mail: {host: 'smtp example'}\nsites: [{hosts: [a.example.org], upstreams: ['http://127.0.0.1:1']}]\n")
	if _, err := config.LoadStore(file); err != nil {
		t.Errorf("LoadStore gave %v", err)
	}
}
