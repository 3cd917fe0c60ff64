package auth

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"
)

const (
	// storeLimit bounds each look at the store during a sign-in.
	storeLimit = 3 * time.Second
	// maxPerAccount is how many sessions one account may have; one more ends the one not used for longest.
	maxPerAccount = 500
	// maxEnded is how many sessions that have ended are kept of one account: whoever has one could otherwise fill the store by
	// signing in again and again. endedBatch is how many more than that one sign-in forgets.
	maxEnded   = 1000
	endedBatch = 100
	// maxUserAgent is how much of the browser's name is kept with a session.
	maxUserAgent = 300
)

// Attempt is one try to sign in, or one step of it.
type Attempt struct {
	Login    string // a name or an e-mail address
	Password string
	Address  netip.Addr // the client's, after trusted proxies
	Realm    Realm
	Host     string // canonical; the session is good for no other
	Site     string // for the event

	UserAgent, RequestID string

	// PreviousToken is the session token that came with the request; that session ends with the sign-in.
	PreviousToken string
	// Device is the device cookie that came with the request.
	Device string
	// Proof is what the browser keeps of ConfirmByPassword or ConfirmByPasskey; only StepUp looks at it.
	Proof string
	// Remember says that the person wants to stay signed in; the roles decide (D-18).
	Remember bool
	// ReturnTo is the path that the person wanted, kept while steps are lacking.
	ReturnTo string
}

// Outcome is how far a sign-in has come. Exactly one of Session and Pending is set.
type Outcome struct {
	Session *Session
	Pending *Pending
	Token   string // of the session, or of the pending sign-in
	// Device is a new device cookie for the browser; empty: it keeps the one it has.
	Device string
	// ReturnTo is the path that the person wanted when the sign-in began.
	ReturnTo string
}

// SignIn checks a name and a password. The outcome is a session, or a pending sign-in when more is needed: a second
// factor, a release by mail, a new password. The errors are
// ErrWrong, *WaitError, ErrBusy, ErrUnavailable, ErrNetwork, and ctx's own when it is cancelled. An unknown name, a disabled account and a
// wrong password take the same time. A wrong sign-in is counted against the address before the next one from there is looked
// at; while the address waits, nothing is checked and nothing counted (M-40, M-41). Every call leaves
// one authentication event.
func (a *Auth) SignIn(ctx context.Context, at Attempt, now time.Time) (Outcome, error) {
	who, out, err := a.signIn(ctx, at, now)
	a.recordSignIn(at, who, out, err, now)
	if err != nil {
		return Outcome{}, err
	}
	return out, nil
}

// verdict is what is known about who tried, for the event.
type verdict struct {
	vouched *vouched // who another system says it is
	account *account // nil: no such account
	reason  string   // a constant word
}

func (a *Auth) signIn(ctx context.Context, at Attempt, now time.Time) (verdict, Outcome, error) {
	cfg := a.cfg.Load()
	began := time.Now()
	key := addressKey(at.Address)
	if left := a.remaining(ctx, key, now); left > 0 {
		return verdict{reason: "waiting"}, Outcome{}, &WaitError{left}
	}
	if a.health.since.Load() != nil {
		return verdict{reason: "store-away"}, Outcome{}, ErrUnavailable
	}
	release, err := a.hasher.acquire(ctx, key)
	if err != nil {
		return verdict{reason: "busy"}, Outcome{}, err
	}
	now = now.Add(time.Since(began)) // the queue may have taken seconds
	who, newHash, err := func() (verdict, string, error) {
		defer release() // whatever happens: a turn that is never given back is one sign-in fewer at a time for good
		return a.check(ctx, at, now, cfg)
	}()
	if err != nil {
		return who, Outcome{}, err
	}
	if who.vouched != nil {
		return a.finishVouched(ctx, at, *who.vouched, now)
	}
	return a.finish(ctx, at, who, a.passwordGrant(at, who.account, newHash), now)
}

// finish takes a proved step into the store and says what follows from it.
func (a *Auth) finish(ctx context.Context, at Attempt, who verdict, g *grant, now time.Time) (verdict, Outcome, error) {
	out, err := a.advance(ctx, at, g, now)
	if err != nil {
		who.reason = "not-stored"
		switch {
		case errors.Is(err, ErrWrong):
			who.reason = "changed-meanwhile"
		case errors.Is(err, ErrNetwork):
			who.reason = "role-network"
			a.noteFailure(ctx, g.who, at, now) // somebody knows the password: the person should hear of it (ASVS 6.3.5)
		case errors.Is(err, ErrTooManyCodes):
			who.reason = "too-many-wrong-codes"
		}
		return who, Outcome{}, err
	}
	if out.Pending != nil {
		who.reason = "lacks-" + string(out.Pending.Step)
		return who, out, nil
	}
	a.succeeded(ctx, addressKey(at.Address), out.Session.Principal.ID, now)
	a.hasher.know(addressKey(at.Address))
	return who, out, nil
}

// check runs while the address has its turn at the hasher, so what it finds about the address cannot
// change before it counts the failure. On success newHash is the password's hash at today's cost, or empty if it
// has that already.
func (a *Auth) check(ctx context.Context, at Attempt, now time.Time, cfg *settings) (who verdict, newHash string, err error) {
	key := addressKey(at.Address)
	if left := a.remaining(ctx, key, now); left > 0 {
		return verdict{reason: "waiting"}, "", &WaitError{left}
	}
	login, email, ok := loginKey(at.Login)
	if ok {
		ctx, cancel := context.WithTimeout(ctx, storeLimit)
		who.account, err = a.findAccount(ctx, login, email)
		if err == nil {
			// Of a name that is nobody's the same is asked, so that the time does not tell.
			err = a.addRoles(ctx, cmp.Or(who.account, &account{Principal: Principal{ID: nobody}}))
		}
		cancel()
		if err != nil {
			a.suspect(err, now)
			return verdict{reason: "store-away"}, "", unavailable(err)
		}
	}
	keys, rate, err := a.keysOf(ctx, at, login, who.account, cfg)
	if err == nil {
		var left time.Duration
		if left, err = a.limited(ctx, keys, rate, now); left > 0 {
			who.reason = "limit"
			return who, "", &WaitError{left}
		}
	}
	if err != nil {
		a.suspect(err, now)
		return verdict{reason: "store-away"}, "", unavailable(err)
	}
	prepared, usable := preparePassword(at.Password)
	defer clear(prepared)
	right := a.passwordMatches(who.account, prepared, cfg.PasswordHash) && usable
	if who.account == nil || who.account.phc == "" && !who.account.Disabled {
		// An account with a password of its own is never another system's: it is the way in when that is away.
		if len(cfg.directories) > 0 {
			a.hasher.stepAside(key)
		}
		if who.vouched, err = a.askDirectories(ctx, at.Login, at.Password, cfg); who.vouched != nil {
			return who, "", nil
		}
		if err != nil {
			return verdict{reason: "directory-away"}, "", unavailable(err)
		}
	}
	switch {
	case who.account == nil:
		who.reason = "unknown-account"
	case !right:
		who.reason = "wrong-password"
	case who.account.Disabled:
		who.reason = "disabled-account"
	case a.banned(who.account.Name, now):
		who.reason = "banned-account"
	default:
		if phc, err := ParsePHC(who.account.phc); err == nil && !phc.sameCost(cfg.PasswordHash) {
			newHash = newPHC(prepared, cfg.PasswordHash).String()
		}
		return who, newHash, nil
	}
	account := nobody
	if who.account != nil {
		account = who.account.ID
	}
	a.failed(ctx, key, account, now)
	if err := a.countFailure(ctx, keys, rate, who.account, at, now); err != nil {
		a.logStep("count failed sign-in", err)
		a.suspect(err, now)
	}
	return who, "", ErrWrong
}

// passwordMatches does the same work whether there is an account or not.
func (a *Auth) passwordMatches(who *account, password []byte, cfg HashConfig) bool {
	phc := dummyPHC(cfg)
	known := false
	if who != nil && who.phc != "" {
		stored, err := ParsePHC(who.phc)
		if err != nil {
			a.log.Error("read stored password hash", slog.String("principal", who.ID), slog.Any("error", err))
		} else {
			phc, known = stored, true
		}
	}
	return phc.matches(password) && known
}

// cut shortens text for a column or an event to at most n bytes, at a character's border.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
