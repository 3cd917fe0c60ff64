package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/doorward/doorward/wholefile"
)

// secretFile is the key's file in the data folder. Nodes that share a database need the same one.
const secretFile = "auth.key"

// maxSealed bounds what open looks at; nothing that we seal comes near it.
const maxSealed = 4096

// secretHint says what to do when the key of the installation is not there.
const secretHint = "copy " + secretFile + " from a node that shares this database, or from the backup; if it is lost, put an empty " +
	"file in its place: then a new key is begun, authenticator apps and recovery codes stop working until each person's " +
	"factors are reset, and passkeys go on working"

var errSealed = errors.New("not sealed by this installation for this use")

// secrets seals what the store must not know, and what a browser keeps for us. Each purpose has a key of
// its own, derived from the one in the file, so that nothing made for one purpose is believed for another.
type secrets struct {
	key [sha256.Size]byte
}

// LogValue keeps the key out of logs.
func (s *secrets) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// derive is HKDF-Expand with one block (RFC 5869 2.3); the key in the file is random, so the extract step
// is not needed (3.3).
func (s *secrets) derive(use, purpose string) []byte {
	m := hmac.New(sha256.New, s.key[:])
	m.Write([]byte("doorward " + use + " " + purpose))
	m.Write([]byte{1})
	return m.Sum(nil)
}

// seal encrypts and authenticates plain as base64url text. Only open with the same purpose and context gets
// it back; the context says whose it is, so that rows cannot be exchanged. XChaCha20-Poly1305, because
// strangers can have as much sealed as they like, and with its 192 random bits no nonce is ever used twice.
func (s *secrets) seal(purpose, context string, plain []byte) string {
	aead, _ := chacha20poly1305.NewX(s.derive("seal", purpose)) // fails only for a key of another length
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	_, _ = rand.Read(nonce) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nonce, nonce, plain, sealedFor(purpose, context)))
}

// open is the reverse of seal. The text may come from a stranger.
func (s *secrets) open(purpose, context, sealed string) ([]byte, error) {
	if len(sealed) > maxSealed || strings.ContainsAny(sealed, "\r\n") { // the decoder would skip line breaks
		return nil, errSealed
	}
	aead, _ := chacha20poly1305.NewX(s.derive("seal", purpose))
	data, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || len(data) < aead.NonceSize() {
		return nil, errSealed
	}
	plain, err := aead.Open(nil, data[:aead.NonceSize()], data[aead.NonceSize():], sealedFor(purpose, context))
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

func sealedFor(purpose, context string) []byte { return []byte(purpose + "\x00" + context) }

// mac is a keyed hash (HMAC-SHA-256) as hexadecimal text. Who reads the database cannot compute it.
func (s *secrets) mac(purpose string, data []byte) string {
	m := hmac.New(sha256.New, s.derive("mac", purpose))
	m.Write(data)
	return hex.EncodeToString(m.Sum(nil))
}

// fingerprint tells whether two nodes have the same key.
func (s *secrets) fingerprint() string { return s.mac("fingerprint", nil)[:32] }

// settingSecret is the row that has the fingerprint of the installation's key.
const settingSecret = "auth.key"

// openSecrets reads the key, or makes it for a new installation. Without a data folder, as in tests, the key lasts
// as long as the process.
func (a *Auth) openSecrets(ctx context.Context) error {
	s := new(secrets)
	a.secrets = s
	dir := a.cfg.Load().DataDir
	if dir == "" {
		_, _ = rand.Read(s.key[:])
		return nil
	}
	var known string
	err := a.db.QueryRowContext(ctx, sqlSetting, settingSecret).Scan(&known)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read the key's fingerprint: %w", err)
	}
	path := filepath.Join(dir, secretFile)
	begun, err := s.load(path, known != "")
	if err != nil || known == s.fingerprint() {
		return err
	}
	if known != "" && !begun {
		return fmt.Errorf("the key in %s is not the one that this database was used with: %s", path, secretHint)
	}
	return a.db.Write(ctx, func(tx *sql.Tx) error {
		// Another node may have been first.
		var now string
		err := tx.QueryRowContext(ctx, sqlSetting, settingSecret).Scan(&now)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read the key's fingerprint: %w", err)
		}
		if now == s.fingerprint() {
			return nil
		}
		if now != known {
			return fmt.Errorf("another node began a key while this one made %s: %s", path, secretHint)
		}
		if _, err := tx.ExecContext(ctx, sqlPutSetting, settingSecret, s.fingerprint()); err != nil {
			return fmt.Errorf("store the key's fingerprint: %w", err)
		}
		if known == "" {
			return nil
		}
		return a.note(ctx, tx, Actor{Name: "doorward", Origin: "local"}, "factor.key", s.fingerprint(), nil, nil)
	})
}

// load reads the key in path, or makes one when there is none; begun tells which. If the installation has a key
// already, only an empty file, put there on purpose, is filled with a new one.
func (s *secrets) load(path string, used bool) (begun bool, err error) {
	text, err := os.ReadFile(path)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case missing && used:
		return false, fmt.Errorf("the key file %s is missing: %s", path, secretHint)
	case err != nil && !missing:
		return false, fmt.Errorf("read key: %w", err)
	case len(bytes.TrimSpace(text)) > 0:
		return false, s.parse(path, text)
	}
	_, _ = rand.Read(s.key[:])
	if err := s.write(path, missing); err != nil {
		if errors.Is(err, fs.ErrExist) { // a command that began at the same moment was first
			return s.load(path, used)
		}
		return false, fmt.Errorf("write key: %w", err)
	}
	return true, nil
}

func (s *secrets) parse(path string, text []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("the key file %s has mode %04o, so that others may read it: it must be 0600", path, mode)
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != len(s.key) {
		return fmt.Errorf("the key file %s is not %d bytes in hexadecimal: %s", path, len(s.key), secretHint)
	}
	copy(s.key[:], key)
	return nil
}

// write puts the key in place whole or not at all: half a key would stop every later start. With fresh, a
// file that has appeared meanwhile stays, and the error is fs.ErrExist.
func (s *secrets) write(path string, fresh bool) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	text := []byte(hex.EncodeToString(s.key[:]) + "\n")
	if fresh {
		return wholefile.Create(path, 0o600, text)
	}
	return wholefile.Replace(path, 0o600, text)
}
