// Package bouncer serves the decisions to programs that read them by the protocol of CrowdSec's local API, as its public documentation
// describes it for bouncers: firewalls and web servers elsewhere that enforce what is decided here.
//
// It knows the decisions, the keys of those programs, and that protocol. It decides nothing.
package bouncer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
)

const (
	maxKeys    = 200
	maxAgent   = 120
	rereadKeys = time.Second // how often an unknown key has the store asked
)

var (
	// ErrExists is that the name belongs to another bouncer.
	ErrExists = errors.New("a bouncer of this name is there already")
	// ErrNotFound is that there is no bouncer of the name.
	ErrNotFound = errors.New("no such bouncer")
	// ErrFull is that there are as many as may be.
	ErrFull = errors.New("there are as many bouncers as may be")
)

// Info is a bouncer as lists show it.
type Info struct {
	Name      string    `json:"name"`
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
	LastUsed  time.Time `json:"last_used,omitzero"` // absent: never
	Address   string    `json:"address,omitempty"`  // where it was last used from
	Agent     string    `json:"agent,omitempty"`    // what it says it is
}

// key is a bouncer with its key's hash and how far it has read.
type key struct {
	Info
	hash string
	at   decision.Position
}

// Keys are the bouncers of an installation. It is safe for concurrent use.
type Keys struct {
	db      *store.DB
	journal *journal.Journal

	mu     sync.Mutex
	byHash map[string]*key
	read   time.Time
}

// NewKeys makes the bouncers' keys over the store; every change is an entry of j.
func NewKeys(db *store.DB, j *journal.Journal) *Keys {
	return &Keys{db: db, journal: j, byHash: make(map[string]*key)}
}

func validName(name string) bool {
	ok, err := regexp.MatchString(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`, name)
	return ok && err == nil
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Add makes a bouncer and returns its key, which is shown this once: only its hash is kept. The errors are *decision.InputError, ErrExists and
// ErrFull.
func (k *Keys) Add(ctx context.Context, by decision.Actor, name string, now time.Time) (string, error) {
	if !validName(name) {
		return "", &decision.InputError{Field: "name", Problem: "has to be 1 to 63 letters, digits, dots, dashes and underscores"}
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	secret := hex.EncodeToString(random[:])
	err := k.db.Write(ctx, func(tx *sql.Tx) error {
		var same, all int
		if err := tx.QueryRowContext(ctx, sqlExists, name).Scan(&same); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, sqlCount).Scan(&all); err != nil {
			return err
		}
		switch {
		case same > 0:
			return ErrExists
		case all >= maxKeys:
			return ErrFull
		}
		if _, err := tx.ExecContext(ctx, sqlAdd, name, hashOf(secret), store.Micros(now), by.Name); err != nil {
			return err
		}
		return k.note(ctx, tx, by, "bouncer.add", name)
	})
	if err != nil {
		return "", fmt.Errorf("add bouncer: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	held := &key{Info: Info{Name: name, Created: now, CreatedBy: by.Name}, hash: hashOf(secret)}
	k.byHash[held.hash] = held
	return secret, nil
}

// Remove forgets a bouncer; its key opens nothing any more, on every node within ten seconds. ErrNotFound: there is none of the name.
func (k *Keys) Remove(ctx context.Context, by decision.Actor, name string) error {
	err := k.db.Write(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, sqlRemove, name)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrNotFound)
		}
		return k.note(ctx, tx, by, "bouncer.remove", name)
	})
	if err != nil {
		return fmt.Errorf("remove bouncer: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for hash, held := range k.byHash {
		if held.Name == name {
			delete(k.byHash, hash)
		}
	}
	return nil
}

func (k *Keys) note(ctx context.Context, tx *sql.Tx, by decision.Actor, action, name string) error {
	if by.Name == "" {
		return errors.New("nobody is answerable for the change")
	}
	after, err := json.Marshal(struct {
		Name string `json:"name"`
	}{name})
	if err != nil {
		return err
	}
	return k.journal.Append(ctx, tx, journal.Entry{Actor: by.Name, Origin: by.Origin, Action: action, Target: name, After: string(after)})
}

// List returns the bouncers by name.
func (k *Keys) List(ctx context.Context) ([]Info, error) {
	all, err := k.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("list bouncers: %w", err)
	}
	out := make([]Info, 0, len(all))
	for _, held := range all {
		out = append(out, held.Info)
	}
	return out, nil
}

func (k *Keys) load(ctx context.Context) ([]*key, error) {
	rows, err := k.db.QueryContext(ctx, sqlKeys, maxKeys)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []*key
	for rows.Next() {
		held := &key{}
		var created, used, pulled int64
		if err := rows.Scan(&held.Name, &held.hash, &created, &held.CreatedBy, &used, &held.Address, &held.Agent, &held.at.Revision, &pulled); err != nil {
			return nil, err
		}
		held.Created, held.LastUsed, held.at.At = store.FromMicros(created), store.FromMicros(used), store.FromMicros(pulled)
		all = append(all, held)
	}
	return all, rows.Err()
}

// reload reads all keys; those that are gone open nothing from here on.
func (k *Keys) reload(ctx context.Context, now time.Time) error {
	all, err := k.load(ctx)
	if err != nil {
		return fmt.Errorf("read bouncers: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	next := make(map[string]*key, len(all))
	for _, held := range all {
		next[held.hash] = held
	}
	k.byHash, k.read = next, now
	return nil
}

// find returns whose key the secret is. A key that is not known has the store asked, once a second at most whatever strangers send.
func (k *Keys) find(ctx context.Context, secret string, now time.Time) (key, bool) {
	hash := hashOf(secret)
	look := func() (key, bool, bool) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if held := k.byHash[hash]; held != nil {
			return *held, true, false
		}
		due := now.Sub(k.read) >= rereadKeys || now.Before(k.read)
		if due {
			k.read = now
		}
		return key{}, false, due
	}
	held, known, due := look()
	if known || !due {
		return held, known
	}
	if k.reload(ctx, now) != nil {
		return key{}, false
	}
	held, known, _ = look()
	return held, known
}

// used notes a use, and how far the bouncer has read, if that changed.
func (k *Keys) used(ctx context.Context, held key, now time.Time, address, agent string, at *decision.Position) error {
	agent = strings.ToValidUTF8(store.Text(agent), "")
	if len(agent) > maxAgent {
		agent = strings.ToValidUTF8(agent[:maxAgent], "")
	}
	err := k.db.Write(ctx, func(tx *sql.Tx) error {
		var err error
		if at == nil {
			_, err = tx.ExecContext(ctx, sqlUsed, store.Micros(now), address, agent, held.Name, held.hash)
		} else {
			_, err = tx.ExecContext(ctx, sqlPulled, store.Micros(now), address, agent, at.Revision, store.Micros(at.At), held.Name, held.hash)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("note use of bouncer %s: %w", held.Name, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if known := k.byHash[held.hash]; known != nil {
		next := *known
		next.LastUsed, next.Address, next.Agent = now, address, agent
		if at != nil {
			next.at = *at
		}
		k.byHash[held.hash] = &next
	}
	return nil
}
