package auth

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/doorward/doorward/store"
)

const (
	// maxPasskeys is how many passkeys and security keys one account may have.
	maxPasskeys = 20
	// maxPasskeyName is how many characters the name that a person gives one may have.
	maxPasskeyName = 64
)

// The kinds of passkey, from what the browser said when it was made.
const (
	SyncedPasskey = "synced"       // its provider may copy it to the person's other devices
	DevicePasskey = "device"       // it stays in a computer or phone
	SecurityKey   = "security-key" // it stays in a device that is carried about
)

// PasskeyInfo is a passkey or security key as its owner sees it.
type PasskeyInfo struct {
	ID       string // UUIDv7
	Name     string // as the person called it; may be empty
	Created  time.Time
	LastUsed time.Time // zero: never
	Kind     string    // SyncedPasskey, DevicePasskey or SecurityKey
	// Alone tells that it may be the only factor: it has verified its owner, by a PIN or a finger, when it was made
	// or after a password. Others are good after a password only.
	Alone bool
}

// passkey is a credential record (WebAuthn Level 3, section 4).
type passkey struct {
	id, principalID    string
	credentialID       []byte
	publicKey          []byte // COSE
	name               string
	transports         []string
	attachment         string
	signCount          uint32
	userVerified       bool // uvInitialized
	eligible, backedUp bool // the backup flags
	created, lastUsed  time.Time
}

func (p passkey) info() PasskeyInfo {
	return PasskeyInfo{ID: p.id, Name: p.name, Created: p.created, LastUsed: p.lastUsed, Kind: p.kind(), Alone: p.userVerified}
}

func (p passkey) kind() string {
	roams := slices.ContainsFunc(p.transports, func(t string) bool {
		return t == string(protocol.USB) || t == string(protocol.NFC) || t == string(protocol.BLE) || t == string(protocol.SmartCard)
	})
	switch {
	case p.eligible:
		return SyncedPasskey
	case p.attachment == string(protocol.CrossPlatform), p.attachment == "" && roams:
		return SecurityKey
	}
	return DevicePasskey
}

// credential is the passkey as the WebAuthn library knows it.
func (p passkey) credential() webauthn.Credential {
	c := webauthn.Credential{ID: p.credentialID, PublicKey: p.publicKey,
		Flags:         webauthn.CredentialFlags{UserPresent: true, UserVerified: p.userVerified, BackupEligible: p.eligible, BackupState: p.backedUp},
		Authenticator: webauthn.Authenticator{SignCount: p.signCount}}
	for _, t := range p.transports {
		c.Transport = append(c.Transport, protocol.AuthenticatorTransport(t))
	}
	return c
}

// scanPasskey reads one row of sqlPasskeyColumns.
func scanPasskey(row interface{ Scan(dest ...any) error }) (passkey, error) {
	var p passkey
	var credentialID, publicKey, transports string
	var verified, eligible, backedUp int
	var created, used int64
	err := row.Scan(&p.id, &p.principalID, &credentialID, &publicKey, &p.name, &transports, &p.attachment,
		&p.signCount, &verified, &eligible, &backedUp, &created, &used)
	if err != nil {
		return p, err
	}
	p.transports = strings.Fields(transports)
	p.userVerified, p.eligible, p.backedUp = verified != 0, eligible != 0, backedUp != 0
	p.created, p.lastUsed = store.FromMicros(created), store.FromMicros(used)
	if p.credentialID, err = hex.DecodeString(credentialID); err != nil {
		return p, fmt.Errorf("credential id of passkey %s: %w", p.id, err)
	}
	if p.publicKey, err = hex.DecodeString(publicKey); err != nil {
		return p, fmt.Errorf("public key of passkey %s: %w", p.id, err)
	}
	return p, nil
}

// readPasskeys lists an account's passkeys, oldest first.
func readPasskeys(ctx context.Context, from reader, principalID string) ([]passkey, error) {
	rows, err := from.QueryContext(ctx, sqlPasskeys, principalID)
	if err != nil {
		return nil, fmt.Errorf("read passkeys: %w", err)
	}
	defer rows.Close()
	var list []passkey
	for rows.Next() {
		p, err := scanPasskey(rows)
		if err != nil {
			return nil, fmt.Errorf("read passkeys: %w", err)
		}
		list = append(list, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read passkeys: %w", err)
	}
	return list, nil
}

// findPasskey looks one up by its credential id; nil if there is none, or its account is disabled.
func (a *Auth) findPasskey(ctx context.Context, credentialID []byte) (*passkey, error) {
	p, err := scanPasskey(a.db.QueryRowContext(ctx, sqlPasskeyByCredential, hex.EncodeToString(credentialID)))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up passkey: %w", err)
	}
	return &p, nil
}

func insertPasskey(ctx context.Context, tx *sql.Tx, p passkey, aaguid []byte) error {
	_, err := tx.ExecContext(ctx, sqlInsertPasskey, p.id, p.principalID, hex.EncodeToString(p.credentialID),
		hex.EncodeToString(p.publicKey), p.name, hex.EncodeToString(aaguid), strings.Join(p.transports, " "), p.attachment,
		int64(p.signCount), truth(p.userVerified), truth(p.eligible), truth(p.backedUp), store.Micros(p.created))
	if err != nil {
		return fmt.Errorf("store passkey: %w", err)
	}
	return nil
}

// truth is a truth value as both dialects store it.
func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// RenamePasskey gives an account's passkey another name of at most 64 characters; it may be empty. The errors are *InputError,
// ErrNotFound and ErrUnavailable.
func (a *Auth) RenamePasskey(ctx context.Context, by Actor, principalID, passkeyID, name string) error {
	name, err := passkeyName(name)
	if err != nil {
		return fmt.Errorf("rename passkey: %w", err)
	}
	err = a.db.Write(ctx, func(tx *sql.Tx) error {
		owner, err := factorOwner(ctx, tx, principalID)
		if err != nil {
			return err
		}
		p, err := readPasskey(ctx, tx, principalID, passkeyID)
		if err != nil || p.name == name {
			return err
		}
		if _, err := tx.ExecContext(ctx, sqlRenamePasskey, name, passkeyID, principalID); err != nil {
			return err
		}
		before := factorNote{Kind: p.kind(), Passkey: p.id, Name: p.name}
		return a.note(ctx, tx, by, "factor.rename", owner.Name, before, factorNote{Kind: p.kind(), Passkey: p.id, Name: name})
	})
	if err != nil {
		return fmt.Errorf("rename passkey: %w", a.storeError(err))
	}
	return nil
}

// RemovePasskey takes an account's passkey away. least is the level that the account must still be able to
// reach afterwards, PasswordLevel if nothing is demanded of it. The errors are ErrLastFactor, ErrNotFound and ErrUnavailable.
func (a *Auth) RemovePasskey(ctx context.Context, by Actor, principalID, passkeyID string, least Level) error {
	err := a.dropFactor(ctx, by, principalID, least, factorNote{}, func(tx *sql.Tx, what *factorNote) error {
		p, err := readPasskey(ctx, tx, principalID, passkeyID)
		if err != nil {
			return err
		}
		*what = factorNote{Kind: p.kind(), Passkey: p.id, Name: p.name}
		_, err = tx.ExecContext(ctx, sqlDeletePasskey, passkeyID, principalID)
		return err
	})
	if err != nil {
		return fmt.Errorf("remove passkey: %w", err)
	}
	return nil
}

func readPasskey(ctx context.Context, tx *sql.Tx, principalID, passkeyID string) (passkey, error) {
	p, err := scanPasskey(tx.QueryRowContext(ctx, sqlPasskey, passkeyID, principalID))
	if errors.Is(err, sql.ErrNoRows) {
		return p, ErrNotFound
	}
	if err != nil {
		return p, fmt.Errorf("read passkey: %w", err)
	}
	return p, nil
}

// passkeyName judges the name that a person gives a passkey.
func passkeyName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name != "" && (!usable(name) || utf8.RuneCountInString(name) > maxPasskeyName) {
		return "", &InputError{"name", fmt.Sprintf("must be at most %d visible characters", maxPasskeyName)}
	}
	return name, nil
}
