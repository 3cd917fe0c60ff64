package auth_test

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// A code is good for five tries, ten minutes, one browser, one host and one step.
func TestRegistrationCodes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRegistering(t, db, func(cfg *auth.Config) { cfg.SignIn.Failures = 20 })
		at, n := visitor(1)
		token := r.start(at, n)
		code := r.mailed(n.Email)
		other, no := visitor(2)
		another := r.start(other, no)
		theirs := r.mailed(no.Email)
		elsewhere := at
		elsewhere.Host = "shop.example"
		for name, try := range map[string]func() error{
			"no cookie":       func() error { _, _, err := r.confirm(at, "", auth.ConfirmEmail, code); return err },
			"a made-up one":   func() error { _, _, err := r.confirm(at, strings.Repeat("A", 43), auth.ConfirmEmail, code); return err },
			"another host":    func() error { _, _, err := r.confirm(elsewhere, token, auth.ConfirmEmail, code); return err },
			"resend, no such": func() error { _, err := r.ResendCode(t.Context(), elsewhere, token, r.now); return err },
			"name, no such":   func() error { _, _, err := r.ChooseName(t.Context(), elsewhere, token, "x", r.now); return err },
		} {
			wantErr(t, try(), auth.ErrNoRegistration, name)
		}
		if code != theirs {
			_, _, err := r.confirm(other, another, auth.ConfirmEmail, code)
			wantErr(t, err, auth.ErrWrong, "another browser's code")
		}
		for _, guess := range []string{wrongOf(code), "", code + "0", strings.Repeat(code, 1000), "\x00"} {
			state, _, err := r.confirm(at, token, auth.ConfirmEmail, guess)
			wantErr(t, err, auth.ErrWrong, "a guess")
			if state == nil || state.Step != auth.ConfirmEmail {
				t.Errorf("after a guess: %+v", state)
			}
		}
		_, _, err := r.confirm(at, token, auth.ConfirmEmail, code)
		wantErr(t, err, auth.ErrCodeOver, "the right code after five wrong ones")
		if state, err := r.RegistrationState(t.Context(), at, token, r.now); err != nil || state.Good || state.Codes != 2 {
			t.Errorf("the state then: %+v, %v; want two more codes and none that is good", state, err)
		}

		r.now = r.now.Add(time.Minute)
		if _, err := r.ResendCode(t.Context(), at, token, r.now); err != nil {
			t.Fatal(err)
		}
		if _, err := r.ResendCode(t.Context(), at, token, r.now.Add(29*time.Second)); waiting(err) == 0 {
			t.Errorf("another code at once: %v, want a *WaitError", err)
		}
		second := r.mailed(n.Email)
		if code != second {
			_, _, err = r.confirm(at, token, auth.ConfirmEmail, code)
			wantErr(t, err, auth.ErrWrong, "the code before")
		}
		r.now = r.now.Add(10 * time.Minute)
		_, _, err = r.confirm(at, token, auth.ConfirmEmail, second)
		wantErr(t, err, auth.ErrCodeOver, "ten minutes later")
		state, err := r.ResendCode(t.Context(), at, token, r.now)
		if err != nil || state.Codes != 0 || !state.Good {
			t.Errorf("the third code: %+v, %v", state, err)
		}
		third := r.mailed(n.Email)
		_, err = r.ResendCode(t.Context(), at, token, r.now.Add(time.Minute))
		wantErr(t, err, auth.ErrCodeOver, "a fourth code")
		state, _, err = r.confirm(at, token, auth.ConfirmEmail, third)
		if err != nil || state.Step != auth.ConfirmPhone {
			t.Errorf("the third code: %+v, %v", state, err)
		}
		_, texted := r.texted()
		_, _, err = r.confirm(at, token, auth.ConfirmPhone, third)
		if third != texted {
			wantErr(t, err, auth.ErrWrong, "the mailed code for the phone")
		}
		if n := row[int](r.fixture, `SELECT COUNT(*) FROM registration WHERE mac = $1 OR mac = $2`, texted, third); n != 0 {
			t.Error("a code can be read in the store")
		}
		r.now = r.now.Add(24 * time.Hour)
		_, _, err = r.confirm(at, token, auth.ConfirmPhone, texted)
		wantErr(t, err, auth.ErrNoRegistration, "a day later")
		r.Sweep(t.Context(), r.now)
		if n := row[int](r.fixture, `SELECT COUNT(*) FROM registration`); n != 0 {
			t.Errorf("%d registrations a day later, want 0", n)
		}
	})
}

// Wrong codes make an address wait as wrong passwords do (M-40).
func TestRegistrationCodeWait(t *testing.T) {
	r := newRegistering(t, storetest.SQLite(t))
	at, n := visitor(1)
	token := r.start(at, n)
	code := r.mailed(n.Email)
	for range 3 {
		_, _, err := r.confirm(at, token, auth.ConfirmEmail, wrongOf(code))
		wantErr(t, err, auth.ErrWrong, "a guess")
	}
	if _, _, err := r.confirm(at, token, auth.ConfirmEmail, code); waiting(err) == 0 {
		t.Errorf("the right code after three wrong ones: %v, want a *WaitError", err)
	}
	r.now = r.now.Add(11 * time.Second)
	state, _, err := r.confirm(at, token, auth.ConfirmEmail, code)
	if err != nil || state.Step != auth.ConfirmPhone {
		t.Errorf("after the wait: %+v, %v", state, err)
	}
}

// A name that is taken shows when both are confirmed, and not before; so many can be tried, and no more.
func TestRegistrationName(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRegistering(t, db)
		toName := func(id int) (auth.Attempt, string) {
			at, n := visitor(id)
			n.Name = "Agent"
			token := r.start(at, n)
			_, _, err := r.confirm(at, token, auth.ConfirmEmail, r.mailed(n.Email))
			wantErr(t, err, nil, "the mailed code")
			_, code := r.texted()
			state, out, err := r.confirm(at, token, auth.ConfirmPhone, code)
			if err != nil || state == nil || state.Step != auth.ChooseAnother || out.Session != nil {
				t.Fatalf("a taken name: %+v, %+v, %v; want the step %s", state, out, err, auth.ChooseAnother)
			}
			return at, token
		}
		at, token := toName(1)
		var input *auth.InputError
		if _, _, err := r.ChooseName(t.Context(), at, token, "no name", r.now); !errors.As(err, &input) {
			t.Errorf("a name that is none: %v", err)
		}
		if _, _, err := r.confirm(at, token, auth.ChooseAnother, "123456"); err != nil {
			t.Errorf("a code for the name: %v", err)
		}
		state, _, err := r.ChooseName(t.Context(), at, token, "OWNER", r.now)
		if err != nil || state == nil || state.Step != auth.ChooseAnother {
			t.Errorf("another taken name: %+v, %v", state, err)
		}
		state, out, err := r.ChooseName(t.Context(), at, token, "newcomer", r.now)
		if err != nil || state != nil || out.Session == nil || out.Session.Principal.Name != "newcomer" {
			t.Errorf("a free name: %+v, %+v, %v; want a session", state, out, err)
		}
		at, token = toName(2)
		for i := range 4 {
			if _, _, err := r.ChooseName(t.Context(), at, token, "user", r.now); err != nil {
				t.Fatalf("taken name %d: %v", i+1, err)
			}
		}
		_, _, err = r.ChooseName(t.Context(), at, token, "user", r.now)
		wantErr(t, err, auth.ErrNoRegistration, "one more")
		at, n := visitor(3)
		token = r.start(at, n)
		if state, _, err := r.ChooseName(t.Context(), at, token, "early", r.now); err != nil || state.Step != auth.ConfirmEmail {
			t.Errorf("a name before the codes: %+v, %v; want that nothing changes", state, err)
		}
	})
}

// Two registrations with one phone make one account, whichever is first; the other ends without a word about why.
func TestRegistrationRace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRegistering(t, db, func(cfg *auth.Config) { cfg.Registration.SMS.PerNumber = 10 })
		other := r.another()
		type begun struct {
			at          auth.Attempt
			token, code string
		}
		var all []begun
		for i := range 4 {
			at, n := visitor(i)
			n.Phone = "+49 170 1234567"
			token := r.start(at, n)
			_, _, err := r.confirm(at, token, auth.ConfirmEmail, r.mailed(n.Email))
			wantErr(t, err, nil, "the mailed code")
			_, code := r.texted()
			all = append(all, begun{at, token, code})
		}
		results := make(chan error)
		for i, b := range all {
			a := []*auth.Auth{r.Auth, other}[i%2]
			go func() {
				_, out, err := a.ConfirmCode(t.Context(), b.at, b.token, auth.ConfirmPhone, b.code, r.now)
				if err == nil && out.Session == nil {
					err = errors.New("no session")
				}
				results <- err
			}()
		}
		made := 0
		for range all {
			if err := <-results; err == nil {
				made++
			} else if !errors.Is(err, auth.ErrNoRegistration) {
				t.Errorf("got %v, want ErrNoRegistration", err)
			}
		}
		if n := row[int](r.fixture, `SELECT COUNT(*) FROM principal WHERE phone = '+491701234567'`); made != 1 || n != 1 {
			t.Errorf("%d were made and %d accounts have the number, want 1", made, n)
		}
	})
}

// What strangers can cause is bounded by network, address, number, country and day.
func TestRegistrationCaps(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRegistering(t, db, func(cfg *auth.Config) { cfg.Registration.PerDay = 14 })
		register := func(network, person int) error {
			at, _ := visitor(network)
			_, n := visitor(person)
			_, _, err := r.Register(t.Context(), at, n, r.now)
			return err
		}
		for i := range 5 {
			wantErr(t, register(1, i), nil, "registration from one network")
		}
		if err := register(1, 6); waiting(err) == 0 {
			t.Errorf("registration 6 from a network in an hour: %v, want a *WaitError", err)
		}
		wantErr(t, register(2, 0), nil, "the same address of a mailbox from elsewhere")
		for i := range 3 {
			wantErr(t, register(3+i, 0), nil, "once more")
		}
		if err := register(10, 0); waiting(err) == 0 {
			t.Errorf("mail 6 to one address in a day: %v, want a *WaitError", err)
		}
		if n := row[int](r.fixture, `SELECT COUNT(*) FROM registration`); n != 9 || r.mails("register") != 9 {
			t.Errorf("%d registrations and %d mails, want 9 and 9", n, r.mails("register"))
		}
		for i := range 5 {
			wantErr(t, register(20+i, 20+i), nil, "others")
		}
		if err := register(30, 30); waiting(err) == 0 {
			t.Errorf("registration 15 in a day: %v, want a *WaitError", err)
		}
		at, n := visitor(40)
		n.Password = "short"
		var unfit *auth.PasswordError
		for range 30 {
			if _, _, err := r.Register(t.Context(), at, n, r.now); !errors.As(err, &unfit) {
				t.Fatalf("a weak password: %v", err)
			}
		}
		if _, _, err := r.Register(t.Context(), at, n, r.now); waiting(err) == 0 {
			t.Errorf("try 31 from a network: %v, want a *WaitError", err)
		}
		if r.Stats().RegistrationsLimited != 4 {
			t.Errorf("%d were counted as limited, want 4", r.Stats().RegistrationsLimited)
		}
		r.now = r.now.Add(25 * time.Hour)
		for i := range 5000 {
			id := strconv.Itoa(i)
			r.exec(`INSERT INTO registration (id, hash, host, network, name, email, display_name, phone, language, phc, mac, mac_expires_at, codes, coded_at, created_at, expires_at)
				VALUES ($1, $1, 'h', $2, 'n', 'e', '', '', '', '', '', 0, 0, 0, 0, $3)`, id, id, store.Micros(r.now.Add(time.Hour)))
			if i == 0 {
				wantErr(t, register(50, 50), nil, "with one that waits")
			}
			if i > 20 && testing.Short() {
				return
			}
		}
		if err := register(51, 51); waiting(err) == 0 {
			t.Errorf("registration 5001 that is not complete: %v, want a *WaitError", err)
		}
	})
}

// Text messages cost money: there are limits for a number, a network, a country and a day. A limit shows to everybody alike, and
// another code can be asked for when it is over.
func TestTextCaps(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*auth.SMSConfig)
		same   func(at *auth.Attempt, n *auth.NewRegistration) // what the registrations have in common
	}{
		"number": {func(c *auth.SMSConfig) { c.PerNumber = 2 }, func(_ *auth.Attempt, n *auth.NewRegistration) { n.Phone = "0170 7654321" }},
		"address": {func(c *auth.SMSConfig) { c.PerAddress = 2 }, func(at *auth.Attempt, _ *auth.NewRegistration) {
			*at, _ = visitor(77)
		}},
		"country": {func(c *auth.SMSConfig) { c.PerCountry = 2 }, func(*auth.Attempt, *auth.NewRegistration) {}},
		"day":     {func(c *auth.SMSConfig) { c.PerDay = 2 }, func(*auth.Attempt, *auth.NewRegistration) {}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistering(t, storetest.SQLite(t), func(cfg *auth.Config) { c.change(&cfg.Registration.SMS) })
			var at auth.Attempt
			var token string
			for i := range 3 {
				var n auth.NewRegistration
				at, n = visitor(i)
				c.same(&at, &n)
				token = r.start(at, n)
				state, _, err := r.confirm(at, token, auth.ConfirmEmail, r.mailed(n.Email))
				if err != nil || state.Step != auth.ConfirmPhone || state.Good != (i < 2) {
					t.Errorf("registration %d: %+v, %v; want that a code is under way: %t", i+1, state, err, i < 2)
				}
			}
			if taken, err := r.SendTexts(t.Context(), r.now); taken != 2 || err != nil {
				t.Errorf("%d messages were sent, %v; want 2", taken, err)
			}
			if _, err := r.ResendCode(t.Context(), at, token, r.now); waiting(err) == 0 {
				t.Errorf("another code: %v, want a *WaitError", err)
			}
		})
	}
}

// The hook may be away for a moment, or say no; a redirect is not followed, and nothing is sent twice once it was taken.
func TestHook(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRegistering(t, db)
		id := 0
		send := func() {
			id++
			at, n := visitor(id)
			token := r.start(at, n)
			_, _, err := r.confirm(at, token, auth.ConfirmEmail, r.mailed(n.Email))
			wantErr(t, err, nil, "the mailed code")
		}
		for _, c := range []struct {
			name    string
			answers []int
			asked   int
			lost    uint64
		}{
			{"takes it", nil, 1, 0},
			{"takes it at the third time", []int{503, 429}, 3, 0},
			{"is away", []int{500, 500, 500, 500, 500}, 4, 1},
			{"says no", []int{400}, 1, 1},
			{"sends us elsewhere", []int{http.StatusTemporaryRedirect}, 1, 1},
		} {
			before, lost := len(r.hook.sent()), r.Stats().TextsLost
			r.hook.mu.Lock()
			r.hook.answers = c.answers
			r.hook.mu.Unlock()
			send()
			start := r.now
			for range 60 {
				if _, err := r.SendTexts(t.Context(), r.now); err != nil {
					t.Fatal(err)
				}
				r.now = r.now.Add(5 * time.Second)
			}
			r.now = start
			all := r.hook.sent()[before:]
			for _, m := range all {
				if m["id"] != all[0]["id"] {
					t.Errorf("%s: the message has the ids %s and %s", c.name, m["id"], all[0]["id"])
				}
			}
			if len(all) != c.asked || r.Stats().TextsLost-lost != c.lost || row[int](r.fixture, `SELECT COUNT(*) FROM text_message`) != 0 {
				t.Errorf("%s: asked %d times and %d lost, want %d and %d", c.name, len(all), r.Stats().TextsLost-lost, c.asked, c.lost)
			}
		}
		// One that cannot be of use any more is not given.
		before := len(r.hook.sent())
		at, n := visitor(50)
		token := r.start(at, n)
		_, _, err := r.confirm(at, token, auth.ConfirmEmail, r.mailed(n.Email))
		wantErr(t, err, nil, "the mailed code")
		if taken, err := r.SendTexts(t.Context(), r.now.Add(11*time.Minute)); taken != 0 || err != nil || len(r.hook.sent()) != before {
			t.Errorf("eleven minutes later: %d taken, %v", taken, err)
		}
	})
}

// The time that the hook takes for one message passes for the next: no code is given that is over by then.
func TestHookTakesTime(t *testing.T) {
	r := newRegistering(t, storetest.SQLite(t))
	for i := range 2 {
		at, n := visitor(i)
		token := r.start(at, n)
		_, _, err := r.confirm(at, token, auth.ConfirmEmail, r.mailed(n.Email))
		wantErr(t, err, nil, "the mailed code")
	}
	r.exec(`UPDATE text_message SET expires_at = $1`, store.Micros(r.now)+1)
	if taken, err := r.SendTexts(t.Context(), r.now); taken != 1 || err != nil || r.Stats().TextsLost != 1 {
		t.Errorf("%d taken and %d lost, %v; want one each", taken, r.Stats().TextsLost, err)
	}
}

// Two processes do not both give the same message.
func TestHookOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRegistering(t, db)
		for i := range 5 {
			at, n := visitor(i)
			token := r.start(at, n)
			_, _, err := r.confirm(at, token, auth.ConfirmEmail, r.mailed(n.Email))
			wantErr(t, err, nil, "the mailed code")
		}
		ended := make(chan error)
		for _, a := range []*auth.Auth{r.Auth, r.another()} {
			go func() {
				_, err := a.SendTexts(t.Context(), r.now)
				ended <- err
			}()
		}
		wantErr(t, errors.Join(<-ended, <-ended), nil, "send")
		seen := make(map[string]int)
		for _, m := range r.hook.sent() {
			seen[m["id"]]++
		}
		if len(seen) != 5 {
			t.Errorf("%d messages were given, want 5", len(seen))
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("message %s was given %d times", id, n)
			}
		}
	})
}

// No code that a stranger could type makes anything but a wrong code.
func FuzzRegistrationCode(f *testing.F) {
	for _, seed := range []string{"123456", "", "000000", "12 34 56", "１２３４５６", "-1", "1e5", "\x00", "-\v0", strings.Repeat("9", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		typed := auth.TypedCode(text)
		if len(typed) > 64 || strings.ContainsAny(typed, " -\t") {
			t.Errorf("%q is read as %q", text, typed)
		}
		if again := auth.TypedCode(typed); again != typed {
			t.Errorf("%q is read as %q and then as %q", text, typed, again)
		}
	})
}
