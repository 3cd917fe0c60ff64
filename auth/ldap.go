package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/doorward/doorward/auth/directory"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
)

const (
	// lookEvery is how often people of a directory who have a session or an API token are looked up there again, and
	// lookAtOnce how many in a round; who was looked up longest ago comes first.
	lookEvery  = 5 * time.Minute
	lookAtOnce = 500
	// maxOdd is how many entries in a row may be odd. More mean that it is not about the entries: a directory may lock our
	// own account if it is asked on and on with a password that it takes no more.
	maxOdd = 3
)

// askDirectories tries the name and the password in each directory, in the file's order. It returns nil when none knows them. An
// error means that one could not answer, and no other said yes.
func (a *Auth) askDirectories(ctx context.Context, login, password string, cfg *settings) (*vouched, error) {
	var unanswered error
	for _, d := range cfg.directories {
		id, err := d.Authenticate(ctx, login, password)
		switch {
		case err == nil:
			return vouchedBy(d, id, cfg), nil
		case errors.Is(err, directory.ErrWrong):
		default:
			a.logStep("ask directory "+d.Config().Name, err)
			unanswered = err
		}
	}
	return nil, unanswered
}

func vouchedBy(d *directory.Directory, id directory.Identity, cfg *settings) *vouched {
	return &vouched{provider: "ldap:" + id.Directory, subject: id.Subject, username: id.Username, email: id.Email, name: id.Name,
		roles: cfg.knownRoles(id.Roles), mapped: len(d.Config().Roles) > 0 || d.Config().DefaultRole != "",
		create: d.Config().CreateAccounts, level: PasswordLevel}
}

// watchDirectories looks people of directories up again who have a session or an API token: who is gone there is signed out here,
// who has other roles there gets them here. A directory that does not answer changes nothing.
func (a *Auth) watchDirectories(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			if err := a.LookUpDirectories(ctx, now); err != nil && ctx.Err() == nil {
				a.logStep("look people up in their directories again", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// LookUpDirectories does one round of what Run does every five minutes for people of directories. One that cannot be asked
// keeps no other from its round.
func (a *Auth) LookUpDirectories(ctx context.Context, now time.Time) error {
	cfg := a.cfg.Load()
	var failed []error
	for _, d := range cfg.directories {
		provider := "ldap:" + d.Config().Name
		subjects, err := readStrings(ctx, a.db, sqlInUseBy, provider, lookAtOnce, store.Micros(now))
		if err != nil {
			return fmt.Errorf("list people of %s: %w", provider, err)
		}
		odd := 0 // entries in a row
		for _, subject := range subjects {
			_, err := a.lookUpAgain(ctx, d, subject, cfg, now)
			if errors.Is(err, directory.ErrUnavailable) {
				failed = append(failed, err)
				break
			}
			if err != nil { // else it is noted with the account's roles
				failed = append(failed, a.askedAfter(ctx, provider, subject, now))
			}
			if err == nil || errors.Is(err, ErrWrong) {
				odd = 0
				continue
			}
			failed = append(failed, err)
			if odd++; odd > maxOdd {
				break
			}
		}
	}
	return errors.Join(failed...)
}

// askedAfter has everybody else's turn come first: an entry that is odd for good must not stand before them in every round.
func (a *Auth) askedAfter(ctx context.Context, provider, subject string, now time.Time) error {
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, sqlAskedAfter, store.Micros(now), provider, subject)
		return err
	})
	if err != nil {
		return fmt.Errorf("note that %s was asked: %w", provider, err)
	}
	return nil
}

// lookUpAgain asks a directory after one of its people, and does here what follows. The error is ErrWrong, with a reason for
// events, when they may not be here any more, else why nobody knows.
func (a *Auth) lookUpAgain(ctx context.Context, d *directory.Directory, subject string, cfg *settings, now time.Time) (reason string, err error) {
	provider := "ldap:" + d.Config().Name
	id, err := d.Lookup(ctx, subject)
	if errors.Is(err, directory.ErrGone) {
		const gone = "gone-from-directory"
		if err := a.endGone(ctx, provider, subject, gone, now); err != nil {
			return "not-stored", err
		}
		return gone, ErrWrong
	}
	if err != nil {
		return "directory-away", fmt.Errorf("ask %s: %w", provider, err)
	}
	_, err = a.settle(ctx, *vouchedBy(d, id, cfg), Attempt{}, now)
	var no *notInvited
	switch {
	case errors.As(err, &no): // who has no role any more has lost their sessions with the roles
		return no.reason, ErrWrong
	case errors.Is(err, ErrWrong):
		return "disabled-account", ErrWrong
	case err != nil:
		return "not-stored", err
	}
	return "", nil
}

// askAfter asks the directories that a person is from whether they are still there, before a passkey alone lets them in. Who
// has a password of Doorward's own is nobody else's to let go. The errors are ErrWrong and ErrUnavailable, with a reason for events.
func (a *Auth) askAfter(ctx context.Context, who *account, now time.Time) (reason string, err error) {
	cfg := a.cfg.Load()
	if who.phc != "" || len(cfg.directories) == 0 {
		return "", nil
	}
	identities, err := readIdentities(ctx, a.db, who.ID)
	if err != nil {
		return "not-read", a.stepError(err, now)
	}
	for _, one := range identities {
		for _, d := range cfg.directories {
			if one.provider != "ldap:"+d.Config().Name {
				continue
			}
			if reason, err := a.lookUpAgain(ctx, d, one.subject, cfg, now); errors.Is(err, ErrWrong) {
				return reason, ErrWrong
			} else if err != nil {
				return reason, unavailable(err)
			}
		}
	}
	return "", nil
}

// externalIdentity is one of an account's identities elsewhere.
type externalIdentity struct{ provider, subject string }

func readIdentities(ctx context.Context, from reader, principalID string) ([]externalIdentity, error) {
	rows, err := from.QueryContext(ctx, sqlIdentitiesOf, principalID)
	if err != nil {
		return nil, fmt.Errorf("list identities: %w", err)
	}
	defer rows.Close()
	var list []externalIdentity
	for rows.Next() {
		var one externalIdentity
		if err := rows.Scan(&one.provider, &one.subject); err != nil {
			return nil, fmt.Errorf("list identities: %w", err)
		}
		list = append(list, one)
	}
	return list, rows.Err()
}

// endGone ends what a person has here whom the directory does not know any more: every session, however it began, and the API
// tokens. Who has a password of Doorward's own keeps what does not come of the directory.
func (a *Auth) endGone(ctx context.Context, provider, subject, why string, now time.Time) error {
	var ended []string
	var who *account
	at := store.Micros(now)
	err := a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		who = nil
		var id string
		err = tx.QueryRowContext(ctx, sqlIdentity, provider, subject).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if who, err = readAccountByID(ctx, tx, id); err != nil || who == nil {
			return err
		}
		if who.phc == "" {
			if _, err := tx.ExecContext(ctx, sqlEndTokensOf, at, why, id); err != nil {
				return err
			}
			ended, err = endAll(ctx, tx, id, why, at)
			return err
		}
		if ended, err = readStrings(ctx, tx, sqlSessionsOfSubject, provider, subject, at); err != nil {
			return err
		}
		return endSignIns(ctx, tx, ended, why, at)
	})
	if err != nil {
		return fmt.Errorf("end what %s does not vouch for any more: %w", provider, err)
	}
	if who == nil {
		return nil
	}
	if who.phc == "" {
		a.tokens.forget(who.ID)
	}
	if len(ended) > 0 {
		a.sessions.end(ended...)
		a.append(event.Event{Time: now, Class: event.Authentication, Action: "sign-out", Outcome: event.Success, User: who.Name, Severity: event.Informational,
			Fields: []event.Field{{Key: "provider", Value: provider}, {Key: "sessions", Value: strconv.Itoa(len(ended))}, {Key: "reason", Value: why}}})
	}
	return nil
}
