package audit_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/audit/report"
	"github.com/doorward/doorward/test/real"
)

const (
	goodHeaders = `add_header Content-Security-Policy "default-src 'self'" always; add_header X-Frame-Options SAMEORIGIN always; add_header X-Content-Type-Options nosniff always;
add_header Strict-Transport-Security "max-age=31536000; includeSubDomains" always; add_header Referrer-Policy same-origin always; server_tokens off;`
	goodTLS  = "ssl_protocols TLSv1.2 TLSv1.3; ssl_prefer_server_ciphers on; ssl_ciphers " + modernSuites + ";"
	redirect = "location / { return 301 https://$host$request_uri; }"
)

// site is one host name behind nginx at an address of its own: what is in its blocks for ports 443 and 80.
type site struct {
	name         string
	secure, open string // open empty: port 80 is closed
	want         string
	choose       []string
}

// startSites starts all of them and returns each one's address.
func startSites(t *testing.T, second int, root string, sites []site) []string {
	t.Helper()
	certificate, key := newIssuer(t).issue(t, real.Folder(t), "site", order{})
	var blocks strings.Builder
	var addresses []string
	for n, s := range sites {
		a := fmt.Sprintf("127.45.%d.%d", second, n+1)
		addresses = append(addresses, a)
		fmt.Fprintf(&blocks, "server { listen %s:443 ssl; server_name app.example.test; ssl_certificate %s; ssl_certificate_key %s; root %s; %s %s }\n", a, certificate, key, root, goodTLS, s.secure)
		if s.open != "" {
			fmt.Fprintf(&blocks, "server { listen %s:80; server_name app.example.test; root %s; %s }\n", a, root, s.open)
		}
	}
	startNginx(t, blocks.String(), os.Environ(), addresses[0])
	return addresses
}

// fetch is what curl shows of a page: the headers and the text.
func fetch(t *testing.T, address, url string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "curl", "-sk", "-i", "--max-time", "60", "--resolve", "app.example.test:443:"+address, "--resolve", "app.example.test:80:"+address, url).Output()
	if err != nil {
		t.Fatalf("curl %s: %v", url, err)
	}
	return strings.ToLower(string(out))
}

func TestHeaders(t *testing.T) {
	real.Require(t, "nginx", "curl")
	needRoot(t)
	root := real.Folder(t)
	real.Write(t, root, "index.html", "<title>Start</title>hello", 0o644)
	sites := []site{
		{name: "good", secure: goodHeaders, want: "I-36:pass I-37:pass I-38:pass I-39:pass I-40:pass I-49:pass"},
		{name: "good, strictly", secure: goodHeaders, want: "I-37:pass I-49:pass I-39:fail", choose: []string{"I-37=strict", "I-49=asvs", "I-39=guide"}},
		{name: "none", want: "I-36:fail I-37:fail I-38:fail I-39:pass I-40:fail I-49:fail"},
		{name: "only on pages that are there", secure: strings.ReplaceAll(goodHeaders, " always", ""), want: "I-36:pass I-37:fail I-38:fail I-40:fail I-49:fail"},
		{name: "a location that forgets them", secure: goodHeaders + " location = /index.html { add_header X-Extra 1; }", want: "I-36:fail I-37:fail I-38:fail I-40:fail I-49:fail"},
		{name: "the guide's own", secure: `add_header Content-Security-Policy "default-src 'unsafe-inline' 'unsafe-eval' data: http://app.example.test:80 https://app.example.test:443" always;
			add_header X-Frame-Options SAMEORIGIN always; add_header X-XSS-Protection "1; mode=block" always; add_header X-Content-Type-Options nosniff always;
			add_header Strict-Transport-Security "max-age=15768000; includeSubDomains" always;`, want: "I-37:pass I-38:pass I-39:pass I-40:pass I-49:pass", choose: []string{"I-39=guide"}},
		{name: "the guide's own, today", secure: `add_header Content-Security-Policy "default-src 'unsafe-inline' 'unsafe-eval'" always; add_header X-XSS-Protection "1; mode=block" always;
			add_header Strict-Transport-Security "max-age=15768000; includeSubDomains" always;`, want: "I-37:fail I-39:fail I-49:fail", choose: []string{"I-37=strict", "I-49=asvs"}},
		{name: "ancestors open the frame", secure: `add_header X-Frame-Options DENY always; add_header Content-Security-Policy "frame-ancestors *" always;`, want: "I-38:fail I-37:fail"},
		{name: "HSTS without hosts below", secure: `add_header Strict-Transport-Security "max-age=31536000" always;`, want: "I-49:fail"},
		{name: "HSTS twice, the first takes it back", secure: `add_header Strict-Transport-Security "max-age=0; includeSubDomains" always; add_header Strict-Transport-Security "max-age=31536000; includeSubDomains" always;`, want: "I-49:fail"},
	}
	for n, a := range startSites(t, 2, root, sites) {
		t.Run(sites[n].name, func(t *testing.T) {
			f := fromOutside(t, a)
			wantVerdicts(t, verdicts(t, f, sites[n].choose...), sites[n].want)
			// curl has to see the same on both kinds of page.
			for _, answer := range f.Values["http"].(facts.HTTP).Answers {
				seen := strings.Contains(fetch(t, a, answer.URL), "\nx-content-type-options: nosniff")
				if answer.Headers.NoSniff != seen {
					t.Errorf("%s: got nosniff %v; curl %v", answer.URL, answer.Headers.NoSniff, seen)
				}
			}
		})
	}
}

func TestHTTP(t *testing.T) {
	real.Require(t, "nginx", "curl")
	needRoot(t)
	root := real.Folder(t)
	real.Write(t, root, "index.html", `<title>Start</title>hello <a href="/join/signup.html">Sign up</a>`, 0o644)
	real.Write(t, root, "mixed.html", `<title>Start</title><script src="http://127.0.0.1:9/x.js"></script>`, 0o644)
	real.Write(t, root, ".git/HEAD", "ref: refs/heads/main\n", 0o644)
	real.Write(t, root, "data/file", "secret", 0o644)
	real.Write(t, root, "join/signup.html", `<title>Join</title><form method=post><input type=password name=p></form>`, 0o644)
	real.Write(t, root, ".well-known/security.txt", "Contact: mailto:security@example.test\nExpires: "+time.Now().AddDate(0, 6, 0).UTC().Format(time.RFC3339)+"\n", 0o644)
	real.Write(t, root, "old/security.txt", "Contact: mailto:security@example.test\nExpires: "+time.Now().AddDate(0, -1, 0).UTC().Format(time.RFC3339)+"\n", 0o644)
	const guard = `location ~ /\.git { return 404; } location ^~ /data/ { return 403; } location ^~ /join/ { return 404; }
		if ($http_sec_fetch_site = cross-site) { return 403; } if ($query_string ~* "script|union|%2Fetc") { return 403; } `
	good := goodHeaders + guard
	const cookie = `add_header Set-Cookie "sid=1; Path=/; HttpOnly; SameSite=Lax%s" always; `
	sites := []site{
		{name: "good", secure: good + fmt.Sprintf(cookie, "; Secure"), open: redirect, want: "D-22:pass F-45:pass F-32:pass I-61:pass I-24:pass F-07:fail I-81:pass D-30:pass D-31:pass M-13:pass F-49:fail F-36:fail"},
		{name: "no port 80", secure: good, want: "F-45:pass D-22:pass"},
		{name: "port 80 refuses", secure: good, open: "return 403;", want: "F-45:pass"},
		{name: "port 80 serves", secure: good, open: "location / { }", want: "F-45:fail D-22:fail"},
		{name: "only the start page is redirected", secure: good, open: "location = / { return 301 https://$host/; } location / { }", want: "F-45:fail D-22:fail"},
		{name: "only what the start page links to is open", secure: good, open: "location ^~ /join/ { } location / { return 301 https://$host/; }", want: "F-45:fail"},
		{name: "the page itself is not redirected", secure: good + " location = / { return 302 https://app.example.test/index.html; }", open: "location = / { return 301 https://$host/; } location / { }", want: "F-45:fail"},
		{name: "a redirect that stays in the clear", secure: good, open: "location / { return 301 http://$host/index.html; }", want: "F-45:fail"},
		{name: "a redirect with the page beside it", secure: good, open: `location / { error_page 418 =302 /index.html; add_header Location https://app.example.test/ always; return 418; } location = /index.html { add_header Location https://app.example.test/ always; default_type text/html; return 302 "` + strings.Repeat("secret words of a ticket ", 50) + `"; }`, want: "F-45:fail"},
		{name: "a password asked for in the clear", secure: good, open: `auth_basic x; auth_basic_user_file /dev/null; location / { }`, want: "F-45:fail"},
		{name: "a cookie without Secure", secure: good + fmt.Sprintf(cookie, ""), open: redirect, want: "F-45:fail D-22:fail"},
		{name: "a cookie for other sites", secure: good + `add_header Set-Cookie "sid=1; Secure; SameSite=None" always; `, open: redirect, want: "F-45:pass F-32:fail"},
		{name: "a page that loads in the clear", secure: good + " index mixed.html;", want: "F-45:fail D-22:fail"},
		{name: "left behind and open", secure: goodHeaders + " autoindex on;", want: "D-22:fail D-30:fail M-13:fail F-32:fail I-61:fail I-24:fail F-07:fail F-36:fail I-81:unknown"},
		{name: "an old security.txt", secure: good + " location = /.well-known/security.txt { alias " + root + "/old/security.txt; }", want: "F-49:fail"},
		{name: "one page for every name", secure: goodHeaders + " location / { try_files /index.html =404; }", want: "M-13:pass D-31:pass D-30:fail"},
		{name: "administration is open", secure: goodHeaders + " location = /admin/ { default_type text/html; return 200 '<title>Administration</title>'; }", want: "D-31:fail"},
		{name: "administration is redirected", secure: goodHeaders + " location = /agent/ { return 302 /login; }", want: "D-31:fail"},
		{name: "too many requests", secure: goodHeaders + " location = /agent/ { return 429; }", want: "D-31:unknown F-45:unknown I-38:unknown"},
	}
	for n, a := range startSites(t, 3, root, sites) {
		t.Run(sites[n].name, func(t *testing.T) {
			got := verdicts(t, fromOutside(t, a), sites[n].choose...)
			wantVerdicts(t, got, sites[n].want)
			if sites[n].name == "good" {
				if !strings.Contains(got["F-49"].Reason, "nobody has attested") {
					t.Errorf("F-49: got %q, want the check to pass and the person's answer to be missing", got["F-49"].Reason)
				}
				if seen := fetch(t, a, "http://app.example.test/"); !strings.HasPrefix(seen, "http/1.1 301") {
					t.Errorf("curl sees %s", seen)
				}
			}
		})
	}
	t.Run("from the host itself", func(t *testing.T) {
		f := onHost(t, facts.Config{URLs: []string{"https://app.example.test/"}, ConnectTo: "127.45.3.17"})
		wantVerdicts(t, verdicts(t, f), "D-31:unknown F-09:pass I-38:pass D-30:pass")
	})
}

// onHost collects as doorward audit does on the machine itself.
func onHost(t *testing.T, c facts.Config) facts.Facts {
	t.Helper()
	h, err := facts.OpenHost(facts.HostOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return facts.Collect(t.Context(), h, facts.Target{Now: time.Now(), Config: c}, nil)
}

// TestCanaries: Apache with PHP, whose data folder is closed, open, or open without PHP.
func TestCanaries(t *testing.T) {
	real.Require(t, "/usr/sbin/apache2", "/usr/lib/apache2/modules/libphp8.2.so", "curl")
	needRoot(t)
	dir := real.Folder(t)
	root := filepath.Join(dir, "www")
	certificate, key := newIssuer(t).issue(t, dir, "site", order{})
	for _, name := range []string{"closed", "open", "still", "ignored"} {
		real.Write(t, root, name+"/data/keep.txt", "an attachment", 0o644)
		real.Write(t, root, name+"/index.php", `<?php header("Location: https://app.example.test/"); echo "<p>", str_repeat("words of a ticket that go out all the same ", 20);`, 0o644)
	}
	hosts := []struct{ name, directive, want string }{
		{"closed", "TraceEnable off\n<Directory " + root + "/closed/data>\nRequire all denied\n</Directory>", "D-28:pass"},
		{"open", "ServerSignature On", "D-28:fail"},
		{"still", "<Directory " + root + "/still/data>\nphp_admin_flag engine off\n</Directory>", "D-28:fail"},
		{"ignored", "", "D-28:fail"}, // an .htaccess that AllowOverride None never reads
	}
	real.Write(t, root, "ignored/data/.htaccess", "Require all denied\n", 0o644)
	var text strings.Builder
	fmt.Fprintf(&text, "ServerRoot /usr/lib/apache2\nServerName app.example.test\nPidFile %[1]s/pid\nErrorLog %[1]s/error\nLogLevel crit\nUser www-data\nGroup www-data\nTypesConfig /etc/mime.types\nMutex file:%[1]s default\n", dir)
	for _, module := range []string{"mpm_prefork", "authz_core", "mime", "dir", "autoindex", "alias", "ssl", "headers", "socache_shmcb"} {
		fmt.Fprintf(&text, "LoadModule %[1]s_module modules/mod_%[1]s.so\n", module)
	}
	text.WriteString("LoadModule php_module modules/libphp8.2.so\n<FilesMatch \\.php$>\nSetHandler application/x-httpd-php\n</FilesMatch>\nDirectoryIndex index.php\nSSLSessionCache none\n<Directory />\nRequire all granted\nOptions Indexes\nAllowOverride None\n</Directory>\n")
	for n, h := range hosts {
		fmt.Fprintf(&text, "Listen 127.45.4.%[1]d:443\nListen 127.45.4.%[1]d:80\n<VirtualHost 127.45.4.%[1]d:443>\nDocumentRoot %[2]s/%[3]s\nSSLEngine on\nSSLProtocol -all +TLSv1.2 +TLSv1.3\nSSLCertificateFile %[4]s\nSSLCertificateKeyFile %[5]s\n%[6]s\n</VirtualHost>\n<VirtualHost 127.45.4.%[1]d:80>\nDocumentRoot %[2]s/%[3]s\n</VirtualHost>\n",
			n+1, root, h.name, certificate, key, h.directive)
	}
	config := real.Write(t, dir, "apache.conf", text.String(), 0o644)
	p := real.Start(t, "apache2", exec.Command("/usr/sbin/apache2", "-D", "FOREGROUND", "-f", config))
	p.AwaitListening("127.45.4.1:443", time.Minute)
	for n, h := range hosts {
		t.Run(h.name, func(t *testing.T) {
			folder, a := filepath.Join(root, h.name, "data"), fmt.Sprintf("127.45.4.%d", n+1)
			f := onHost(t, facts.Config{URLs: []string{"https://app.example.test/"}, ConnectTo: a, Canaries: []facts.Canary{{Folder: folder, URL: "https://app.example.test/data/"}}})
			got := verdicts(t, f)
			wantVerdicts(t, got, h.want+" F-45:fail I-44:pass") // index.php goes on after its redirect, on port 80 too
			files := f.Values["canaries"].(facts.Canaries).Files
			if len(files) != 2 {
				t.Fatalf("got %+v", files)
			}
			executed := h.name == "open" || h.name == "ignored"
			if served := h.name != "closed"; files[0].Served != served || files[1].Executed != executed || files[1].Served == executed && served {
				t.Errorf("got %+v", files)
			}
			if seen := strings.Contains(fetch(t, a, "https://app.example.test/data/keep.txt"), "an attachment"); seen != files[0].Served {
				t.Errorf("curl sees the file: %v", seen)
			}
			left, err := filepath.Glob(folder + "/doorward-canary-*")
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %q %v", left, err)
			}
			if site := f.Values["http"].(facts.HTTP).Sites[0]; site.Trace != (h.name != "closed") { // Apache's default is on
				t.Errorf("TRACE is answered: %v", site.Trace)
			}
		})
	}
	t.Run("a link that leads away", func(t *testing.T) {
		if err := os.Symlink("/var/tmp", filepath.Join(root, "open/data/link")); err != nil {
			t.Fatal(err)
		}
		f := onHost(t, facts.Config{ConnectTo: "127.45.4.2", Canaries: []facts.Canary{{Folder: filepath.Join(root, "open/data/link"), URL: "https://app.example.test/data/link/"}}})
		wantVerdicts(t, verdicts(t, f), "D-28:unknown")
	})
}

// TestOutside: what answers at which port, in both families.
func TestOutside(t *testing.T) {
	real.Require(t, "nginx")
	needRoot(t)
	root := real.Folder(t)
	sites := []site{{name: "good", secure: goodHeaders, open: redirect}, {name: "filtered", secure: goodHeaders}}
	all := startSites(t, 5, root, sites)
	a := all[0]
	six, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer six.Close()
	forgotten, err := net.Listen("tcp", a+":6379")
	if err != nil {
		t.Fatal(err)
	}
	defer forgotten.Close()
	go http.Serve(six, http.NotFoundHandler())
	port := six.Addr().(*net.TCPAddr).Port
	resolver := zone(t, fmt.Sprintf("app.example.test. 60 A %s\napp.example.test. 60 AAAA ::1\n", a))
	f := facts.Outside(t.Context(), "app.example.test", facts.Target{Now: time.Now(), Config: facts.Config{Resolver: resolver, OpenPorts: []string{"tcp/80", "tcp/443", fmt.Sprintf("tcp/%d", port)}}})
	got, ok := f.Values["outside"].(facts.Reach)
	if !ok || !got.V4 || !got.V6 {
		t.Fatalf("got %+v, missing %+v", got, f.Missing)
	}
	open := map[string]bool{}
	for _, p := range got.Ports {
		if p.State == "open" && (p.Family == "v4" || p.Number == port) {
			open[fmt.Sprint(p.Family, " ", p.Number, " ", p.Expected)] = true
		}
	}
	for _, want := range []string{"v4 80 true", "v4 443 true", "v4 6379 false", fmt.Sprintf("v6 %d true", port)} {
		if !open[want] {
			t.Errorf("%s is not among %v", want, open)
		}
	}
	if len(open) != 4 {
		t.Errorf("got %v, want four", open)
	}
	wantVerdicts(t, verdicts(t, f), "F-09:pass D-31:pass D-28:unknown F-48:unknown I-62:fail")
	commandFromOutside(t, resolver, port)
	filter(t, all[1])
	f = fromOutside(t, all[1])
	if plain := f.Values["http"].(facts.HTTP).Plain; len(plain) != 1 || plain[0].State != "closed" {
		t.Errorf("a port that drops packets: got %+v", plain)
	}
	if f = facts.Outside(t.Context(), "127.45.5.200", facts.Target{Now: time.Now()}); f.Values["tls"] != nil {
		t.Errorf("got %+v of a host that serves nothing", f.Values["tls"])
	}
}

// commandFromOutside: the command tells the same, and only what can be seen from outside.
func commandFromOutside(t *testing.T, resolver string, port int) {
	t.Helper()
	config := real.Write(t, real.Folder(t), "doorward.yaml", fmt.Sprintf("audit: {resolver: %q, open_ports: [tcp/80, tcp/443, tcp/%d]}\n", resolver, port), 0o644)
	out, err := exec.Command(real.Program(t), "audit", "--config", config, "--from-outside", "app.example.test", "--fail-on", "none", "--format", "json").Output()
	var r report.Report
	if err != nil || json.Unmarshal(out, &r) != nil {
		t.Fatalf("doorward audit --from-outside: %v\n%s", err, out)
	}
	found := map[string]audit.Finding{}
	for _, f := range r.Results {
		found[f.ID] = f
	}
	wantStatus(t, found, audit.Pass, "F-09", "D-31")
	wantStatus(t, found, audit.Fail, "I-62")
	wantStatus(t, found, "", "I-03", "F-01", "D-04")
	if r.Root != "outside" || r.Host != "app.example.test" || len(r.Results) > 50 {
		t.Errorf("got %d results for %s in %s", len(r.Results), r.Host, r.Root)
	}
}

// filter makes port 80 of an address drop what comes, as a firewall does: its queue is full.
func filter(t *testing.T, address string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	place := &syscall.SockaddrInet4{Port: 80, Addr: [4]byte(net.ParseIP(address).To4())}
	if err := errors.Join(syscall.Bind(fd, place), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if conn, err := net.DialTimeout("tcp", address+":80", 300*time.Millisecond); err == nil {
			t.Cleanup(func() { conn.Close() })
		}
	}
}
