package demo_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/demo"
)

// running is a demo in this process.
type running struct {
	demo.Info
	end  func()
	done chan error
}

// start runs a demo and returns once it is ready.
func start(t *testing.T, o demo.Options) *running {
	t.Helper()
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Console == "" {
		o.Console = "127.0.0.1:0"
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{end: cancel, done: make(chan error, 1)}
	ready := make(chan demo.Info, 1)
	go func() { r.done <- demo.Run(ctx, o, func(i demo.Info) error { ready <- i; return nil }) }()
	select {
	case r.Info = <-ready:
	case err := <-r.done:
		cancel()
		t.Fatalf("start demo: %v", err)
	}
	t.Cleanup(func() { r.stop(t) })
	return r
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.end()
	select {
	case err, first := <-r.done:
		if err != nil {
			t.Errorf("stop demo: %v", err)
		}
		if first {
			close(r.done)
		}
	case <-time.After(time.Minute):
		t.Fatal("the demo does not stop")
	}
}

func (r *running) account(t *testing.T, role string) demo.Account {
	t.Helper()
	for _, u := range r.Users {
		if u.Role == role {
			return u
		}
	}
	t.Fatalf("no account with role %s", role)
	return demo.Account{}
}

// browser is a client that trusts the demo's root, keeps cookies and follows nothing.
func (r *running) browser(t *testing.T) *browser {
	t.Helper()
	root, err := os.ReadFile(r.Root)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t: t, base: r.Gateway, client: &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type browser struct {
	t      *testing.T
	base   string
	client *http.Client
}

// send asks as a person's browser does; form nil means GET.
func (b *browser) send(path string, form url.Values, headers ...string) (*http.Response, string) {
	b.t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer, string(text)
}

func (b *browser) signIn(u demo.Account) {
	b.t.Helper()
	answer, text := b.send("/.doorward/sign-in", url.Values{"username": {u.Name}, "password": {u.Password}, "return_to": {"/"}})
	if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/" {
		b.t.Fatalf("sign in as %s: got %d to %q, want 303 to /\n%s", u.Name, answer.StatusCode, answer.Header.Get("Location"), text)
	}
}

func TestTemporaryFolderGoesAndNamedOneStays(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	r := start(t, demo.Options{})
	if !strings.HasPrefix(r.Data, os.Getenv("TMPDIR")) || r.Keep {
		t.Errorf("folder %s, keep %v; want a temporary one", r.Data, r.Keep)
	}
	r.stop(t)
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("left in the temporary folder: %v", left)
	}
	dir := filepath.Join(t.TempDir(), "deep", "demo")
	r = start(t, demo.Options{Dir: dir})
	first := r.account(t, "owner")
	r.browser(t).signIn(first)
	log, err := os.ReadFile(filepath.Join(dir, "doorward.log"))
	if err != nil || !bytes.Contains(log, []byte("ready")) {
		t.Errorf("the log in the folder: %v, %q", err, log)
	}
	r.stop(t)
	if _, err := os.Stat(filepath.Join(dir, "doorward.db")); err != nil {
		t.Errorf("the named folder lost its database: %v", err)
	}

	again := start(t, demo.Options{Dir: dir})
	second := again.account(t, "owner")
	if second.Password == first.Password {
		t.Error("the second start on a folder shows the old password")
	}
	again.browser(t).signIn(second)
}

func TestTwoAtOnceAndOneFolderOnce(t *testing.T) {
	a, b := start(t, demo.Options{}), start(t, demo.Options{})
	if a.Data == b.Data || a.Gateway == b.Gateway {
		t.Fatalf("two demos share %s or %s", a.Data, a.Gateway)
	}
	a.browser(t).signIn(a.account(t, "user"))
	b.browser(t).signIn(b.account(t, "user"))

	dir := t.TempDir()
	start(t, demo.Options{Dir: dir})
	err := demo.Run(t.Context(), demo.Options{Listen: "127.0.0.1:0", Console: "127.0.0.1:0", Dir: dir}, func(demo.Info) error { return nil })
	refused(t, err, false, "process "+strconv.Itoa(os.Getpid())+") is running on the folder "+dir, "--dir")
}

func TestPortInUseIsNamedWithItsFlag(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for network, host := range map[string]string{"tcp4": "127.0.0.1", "tcp6": "::1"} {
		t.Run(network, func(t *testing.T) {
			taken, err := net.Listen(network, net.JoinHostPort(host, "0"))
			if err != nil {
				t.Skipf("no %s here: %v", host, err)
			}
			defer taken.Close()
			port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
			for flag, o := range map[string]demo.Options{
				"--listen":  {Listen: "127.0.0.1:" + port, Console: "127.0.0.1:0"},
				"--console": {Listen: "127.0.0.1:0", Console: "localhost:" + port},
			} {
				err := demo.Run(t.Context(), o, func(demo.Info) error { return nil })
				refused(t, err, false, "port "+port+" is in use", flag)
			}
		})
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("a failed start left %v", left)
	}
}

// refused checks that an error tells the person what is wrong and what to do.
func refused(t *testing.T, err error, usage bool, what, hint string) {
	t.Helper()
	var r *demo.Refusal
	if !errors.As(err, &r) {
		t.Errorf("got %v, want a refusal", err)
		return
	}
	if !strings.Contains(r.What, what) || !strings.Contains(r.Hint, hint) || r.Usage != usage {
		t.Errorf("got %q, hint %q, usage %v; want %q, hint %q, usage %v", r.What, r.Hint, r.Usage, what, hint, usage)
	}
}

func TestOtherAddressesAreRefused(t *testing.T) {
	for _, test := range []struct{ listen, what string }{
		{"0.0.0.0:8443", "127.0.0.1 and ::1 only"},
		{":8443", "127.0.0.1 and ::1 only"},
		{"[::]:8443", "127.0.0.1 and ::1 only"},
		{"192.0.2.1:8443", "127.0.0.1 and ::1 only"},
		{"127.0.0.2:8443", "127.0.0.1 and ::1 only"},
		{"example.org:8443", "127.0.0.1 and ::1 only"},
		{"localhost.example:8443", "127.0.0.1 and ::1 only"},
		{"8443", "is not an address"},
		{"127.0.0.1", "is not an address"},
		{"127.0.0.1:https", "port is not a number"},
		{"127.0.0.1:65536", "port is not a number"},
		{"127.0.0.1:-1", "port is not a number"},
	} {
		refused(t, demo.Run(t.Context(), demo.Options{Listen: test.listen, Console: "127.0.0.1:0"}, nil), true, test.what, "")
		refused(t, demo.Run(t.Context(), demo.Options{Listen: "127.0.0.1:0", Console: test.listen}, nil), true, test.what, "")
	}
	refused(t, demo.Run(t.Context(), demo.Options{Listen: "127.0.0.1:9000", Console: "[::1]:9000"}, nil), true, "both name port 9000", "different")
}

func TestFolderWithOtherFilesIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := demo.Options{Listen: "127.0.0.1:0", Console: "127.0.0.1:0", Dir: dir}
	refused(t, demo.Run(t.Context(), o, nil), true, dir+" holds other files", "empty folder")
	o.Dir = file
	refused(t, demo.Run(t.Context(), o, nil), true, "is not a folder", "empty folder")
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the refused folder was written to: %v", entries)
	}
}

func TestStoppedWhileStarting(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var wg sync.WaitGroup
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 30 * time.Millisecond, 80 * time.Millisecond, 200 * time.Millisecond} {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			err := demo.Run(ctx, demo.Options{Listen: "127.0.0.1:0", Console: "127.0.0.1:0"}, func(demo.Info) error { return nil })
			if err != nil {
				t.Errorf("stopped after %v: got %v, want no error", after, err)
			}
		})
	}
	wg.Wait()
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDeepFolder(t *testing.T) {
	deep := t.TempDir()
	deep += "/" + strings.Repeat("d", 93-len(deep)-1)
	r := start(t, demo.Options{Dir: deep})
	b := r.browser(t)
	b.signIn(r.account(t, "agent"))
	if answer, _ := b.send("/", nil); answer.StatusCode != 200 {
		t.Errorf("at the longest path: got %d, want 200", answer.StatusCode)
	}
	o := demo.Options{Listen: "127.0.0.1:0", Console: "127.0.0.1:0", Dir: deep + "d"}
	refused(t, demo.Run(t.Context(), o, nil), true, "is too deep", "at most 93 bytes")
	if _, err := os.Stat(o.Dir); err == nil {
		t.Error("the refused folder was made")
	}
}
