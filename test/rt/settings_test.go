package rt_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/test/real"
)

// TestUnsafeSettings: with settings under which RT would let people in by another way, it does not start.
func TestUnsafeSettings(t *testing.T) {
	for _, c := range []struct{ name, setting, want string }{
		{"its own login", "Set($WebFallbackToRTLogin, 1);", "REMOTE_USER alone"},
		{"no REMOTE_USER", "Set($WebRemoteUserAuth, undef);", "REMOTE_USER alone"},
		{"once a session", "Set($WebRemoteUserContinuous, 0);", "REMOTE_USER alone"},
		{"below a path", "Set($WebPath, '/rt');", "set WebPath"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := installTracker(t, real.FreePort(t))
			r.give(t, real.Write(t, r.dir, "conf.d/90-unsafe.pm", c.setting+"\n1;\n", 0o644))
			out, err := r.serve().CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.want) {
				t.Errorf("plackup ended with %v and said\n%s\nwant a failure that says %q", err, out, c.want)
			}
		})
	}
	t.Run("no secret", func(t *testing.T) {
		r := installTracker(t, real.FreePort(t))
		if err := os.Remove(r.secretFile); err != nil {
			t.Fatal(err)
		}
		if out, err := r.serve().CombinedOutput(); err == nil || !strings.Contains(string(out), "read "+filepath.Join(r.dir, "doorward.secret")) {
			t.Errorf("plackup ended with %v and said\n%s\nwant a failure that names the file", err, out)
		}
	})
}

// TestFeeds: a site may open RT's feeds, and opens nothing else by that.
func TestFeeds(t *testing.T) {
	port := real.FreePort(t)
	r := startTracker(t, port)
	d := real.StartDoorward(t, port, r.site()+`    access:
      - {path: /NoAuth, public: true}
`)
	stranger := d.Client()
	feed := send(t, stranger, "GET", d.URL+"/NoAuth/iCal/root/0123456789abcdef/id=1", "", nil)
	if r.requests(t, "/NoAuth/iCal/") != 1 || feed.status >= 500 {
		t.Errorf("a feed: %d, and RT saw %d requests, want one", feed.status, r.requests(t, "/NoAuth/iCal/"))
	}
	for _, path := range []string{"/NoAuth/Login.html", "/NoAuth/iCal", "/NoAuth/rss", "/NoAuth/css/x.css"} {
		got := send(t, stranger, "GET", d.URL+path, "", func(q *http.Request) { q.SetBasicAuth("root", "password") })
		if got.status != http.StatusForbidden || rtUserOn(t, got.body) != "" {
			t.Errorf("a stranger, %s: %d, want 403", path, got.status)
		}
	}
	login := send(t, stranger, "POST", d.URL+"/NoAuth/Login.html", "user=root&pass=password", func(q *http.Request) {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	})
	if login.status != http.StatusForbidden {
		t.Errorf("RT's own login on a site that declares /NoAuth public: %d, want 403", login.status)
	}
	if log := r.Log(); strings.Contains(log, "ccessful login") || strings.Contains(log, "FAILED LOGIN") {
		t.Errorf("a password was tried at RT:\n%s", log)
	}
}
