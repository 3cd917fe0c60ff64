package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/auth/password"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
)

// PasswordError lists everything that is wrong with a new password. It holds nothing of the password.
type PasswordError struct {
	Problems []password.Problem
}

// Error is the problems as sentences.
func (e *PasswordError) Error() string {
	sentences := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		sentences[i] = p.String()
	}
	return strings.Join(sentences, " ")
}

// passwordRules are the password rules of a set of roles: each of them holds.
func (s *settings) passwordRules(roles []Role) []*password.Checker {
	var rules []*password.Checker
	for _, name := range roles {
		if p := s.roles[name]; p != nil {
			rules = append(rules, p.passwords)
		}
	}
	if len(rules) == 0 { // a fresh account without a role
		rules = append(rules, s.passwords)
	}
	return rules
}

// passwordExpired tells whether one of the roles' maximum age of a password is over (D-06, M-06).
func (s *settings) passwordExpired(who *account, now time.Time) bool {
	for _, rules := range s.passwordRules(who.Roles) {
		if rules.Policy().Expired(who.passwordAt, now) {
			return true
		}
	}
	return false
}

// changesFirst tells whether a password that somebody else chose must be changed at the first sign-in.
func (s *settings) changesFirst(roles []Role) bool {
	for _, rules := range s.passwordRules(roles) {
		if rules.Policy().ChangeAtFirstSignIn {
			return true
		}
	}
	return false
}

// history is how many former passwords may not come again (D-07).
func (s *settings) history(roles []Role) int {
	longest := 0
	for _, rules := range s.passwordRules(roles) {
		longest = max(longest, rules.Policy().History)
	}
	return longest
}

// shortestPassword is how few characters some role's password may have.
func (s *settings) shortestPassword() int {
	shortest := s.passwords.Policy().MinLength
	for _, p := range s.roles {
		shortest = min(shortest, p.passwords.Policy().MinLengthFor(p.factor > PasswordLevel))
	}
	return shortest
}

// judgePassword applies the rules of the roles to a new password. The error is *PasswordError. A breach check that gets no
// answer accepts the password and leaves an event.
func (a *Auth) judgePassword(ctx context.Context, p Principal, text string) error {
	cfg := a.cfg.Load()
	var all PasswordError
	seen := make(map[password.Code]bool)
	add := func(problems ...password.Problem) {
		for _, problem := range problems {
			if !seen[problem.Code] {
				seen[problem.Code] = true
				all.Problems = append(all.Problems, problem)
			}
		}
	}
	who := password.Subject{Name: p.Name, Email: p.Email, DisplayName: p.DisplayName}
	rules := cfg.passwordRules(p.Roles)
	for _, r := range rules {
		add(r.Check(text, who, cfg.factor(p.Roles) > PasswordLevel)...)
	}
	if key := fold(strings.TrimSpace(text)); len(all.Problems) == 0 && (key == fold(p.Name) || p.Email != "" && key == fold(p.Email)) {
		add(password.Problem{Code: password.Context})
	}
	if len(all.Problems) == 0 {
		found, err := rules[0].Breached(ctx, text)
		if err != nil {
			a.log.Warn("ask for breached passwords", slog.Any("error", err))
			a.append(event.Event{Class: event.Authentication, Action: "breach-check", Outcome: event.Failure, User: p.Name,
				Severity: event.Low, Fields: []event.Field{{Key: "reason", Value: "not-answered"}}})
		}
		if found {
			add(password.Problem{Code: password.Breached})
		}
	}
	if len(all.Problems) > 0 {
		return &all
	}
	return nil
}

// hashNew hashes a new password that the rules accept, after comparing it with the account's former ones. It takes a turn at the
// hasher like everybody else. The errors are *PasswordError, ErrBusy and ErrUnavailable.
func (a *Auth) hashNew(ctx context.Context, p Principal, text string, least int, from netip.Prefix) (string, error) {
	if err := a.judgePassword(ctx, p, text); err != nil {
		return "", err
	}
	former, err := a.formerPasswords(ctx, p.ID, max(least, a.cfg.Load().history(p.Roles)))
	if err != nil {
		return "", a.storeError(err)
	}
	prepared, _ := preparePassword(text)
	defer clear(prepared)
	release, err := a.hasher.acquire(ctx, from)
	if err != nil {
		return "", err
	}
	defer release()
	for _, stored := range former {
		if phc, err := ParsePHC(stored); err == nil && phc.matches(prepared) {
			return "", &PasswordError{[]password.Problem{{Code: password.Reused, Number: len(former)}}}
		}
	}
	return newPHC(prepared, a.cfg.Load().PasswordHash).String(), nil
}

// formerPasswords reads the account's last passwords, the current one first.
func (a *Auth) formerPasswords(ctx context.Context, principalID string, most int) ([]string, error) {
	if most == 0 || principalID == "" {
		return nil, nil
	}
	list, err := readStrings(ctx, a.db, sqlFormerPasswords, principalID, most)
	if err != nil {
		return nil, fmt.Errorf("read former passwords: %w", err)
	}
	return list, nil
}

// putOwnPassword stores a password that its owner has chosen.
func putOwnPassword(ctx context.Context, tx *sql.Tx, id, phc string, now time.Time) error {
	if err := putPassword(ctx, tx, id, phc, now); err != nil {
		return err
	}
	return setMustChange(ctx, tx, id, false, now)
}

func setMustChange(ctx context.Context, tx *sql.Tx, id string, must bool, now time.Time) error {
	if _, err := tx.ExecContext(ctx, sqlSetMustChange, truth(must), store.Micros(now), id); err != nil {
		return fmt.Errorf("note that the password must change: %w", err)
	}
	return nil
}

// ProveNewPassword takes the new password that the pending sign-in of the browser's cookie lacks. The old one was proved by
// the sign-in. The errors are SignIn's, ErrNoPending and *PasswordError.
func (a *Auth) ProveNewPassword(ctx context.Context, at Attempt, token, text string, now time.Time) (Outcome, error) {
	p, err := a.PendingSignIn(ctx, at, token, now)
	if err != nil {
		return Outcome{}, err
	}
	if p.Step != StepPassword {
		return a.ContinueSignIn(ctx, at, token, now)
	}
	phc, err := a.hashNew(ctx, p.Principal, text, 1, addressKey(at.Address))
	if err != nil {
		return Outcome{}, err
	}
	return a.step(ctx, at, token, now, func(g *grant) {
		g.step = StepPassword // the hash took its time, and more may lack by now
		g.apply = func(ctx context.Context, tx *sql.Tx, t *turnover, who *account) error {
			before := snapshotOf(who.Principal)
			if err := putOwnPassword(ctx, tx, who.ID, phc, now); err != nil {
				return err
			}
			who.phc, who.MustChange, who.passwordAt = phc, false, now
			if err := t.tellPassword(ctx, tx, who.Principal, "password_changed"); err != nil {
				return err
			}
			by := Actor{Name: who.Name, Origin: at.Address.String()}
			return a.note(ctx, tx, by, "account.password", who.Name, before, snapshotOf(who.Principal))
		}
	})
}

// ChangePassword replaces the password of the session's own account, after the current one is proved again, and ends its
// other sessions (ASVS 6.2.3, 7.4.3). What ends the session or the current password meanwhile keeps the new one out. A wrong current password counts like a wrong sign-in. The person is
// told by mail (ASVS 6.3.7). Who has no password here gets none: it would be a way around the other system, or the passkey, that they come by. The errors are ErrWrong, *WaitError, *InputError,
// *PasswordError, ErrBusy and ErrUnavailable.
func (a *Auth) ChangePassword(ctx context.Context, at Attempt, s *Session, current, text string, now time.Time) error {
	who, err := a.accountByID(ctx, s.Principal.ID)
	if err != nil {
		return a.stepError(err, now)
	}
	if who.phc == "" {
		return &InputError{"password elsewhere", "is not Doorward's: this account has none here"}
	}
	at.Login, at.Password = s.Principal.Name, current
	if err := a.Reauthenticate(ctx, at, s, now); err != nil {
		return err
	}
	phc, err := a.hashNew(ctx, s.Principal, text, 1, addressKey(at.Address))
	if err != nil {
		return err
	}
	t := &turnover{a: a, cfg: a.cfg.Load(), at: at, now: now, hostName: a.nameForMail(ctx, at.Address)}
	err = a.db.Write(ctx, func(tx *sql.Tx) error { return t.changePassword(ctx, tx, s, who, phc) })
	if err != nil {
		return a.stepError(err, now)
	}
	if len(t.ended) > 0 {
		a.sessions.end(t.ended...)
	}
	if t.mailed {
		a.mail.Wake()
	}
	return nil
}

// changePassword stores the new password of the session's person; who is the account as it was when the old one was proved.
func (t *turnover) changePassword(ctx context.Context, tx *sql.Tx, s *Session, who *account, phc string) error {
	t.ended, t.mailed = nil, false
	// Whoever knows the old password must not have the last word against its owner, who has just made it useless.
	still, err := readAccountByID(ctx, tx, who.ID)
	if err != nil {
		return err
	}
	live, err := readStrings(ctx, tx, sqlLiveOf, who.ID)
	if err != nil {
		return fmt.Errorf("list sessions: %w", err)
	}
	if still == nil || still.Disabled || still.phc != who.phc || !slices.Contains(live, s.ID) {
		return ErrWrong
	}
	if err := putOwnPassword(ctx, tx, who.ID, phc, t.now); err != nil {
		return err
	}
	if t.ended, err = endOthers(ctx, tx, who.ID, s.ID, "account.password", store.Micros(t.now)); err != nil {
		return err
	}
	if err := t.tellPassword(ctx, tx, still.Principal, "password_changed"); err != nil {
		return err
	}
	return t.a.note(ctx, tx, s.By(t.at), "account.password", who.Name, snapshotOf(still.Principal), snapshotOf(still.Principal))
}

// Reauthenticate checks the password of a session's person again, before something that a borrowed screen must not do.
// Wrong ones count like wrong sign-ins. The errors are ErrWrong, *WaitError, ErrBusy and ErrUnavailable.
func (a *Auth) Reauthenticate(ctx context.Context, at Attempt, s *Session, now time.Time) error {
	at.Login = s.Principal.Name
	if _, err := a.mayTry(ctx, at, now); err != nil {
		return err
	}
	release, err := a.hasher.acquire(ctx, addressKey(at.Address))
	if err != nil {
		return err
	}
	defer release()
	who, _, err := a.check(ctx, at, now, a.cfg.Load())
	if err == nil && (who.account == nil || who.account.ID != s.Principal.ID) {
		err = ErrWrong // renamed meanwhile
	}
	if err == nil && who.vouched != nil {
		err = a.isIdentityOf(ctx, who.vouched, s.Principal.ID)
	}
	if errors.Is(err, ErrWrong) {
		a.recordSignIn(at, who, Outcome{}, err, now)
	}
	return err
}

// isIdentityOf returns ErrWrong unless the person whom another system knows is the account's: a name may be somebody else's there.
func (a *Auth) isIdentityOf(ctx context.Context, v *vouched, principalID string) error {
	var id string
	err := a.db.QueryRowContext(ctx, sqlIdentity, v.provider, v.subject).Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return unavailable(fmt.Errorf("look up identity: %w", err))
	}
	if id != principalID {
		return ErrWrong
	}
	return nil
}
