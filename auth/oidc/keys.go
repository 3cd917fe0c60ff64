package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	keysFresh   = time.Hour        // then they are fetched again, so that a key the provider withdrew goes
	keysOldest  = 24 * time.Hour   // how long they serve while the provider cannot be asked
	keysAgain   = 10 * time.Second // at most so often for a token with an unknown key, since any stranger can send one
	maxKeys     = 100
	minRSABytes = 256 // 2048 bits (NIST SP 800-131A)
	maxToken    = 64 << 10
)

// algorithms are those that a token may be signed with (RFC 7518, RFC 8037): none of them can be checked with a
// secret, so that a public key is never taken for one, and "none" is not among them.
func algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// keySet is a provider's published keys (RFC 7517), those of them that can be used here.
type keySet struct {
	keys []jose.JSONWebKey
}

// fetchKeys reads the key set at url.
func fetchKeys(ctx context.Context, client *http.Client, url string) (*keySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch keys: status %d", res.StatusCode)
	}
	text, err := io.ReadAll(res.Body) // the client's answers are bounded
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	set, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	return set, nil
}

// parseKeys keeps the public signature keys. Keys of another kind stand in many sets and are no error (RFC 7517, 5).
func parseKeys(text []byte) (*keySet, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	if len(raw.Keys) > maxKeys {
		return nil, fmt.Errorf("read key set: %d keys are more than %d", len(raw.Keys), maxKeys)
	}
	set := &keySet{}
	for _, one := range raw.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(one, &key) == nil && (key.Use == "" || key.Use == "sig") && strong(key.Key) {
			set.keys = append(set.keys, key)
		}
	}
	if len(set.keys) == 0 {
		return nil, errors.New("read key set: it has no public key for signatures")
	}
	return set, nil
}

func strong(key any) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return key.Size() >= minRSABytes
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// verify returns what the token says if one of the keys signed it. known tells whether the set has the key that the
// token names; a token that names none may be signed by any.
func (s *keySet) verify(token *jose.JSONWebSignature) (payload []byte, known bool) {
	header := token.Signatures[0].Header
	for _, key := range s.keys {
		if header.KeyID != "" && header.KeyID != key.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := token.Verify(key.Key); err == nil {
			return payload, true
		}
		known = known || header.KeyID != ""
	}
	return nil, known
}

// parseToken reads a token in the compact form with its one signature (RFC 7515, 3.1). Nothing of it is believed yet.
func parseToken(raw string) (*jose.JSONWebSignature, error) {
	var allowed []jose.SignatureAlgorithm
	for _, a := range algorithms() {
		allowed = append(allowed, jose.SignatureAlgorithm(a))
	}
	token, err := jose.ParseSignedCompact(raw, allowed)
	if err != nil {
		return nil, fmt.Errorf("read token: %w", err)
	}
	return token, nil
}

// verifier is the key set of a provider at a moment, in the form that package oidc of coreos wants it.
type verifier struct {
	provider *Provider
	found    *discovered
	now      time.Time
	down     error // why the keys could not be had; that package makes text of errors
}

// VerifySignature returns what the token says if the provider signed it. A key that is not known yet has the set
// fetched again (OpenID Connect Core 1.0, 10.1.1), but not for every token that a stranger sends.
func (v *verifier) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	token, err := parseToken(raw)
	if err != nil {
		return nil, err
	}
	for _, age := range []time.Duration{keysFresh, keysAgain} {
		set, err := v.provider.keys.get(ctx, v.now, v.now.Add(-age), v.now.Add(-keysOldest), func(ctx context.Context) (*keySet, error) {
			return fetchKeys(ctx, v.provider.client, v.found.keysURL)
		})
		if err != nil {
			v.down = v.provider.fail(ProviderDown, "%w", err)
			return nil, v.down
		}
		payload, known := set.verify(token)
		if payload != nil {
			return payload, nil
		}
		if known {
			break
		}
	}
	return nil, errors.New("the signature is by none of the provider's keys")
}
