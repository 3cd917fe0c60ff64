package detect_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/ingest"
)

// TestForgedFields: a member that a client put into an application's log names nobody to be banned, and takes no warning back.
func TestForgedFields(t *testing.T) {
	folder := t.TempDir()
	rule := `title: Failure
name: shop_failure
logsource: {product: json}
detection:
    s: {msg: failed}
    condition: s
---
title: Guessing
name: shop_guessing
correlation: {type: event_count, rules: [shop_failure], group-by: [src_net], timespan: 10m, condition: {gte: 2}}
respond: {ban: 10m}
`
	if err := os.WriteFile(filepath.Join(folder, "shop.yaml"), []byte(rule), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		fields []event.Field
		bans   int
	}{
		"the address":             {[]event.Field{{Key: "msg", Value: "failed"}, {Key: "remote_addr", Value: "203.0.113.7"}}, 1},
		"no address but src_net":  {[]event.Field{{Key: "msg", Value: "failed"}, {Key: "src_net", Value: "198.51.100.9"}}, 0},
		"forgeable, and then not": {[]event.Field{{Key: "msg", Value: "failed"}, {Key: "remote_addr", Value: "203.0.113.7"}, {Key: "forgeable", Value: "false"}, {Key: "forgeable", Value: "true"}}, 0},
	} {
		b := newBench(t, detect.Config{Rules: folder})
		parsers, err := detect.LoadParsers(detect.Config{})
		if err != nil {
			t.Fatal(err)
		}
		parser, err := parsers.For([]string{"json"}, time.UTC, false)
		if err != nil {
			t.Fatal(err)
		}
		bans := 0
		for i := range 2 {
			at := replayAt.Add(time.Duration(i) * time.Second)
			e, ok := parser.Parse(&ingest.Record{Source: "shop", Text: "{}", Time: at, Fields: c.fields}, at)
			if !ok {
				t.Fatal("the record is not known")
			}
			bans += len(b.judge.Parsed("shop", &e, at))
		}
		if bans != c.bans {
			t.Errorf("%s: %d bans, want %d", name, bans, c.bans)
		}
	}
}
