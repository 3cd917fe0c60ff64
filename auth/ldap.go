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
	// lookEvery is how often people who are signed in by a directory are looked up there again, and lookAtOnce how many in a
	// round.
	lookEvery  = 5 * time.Minute
	lookAtOnce = 500
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
		provider := "ldap:" + d.Config().Name
		subjects, err := a.signedInBy(ctx, provider)
		if err != nil {
			return err
		}
		for _, subject := range subjects {
			id, err := d.Lookup(ctx, subject)
			switch {
			case err == nil:
				v := vouchedBy(d, id, cfg)
				if _, err := a.settle(ctx, *v, Attempt{}, now); err != nil && !errors.Is(err, ErrNotInvited) && !errors.Is(err, ErrWrong) {
					return err // who has no role any more has lost their sessions with the roles
				}
			case errors.Is(err, directory.ErrGone):
				if err := a.endBySubject(ctx, provider, subject, "gone-from-directory", now); err != nil {
					return err
				}
			default:
				return fmt.Errorf("ask %s: %w", provider, err)
			}
		}
	}
	return nil
}

// signedInBy lists the subjects of a provider who have live sessions.
func (a *Auth) signedInBy(ctx context.Context, provider string) ([]string, error) {
	rows, err := a.db.QueryContext(ctx, sqlSignedInBy, provider, lookAtOnce)
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

// endBySubject ends the sessions of a person whom the provider does not answer for any more.
func (a *Auth) endBySubject(ctx context.Context, provider, subject, why string, now time.Time) error {
	var ended []string
	err := a.db.Write(ctx, func(tx *sql.Tx) (err error) {
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
	if len(ended) > 0 {
		a.sessions.end(ended...)
	}
	return nil
}
