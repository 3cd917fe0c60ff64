package audit_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/test/real"
)

const day = 24 * time.Hour

// lax is what an administrator does who wants TLS 1.0 back on Debian.
const lax = "openssl_conf = o\n[o]\nssl_conf = s\n[s]\nsystem_default = d\n[d]\nMinProtocol = None\nCipherString = DEFAULT@SECLEVEL=0\n"

const modernSuites = "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256"

// TestTLS: nginx with good, bad and tricky settings. What is said of versions, suites and trust equals what openssl s_client
// finds.
func TestTLS(t *testing.T) {
	real.Require(t, "nginx", "openssl")
	needRoot(t)
	dir := real.Folder(t)
	laxFile := real.Write(t, dir, "lax.cnf", lax, 0o644)
	group := dir + "/dh.pem"
	if out, err := exec.CommandContext(t.Context(), "openssl", "dhparam", "-dsaparam", "-out", group, "1024").CombinedOutput(); err != nil {
		t.Fatalf("openssl dhparam: %v\n%s", err, out)
	}
	i := newIssuer(t)
	good := "ssl_protocols TLSv1.2 TLSv1.3; ssl_prefer_server_ciphers on; ssl_ciphers " + modernSuites + ";"
	cases := []struct {
		name      string
		lax       bool
		order     order
		directive string
		before    string // directives of another server block that stands first at the same address
		want      string
		choose    []string
	}{
		{name: "good", directive: good, want: "F-09:pass F-29:pass M-35:pass I-31:pass I-32:pass I-33:pass I-34:pass I-44:pass I-45:pass I-46:pass I-47:pass I-48:not-applicable"},
		{name: "old versions", lax: true, directive: "ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers ALL:@SECLEVEL=0;",
			want: "F-09:fail F-29:fail M-35:fail I-31:pass I-34:fail I-36:fail I-44:fail I-45:fail I-46:fail"},
		{name: "old versions that OpenSSL refuses", directive: "ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers " + modernSuites + ";", want: "I-44:pass F-09:pass"},
		{name: "the first block allows more", lax: true, directive: good, before: "ssl_protocols TLSv1 TLSv1.2; ssl_ciphers ALL:@SECLEVEL=0;", want: "I-44:pass I-36:fail"},
		{name: "the first block allows less", lax: true, directive: "ssl_protocols TLSv1 TLSv1.2 TLSv1.3; ssl_ciphers ALL:@SECLEVEL=0;", before: good, want: "I-44:pass I-45:fail"},
		{name: "the client's order", directive: "ssl_prefer_server_ciphers off; ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers " + modernSuites + ";", want: "I-46:fail I-45:pass F-29:pass"},
		{name: "the client's order among good ones", directive: "ssl_prefer_server_ciphers off; ssl_protocols TLSv1.2; ssl_ciphers " + modernSuites + ";", want: "I-46:pass I-36:fail", choose: []string{"I-46=modern"}},
		{name: "CBC, by the guide", directive: "ssl_protocols TLSv1.2; ssl_ciphers ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256;", want: "I-45:pass"},
		{name: "CBC, today", directive: "ssl_protocols TLSv1.2; ssl_ciphers ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256;", want: "I-45:fail", choose: []string{"I-45=modern"}},
		{name: "no forward secrecy", directive: "ssl_protocols TLSv1.2; ssl_ciphers AES256-GCM-SHA384;", want: "I-45:fail I-34:pass"},
		{name: "only TLS 1.3", directive: "ssl_protocols TLSv1.3;", want: "I-44:pass I-45:pass I-47:pass F-29:pass"},
		{name: "short group", lax: true, directive: "ssl_protocols TLSv1.2; ssl_ciphers DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0; ssl_dhparam " + group + ";", want: "F-29:fail"},
		{name: "no intermediate", directive: good, order: order{alone: true}, want: "I-31:fail I-33:fail F-09:fail I-32:pass"},
		{name: "run out", directive: good, order: order{from: -90 * day, to: -day}, want: "I-31:fail I-32:fail I-33:pass F-09:fail"},
		{name: "runs out soon", directive: good, order: order{from: -80 * day, to: 10 * day}, want: "I-31:pass I-32:fail"},
		{name: "of six days", directive: good, order: order{from: -2 * day, to: 4 * day}, want: "I-31:pass I-32:pass"},
		{name: "short key", lax: true, directive: good, order: order{bits: 1024}, want: "I-34:fail F-29:fail I-31:pass"},
		{name: "another name", directive: good, order: order{names: []string{"www.example.test"}}, want: "I-31:fail I-33:pass F-09:fail"},
		{name: "a wildcard one level too high", directive: good, order: order{names: []string{"*.test"}}, want: "I-31:fail"},
		{name: "no staple", directive: good, order: order{ocsp: true}, want: "I-48:fail I-31:pass"},
	}
	address := func(n int) string { return fmt.Sprintf("127.45.1.%d", 1+n) }
	blocks := map[bool]*strings.Builder{true: {}, false: {}}
	for n, c := range cases {
		certificate, key := i.issue(t, dir, fmt.Sprint(n), c.order)
		if c.before != "" {
			fmt.Fprintf(blocks[c.lax], "server { listen %s:443 ssl default_server; server_name other.example.test; ssl_certificate %s; ssl_certificate_key %s; %s }\n", address(n), certificate, key, c.before)
		}
		fmt.Fprintf(blocks[c.lax], "server { listen %s:443 ssl; server_name app.example.test; ssl_certificate %s; ssl_certificate_key %s; %s root %s; }\n", address(n), certificate, key, c.directive, dir)
	}
	for isLax, text := range blocks {
		environment := os.Environ()
		if isLax {
			environment = append(environment, "OPENSSL_CONF="+laxFile)
		}
		startNginx(t, text.String(), environment, address(0), address(1))
	}
	for n, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := fromOutside(t, address(n))
			wantVerdicts(t, verdicts(t, f, c.choose...), c.want)
			got := f.Values["tls"].(facts.TLS).Targets[0]
			var versions []string
			for _, v := range [][2]string{{"-tls1", "TLSv1"}, {"-tls1_1", "TLSv1.1"}, {"-tls1_2", "TLSv1.2"}, {"-tls1_3", "TLSv1.3"}} {
				if connects(t, laxFile, address(n), v[0], "-cipher", "ALL:@SECLEVEL=0") {
					versions = append(versions, v[1])
				}
			}
			if !slices.Equal(got.Versions, versions) {
				t.Errorf("got versions %q; openssl %q", got.Versions, versions)
			}
			trusted := connects(t, laxFile, address(n), "-verify_return_error", "-CAfile", os.Getenv(rootsVariable), "-verify_hostname", "app.example.test", "-cipher", "ALL:@SECLEVEL=0")
			if got.Cert.Trusted != trusted {
				t.Errorf("got trusted %v (%s); openssl %v", got.Cert.Trusted, got.Cert.Fault, trusted)
			}
			if c.name == "good" || c.name == "old versions" {
				compareSuites(t, laxFile, address(n), got.Suites)
			}
		})
	}
}

// compareSuites tries each suite that openssl knows by itself.
func compareSuites(t *testing.T, laxFile, address string, got []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", "ciphers", "-s", "-tls1_2", "ALL:@SECLEVEL=0")
	cmd.Env = append(os.Environ(), "OPENSSL_CONF="+laxFile)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, name := range strings.Split(strings.TrimSpace(string(out)), ":") {
		if !strings.Contains(name, "PSK") && !strings.HasPrefix(name, "TLS_") && !strings.Contains(name, "ECDSA") && connects(t, laxFile, address, "-tls1_2", "-cipher", name+":@SECLEVEL=0") {
			want = append(want, name)
		}
	}
	got = slices.Sorted(slices.Values(got))
	slices.Sort(want)
	if !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("got suites\n%q\nopenssl\n%q", got, want)
	}
}

// connects asks openssl s_client.
func connects(t *testing.T, laxFile, address string, arguments ...string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", append([]string{"s_client", "-connect", address + ":443", "-servername", "app.example.test", "-brief"}, arguments...)...)
	cmd.Env = append(os.Environ(), "OPENSSL_CONF="+laxFile)
	return cmd.Run() == nil
}

// needRoot skips a test that binds ports below 1024 or writes as another user.
// startNginx starts nginx with server blocks and waits for one of the addresses.
func startNginx(t *testing.T, blocks string, environment []string, addresses ...string) {
	t.Helper()
	dir := real.Folder(t)
	config := real.Write(t, dir, "nginx.conf", fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log stderr crit; user www-data; worker_processes 1;
events {}
http { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
include /etc/nginx/mime.types;
%[2]s
}`, dir, blocks), 0o644)
	cmd := exec.Command("nginx", "-c", config, "-e", "stderr")
	cmd.Env = environment
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := real.Start(t, "nginx", cmd)
	for _, a := range addresses {
		if strings.Contains(blocks, "listen "+a+":443") {
			p.AwaitListening(a+":443", time.Minute)
		}
	}
}
