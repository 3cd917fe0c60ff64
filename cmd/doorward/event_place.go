package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/wholefile"
)

// place is how far a reader of the log has come: for each day, because an event that states an older time arrives at the end of
// an older day.
type place struct {
	Version int                 `json:"version"`
	Target  string              `json:"target"`         // where the events go
	Size    int64               `json:"size,omitempty"` // of the file they go to
	Days    map[string]dayPlace `json:"days"`
}

// dayPlace is how much of a day was read.
type dayPlace struct {
	Batch int64 `json:"batch"`
	Skip  int   `json:"skip,omitempty"`
}

// endOfLog is the place behind all that is there.
func endOfLog(ctx context.Context, client *api.Client) (*place, error) {
	days, err := client.EventDays(ctx)
	if err != nil {
		return nil, err
	}
	p := &place{Version: 1, Days: map[string]dayPlace{}}
	for _, d := range days {
		p.Days[d.Day] = dayPlace{Batch: d.Batch}
	}
	return p, nil
}

// read passes what q selects of all that came since, the oldest day first, and moves the place after each part that use has taken.
func (p *place) read(ctx context.Context, client *api.Client, q api.EventQuery, use func([]api.Event) error) error {
	days, err := client.EventDays(ctx)
	if err != nil {
		return err
	}
	kept := map[string]bool{}
	for _, d := range days {
		kept[d.Day] = true
		for at := p.Days[d.Day]; at.Batch < d.Batch; {
			feed, err := client.EventFeed(ctx, q, d.Day, at.Batch, at.Skip)
			var gone *api.Error
			if errors.As(err, &gone) && gone.Status == 404 {
				break // the day's time was over meanwhile
			}
			if err != nil {
				return err
			}
			next := dayPlace{Batch: feed.Batch, Skip: feed.Skip}
			if next == at {
				break
			}
			before := at
			at = next
			p.Days[d.Day] = at
			if err := use(feed.Events); err != nil {
				p.Days[d.Day] = before
				return err
			}
		}
	}
	for day := range p.Days {
		if !kept[day] {
			delete(p.Days, day)
		}
	}
	return nil
}

// readPlace reads a saved place; nil: there is none yet.
func readPlace(file string) (*place, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read position: %w", err)
	}
	var p place
	if err := json.Unmarshal(text, &p); err != nil || p.Version != 1 {
		return nil, fmt.Errorf("read position: %s was not written by this version of doorward event export", file)
	}
	if p.Days == nil {
		p.Days = map[string]dayPlace{}
	}
	return &p, nil
}

// save replaces the file as a whole, so that a crash leaves the old place or the new one.
func (p *place) save(file string) error {
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("write position: %w", err)
	}
	if err := wholefile.Replace(file, 0o600, append(text, '\n')); err != nil {
		return fmt.Errorf("write position: %w", err)
	}
	return nil
}
