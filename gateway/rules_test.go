package gateway_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/gateway"
)

func session(roles ...auth.Role) *auth.Session {
	return &auth.Session{ID: "s", Principal: auth.Principal{Name: "p", Roles: roles}}
}

func TestAccessPolicy(t *testing.T) {
	app := &gateway.App{AdminPaths: []string{"/admin", "/x/setup"}, AgentPaths: []string{"/tickets/"}, DenyPaths: []string{"/.git"}, DataPaths: []string{"/data"}, PublicPaths: []string{"/static"}}
	lan := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	inside, outside := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("203.0.113.9")
	rules := []gateway.AccessRule{
		{Path: "/data/open", Public: true}, // the folder's denial goes first
		{Path: "/lan", Networks: lan},      //
		{Path: "/lanpublic", Public: true, Networks: lan},
		{Path: "/x", Roles: []string{"agent"}},                  // does not lift the folder's rule for /x/setup
		{Path: "/admin/help", Roles: []string{"user", "agent"}}, // lifts it below /admin
		{Path: "/tickets/admin", Networks: lan},                 // says nothing about who: the folder's rule stays
		{Path: "/Käse", Deny: true},
	}
	p, err := gateway.NewAccessPolicy(rules, app)
	must(t, err)
	user, agent, admin, owner := session(auth.User), session(auth.Agent), session(auth.Admin), session(auth.Owner)
	for _, c := range []struct {
		path string
		who  *auth.Session
		from netip.Addr
		want string
	}{
		{"/", nil, outside, "sign-in"}, {"/", user, outside, "allow"}, {"/anything", user, outside, "allow"},
		{"/static/x", nil, outside, "public"}, {"/Static/x", nil, outside, "sign-in"}, {"/staticx", nil, outside, "sign-in"}, {"/static", user, outside, "public"},
		{"/.git/config", owner, inside, "path-denied"}, {"/.GIT", owner, inside, "path-denied"}, {"/.gitx", owner, inside, "allow"},
		{"/data/open/x", owner, inside, "path-denied"}, {"/data", nil, inside, "path-denied"},
		{"/admin", nil, outside, "sign-in"}, {"/admin", user, outside, "role"}, {"/admin", agent, outside, "role"}, {"/ADMIN/x", agent, outside, "role"}, {"/admin", admin, outside, "allow"}, {"/admin", owner, outside, "allow"},
		{"/tickets", user, outside, "role"}, {"/tickets/1", agent, outside, "allow"}, {"/tickets/1", admin, outside, "allow"},
		{"/lan", nil, outside, "network"}, {"/lan", user, outside, "network"}, {"/lan", nil, inside, "sign-in"}, {"/lan/x", user, inside, "allow"}, {"/LAN", user, outside, "network"},
		{"/lanpublic", nil, outside, "network"}, {"/lanpublic", nil, inside, "public"},
		{"/x/y", agent, outside, "allow"}, {"/x/y", user, outside, "role"}, {"/x/y", admin, outside, "role"}, {"/x/setup", agent, outside, "role"}, {"/x/setup/1", admin, outside, "role"},
		{"/x/setup", session(auth.Admin, auth.Agent), outside, "allow"},
		{"/admin/help", user, outside, "allow"}, {"/admin/help", admin, outside, "role"}, {"/admin/helpers", user, outside, "role"},
		{"/tickets/admin", agent, outside, "network"}, {"/tickets/admin", user, inside, "role"}, {"/tickets/admin", agent, inside, "allow"},
		{"/k%C3%A4se", owner, inside, "path-denied"}, {"/K%C3%84SE/x", owner, inside, "path-denied"}, {"/ka%CC%88se", owner, inside, "path-denied"},
	} {
		path, err := gateway.CanonicalPath(c.path)
		must(t, err)
		if got := p.Judge(path, c.who, c.from); got != c.want {
			t.Errorf("%s by %v from %v: got %s, want %s", c.path, c.who, c.from, got, c.want)
		}
	}
	if _, err := gateway.NewAccessPolicy([]gateway.AccessRule{{Path: "/", Public: true}}, app); err != nil {
		t.Fatal(err)
	}
	open, err := gateway.NewAccessPolicy([]gateway.AccessRule{{Path: "/", Public: true}}, app)
	must(t, err)
	for path, want := range map[string]string{"/x": "public", "/admin": "sign-in", "/data": "path-denied"} {
		p, err := gateway.CanonicalPath(path)
		must(t, err)
		if got := open.Judge(p, nil, outside); got != want {
			t.Errorf("public site, %s: got %s, want %s", path, got, want)
		}
	}
}

func TestAccessPolicyRefusesRules(t *testing.T) {
	for name, rule := range map[string]gateway.AccessRule{
		"no path": {}, "no slash": {Path: "admin"}, "two slashes": {Path: "/a//b"}, "dots": {Path: "/a/../b"}, "no role's name": {Path: "/a", Roles: []string{"Root!"}},
		"public and denied": {Path: "/a", Public: true, Deny: true}, "roles and denied": {Path: "/a", Deny: true, Roles: []string{"user"}}, "roles and public": {Path: "/a", Public: true, Roles: []string{"user"}},
	} {
		if _, err := gateway.NewAccessPolicy([]gateway.AccessRule{rule}, &gateway.App{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestAccessPolicyCostsNothing: with a real folder's many paths, judging must not allocate.
func TestAccessPolicyCostsNothing(t *testing.T) {
	app, err := gateway.LoadApp("idoit")
	must(t, err)
	p, err := gateway.NewAccessPolicy(nil, app)
	must(t, err)
	path, err := gateway.CanonicalPath("/index.php/cmdb/object/1")
	must(t, err)
	s, from := session(auth.User), netip.MustParseAddr("203.0.113.9")
	wantAllocations(t, 0, func() { p.Judge(path, s, from) })
}

func TestLimiter(t *testing.T) {
	l := gateway.NewLimiter(gateway.LimitsConfig{RequestsPerSecond: 10, Burst: 5})
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for range 5 {
		if wait := l.Take("", a, 0); wait != 0 {
			t.Fatalf("within the burst: wait %v", wait)
		}
	}
	if wait := l.Take("", a, 0); wait != 100*time.Millisecond {
		t.Errorf("over the burst: got %v, want 100 ms", wait)
	}
	if wait := l.Take("", b, 0); wait != 0 {
		t.Errorf("another address: wait %v", wait)
	}
	if wait := l.Take("session", a, 0); wait != 0 {
		t.Errorf("a session behind the same address: wait %v", wait)
	}
	if wait := l.Take("", a, 100*time.Millisecond); wait != 0 {
		t.Errorf("after the wait: wait %v", wait)
	}
	if wait := l.Take("", a, 50*time.Millisecond); wait <= 0 {
		t.Error("a clock that was set back gave a token")
	}
	if wait := l.Take("", a, 200*time.Millisecond); wait != 0 {
		t.Errorf("after a clock that was set back: wait %v", wait)
	}
	one, same, other := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff:1"), netip.MustParseAddr("2001:db8:0:1::1")
	for range 5 {
		l.Take("", one, 0)
	}
	if l.Take("", same, 0) == 0 {
		t.Error("another address of the same /64 has a bucket of its own")
	}
	if l.Take("", other, 0) != 0 {
		t.Error("another /64 has no bucket of its own")
	}
}

// TestLimiterIsCapped: strangers choose the keys, so their number ends; whoever is limited stays so.
func TestLimiterIsCapped(t *testing.T) {
	l := gateway.NewLimiter(gateway.LimitsConfig{RequestsPerSecond: 1e-9, Burst: 3})
	limited := netip.MustParseAddr("192.0.2.1")
	for range 4 {
		l.Take("", limited, 0)
	}
	for i := range 2 * gateway.MaxLimiterKeys {
		l.Take("", netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}), 0)
	}
	held, evicted := l.Keys()
	if held > gateway.MaxLimiterKeys || evicted == 0 {
		t.Errorf("%d buckets held and %d forgotten, want at most %d and some", held, evicted, gateway.MaxLimiterKeys)
	}
	if l.Take("", limited, 0) == 0 {
		t.Error("the flood made the limiter forget whom it had limited")
	}
}

// TestInFlightOfOneAddress: a stranger that holds all it can get leaves room for the others, who must be able
// to sign in. IPv6 counts by /64.
func TestInFlightOfOneAddress(t *testing.T) {
	for _, addresses := range [][]string{{"192.0.2.1"}, {"2001:db8::1", "2001:db8::2", "2001:db8::3"}} {
		f := gateway.NewInFlight(800)
		var leave []func()
		for i := range 800 {
			if release, ok := f.EnterFrom(false, netip.MustParseAddr(addresses[i%len(addresses)])); ok {
				leave = append(leave, release)
			}
		}
		if len(leave) != 100 {
			t.Errorf("%s: got %d places, want 100, an eighth", addresses, len(leave))
		}
		for _, other := range []string{"192.0.2.2", "2001:db8:0:1::1"} {
			release, ok := f.EnterFrom(false, netip.MustParseAddr(other))
			if !ok {
				t.Fatalf("%s found no room beside %s", other, addresses)
			}
			release()
		}
		if release, ok := f.EnterFrom(true, netip.MustParseAddr(addresses[0])); !ok {
			t.Errorf("%s: whoever is signed in was counted with the strangers", addresses)
		} else {
			release()
		}
		for _, release := range leave {
			release()
		}
		if n := f.Clients(); n != 0 {
			t.Errorf("%d clients are remembered with nothing under way, want 0", n)
		}
		if release, ok := f.EnterFrom(false, netip.MustParseAddr(addresses[0])); !ok {
			t.Errorf("%s found no room after all was over", addresses)
		} else {
			release()
		}
	}
}

// TestInFlightOfOneSession: an account that holds all it can get leaves room for other people.
func TestInFlightOfOneSession(t *testing.T) {
	f := gateway.NewInFlight(800)
	var leave []func()
	for range 800 {
		if release, ok := f.EnterFrom(true, netip.MustParseAddr("192.0.2.1")); ok {
			leave = append(leave, release)
		}
	}
	if len(leave) != 100 {
		t.Errorf("got %d places, want 100, an eighth", len(leave))
	}
	for _, signedIn := range []bool{true, false} {
		release, ok := f.EnterFrom(signedIn, netip.MustParseAddr("192.0.2.2"))
		if !ok {
			t.Fatalf("nobody else found room, signed in: %t", signedIn)
		}
		release()
	}
	for _, release := range leave {
		release()
	}
	if n := f.Clients(); n != 0 {
		t.Errorf("%d clients are remembered with nothing under way, want 0", n)
	}
}

func TestInFlight(t *testing.T) {
	f := gateway.NewInFlight(8)
	var leave []func()
	enter := func(signedIn bool) bool {
		release, ok := f.Enter(signedIn)
		if ok {
			leave = append(leave, release)
		}
		return ok
	}
	for i := range 6 {
		if !enter(false) {
			t.Fatalf("stranger %d of 6 was shed", i+1)
		}
	}
	if enter(false) {
		t.Error("strangers got more than three quarters")
	}
	for range 2 {
		if !enter(true) {
			t.Error("the last quarter is not for those who are signed in")
		}
	}
	if enter(true) {
		t.Error("more than the limit is in flight")
	}
	for _, release := range leave {
		release()
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 1000 {
				if release, ok := f.Enter(i%2 == 0); ok {
					release()
				}
			}
		})
	}
	wg.Wait()
	leave = nil
	for range 6 {
		enter(false)
	}
	if len(leave) != 6 {
		t.Errorf("after all left there is room for %d strangers, want 6", len(leave))
	}
}

func TestAnswers(t *testing.T) {
	defaults := http.Header{"X-Content-Type-Options": {"nosniff"}, "X-Frame-Options": {"SAMEORIGIN"}, "Referrer-Policy": {"strict-origin-when-cross-origin"},
		"Content-Security-Policy": {"frame-ancestors 'self'; base-uri 'self'; object-src 'none'"}, "Strict-Transport-Security": {"max-age=15768000; includeSubDomains"}}
	var demo, chosen gateway.SiteConfig
	demo.Headers.HSTS = gateway.HSTS{MaxAge: 300 * time.Second, ExcludeSubDomains: true}
	chosen.Headers = gateway.HeaderConfig{XSSProtection: true, FrameOptions: "DENY", ReferrerPolicy: "same-origin", ContentSecurityPolicy: "default-src 'self'", HSTS: gateway.HSTS{Off: true}}
	for _, c := range []struct {
		name  string
		cfg   gateway.SiteConfig
		plain bool
		from  http.Header // the application's
		want  http.Header // besides the defaults; an empty value takes one away
	}{
		{name: "a bare answer", from: http.Header{}},
		{name: "a refusal"},
		{name: "plain", plain: true, from: http.Header{}, want: http.Header{"Strict-Transport-Security": nil}},
		{name: "the application's own HSTS", from: http.Header{"Strict-Transport-Security": {"max-age=1", "max-age=2"}}},
		{name: "the application's own HSTS, plain", plain: true, from: http.Header{"Strict-Transport-Security": {"max-age=1"}}, want: http.Header{"Strict-Transport-Security": nil}},
		{name: "telltales", from: http.Header{"Server": {"Apache/2.4 (Debian)"}, "X-Powered-By": {"PHP/8"}, "X-Aspnet-Version": {"4"}, "X-Aspnetmvc-Version": {"5"}, "X-Generator": {"g"}, "Via": {"v"}, "X-Runtime": {"1"},
			"Alt-Svc": {`h3=":443"`}, "X-Accel-Redirect": {"/x"}, "X-Doorward-Secret": {"s"}, "X-Note": {"n"}}, want: http.Header{"X-Note": {"n"}}},
		{name: "the application's own choices", from: http.Header{"Content-Security-Policy": {"default-src 'none'"}, "X-Frame-Options": {"DENY"}, "Referrer-Policy": {"no-referrer"}, "X-Xss-Protection": {"0"}},
			want: http.Header{"Content-Security-Policy": {"default-src 'none'"}, "X-Frame-Options": {"DENY"}, "Referrer-Policy": {"no-referrer"}, "X-Xss-Protection": {"0"}}},
		{name: "choices that protect nothing", from: http.Header{"Content-Security-Policy": {""}, "X-Frame-Options": {"ALLOWALL"}, "Referrer-Policy": {""}, "X-Content-Type-Options": {"sniff"}}},
		{name: "two frame options", from: http.Header{"X-Frame-Options": {"DENY", "SAMEORIGIN"}}},
		{name: "report only is no policy", from: http.Header{"Content-Security-Policy-Report-Only": {"x"}}, want: http.Header{"Content-Security-Policy-Report-Only": {"x"}}},
		{name: "demo", cfg: demo, from: http.Header{}, want: http.Header{"Strict-Transport-Security": {"max-age=300"}}},
		{name: "chosen", cfg: chosen, from: http.Header{"Strict-Transport-Security": {"max-age=1"}}, want: http.Header{"X-Xss-Protection": {"1; mode=block"}, "X-Frame-Options": {"DENY"}, "Referrer-Policy": {"same-origin"},
			"Content-Security-Policy": {"default-src 'self'"}, "Strict-Transport-Security": nil}},
	} {
		want := defaults.Clone()
		for name, values := range c.want {
			if want[name] = values; values == nil {
				delete(want, name)
			}
		}
		h := c.from
		if h == nil {
			h = make(http.Header)
		}
		gateway.Answer(h, c.cfg, &gateway.App{}, !c.plain, c.from != nil)
		if diff := cmp.Diff(want, h); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestCleanHeadersOfEveryApp: whatever header an application's folder names, no client can send it, on any site.
func TestCleanHeadersOfEveryApp(t *testing.T) {
	path, err := gateway.CanonicalPath("/x")
	must(t, err)
	names := make(map[string]bool)
	for _, name := range gateway.AppNames() {
		app, err := gateway.LoadApp(name)
		must(t, err)
		for _, header := range []string{app.Identity.User, app.Identity.Email, app.Identity.Name, app.Identity.Roles, app.Identity.Secret, app.Identity.Assertion} {
			names[header] = header != ""
		}
	}
	delete(names, "")
	if len(names) < 6 {
		t.Fatalf("the folders name only %d headers", len(names))
	}
	for header := range names {
		for _, spelling := range []string{header, strings.ToUpper(header), strings.ReplaceAll(header, "-", "_"), "-" + header, header + "-"} {
			r := &http.Request{ProtoMajor: 1, Header: make(http.Header)}
			r.Header.Set(spelling, "spoofed")
			_, err := gateway.CleanHeaders(r, &gateway.App{}, path)
			must(t, err)
			if len(r.Header) != 0 {
				t.Errorf("%s got through to an application that another folder describes: %v", spelling, r.Header)
			}
		}
	}
}

func TestEncodeValue(t *testing.T) {
	for in, want := range map[string]string{"zoe": "zoe", "Zoe Q. Ö": "Zoe Q. %C3%96", "100%": "100%25", " root": "%20root", "root ": "root%20", "a b": "a b", "a\r\nX: y": "a%0D%0AX: y", "\x00": "%00", "%0A": "%250A", "\xff": "%FF"} {
		got := gateway.EncodeValue(in)
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
		if back, err := url.PathUnescape(got); err != nil || back != in {
			t.Errorf("%q decodes to %q, %v, want %q", got, back, err, in)
		}
	}
}

// FuzzParameters: a parameter that a common parser finds is found.
func FuzzParameters(f *testing.F) {
	for _, seed := range []string{"user=root", "a=b&us%65r=1", "a;user=1", "user%00=1", "user[]=1", "%20user", "&;=", "name=\"user\"", "\r\n\r\n", "User=1&user=2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, form string) {
		held := gateway.FormHolds(form, "user")
		values, _ := url.ParseQuery(form) // what could be read is checked, also beside an error
		for name := range values {
			if strings.EqualFold(strings.TrimSpace(name), "user") && !held {
				t.Fatalf("%q holds %q", form, name)
			}
		}
		gateway.PartsHold([]byte(form), "user")
		body := fmt.Sprintf("--b\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\n%s\r\n--b--\r\n", form)
		if !gateway.PartsHold([]byte(body), "user") || !gateway.PartsHold([]byte(form+"\r\n"+body), "user") {
			t.Fatalf("a part was not found beside %q", form)
		}
	})
}
