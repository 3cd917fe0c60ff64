package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/language"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/store"
)

// Errors that callers decide on. Their texts are for logs, not for the person who signs in.
var (
	// ErrWrong is a wrong name or password, an unknown or a disabled account: a stranger cannot tell which.
	ErrWrong = errors.New("wrong name or password")
	// ErrBusy means that too many sign-ins wait for their password to be checked. Nothing was checked.
	ErrBusy = errors.New("too many sign-ins at once")
	// ErrUnavailable means that the store is away: nobody can sign in, and this session cannot be believed.
	ErrUnavailable = errors.New("account store is not available")
	// ErrNoSession means that the token is no session here: unknown, ended, or of another host or realm.
	ErrNoSession = errors.New("no such session")
	// ErrNotFound means that there is no such account or session.
	ErrNotFound = errors.New("not found")
	// ErrNoPending means that the browser has begun no sign-in here, or that its time is over.
	ErrNoPending = errors.New("no sign-in has begun")
	// ErrNetwork means that the person's roles may not be used from this address.
	ErrNetwork = errors.New("not from this network")
	// ErrNoLink means that the code is no mailed link's, or that it is used or over.
	ErrNoLink = errors.New("no such link")
	// ErrOtherBrowser means that a held sign-in can only be released where it began.
	ErrOtherBrowser = errors.New("the sign-in began in another browser or at another address")
	// ErrNotConfirmed means that the person has to prove themselves again before what they want to do.
	ErrNotConfirmed = errors.New("needs a fresh proof of the person")
	// ErrExists means that the name or the e-mail address is another account's.
	ErrExists = errors.New("name or e-mail address is taken")
	// ErrLastOwner means that the change would leave no enabled owner who has a way in.
	ErrLastOwner = errors.New("this is the last enabled owner")
)

// WaitError says that the address has to wait after too many wrong sign-ins. The password was not checked.
type WaitError struct {
	RetryAfter time.Duration
}

// Error says how long.
func (e *WaitError) Error() string { return fmt.Sprintf("wait %v after wrong sign-ins", e.RetryAfter) }

// Deps is what Auth works with.
type Deps struct {
	DB      *store.DB
	Journal *journal.Journal
	Log     *slog.Logger
	// Events may be nil, for a command that only administers.
	Events *event.Log
	// Mail carries what people are told. Nil: nobody is told anything.
	Mail *mail.Outbox
	// Texts are what mails say. Required.
	Texts *language.Catalogue
	// HostName finds an address's confirmed reverse DNS name, or nothing; it may wait while ctx allows. May be nil.
	HostName func(ctx context.Context, address netip.Addr) string
	// HostNameNow is HostName for what a page shows: it tells what is known and never waits. May be nil.
	HostNameNow func(address netip.Addr) string
	// Country finds an address's country code, or nothing. May be nil.
	Country func(netip.Addr) string
	// Banned tells whether an account, by its name, is refused for the time being: nobody signs in to it, and its sessions and API tokens open
	// nothing. May be nil.
	Banned func(name string, now time.Time) bool
	// Port is what stands behind the host in mailed links to the sites, such as :8443, and ConsolePort in those to the console;
	// empty for 443.
	Port, ConsolePort string
}

// Auth is the accounts and sessions of one installation. It is safe for concurrent use.
type Auth struct {
	db      *store.DB
	journal *journal.Journal
	events  *event.Log
	log     *slog.Logger
	cfg     atomic.Pointer[settings]
	base    time.Time // where the monotonic clock of this process begins

	mail              *mail.Outbox
	texts             *language.Catalogue
	letters           *template.Template
	names             func(context.Context, netip.Addr) string
	namesNow          func(netip.Addr) string
	countries         func(netip.Addr) string
	port, consolePort string
	banned            func(name string, now time.Time) bool

	hasher   *hasher
	waits    *waits
	sessions *cache
	tokens   *tokenCache
	reads    chan struct{} // places for looking up unknown tokens
	health   health
	secrets  *secrets
	relying  relyingParty
	sweeper  sweeper
	textsDue chan struct{}
	counted  counters
	// reviewDue is when the next access review is due, in microseconds; 0: not known, or there are no accounts.
	reviewDue atomic.Int64
}

type counters struct {
	succeeded, pending, wrong, waited, busy, unavailable atomic.Uint64
	registered, limited, texts, textsLost                atomic.Uint64
	tokensWrong                                          atomic.Uint64
}

// New makes an Auth and reads from the store which addresses have to wait, and which people have signed in from. cfg
// must be valid.
func New(cfg Config, deps Deps) (*Auth, error) {
	cfg.SetDefaults()
	settings, err := newSettings(cfg)
	if err != nil {
		return nil, err
	}
	letters, err := template.ParseFS(letterFile, "letter.html")
	if err != nil {
		return nil, fmt.Errorf("read the letter: %w", err)
	}
	a := &Auth{
		db: deps.DB, journal: deps.Journal, events: deps.Events, log: deps.Log, base: time.Now(),
		mail: deps.Mail, texts: deps.Texts, letters: letters, names: deps.HostName, namesNow: deps.HostNameNow, countries: deps.Country, port: deps.Port,
		consolePort: deps.ConsolePort,
		banned:      deps.Banned,
		hasher:      newHasher(cfg.PasswordHash), waits: newWaits(maxAddresses), sessions: newCache(maxSessions),
		tokens: newTokenCache(maxHeldTokens),
		reads:  make(chan struct{}, 8), textsDue: make(chan struct{}, 1),
	}
	if a.banned == nil {
		a.banned = func(string, time.Time) bool { return false }
	}
	a.cfg.Store(settings)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := a.openFactors(ctx); err != nil {
		return nil, err
	}
	if err := a.restoreWaits(ctx, time.Now()); err != nil {
		return nil, fmt.Errorf("read failed sign-ins: %w", err)
	}
	if err := a.restoreFamiliar(ctx); err != nil {
		return nil, fmt.Errorf("read addresses of sign-ins: %w", err)
	}
	return a, nil
}

// Prepare builds what follows from a new configuration, and returns what puts it into force. Shorter lifetimes bind existing
// sessions at their next request; a password is hashed at the new cost when its owner next signs in.
func (a *Auth) Prepare(cfg Config) (swap func(), err error) {
	cfg.SetDefaults()
	settings, err := newSettings(cfg)
	if err != nil {
		return nil, err
	}
	return func() {
		before := a.cfg.Swap(settings)
		if !slices.Equal(before.order, settings.order) {
			a.sessions.reread() // they know their roles as they were
			a.tokens.forgetWhere(func(*heldToken) bool { return true }, true)
		}
		a.hasher.configure(cfg.PasswordHash)
	}, nil
}

// Waiting returns how long the address must wait before another sign-in is looked at; 0 if it need not (M-40, M-41).
func (a *Auth) Waiting(addr netip.Addr, now time.Time) time.Duration {
	return a.waits.remaining(addressKey(addr), now, a.cfg.Load().SignIn.Wait)
}

// Stats is what Auth has counted since it was made, and what it holds now.
type Stats struct {
	// Sign-ins by how they ended; Pending ones lacked a step when the password was right.
	Succeeded, Pending, Wrong, Waited, Busy, Unavailable uint64

	Sessions           int    // held in memory
	SessionsDisplaced  uint64 // dropped from memory to make room
	Addresses          int    // with failures
	AddressesDisplaced uint64 // forgotten to make room
	Hashing, Queued    int    // passwords being checked, and waiting for it
	Hashed             uint64 // turns at checking a password so far
	Refused            uint64 // turned away by the queue so far
	StoreAway          bool

	// Accounts that people made for themselves; forms and codes of registrations that a limit turned away; text messages that the
	// hook took, and that were given up.
	Registered, RegistrationsLimited, Texts, TextsLost uint64

	Tokens          int    // API tokens held in memory, once for each host
	TokensDisplaced uint64 // dropped from memory to make room
	TokensWrong     uint64 // that were nobody's

	// Sign-ins and notices of sign-outs by OpenID Connect providers, and questions to directories, that were turned away because too
	// many were under way; used answers of providers that were forgotten before their time. A reload begins anew.
	ProvidersBusy, DirectoriesBusy, AnswersForgotten uint64

	ReviewDue time.Time // the next access review; zero: not known yet, or there are no accounts
}

// Stats returns the numbers.
func (a *Auth) Stats() Stats {
	s := Stats{
		Succeeded: a.counted.succeeded.Load(), Pending: a.counted.pending.Load(), Wrong: a.counted.wrong.Load(), Waited: a.counted.waited.Load(),
		Busy: a.counted.busy.Load(), Unavailable: a.counted.unavailable.Load(),
		Sessions: int(a.sessions.held.Load()), StoreAway: a.health.since.Load() != nil,
		Registered: a.counted.registered.Load(), RegistrationsLimited: a.counted.limited.Load(),
		Texts: a.counted.texts.Load(), TextsLost: a.counted.textsLost.Load(),
	}
	cfg := a.cfg.Load()
	for _, p := range cfg.providers {
		counted := p.Stats()
		s.ProvidersBusy += counted.Busy
		s.AnswersForgotten += counted.Dropped
	}
	for _, d := range cfg.directories {
		s.DirectoriesBusy += d.Refused()
	}
	s.ReviewDue = store.FromMicros(a.reviewDue.Load())
	s.TokensWrong = a.counted.tokensWrong.Load()
	s.Tokens, s.TokensDisplaced = a.tokens.size()
	s.Addresses, s.AddressesDisplaced = a.waits.size()
	s.Hashing, s.Queued, s.Hashed, s.Refused = a.hasher.load()
	a.sessions.mu.Lock()
	s.SessionsDisplaced = a.sessions.displaced
	a.sessions.mu.Unlock()
	return s
}

// account is a principal with its current password.
type account struct {
	Principal
	phc        string    // empty: none
	passwordAt time.Time // when it was chosen
}

// findAccount looks an account up by folded key; it returns nil if there is none. The roles are not read.
func (a *Auth) findAccount(ctx context.Context, key string, email bool) (*account, error) {
	query := sqlAccountByName
	if email {
		query = sqlAccountByEmail
	}
	return scanAccount(a.db.QueryRowContext(ctx, query, key))
}

// principalColumns returns where sqlPrincipalColumns are to be scanned, and what completes p afterwards.
func principalColumns(p *Principal) (dest []any, finish func()) {
	var disabled, created, changed, mustChange int64
	return []any{&p.ID, &p.Name, &p.Email, &p.DisplayName, &disabled, &created, &changed,
			&p.Phone, &p.Language, &p.Origin, &mustChange}, func() {
			p.Disabled, p.MustChange = disabled != 0, mustChange != 0
			p.Created, p.Changed = store.FromMicros(created), store.FromMicros(changed)
		}
}

// accountColumns is principalColumns for the statements that read the password too.
func accountColumns(who *account) (dest []any, finish func()) {
	dest, finishPrincipal := principalColumns(&who.Principal)
	var chosen int64
	return append(dest, &who.phc, &chosen), func() {
		finishPrincipal()
		who.passwordAt = store.FromMicros(chosen)
	}
}

// scanAccount reads an account without its roles; nil when there is none.
func scanAccount(row *sql.Row) (*account, error) {
	var found account
	dest, finish := accountColumns(&found)
	err := row.Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read account: %w", err)
	}
	finish()
	return &found, nil
}

// readAccount reads the account that a statement finds by the key, with its roles; nil when there is none.
func readAccount(ctx context.Context, from reader, query, key string) (*account, error) {
	found, err := scanAccount(from.QueryRowContext(ctx, query, key))
	if err != nil || found == nil {
		return nil, err
	}
	found.Roles, err = readRoles(ctx, from, found.ID)
	return found, err
}

// readRoles reads a principal's roles, sorted.
func readRoles(ctx context.Context, from reader, id string) ([]Role, error) {
	names, err := readStrings(ctx, from, sqlRoles, id)
	if err != nil {
		return nil, fmt.Errorf("read roles: %w", err)
	}
	var roles []Role
	for _, name := range names {
		roles = append(roles, Role(name))
	}
	sortRoles(roles)
	return roles, nil
}

// addRoles completes an account that findAccount has read.
func (a *Auth) addRoles(ctx context.Context, who *account) (err error) {
	who.Roles, err = readRoles(ctx, a.db, who.ID)
	return err
}

func readStrings(ctx context.Context, from reader, query string, args ...any) ([]string, error) {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

// restoreWaits begins where the last process ended.
func (a *Auth) restoreWaits(ctx context.Context, now time.Time) error {
	rows, err := a.db.QueryContext(ctx, sqlFailures, store.Micros(now.Add(-forgetAfter)), maxAddresses)
	if err != nil {
		return err
	}
	defer rows.Close()
	var list []*failing
	for rows.Next() {
		var key, accounts string
		var until, updated int64
		if err := rows.Scan(&key, &accounts, &until, &updated); err != nil {
			return err
		}
		prefix, err := netip.ParsePrefix(key)
		if err != nil {
			continue // written by something else; a wait is not worth a start that fails
		}
		list = append(list, &failing{key: prefix, accounts: strings.Fields(accounts),
			until: store.FromMicros(until), updated: store.FromMicros(updated)})
	}
	slices.Reverse(list)
	for _, f := range list {
		a.waits.restore(f)
	}
	return rows.Err()
}

// restoreFamiliar reads which addresses people have signed in from.
func (a *Auth) restoreFamiliar(ctx context.Context) error {
	rows, err := a.db.QueryContext(ctx, sqlFamiliar, maxFamiliar)
	if err != nil {
		return err
	}
	defer rows.Close()
	var keys []netip.Prefix
	for rows.Next() {
		var address string
		if err := rows.Scan(&address); err != nil {
			return err
		}
		if addr, err := netip.ParseAddr(address); err == nil {
			keys = append(keys, addressKey(addr))
		}
	}
	for _, key := range slices.Backward(keys) {
		a.hasher.know(key)
	}
	return rows.Err()
}
