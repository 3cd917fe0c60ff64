package exclusion

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
)

const (
	followEvery = 2 * time.Second // how often other nodes' changes are looked for
	storeLimit  = 5 * time.Second
)

var (
	// ErrNotFound is that no exclusion has the id, nor was made of a request with it.
	ErrNotFound = errors.New("no such exclusion")
	// ErrFull is that there are as many as may be.
	ErrFull = errors.New("there are " + strconv.Itoa(Max) + " exclusions, which are as many as may be")
)

// Actor is who takes an exclusion over, or undoes it.
type Actor struct{ Name, Origin string }

// Deps is what a list works with.
type Deps struct {
	DB      *store.DB
	Journal *journal.Journal
	Log     *slog.Logger
}

// List is the exclusions that administrators took over. It is safe for concurrent use.
type List struct {
	db      *store.DB
	journal *journal.Journal
	log     *slog.Logger

	mu   sync.Mutex
	seen int64 // the revision that all is of
	all  []Exclusion
	use  func([]Exclusion)
}

// Open reads the list.
func Open(ctx context.Context, deps Deps) (*List, error) {
	l := &List{db: deps.DB, journal: deps.Journal, log: deps.Log, seen: -1}
	if err := l.Follow(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// All are the exclusions by site and path.
func (l *List) All() []Exclusion {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// Use has f called with all exclusions, now and after each change before whoever made it is answered. There is one user.
func (l *List) Use(f func([]Exclusion)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.use = f
	f(slices.Clone(l.all))
}

// Covering is the exclusion in force that leaves out whatever x would.
func (l *List) Covering(x Exclusion) (Exclusion, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.all, func(e Exclusion) bool { return e.Covers(x) })
	if i < 0 {
		return Exclusion{}, false
	}
	return l.all[i], true
}

// Run takes up what other nodes changed until ctx ends. While the store is away, the list stays as it is.
func (l *List) Run(ctx context.Context) error {
	follow := time.NewTicker(followEvery)
	defer follow.Stop()
	away := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-follow.C:
		}
		err := l.Follow(ctx)
		if (err != nil) != away && ctx.Err() == nil {
			if away = err != nil; away {
				l.log.Warn("exclusions of the firewall go on as they are in memory: the store does not answer", slog.Any("error", err))
			} else {
				l.log.Info("exclusions of the firewall follow the store again")
			}
		}
	}
}

// Follow does once what Run does every two seconds.
func (l *List) Follow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	var head int64
	if err := l.db.QueryRowContext(ctx, sqlHead).Scan(&head); err != nil {
		return fmt.Errorf("follow exclusions: %w", err)
	}
	if head == l.seen {
		return nil
	}
	// A change in between is read twice, and none is left out: the head is older than the rows, never newer.
	all, err := rows(l.db.QueryContext(ctx, sqlAll, Max))
	if err != nil {
		return fmt.Errorf("read exclusions: %w", err)
	}
	l.seen, l.all = head, all
	if l.use != nil {
		l.use(slices.Clone(all))
	}
	return nil
}

func rows(found *sql.Rows, err error) ([]Exclusion, error) {
	if err != nil {
		return nil, err
	}
	defer found.Close()
	all := []Exclusion{}
	for found.Next() {
		var e Exclusion
		var created int64
		if err := found.Scan(&e.ID, &e.Site, &e.Path, &e.Rule, &e.Target, &e.Reason, &e.Request, &created, &e.By); err != nil {
			return nil, err
		}
		e.Created = store.FromMicros(created)
		all = append(all, e)
	}
	return all, found.Err()
}

// Add takes exclusions over, all or none. Those that stand already, or are covered by one that does, are returned as they are, and made says which
// are new. ErrFull, InputError: nothing is changed.
func (l *List) Add(ctx context.Context, by Actor, wanted []Exclusion, now time.Time) (standing []Exclusion, made []bool, err error) {
	if by.Name == "" {
		return nil, nil, errors.New("nobody is answerable for the change") // fails closed
	}
	wanted = slices.Clone(wanted)
	for i := range wanted {
		w := &wanted[i]
		w.ID, w.Created, w.By = "", now.UTC().Truncate(time.Microsecond), by.Name
		for _, text := range []*string{&w.Path, &w.Target, &w.Reason, &w.Request} {
			*text = strings.TrimSpace(store.Text(*text))
		}
		if err := w.check(); err != nil {
			return nil, nil, err
		}
	}
	err = l.db.Write(ctx, func(tx *sql.Tx) error {
		standing, made = nil, nil
		if _, err := tx.ExecContext(ctx, sqlTakeHead); err != nil {
			return err
		}
		for _, w := range wanted {
			e, isNew, err := l.addOne(ctx, tx, by, w)
			if err != nil {
				return err
			}
			standing, made = append(standing, e), append(made, isNew)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("add exclusions: %w", err)
	}
	l.changed(ctx)
	return standing, made, nil
}

// addOne adds an exclusion unless it stands.
func (l *List) addOne(ctx context.Context, tx *sql.Tx, by Actor, w Exclusion) (Exclusion, bool, error) {
	same, err := rows(tx.QueryContext(ctx, sqlSame, w.Site, w.Path, w.Rule, w.Target))
	if err != nil {
		return w, false, err
	}
	if len(same) > 0 {
		return same[0], false, nil
	}
	var count int
	if err := tx.QueryRowContext(ctx, sqlCount).Scan(&count); err != nil {
		return w, false, err
	}
	if count >= Max {
		return w, false, ErrFull
	}
	if w.ID, err = store.NewID(); err != nil {
		return w, false, err
	}
	if _, err := tx.ExecContext(ctx, sqlInsert, w.ID, w.Site, w.Path, w.Rule, w.Target, w.Reason, w.Request, store.Micros(w.Created), w.By); err != nil {
		return w, false, err
	}
	after, err := json.Marshal(w)
	if err != nil {
		return w, false, err
	}
	return w, true, l.journal.Append(ctx, tx, journal.Entry{Actor: by.Name, Origin: by.Origin, Action: "waf.exclude", Target: w.ID, After: string(after)})
}

// Delete undoes an exclusion by its id, or all that were made of a request by that one's. ErrNotFound: there is none.
func (l *List) Delete(ctx context.Context, by Actor, id, reason string) (gone []Exclusion, err error) {
	if by.Name == "" {
		return nil, errors.New("nobody is answerable for the change")
	}
	if reason = strings.TrimSpace(store.Text(reason)); len(reason) > maxReason {
		return nil, &InputError{"reason", fmt.Sprintf("has more than %d bytes", maxReason)}
	}
	id = store.Text(id)
	err = l.db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, sqlTakeHead); err != nil {
			return err
		}
		if gone, err = rows(tx.QueryContext(ctx, sqlNamed, strings.ToLower(id), strings.ToUpper(id))); err != nil {
			return err
		}
		if len(gone) == 0 || id == "" {
			return ErrNotFound
		}
		for _, e := range gone {
			if _, err := tx.ExecContext(ctx, sqlDelete, e.ID); err != nil {
				return err
			}
			if err := l.noteDelete(ctx, tx, by, e, reason); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("delete exclusion: %w", err)
	}
	l.changed(ctx)
	return gone, nil
}

func (l *List) noteDelete(ctx context.Context, tx *sql.Tx, by Actor, e Exclusion, reason string) error {
	before, err := json.Marshal(e)
	if err != nil {
		return err
	}
	entry := journal.Entry{Actor: by.Name, Origin: by.Origin, Action: "waf.exclusion-delete", Target: e.ID, Before: string(before)}
	if reason != "" {
		after, err := json.Marshal(struct {
			Reason string `json:"reason"`
		}{reason})
		if err != nil {
			return err
		}
		entry.After = string(after)
	}
	return l.journal.Append(ctx, tx, entry)
}

// changed takes up what this process has just stored. The change is made whatever comes of it: Run takes it up otherwise.
func (l *List) changed(ctx context.Context) {
	if err := l.Follow(context.WithoutCancel(ctx)); err != nil {
		l.log.Warn("take up exclusions of the firewall", slog.Any("error", err))
	}
}
