package audit_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/test/real"
)

// answer is what a running server said.
type answer struct {
	status int
	header http.Header
	body   string
}

func get(t *testing.T, url string) answer {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint: the test's own certificate
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			u := strings.SplitN(strings.SplitN(url, "://", 2)[1], "/", 2)[0]
			_, port, _ := strings.Cut(u, ":")
			return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
		}}
	c := &http.Client{Transport: tr, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-Proto", "https") // as a gateway has it
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// expectation is what a running server shows, against what the audit says of it.
type expectation struct {
	id   string
	good bool // as the running server behaves
	what string
}

// compare fails where the verdict is not what the server does.
func compare(t *testing.T, got map[string]audit.Finding, all ...expectation) {
	t.Helper()
	for _, e := range all {
		want := audit.Fail
		if e.good {
			want = audit.Pass
		}
		if f := got[e.id]; f.Status != want {
			t.Errorf("%s: got %s (%s), want %s, because the server answers %s; %+v", e.id, f.Status, f.Reason, want, e.what, f.Evidence)
		}
	}
}

// observe asks a server for what the rows about what it tells of itself want to know. The listing is asked for at dir.
func observe(t *testing.T, base, dir string) []expectation {
	t.Helper()
	missing := get(t, base+"/no-such-name")
	server := missing.header.Get("Server")
	list := get(t, base+dir)
	listed := list.status == 200 && strings.Contains(list.body, "Index of")
	signed := strings.Contains(missing.body, "<address>") || strings.Contains(missing.body, "nginx/")
	return []expectation{
		{"I-42", !signed, "an error page " + missing.body},
		{"I-43", server != "" && !strings.Contains(server, "/") && !strings.Contains(server, "("), "Server: " + server},
		{"I-51", !listed, fmt.Sprintf("%s with %d %.200s", dir, list.status, list.body)},
	}
}

// quiet are files of a copy without the machine's own sites, and without the programs that it must not have. What other packages
// of the machine had Apache serve is gone too: which of them did so depends on the order in which they were installed.
func quiet(files map[string]string, without ...string) map[string]string {
	all := map[string]string{"/etc/apache2/sites-enabled/000-default.conf": "", "/var/www/html/index.html": "hello\n", "/var/www/html/files/secret.txt": "x\n",
		"/etc/nginx/sites-enabled/default": ""}
	enabled, _ := filepath.Glob("/etc/apache2/conf-enabled/*.conf") // the pattern is good
	for _, name := range enabled {
		switch filepath.Base(name) {
		case "charset.conf", "localized-error-pages.conf", "other-vhosts-access-log.conf", "security.conf", "serve-cgi-bin.conf": // Apache's own
		default:
			all[name] = ""
		}
	}
	for name, text := range files {
		all[name] = text
	}
	for _, name := range without {
		all[name] = ""
	}
	return all
}

func (d *disposable) apache(port int) {
	d.t.Helper()
	p := real.Start(d.t, "Apache", d.command("/bin/sh", "-c", ". /etc/apache2/envvars; exec /usr/sbin/apache2 -DFOREGROUND"))
	p.AwaitListening(fmt.Sprintf("127.0.0.1:%d", port), time.Minute)
}

func TestApache(t *testing.T) {
	real.Require(t, "/usr/sbin/apache2", "unshare")
	const site = `<VirtualHost *:PORT>
	ServerName localhost
	DocumentRoot /var/www/html
	CustomLog ${APACHE_LOG_DIR}/access.log combined
	MORE
</VirtualHost>
`
	const closed = "ServerTokens Prod\nServerSignature Off\n<Directory /var/www>\nOptions -Indexes\nMORE</Directory>\n"
	security := func(more string) string { return strings.ReplaceAll(closed, "MORE", more) }
	for name, c := range map[string]struct {
		files map[string]string
		more  string // in the virtual host
	}{
		"as installed":              {},
		"good":                      {files: map[string]string{"/etc/apache2/conf-enabled/security.conf": security("")}},
		"a later file wins":         {files: map[string]string{"/etc/apache2/conf-enabled/security.conf": security(""), "/etc/apache2/conf-enabled/zz.conf": "ServerTokens Minor\n"}},
		"an earlier file loses":     {files: map[string]string{"/etc/apache2/conf-enabled/zz-security.conf": security(""), "/etc/apache2/conf-enabled/security.conf": "ServerTokens Full\nServerSignature On\n"}},
		"vhost over server":         {files: map[string]string{"/etc/apache2/conf-enabled/security.conf": security("")}, more: "ServerSignature On"},
		"vhost turns it off":        {more: "ServerSignature Off\n<Directory /var/www/html>\nOptions None\n</Directory>"},
		"a location wins":           {files: map[string]string{"/etc/apache2/conf-enabled/security.conf": security("")}, more: "<Location /files>\nOptions +Indexes\n</Location>"},
		"a shorter folder loses":    {more: "<Directory /var/www/html/files>\nOptions -Indexes\n</Directory>\n<Directory /var/www/html>\nOptions -Indexes\n</Directory>"},
		"a longer folder wins":      {files: map[string]string{"/etc/apache2/conf-enabled/security.conf": security("")}, more: "<Directory /var/www/html/files>\nOptions Indexes\n</Directory>\n<Directory /var/www/html>\nOptions None\n</Directory>"},
		"a pattern comes after":     {files: map[string]string{"/etc/apache2/conf-enabled/security.conf": security("")}, more: "<DirectoryMatch \"/html/fi\">\nOptions +Indexes\n</DirectoryMatch>"},
		"htaccess that may":         {files: map[string]string{"/etc/apache2/conf-enabled/security.conf": security("AllowOverride All\n"), "/var/www/html/files/.htaccess": "Options +Indexes\nServerSignature On\n"}},
		"htaccess that may not":     {files: map[string]string{"/etc/apache2/conf-enabled/security.conf": security("AllowOverride None\n"), "/var/www/html/files/.htaccess": "Options +Indexes\n"}},
		"htaccess closes":           {files: map[string]string{"/etc/apache2/conf-enabled/security.conf": "ServerTokens Prod\nServerSignature Off\n<Directory /var/www/html>\nOptions Indexes\nAllowOverride Options\n</Directory>\n", "/var/www/html/.htaccess": "Options -Indexes\n"}},
		"a module that is not":      {files: map[string]string{"/etc/apache2/mods-enabled/autoindex.load": "", "/etc/apache2/mods-enabled/autoindex.conf": ""}},
		"conditions":                {files: map[string]string{"/etc/apache2/conf-enabled/security.conf": security(""), "/etc/apache2/conf-enabled/zz.conf": "<IfModule !mod_ssl.c>\n<IfDefine !NEVER>\nServerTokens OS\n</IfDefine>\n</IfModule>\n<IfModule nothing_module>\nServerSignature On\n</IfModule>\n"}},
		"a definition":              {files: map[string]string{"/etc/apache2/conf-enabled/a.conf": "Define sign Off\nDefine tokens Prod\n", "/etc/apache2/conf-enabled/security.conf": "ServerTokens ${tokens}\nServerSignature ${sign}\n<Directory /var/www>\nOptions \\\n  None\n</Directory>\n"}},
		"closed to everybody":       {files: map[string]string{"/etc/apache2/conf-enabled/security.conf": security("")}, more: "<Directory /var/www/html/files>\nOptions +Indexes\nRequire all denied\n</Directory>"},
		"a proxy for nothing":       {files: map[string]string{"/etc/apache2/mods-enabled/proxy.load": "LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so\n"}},
		"header unset does nothing": {files: map[string]string{"/etc/apache2/mods-enabled/headers.load": "LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so\n", "/etc/apache2/conf-enabled/security.conf": "Header unset Server\nHeader always unset Server\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			port := real.FreePort(t)
			files := map[string]string{"/etc/apache2/ports.conf": fmt.Sprintf("Listen 127.0.0.1:%d\n", port),
				"/etc/apache2/sites-enabled/site.conf": strings.NewReplacer("PORT", fmt.Sprint(port), "MORE", c.more).Replace(site)}
			for name, text := range c.files {
				files[name] = text
			}
			d := newDisposable(t, quiet(files, "/usr/sbin/nginx"))
			d.apache(port)
			got := d.judge(facts.Config{})
			seen := observe(t, fmt.Sprintf("http://localhost:%d", port), "/files/")
			if name == "htaccess that may" { // its signature is seen below the folder
				page := get(t, fmt.Sprintf("http://localhost:%d/files/no-such-name", port)).body
				seen[0] = expectation{"I-42", !strings.Contains(page, "<address>"), page}
			}
			compare(t, got, seen...)
			compare(t, got, expectation{"I-50", true, "and logs"}, expectation{"I-56", true, "on loopback only"},
				expectation{"I-41", true, "on loopback only"}, expectation{"I-15", name != "a proxy for nothing", "with a module that nothing uses"})
			if name == "header unset does nothing" && get(t, fmt.Sprintf("http://localhost:%d/", port)).header.Get("Server") == "" {
				t.Error("the Server header is gone; the note of I-41 is wrong")
			}
		})
	}
}

// TestTLSEnv asks PHP itself what it is told of TLS.
func TestTLSEnv(t *testing.T) {
	real.Require(t, "/usr/sbin/apache2", "/usr/lib/apache2/modules/libphp8.2.so", "unshare")
	const tls = "SSLEngine on\nSSLCertificateFile /etc/own/cert\nSSLCertificateKeyFile /etc/own/key\n"
	for name, c := range map[string]struct {
		scheme, more string
		std          bool
	}{
		"the option":         {"https", tls + "<FilesMatch \"\\.(php)$\">\nSSLOptions +StdEnvVars\n</FilesMatch>", true},
		"without the option": {"https", tls, false},
		"taken back":         {"https", tls + "SSLOptions +StdEnvVars\n<Directory /var/www/html>\nSSLOptions -StdEnvVars\n</Directory>", false},
		"behind a gateway":   {"http", "SetEnvIf X-Forwarded-Proto \"^https$\" HTTPS=on", false},
		"not told":           {"http", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			port := real.FreePort(t)
			certificate, key := real.Certificate(t)
			d := newDisposable(t, quiet(map[string]string{"/etc/apache2/ports.conf": fmt.Sprintf("Listen 127.0.0.1:%d\n", port),
				"/etc/apache2/mods-enabled/ssl.load": "LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so\n", "/etc/own/cert": certificate, "/etc/own/key": key,
				"/var/www/html/page.php":               "<?php echo ($_SERVER['HTTPS'] ?? 'none') . ' ' . ($_SERVER['SSL_PROTOCOL'] ?? 'none');",
				"/etc/apache2/sites-enabled/site.conf": fmt.Sprintf("<VirtualHost *:%d>\nServerName localhost\nDocumentRoot /var/www/html\n%s\n</VirtualHost>\n", port, c.more)},
				"/usr/sbin/nginx"))
			d.apache(port)
			says := get(t, fmt.Sprintf("%s://localhost:%d/page.php", c.scheme, port)).body
			compare(t, d.judge(facts.Config{}), expectation{"I-52", strings.HasPrefix(says, "on "), says})
			if c.std == strings.HasSuffix(says, " none") {
				t.Errorf("PHP says %q, want the protocol: %v", says, c.std)
			}
		})
	}
}

func TestNginx(t *testing.T) {
	real.Require(t, "/usr/sbin/nginx", "unshare")
	for name, c := range map[string]struct{ http, server string }{
		"as installed":             {},
		"good":                     {http: "server_tokens off;"},
		"a server over http":       {http: "server_tokens off; autoindex on;", server: "server_tokens on; autoindex off;"},
		"inherited":                {http: "autoindex on; server_tokens off;"},
		"a location over a server": {http: "server_tokens off;", server: "location /files/ { autoindex on; }"},
		"a longer location wins":   {http: "server_tokens off;", server: "autoindex on; location /files/ { autoindex off; } location / { autoindex off; }"},
		"closed":                   {http: "server_tokens off;", server: "location /files/ { autoindex on; deny all; }"},
		"answered otherwise":       {http: "server_tokens off;", server: "location /files/ { autoindex on; return 403; }"},
		"tokens of build":          {http: "server_tokens build;"},
	} {
		t.Run(name, func(t *testing.T) {
			port := real.FreePort(t)
			d := newDisposable(t, quiet(map[string]string{
				"/etc/nginx/conf.d/a.conf":        c.http + "\n",
				"/etc/nginx/sites-enabled/a.conf": fmt.Sprintf("server { listen 127.0.0.1:%d; root /var/www/html; %s }\n", port, c.server)}, "/usr/sbin/apache2"))
			p := real.Start(t, "nginx", d.command("/usr/sbin/nginx", "-g", "daemon off;"))
			p.AwaitListening(fmt.Sprintf("127.0.0.1:%d", port), time.Minute)
			if name == "good" { // the audit's own unit may not write logs, which nginx -T wants to
				d.write("/var/log/nginx", "")
			}
			compare(t, d.judge(facts.Config{}), append(observe(t, fmt.Sprintf("http://localhost:%d", port), "/files/"),
				expectation{"I-50", true, "and logs"}, expectation{"I-56", true, "on loopback only"})...)
		})
	}
}

// TestNginxHeaders checks the fact that stands behind rows about headers: one add_header of a location's own drops the
// server's.
func TestNginxHeaders(t *testing.T) {
	real.Require(t, "/usr/sbin/nginx", "unshare")
	port := real.FreePort(t)
	d := newDisposable(t, quiet(map[string]string{"/etc/nginx/sites-enabled/a.conf": fmt.Sprintf(
		"server { listen 127.0.0.1:%d; root /var/www/html; add_header X-Frame-Options DENY; location /files/ { add_header X-Own 1; } location /other/ { alias /var/www/html/files/; } }\n", port)}))
	p := real.Start(t, "nginx", d.command("/usr/sbin/nginx", "-g", "daemon off;"))
	p.AwaitListening(fmt.Sprintf("127.0.0.1:%d", port), time.Minute)
	h, err := facts.OpenHost(facts.HostOptions{Root: d.root, ExecInRoot: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	f := facts.Collect(t.Context(), h, facts.Target{Now: time.Now()}, nil)
	n, ok := f.Values["nginx"].(facts.Nginx)
	if !ok {
		t.Fatalf("there is no fact nginx: %v", f.Missing)
	}
	for _, place := range n.Places {
		live := get(t, fmt.Sprintf("http://localhost:%d%s", port, strings.TrimSuffix(place.URL, "/")+map[string]string{"/": "/index.html"}[place.URL]+
			map[bool]string{true: "/secret.txt"}[place.URL != "/"]))
		for _, name := range []string{"X-Frame-Options", "X-Own"} {
			if got, want := place.Headers[strings.ToLower(name)], live.header.Get(name); got != want {
				t.Errorf("%s: %s: got %q, want %q as the server answers (%d)", place.URL, name, got, want, live.status)
			}
		}
	}
	if len(n.Places) != 3 {
		t.Errorf("got %d places, want 3", len(n.Places))
	}
}
