package pages_test

import (
	"database/sql"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
)

// A session that is not young proves itself again before it gets a factor by a step-up, and then comes back to it.
func TestStepUpAsksForProof(t *testing.T) {
	s := newSite(t, auth.Config{})
	token := s.signIn()
	s.age(11 * time.Minute)
	form := url.Values{"return_to": {"/secret?a=1&b=2"}, "factor": {"any"}}
	stepUp := func(cookies ...*http.Cookie) *http.Response {
		r := request("/.doorward/step-up", form)
		for _, c := range append(cookies, token) {
			r.AddCookie(c)
		}
		return s.do(r, "192.0.2.1")
	}
	res := stepUp()
	next := "/.doorward/step-up?return_to=%2Fsecret%3Fa%3D1%26b%3D2&factor=any"
	if want := "/.doorward/account/confirm?next=" + url.QueryEscape(next); res.Header.Get("Location") != want {
		t.Fatalf("an old session without a factor is sent to %q, want %q", res.Header.Get("Location"), want)
	}
	wantLocation(t, s.confirm(token, "wrong", next), "", "a wrong password")
	res = s.confirm(token, password, next)
	wantLocation(t, res, next, "the password")
	wantLocation(t, stepUp(res.Cookies()...), "/.doorward/sign-in/enrol", "the step-up with a fresh proof")
	for _, bad := range []string{"/.doorward/step-up?return_to=//evil.example&factor=x", "/.doorward/step-up?%zz;&return_to=https://evil.example"} {
		wantLocation(t, s.confirm(token, password, bad), "/.doorward/step-up?return_to=%2F", bad)
	}
	wantLocation(t, s.confirm(token, password, "/.doorward/step-upx?return_to=/"), "/.doorward/account", "another page")
}

// confirm sends the form by which a signed-in person proves themselves again.
func (s *site) confirm(token *http.Cookie, password, next string) *http.Response {
	s.t.Helper()
	r := request("/.doorward/account/confirm", url.Values{"password": {password}, "return_to": {next}})
	r.AddCookie(token)
	return s.do(r, "192.0.2.1")
}

func wantLocation(t *testing.T, res *http.Response, want, what string) {
	t.Helper()
	if got := res.Header.Get("Location"); got != want {
		t.Errorf("%s: %d to %q, want %q", what, res.StatusCode, got, want)
	}
}

// age makes agent's sessions begin earlier.
func (s *site) age(by time.Duration) {
	s.t.Helper()
	p, err := s.auth.Principal(s.t.Context(), "agent")
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.db.Write(s.t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(s.t.Context(), `UPDATE sign_in SET created_at = created_at - $1`, by.Microseconds())
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	// Another language has the sessions read again.
	if err := s.auth.SetLanguage(s.t.Context(), auth.Actor{Name: "test", Origin: "local"}, p.ID, "en", time.Now()); err != nil {
		s.t.Fatal(err)
	}
}
