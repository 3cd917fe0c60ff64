package detect

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/ingest"
	"github.com/doorward/doorward/store"
)

const (
	saveEvery = time.Second // how much is read again after a crash, about
	saveShare = 20          // saving takes at most one part in so many of the time
	retryWait = time.Second // while the store cannot be used

	ownQueue    = 16_384 // of Doorward's own events that wait
	maxTogether = 255    // of them are judged before others get a turn
)

// judge makes proposals of what sources say: a jail, or the rules. It is for one goroutine at a time.
type judge interface {
	State() ([]byte, error)
	Restore([]byte) error
}

// intake is a source, and how what it says is brought before the judge.
type intake struct {
	ingest.Source
	take   func(b ingest.Batch, now time.Time) []decision.Proposal
	before *atomic.Bool // set when there is a place up to which it was read before
}

// pipeline leads from sources to a judge, and from there to the door. What was read counts once: the places in the sources and
// what the judge has counted up to there are saved together, and what is read again after a crash gives proposals with keys that
// the door knows.
type pipeline struct {
	name    string
	sources []intake
	judge   judge
	own     *ownEvents // Doorward's own events too, unless it is nil
	door    *decision.List
	db      *store.DB
	log     *slog.Logger

	mu        sync.Mutex // holds judge, positions and dirty together
	positions map[place][]byte
	dirty     map[place]bool

	// For those who must not wait, as mu is held while the store is away.
	seen   atomic.Pointer[counters]
	places atomic.Pointer[map[place]string]
}

// counters are those of a pipeline's judge, of either kind.
type counters struct {
	jail  JailCounters
	rules RuleCounters
}

// note publishes the counters of the judge; mu must be held.
func (p *pipeline) note() {
	var c counters
	switch j := p.judge.(type) {
	case *Jail:
		c.jail = j.Counters()
	case *RuleJudge:
		c.rules = j.Counters()
	}
	p.seen.Store(&c)
}

// counters are as of the last batch; it never waits.
func (p *pipeline) counters() counters {
	if c := p.seen.Load(); c != nil {
		return *c
	}
	return counters{}
}

// place is where in a source something stands.
type place struct{ source, key string }

// maxPlaces is how many places of one source are told.
const maxPlaces = 100

// placesOf says how far the source is in each of what it reads. It never waits.
func (p *pipeline) placesOf(source string) []SourcePlace {
	if p.mu.TryLock() {
		all := make(map[place]string, len(p.positions))
		for at, position := range p.positions {
			all[at] = ingest.PlaceText(position)
		}
		p.mu.Unlock()
		p.places.Store(&all)
	}
	var out []SourcePlace
	if all := p.places.Load(); all != nil {
		for at, text := range *all {
			if at.source == source {
				out = append(out, SourcePlace{Of: at.key, At: text})
			}
		}
	}
	slices.SortFunc(out, func(a, b SourcePlace) int { return strings.Compare(a.Of, b.Of) })
	return out[:min(len(out), maxPlaces)]
}

// run reads until ctx ends.
func (p *pipeline) run(ctx context.Context) error {
	if err := p.load(ctx); err != nil {
		return fmt.Errorf("pipeline %s: %w", p.name, err)
	}
	if p.own != nil {
		if err := p.resume(ctx); err != nil {
			return fmt.Errorf("pipeline %s: %w", p.name, err)
		}
	}
	var sources sync.WaitGroup
	reading, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, len(p.sources))
	for _, s := range p.sources {
		from := p.placesBefore(s.Name())
		s.before.Store(len(from) > 0)
		sources.Go(func() {
			err := s.Run(reading, from, func(ctx context.Context, b ingest.Batch) error { return p.take(ctx, s, b) })
			if err != nil && reading.Err() == nil {
				failed <- fmt.Errorf("pipeline %s: source %s: %w", p.name, s.Name(), err)
				stop()
			}
		})
	}
	if p.own != nil {
		sources.Go(func() { p.follow(reading) })
	}
	p.saveRegularly(reading)
	sources.Wait()
	// What was read until now need not be read again.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := p.save(last, time.Now(), false)
	select {
	case bad := <-failed:
		return errors.Join(bad, err)
	default:
		return errors.Join(ctx.Err(), err)
	}
}

// placesBefore are the places of a source that were saved, as copies: sources that run already move theirs.
func (p *pipeline) placesBefore(source string) map[string][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := map[string][]byte{}
	for at, position := range p.positions {
		if at.source == source {
			from[at.key] = bytes.Clone(position)
		}
	}
	return from
}

// take has a batch judged. It returns nil when what follows of it is decided, and the batch counts.
func (p *pipeline) take(ctx context.Context, from intake, b ingest.Batch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	all := from.take(b, now)
	p.note()
	if err := p.decide(ctx, all, now); err != nil {
		return err
	}
	if len(b.Position) > 0 {
		at := place{from.Name(), b.Key}
		p.positions[at] = append(p.positions[at][:0], b.Position...)
		p.dirty[at] = true
	}
	return nil
}

// decide brings proposals to the door, again and again while the store cannot be used: the lines wait in their files meanwhile.
func (p *pipeline) decide(ctx context.Context, all []decision.Proposal, now time.Time) error {
	for len(all) > 0 {
		some := all[:min(len(all), decision.MaxBatch)]
		_, err := p.door.DecideAll(ctx, some, now)
		if err == nil {
			all = all[len(some):]
			continue
		}
		p.log.Warn("decide", slog.String("pipeline", p.name), slog.Any("error", err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryWait):
		}
	}
	return nil
}

// saveRegularly saves what changed until ctx ends; a judge with much to save is saved less often.
func (p *pipeline) saveRegularly(ctx context.Context) {
	wait := saveEvery
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		began := time.Now()
		if err := p.save(ctx, began, false); err != nil && ctx.Err() == nil {
			p.log.Warn("save what was read", slog.String("pipeline", p.name), slog.Any("error", err))
		}
		wait = max(saveEvery, saveShare*time.Since(began))
	}
}

// save writes the places and the state of the judge, if anything was read since, or if it must.
func (p *pipeline) save(ctx context.Context, now time.Time, must bool) error {
	mark := p.lookAhead(ctx, now)
	p.mu.Lock()
	if own := p.own; own != nil && (own.fresh || must) {
		if own.mark == nil {
			own.mark = mark
		}
		p.positions[ownPlace], p.dirty[ownPlace] = own.position(), true
		own.fresh = false
	}
	if len(p.dirty) == 0 {
		p.mu.Unlock()
		return nil
	}
	state, err := p.judge.State()
	positions := map[place]string{}
	for at := range p.dirty {
		positions[at] = hex.EncodeToString(p.positions[at])
	}
	dirty := p.dirty
	p.dirty = map[place]bool{}
	p.mu.Unlock()
	if err == nil {
		// What is lost of it with the machine's power is read again, and the door knows the keys: nobody has to wait for the disk.
		err = p.db.WriteLazily(ctx, func(tx *sql.Tx) error {
			for at, position := range positions {
				if _, err := tx.ExecContext(ctx, sqlSavePosition, p.name, at.source, store.Text(at.key), position, store.Micros(now)); err != nil {
					return err
				}
			}
			_, err := tx.ExecContext(ctx, sqlSaveState, p.name, hex.EncodeToString(state), store.Micros(now))
			return err
		})
	}
	if err != nil {
		p.mu.Lock()
		for at := range dirty {
			p.dirty[at] = true
		}
		p.mu.Unlock()
		return fmt.Errorf("save places: %w", err)
	}
	return nil
}

// lookAhead marks where the store of Doorward's own events ends, if that is to be saved.
func (p *pipeline) lookAhead(ctx context.Context, now time.Time) *ownMark {
	if p.own == nil {
		return nil
	}
	p.mu.Lock()
	wanted := p.own.fresh && p.own.mark == nil
	p.mu.Unlock()
	if !wanted {
		return nil
	}
	mark, err := p.own.look(ctx, now)
	if err != nil { // the place stays behind
		p.log.Warn("look at the event log", slog.Any("error", err))
		return nil
	}
	return mark
}

// load reads where to go on.
func (p *pipeline) load(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.positions, p.dirty = map[place][]byte{}, map[place]bool{}
	rows, err := p.db.QueryContext(ctx, sqlPositions, p.name)
	if err != nil {
		return fmt.Errorf("read places: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var at place
		var text string
		if err := rows.Scan(&at.source, &at.key, &text); err != nil {
			return fmt.Errorf("read places: %w", err)
		}
		if p.positions[at], err = hex.DecodeString(text); err != nil {
			return fmt.Errorf("read places: %s: %w", at.key, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read places: %w", err)
	}
	var text string
	err = p.db.QueryRowContext(ctx, sqlState, p.name).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	state, err := hex.DecodeString(text)
	if err == nil {
		err = p.judge.Restore(state)
	}
	if err != nil { // of another version, or of other rules: the counts begin anew, and nothing is read twice
		p.log.Warn("what was counted before is not taken up", slog.String("pipeline", p.name), slog.Any("error", err))
	}
	return nil
}
