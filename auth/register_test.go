package auth_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/mail/mailtest"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// hook is a program that takes text messages.
type hook struct {
	*httptest.Server
	mu       sync.Mutex
	messages []map[string]string
	tokens   []string
	answers  []int // for the next ones; then 202
}

func startHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		m := make(map[string]string)
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("the hook was asked with %s %s: %q, %v", r.Method, r.Header.Get("Content-Type"), body, err)
		}
		h.messages, h.tokens = append(h.messages, m), append(h.tokens, r.Header.Get("Authorization"))
		status := http.StatusAccepted
		if len(h.answers) > 0 {
			status, h.answers = h.answers[0], h.answers[1:]
		}
		if status/100 == 3 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte("queued"))
	}))
	t.Cleanup(h.Close)
	return h
}

// sent are the messages so far.
func (h *hook) sent() []map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]map[string]string(nil), h.messages...)
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

// registering is a postbox where registration is on.
type registering struct {
	*postbox
	hook *hook
}

func newRegistering(t *testing.T, db *store.DB, change ...func(*auth.Config)) *registering {
	t.Helper()
	h := startHook(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("hook secret\nsecond line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	change = append([]func(*auth.Config){func(cfg *auth.Config) {
		cfg.DataDir = t.TempDir() // all processes have one key
		cfg.Registration = auth.RegistrationConfig{Enabled: true, Region: "DE", SMS: auth.SMSConfig{URL: h.URL + "/send?key=1", TokenFile: token}}
	}}, change...)
	r := &registering{newPostbox(t, db, change...), h}
	r.now = r.now.Truncate(24 * time.Hour).Add(25 * time.Hour) // no window of a limit ends during a test
	return r
}

// person number n is who registers from a network of their own.
func visitor(n int) (auth.Attempt, auth.NewRegistration) {
	at := attempt("", "", "2001:db8:0:"+strconv.FormatInt(int64(n), 16)+"::1")
	id := strconv.Itoa(n)
	return at, auth.NewRegistration{Name: "visitor" + id, Email: "visitor" + id + "@example.net", DisplayName: "Visitor " + id,
		Phone: "0170 1" + strings.Repeat("0", 6-len(id)) + id, Password: newPassword, Language: "de-AT"}
}

// begin registers and returns the cookie.
func (r *registering) start(at auth.Attempt, n auth.NewRegistration) string {
	r.t.Helper()
	token, state, err := r.Register(r.t.Context(), at, n, r.now)
	if err != nil || state.Step != auth.ConfirmEmail || !state.Good || token == "" {
		r.t.Fatalf("register %s: %+v, %v; want the step %s", n.Name, state, err, auth.ConfirmEmail)
	}
	return token
}

// mailed is the code in the next mail to the address.
func (r *registering) mailed(to string) string {
	r.t.Helper()
	return codeInText(r.t, r.next(to))
}

func codeInText(t testing.TB, m mailtest.Message) string {
	t.Helper()
	code := sixDigits.FindString(m.Text)
	if code == "" || !strings.Contains(m.HTML, code) {
		t.Fatalf("the mail %q has no code:\n%s", m.Subject, m.Text)
	}
	return code
}

// texted is the code in the newest message of the hook.
func (r *registering) texted() (to, code string) {
	r.t.Helper()
	if _, err := r.SendTexts(r.t.Context(), r.now); err != nil {
		r.t.Fatal(err)
	}
	all := r.hook.sent()
	if len(all) == 0 {
		r.t.Fatal("the hook was not asked")
	}
	last := all[len(all)-1]
	return last["to"], sixDigits.FindString(last["text"])
}

func (r *registering) confirm(at auth.Attempt, token string, step auth.RegistrationStep, code string) (*auth.Registration, auth.Outcome, error) {
	r.t.Helper()
	return r.ConfirmCode(r.t.Context(), at, token, step, code, r.now)
}

// wrongOf is a code that is not this one.
func wrongOf(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

func TestRegister(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRegistering(t, db)
		at, n := visitor(1)
		token := r.start(at, n)
		m := r.next(n.Email)
		if m.Subject != "Ihr Code für desk.example" || strings.Contains(m.Text+m.HTML, n.Name+" ") || strings.Contains(m.Text, "Visitor") {
			t.Errorf("mail %q: want it in German, with nothing of what was typed:\n%s", m.Subject, m.Text)
		}
		if len(r.hook.sent()) != 0 || row[int](r.fixture, `SELECT COUNT(*) FROM text_message`) != 0 {
			t.Error("a text message is under way before the mailbox was proved")
		}
		code := codeInText(t, m)
		state, out, err := r.confirm(at, token, auth.ConfirmEmail, " "+code[:3]+" "+code[3:])
		if err != nil || state == nil || state.Step != auth.ConfirmPhone || !state.Good || out.Session != nil {
			t.Fatalf("the mailed code: %+v, %+v, %v; want the step %s", state, out, err, auth.ConfirmPhone)
		}
		to, texted := r.texted()
		if message := r.hook.sent()[0]; to != "+491701000001" || message["kind"] != "code" || message["language"] != "de" || len(message["id"]) != 36 ||
			!strings.HasSuffix(message["text"], "\n\n@desk.example #"+texted) || r.hook.tokens[0] != "Bearer hook secret" {
			t.Errorf("the hook was given %v with %q", message, r.hook.tokens[0])
		}
		if n := row[int](r.fixture, `SELECT COUNT(*) FROM principal`); n != 4 {
			t.Errorf("%d accounts before all is confirmed, want 4", n)
		}
		// The form of the step before, sent again, is no wrong code.
		if state, _, err := r.confirm(at, token, auth.ConfirmEmail, code); err != nil || state.Step != auth.ConfirmPhone {
			t.Errorf("the first form again: %+v, %v", state, err)
		}
		state, out, err = r.confirm(at, token, auth.ConfirmPhone, texted)
		if err != nil || state != nil || out.Session == nil {
			t.Fatalf("the code of the text message: %+v, %+v, %v; want a session", state, out, err)
		}
		got := r.named("visitor1")
		if got.Phone != "+491701000001" || got.Email != n.Email || got.DisplayName != n.DisplayName || got.Origin != "registered" || got.Language != "de" ||
			len(got.Roles) != 0 || got.Disabled || got.MustChange {
			t.Errorf("the account is %+v, want one without roles", got)
		}
		if r.May(got, auth.UseSites) || len(r.PrivilegesOf(got.Roles)) != 0 {
			t.Error("the new account may do something")
		}
		wantErr(t, r.try("visitor1@example.net", newPassword, "192.0.2.1"), nil, "sign in")
		_, err = r.RegistrationState(t.Context(), at, token, r.now)
		wantErr(t, err, auth.ErrNoRegistration, "the registration afterwards")
		added := r.journalled("account.add")
		if last := added[len(added)-1]; last.Actor != "registration" || last.Origin != "2001:db8:0:1::1" || last.Target != "visitor1" {
			t.Errorf("journal: %+v", last)
		}
		want := "registration-begin unknown,text-message success,registration success,sign-in success,sign-in success"
		var events []string
		for _, line := range r.recorded(t) {
			if strings.Contains(line, code) || strings.Contains(line, texted) || strings.Contains(line, "1701000001") {
				t.Errorf("an event has a code or the number: %s", line)
			}
			fields := strings.Fields(line)
			events = append(events, fields[0]+" "+fields[1])
		}
		if got := strings.Join(events, ","); got != want {
			t.Errorf("events %s, want %s", got, want)
		}
		if s := r.Stats(); s.Registered != 1 || s.Texts != 1 || s.TextsLost != 0 {
			t.Errorf("counted %+v", s)
		}
	})
}

// What registering tells is the same whether the address or the number is an account's or not: the same steps, the same work,
// one mail, one text message. Who has the mailbox or the phone is told there.
func TestRegisterRevealsNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRegistering(t, db)
		r.exec(`UPDATE principal SET phone = '+491701999999', phone_key = '+491701999999', disabled_at = 1 WHERE name = 'user'`)
		at, n := visitor(1)
		n.Email = "AGENT@example.com"
		n.Name = "agent"
		hashed := r.Stats().Hashed
		token := r.start(at, n)
		if got := r.Stats().Hashed - hashed; got != 1 {
			t.Errorf("%d hashes for a known address, want 1", got)
		}
		m := r.next("AGENT@example.com")
		if m.Subject != "Sie haben schon ein Konto bei desk.example" || sixDigits.MatchString(m.Text) {
			t.Errorf("a known address gets %q:\n%s", m.Subject, m.Text)
		}
		stranger, other := visitor(2)
		other.Name = "agent" // the name shows nothing either
		hashed = r.Stats().Hashed
		second := r.start(stranger, other)
		if got := r.Stats().Hashed - hashed; got != 1 {
			t.Errorf("%d hashes for an unknown address, want 1", got)
		}
		r.mailed(other.Email)
		known, err := r.RegistrationState(t.Context(), at, token, r.now)
		unknown, err2 := r.RegistrationState(t.Context(), stranger, second, r.now)
		if err != nil || err2 != nil || known.Step != unknown.Step || known.Codes != unknown.Codes || known.Good != unknown.Good || known.Expires != unknown.Expires {
			t.Errorf("the states differ: %+v, %v and %+v, %v", known, err, unknown, err2)
		}
		for i, who := range []struct {
			at    auth.Attempt
			token string
		}{{at, token}, {stranger, second}} {
			_, _, err := r.confirm(who.at, who.token, auth.ConfirmEmail, "12345x")
			wantErr(t, err, auth.ErrWrong, "wrong code "+strconv.Itoa(i))
		}

		// A known number: the disabled account keeps it.
		at, n = visitor(3)
		n.Phone = "+49 (0)170 1999999"
		token = r.start(at, n)
		state, _, err := r.confirm(at, token, auth.ConfirmEmail, r.mailed(n.Email))
		at4, n4 := visitor(4)
		token4 := r.start(at4, n4)
		state4, _, err4 := r.confirm(at4, token4, auth.ConfirmEmail, r.mailed(n4.Email))
		if err != nil || err4 != nil || state.Step != state4.Step || state.Codes != state4.Codes || state.Good != state4.Good {
			t.Errorf("a known number: %+v, %v; an unknown one: %+v, %v", state, err, state4, err4)
		}
		if taken, err := r.SendTexts(t.Context(), r.now); taken != 2 || err != nil {
			t.Errorf("the hook took %d messages, %v; want 2", taken, err)
		}
		for _, m := range r.hook.sent() {
			wantKind := "code"
			if m["to"] == "+491701999999" {
				wantKind = "known"
			}
			if m["kind"] != wantKind || sixDigits.MatchString(m["text"]) != (wantKind == "code") {
				t.Errorf("the hook was given %v, want the kind %s", m, wantKind)
			}
		}
		for code := range 5 {
			_, _, err := r.confirm(at, token, auth.ConfirmPhone, strings.Repeat(strconv.Itoa(code), 6))
			wantErr(t, err, auth.ErrWrong, "a guess at the known number's code")
			r.now = r.now.Add(11 * time.Second)
		}
	})
}

func TestRegisterJudgesInput(t *testing.T) {
	r := newRegistering(t, storetest.SQLite(t), func(cfg *auth.Config) { cfg.Registration.Domains = []string{"example.net", "example.org"} })
	at, good := visitor(1)
	for _, c := range []struct {
		field  string
		change func(*auth.NewRegistration)
	}{
		{"name", func(n *auth.NewRegistration) { n.Name = "a b" }},
		{"email", func(n *auth.NewRegistration) { n.Email = "a@b@example.net" }},
		{"email", func(n *auth.NewRegistration) { n.Email = "a@example.com" }},
		{"email", func(n *auth.NewRegistration) { n.Email = "a@sub.example.net" }},
		{"email", func(n *auth.NewRegistration) { n.Email = "a@example.net\r\nBcc: x@example.net" }},
		{"display name", func(n *auth.NewRegistration) { n.DisplayName = "a\x00" }},
		{"phone", func(n *auth.NewRegistration) { n.Phone = "" }},
		{"phone", func(n *auth.NewRegistration) { n.Phone = "+33 6 12 34 56 78" }},
		{"password", func(n *auth.NewRegistration) { n.Password = "short" }},
		{"password", func(n *auth.NewRegistration) { n.Password = "visitor1@example.net" }},
	} {
		n := good
		c.change(&n)
		_, _, err := r.Register(t.Context(), at, n, r.now)
		var input *auth.InputError
		var unfit *auth.PasswordError
		if c.field == "password" && !errors.As(err, &unfit) || c.field != "password" && (!errors.As(err, &input) || input.Field != c.field) {
			t.Errorf("%+v: %v, want an error about the %s", n, err, c.field)
		}
	}
	if n := row[int](r.fixture, `SELECT COUNT(*) FROM registration`) + r.mails("register"); n != 0 {
		t.Errorf("%d registrations and mails of unfit input", n)
	}
	good.Email = " Visitor1@EXAMPLE.ORG "
	r.start(at, good)
}

func TestRegistrationIsNotOffered(t *testing.T) {
	at, n := visitor(1)
	for name, change := range map[string]func(*auth.Config){
		"off": func(cfg *auth.Config) { cfg.Registration.Enabled = false },
	} {
		r := newRegistering(t, storetest.SQLite(t), change)
		_, _, err := r.Register(t.Context(), at, n, r.now)
		wantErr(t, err, auth.ErrNotOffered, name)
		_, err = r.ResendCode(t.Context(), at, "x", r.now)
		wantErr(t, err, auth.ErrNotOffered, name+": another code")
	}
	r := newRegistering(t, storetest.SQLite(t))
	console := at
	console.Realm = auth.ConsoleRealm
	_, _, err := r.Register(t.Context(), console, n, r.now)
	wantErr(t, err, auth.ErrNotOffered, "at the console")
	token := r.start(at, n)
	cfg := r.cfg
	cfg.Registration.Enabled = false
	r.reload(cfg)
	_, _, err = r.confirm(at, token, auth.ConfirmEmail, r.mailed(n.Email))
	wantErr(t, err, auth.ErrNotOffered, "turned off meanwhile")
}

// Without a phone number the mailbox is enough, where the configuration says so.
func TestRegisterWithoutPhone(t *testing.T) {
	for _, phone := range []string{auth.PhoneOff, auth.PhoneOptional} {
		r := newRegistering(t, storetest.SQLite(t), func(cfg *auth.Config) { cfg.Registration.Phone = phone })
		at, n := visitor(1)
		if phone == auth.PhoneOptional {
			n.Phone = " "
		}
		token := r.start(at, n)
		state, out, err := r.confirm(at, token, auth.ConfirmEmail, r.mailed(n.Email))
		if err != nil || state != nil || out.Session == nil || out.Session.Principal.Phone != "" {
			t.Errorf("%s: %+v, %+v, %v; want a session without a number", phone, state, out, err)
		}
	}
}
