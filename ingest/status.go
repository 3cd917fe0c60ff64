package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// status is what a source says of itself.
type status struct {
	mu     sync.Mutex
	health Health
}

// Health says how the source is. It is safe to call while Run runs.
func (s *status) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.health
}

func (s *status) count(change func(*Health)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.health)
}

// counted counts records that were given on.
func (s *status) counted(records []Record) {
	s.count(func(h *Health) {
		h.Last = time.Now()
		h.Records += uint64(len(records))
		for i := range records {
			if records[i].Cut {
				h.Cut++
			}
			if records[i].Malformed {
				h.Malformed++
			}
		}
	})
}

// again runs once until ctx ends or a batch was refused, with a pause after each failure that grows.
func (s *status) again(ctx context.Context, once func() error) error {
	s.count(func(h *Health) { h.Since = time.Now() })
	pause := firstPause
	for {
		began := time.Now()
		err := once()
		var used usedError
		if errors.As(err, &used) {
			return used.error
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			s.count(func(h *Health) { h.Problem = err.Error() })
		}
		if time.Since(began) > steady {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, longestWait)
	}
}

// Silent says that nothing was read for longer than after (0: never), which is an alarm: a source that says nothing is switched
// off, broken or cut off (F-16).
func (h Health) Silent(after time.Duration, now time.Time) bool {
	last := h.Since
	if h.Last.After(last) {
		last = h.Last
	}
	return after > 0 && !last.IsZero() && now.Sub(last) > after
}

// PlaceText says for people how far a Position is: a byte of a file, a time of the journal, a value of a query's column.
func PlaceText(saved []byte) string {
	var files position
	if json.Unmarshal(saved, &files) == nil && len(files.Files) > 0 {
		text := fmt.Sprintf("byte %d", files.Files[len(files.Files)-1].Offset)
		if n := len(files.Files); n > 1 {
			text += fmt.Sprintf(", after %d older files", n-1)
		}
		return text
	}
	var at cursor
	if json.Unmarshal(saved, &at) == nil && at.Time > 0 {
		return time.UnixMicro(at.Time).UTC().Format(time.RFC3339Nano)
	}
	return string(saved[:min(len(saved), 64)])
}
