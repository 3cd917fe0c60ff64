package gateway

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/wholefile"
)

// assertionKeys are the keys of the signed assertion: the first signs, all are published, so that an
// application goes on accepting what the one before signed.
type assertionKeys struct {
	signer    jose.Signer
	published []byte // RFC 7517, JSON
}

// openAssertionKeys reads a file of PEM blocks "PRIVATE KEY" (PKCS #8, P-256), newest first. It is made on
// first use, 0600. To change the key, put a new block before the old one and reload; take the old one out
// with a later reload, a few minutes after at the earliest.
func openAssertionKeys(path string) (*assertionKeys, error) {
	text, err := readOrCreate(path, 0o600, newAssertionKey)
	if err != nil {
		return nil, fmt.Errorf("open assertion keys: %w", err)
	}
	var set jose.JSONWebKeySet
	keys := &assertionKeys{}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		private, err := parseAssertionKey(block)
		if err != nil {
			return nil, fmt.Errorf("read assertion keys %s: %w", path, err)
		}
		public, err := publicAssertionKey(private)
		if err != nil {
			return nil, fmt.Errorf("read assertion keys %s: %w", path, err)
		}
		set.Keys = append(set.Keys, public)
		if keys.signer != nil {
			continue
		}
		key := jose.JSONWebKey{Key: private, KeyID: public.KeyID}
		keys.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
		if err != nil {
			return nil, fmt.Errorf("use assertion key of %s: %w", path, err)
		}
	}
	if keys.signer == nil {
		return nil, fmt.Errorf("read assertion keys %s: there is no PEM block in it", path)
	}
	if keys.published, err = json.Marshal(set); err != nil {
		return nil, fmt.Errorf("publish assertion keys: %w", err)
	}
	return keys, nil
}

func newAssertionKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func parseAssertionKey(block *pem.Block) (*ecdsa.PrivateKey, error) {
	if block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("PEM block %q is not a PRIVATE KEY", block.Type)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the key is not one of P-256, which ES256 needs (RFC 7518 3.4)")
	}
	return key, nil
}

// publicAssertionKey names the key by its RFC 7638 thumbprint.
func publicAssertionKey(private *ecdsa.PrivateKey) (jose.JSONWebKey, error) {
	key := jose.JSONWebKey{Key: private.Public(), Algorithm: string(jose.ES256), Use: "sig"}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	key.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	return key, nil
}

// sign makes the compact form of a JWT (RFC 7519).
func (k *assertionKeys) sign(claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := k.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// serve answers /.doorward/jwks.json. The keys are public; an application fetches them without a session.
func (k *assertionKeys) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return ambiguous("method-unknown")
	}
	h := w.Header()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", "public, max-age=300")
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	// A write error is the client's departure; the answer has begun and cannot become another.
	_, _ = w.Write(k.published)
	return nil
}

// readOrCreate reads a file of secrets, and makes it first if it is not there. Of two processes that make it
// at once one wins, and both read the winner's.
func readOrCreate(path string, mode fs.FileMode, make func() ([]byte, error)) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	if text, err = make(); err != nil {
		return nil, fmt.Errorf("generate %s: %w", filepath.Base(path), err)
	}
	if err := wholefile.Create(path, mode, text); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}
