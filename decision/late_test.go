package decision_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store/storetest"
)

// TestTooLateIsTold: a log whose dates are in another zone than its source states has nobody banned; an event says that, and why.
func TestTooLateIsTold(t *testing.T) {
	db := storetest.SQLite(t)
	j, err := journal.Open(t.Context(), db, filepath.Join(t.TempDir(), "journal.key"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := event.Config{Dir: filepath.Join(t.TempDir(), "events")}
	cfg.SetDefaults()
	events, err := event.Open(t.Context(), cfg, db, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- events.Run(ctx) }()
	defer func() { cancel(); <-done; events.Close() }()
	l, err := decision.Open(t.Context(), trial, decision.Deps{DB: db, Journal: j, Events: events, Log: slog.New(slog.DiscardHandler),
		Resolve: func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no name server") }}, now)
	if err != nil {
		t.Fatal(err)
	}
	decide(t, l, proposal(t, "203.0.113.7", "late"), now.Add(2*time.Hour), decision.Past)
	if err := events.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := events.Query(t.Context(), event.Query{From: now, To: now.Add(3 * time.Hour), Class: event.Detection, Limit: 10})
	if err != nil || len(list) != 1 || list[0].Outcome != event.Refused {
		t.Fatalf("events are %+v, %v; want one that the ban was refused", list, err)
	}
	said := map[string]string{}
	for _, f := range list[0].Fields {
		said[f.Key] = f.Value
	}
	if said["result"] != "past" || said["problem"] != "would have ended at 2026-11-25T12:10:00Z" {
		t.Errorf("it says %v", said)
	}
}
