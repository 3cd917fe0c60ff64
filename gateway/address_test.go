package gateway_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/doorward/doorward/gateway"
)

// proxies are trusted: 10/8 and one IPv6 network.
func proxies() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:ffff::/48")}
}

func TestClientAddress(t *testing.T) {
	const proxy, stranger = "10.0.0.1", "203.0.113.9"
	for name, c := range map[string]struct {
		peer, simple, standard string // lines are separated by "|"
		want                   string // empty: 400
	}{
		"stranger says nothing":               {stranger, "", "", stranger},
		"stranger is not believed":            {stranger, "192.0.2.1", "for=192.0.2.2", stranger},
		"stranger's nonsense":                 {stranger, "\"", "=", stranger},
		"proxy says nothing":                  {proxy, "", "", proxy},
		"one hop":                             {proxy, "192.0.2.1", "", "192.0.2.1"},
		"client's own claim":                  {proxy, "10.0.0.9, 1.1.1.1, 192.0.2.1", "", "192.0.2.1"},
		"client's own nonsense":               {proxy, "<script>, 192.0.2.1", "", "192.0.2.1"},
		"client's own line":                   {proxy, "1.1.1.1|192.0.2.1", "", "192.0.2.1"},
		"two proxies":                         {proxy, "1.1.1.1, 192.0.2.1, 10.0.0.2", "", "192.0.2.1"},
		"proxies only":                        {proxy, "10.0.0.3, 10.0.0.2", "", "10.0.0.3"},
		"with a port":                         {proxy, "192.0.2.1:4711", "", "192.0.2.1"},
		"IPv6":                                {proxy, "2001:db8::1", "", "2001:db8::1"},
		"IPv6 in brackets":                    {proxy, "[2001:db8::1]", "", "2001:db8::1"},
		"IPv6 with a port":                    {proxy, "[2001:db8::1]:4711", "", "2001:db8::1"},
		"IPv4 in IPv6":                        {proxy, "::ffff:192.0.2.1", "", "192.0.2.1"},
		"proxy in IPv6's clothes":             {proxy, "192.0.2.1, ::ffff:10.0.0.2", "", "192.0.2.1"},
		"IPv6 proxy":                          {"2001:db8:ffff::1", "192.0.2.1", "", "192.0.2.1"},
		"empty elements":                      {proxy, ", ,192.0.2.1, ", "", "192.0.2.1"},
		"nothing but commas":                  {proxy, ",,", "", proxy},
		"zone":                                {proxy, "fe80::1%eth0", "", ""},
		"unknown":                             {proxy, "unknown", "", ""},
		"a name":                              {proxy, "client.example", "", ""},
		"short form of an address":            {proxy, "192.0.513", "", ""},
		"octal":                               {proxy, "0300.0.2.1", "", ""},
		"port that is none":                   {proxy, "192.0.2.1:x", "", ""},
		"port too large":                      {proxy, "192.0.2.1:65536", "", ""},
		"brackets open":                       {proxy, "[2001:db8::1", "", ""},
		"quotes":                              {proxy, `"192.0.2.1"`, "", ""},
		"too many hops":                       {proxy, "192.0.2.1" + strings.Repeat(", 10.0.0.2", 40), "", ""},
		"standard":                            {proxy, "", "for=192.0.2.1;proto=https;by=10.0.0.1", "192.0.2.1"},
		"standard, upper case":                {proxy, "", "Proto=http; FOR=192.0.2.1", "192.0.2.1"},
		"standard, quoted":                    {proxy, "", `for="192.0.2.1:4711"`, "192.0.2.1"},
		"standard, IPv6":                      {proxy, "", `for="[2001:db8::1]:4711"`, "2001:db8::1"},
		"standard, IPv6 unquoted":             {proxy, "", "for=[2001:db8::1]:4711", "2001:db8::1"},
		"standard, escaped":                   {proxy, "", `for="192\.0.2.1"`, "192.0.2.1"},
		"standard, two hops":                  {proxy, "", "for=1.1.1.1, for=192.0.2.1, for=10.0.0.2", "192.0.2.1"},
		"standard, two lines":                 {proxy, "", "for=1.1.1.1|for=192.0.2.1", "192.0.2.1"},
		"standard, element without for":       {proxy, "", "for=192.0.2.1, host=x", "192.0.2.1"},
		"standard, obfuscated port":           {proxy, "", `for="192.0.2.1:_x"`, "192.0.2.1"},
		"standard, obfuscated":                {proxy, "", "for=_hidden", ""},
		"standard, unknown":                   {proxy, "", "for=unknown", ""},
		"standard, obfuscated client's claim": {proxy, "", "for=_hidden, for=192.0.2.1", "192.0.2.1"},
		"standard, for twice":                 {proxy, "", "for=192.0.2.1;for=192.0.2.2", ""},
		"standard, open quote":                {proxy, "", `for="192.0.2.1`, ""},
		"standard, quote swallows":            {proxy, "", `for=1.1.1.1;x=", for=192.0.2.1`, ""},
		"standard, garbage behind":            {proxy, "", `for="192.0.2.1"x`, ""},
		"standard, no value":                  {proxy, "", "for=", ""},
		"standard, no name":                   {proxy, "", "=192.0.2.1", ""},
		"both, the same":                      {proxy, "1.1.1.1, 192.0.2.1", "for=192.0.2.1", "192.0.2.1"},
		"both, differing":                     {proxy, "192.0.2.1", "for=192.0.2.2", ""},
	} {
		h := make(http.Header)
		if c.simple != "" {
			h["X-Forwarded-For"] = strings.Split(c.simple, "|")
		}
		if c.standard != "" {
			h["Forwarded"] = strings.Split(c.standard, "|")
		}
		got, err := gateway.ClientAddress(netip.MustParseAddr(c.peer), h, proxies())
		switch {
		case c.want == "" && err == nil:
			t.Errorf("%s: got %v, want a refusal", name, got)
		case c.want != "" && (err != nil || got.String() != c.want):
			t.Errorf("%s: got %v, %v, want %s", name, got, err, c.want)
		}
	}
}

func TestForwardedSecure(t *testing.T) {
	for _, c := range []struct {
		peer, simple, standard string
		want                   bool
	}{
		{"203.0.113.9", "https", "", false},
		{"10.0.0.1", "", "", false},
		{"10.0.0.1", "https", "", true},
		{"10.0.0.1", "HTTPS", "", true},
		{"10.0.0.1", "http", "", false},
		{"10.0.0.1", "https, http", "", false},
		{"10.0.0.1", "https, https", "", true},
		{"10.0.0.1", "", "for=1.1.1.1;proto=https", true},
		{"10.0.0.1", "", "for=1.1.1.1;proto=http", false},
		{"10.0.0.1", "https", "proto=http", false},
		{"10.0.0.1", "", "proto=\"", false},
	} {
		h := make(http.Header)
		if c.simple != "" {
			h.Set("X-Forwarded-Proto", c.simple)
		}
		if c.standard != "" {
			h.Set("Forwarded", c.standard)
		}
		if got := gateway.ForwardedSecure(netip.MustParseAddr(c.peer), h, proxies()); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}

func TestSetForwarded(t *testing.T) {
	for _, c := range []struct {
		client string
		secure bool
		host   string
		want   [5]string
	}{
		{"192.0.2.1", true, "a.example", [5]string{"192.0.2.1", "https", "a.example", "443", `for=192.0.2.1;host="a.example";proto=https`}},
		{"192.0.2.1", false, "a.example:81", [5]string{"192.0.2.1", "http", "a.example:81", "81", `for=192.0.2.1;host="a.example:81";proto=http`}},
		{"2001:db8::1", true, "[::1]:8443", [5]string{"2001:db8::1", "https", "[::1]:8443", "8443", `for="[2001:db8::1]";host="[::1]:8443";proto=https`}},
		{"2001:db8::1", false, "[::1]", [5]string{"2001:db8::1", "http", "[::1]", "80", `for="[2001:db8::1]";host="[::1]";proto=http`}},
	} {
		out := http.Header{"X-Forwarded-For": {"spoofed", "spoofed"}, "Forwarded": {"spoofed"}}
		gateway.SetForwarded(out, netip.MustParseAddr(c.client), c.secure, c.host)
		for i, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "Forwarded"} {
			if got := out[name]; len(got) != 1 || got[0] != c.want[i] {
				t.Errorf("%s: got %q, want %q", name, got, c.want[i])
			}
		}
		// The values share an array; adding to one must not change its neighbour.
		out.Add("X-Forwarded-For", "more")
		if got := out.Get("X-Forwarded-Proto"); got != c.want[1] {
			t.Errorf("after adding to X-Forwarded-For, X-Forwarded-Proto is %q", got)
		}
	}
}

// FuzzForwarded: whatever a client wrote, what the trusted proxy appended decides, or the request is refused.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"", "for=1.1.1.1", `for="[2001:db8::1]:80"`, `for="`, `x="\`, "for=_hidden;proto=https", "for=unknown, for=10.0.0.1", ",;,", "for=1.1.1.1;", "a=b;c=\"d,e\"", "for=\"\\"} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	peer, client := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.0.2.1")
	f.Fuzz(func(t *testing.T, claim string, line bool) {
		h := make(http.Header)
		for name, own := range map[string]string{"Forwarded": `for=192.0.2.1;proto=https;by="[2001:db8:ffff::1]"`, "X-Forwarded-For": "192.0.2.1"} {
			clear(h)
			if line {
				h[name] = []string{claim, own}
			} else {
				h[name] = []string{claim + ", " + own}
			}
			got, err := gateway.ClientAddress(peer, h, proxies())
			if err == nil && got != client {
				t.Fatalf("%s with the claim %q: got %v", name, claim, got)
			}
			if err != nil && name == "X-Forwarded-For" {
				t.Fatalf("%s with the claim %q: %v", name, claim, err)
			}
			gateway.ForwardedSecure(peer, h, proxies())
			h[name] = []string{claim}
			if got, err := gateway.ClientAddress(peer, h, proxies()); err == nil && (!got.IsValid() || got.Zone() != "" || got.Is4In6()) {
				t.Fatalf("%s: %q gives %v", name, claim, got)
			}
		}
	})
}
