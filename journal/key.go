package journal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/wholefile"
)

// keyName stands in every signature, so that a signature made for something else is never taken for ours.
const keyName = "doorward-journal"

// keyHint says what to do when the key that signed the journal so far is not there.
const keyHint = "put back the key file that was used before; if it is lost, put an empty file in its place, " +
	"and a new key is begun and the journal records that it was"

// loadKey reads the secret key in path, or makes one when there is none; begun tells which. With used, the
// journal has entries, and only an empty file, put there on purpose, is filled with a new key.
func loadKey(path string, used bool) (secret string, begun bool, err error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && used:
		return "", false, fmt.Errorf("the key file %s is missing and the journal has entries: %s", path, keyHint)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", false, fmt.Errorf("read key: %w", err)
	case len(bytes.TrimSpace(text)) > 0:
		return strings.TrimSpace(string(text)), false, checkKeyMode(path)
	}
	secret, _, err = note.GenerateKey(rand.Reader, keyName)
	if err != nil {
		return "", false, fmt.Errorf("make key: %w", err)
	}
	// Whole or not at all: half a key would stop every later start.
	if err := wholefile.Replace(path, 0o600, []byte(secret+"\n")); err != nil {
		return "", false, fmt.Errorf("write key: %w", err)
	}
	return secret, true, nil
}

// lockFolder makes the folder if it is missing, and keeps other processes waiting that want it locked.
func lockFolder(path string) (unlock func() error, err error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	folder, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Flock(int(folder.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), folder.Close())
	}
	return folder.Close, nil
}

func checkKeyMode(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("the key file %s has mode %04o, so that others may read it: it must be 0600", path, mode)
	}
	return nil
}

// keyPair makes signer and verifier of a secret key in the form of sumdb/note.
func keyPair(secret string) (note.Signer, note.Verifier, string, error) {
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, nil, "", errors.New("not a note signing key")
	}
	// PRIVATE+KEY+name+hash+base64(algorithm byte, ed25519 seed)
	parts := strings.SplitN(secret, "+", 5)
	data, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(data) != 1+ed25519.SeedSize {
		return nil, nil, "", errors.New("not an ed25519 note signing key")
	}
	public := ed25519.NewKeyFromSeed(data[1:]).Public().(ed25519.PublicKey)
	text, err := note.NewEd25519VerifierKey(signer.Name(), public)
	if err != nil {
		return nil, nil, "", err
	}
	verifier, err := note.NewVerifier(text)
	if err != nil {
		return nil, nil, "", err
	}
	return signer, verifier, text, nil
}

// sign makes the signed head of t: a note in the form of a transparency log's checkpoint, with the name of
// the log, the number of entries and the root hash on a line each.
func (j *Journal) sign(t *tree) (string, error) {
	root, err := t.root()
	if err != nil {
		return "", fmt.Errorf("compute head: %w", err)
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", keyName, t.size, formatHash(root))
	signed, err := note.Sign(&note.Note{Text: text}, j.signer)
	if err != nil {
		return "", fmt.Errorf("sign head: %w", err)
	}
	return string(signed), nil
}

// Reasons why a head is not believed.
var (
	errNoHead    = errors.New("there is no signed head")
	errOtherKey  = errors.New("the head is signed with another key")
	errSignature = errors.New("the head's signature is wrong")
	errHeadText  = errors.New("the head is not a journal head")
)

// openHead checks the signature of a head and returns what it covers.
func (j *Journal) openHead(signed string) (tlog.Tree, error) {
	if strings.TrimSpace(signed) == "" {
		return tlog.Tree{}, errNoHead
	}
	n, err := note.Open([]byte(signed), note.VerifierList(j.verifier))
	if err != nil {
		var unverified *note.UnverifiedNoteError
		var invalid *note.InvalidSignatureError
		switch {
		case errors.As(err, &unverified):
			return tlog.Tree{}, errOtherKey
		case errors.As(err, &invalid):
			return tlog.Tree{}, errSignature
		}
		return tlog.Tree{}, errHeadText
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != keyName || lines[3] != "" {
		return tlog.Tree{}, errHeadText
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || size > maxSize {
		return tlog.Tree{}, errHeadText
	}
	hash, err := parseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, errHeadText
	}
	return tlog.Tree{N: size, Hash: hash}, nil
}
