package fix_test

import (
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

func (h *host) answers(want string) {
	h.t.Helper()
	real.Eventually(h.t, time.Minute, "the answer "+want, func() bool {
		out, err := h.try("curl -sI http://127.0.0.1/ | tr -d '\\r' | grep -i '^server:'")
		return err == nil && out == want+"\n"
	})
}

// apacheHost is a copy with Apache at port 80, as Debian configures it.
func apacheHost(t *testing.T) *host {
	h := newHost(t, "/usr/sbin/apache2", "curl")
	h.run("echo 'ServerName localhost' >/etc/apache2/conf-enabled/name.conf; a2enmod -q dav; apache2ctl start")
	real.Eventually(t, time.Minute, "Apache", func() bool { _, err := h.try("curl -s http://127.0.0.1/"); return err == nil })
	return h
}

func TestApache(t *testing.T) {
	t.Parallel()
	h := apacheHost(t)
	before := h.snapshot("/etc/apache2 /etc/php /etc/nginx")
	out := h.run("doorward fix apply I-43 I-42 I-15 --yes")
	h.has(out, "I-15: pass")
	h.answers("Server: Apache")
	h.has(h.run("apache2ctl -M"), "mime_module")
	h.run("! apache2ctl -M 2>/dev/null | grep dav")
	h.run("doorward fix undo --all")
	if now := h.snapshot("/etc/apache2 /etc/php /etc/nginx"); now != before {
		t.Errorf("the configuration is\n%s\nand was\n%s", now, before)
	}
	h.has(h.run("curl -sI http://127.0.0.1/"), "Debian")
}

// TestApacheThatDoesNotStart: Apache's check says Syntax OK, and the start fails.
func TestApacheThatDoesNotStart(t *testing.T) {
	t.Parallel()
	h := apacheHost(t)
	h.write("/etc/apache2/sites-enabled/zz-trap.conf", "<IfModule !mod_dav.c>\n  TypesConfig /nonexistent/mime.types\n</IfModule>\n")
	before := h.snapshot("/etc/apache2 /etc/php")
	out, err := h.try("doorward fix apply I-15 --yes")
	if err == nil {
		t.Fatalf("it is in force:\n%s", out)
	}
	h.has(out, "apache2ctl configtest\n  reload apache\n")
	h.has(out, "reload: apache has ended; everything of it was taken back")
	h.has(h.run("curl -sI http://127.0.0.1/"), "200 OK") // it was started again
	if now := h.snapshot("/etc/apache2 /etc/php"); now != before {
		t.Errorf("the configuration is\n%s\nand was\n%s", now, before)
	}
	h.has(h.run("doorward fix history"), "rolled back")
}

func TestNginx(t *testing.T) {
	t.Parallel()
	h := newHost(t, "/usr/sbin/nginx", "curl")
	h.run("rm -rf /etc/apache2") // so that the control is about nginx alone
	h.run("sed -i 's/^\\([ \\t]*\\)# server_tokens off;/\\1server_tokens build;/' /etc/nginx/nginx.conf; rm -f /etc/nginx/sites-enabled/* /etc/nginx/modules-enabled/*")
	h.write("/etc/nginx/sites-enabled/site", "server {\n  listen 127.0.0.1:80;\n  root /usr/share/nginx/html;\n}\n")
	h.run("nginx")
	before := h.snapshot("/etc/nginx")
	h.has(h.run("doorward fix apply I-43 I-44 --yes"), "-nginx: in force")
	h.answers("Server: nginx")
	h.run("doorward fix undo --all")
	if now := h.snapshot("/etc/nginx"); now != before {
		t.Errorf("the configuration is\n%s\nand was\n%s", now, before)
	}
	// A directive over two lines is not seen, nginx's own check finds it twice, and nothing stays.
	h.run("sed -i 's/server_tokens build;/server_tokens\\n  on;/' /etc/nginx/nginx.conf; nginx -t -q")
	before = h.snapshot("/etc/nginx")
	h.fails("doorward fix apply I-43 --yes", "\"server_tokens\" directive is duplicate")
	if now := h.snapshot("/etc/nginx"); now != before {
		t.Errorf("the configuration is\n%s\nand was\n%s", now, before)
	}
}
