package detect_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/ingest"
)

// TestDocumentedParser: the parser and the detection of docs/parsers.md ban who they say, and nobody whom a name names.
func TestDocumentedParser(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "parsers.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) < 2 {
		t.Fatalf("the page has %d blocks", len(blocks))
	}
	parsersAt, rulesAt := t.TempDir(), t.TempDir()
	write(t, filepath.Join(parsersAt, "shop.yaml"), string(blocks[0][1]))
	write(t, filepath.Join(rulesAt, "shop.yaml"), string(blocks[1][1]))
	cfg := detect.Config{Parsers: parsersAt, Rules: rulesAt}
	parsers, err := detect.LoadParsers(cfg)
	if err != nil {
		t.Fatal(err)
	}
	parser, err := parsers.For([]string{"shop"}, time.UTC, false)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, cfg)
	var banned []string
	for i := range 5 {
		line := fmt.Sprintf("2026-11-25 18:00:0%d WARN login of bob from 203.0.113.9 failed from 198.51.100.6 failed", i)
		e, ok := parser.Parse(&ingest.Record{Source: "shop", Text: line}, replayAt.Add(time.Minute))
		if !ok {
			t.Fatalf("%q is not known", line)
		}
		for _, p := range b.judge.Parsed("shop", &e, replayAt.Add(time.Minute)) {
			banned = append(banned, p.Target.Short())
		}
	}
	if fmt.Sprint(banned) != "[198.51.100.6]" {
		t.Errorf("banned are %v, want 198.51.100.6", banned)
	}
}
