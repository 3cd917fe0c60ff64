package forwardauth_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

func (s *site) proxy(name string, cmd *exec.Cmd) {
	s.t.Helper()
	real.Start(s.t, name, cmd).AwaitListening(fmt.Sprintf("127.0.0.1:%d", s.ports.proxy), time.Minute)
}

// TestNginx uses packaging/proxies/nginx as it is: auth_request.
func TestNginx(t *testing.T) {
	real.Require(t, "nginx")
	s := newSite(t)
	nginx(s, strings.NewReplacer())
	s.check()
}

// nginx starts one with the file, changed by change.
func nginx(s *site, change *strings.Replacer) {
	s.t.Helper()
	real.Write(s.t, s.dir, "helpdesk.conf", change.Replace(s.snippet("nginx/helpdesk.conf", "listen 443 ssl", fmt.Sprintf("listen 127.0.0.1:%d ssl", s.ports.proxy))), 0o644)
	conf := real.Write(s.t, s.dir, "nginx.conf", fmt.Sprintf(`daemon off;
pid %[1]s/nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
    include %[1]s/helpdesk.conf;
}
`, s.dir), 0o644)
	s.proxy("nginx", exec.Command("nginx", "-c", conf))
}

// TestDoctorFindsHoles: nginx with one line of the file wrong, each a hole that somebody has made before.
func TestDoctorFindsHoles(t *testing.T) {
	real.Require(t, "nginx")
	s := newSite(t)
	for name, c := range map[string]struct {
		change []string
		check  string
	}{
		"does not ask": {[]string{"auth_request /.doorward/authz;", ""}, "stranger"},
		"the question is open": {[]string{"location = /.doorward/authz {", "location = /ask {", "auth_request /.doorward/authz;", "auth_request /ask;",
			"proxy_pass_request_body off;", "rewrite ^ /.doorward/authz break; proxy_pass_request_body off;"}, "authz-closed"},
		"a target that the client may claim": {[]string{"proxy_set_header X-Forwarded-Uri $request_uri;",
			"set $asked $request_uri; if ($http_x_forwarded_uri) { set $asked $http_x_forwarded_uri; } proxy_set_header X-Forwarded-Uri $asked;"}, "spoofed-target"},
		"a host that the client may claim": {[]string{"proxy_set_header X-Forwarded-Host $http_host;",
			"set $asked $http_host; if ($http_x_forwarded_host) { set $asked $http_x_forwarded_host; } proxy_set_header X-Forwarded-Host $asked;"}, "spoofed-host"},
		"our pages are not there": {[]string{"location ^~ /.doorward/ {", "location ^~ /.somewhere/ {"}, "own-pages"},
	} {
		t.Run(name, func(t *testing.T) {
			s.t, s.ports.proxy = t, real.FreePort(t)
			nginx(s, strings.NewReplacer(c.change...))
			out, _ := exec.Command(real.Program(t), "doctor", "--config", s.config, "--url", s.url("/desk"), "--ca-file", s.dir+"/cert.pem").CombinedOutput()
			if !strings.Contains(string(out), "\nproblem  "+c.check+" ") || !strings.Contains(string(out), "doorward: error: 1 problem") {
				t.Errorf("got\n%s\nwant one problem, %s", out, c.check)
			}
		})
	}
}

// TestHAProxy uses packaging/proxies/haproxy as it is: a Lua action.
func TestHAProxy(t *testing.T) {
	real.Require(t, "haproxy")
	s := newSite(t)
	real.Write(t, s.dir, "doorward.lua", s.snippet("haproxy/doorward.lua"), 0o644)
	conf := real.Write(t, s.dir, "haproxy.cfg", s.snippet("haproxy/haproxy.cfg", "0.0.0.0:443", fmt.Sprintf("127.0.0.1:%d", s.ports.proxy)), 0o644)
	s.proxy("haproxy", exec.Command("haproxy", "-db", "-f", conf))
	s.check()
}

// TestApache uses packaging/proxies/apache as it is: mod_lua with Debian's lua-socket.
func TestApache(t *testing.T) {
	real.Require(t, "/usr/sbin/apache2", "/usr/lib/apache2/modules/mod_lua.so", "/usr/share/lua/5.3/socket.lua")
	s := newSite(t)
	real.Write(t, s.dir, "doorward.lua", s.snippet("apache/doorward.lua"), 0o644)
	modules := ""
	for _, name := range []string{"mpm_event", "authz_core", "authz_host", "socache_shmcb", "ssl", "proxy", "proxy_http", "headers", "lua", "http2"} {
		modules += fmt.Sprintf("LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", name, name)
	}
	conf := real.Write(t, s.dir, "apache2.conf", fmt.Sprintf(`ServerName localhost
ServerRoot %[1]s
PidFile %[1]s/apache.pid
Mutex file:%[1]s
ErrorLog /dev/stderr
User www-data
Group www-data
%[2]sListen 127.0.0.1:%[3]d
Protocols h2 http/1.1
%[4]s`, s.dir, modules, s.ports.proxy, s.snippet("apache/helpdesk.conf", "*:443", fmt.Sprintf("127.0.0.1:%d", s.ports.proxy))), 0o644)
	s.proxy("apache2", exec.Command("/usr/sbin/apache2", "-X", "-f", conf))
	s.check()
}
