package console_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/console"
	"github.com/google/go-cmp/cmp"
)

func TestConfigDefaults(t *testing.T) {
	var c console.Config
	c.SetDefaults()
	want := console.Config{Listen: []string{"127.0.0.1:8444"}, Hosts: []string{"localhost", "127.0.0.1", "::1"}}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestConfigValidate(t *testing.T) {
	dir := t.TempDir()
	short := filepath.Join(dir, "short")
	good := filepath.Join(dir, "good")
	for name, text := range map[string]string{short: "tooshort\n", good: "a token that is long enough\nsecond line\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name   string
		config console.Config
		want   []string // beginnings of what is reported, in order
	}{
		{"defaults", console.Config{}, nil},
		{"loopback of every kind", console.Config{Listen: []string{"127.0.0.1:0", "[::1]:8444", "localhost:8445", "127.0.0.9:1"}}, nil},
		{"token", console.Config{MetricsTokenFile: good}, nil},
		{"all addresses", console.Config{Listen: []string{":8444", "0.0.0.0:8444", "[::]:8444"}},
			[]string{`listen[0]: ":8444" can be reached from other machines`, `listen[1]: "0.0.0.0:8444" can be reached`, `listen[2]: "[::]:8444" can be reached`}},
		{"named networks", console.Config{Listen: []string{"192.0.2.1:8444"}, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, nil},
		{"everybody", console.Config{Listen: []string{"192.0.2.1:8444"}, Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
			[]string{`networks[0]: 0.0.0.0/0 is everybody`}},
		{"another machine's view", console.Config{Listen: []string{"192.0.2.1:8444", "console.example.org:8444"}},
			[]string{`listen[0]: "192.0.2.1:8444" can be reached`, `listen[1]: "console.example.org:8444" can be reached`}},
		{"no address", console.Config{Listen: []string{"8444", "127.0.0.1:http", "127.0.0.1:70000"}},
			[]string{`listen[0]: "8444" is not host:port`, `listen[1]: "127.0.0.1:http" has no port`, `listen[2]: "127.0.0.1:70000" has no port`}},
		{"twice", console.Config{Listen: []string{"127.0.0.1:1", "127.0.0.1:1"}}, []string{`listen[1]: "127.0.0.1:1" is listed twice`}},
		{"hosts", console.Config{Hosts: []string{"ok.example", "[::1]", "a b", "x:1", "", "*.example"}},
			[]string{`hosts[2]: "a b" is not a host`, `hosts[3]: "x:1" is not a host`, `hosts[4]: "" is not a host`, `hosts[5]: "*.example" is not a host`}},
		{"no such token", console.Config{MetricsTokenFile: filepath.Join(dir, "none")}, []string{"metrics_token_file: read metrics token"}},
		{"short token", console.Config{MetricsTokenFile: short}, []string{"metrics_token_file: metrics token in " + short}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.config.SetDefaults()
			var got []string
			test.config.Validate(func(path, format string, args ...any) {
				got = append(got, path+": "+fmt.Sprintf(format, args...))
			})
			if len(got) != len(test.want) {
				t.Fatalf("got %d problems %q, want %d", len(got), got, len(test.want))
			}
			for i := range got {
				if !strings.HasPrefix(got[i], test.want[i]) {
					t.Errorf("problem %d: got %q, want it to begin with %q", i, got[i], test.want[i])
				}
			}
		})
	}
}
