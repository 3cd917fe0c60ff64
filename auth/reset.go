package auth

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
)

// A forgotten password is replaced by way of the person's mailbox (ASVS 6.4.3). The link does no more than the old
// password did: whoever has a second factor is asked for it afterwards, and whoever must set one up still must.

const (
	// resetsPerAddress is how often one address may ask in an hour, and resetsInAll how often all may; networks that
	// somebody has signed in from are not stopped by the second.
	resetsPerAddress = 10
	resetsInAll      = 3000
	// resetMails is how many mails strangers may cause in an hour: those from networks or browsers that are new to the
	// account they ask for. linksAnHour bounds what one person gets from anybody; since that many links of the
	// last hour are still good then, a stranger who uses the number up keeps nobody out.
	resetMails = 500

	purposeReset = "reset request"
)

// How a request to reset a password ended, as its event says.
const (
	resetUnknown  = "unknown-account"
	resetDisabled = "disabled-account"
	resetNoMail   = "no-e-mail"
	resetLimit    = "limit"
)

// ErrNotOffered means that the installation does not let strangers do this: registration is off, or there is no mail server.
var ErrNotOffered = errors.New("not offered here")

// OffersReset tells whether a password can be reset by mail: whether a mail server is configured.
func (a *Auth) OffersReset() bool { return a.mails() }

// RequestReset asks for the link by which a person chooses a new password; at.Login is the name or e-mail address that was
// typed, and at.Host the host that the link will lead to. Whether there is such an account is not even looked at before
// the next sweep, so that neither the answer nor its time can tell (ASVS 6.3.8). The errors are ErrNotOffered, *WaitError,
// ErrBusy and ErrUnavailable.
func (a *Auth) RequestReset(ctx context.Context, at Attempt, now time.Time) error {
	if !a.OffersReset() || at.Realm != SiteRealm {
		return ErrNotOffered // links lead to the sites' port, not to the console's
	}
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	login, _, _ := loginKey(at.Login) // what can be no name is kept as an empty one, and asked for in vain
	wanted, err := marshal(resetRequest{Login: login, Host: at.Host, Site: at.Site, Address: at.Address.Unmap().WithZone("").String(),
		UserAgent: cut(store.Text(at.UserAgent), resetAgent), RequestID: at.RequestID, Device: tokenKey(at.Device),
		Shown: nameForEvent(at.Login, a.cfg.Load().shortest)})
	if err != nil {
		return err
	}
	id, err := store.NewID()
	if err != nil {
		return fmt.Errorf("ask for a reset: %w", err)
	}
	var wait time.Duration
	err = a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if wait, err = mayAskReset(ctx, tx, at, now); err != nil || wait > 0 {
			return err
		}
		var waiting int
		if err := tx.QueryRowContext(ctx, sqlCountResets).Scan(&waiting); err != nil {
			return fmt.Errorf("count requests: %w", err)
		}
		if waiting >= maxResets {
			return ErrBusy
		}
		_, err = tx.ExecContext(ctx, sqlInsertReset, id, a.secrets.seal(purposeReset, id, []byte(wanted)), store.Micros(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("ask for a reset: %w", a.storeError(err))
	}
	if wait > 0 {
		return &WaitError{wait}
	}
	return nil
}

const (
	// maxResets is how many requests may wait for the next sweep, and resetBatch how many one sweep answers.
	maxResets  = 1000
	resetBatch = 100
	// resetPatience is how long a request waits while no gateway answers any.
	resetPatience = 5 * time.Minute
	// resetAgent is how much of the browser's name is kept: a whole request, its characters escaped, must fit into maxSealed.
	resetAgent = 150
)

// mayAskReset counts a request; it returns how long the address has to wait.
func mayAskReset(ctx context.Context, tx *sql.Tx, at Attempt, now time.Time) (time.Duration, error) {
	network := addressKey(at.Address).String()
	address := quota{"reset address " + network, resetsPerAddress, time.Hour}
	wait, err := spend(ctx, tx, now, address, quota{"reset total", resetsInAll, time.Hour})
	if err != nil || wait == 0 {
		return wait, err
	}
	var known int
	if err := tx.QueryRowContext(ctx, sqlKnownToAny, network).Scan(&known); err != nil {
		return 0, fmt.Errorf("look up known address: %w", err)
	}
	if known == 0 {
		return wait, nil
	}
	return spend(ctx, tx, now, address)
}

// resetRequest is what a row of reset_request has sealed.
type resetRequest struct {
	Login, Host, Site, Address, UserAgent, RequestID, Device string
	Shown                                                    string // of the login, for the event
}

// answerResets mails what RequestReset was asked for; the sweep calls it.
func (a *Auth) answerResets(ctx context.Context, now time.Time) error {
	if !a.OffersReset() {
		return nil
	}
	waiting, err := a.waitingResets(ctx)
	if err != nil {
		return err
	}
	for _, w := range waiting {
		if err := a.answerReset(ctx, w.id, w.sealed, now); err != nil {
			return err
		}
	}
	if len(waiting) > 0 {
		a.mail.Wake()
	}
	return nil
}

// sealedRow is a row whose content is sealed for its id.
type sealedRow struct{ id, sealed string }

func (a *Auth) waitingResets(ctx context.Context) (waiting []sealedRow, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	rows, err := a.db.QueryContext(ctx, sqlResets, resetBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var w sealedRow
		if err := rows.Scan(&w.id, &w.sealed); err != nil {
			return nil, err
		}
		waiting = append(waiting, w)
	}
	return waiting, rows.Err()
}

func (a *Auth) answerReset(ctx context.Context, id, sealed string, now time.Time) error {
	r, readable := a.openReset(id, sealed)
	var name, refused string
	var mine bool
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		name, refused, mine = "", "", false
		result, err := tx.ExecContext(ctx, sqlDeleteReset, id)
		if err != nil {
			return fmt.Errorf("take request: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 || !readable {
			return err // another gateway was first, or the key of the installation has changed since
		}
		mine = true
		name, refused, err = a.mailReset(ctx, tx, r, now)
		return err
	})
	if err != nil || !mine {
		return err
	}
	e := event.Event{Time: now, Class: event.Authentication, Action: "reset-request", Outcome: event.Success, Source: parseStored(r.Address),
		User: name, Site: r.Site, Severity: event.Low, Fields: []event.Field{{Key: "host", Value: r.Host},
			{Key: "user_agent", Value: r.UserAgent}, {Key: "request_id", Value: r.RequestID}}}
	if refused != "" {
		e.Outcome = event.Refused
		e.Fields = append(e.Fields, event.Field{Key: "reason", Value: refused})
	}
	a.append(e)
	return nil
}

// mailReset mails the link, if the person may have one. It returns the name for the event, and why nothing that resets
// was mailed.
func (a *Auth) mailReset(ctx context.Context, tx *sql.Tx, r resetRequest, now time.Time) (name, refused string, err error) {
	who, err := readAccountByLogin(ctx, tx, r.Login)
	if errors.Is(err, ErrNotFound) {
		return r.Shown, resetUnknown, nil
	}
	if err != nil {
		return "", "", err
	}
	p := who.Principal
	switch {
	case p.Disabled: // told nothing: nobody could do anything with it
		return p.Name, resetDisabled, nil
	case p.Email == "":
		return p.Name, resetNoMail, nil
	}
	kept, err := keptFromPasswords(ctx, tx, p)
	if err != nil {
		return "", "", err
	}
	allowed, err := mayMailReset(ctx, tx, p, r, kept != "", now)
	if err != nil || !allowed {
		return p.Name, resetLimit, err
	}
	if kept != "" {
		_, err := a.send(ctx, tx, letter{kind: "reset_elsewhere", to: p, host: r.Host, until: now.Add(24 * time.Hour)}, now)
		return p.Name, kept, err
	}
	code, err := newLink(ctx, tx, link{kind: LinkReset, principalID: p.ID, data: a.resetMark(who.phc)}, now)
	if err != nil || code == "" {
		return p.Name, resetLimit, err
	}
	sent, err := a.send(ctx, tx, letter{kind: "reset", to: p, host: r.Host, path: "/.doorward/link/reset?c=" + code,
		facts: a.askedFrom(p, r, now), until: now.Add(LinkReset.life()),
		pairs: []string{"minutes", minutes(LinkReset.life())}}, now)
	if !sent {
		refused = resetLimit
	}
	return p.Name, refused, err
}

// mayMailReset counts a mail against what strangers may cause in all, and, where it has no link that counts it, against what the
// person may get.
func mayMailReset(ctx context.Context, tx *sql.Tx, p Principal, r resetRequest, unlinked bool, now time.Time) (bool, error) {
	var quotas []quota
	var networks, devices int
	err := tx.QueryRowContext(ctx, sqlFamiliarBy, p.ID, addressKey(parseStored(r.Address)).String(), r.Device).Scan(&networks, &devices)
	if err != nil {
		return false, fmt.Errorf("look up known address: %w", err)
	}
	if networks+devices == 0 {
		quotas = append(quotas, quota{"reset mails", resetMails, time.Hour})
	}
	if unlinked {
		quotas = append(quotas, quota{"reset told " + p.ID, 1, time.Hour})
	}
	wait, err := spend(ctx, tx, now, quotas...)
	return wait == 0, err
}

// askedFrom says in the person's language where a request came from.
func (a *Auth) askedFrom(p Principal, r resetRequest, now time.Time) string {
	t := &turnover{a: a, now: now} // host names are not waited for: it is a stranger who asks
	return t.where(p, parseStored(r.Address), r.UserAgent)
}

func (a *Auth) openReset(id, sealed string) (r resetRequest, ok bool) {
	plain, err := a.secrets.open(purposeReset, id, sealed)
	if err != nil {
		a.logStep("read a request for a reset", err)
		return r, false
	}
	return r, json.Unmarshal(plain, &r) == nil
}
