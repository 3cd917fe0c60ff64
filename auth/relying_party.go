package auth

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// settingRPID is the row that has the relying party id that the passkeys in the store were made for.
const settingRPID = "passkey.rp_id"

// fixedFor is how long the stored relying party id is believed without asking again: strangers can ask for
// sign-in options as often as they like.
const fixedFor = 10 * time.Second

// relyingParty is what this installation is to a browser that makes and uses passkeys.
type relyingParty struct {
	fixed atomic.Pointer[fixedRPID]
	// decoy is a public key that nobody has the private one of. A response for an unknown passkey is checked against
	// it, so that the time of the answer does not tell which passkeys and accounts exist.
	decoy []byte
}

// fixedRPID is the relying party id in the store. Without passkeys it binds nobody, and is empty.
type fixedRPID struct {
	id               string
	passkeys, people int
	read             time.Time
}

// openFactors reads the key of the installation.
func (a *Auth) openFactors(ctx context.Context) error {
	if err := a.openSecrets(ctx); err != nil {
		return fmt.Errorf("open the key of second factors: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make decoy key: %w", err)
	}
	point, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return fmt.Errorf("make decoy key: %w", err)
	}
	a.relying.decoy, err = webauthncbor.Marshal(webauthncose.EC2PublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(webauthncose.AlgES256)},
		Curve:         int64(webauthncose.P256), XCoord: point[1:33], YCoord: point[33:]})
	if err != nil {
		return fmt.Errorf("make decoy key: %w", err)
	}
	return nil
}

// CheckPasskeys tells whether the configuration can be used with the passkeys in the store: another relying
// party id than the one they were made for is an error that says how many would be worth nothing. It is to be
// called before people are served, and before Reload; until it agrees no passkey is taken. New does not
// call it, because a command must be able to reset factors under such a configuration. Passkeys that work at
// no host any more, because the hosts have moved, are only worth a warning.
func (a *Auth) CheckPasskeys(ctx context.Context, cfg FactorsConfig) error {
	fixed, err := readFixedRPID(ctx, a.db)
	if err != nil {
		return err
	}
	if _, err := cfg.rpID(fixed); err != nil {
		return err
	}
	reached := func(host string) bool { return within(host, fixed.id) }
	if fixed.id != "" && len(cfg.Hosts) > 0 && !slices.ContainsFunc(cfg.names(), reached) {
		a.log.Warn("passkeys work at no host of this configuration", slog.String("rp_id", fixed.id), slog.Int("passkeys", fixed.passkeys))
	}
	return nil
}

func readFixedRPID(ctx context.Context, from reader) (fixedRPID, error) {
	var f fixedRPID
	if err := from.QueryRowContext(ctx, sqlCountPasskeys).Scan(&f.passkeys, &f.people); err != nil {
		return f, fmt.Errorf("count passkeys: %w", err)
	}
	if f.passkeys == 0 {
		return f, nil
	}
	err := from.QueryRowContext(ctx, sqlSetting, settingRPID).Scan(&f.id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return f, fmt.Errorf("read relying party id: %w", err)
	}
	return f, nil
}

// rpID is the relying party id to use: what the passkeys in the store were made for, else what the
// configuration says, else what its hosts have in common.
func (c FactorsConfig) rpID(fixed fixedRPID) (string, error) {
	switch {
	case fixed.id == "" && c.RPID == "":
		return c.defaultRPID(), nil
	case fixed.id == "" || fixed.id == c.RPID:
		return c.RPID, nil
	case c.RPID == "":
		return fixed.id, nil
	}
	return "", fmt.Errorf("%w: factors.rp_id is %s, but %d passkeys of %d people were made for %s and would be worth nothing: "+
		"set it back, or first reset the factors of these people", ErrNoPasskeys, c.RPID, fixed.passkeys, fixed.people, fixed.id)
}

// rpIDAt returns the relying party id for a ceremony at host. The error is ErrNoPasskeys, with the reason, or the store's.
func (a *Auth) rpIDAt(ctx context.Context, host string, now time.Time) (string, error) {
	cfg := a.cfg.Load().Factors
	fixed := a.relying.fixed.Load()
	if fixed == nil || now.Sub(fixed.read) > fixedFor || now.Before(fixed.read) {
		read, err := readFixedRPID(ctx, a.db)
		if err != nil {
			return "", err
		}
		read.read = now
		fixed = &read
		a.relying.fixed.Store(fixed)
	}
	id, err := cfg.rpID(*fixed)
	if err != nil {
		return "", err
	}
	return id, cfg.reason(id, host)
}

// PasskeysAt tells whether people can make and use passkeys at the host now.
func (a *Auth) PasskeysAt(ctx context.Context, host string, now time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	_, err := a.rpIDAt(ctx, host, now)
	return err == nil
}

// PasskeyDomain is the domain that an installation without passkeys makes them for: RPID, or what the hosts have in common;
// empty if that is nothing, and passkeys are possible nowhere. Hosts within it have passkeys.
func (c FactorsConfig) PasskeyDomain() string { return cmp.Or(c.RPID, c.defaultRPID()) }

// PasskeyHost tells whether people can make and use passkeys of the PasskeyDomain at a host of the configuration.
func (c FactorsConfig) PasskeyHost(host string) bool {
	return c.reason(c.PasskeyDomain(), canonicalName(host)) == nil
}

// reason says why there are no passkeys at host; nil if there are.
func (c FactorsConfig) reason(id, host string) error {
	switch {
	case isAddress(host):
		return fmt.Errorf("%w: browsers make passkeys for names only, and %s is an address", ErrNoPasskeys, host)
	case !slices.Contains(c.names(), host):
		return fmt.Errorf("%w: %s is no host of the configuration", ErrNoPasskeys, host)
	case id == "":
		return fmt.Errorf("%w: the hosts have no domain in common; set factors.rp_id to the one that passkeys are for", ErrNoPasskeys)
	case !within(host, id):
		return fmt.Errorf("%w: %s is not below %s, which passkeys are made for", ErrNoPasskeys, host, id)
	}
	return nil
}

// fixRPID writes down, with a passkey that is being stored, what it was made for; the first one decides.
func fixRPID(ctx context.Context, tx *sql.Tx, id string) error {
	fixed, err := readFixedRPID(ctx, tx)
	if err != nil {
		return err
	}
	if fixed.id == id {
		return nil
	}
	if fixed.id != "" {
		return fmt.Errorf("%w: passkeys are made for %s now, not %s", ErrNoPasskeys, fixed.id, id)
	}
	if _, err := tx.ExecContext(ctx, sqlPutSetting, settingRPID, id); err != nil {
		return fmt.Errorf("fix relying party id: %w", err)
	}
	return nil
}

// originAt tells whether the origin is https at exactly this host, on any port: which port people use is decided by
// proxies and port forwards that we do not know, and another port of the same host cannot be told apart by cookies either.
func originAt(origin, host string) bool {
	rest, ok := strings.CutPrefix(origin, "https://"+host)
	if !ok || host == "" {
		return false
	}
	if rest == "" {
		return true
	}
	digits, ok := strings.CutPrefix(rest, ":")
	port, err := strconv.ParseUint(digits, 10, 16)
	return ok && err == nil && strconv.FormatUint(port, 10) == digits && port > 0
}
