package hostname_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/doorward/doorward/hostname"
)

func TestCleanName(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct {
		raw, want string
		ok        bool
	}{
		{"Host.Example.ORG.", "host.example.org", true},
		{"router", "router", true},
		{"3com.example", "3com.example", true},
		{"xn--bcher-kva.example.", "xn--bcher-kva.example", true},
		{long + ".example", long + ".example", true},
		{strings.Repeat(long+".", 3) + strings.Repeat("b", 61), strings.Repeat(long+".", 3) + strings.Repeat("b", 61), true},
		{strings.Repeat(long+".", 3) + strings.Repeat("b", 62), "", false},
		{long + "a.example", "", false},
		{"", "", false},
		{".", "", false},
		{"a..example", "", false},
		{"a.example..", "", false},
		{"-a.example", "", false},
		{"a-.example", "", false},
		{"a_b.example", "", false},
		{"192.0.2.1", "", false},
		{"192.0.2.1.", "", false},
		{"host.123", "", false},
		{"2001:db8::1", "", false},
		{"a b.example", "", false},
		{"<script>.example", "", false},
		{"a\x1b[2J.example", "", false},
		{"bücher.example", "", false},
		{"\u212A.example", "", false}, // the Kelvin sign, which folds to k
		{"a\nb.example", "", false},
	} {
		if got, ok := hostname.CleanName(c.raw); got != c.want || ok != c.ok {
			t.Errorf("CleanName(%q) = %q, %v; want %q, %v", c.raw, got, ok, c.want, c.ok)
		}
	}
}

func FuzzCleanName(f *testing.F) {
	for _, seed := range []string{"Host.Example.ORG.", "192.0.2.1", "a..b", "-a", "a_b", "\x00", "\u212A", "xn--a.b", "1.a"} {
		f.Add(seed)
	}
	name := regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	f.Fuzz(func(t *testing.T, raw string) {
		got, ok := hostname.CleanName(raw)
		if ok && (!name.MatchString(got) || len(got) > 253) || !ok && got != "" {
			t.Errorf("CleanName(%q) = %q, %v", raw, got, ok)
		}
		if again, still := hostname.CleanName(got); ok && (again != got || !still) {
			t.Errorf("CleanName(%q) = %q, %v; want the same", got, again, still)
		}
	})
}
