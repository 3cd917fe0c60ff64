package auth

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/store"
)

const (
	// bundleFor is how long failed sign-ins are gathered before the person is told, and tellEvery how often at most.
	bundleFor = 2 * time.Minute
	tellEvery = time.Hour
	// failureMails is how many such mails there are in an hour, to all people together: whoever knows many names could
	// otherwise have the mail server refuse us, and with it the links that let people in.
	failureMails = 500
	// changesTold is how many changes of their password a person is told of in an hour.
	changesTold = 5
	// maxNoticeAddresses is how many addresses a notice names.
	maxNoticeAddresses = 5
	// hostNameWait is how long a mail waits for an address's host name.
	hostNameWait = time.Second
)

// canMail tells whether the person can be reached by mail.
func (a *Auth) canMail(p Principal) bool { return a.mails() && p.Email != "" }

// mails tells whether a mail server is configured.
func (a *Auth) mails() bool { return a.mail != nil && a.mail.Enabled() }

// nameForMail is an address's host name for the mails that a step may cause; it waits a moment for one that is not known.
func (a *Auth) nameForMail(ctx context.Context, address netip.Addr) string {
	if !a.mails() {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, hostNameWait)
	defer cancel()
	return a.hostName(ctx, address)
}

// where describes an address, a browser and a time in the person's language.
func (t *turnover) where(p Principal, address netip.Addr, browser string) string {
	a := t.a
	lang := a.texts.Match(p.Language, "")
	unknown := a.texts.Text(lang, "mail.unknown")
	return a.texts.Text(lang, "mail.where", "time", t.now.UTC().Format("2006-01-02 15:04:05 UTC"), "address", address.String(),
		"hostname", cmp.Or(t.hostName, unknown), "country", cmp.Or(a.country(address), unknown), "browser", cmp.Or(a.browserWords(lang, browser), unknown))
}

// tellHeld mails the link that releases a held sign-in (D-13).
func (t *turnover) tellHeld(ctx context.Context, tx *sql.Tx, p Principal, r *pendingRow, code string) (bool, error) {
	return t.a.send(ctx, tx, letter{kind: "held", to: p, host: r.host, realm: r.realm, path: "/.doorward/link/release?c=" + code,
		facts: t.where(p, parseStored(r.address), r.userAgent), until: t.now.Add(LinkRelease.life()),
		pairs: []string{"minutes", minutes(LinkRelease.life())}}, t.now)
}

// tellSignIn mails that somebody has signed in, if the person wants to know (D-09).
func (t *turnover) tellSignIn(ctx context.Context, tx *sql.Tx, s *Session, newAddress, newDevice bool) (bool, error) {
	when := t.cfg.Notices.SignIn
	wanted := when == "every" || when == "new" && (newAddress || newDevice)
	if !wanted || !t.a.canMail(s.Principal) {
		return false, nil
	}
	code, err := newLink(ctx, tx, link{kind: LinkNotMe, principalID: s.Principal.ID}, t.now)
	if err != nil || code == "" {
		return false, err
	}
	return t.a.send(ctx, tx, letter{kind: "signed_in", to: s.Principal, host: s.Host, realm: s.Realm, path: "/.doorward/link/not-me?c=" + code,
		facts: t.where(s.Principal, s.Address, s.UserAgent), until: t.now.Add(24 * time.Hour)}, t.now)
}

// tellPassword mails that the password was replaced, with the link to take the account back (ASVS 6.3.7); the kind of letter says
// how. Where the links of this hour are used up the person is told all the same: sign-ins by whoever knows the password cost links
// too, and must not keep a change from its owner. changesTold bounds both.
func (t *turnover) tellPassword(ctx context.Context, tx *sql.Tx, p Principal, kind string) error {
	if !t.a.canMail(p) {
		return nil
	}
	if wait, err := spend(ctx, tx, t.now, quota{"password told " + p.ID, changesTold, time.Hour}); err != nil || wait > 0 {
		return err
	}
	l := letter{kind: kind, to: p, host: t.at.Host, realm: t.at.Realm, facts: t.where(p, t.at.Address, cut(store.Text(t.at.UserAgent), maxUserAgent)),
		until: t.now.Add(24 * time.Hour)}
	code, err := newLink(ctx, tx, link{kind: LinkNotMe, principalID: p.ID}, t.now)
	if err != nil {
		return err
	}
	if l.path = "/.doorward/link/not-me?c=" + code; code == "" {
		l.path, l.variant = "", ".unlinked"
	}
	sent, err := t.a.send(ctx, tx, l, t.now)
	t.mailed = t.mailed || sent
	return err
}

// tellFactor mails that a second factor came or went (ASVS 6.3.7): change is added, removed or
// recovered (added after a recovery code), kind totp, passkey or all.
func (a *Auth) tellFactor(ctx context.Context, tx *sql.Tx, owner Principal, change, kind string, now time.Time) error {
	hosts := a.cfg.Load().SiteHosts
	if !a.canMail(owner) || len(hosts) == 0 {
		return nil
	}
	name := a.texts.Text(a.texts.Match(owner.Language, ""), "mail.factor.kind."+kind)
	_, err := a.send(ctx, tx, letter{kind: "factor", variant: "." + change, to: owner, host: hosts[0], until: now.Add(24 * time.Hour),
		pairs: []string{"kind", name}}, now)
	return err
}

// noteFailure remembers a failed sign-in for the person's next notice. It is evidence already, as an event; that the person
// cannot be told is no reason to answer differently.
func (a *Auth) noteFailure(ctx context.Context, who *account, at Attempt, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	if err := a.db.Write(ctx, func(tx *sql.Tx) error { return a.putFailure(ctx, tx, who, at, now) }); err != nil {
		a.logStep("note failed sign-in for the person's notice", err)
	}
}

// putFailure is noteFailure in the caller's transaction. For a name that is nobody's, and for who cannot be told, it does as much
// and leaves nothing.
func (a *Auth) putFailure(ctx context.Context, tx *sql.Tx, who *account, at Attempt, now time.Time) error {
	if a.cfg.Load().Notices.NoFailures || !a.mails() {
		return nil
	}
	told := who != nil && a.canMail(who.Principal)
	id := nobody
	if told {
		id = who.ID
	}
	var addresses string
	err := tx.QueryRowContext(ctx, sqlFailureAddresses, id).Scan(&addresses)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read notice of failures: %w", err)
	}
	list := strings.Fields(addresses)
	if address := at.Address.Unmap().WithZone("").String(); len(list) < maxNoticeAddresses && !slices.Contains(list, address) {
		list = append(list, address)
	}
	if told {
		_, err = tx.ExecContext(ctx, sqlNoteFailure, id, strings.Join(list, " "), store.Micros(now), at.Host, string(at.Realm))
	} else {
		_, err = tx.ExecContext(ctx, sqlNoticeTold, store.Micros(now), id)
	}
	if err != nil {
		return fmt.Errorf("note failed sign-in: %w", err)
	}
	return nil
}

// tellFailures mails what noteFailure has gathered (D-09); the sweep calls it.
func (a *Auth) tellFailures(ctx context.Context, now time.Time) error {
	if !a.mails() {
		return nil
	}
	due, err := readStrings(ctx, a.db, sqlDueNotices, store.Micros(now.Add(-bundleFor)), store.Micros(now.Add(-tellEvery)))
	if err != nil {
		return err
	}
	for _, id := range due {
		if err := a.db.Write(ctx, func(tx *sql.Tx) error { return a.tellFailuresOf(ctx, tx, id, now) }); err != nil {
			return err
		}
	}
	if len(due) > 0 {
		a.mail.Wake()
	}
	return nil
}

func (a *Auth) tellFailuresOf(ctx context.Context, tx *sql.Tx, id string, now time.Time) error {
	var failures, first, last, mailed int64
	var addresses, host string
	var realm Realm
	err := tx.QueryRowContext(ctx, sqlNotice, id).Scan(&failures, &addresses, &host, &realm, &first, &last, &mailed)
	if errors.Is(err, sql.ErrNoRows) || err == nil && (failures == 0 || mailed > store.Micros(now.Add(-tellEvery))) {
		return nil // another gateway was first
	}
	if err != nil {
		return err
	}
	who, err := readAccountByID(ctx, tx, id)
	if err != nil {
		return err
	}
	mailable := who != nil && a.canMail(who.Principal)
	if mailable {
		if wait, err := spend(ctx, tx, now, quota{"failure mails", failureMails, time.Hour}); err != nil || wait > 0 {
			return err // it stays due
		}
	}
	if _, err := tx.ExecContext(ctx, sqlNoticeTold, store.Micros(now), id); err != nil || !mailable {
		return err
	}
	code, err := newLink(ctx, tx, link{kind: LinkNotMe, principalID: id}, now)
	if err != nil || code == "" {
		return err
	}
	lang := a.texts.Match(who.Language, "")
	stamp := func(at int64) string { return store.FromMicros(at).UTC().Format("2006-01-02 15:04:05 UTC") }
	_, err = a.send(ctx, tx, letter{kind: "failed", to: who.Principal, host: host, realm: realm, path: "/.doorward/link/not-me?c=" + code,
		facts: a.texts.Text(lang, "mail.failed.where", "first", stamp(first), "last", stamp(last), "addresses", strings.ReplaceAll(addresses, " ", ", ")),
		until: now.Add(24 * time.Hour), pairs: []string{"n", strconv.FormatInt(failures, 10)}}, now)
	return err
}

// hostName is the confirmed reverse DNS name of an address (D-11), or empty. It may wait for as long as ctx allows.
func (a *Auth) hostName(ctx context.Context, address netip.Addr) string {
	if a.names == nil {
		return ""
	}
	return a.names(ctx, address)
}

// HostNameNow is the address's confirmed reverse DNS name (D-11) if it is known at this moment; asking for it has it looked up.
func (a *Auth) HostNameNow(address netip.Addr) string {
	if a.namesNow == nil {
		return ""
	}
	return a.namesNow(address)
}

// CountryOf is the address's country as an ISO 3166-1 code, or empty.
func (a *Auth) CountryOf(address netip.Addr) string { return a.country(address) }

// country is the address's country code, or empty.
func (a *Auth) country(address netip.Addr) string {
	if a.countries == nil {
		return ""
	}
	return a.countries(address)
}

// linkURL is a mailed link. Its host is one of the configuration's, never what a request said (security.md 9).
func (a *Auth) linkURL(realm Realm, host, path string) string {
	port := a.port
	if realm == ConsoleRealm {
		port = a.consolePort
	}
	return "https://" + host + port + path
}
