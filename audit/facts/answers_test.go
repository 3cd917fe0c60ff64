package facts_test

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/doorward/doorward/audit/facts"
)

func TestHeaders(t *testing.T) {
	const csp, xfo, sts = "Content-Security-Policy", "X-Frame-Options", "Strict-Transport-Security"
	for name, c := range map[string]struct {
		lines []string
		want  func(h facts.Headers) bool
	}{
		"nothing": {nil, func(h facts.Headers) bool {
			return h.Scripts == "any" && h.Framing == "any" && !h.HSTS && !h.NoSniff && h.XSS == ""
		}},
		"the guide's policy": {[]string{csp, "default-src 'unsafe-inline' 'unsafe-eval' data: http://i-doit.example.net:80 https://i-doit.example.net:443"},
			func(h facts.Headers) bool { return h.Scripts == "listed" && h.Inline && h.Eval }},
		"everything from everywhere": {[]string{csp, "default-src *"}, func(h facts.Headers) bool { return h.Scripts == "any" }},
		"any host with TLS":          {[]string{csp, "script-src https: 'self'"}, func(h facts.Headers) bool { return h.Scripts == "any" }},
		"says nothing of scripts":    {[]string{csp, "img-src 'self'; frame-ancestors 'none'"}, func(h facts.Headers) bool { return h.Scripts == "any" && h.Framing == "none" }},
		"scripts are looser":         {[]string{csp, "default-src 'none'; script-src *"}, func(h facts.Headers) bool { return h.Scripts == "any" }},
		"the first of a name counts": {[]string{csp, "script-src 'self'; script-src *"}, func(h facts.Headers) bool { return h.Scripts == "listed" }},
		"two policies":               {[]string{csp, "default-src *", csp, "script-src 'self'"}, func(h facts.Headers) bool { return h.Scripts == "listed" && !h.Inline }},
		"two in one header":          {[]string{csp, "default-src *, script-src 'none'"}, func(h facts.Headers) bool { return h.Scripts == "none" }},
		"a nonce beside inline":      {[]string{csp, "script-src 'nonce-x' 'unsafe-inline'"}, func(h facts.Headers) bool { return h.Scripts == "listed" && !h.Inline }},
		"only reported":              {[]string{csp + "-Report-Only", "default-src 'self'"}, func(h facts.Headers) bool { return h.Scripts == "any" && h.CSPReport != "" }},
		"the guide's frames":         {[]string{xfo, "SAMEORIGIN"}, func(h facts.Headers) bool { return h.Framing == "self" }},
		"twice the same":             {[]string{xfo, "SAMEORIGIN", xfo, "sameorigin"}, func(h facts.Headers) bool { return h.Framing == "self" }},
		"twice, not the same":        {[]string{xfo, "SAMEORIGIN", xfo, "DENY"}, func(h facts.Headers) bool { return h.Framing == "none" }},
		"a word nobody knows":        {[]string{xfo, "ALLOW-FROM https://a.example"}, func(h facts.Headers) bool { return h.Framing == "any" }},
		"ancestors win":              {[]string{xfo, "DENY", csp, "frame-ancestors *"}, func(h facts.Headers) bool { return h.Framing == "any" }},
		"ancestors listed":           {[]string{csp, "frame-ancestors 'self' https://a.example"}, func(h facts.Headers) bool { return h.Framing == "listed" }},
		"the guide's HSTS":           {[]string{sts, "max-age=15768000; includeSubDomains"}, func(h facts.Headers) bool { return h.HSTS && h.MaxAge == 15768000 && h.Subdomains }},
		"quoted, in capitals":        {[]string{sts, `MAX-AGE="31536000"; INCLUDESUBDOMAINS`}, func(h facts.Headers) bool { return h.HSTS && h.MaxAge == 31536000 && h.Subdomains }},
		"the first header counts":    {[]string{sts, "max-age=0", sts, "max-age=31536000"}, func(h facts.Headers) bool { return h.HSTS && h.MaxAge == 0 }},
		"max-age twice":              {[]string{sts, "max-age=31536000; max-age=31536000"}, func(h facts.Headers) bool { return !h.HSTS }},
		"no number":                  {[]string{sts, "max-age=1 year"}, func(h facts.Headers) bool { return !h.HSTS }},
		"max-age with a comma":       {[]string{sts, "max-age=31536000, includeSubDomains"}, func(h facts.Headers) bool { return !h.HSTS }},
		"no max-age":                 {[]string{sts, "includeSubDomains"}, func(h facts.Headers) bool { return !h.HSTS }},
		"sniffing":                   {[]string{"X-Content-Type-Options", "NoSniff", "X-XSS-Protection", "1; Mode=block", "X-Powered-By", "PHP/8.2"}, func(h facts.Headers) bool { return h.NoSniff && h.XSS == "1;mode=block" && h.PoweredBy == "PHP/8.2" }},
		"sniffing after another":     {[]string{"X-Content-Type-Options", "none, nosniff"}, func(h facts.Headers) bool { return !h.NoSniff }},
		"thousands":                  {[]string{csp, strings.Repeat("script-src 'self',", 20000)}, func(h facts.Headers) bool { return h.Scripts == "listed" && len(h.CSP) <= 2000 }},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			for i := 0; i < len(c.lines); i += 2 {
				h.Add(c.lines[i], c.lines[i+1])
			}
			if got := facts.ReadHeaders(h); !c.want(got) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestSecurityText(t *testing.T) {
	for name, c := range map[string]struct {
		text, kind   string
		found, valid bool
	}{
		"good":          {"# hello\nContact: mailto:security@example.com\nExpires: 2027-01-01T00:00:00Z\nPolicy: https://example.com/policy\n", "text/plain; charset=utf-8", true, true},
		"signed":        {"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nContact: https://a.example/\r\nexpires: 2027-01-01T00:00:00+01:00\r\n-----BEGIN PGP SIGNATURE-----\n", "text/plain", true, true},
		"a page":        {"Contact: mailto:x@example.com\nExpires: 2027-01-01T00:00:00Z\n", "text/html", false, false},
		"no contact":    {"Expires: 2027-01-01T00:00:00Z\n", "text/plain", true, false},
		"no expiry":     {"Contact: mailto:x@example.com\n", "text/plain", true, false},
		"two expiries":  {"Contact: mailto:x@example.com\nExpires: 2027-01-01T00:00:00Z\nExpires: 2028-01-01T00:00:00Z\n", "text/plain", true, false},
		"another date":  {"Contact: mailto:x@example.com\nExpires: Thu, 31 Dec 2027 18:37:07 -0800\n", "text/plain", true, false},
		"commented out": {"#Contact: mailto:x@example.com\nExpires: 2027-01-01T00:00:00Z\n", "text/plain", true, false},
	} {
		if got := facts.ReadSecurityText([]byte(c.text), c.kind); got.Found != c.found || got.Valid != c.valid || c.valid != (got.Fault == "") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// TestSites: what a site shows, beside what the live tests see of real servers.
func TestSites(t *testing.T) {
	key := rsaKey(t, 2048)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/app/", http.StatusFound)
			return
		}
		fmt.Fprintf(w, "<title>Helpdesk</title>%s", r.URL.Path) // an application that knows every name
	})
	mux.HandleFunc("/app/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			http.SetCookie(w, &http.Cookie{Name: "s", Value: "1", SameSite: http.SameSiteLaxMode, HttpOnly: true, MaxAge: 60})
			http.SetCookie(w, &http.Cookie{Name: "gone", MaxAge: -1})
			io.WriteString(w, `<title>Start</title><script src="http://cdn.example/x.js"></script><img src=/files/a.png><a href="http://a.example">a</a>
				<form action="HTTP://elsewhere.example/"></form><a href="/join/signup?x=1&amp;y=2">Sign up</a>`)
		}
	})
	mux.HandleFunc("/files/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<html><head><title>Index of /files</title></head>")
	})
	mux.HandleFunc("/join/signup", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `<title>Sign up</title><input type="password">`)
	})
	mux.HandleFunc("/.git/HEAD", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ref: refs/heads/main\n") })
	url := serve(t, "127.44.0.29", serverOf(newAuthority(t).issue(t, key, nil)), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Sec-Fetch-Site") == "cross-site" || strings.Contains(r.URL.RawQuery, "script") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	f := lookAt(t, "127.44.0.29", url)
	got, ok := f.Values["http"].(facts.HTTP)
	if !ok {
		t.Fatalf("missing: %+v", f.Missing)
	}
	want := func(name string, ok bool, value any) {
		t.Helper()
		if !ok {
			t.Errorf("%s: got %+v", name, value)
		}
	}
	want("answers", len(got.Answers) == 3 && got.Answers[1].Kind == "redirect" && got.Answers[2].Kind == "start", got.Answers)
	want("cookies", len(got.Cookies) == 1 && got.Cookies[0].SameSite == "lax" && !got.Cookies[0].Secure && got.Cookies[0].Lifetime == 60, got.Cookies)
	want("mixed", len(got.Mixed) == 2 && got.Mixed[0].Tag == "script" && got.Mixed[1].Tag == "form", got.Mixed)
	want("cross site", got.Sites[0].CrossSite == "guarded" && len(got.Sites[0].Refuses) == 1 && got.CrossSiteGuarded, got.Sites)
	for _, p := range got.Paths {
		switch {
		case strings.Contains(p.URL, "/join/signup"):
			want("registration", p.State == "open" && p.Form, p)
		case strings.HasSuffix(p.URL, "/.git/HEAD"):
			want(".git", p.Known, p)
		default:
			want("what is not there", p.State == "absent" && !p.Known, p)
		}
	}
	lists := 0
	for _, folder := range got.Folders {
		if folder.Lists {
			lists++
			want("listing", strings.HasSuffix(folder.URL, "/files/"), folder)
		}
	}
	want("one listing", lists == 1, got.Folders)
	want("seen from outside", got.Outside && got.Complete, got)
}

// answering is a DNS server on 127.0.0.1 with the given records; every other name does not exist.
func answering(t *testing.T, zone string) string {
	t.Helper()
	records := map[string][]dns.RR{}
	parser := dns.NewZoneParser(strings.NewReader(zone), "", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		name := strings.ToLower(rr.Header().Name)
		records[name] = append(records[name], rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	// The port that one protocol gets may be taken in the other.
	var udp net.PacketConn
	var tcp net.Listener
	for range 20 {
		var err error
		if udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			break
		}
		udp.Close()
	}
	if tcp == nil {
		t.Fatal("no port is free in both protocols")
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		all, known := records[strings.ToLower(q.Question[0].Name)]
		if strings.Contains(q.Question[0].Name, "broken") {
			m.Rcode = dns.RcodeServerFailure
		} else if !known {
			m.Rcode = dns.RcodeNameError
		}
		for _, rr := range all {
			if rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		if _, ok := w.LocalAddr().(*net.UDPAddr); ok {
			m.Truncate(dns.MinMsgSize)
		}
		w.WriteMsg(m)
	})
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}} {
		go s.ActivateAndServe()
		t.Cleanup(func() { s.Shutdown() })
	}
	return udp.LocalAddr().String()
}

func TestMailRecords(t *testing.T) {
	if !alone(t) {
		return
	}
	key := rsaKey(t, 2048)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := base64.StdEncoding.EncodeToString(der)
	zone := `$TTL 60
good.example. TXT "v=spf1 ip4:192.0.2.1 include:other.example -all"
other.example. TXT "v=spf1 a mx ?all"
_dmarc.good.example. TXT "v=DMARC1; p=reject; rua=mailto:x@good.example"
_smtp._tls.good.example. TXT "v=TLSRPTv1; rua=mailto:x@good.example"
s._domainkey.good.example. TXT "v=DKIM1; k=rsa; p=` + public[:200] + `" "` + public[200:] + `"
two.example. TXT "v=spf1 -all"
two.example. TXT "v=spf1 +all"
_dmarc.two.example. TXT "v=DMARC1; p=reject"
_dmarc.two.example. TXT "v=DMARC1; p=none"
s._domainkey.two.example. TXT "v=DKIM1; p="
loop.example. TXT "v=spf1 include:loop.example -all"
_dmarc.loop.example. TXT "v=DMARC1; p=none; pct=50; sp=reject"
s._domainkey.loop.example. TXT "v=DKIM1; t=y; p=` + public[:200] + `" "` + public[200:] + `"
away.example. TXT "v=spf1 redirect=other.example"
sub.loop.example. TXT "v=spf1 +all"
none.example. TXT "v=spf10 nothing"
`
	h, err := facts.OpenHost(facts.HostOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	f := facts.Collect(t.Context(), h, facts.Target{Now: probed, Config: facts.Config{Resolver: answering(t, zone), DKIMSelectors: []string{"s"},
		MailDomains: []string{"good.example", "two.example", "loop.example", "away.example", "sub.loop.example", "none.example", "broken.example"}}}, nil)
	got, ok := f.Values["mail"].(facts.Mail)
	if !ok {
		t.Fatalf("missing: %+v", f.Missing)
	}
	records := map[string]string{}
	for _, d := range got.Domains {
		records[d.Domain] = fmt.Sprintf("spf %v %s %d, dmarc %v %s %d, reports %v", d.SPF.Valid, d.SPF.All, d.SPF.Lookups, d.DMARC.Valid, d.DMARC.Policy, d.DMARC.Percent, d.TLSRPT)
	}
	for name, want := range map[string]string{
		"good.example":     "spf true fail 3, dmarc true reject 100, reports true",
		"two.example":      "spf false neutral 0, dmarc false  100, reports false",
		"loop.example":     "spf false  11, dmarc true none 50, reports false",
		"away.example":     "spf true neutral 3, dmarc false  0, reports false",
		"sub.loop.example": "spf true pass 0, dmarc true reject 50, reports false",
		"none.example":     "spf false neutral 0, dmarc false  0, reports false",
	} {
		if records[name] != want {
			t.Errorf("%s: got %q, want %q", name, records[name], want)
		}
	}
	var reason string
	for _, m := range f.Missing {
		if m.Fact == "mail.complete" {
			reason = m.Reason
		}
	}
	if len(got.Domains) != 6 || !strings.Contains(reason, "broken.example") {
		t.Errorf("got %d domains, and complete is missing because %q", len(got.Domains), reason)
	}
	keys := map[string]string{}
	for _, k := range got.DKIM {
		keys[k.Domain] = fmt.Sprint(k.Valid, k.Bits, k.Testing)
	}
	for name, want := range map[string]string{"good.example": "true 2048 false", "two.example": "false 0 false", "loop.example": "true 2048 true", "none.example": "false 0 false"} {
		if keys[name] != want {
			t.Errorf("key of %s: got %q, want %q", name, keys[name], want)
		}
	}
}

func TestPolicyForMail(t *testing.T) {
	for text, want := range map[string]string{
		"version: STSv1\r\nmode: enforce\r\nmx: mx.a.example\r\nmx: *.b.example\r\nmax_age: 86400\r\n": "enforce true",
		"version: STSv1\nmode: enforce\nmx: mx.a.example\nmax_age: 86400\n":                            "enforce false",
		"version: STSv2\nmode: enforce\nmx: *.a.example\nmx: *.b.example\nmax_age: 86400\n":            " true",
		"mode: enforce\n": " false",
	} {
		if got := facts.ReadSTS(text, []string{"mx.a.example", "mx.b.example"}); fmt.Sprint(got.Mode, " ", got.Covers) != want {
			t.Errorf("%q: got %+v, want %q", text, got, want)
		}
	}
}

// TestNoTLS: servers that say no to STARTTLS, or say nothing that can be read, each in their protocol.
func TestNoTLS(t *testing.T) {
	for protocol, replies := range map[string][]string{
		"smtp": {"554 no\r\n", "220 hello\r\n250-mx\r\n250 SIZE\r\n", "220 hello\r\n250-mx\r\n250-NOSTARTTLS\r\n250 OK\r\n", "220 hello\r\n250-a\r\n" + strings.Repeat("250-x\r\n", 5000),
			"220 hello\r\n250 STARTTLS\r\n454 not now\r\n", strings.Repeat("x", 1<<20)},
		"imap":     {"* BYE\r\n", "* OK\r\na BAD\r\n"},
		"pop3":     {"-ERR\r\n", "+OK\r\n-ERR\r\n"},
		"ldap":     {"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00", "\x30\xff", "\x30\x84\xff\xff\xff\xff", "\x30\x03\x02\x01\x01", "HTTP/1.1 400 Bad Request\r\n"},
		"postgres": {"N", "E"},
		"mysql":    {"\x03\x00\x00\x00\x0a\x00\x00", "\xff\xff\xff\x00\x0a", "\x17\x00\x00\x00\x0a5\x00aaaabbbbbbbb\x00\xff\xf7aaaaaaa"},
		"gopher":   {"x"},
	} {
		for _, reply := range replies {
			near, far := net.Pipe()
			far.SetDeadline(time.Now().Add(2 * time.Second))
			go io.Copy(io.Discard, far)
			go func() { io.WriteString(far, reply); far.Close() }()
			if err := facts.StartTLS(near, protocol); err == nil {
				t.Errorf("%s: %.40q is taken for a yes", protocol, reply)
			}
			near.Close()
		}
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add("default-src 'self'; frame-ancestors *", "SAMEORIGIN, DENY", `max-age="1"; includeSubDomains`)
	f.Fuzz(func(t *testing.T, csp, frame, sts string) {
		got := facts.ReadHeaders(http.Header{"Content-Security-Policy": {csp, csp}, "X-Frame-Options": {frame}, "Strict-Transport-Security": {sts}})
		if got.Scripts == "" || got.Framing == "" || got.MaxAge < 0 {
			t.Errorf("got %+v", got)
		}
	})
}

func FuzzPage(f *testing.F) {
	f.Add([]byte(`<title>Index of /</title><form action=http://x><input type=password><script src="http://y"></script>`), "text/plain")
	f.Add([]byte("Contact: x\nExpires: 2027-01-01T00:00:00Z\n"), "text/plain; charset=x")
	f.Fuzz(func(t *testing.T, text []byte, kind string) {
		facts.ReadPage(text)
		if got := facts.ReadSecurityText(text, kind); got.Valid && (len(got.Contacts) == 0 || got.Expires.IsZero()) {
			t.Errorf("got %+v", got)
		}
	})
}

func FuzzMailRecords(f *testing.F) {
	f.Add("v=DMARC1; p=reject; pct=5; sp=none", "v=DKIM1; k=ed25519; p="+base64.StdEncoding.EncodeToString(make([]byte, 32)), "version: STSv1\nmode: enforce\nmax_age: 1\nmx: *.a")
	f.Fuzz(func(t *testing.T, dmarc, dkim, sts string) {
		if got := facts.ReadDMARC([]string{dmarc}, true); got.Percent < 0 || got.Percent > 100 {
			t.Errorf("got %+v", got)
		}
		facts.ReadDKIM([]string{dkim})
		facts.ReadSTS(sts, []string{"mx.a"})
	})
}

// TestBadCompany: servers and resolvers that say nothing, and sites that say too much, are done with in time.
func TestBadCompany(t *testing.T) {
	t.Parallel()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	mute := raw(t, "127.44.0.27", func(_ []byte, conn net.Conn) { io.Copy(io.Discard, conn) })
	t.Run("and say nothing", func(t *testing.T) {
		for name, c := range map[string]facts.Config{
			"resolver": {URLs: []string{"https://app.example.test/"}, Resolver: silent.LocalAddr().String()},
			"server":   {URLs: []string{mute}},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				begin := time.Now()
				f := facts.Outside(t.Context(), "127.44.0.27", facts.Target{Now: probed, Config: c})
				if took := time.Since(begin); took > 9*time.Second || f.Values["tls"] != nil || f.Values["http"] != nil {
					t.Errorf("got %+v and %+v after %v", f.Values["tls"], f.Values["http"], took)
				}
			})
		}
	})
	url := serve(t, "127.44.0.28", serverOf(newAuthority(t).issue(t, rsaKey(t, 2048), nil)), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 300 {
			w.Header().Add("Set-Cookie", fmt.Sprintf("c%d%s=1", i, r.URL.Path[1:]))
		}
		w.Header().Set("Content-Type", "text/html")
		for range 30 {
			io.WriteString(w, strings.Repeat(`<script src="http://cdn.example/x.js"></script><a href="/signup/x">x</a><img src="/a/b/c.png">`, 1000))
		}
	}))
	f := lookAt(t, "127.44.0.28", url)
	got, ok := f.Values["http"].(facts.HTTP)
	if !ok || len(got.Cookies) != 100 || len(got.Mixed) != 50 || len(got.Folders) > 8 {
		t.Errorf("got %d cookies, %d mixed, %d folders; missing %+v", len(got.Cookies), len(got.Mixed), len(got.Folders), f.Missing)
	}
}
