package config_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/doorward/doorward/config"
)

// TestExamplesOfOtherWaysIn: what docs/other-ways-in.md shows can be used as it is.
func TestExamplesOfOtherWaysIn(t *testing.T) {
	page, err := os.ReadFile("../docs/other-ways-in.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)\n```yaml\n(.*?)\n```").FindAllSubmatch(page, -1)
	if len(examples) < 6 {
		t.Fatalf("found %d examples", len(examples))
	}
	for _, example := range examples {
		text := "sites: [{hosts: [helpdesk.example.org], upstreams: ['http://127.0.0.1:8080']}]\n" + string(example[1]) + "\n"
		cfg, err := config.Parse("doorward.yaml", []byte(text))
		if err != nil {
			t.Errorf("%v\nin:\n%s", err, text)
		} else if len(cfg.OIDC)+len(cfg.LDAP) != 1 {
			t.Errorf("%d providers and directories were read of:\n%s", len(cfg.OIDC)+len(cfg.LDAP), text)
		}
	}
}
