package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/doorward/doorward/store"
)

// grant is what a person has proved: the beginning of a sign-in, or one more step of it.
type grant struct {
	who      *account // as it was when the step was proved
	level    Level
	methods  []string
	want     Level // what a page asked for beyond the roles; 0: nothing
	newHash  string
	remember bool
	released bool   // the address needs no release any more
	unproved bool   // of a step-up: the person has not proved themselves again, so no factor is set up
	keyless  bool   // there are no passkeys at the host of a further step
	onlyKey  bool   // what judge found before the step's proof
	previous string // hash of the session token that ends with the sign-in
	device   string // hash of the browser's device cookie
	returnTo string
	provider string // another system that vouches, and its session's id there
	sid      string

	pending string // id of the pending sign-in that this is a step of; empty at the beginning
	// step is the one that prove and apply are for: they are done only while it is what lacks. stepNone: whatever lacks.
	step Step
	// prove is what remains to be proved inside the transaction, and what next has reached by it; false means wrong.
	prove func(ctx context.Context, tx *sql.Tx, next *grant) (bool, error)
	// apply changes the account in the same transaction, before the next step is chosen.
	apply func(ctx context.Context, tx *sql.Tx, t *turnover, who *account) error
}

func (a *Auth) passwordGrant(at Attempt, who *account, newHash string) *grant {
	return &grant{who: who, level: PasswordLevel, methods: []string{methodPassword}, newHash: newHash,
		remember: at.Remember, previous: tokenKey(at.PreviousToken), device: tokenKey(at.Device), returnTo: at.ReturnTo}
}

// The methods by which a person is recognised, as sessions list them.
const (
	methodPassword = "password"
	methodTOTP     = "totp"
	methodRecovery = "recovery"
	methodPasskey  = "passkey"
	methodReset    = "reset" // the link of a password reset
	methodToken    = "token" // an API token
)

// tokenKey is the store's key of a token or cookie of ours; empty for what cannot be one.
func tokenKey(token string) string {
	hash, ok := hashToken(token)
	if !ok {
		return ""
	}
	return hexHash(hash)
}

// advance takes a step in one transaction: what was proved, the next step, and the session or the pending sign-in that
// follows. The errors are ErrWrong, ErrNetwork, ErrNoPending and ErrUnavailable.
func (a *Auth) advance(ctx context.Context, at Attempt, g *grant, now time.Time) (Outcome, error) {
	cfg := a.cfg.Load()
	generation := a.sessions.generation()
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	hostName := a.nameForMail(ctx, at.Address)
	var t *turnover
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		t = &turnover{a: a, cfg: cfg, at: at, now: now, hostName: hostName}
		return t.run(ctx, tx, *g)
	})
	if err == nil && t.wrong {
		return Outcome{}, ErrWrong
	}
	if err != nil {
		return Outcome{}, a.stepError(err, now)
	}
	if t.mailed {
		a.mail.Wake()
	}
	if t.out.Session != nil {
		a.admit(ctx, t.out.Session, generation)
	}
	if len(t.ended) > 0 {
		a.sessions.end(t.ended...)
	}
	return t.out, nil
}

// stepError keeps what callers decide on and makes ErrUnavailable of the rest.
func (a *Auth) stepError(err error, now time.Time) error {
	var input *InputError
	for _, own := range []error{ErrWrong, ErrNetwork, ErrNoPending, ErrLastFactor, ErrNotInvited, ErrBusy, ErrTooManyCodes, ErrNoPasskeys,
		ErrTooManyPasskeys, ErrExists, ErrNotFound, ErrNoLink, ErrNotConfirmed} {
		if errors.Is(err, own) {
			return err
		}
	}
	if errors.As(err, &input) {
		return err
	}
	a.suspect(err, now)
	return unavailable(fmt.Errorf("store sign-in: %w", err))
}

// turnover is one run of advance's transaction, which may be begun anew.
type turnover struct {
	a   *Auth
	cfg *settings
	at  Attempt
	now time.Time
	// hostName is the address's name for mails, found before the transaction: nobody else's writing waits for a name server.
	hostName string
	out      Outcome
	ended    []string // sign-ins that ended
	wrong    bool     // what was to be proved is wrong; the count of it is to be committed
	mailed   bool
}

func (t *turnover) run(ctx context.Context, tx *sql.Tx, g grant) error {
	who, err := readAccountByID(ctx, tx, g.who.ID)
	if err != nil {
		return err
	}
	if who == nil || who.Disabled || who.phc != g.who.phc || t.a.banned(who.Name, t.now) {
		return ErrWrong // closed, banned, or the password changed while this one was checked
	}
	g.who = who
	if g.pending != "" {
		// Another request may have ended it, or the session that it goes on from, since it was read.
		r, err := readPending(ctx, tx, sqlLivePendingByID, g.pending, store.Micros(t.now))
		if err != nil {
			return err
		}
		if err := r.sessionLives(ctx, tx); err != nil {
			return err
		}
	}
	if !t.cfg.allowedFrom(who.Roles, t.at.Address) {
		return ErrNetwork
	}
	if g.step != stepNone {
		// A factor that nothing asks for is not looked at: a recovery code would be used up for nothing. Nor is a password changed
		// before what comes first.
		reached, err := t.a.judge(ctx, tx, &g, t.at, t.now, t.cfg)
		if err != nil {
			return err
		}
		if reached.next() != g.step {
			g.prove, g.apply = nil, nil
		}
		g.onlyKey = reached.onlyKey
	}
	if g.prove != nil {
		right, err := g.prove(ctx, tx, &g)
		if err != nil {
			return err
		}
		if !right {
			t.wrong = true
			return countPendingFailure(ctx, tx, g.pending)
		}
	}
	if g.apply != nil {
		if err := g.apply(ctx, tx, t, who); err != nil {
			return err
		}
	}
	if g.newHash != "" {
		if _, err := tx.ExecContext(ctx, sqlRehash, g.newHash, who.ID, who.phc); err != nil {
			return fmt.Errorf("store new password hash: %w", err)
		}
		who.phc = g.newHash
	}
	reached, err := t.a.judge(ctx, tx, &g, t.at, t.now, t.cfg)
	if err != nil {
		return err
	}
	t.out.ReturnTo = g.returnTo
	step := reached.next()
	if step == StepEnrol && g.unproved {
		return ErrNotConfirmed
	}
	if step != stepNone {
		return t.wait(ctx, tx, &g, reached)
	}
	return t.begin(ctx, tx, &g)
}

// begin makes the session and ends what it replaces.
func (t *turnover) begin(ctx context.Context, tx *sql.Tx, g *grant) error {
	a, who := t.a, g.who
	if g.pending != "" {
		if _, err := tx.ExecContext(ctx, sqlDeletePending, g.pending); err != nil {
			return fmt.Errorf("end pending sign-in: %w", err)
		}
	}
	idle, absolute := t.cfg.lifetimes(who.Roles)
	remember := t.cfg.remember(who.Roles)
	if g.remember = g.remember && remember > 0 && t.at.Realm == SiteRealm; g.remember {
		idle, absolute = remember, remember
	}
	token, hash := newToken()
	s := &Session{
		Principal: who.Principal, Realm: t.at.Realm, Level: g.level, Methods: strings.Join(g.methods, " "),
		Remember: g.remember, Address: t.at.Address.Unmap(), UserAgent: cut(store.Text(t.at.UserAgent), maxUserAgent), Host: t.at.Host,
		Created: t.now, Expires: t.now.Add(absolute),
		hash: hash, idle: idle, absolute: absolute, created: a.stamp(t.now), done: make(chan struct{}),
	}
	s.Principal.Roles = t.cfg.known(who.Roles)
	s.seenWall.Store(s.created.wall)
	s.seenMono.Store(s.created.mono)
	s.stored.Store(s.created.wall)
	var err error
	if s.ID, err = store.NewID(); err != nil {
		return fmt.Errorf("make session id: %w", err)
	}
	at := store.Micros(t.now)
	if t.ended, err = endBefore(ctx, tx, s, g.previous, at); err != nil {
		return err
	}
	if err := insertSession(ctx, tx, s, g, at); err != nil {
		return err
	}
	if err := noteLastSignIn(ctx, tx, s, at); err != nil {
		return err
	}
	t.out.Session, t.out.Token = s, token
	return t.arrive(ctx, tx, s, g)
}

func insertSession(ctx context.Context, tx *sql.Tx, s *Session, g *grant, at int64) error {
	if _, err := tx.ExecContext(ctx, sqlInsertSignIn, s.ID, s.Principal.ID, string(s.Realm), int(s.Level), s.Address.String(),
		s.UserAgent, at, int64(s.idle/time.Second), store.Micros(s.Expires), s.Methods, truth(s.Remember), g.provider, g.sid); err != nil {
		return fmt.Errorf("insert sign-in: %w", err)
	}
	if _, err := tx.ExecContext(ctx, sqlInsertToken, hexHash(s.hash), s.ID, s.Host, at); err != nil {
		return fmt.Errorf("insert session token: %w", err)
	}
	return nil
}

// admit takes a session that was just stored into memory. If any session ended meanwhile, it might be this
// one; then the next request reads it from the store, and this one's Done tells nothing but the truth.
func (a *Auth) admit(ctx context.Context, s *Session, generation uint64) {
	for range 3 {
		if a.sessions.add(s, generation) != nil {
			return
		}
		generation = a.sessions.generation()
		if again, err := a.readSession(ctx, s.Realm, s.Host, s.hash, s.Created); err != nil || again == nil {
			break
		}
	}
	close(s.done)
}

// endBefore ends the session that the browser had, and the account's oldest ones if there are too many.
func endBefore(ctx context.Context, tx *sql.Tx, s *Session, previous string, at int64) (ended []string, err error) {
	if previous != "" {
		if ended, err = readStrings(ctx, tx, sqlSignInOfToken, previous, s.Host, string(s.Realm)); err != nil {
			return nil, fmt.Errorf("look up previous session: %w", err)
		}
		if err := endSignIns(ctx, tx, ended, "signed-in-again", at); err != nil {
			return nil, err
		}
	}
	// Not those of the last minutes: other gateways have to learn of their end.
	for _, statement := range []string{sqlForgetEndedTokens, sqlForgetEnded} {
		if _, err := tx.ExecContext(ctx, statement, s.Principal.ID, at-overlap.Microseconds(), endedBatch, maxEnded); err != nil {
			return nil, fmt.Errorf("forget old sessions: %w", err)
		}
	}
	ids, err := readStrings(ctx, tx, sqlTooMany, s.Principal.ID, at, maxPerAccount-1)
	if err != nil {
		return nil, fmt.Errorf("count sessions: %w", err)
	}
	return append(ended, ids...), endSignIns(ctx, tx, ids, "too-many", at)
}

// arrive remembers the network and the browser, and tells the person when they are new (D-09).
func (t *turnover) arrive(ctx context.Context, tx *sql.Tx, s *Session, g *grant) error {
	newAddress, err := t.rememberAddress(ctx, tx, s, g)
	if err != nil {
		return err
	}
	newDevice, err := t.rememberDevice(ctx, tx, s, g)
	if err != nil {
		return err
	}
	mailed, err := t.tellSignIn(ctx, tx, s, newAddress, newDevice)
	t.mailed = t.mailed || mailed
	return err
}

// rememberAddress notes that the person was here, and that the address is trusted if it was released. A step-up is not held,
// because its session is here already; that proves no mailbox.
func (t *turnover) rememberAddress(ctx context.Context, tx *sql.Tx, s *Session, g *grant) (isNew bool, err error) {
	required, period := t.cfg.trust(s.Principal.Roles, s.Address)
	until := int64(0)
	if required && g.released && g.want == 0 {
		until = store.Micros(t.now.Add(period))
	}
	return putAddress(ctx, tx, s.Principal.ID, s.Address, "signed-in", store.Micros(t.now), until)
}

// putAddress notes an address of a person; a trust that lasts longer already stays.
func putAddress(ctx context.Context, tx *sql.Tx, principalID string, address netip.Addr, how string, at, until int64) (isNew bool, err error) {
	prefix := addressKey(address).String()
	var known int
	if err := tx.QueryRowContext(ctx, sqlCountAddress, principalID, prefix).Scan(&known); err != nil {
		return false, fmt.Errorf("look up known address: %w", err)
	}
	if _, err := tx.ExecContext(ctx, sqlPutAddress, principalID, prefix, how, at, until); err != nil {
		return false, fmt.Errorf("store known address: %w", err)
	}
	if known == 0 {
		if _, err := tx.ExecContext(ctx, sqlPruneAddresses, principalID, maxKnown); err != nil {
			return false, fmt.Errorf("forget old addresses: %w", err)
		}
	}
	return known == 0, nil
}

// maxKnown is how many networks, and how many browsers, are remembered for a person; the one not used for longest goes.
const maxKnown = 100

func (t *turnover) rememberDevice(ctx context.Context, tx *sql.Tx, s *Session, g *grant) (isNew bool, err error) {
	at := store.Micros(t.now)
	if g.device != "" {
		result, err := tx.ExecContext(ctx, sqlSeenDevice, at, s.Principal.ID, g.device)
		if err != nil {
			return false, fmt.Errorf("note device: %w", err)
		}
		if n, err := result.RowsAffected(); err == nil && n > 0 {
			return false, nil
		}
	}
	// A browser of another person's gets a cookie of its own: the old one would tie the two accounts together.
	cookie, hash := newToken()
	if _, err := tx.ExecContext(ctx, sqlInsertDevice, s.Principal.ID, hexHash(hash), s.UserAgent, at); err != nil {
		return false, fmt.Errorf("store device: %w", err)
	}
	if _, err := tx.ExecContext(ctx, sqlPruneDevices, s.Principal.ID, maxKnown); err != nil {
		return false, fmt.Errorf("forget old devices: %w", err)
	}
	t.out.Device = cookie
	return true, nil
}

// logStep is a word for whoever runs Doorward about a step that could not be taken for a reason of ours.
func (a *Auth) logStep(what string, err error) { a.log.Warn(what, slog.Any("error", err)) }
