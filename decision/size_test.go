package decision_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/racetest"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

const many = 100_000

// fill imports many decisions: addresses, and every tenth a network.
func fill(t testing.TB, l *decision.List) {
	t.Helper()
	for first := 0; first < many; first += decision.MaxBatch {
		ps := make([]decision.Proposal, 0, decision.MaxBatch)
		for n := first; n < first+decision.MaxBatch; n++ {
			p := decision.Proposal{Action: decision.Ban, Target: decision.ForAddress(numbered(n*3), decision.OneAddress), Origin: "import:list", Reason: "a list", For: 24 * time.Hour}
			if n%10 == 0 {
				p.Target = decision.ForPrefix(netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 2, byte(n >> 16), byte(n >> 8), byte(n)}), 64))
			}
			ps = append(ps, p)
		}
		out, err := l.Import(t.Context(), anna, "list", ps, now)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range out {
			if o.Result != decision.Made {
				t.Fatalf("%s: got %s %s", ps[i].Target, o.Result, o.Problem)
			}
		}
	}
}

func TestHundredThousand(t *testing.T) {
	if racetest.On {
		t.Log("the rows take the race detector minutes, and TestTogether is for it: not judged")
		return
	}
	db := storetest.SQLite(t)
	l, j := open(t, db, trial)
	fill(t, l)
	restored := openWith(t, db, trial, j)
	for _, l := range []*decision.List{l, restored} {
		if got := l.Stats().Addresses; got != many {
			t.Fatalf("got %d addresses, want %d", got, many)
		}
		for n := range many {
			banned := numbered(n * 3)
			if n%10 == 0 {
				banned = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 2, byte(n >> 16), byte(n >> 8), byte(n), 9, 9})
			}
			if d, ok := l.Lookup(banned, now); !ok || !d.Target.Prefix.Contains(banned) {
				t.Fatalf("%s is not found", banned)
			}
			if _, ok := l.Lookup(numbered(n*3+1), now); ok {
				t.Fatalf("%s is found", numbered(n*3+1))
			}
		}
	}
	entries, err := j.Entries(t.Context(), 0, 1000)
	if err != nil || len(entries) != many/decision.MaxBatch {
		t.Errorf("the journal has %d entries, %v; want one for each transaction", len(entries), err)
	}
	if n, err := restored.DeleteOrigin(t.Context(), anna, "import:list", "wrong list", now); err != nil || n != many {
		t.Errorf("lifted %d, %v; want all", n, err)
	}
	if _, err := restored.DeleteOrigin(t.Context(), anna, "import:list", "", now); !errors.Is(err, decision.ErrNotFound) {
		t.Errorf("lifted twice: %v", err)
	}
	if got := restored.Stats().Addresses; got != 0 {
		t.Errorf("%d are left", got)
	}
}

// BenchmarkRestore is the time from an open store to the first look-up, with 100,000 decisions.
func BenchmarkRestore(b *testing.B) {
	db := storetest.SQLite(b)
	l, j := open(b, db, trial)
	fill(b, l)
	for b.Loop() {
		again := openWith(b, db, trial, j)
		if _, ok := again.Lookup(numbered(3), now); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	l, _ := open(b, storetest.SQLite(b), trial)
	fill(b, l)
	for name, a := range map[string]netip.Addr{"banned": numbered(3), "other": numbered(4)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				l.Lookup(a, now)
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	l, _ := open(b, storetest.SQLite(b), trial)
	n := 0
	for b.Loop() {
		n++
		p := decision.Proposal{Action: decision.Ban, Target: decision.ForAddress(numbered(n), decision.OneAddress), Origin: "detection:x", Key: fmt.Sprint(n), For: time.Hour}
		if _, _, err := l.Decide(b.Context(), p, now); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAccountsAreCapped: strangers choose the names that they try.
func TestAccountsAreCapped(t *testing.T) {
	l, _ := open(t, storetest.SQLite(t), trial)
	for first := 0; first < 10_050; first += 670 {
		var ps []decision.Proposal
		for n := first; n < first+670; n++ {
			ps = append(ps, decision.Proposal{Action: decision.Ban, Target: decision.ForAccount(fmt.Sprint("name", n)), Origin: "detection:x", For: time.Duration(n+1) * time.Second})
		}
		if _, err := l.DecideAll(t.Context(), ps, now); err != nil {
			t.Fatal(err)
		}
	}
	if s := l.Stats(); s.Accounts != 10_000 || s.Displaced != 50 {
		t.Errorf("got %+v, want 10,000 accounts and 50 displaced", s)
	}
	if _, ok := l.LookupAccount("name10049", now); !ok {
		t.Error("the newest is not there")
	}
}

// TestHistoryIsCapped: beyond 400,000 the oldest offences, and decisions that have ended, are forgotten before their time.
func TestHistoryIsCapped(t *testing.T) {
	if racetest.On {
		t.Log("the rows take the race detector minutes, and TestTogether is for it: not judged")
		return
	}
	db := storetest.SQLite(t)
	l, _ := open(t, db, trial)
	err := db.Write(t.Context(), func(tx *sql.Tx) error {
		const numbers = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400010) `
		at := store.Micros(now)
		_, err := tx.Exec(`INSERT INTO decision_offence (trigger_key, target, at, stored_at, counted) `+numbers+`SELECT 'k' || i, 't', $1 + i, $1 + i, 1 FROM n`, at)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO decision (id, number, revision, target, action, origin, reason, evidence, created_at, until_at, repeats, spoofable, ended_at) `+numbers+
			`SELECT 'd' || i, i, i, '192.0.2.1/32', 'ban', 'x', '', '[]', 1, 2, 0, 0, $1 + i FROM n`, at)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Tidy(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"decision_offence", "decision"} {
		var n int
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil || n != 400_000 {
			t.Errorf("%s has %d rows, %v; want 400,000", table, n, err)
		}
	}
	if got := l.Stats().Forgotten; got != 20 {
		t.Errorf("counted %d, want 20", got)
	}
}

// TestStoreAway: what is in memory goes on, what is new is refused with an error and can be made again.
func TestStoreAway(t *testing.T) {
	dir := t.TempDir()
	db := storetest.Open(t, store.Config{Path: filepath.Join(dir, "doorward.db")})
	j, err := journal.Open(t.Context(), db, filepath.Join(dir, "journal.key"))
	if err != nil {
		t.Fatal(err)
	}
	l := openWith(t, db, trial, j)
	decide(t, l, proposal(t, "203.0.113.7", "a"), now, decision.Made)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Decide(t.Context(), proposal(t, "203.0.113.8", "b"), now); err == nil {
		t.Error("a decision was acknowledged without a store")
	}
	if err := l.Follow(t.Context(), now); err == nil {
		t.Error("Follow has no error without a store")
	}
	wantBanned(t, l, "203.0.113.7", now, true)
	wantBanned(t, l, "203.0.113.8", now, false)
}
