// Package register keeps what people say about controls: attestations with their evidence, waivers that end, the systems
// that belong to the installation, and what other scanners have found.
//
// It knows the store and the journal. It does not know what a control asks, nor whether it passes.
package register

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
)

// Kind is what a statement does.
type Kind string

// The kinds. An attestation answers a control's question; a waiver accepts that the control is not in force.
const (
	Attestation Kind = "attestation"
	Waiver      Kind = "waiver"
)

// Statement is what a person says about one control, until a day. It is never changed, only ended.
type Statement struct {
	ID      string `json:"id"`
	Kind    Kind   `json:"kind"`
	Control string `json:"control"`
	// Finding is the id of the one finding of an imported scan that a waiver accepts; empty: the whole control.
	Finding  string    `json:"finding,omitempty"`
	Owner    string    `json:"owner"` // who stands for it
	Text     string    `json:"text"`  // the answer, or the waiver's reason
	Evidence string    `json:"evidence,omitempty"`
	Made     time.Time `json:"made"`
	Until    time.Time `json:"until"`
	By       string    `json:"by"` // the actor who wrote it down
}

// Asset is one system that belongs to the installation, or talks to it (I-10, F-13, F-14).
type Asset struct {
	Name           string    `json:"name"`
	Address        string    `json:"address,omitempty"`
	Zone           string    `json:"zone"`
	Classification string    `json:"classification"` // public, internal, confidential, secret
	Owner          string    `json:"owner"`
	Note           string    `json:"note,omitempty"`
	Reviewed       time.Time `json:"reviewed"`
	Until          time.Time `json:"until"` // when it has to be looked at again
}

// Classifications lists what an asset's data can be.
func Classifications() []string { return []string{"public", "internal", "confidential", "secret"} }

// Actor is who writes something down.
type Actor struct{ Name, Origin string }

// Bounds. Only people with a privilege add statements, but a script of theirs may run away.
const (
	maxText       = 2000  // bytes of one text
	maxStatements = 10000 // in the store, ended ones included
	maxAssets     = 5000
	longest       = 3 * 366 * 24 * time.Hour
)

// InputError says which part of a statement or asset cannot be accepted, and why.
type InputError struct{ Field, Problem string }

// Error is the sentence.
func (e *InputError) Error() string { return e.Field + " " + e.Problem }

var (
	// ErrNotFound is that there is no such statement or asset, or it has ended already.
	ErrNotFound = errors.New("not found")
	// ErrFull is that there are as many as may be.
	ErrFull = errors.New("the register is full")
)

// Register keeps statements and assets. It is safe for concurrent use.
type Register struct {
	db      *store.DB
	journal *journal.Journal
}

// New makes the register over the store. Every change is an entry of j, in the change's own transaction.
func New(db *store.DB, j *journal.Journal) *Register { return &Register{db, j} }

// Add writes a statement down and returns it with its id.
func (r *Register) Add(ctx context.Context, by Actor, s Statement, now time.Time) (Statement, error) {
	s.Made, s.By, s.Until = now.UTC().Truncate(time.Microsecond), by.Name, s.Until.UTC().Truncate(time.Microsecond)
	for _, text := range []*string{&s.Control, &s.Owner, &s.Text, &s.Evidence} {
		*text = strings.TrimSpace(store.Text(*text))
	}
	if err := s.check(now); err != nil {
		return Statement{}, err
	}
	err := r.db.Write(ctx, func(tx *sql.Tx) error {
		if err := room(ctx, tx, sqlCountStatements, maxStatements); err != nil {
			return err
		}
		var err error
		if s.ID, err = store.NewID(); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, sqlInsertStatement, s.ID, s.Kind, s.Control, s.Finding, s.Owner, s.Text, s.Evidence,
			store.Micros(s.Made), store.Micros(s.Until), s.By); err != nil {
			return fmt.Errorf("insert statement: %w", err)
		}
		return r.note(ctx, tx, by, "audit."+string(s.Kind), s.Control, s)
	})
	if err != nil {
		return Statement{}, fmt.Errorf("add %s: %w", s.Kind, err)
	}
	return s, nil
}

func (s Statement) check(now time.Time) error {
	switch {
	case s.Kind != Attestation && s.Kind != Waiver:
		return &InputError{"kind", "has to be attestation or waiver"}
	case s.Control == "" || len(s.Control) > 20:
		return &InputError{"control", "has to be the id of a control, such as I-03"}
	case s.Finding != "" && (s.Kind != Waiver || !findingID.MatchString(s.Finding)):
		return &InputError{"finding", "has to be the id of a scan's finding, and only a waiver has one"}
	case s.Owner == "" || len(s.Owner) > 200:
		return &InputError{"owner", "has to say in 1 to 200 bytes who stands for it"}
	case s.Text == "" || len(s.Text) > maxText:
		return &InputError{"text", fmt.Sprintf("has to say in 1 to %d bytes what is so, and why", maxText)}
	case len(s.Evidence) > maxText:
		return &InputError{"evidence", fmt.Sprintf("has more than %d bytes", maxText)}
	case !s.Until.After(now):
		return &InputError{"until", "has to be in the future"}
	case s.Until.Sub(now) > longest:
		return &InputError{"until", "is more than three years away; what nobody looks at for so long is not known"}
	}
	return nil
}

// Statements lists those that have not been ended, the newest first; those whose day is past are among them, because their
// controls have to say so.
func (r *Register) Statements(ctx context.Context) ([]Statement, error) {
	rows, err := r.db.QueryContext(ctx, sqlStatements, maxStatements)
	if err != nil {
		return nil, fmt.Errorf("list statements: %w", err)
	}
	defer rows.Close()
	all := []Statement{}
	for rows.Next() {
		var s Statement
		var made, until int64
		if err := rows.Scan(&s.ID, &s.Kind, &s.Control, &s.Finding, &s.Owner, &s.Text, &s.Evidence, &made, &until, &s.By); err != nil {
			return nil, fmt.Errorf("read statement: %w", err)
		}
		s.Made, s.Until = store.FromMicros(made), store.FromMicros(until)
		all = append(all, s)
	}
	return all, rows.Err()
}

// End takes a statement back. ErrNotFound: there is none of that id, or it was ended before.
func (r *Register) End(ctx context.Context, by Actor, id string, now time.Time) error {
	err := r.db.Write(ctx, func(tx *sql.Tx) error {
		if err := changed(tx.ExecContext(ctx, sqlEndStatement, store.Micros(now), id)); err != nil {
			return err
		}
		return r.note(ctx, tx, by, "audit.statement-end", id, nil)
	})
	if err != nil {
		return fmt.Errorf("end statement: %w", err)
	}
	return nil
}

// SetAsset adds an asset, or replaces the one of its name.
func (r *Register) SetAsset(ctx context.Context, by Actor, a Asset, now time.Time) (Asset, error) {
	a.Reviewed, a.Until = now.UTC().Truncate(time.Microsecond), a.Until.UTC().Truncate(time.Microsecond)
	for _, text := range []*string{&a.Name, &a.Address, &a.Zone, &a.Owner, &a.Note} {
		*text = strings.TrimSpace(store.Text(*text))
	}
	if err := a.check(now); err != nil {
		return Asset{}, err
	}
	err := r.db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, sqlDeleteAsset, a.Name); err != nil {
			return fmt.Errorf("replace asset: %w", err)
		}
		if err := room(ctx, tx, sqlCountAssets, maxAssets); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, sqlInsertAsset, a.Name, a.Address, a.Zone, a.Classification, a.Owner, a.Note, store.Micros(a.Reviewed),
			store.Micros(a.Until)); err != nil {
			return fmt.Errorf("insert asset: %w", err)
		}
		return r.note(ctx, tx, by, "audit.asset-set", a.Name, a)
	})
	if err != nil {
		return Asset{}, fmt.Errorf("set asset: %w", err)
	}
	return a, nil
}

func (a Asset) check(now time.Time) error {
	known := false
	for _, c := range Classifications() {
		known = known || c == a.Classification
	}
	switch {
	case a.Name == "" || len(a.Name) > 200:
		return &InputError{"name", "has to have 1 to 200 bytes"}
	case a.Zone == "" || len(a.Zone) > 100:
		return &InputError{"zone", "has to say in 1 to 100 bytes where the system stands, such as dmz or database"}
	case !known:
		return &InputError{"classification", "has to be one of " + strings.Join(Classifications(), ", ")}
	case a.Owner == "" || len(a.Owner) > 200:
		return &InputError{"owner", "has to say in 1 to 200 bytes who stands for it"}
	case len(a.Address) > 300 || len(a.Note) > maxText:
		return &InputError{"address", "or note is too long"}
	case !a.Until.After(now) || a.Until.Sub(now) > longest:
		return &InputError{"until", "has to be in the future, and within three years"}
	}
	return nil
}

// Assets lists all, by name.
func (r *Register) Assets(ctx context.Context) ([]Asset, error) {
	rows, err := r.db.QueryContext(ctx, sqlAssets, maxAssets)
	if err != nil {
		return nil, fmt.Errorf("list assets: %w", err)
	}
	defer rows.Close()
	all := []Asset{}
	for rows.Next() {
		var a Asset
		var reviewed, until int64
		if err := rows.Scan(&a.Name, &a.Address, &a.Zone, &a.Classification, &a.Owner, &a.Note, &reviewed, &until); err != nil {
			return nil, fmt.Errorf("read asset: %w", err)
		}
		a.Reviewed, a.Until = store.FromMicros(reviewed), store.FromMicros(until)
		all = append(all, a)
	}
	return all, rows.Err()
}

// RemoveAsset forgets an asset. ErrNotFound: there is none of that name.
func (r *Register) RemoveAsset(ctx context.Context, by Actor, name string) error {
	err := r.db.Write(ctx, func(tx *sql.Tx) error {
		if err := changed(tx.ExecContext(ctx, sqlDeleteAsset, name)); err != nil {
			return err
		}
		return r.note(ctx, tx, by, "audit.asset-remove", name, nil)
	})
	if err != nil {
		return fmt.Errorf("remove asset: %w", err)
	}
	return nil
}

// note writes the change into the journal.
func (r *Register) note(ctx context.Context, tx *sql.Tx, by Actor, action, target string, after any) error {
	e := journal.Entry{Actor: by.Name, Origin: by.Origin, Action: action, Target: target}
	if after != nil {
		text, err := json.Marshal(after)
		if err != nil {
			return err
		}
		e.After = string(text)
	}
	return r.journal.Append(ctx, tx, e)
}

// room says ErrFull where a table has as many rows as it may.
func room(ctx context.Context, tx *sql.Tx, count string, most int) error {
	var n int
	if err := tx.QueryRowContext(ctx, count).Scan(&n); err != nil {
		return fmt.Errorf("count: %w", err)
	}
	if n >= most {
		return ErrFull
	}
	return nil
}

// changed says ErrNotFound where a statement changed nothing.
func changed(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}
