package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/doorward/doorward/ingest"
)

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		cfg  ingest.SourceConfig
		want string // the paths that are reported
	}{
		{ingest.SourceConfig{Name: "auth", Type: "file", Paths: []string{"/var/log/auth.log*"}, Timezone: "Europe/Rome"}, ""},
		{ingest.SourceConfig{Name: "Auth!", Type: "file", Paths: []string{"auth.log", "/a[/"}, Format: "xml", Timezone: "Mars/Base", SilentAfter: -1}, "name silent_after timezone paths[0] paths[1] format"},
		{ingest.SourceConfig{Name: "a", Type: "pipe"}, "type"},
		{ingest.SourceConfig{Name: "a", Type: "file"}, "paths"},
		{ingest.SourceConfig{Name: "a", Type: "journal", Matches: []string{"_SYSTEMD_UNIT=sshd.service + _COMM=sshd"}}, ""},
		{ingest.SourceConfig{Name: "a", Type: "journal", Matches: []string{"--root=/"}, Directory: "log"}, "matches directory"},
		{ingest.SourceConfig{Name: "a", Type: "syslog", Listen: []string{"udp://127.0.0.1:514", "tcp://[::1]:601"}}, ""},
		{ingest.SourceConfig{Name: "a", Type: "syslog", Listen: []string{"http://x:1", "tls://127.0.0.1:6514"}, Rate: -1, Connections: 1 << 20}, "listen[0] certificate rate connections"},
		{ingest.SourceConfig{Name: "a", Type: "query", Driver: "mariadb", DSNFile: "/x", Query: "SELECT id FROM a WHERE id > ? ORDER BY id"}, ""},
		{ingest.SourceConfig{Name: "a", Type: "query", Driver: "oracle", Query: "DELETE FROM a", Interval: 1, Timeout: 1}, "driver dsn_file query interval timeout"},
		{ingest.SourceConfig{Name: "a", Type: "query", Driver: "mariadb", DSNFile: "/x", Query: "SELECT 1 WHERE 1 > ? ORDER BY 1; DROP TABLE x"}, "query"},
	} {
		var got []string
		c.cfg.SetDefaults()
		c.cfg.Validate(func(path, format string, args ...any) { got = append(got, path) })
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("%+v: reported %q, want %q", c.cfg, g, c.want)
		}
		if _, err := ingest.New(c.cfg, slog.New(slog.DiscardHandler)); (err == nil) != (c.want == "") && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%+v: New says %v", c.cfg, err)
		}
	}
	trace := ingest.SourceConfig{Name: "pbx", Type: "file", Paths: []string{"/var/log/asterisk/full"}, Parsers: []string{"asterisk"}}
	if trace.SetDefaults(); trace.Format != string(ingest.Asterisk) {
		t.Errorf("the format of Asterisk's log is %q, want %q", trace.Format, ingest.Asterisk)
	}
	if _, err := load(t).For([]string{"none"}, time.UTC, false); err == nil || !strings.Contains(err.Error(), "sshd") {
		t.Errorf("a parser that is not there: %v", err)
	}
}

// TestParserFiles: a parser that could be read in two ways, or is misspelt, is refused; an own one takes the place of a shipped one.
func TestParserFiles(t *testing.T) {
	for text, want := range map[string]string{
		"name: a\npatterns: [{name: x, layouts: ['<a:any> and <b:any>']}]":    "two ways",
		"name: a\npatterns: [{name: x, layouts: ['<a><b>']}]":                 "nothing stands between",
		"name: a\npatterns: [{name: x, layouts: ['<a:thing>']}]":              "no field",
		"name: a\npatterns: [{name: x, regexp: 'from (.*)', literal: from}]":  "must begin with ^",
		"name: a\npatterns: [{name: x, regexp: '^from (.*)$'}]":               "needs a literal",
		"name: a\npatterns: [{name: x, layouts: ['<a>'], when: {a: b}}]":      "one of",
		"name: a\npatterns: [{name: x, layouts: ['<a>'], class: nonsense}]":   "class",
		"name: a\npatterns: [{name: x, layouts: ['<a>'], outcome: nonsense}]": "outcome",
		"name: a\npattern: []":                             "unknown field",
		"name: b\npatterns: [{name: x, layouts: ['<a>']}]": "its name",
		"name: a": "no patterns",
		"name: a\nhead: ['<a>']\npatterns: [{layouts: ['<a>']}]": "must end with",
	} {
		if _, err := ingest.LoadParsers(fstest.MapFS{"a.yaml": {Data: []byte(text)}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant an error about %q", text, err, want)
		}
	}
	own := fstest.MapFS{"a.yaml": {Data: []byte("name: a\npatterns: [{name: own, layouts: ['x <user>']}]")}}
	p, err := ingest.LoadParsers(fstest.MapFS{"a.yaml": {Data: []byte("name: a\npatterns: [{name: shipped, layouts: ['x <user>']}]")}}, own)
	if err != nil {
		t.Fatal(err)
	}
	one, err := p.For([]string{"a"}, time.UTC, false)
	if err != nil {
		t.Fatal(err)
	}
	if e, _ := one.Parse(&ingest.Record{Text: "x bob"}, now); e.Pattern != "own" || e.User != "bob" {
		t.Errorf("event is %+v, want of the own parser", e)
	}
}

var errEnd = errors.New("end")

// BenchmarkFiles reads a log from its beginning.
func BenchmarkFiles(b *testing.B) {
	path := filepath.Join(b.TempDir(), "auth.log")
	const n = 200_000
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "Nov 25 18:57:50 shop sshd[%d]: Failed password for invalid user admin from 203.0.113.9 port 51234 ssh2\n", i)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	p := parser(b, false, "sshd")
	for _, parse := range []bool{false, true} {
		b.Run(fmt.Sprintf("parse=%t", parse), func(b *testing.B) {
			began, read := cpu(), 0
			for b.Loop() {
				s, err := ingest.NewFiles("a", []string{path}, ingest.Plain, slog.New(slog.DiscardHandler))
				if err != nil {
					b.Fatal(err)
				}
				left := n
				// a position in another file: the first start would leave out what is old
				err = s.Run(b.Context(), map[string][]byte{path: []byte(`{}`)}, func(_ context.Context, batch ingest.Batch) error {
					for i := range batch.Records {
						if parse {
							_, _ = p.Parse(&batch.Records[i], now)
						}
					}
					read += len(batch.Records)
					if left -= len(batch.Records); left <= 0 {
						return errEnd
					}
					return nil
				})
				if !errors.Is(err, errEnd) {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(read)/(cpu()-began).Seconds(), "lines/cpu-s")
		})
	}
}
