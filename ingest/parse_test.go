package ingest_test

import (
	"testing"
	"time"

	"github.com/doorward/doorward/ingest"
	"github.com/doorward/doorward/rules"
)

var now = time.Date(2026, 11, 25, 19, 0, 0, 0, time.UTC)

func load(t testing.TB) *ingest.Parsers {
	t.Helper()
	p, err := ingest.LoadParsers(rules.Parsers())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestShipped(t *testing.T) {
	if n := len(load(t).Names()); n < 15 {
		t.Errorf("%d parsers, want 15 and more", n)
	}
}

const sshLine = "Nov 25 18:57:50 shop sshd[12345]: Failed password for invalid user admin from 203.0.113.9 port 51234 ssh2"
const sshOther = "Nov 25 18:57:50 shop sshd[12345]: pam_unix(sshd:session): session opened for user deploy(uid=1001) by (uid=0)"
const webLine = `203.0.113.9 - - [25/Nov/2026:18:57:50 +0000] "GET /index.php?a=1 HTTP/1.1" 404 512 "https://example.org/" "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"`

func benchmark(b *testing.B, parser string, lines ...string) {
	p, err := load(b).For([]string{parser}, time.UTC, false)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := ingest.Record{Text: lines[i%len(lines)]}
		if _, ok := p.Parse(&r, now); !ok {
			b.Fatal("unknown")
		}
	}
}

func BenchmarkSSHD(b *testing.B)   { benchmark(b, "sshd", sshLine, sshOther) }
func BenchmarkAccess(b *testing.B) { benchmark(b, "apache-access", webLine) }
