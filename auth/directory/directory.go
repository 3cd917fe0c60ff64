package directory

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

const (
	maxLogin    = 256  // characters
	maxPassword = 1024 // bytes
)

// Directory is one LDAP directory. It is safe for concurrent use and holds no connection between questions.
type Directory struct {
	cfg      Config
	target   target
	tls      *tls.Config
	password string // of the service account
	roles    []roleRule
	slots    chan struct{}
	busy     atomic.Uint64
}

// New prepares a directory; call Config.SetDefaults and Validate before. It reads the files that cfg names and makes no
// connection: a directory that is down keeps nobody from starting.
func New(cfg Config) (*Directory, error) {
	where, err := cfg.target()
	if err != nil {
		return nil, fmt.Errorf("prepare directory %s: %w", cfg.Name, err)
	}
	d := &Directory{cfg: cfg, target: where, slots: make(chan struct{}, cfg.Connections),
		tls: &tls.Config{ServerName: cfg.ServerName, MinVersion: tls.VersionTLS12}}
	if d.tls.ServerName == "" {
		d.tls.ServerName = where.host
	}
	if cfg.CAFile != "" {
		text, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("prepare directory %s: read authorities: %w", cfg.Name, err)
		}
		d.tls.RootCAs = x509.NewCertPool()
		if !d.tls.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("prepare directory %s: %s holds no PEM certificate", cfg.Name, cfg.CAFile)
		}
	}
	if cfg.BindPasswordFile != "" {
		text, err := os.ReadFile(cfg.BindPasswordFile)
		if err != nil {
			return nil, fmt.Errorf("prepare directory %s: read password: %w", cfg.Name, err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		if d.password = strings.TrimRight(line, "\r"); d.password == "" {
			return nil, fmt.Errorf("prepare directory %s: the first line of %s is empty", cfg.Name, cfg.BindPasswordFile)
		}
	}
	if d.roles, err = roleRules(cfg.Roles); err != nil {
		return nil, fmt.Errorf("prepare directory %s: %w", cfg.Name, err)
	}
	return d, nil
}

// Config is the configuration that the directory was made from.
func (d *Directory) Config() Config { return d.cfg }

// Refused is how many questions were turned away because too many were under way.
func (d *Directory) Refused() uint64 { return d.busy.Load() }

// Identity is an account of the directory. Its texts have no invisible characters and at most 256 characters; what the
// directory holds otherwise is left out. Nothing in it but Directory and Subject is sure to stay the same.
type Identity struct {
	Directory string // its name in the configuration
	Subject   string // entryuuid:…, objectguid:… or, where a directory has neither, dn:…
	Username  string
	Email     string
	Name      string
	Groups    []string // DNs
	Roles     []string // by the groups, else the default role; sorted; may be empty
}

// Authenticate tells who has this name and this password. The Identity may have no role: whether it may enter is the
// caller's decision. The error is an *Error of ErrWrong, ErrUnavailable or ErrConfig.
//
// The password is tried on a connection of its own, which is asked nothing else, so what a person may read does not
// matter. A name that nobody has costs as many questions as one that somebody has, see Config.DecoyDN; what remains to
// be seen from outside is whether the directory itself takes longer for one entry than for another.
func (d *Directory) Authenticate(ctx context.Context, login, password string) (Identity, error) {
	login = strings.TrimSpace(login)
	switch {
	case password == "":
		// A bind without a password succeeds as nobody (RFC 4513, 5.1.2).
		return Identity{}, d.fail(Wrong, "no password was typed")
	case !readable(login, maxLogin) || login == "":
		return Identity{}, d.fail(Wrong, "what was typed cannot be a name")
	case len(password) > maxPassword || !utf8.ValidString(password) || strings.ContainsRune(password, 0):
		// A directory that reads up to NUL would take "secret\x00anything" for "secret".
		return Identity{}, d.fail(Wrong, "what was typed cannot be a password")
	}
	return d.ask(ctx, func(ctx context.Context, service connection) (Identity, error) {
		filter := fill(d.cfg.UserFilter, "login", ldap.EscapeFilter(login))
		dn, problem := d.findOne(service, filter)
		if problem != nil && !isReason(problem, Ambiguous) {
			return Identity{}, problem
		}
		if err := d.checkPassword(ctx, dn, password); problem == nil && err != nil {
			return Identity{}, err
		}
		if problem != nil {
			return Identity{}, problem
		}
		id, err := d.read(service, dn, filter)
		if isReason(err, Gone) {
			err = d.fail(Disabled, "the password is right, but: %w", err)
		}
		return id, err
	})
}

func isReason(err error, reason Reason) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Reason == reason
}

// Lookup reads an account anew by the Subject of an earlier Identity. The error is an *Error of ErrGone when it is not
// there any more, is disabled (in Active Directory) or is no longer found by the filter, of ErrUnavailable or ErrConfig
// when that cannot be told now.
func (d *Directory) Lookup(ctx context.Context, subject string) (Identity, error) {
	return d.ask(ctx, func(_ context.Context, service connection) (Identity, error) {
		// Whatever the person signed in with, the rest of the filter must still hold.
		anybody := fill(d.cfg.UserFilter, "login", "*")
		dn, byDN := strings.CutPrefix(subject, "dn:")
		if !byDN {
			condition, ok := subjectFilter(subject)
			if !ok {
				return Identity{}, d.fail(Gone, "%q is no subject of a directory", subject)
			}
			var err error
			if dn, err = d.findOne(service, "(&"+condition+anybody+")"); err != nil {
				return Identity{}, err
			}
		}
		if dn == "" {
			return Identity{}, d.fail(Gone, "subject %q is not found", subject)
		}
		return d.read(service, dn, anybody)
	})
}

// ask gives f a connection that may search, when there is a place for it. All of it together takes no longer than Timeout.
func (d *Directory) ask(ctx context.Context, f func(context.Context, connection) (Identity, error)) (Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	release, err := d.enter(ctx)
	if err != nil {
		return Identity{}, err
	}
	defer release()
	service, err := d.connectAsService(ctx)
	if err != nil {
		return Identity{}, err
	}
	defer service.Close()
	return f(ctx, service)
}

// enter waits for a place among those that may ask at the same time.
func (d *Directory) enter(ctx context.Context) (release func(), err error) {
	timer := time.NewTimer(d.cfg.Timeout / 2)
	defer timer.Stop()
	select {
	case d.slots <- struct{}{}:
		return func() { <-d.slots }, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	d.busy.Add(1)
	return nil, d.fail(Busy, "%d questions are under way", d.cfg.Connections)
}

// checkPassword binds as dn; an empty dn is somebody who does not exist.
func (d *Directory) checkPassword(ctx context.Context, dn, password string) error {
	exists := dn != ""
	if !exists {
		// Not with what was typed: it may be the decoy's, or a password that the directory's log keeps.
		dn, password = d.cfg.DecoyDN, rand.Text()
	}
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.SimpleBind(ldap.NewSimpleBindRequest(dn, password, nil))
	if err != nil {
		err = d.wrong(err)
	}
	if !exists && !isReason(err, Unavailable) {
		return d.fail(Wrong, "nobody has that name")
	}
	return err
}

// readable tells whether the text is UTF-8 of at most so many characters, each of which a person can see.
func readable(s string, most int) bool {
	return len(s) <= utf8.UTFMax*most && utf8.ValidString(s) && utf8.RuneCountInString(s) <= most &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// sortedUnique returns the texts in order, each once.
func sortedUnique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
