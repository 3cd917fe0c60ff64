package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/doorward/doorward/auth/directory"
	"github.com/doorward/doorward/store"
)

const (
	// lookEvery is how often people who are signed in by a directory, or have API tokens, are looked up there again, and
	// lookAtOnce how many are read at a time.
	lookEvery  = 5 * time.Minute
	lookAtOnce = 500
	// maxOdd is how many entries in a row may be odd before the rest waits for the next round.
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

// watchDirectories looks people up again who are signed in by a directory: who is gone there is signed out here, who has
// other roles there gets them here. A directory that does not answer changes nothing.
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

// LookUpDirectories does one round of what Run does every five minutes for people who are signed in by a directory.
func (a *Auth) LookUpDirectories(ctx context.Context, now time.Time) error {
	cfg := a.cfg.Load()
	for _, d := range cfg.directories {
		if err := a.lookUpAll(ctx, d, cfg, now); err != nil {
			return fmt.Errorf("ask ldap:%s: %w", d.Config().Name, err)
		}
	}
	return nil
}

// lookUpAll looks up everybody of a directory. An entry that cannot be read keeps nobody else's from being looked at; several in
// a row mean that it is not about the entries, and a directory may lock our account if it is asked on and on.
func (a *Auth) lookUpAll(ctx context.Context, d *directory.Directory, cfg *settings, now time.Time) error {
	odd := 0 // in a row
	for last := ""; ; {
		subjects, err := a.signedInBy(ctx, "ldap:"+d.Config().Name, last, now)
		if err != nil {
			return err
		}
		for _, last = range subjects {
			err := a.lookUpAgain(ctx, d, last, cfg, now)
			switch {
			case err == nil:
				odd = 0
			case odd < maxOdd && (errors.Is(err, directory.ErrConfig) || errors.Is(err, directory.ErrWrong)):
				odd++
				a.logStep("look one person up again", err)
			default:
				return err
			}
		}
		if len(subjects) < lookAtOnce {
			return nil
		}
	}
}

// lookUpAgain does what the directory says of one person now.
func (a *Auth) lookUpAgain(ctx context.Context, d *directory.Directory, subject string, cfg *settings, now time.Time) error {
	provider := "ldap:" + d.Config().Name
	id, err := d.Lookup(ctx, subject)
	switch {
	case err == nil:
		v := vouchedBy(d, id, cfg)
		if _, err := a.settle(ctx, *v, Attempt{}, now); err != nil && !errors.Is(err, ErrNotInvited) && !errors.Is(err, ErrWrong) {
			return err
		}
		return nil // who has no role any more has lost their sessions with the roles
	case errors.Is(err, directory.ErrGone):
		return a.endBySubject(ctx, provider, subject, "gone-from-directory", now)
	}
	return err
}

// signedInBy lists subjects of a provider who have live sessions or API tokens: the next ones after that one.
func (a *Auth) signedInBy(ctx context.Context, provider, after string, now time.Time) ([]string, error) {
	rows, err := a.db.QueryContext(ctx, sqlSignedInBy, provider, lookAtOnce, after, store.Micros(now))
	if err != nil {
		return nil, fmt.Errorf("list people signed in by %s: %w", provider, err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var subject string
		if err := rows.Scan(&subject); err != nil {
			return nil, fmt.Errorf("list people signed in by %s: %w", provider, err)
		}
		list = append(list, subject)
	}
	return list, rows.Err()
}

// endBySubject ends the sessions of a person whom the provider does not answer for any more, and, if nothing else does, their API
// tokens.
func (a *Auth) endBySubject(ctx context.Context, provider, subject, why string, now time.Time) error {
	var ended []string
	var id string
	err := a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if err := tx.QueryRowContext(ctx, sqlIdentity, provider, subject).Scan(&id); err != nil {
			return err
		}
		who, err := readAccountByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if who != nil && who.phc == "" {
			if _, err := tx.ExecContext(ctx, sqlEndTokensOf, store.Micros(now), why, id); err != nil {
				return err
			}
		}
		if ended, err = readStrings(ctx, tx, sqlSessionsOfSubject, provider, subject, store.Micros(now)); err != nil {
			return err
		}
		for _, id := range ended {
			if _, err := tx.ExecContext(ctx, sqlEndSignIn, store.Micros(now), why, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("end sessions of %s: %w", provider, err)
	}
	a.tokens.forget(id)
	if len(ended) > 0 {
		a.sessions.end(ended...)
	}
	return nil
}
