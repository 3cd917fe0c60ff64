// Package access_test follows docs/access.md to the letter, with a real doorward, a real mail server and a real browser: what the
// page has in its blocks is written, run and compared, and the people in it do what it says of them.
package access_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-rod/rod"

	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/mail/mailtest"
	"github.com/doorward/doorward/test/real"
)

func TestMain(m *testing.M) {
	code := m.Run()
	real.RemoveProgram()
	os.Exit(code)
}

// The addresses of the page's places.
const (
	office  = "127.0.0.1"
	hotel   = "127.0.0.70"
	station = "127.0.0.71" // where ben is when mail is down
	street  = "127.0.0.72"
	robot   = "127.0.0.73"
)

// desk is what the page builds.
type desk struct {
	*guide
	*real.Process
	url       string
	browser   *rod.Browser
	mail      *mailtest.Server
	passwords map[string]string // printed when the accounts were made
}

// TestAccess follows the page from its first block to its last. The steps build on each other, as the page's do.
func TestAccess(t *testing.T) {
	real.Require(t, "/usr/bin/chromium", "bash")
	d := openDesk(t)
	for _, step := range []struct {
		name string
		do   func(*desk, *testing.T)
	}{
		{"refusals", (*desk).strangers},
		{"emergency owner", (*desk).owner},
		{"admin", (*desk).admin},
		{"agent", (*desk).agent},
		{"customer", (*desk).customer},
		{"program", (*desk).program},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.do(d, t) }) {
			return
		}
	}
}

// openDesk is the page up to the accounts.
func openDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{guide: readGuide(t), mail: mailtest.Start(t, mailtest.Options{TLS: mail.Off}), passwords: make(map[string]string)}
	dir, port := real.Folder(t), real.FreePort(t)
	d.url = fmt.Sprintf("https://localhost:%d", port)
	d.put(
		replacement{"desk.example.com", "localhost", "desk.example.com"},
		replacement{"http://127.0.0.1:8080", startApplication(t), "http://127.0.0.1:8080"},
		replacement{"192.0.2.0/24", office + "/32", "192.0.2.0/24"},
		replacement{"port: 25", fmt.Sprintf("port: %d", d.mail.Port()), "port: 25"},
		replacement{"198.51.100.7", station, "198.51.100.7"},
		replacement{"192.0.2.7", robot, "192.0.2.7"},
		replacement{`":443"`, fmt.Sprintf(`"127.0.0.1:%d"`, port), ""},
		replacement{`":80"`, fmt.Sprintf(`"127.0.0.1:%d"`, real.FreePort(t)), ""},
		replacement{"console: {", fmt.Sprintf("console: {listen: [\"127.0.0.1:%d\"], ", real.FreePort(t)), ""},
		replacement{"/var/lib/doorward\n", filepath.Join(dir, "data") + "\n", ""},
		replacement{"/etc/doorward/doorward.yaml", filepath.Join(dir, "doorward.yaml"), ""},
	)
	file := real.Write(t, dir, "doorward.yaml", d.take("yaml", "data_dir:"), 0o644)
	d.install(file)
	d.shows(d.run("doorward check"))
	d.run("doorward mail test")
	d.mail.Next(t, "support@example.com")

	d.Process = real.Serve(t, file)
	d.keepPasswords(d.run("doorward user add emergency"), "emergency", "anna", "ben", "carla")
	d.shows(d.run("doorward review report"))
	d.browser = real.Browser(t)
	return d
}

// keepPasswords notes the passwords that commands have printed for the names, in their order.
func (d *desk) keepPasswords(out string, names ...string) {
	d.t.Helper()
	found := regexp.MustCompile(`(?m)^password: (\S+)$`).FindAllStringSubmatch(out, -1)
	if len(found) != len(names) {
		d.t.Fatalf("%d passwords, want %d:\n%s", len(found), len(names), out)
	}
	for i, name := range names {
		d.passwords[name] = found[i][1]
	}
}

// startApplication says who is there, and where.
func startApplication(t *testing.T) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	application := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "<!doctype html><title>Desk</title><p>Hello %s", r.Header.Get("X-Doorward-User"))
	})}
	go func() { _ = application.Serve(listener) }()
	t.Cleanup(func() { _ = application.Close() })
	return "http://" + listener.Addr().String()
}

// strangers is the page's table about who has no account, or does not know the password.
func (d *desk) strangers(t *testing.T) {
	d.at(t, street, "/").wantAt("/.doorward/sign-in?return_to=%2F")
	d.at(t, street, "/admin/").wantStatus("403") // the path's network: before any sign-in
	d.at(t, office, "/admin/").wantAt("/.doorward/sign-in?return_to=%2Fadmin%2F")

	guess := d.at(t, street, "/")
	for _, name := range []string{"anna", "nobody-here"} {
		guess.signIn(name, "not the password")
		guess.wantStatus("401")
		guess.wantText("The name or the password is not right.") // the same for both
	}
	guess.signIn("anna", "not the password")
	guess.signIn("anna", d.passwords["anna"])
	guess.wantStatus("429")

	res := d.ask(t, street, "/")
	if res.StatusCode != http.StatusUnauthorized || res.Header.Get("Location") != "" {
		t.Errorf("a program without a session got %s, Location %q, want 401 and none", res.Status, res.Header.Get("Location"))
	}
}

// ask is a request of a program from address, with one header or none.
func (d *desk) ask(t *testing.T, address, path string, header ...string) *http.Response {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // certificates are tested elsewhere
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(to)
			return dialer.DialContext(ctx, network, "127.0.0.1:"+port)
		}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(header) == 2 {
		req.Header.Set(header[0], header[1])
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res
}

// owner: the emergency owner has a passkey of their own, and gets in anywhere but to the application's administration.
func (d *desk) owner(t *testing.T) {
	p := d.at(t, hotel, "/")
	p.AddAuthenticator()
	p.signIn("emergency", d.passwords["emergency"])
	p.choosePassword("a sealed envelope in the safe")
	p.makePasskey()
	p.wantWho("emergency", "/")
	p.wantRefused("/admin/")
}

// admin: a passkey, and the office.
func (d *desk) admin(t *testing.T) {
	p := d.at(t, office, "/admin/")
	p.AddAuthenticator()
	p.signIn("anna", d.passwords["anna"])
	p.choosePassword("seven green lamps in the hall")
	recovery := p.makePasskey()
	p.wantWho("anna", "/admin/")

	session := p.cookie()
	if got := d.ask(t, hotel, "/", "Cookie", session.Name+"="+session.Value).StatusCode; got != http.StatusForbidden {
		t.Errorf("anna's session outside: %d, want 403", got)
	}
	p.Go(d.url + "/admin/users")
	p.wantWho("anna", "/admin/users")

	p.Go(d.url + "/.doorward/account")
	for _, want := range []string{"Password", "Passkeys", "Authenticator app", "Sessions", "Trusted addresses", "Recent activity"} {
		p.wantText(want)
	}
	p.Go(d.url + "/.doorward/sign-out")
	p.Click("button[type=submit]")
	p.Go(d.url + "/admin/")
	p.Click(".passkey button")
	p.wantWho("anna", "/admin/") // the passkey alone, without name and password

	outside := d.at(t, hotel, "/")
	outside.signIn("anna", "seven green lamps in the hall")
	outside.wantStatus("403")
	outside.wantText("Your account cannot be used from this network.")

	// Her computer is lost: a recovery code, and a passkey of the next one.
	next := d.at(t, office, "/admin/")
	next.AddAuthenticator()
	next.signIn("anna", "seven green lamps in the hall")
	next.wantAt("/.doorward/sign-in/factor")
	next.Fill("#code", recovery)
	next.Click(`form[action$="/factor"] button`)
	next.offeredPasskey()
	next.Click(".passkey button")
	next.wantWho("anna", "/admin/") // no new recovery codes: nine are left
	next.Go(d.url + "/.doorward/account")
	if got := next.Eval(`() => document.querySelectorAll('form[action$="/passkey/remove"]').length`); got != "2" {
		t.Errorf("%s passkeys listed, want the lost one and the new one\n%s", got, next.Text())
	}
}

// agent: an app, and a hold on networks that are new.
func (d *desk) agent(t *testing.T) {
	p := d.at(t, office, "/agent/")
	p.signIn("ben", d.passwords["ben"])
	const password = "four red bicycles by the canal"
	p.choosePassword(password)
	secret := p.makeApp()
	p.wantWho("ben", "/agent/") // not held: the office is always trusted
	p.wantRefused("/admin/")

	travels := d.at(t, hotel, "/agent/")
	travels.signIn("ben", password)
	travels.wantAt("/.doorward/sign-in/factor")
	travels.wantText("Show that it is you")
	travels.Fill("#code", real.Code(t, secret, 0))
	travels.Click("button[type=submit]")
	travels.wantAt("/.doorward/sign-in/held")
	travels.wantText("You sign in from a network that is new for your account.")
	link := d.mailed(t, "ben@example.com", "/link/release?")
	phone := d.at(t, station, strings.TrimPrefix(link, d.url))
	phone.wantText(hotel)
	if phone.Eval(`() => document.querySelectorAll('button[value=release]').length`) != "0" {
		t.Error("another browser is offered to let the sign-in in")
	}
	travels.Go(link)
	travels.wantText(hotel)
	travels.Click("button[value=release]")
	travels.wantWho("ben", "/agent/")

	// Mail is down.
	stranded := d.at(t, station, "/agent/")
	stranded.signIn("ben", password)
	stranded.Fill("#code", real.Code(t, secret, 1))
	stranded.Click("button[type=submit]")
	stranded.wantAt("/.doorward/sign-in/held")
	d.run("doorward user trust ben")
	real.Eventually(t, time.Minute, "ben's page to go on by itself", func() bool { return stranded.URL() == d.url+"/agent/" })
	stranded.wantWho("ben", "/agent/")

	// The phone is lost, and the recovery codes with it.
	d.keepPasswords(d.run("doorward user reset-factors ben"), "ben")
	p.Go(d.url + "/agent/")
	p.wantAt("/.doorward/sign-in?return_to=%2Fagent%2F")
	p.signIn("ben", d.passwords["ben"])
	p.choosePassword("nine blue umbrellas at the door")
	p.makeApp()
	p.wantWho("ben", "/agent/")
}

// mailed waits for the mail whose link holds part, past others: people are told of new browsers and factors too.
func (d *desk) mailed(t *testing.T, to, part string) (link string) {
	t.Helper()
	for {
		m := d.mail.Next(t, to)
		t.Logf("mail to %s: %s", to, m.Subject)
		for _, link := range m.Links() {
			if strings.Contains(link, part) {
				return link
			}
		}
	}
}

// customer: a password, anywhere, for long.
func (d *desk) customer(t *testing.T) {
	p := d.at(t, street, "/")
	real.Eventually(t, time.Minute, "the wait of the street's guesses to end", func() bool {
		p.Go(d.url + "/.doorward/sign-in")
		p.Fill("#username", "carla")
		p.Fill("#password", d.passwords["carla"])
		p.Eval(`() => { document.querySelector("#remember").checked = true }`)
		p.Click("button[type=submit]")
		return strings.HasPrefix(p.URL(), d.url+"/.doorward/sign-in/password")
	})
	p.choosePassword("two yellow kites over the hill")
	p.wantWho("carla", "/")
	p.wantRefused("/admin/")
	p.wantRefused("/agent/")
	if left := time.Until(p.cookie().Expires.Time()); left < 29*24*time.Hour || left > 31*24*time.Hour {
		t.Errorf("carla stays signed in for %s, want 30 days", left)
	}
	inside := d.at(t, office, "/agent/")
	inside.signIn("carla", "two yellow kites over the hill")
	inside.wantStatus("403")
	inside.wantRefused("/admin/")

	d.run("doorward user disable carla")
	p.Go(d.url + "/")
	p.wantAt("/.doorward/sign-in?return_to=%2F")
}

// program: what an API token opens, and from where.
func (d *desk) program(t *testing.T) {
	token := regexp.MustCompile(`dw_\S+`).FindString(d.run("doorward user add import"))
	for _, c := range []struct {
		from, path, token string
		want              int
	}{
		{robot, "/", token, http.StatusOK},
		{robot, "/agent/", token, http.StatusForbidden},
		{hotel, "/", token, http.StatusForbidden},
		{robot, "/", "dw_" + strings.Repeat("x", 43), http.StatusUnauthorized},
	} {
		if got := d.ask(t, c.from, c.path, "Authorization", "Bearer "+c.token).StatusCode; got != c.want {
			t.Errorf("%s with the token %.8s… from %s: %d, want %d", c.path, c.token, c.from, got, c.want)
		}
	}
}
