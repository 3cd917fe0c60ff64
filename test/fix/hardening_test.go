package fix_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/doorward/doorward/test/real"
)

// TestHardening follows docs/hardening.md to the letter, in a copy of this machine, and looks at what each block leaves.
func TestHardening(t *testing.T) {
	t.Parallel()
	h := newHost(t, "/usr/sbin/sshd", "/usr/sbin/apache2", "curl", "setpriv")
	h.run("rm -f .ssh/id_ed25519*; cp /usr/local/bin/doorward /usr/bin/doorward")
	page, err := os.ReadFile(filepath.Join(real.Repository(t), "docs", "hardening.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^## ([0-9]+)\\.[^\n]*$|^```sh\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	section, said, before := "", map[string]string{}, ""
	for _, b := range blocks {
		if b[1] != "" {
			section = b[1]
			continue
		}
		if section == "4" {
			before = h.snapshot("/etc/ssh /etc/apache2 /etc/php /srv/desk")
		}
		said[section] += h.run("set -e\n" + b[2])
	}
	for section, wants := range map[string][]string{
		"3": {"answered "},
		"4": {"+ServerTokens Prod", "then: /usr/sbin/apache2ctl configtest"},
		"5": {"I-42: pass", "Server: Apache\r\n"},
		"6": {"unconfirmed until", "kept, by a connection that began"},
		"7": {"I-71: pass", "refused"},
		"8": {"the seal of desk is lifted until", "1 added, 0 removed, 1 changed", "+ help.php", "~ index.php"},
		"9": {"undone", "Debian"},
	} {
		for _, want := range wants {
			if !strings.Contains(said[section], want) {
				t.Errorf("section %s says\n%s\nwant %q in it", section, said[section], want)
			}
		}
	}
	after := h.snapshot("/etc/ssh /etc/apache2 /etc/php /srv/desk")
	for line := range strings.Lines(before) {
		if !strings.Contains(after, line) && !strings.Contains(line, "/srv/desk/index.php") {
			t.Errorf("not as before: %s", line)
		}
	}
	for _, left := range []string{"doorward", "immutable"} {
		if strings.Contains(after, left) {
			t.Errorf("%q is still there:\n%s", left, after)
		}
	}
}
