package gateway_test

import (
	"net/netip"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/gateway"
)

func TestCanonicalHost(t *testing.T) {
	for host, want := range map[string]string{
		"help.example.org": "help.example.org", "HELP.Example.org": "help.example.org", "help.example.org:8443": "help.example.org", "help.example.org.": "help.example.org",
		"localhost": "localhost", "a_b.example": "a_b.example", "xn--bcher-kva.example": "xn--bcher-kva.example", "1.2.3.4": "1.2.3.4", "1.2.3.4:80": "1.2.3.4",
		"[::1]": "::1", "[::1]:443": "::1", "[2001:DB8:0:0::1]": "2001:db8::1", "2001:db8::1": "2001:db8::1", "[::ffff:1.2.3.4]": "::ffff:1.2.3.4",
		strings.Repeat("a", 63) + ".example": strings.Repeat("a", 63) + ".example",
	} {
		if got, ok := gateway.CanonicalHost(host); !ok || got != want {
			t.Errorf("%q: got %q, %v, want %q", host, got, ok, want)
		}
	}
	for _, host := range []string{"", ".", "..", ".a", "a..b", "a..", "a b", "a/b", "a?b", "a#b", "a@b", "u:p@a", "a:", "a:0", "a:65536", "a:x", "a:1:2", "a:80x", "-a.example", "a-.example", "a.-b", "a-", "é.example", "a%2eb", "a\x00",
		"[::1", "::1]", "[::1]x", "[::1]:", "[::1%lo]", "[]", "[1.2.3.4]", "[help.example]", "*", "*.example.org", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "aa"} {
		if got, ok := gateway.CanonicalHost(host); ok {
			t.Errorf("%q: got %q, want a refusal", host, got)
		}
	}
}

// TestPathReadings: where a class is allowed, every reading of it is there to be judged.
func TestPathReadings(t *testing.T) {
	all := []string{"encoded-slash", "semicolon", "double-encoding", "backslash"}
	for _, c := range []struct {
		path    string
		classes []string
		decoded string
		others  []string
	}{
		{"/a%2Fb", all[:1], "/a%2Fb", []string{"/a/b"}},
		{"/a;x/b;y", all[1:2], "/a;x/b;y", []string{"/a/b"}},
		{"/a%2541", all[2:3], "/a%41", []string{"/aA"}},
		{"/a%252541", all[2:3], "/a%2541", []string{"/a%41", "/aA"}},
		{`/a\b`, all[3:], `/a\b`, []string{"/a/b"}},
		{"/a%2Fb;c", all, "/a%2Fb;c", []string{"/a/b;c", "/a%2Fb", "/a/b"}},
		{"/a%3Fb", nil, "/a?b", []string{"/a"}},
		{"/a%23b", nil, "/a#b", []string{"/a"}},
		{"/a%2F%2Fb", all, "/a%2F%2Fb", []string{"/a/b"}},
	} {
		got, err := gateway.CanonicalPath(c.path, c.classes...)
		must(t, err)
		if diff := cmp.Diff(append([]string{c.decoded}, c.others...), append([]string{got.Decoded}, got.Others...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.path, diff)
		}
	}
}

// TestPathClassesAreSeparate: allowing one class lets no other through, not even hidden in it.
func TestPathClassesAreSeparate(t *testing.T) {
	for class, paths := range map[string][]string{
		"encoded-slash":   {"/a;b", `/a\b`, "/a%5Cb", "/a%252Fb", "/a%3Bb", "/a%2F..%2Fb"},
		"semicolon":       {"/a%2Fb", `/a\b`, "/a%253Bb", "/a/..;/b", "/a/.;x/b"},
		"backslash":       {"/a%2Fb", "/a;b", "/a%255Cb", `/a\..\b`, "/a%5C..%5Cb"},
		"double-encoding": {"/a%252Fb", "/a%253Bb", "/a%255Cb", "/a/%252e%252e/b", "/a%2500", "/a%25c0%25af", "/a%25252525", "/a%2Fb"},
	} {
		for _, path := range paths {
			if got, err := gateway.CanonicalPath(path, class); err == nil {
				t.Errorf("%s with %s: got %+v, want a refusal", path, class, got)
			}
		}
	}
	if _, err := gateway.CanonicalPath("/a", "anything"); err == nil {
		t.Error("an unknown class was accepted")
	}
}

// TestPathCostsNothing: the common path must not allocate.
func TestPathCostsNothing(t *testing.T) {
	wantAllocations(t, 1, func() { // the test's own App
		if _, err := gateway.CanonicalPath("/app/static/js/main.min.js"); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "/a/b", "/%61", "/a%2Fb", "/a;b", `/a\b`, "/a%252e", "//a", "/a/../b", "/%c0%af", "/%EF%BC%8F", "/a%3Fb", "/ADMIN~1", "/a:$DATA", "/%u002f", "/adm%69n./x"} {
		for _, classes := range []uint8{0, 1, 2, 4, 8, 15} {
			f.Add(seed, classes)
		}
	}
	for _, attacks := range [][]attack{refusedPaths(), foldedPaths(), passedPaths(), loosePaths()} {
		for _, a := range attacks {
			if _, rest, ok := strings.Cut(a.request, " "); ok {
				target, _, _ := strings.Cut(rest, " HTTP/")
				target, _, _ = strings.Cut(target, "?")
				f.Add(target, uint8(15))
			}
		}
	}
	classNames := []string{"encoded-slash", "semicolon", "double-encoding", "backslash"}
	policy, err := gateway.NewAccessPolicy([]gateway.AccessRule{{Path: "/admin", Deny: true}, {Path: "/static", Public: true}}, &gateway.App{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, target string, bits uint8) {
		var classes []string
		for i, name := range classNames {
			if bits&(1<<i) != 0 {
				classes = append(classes, name)
			}
		}
		p, err := gateway.CanonicalPath(target, classes...)
		if err != nil {
			if p.Raw != "" && (!strings.HasPrefix(p.Raw, "/") || strings.HasPrefix(p.Raw, "//") || strings.Contains(p.Raw, `\`)) {
				t.Fatalf("%q would be sent to %q", target, p.Raw)
			}
			return
		}
		again, err := gateway.CanonicalPath(p.Raw, classes...)
		if err != nil || again.Raw != p.Raw || again.Decoded != p.Decoded {
			t.Fatalf("%q became %q, which became %q (%v): not canonical", target, p.Raw, again.Raw, err)
		}
		checkForwarded(t, p)
		verdict := policy.Judge(p, nil, netip.Addr{})
		for _, seen := range backEndReadings(p.Raw) {
			if under(strings.ToLower(seen), "/admin") && verdict != "path-denied" {
				t.Fatalf("%q: a back end sees %q, the verdict is %s", target, seen, verdict)
			}
			if !under(seen, "/static") && verdict == "public" {
				t.Fatalf("%q: a back end sees %q, which is not public", target, seen)
			}
		}
	})
}

// checkForwarded: what is sent is what was read.
func checkForwarded(t *testing.T, p gateway.Path) {
	t.Helper()
	u := url.URL{Opaque: p.Raw}
	if u.RequestURI() != p.Raw || !strings.HasPrefix(p.Raw, "/") || strings.HasPrefix(p.Raw, "//") || strings.ContainsAny(p.Raw, " \\#?\"<>") {
		t.Fatalf("%q cannot be sent as it is", p.Raw)
	}
	unescaped, err := url.PathUnescape(strings.ReplaceAll(p.Raw, "%2F", "%252F"))
	if err != nil || unescaped != p.Decoded {
		t.Fatalf("%q decodes to %q (%v), but %q was judged", p.Raw, unescaped, err, p.Decoded)
	}
	if cleaned := path.Clean(p.Decoded); cleaned != p.Decoded && cleaned+"/" != p.Decoded {
		t.Fatalf("%q was let through, and cleans to %q", p.Decoded, cleaned)
	}
}

// backEndReadings are ways in which real servers read a path: decoded once or twice, with backslashes turned,
// parameters cut off, slashes collapsed and dots resolved.
func backEndReadings(raw string) []string {
	readings := []string{raw}
	add := func(change func(string) string) {
		for _, r := range readings {
			if changed := change(r); changed != r {
				readings = append(readings, changed)
			}
		}
	}
	decode := func(s string) string {
		if u, err := url.PathUnescape(s); err == nil {
			return u
		}
		return s
	}
	parameters := func(s string) string {
		segments := strings.Split(s, "/")
		for i := range segments {
			segments[i], _, _ = strings.Cut(segments[i], ";")
		}
		return strings.Join(segments, "/")
	}
	// Escaped as sent is not what any back end compares with a folder's name.
	add(decode)
	readings = readings[1:]
	if len(readings) == 0 {
		readings = []string{raw}
	}
	add(decode)
	add(func(s string) string { return strings.ReplaceAll(s, `\`, "/") })
	add(parameters)
	add(func(s string) string {
		if i := strings.IndexAny(s, "?#"); i >= 0 {
			return s[:i]
		}
		return s
	})
	add(path.Clean)
	return readings
}

func under(p, prefix string) bool { return p == prefix || strings.HasPrefix(p, prefix+"/") }
