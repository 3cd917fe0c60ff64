package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/doorward/doorward/store"
)

// Entry is one administrative action.
type Entry struct {
	// Index is the entry's place in the journal, from 0; Append sets it.
	Index int64
	// Time is when the action happened, to the microsecond; Append sets it when it is zero.
	Time time.Time
	// Actor is who acted ("demo-owner", "cli:root") and Origin from where (an address, "local").
	Actor, Origin string
	// Action says what was done ("user.add") and Target to what ("demo-agent").
	Action, Target string
	// Before and After are JSON of what changed, or empty.
	Before, After string
}

// ActionBroken is the action of the entry that the journal writes by itself when it finds, at an append,
// that the signed head does not fit what is stored. Its Before is the head that was found. From then on
// Verify reports it: whoever changed the journal cannot have the next honest append cover it up.
const ActionBroken = "journal.broken"

// Journal appends entries and verifies them. It is safe for concurrent use.
type Journal struct {
	db       *store.DB
	signer   note.Signer
	verifier note.Verifier
	key      string
}

// Open prepares the journal in db. Its signing key is in keyFile (mode 0600), made at the first use.
//
// Once the journal has entries, a missing key file is an error: heads signed with a new key would hide
// whatever happened to the old ones. When a key is lost for good, an empty file in its place starts a new
// key, and the journal records that it did (ActionBroken).
//
// A daemon and a command that start together on a new data folder come by one key: they go in one after the other.
func Open(ctx context.Context, db *store.DB, keyFile string) (*Journal, error) {
	unlock, err := lockFolder(filepath.Dir(keyFile))
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	defer unlock()
	size, head, err := readHead(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	secret, begun, err := loadKey(keyFile, size > 0)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	signer, verifier, public, err := keyPair(secret)
	if err != nil {
		return nil, fmt.Errorf("open journal: key in %s: %w", keyFile, err)
	}
	j := &Journal{db: db, signer: signer, verifier: verifier, key: public}
	if _, err := j.openHead(head); head == "" || !errors.Is(err, errOtherKey) {
		return j, nil
	}
	if !begun {
		// A gateway that shares the database but has a key of its own would take every head for forged.
		return nil, fmt.Errorf("open journal: %w than the one in %s: %s", errOtherKey, keyFile, keyHint)
	}
	err = db.Write(ctx, func(tx *sql.Tx) error {
		return j.Append(ctx, tx, Entry{Actor: "doorward", Origin: "local", Action: "journal.key", Target: public})
	})
	if err != nil {
		return nil, fmt.Errorf("open journal: record the new key: %w", err)
	}
	return j, nil
}

// VerifierKey is the public key that the heads are signed with, in the form of sumdb/note, for those who
// check a kept head without Doorward.
func (j *Journal) VerifierKey() string { return j.key }

// Append writes e as the next entry, in the transaction of the action it records: both stay or neither.
// It sets Index, and Time when that is zero, and replaces bytes that are not text. The entry is there for
// others once tx is committed; until then every other append waits.
func (j *Journal) Append(ctx context.Context, tx *sql.Tx, e Entry) error {
	if err := j.append(ctx, tx, e); err != nil {
		return fmt.Errorf("append %s to journal: %w", e.Action, err)
	}
	return nil
}

func (j *Journal) append(ctx context.Context, tx *sql.Tx, e Entry) error {
	t, found, err := j.take(ctx, tx)
	if err != nil {
		return err
	}
	if broken := j.judgeHead(t, found); broken != "" {
		record := Entry{Actor: "doorward", Origin: "local", Action: ActionBroken, Target: broken, Before: found}
		if err := j.add(ctx, tx, t, record); err != nil {
			return err
		}
		var size int64
		if err := tx.QueryRowContext(ctx, sqlTakeHead).Scan(&size, &found); err != nil {
			return fmt.Errorf("take head: %w", err)
		}
	}
	if err := j.add(ctx, tx, t, e); err != nil {
		return err
	}
	head, err := j.sign(t)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, sqlSetNote, head); err != nil {
		return fmt.Errorf("write head: %w", err)
	}
	return nil
}

// take locks the head row for this transaction and reads the tree up to it.
func (j *Journal) take(ctx context.Context, tx *sql.Tx) (*tree, string, error) {
	var size int64
	var found string
	if err := tx.QueryRowContext(ctx, sqlTakeHead).Scan(&size, &found); err != nil {
		return nil, "", fmt.Errorf("take head: %w", err)
	}
	t, err := readTree(ctx, tx, size-1)
	if err != nil {
		return nil, "", err
	}
	return t, found, nil
}

// judgeHead tells in words what is wrong with the head found, "" when it covers exactly the tree t.
func (j *Journal) judgeHead(t *tree, found string) string {
	if found == "" && t.size == 0 {
		return ""
	}
	head, err := j.openHead(found)
	if err != nil {
		return err.Error()
	}
	root, err := t.root()
	if err != nil {
		return err.Error()
	}
	if head.N != t.size || head.Hash != root {
		return fmt.Sprintf("the signed head covers %d entries and is not the head of the %d that are stored", head.N, t.size)
	}
	return ""
}

// add writes e and the hashes it completes at the end of t.
func (j *Journal) add(ctx context.Context, tx *sql.Tx, t *tree, e Entry) error {
	e.clean()
	e.Index = t.size
	_, err := tx.ExecContext(ctx, sqlAddEntry, e.Index, store.Micros(e.Time), e.Actor, e.Origin, e.Action, e.Target, e.Before, e.After)
	if err != nil {
		return fmt.Errorf("write entry: %w", err)
	}
	first := tlog.StoredHashIndex(0, t.size)
	hashes, err := t.add(e.leaf())
	if err != nil {
		return err
	}
	for i, hash := range hashes {
		if _, err := tx.ExecContext(ctx, sqlAddHash, first+int64(i), formatHash(hash)); err != nil {
			return fmt.Errorf("write hash: %w", err)
		}
	}
	return nil
}

// Entries returns up to limit entries (1,000 at most), oldest first, beginning with index from.
func (j *Journal) Entries(ctx context.Context, from int64, limit int) ([]Entry, error) {
	rows, err := j.db.QueryContext(ctx, sqlEntries, from, min(max(limit, 0), pageSize))
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer rows.Close()
	var entries []Entry
	for rows.Next() {
		var e Entry
		var at int64
		if err := rows.Scan(&e.Index, &at, &e.Actor, &e.Origin, &e.Action, &e.Target, &e.Before, &e.After); err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		e.Time = store.FromMicros(at)
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return entries, nil
}

// Head returns the signed head: a note that names the number of entries and the root of the tree over
// them. It is empty while nothing was ever written. Keep it away from this machine, and Verify against it.
func (j *Journal) Head(ctx context.Context) (string, error) {
	_, head, err := readHead(ctx, j.db)
	if err != nil {
		return "", fmt.Errorf("read journal head: %w", err)
	}
	return head, nil
}

func readHead(ctx context.Context, db *store.DB) (size int64, head string, err error) {
	err = db.QueryRowContext(ctx, sqlGetHead).Scan(&size, &head)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", errors.New("the head row is missing")
	}
	return size, head, err
}
