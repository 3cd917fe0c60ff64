package detect_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/event"
)

// BenchmarkOwn: what one request at the gateway costs the watch.
func BenchmarkOwn(b *testing.B) {
	var cfg detect.Config
	cfg.SetDefaults()
	set, err := detect.LoadRules(cfg)
	if err != nil {
		b.Fatal(err)
	}
	j, err := detect.NewRuleJudge(set, cfg, nil, func(event.Event) {})
	if err != nil {
		b.Fatal(err)
	}
	e := request(time.Now(), "203.0.113.7", "/Ticket/Display.html?id=7")
	b.ReportAllocs()
	for b.Loop() {
		e.Time = e.Time.Add(time.Millisecond)
		e.Source = netip.MustParseAddr("203.0.113.7")
		j.Own(&e, e.Time)
	}
}
