package event

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/doorward/doorward/store"
)

const (
	// tick is the longest that an event waits to be written while the store is well.
	tick = 250 * time.Millisecond
	// batchChunks bounds what one transaction writes (4,096 events).
	batchChunks = 16
	// writeLimit bounds one batch, so that a store that hangs is noticed.
	writeLimit = 10 * time.Second
	// longestPause is the longest between two tries while the store is away.
	longestPause = 5 * time.Second
	// lastLimit bounds the writing of what is left when Run ends.
	lastLimit = 5 * time.Second
	// sweep is how often retention looks for days to remove.
	sweep = time.Hour
)

// Run writes what is appended, every 250 ms or as soon as a batch is full, and removes days that are older
// than the retention, at once and every hour. When ctx ends it writes what is left, for 5 seconds at most,
// and returns nil. While the store is away it keeps trying, and says so in the log once.
func (l *Log) Run(ctx context.Context) error {
	l.running.Lock()
	defer l.running.Unlock()
	if l.closed.Load() {
		return errors.New("run event log: it is closed")
	}
	w := writer{log: l, encoder: newEncoder()}
	l.sweep(ctx, time.Now())
	ticks, sweeps := time.NewTicker(tick), time.NewTicker(sweep)
	defer ticks.Stop()
	defer sweeps.Stop()
	for {
		select {
		case <-ctx.Done():
			w.finish(context.WithoutCancel(ctx))
			return nil
		case <-sweeps.C:
			l.sweep(ctx, time.Now())
		case <-ticks.C:
			w.drain(ctx)
		case <-l.queue.wake:
			w.drain(ctx)
		}
	}
}

// writer moves events from the queue to the archive. Only Run uses it.
type writer struct {
	log     *Log
	encoder *encoder
	cleaner cleaner
	batch   [][]Event // taken and not yet settled
	rows    int       // rows of the batch that are already stored: the days before the one that failed
	pause   time.Duration
	retryAt time.Time
}

// finish writes what is left when Run ends, and says what could not be written.
func (w *writer) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastLimit)
	defer cancel()
	w.retryAt = time.Time{}
	w.drain(ctx)
	if _, _, queued := w.log.queue.stats(); queued > 0 {
		w.log.log.Error("events are lost: the event store was away at the end", slog.Int("events", queued))
	}
}

// drain writes batches until the queue is empty or the store fails.
func (w *writer) drain(ctx context.Context) {
	if time.Now().Before(w.retryAt) {
		return
	}
	for {
		if w.batch == nil {
			w.batch = w.log.queue.take()
			if len(w.batch) == 0 {
				w.batch = nil
				return
			}
			w.prepare(time.Now())
		}
		if !w.write(ctx) {
			return
		}
		w.log.queue.settle(w.batch)
		w.batch = nil
	}
}

// prepare cleans and encodes the batch, in the order of time, in which the rows will stand.
func (w *writer) prepare(now time.Time) {
	oldest := oldestKept(now, w.log.cfg.RetentionDays).time()
	w.encoder.reset()
	w.rows = 0
	for _, chunk := range w.batch {
		for i := range chunk {
			w.cleaner.clean(&chunk[i], now, oldest)
			w.encoder.add(&chunk[i])
		}
	}
	slices.SortStableFunc(w.encoder.rows, compareRows)
	w.log.cleaned.Store(w.cleaner.cleaned)
	w.log.truncated.Store(w.cleaner.truncated)
	w.log.retimed.Store(w.cleaner.retimed)
}

// compareRows orders rows as they stand in the store.
func compareRows(a, b row) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.tail&orderMask, b.tail&orderMask))
}

// write stores the rows of the batch that are left, day by day; false when the store is away.
func (w *writer) write(ctx context.Context) bool {
	for w.rows < len(w.encoder.rows) {
		rest := w.encoder.rows[w.rows:]
		d := dayOf(time.UnixMicro(rest[0].at))
		n, _ := slices.BinarySearchFunc(rest, (d + 1).start(), func(r row, at int64) int { return cmp.Compare(r.at, at) })
		limited, cancel := context.WithTimeout(ctx, writeLimit)
		err := w.log.archive.write(limited, d, rest[:n])
		if err != nil && !store.Unavailable(err) && ctx.Err() == nil {
			err = w.writeEach(limited, d, rest[:n], err)
		} else if err == nil {
			w.log.written.Add(uint64(n))
		}
		cancel()
		if err != nil {
			if ctx.Err() == nil { // else it is us who stop, and finish tries once more
				w.failed(err)
			}
			return false
		}
		w.rows += n
	}
	if w.pause > 0 {
		_, dropped, queued := w.log.queue.stats()
		w.log.log.Info("event store is back", slog.Int("queued", queued), slog.Uint64("dropped", dropped))
		w.pause = 0
	}
	return true
}

// writeEach stores rows one by one after the store refused them together, so that one row that can never
// be stored does not hold up all others. It returns an error only when the store is away.
func (w *writer) writeEach(ctx context.Context, d day, rows []row, cause error) error {
	refused := 0
	for i := range rows {
		err := w.log.archive.write(ctx, d, rows[i:i+1])
		switch {
		case err == nil:
			w.log.written.Add(1)
		case store.Unavailable(err) || ctx.Err() != nil:
			w.rows += i
			return err
		default:
			refused++
			cause = err
		}
	}
	if refused > 0 {
		w.log.failed.Add(uint64(refused))
		w.log.log.Error("event store refuses events", slog.Int("events", refused), slog.Any("error", cause))
	}
	return nil
}

// failed plans the next try, later each time.
func (w *writer) failed(err error) {
	if w.pause == 0 {
		w.log.log.Error("event store is away: events wait in memory", slog.Any("error", err))
	}
	w.pause = min(max(2*w.pause, tick), longestPause)
	w.retryAt = time.Now().Add(w.pause)
}

// oldestKept is the oldest day that retention keeps at now.
func oldestKept(now time.Time, days int) day { return dayOf(now) - day(days) + 1 }

// sweep removes the days that retention does not keep at now.
func (l *Log) sweep(ctx context.Context, now time.Time) {
	if _, err := l.Expire(ctx, now); err != nil {
		l.log.Error("remove old events", slog.Any("error", err))
	}
}
