package decision_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

var (
	now   = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	anna  = decision.Actor{Name: "anna", Origin: "198.51.100.9", Address: netip.MustParseAddr("198.51.100.9")}
	trial = decision.Config{Trial: true, Allow: []string{"127.0.0.1", "::1", "192.0.2.128/25", "2001:db8:a::7"}}
)

func open(t testing.TB, db *store.DB, cfg decision.Config) (*decision.List, *journal.Journal) {
	t.Helper()
	j, err := journal.Open(t.Context(), db, filepath.Join(t.TempDir(), "journal.key"))
	if err != nil {
		t.Fatal(err)
	}
	return openWith(t, db, cfg, j), j
}

func openWith(t testing.TB, db *store.DB, cfg decision.Config, j *journal.Journal) *decision.List {
	t.Helper()
	l, err := decision.Open(t.Context(), cfg, decision.Deps{DB: db, Journal: j, Log: slog.New(slog.DiscardHandler),
		Resolve: func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no name server") }}, now)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

func target(t testing.TB, text string) decision.Target {
	t.Helper()
	got, err := decision.ParseTarget(text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// proposal is a ban of ten minutes by a detection.
func proposal(t testing.TB, text, key string) decision.Proposal {
	t.Helper()
	return decision.Proposal{Action: decision.Ban, Target: target(t, text), Origin: "detection:sshd", Reason: "3 failures in 10m",
		Evidence: []string{"line " + key}, At: now, For: 10 * time.Minute, Key: key}
}

func decide(t testing.TB, l *decision.List, p decision.Proposal, at time.Time, want decision.Result) decision.Decision {
	t.Helper()
	d, got, err := l.Decide(t.Context(), p, at)
	if err != nil || got != want {
		t.Fatalf("decide on %s: got %q, %v, want %q", p.Target, got, err, want)
	}
	return d
}

func wantBanned(t testing.TB, l *decision.List, text string, at time.Time, want bool) {
	t.Helper()
	if d, got := l.Lookup(addr(text), at); got != want {
		t.Errorf("Lookup(%s) at %v: got %v (%+v), want %v", text, at.Format(time.TimeOnly), got, d, want)
	}
}

func TestDecideAndRestore(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, j := open(t, db, trial)
		d := decide(t, l, proposal(t, "203.0.113.7", "a"), now, decision.Made)
		if d.Until != now.Add(10*time.Minute) || d.ID == "" || d.Repeats != 0 {
			t.Errorf("got %+v", d)
		}
		decide(t, l, proposal(t, "2001:db8:1:2::/64", "b"), now, decision.Made)
		p := proposal(t, "account:Maria", "c")
		decide(t, l, p, now, decision.Made)
		decide(t, l, proposal(t, "country:xx", "d"), now, decision.Made)
		for _, again := range []*decision.List{l, openWith(t, db, trial, j)} {
			wantBanned(t, again, "203.0.113.7", now, true)
			wantBanned(t, again, "::ffff:203.0.113.7", now, true)
			wantBanned(t, again, "203.0.113.8", now, false)
			wantBanned(t, again, "2001:db8:1:2:3::4", now, true)
			wantBanned(t, again, "2001:db8:1:3::4", now, false)
			if _, ok := again.LookupAccount("MARIA", now); !ok {
				t.Error("the account is not found")
			}
			if _, ok := again.LookupCountry("XX", now); !ok || !again.HasCountries() {
				t.Error("the country is not found")
			}
		}
		// An instance that is open sees the end by the clock; one that opens then never sees the decision.
		later := now.Add(10 * time.Minute)
		wantBanned(t, l, "203.0.113.7", later.Add(-time.Microsecond), true)
		wantBanned(t, l, "203.0.113.7", later, false)
		list, err := l.Find(t.Context(), decision.Filter{}, now)
		if err != nil || len(list) != 4 || list[0].Evidence[0] != "line a" || list[2].Target.Name != "maria" {
			t.Errorf("got %+v, %v", list, err)
		}
		if entries, err := j.Entries(t.Context(), 0, 10); err != nil || len(entries) != 0 {
			t.Errorf("detections are in the journal of people's actions: %+v, %v", entries, err)
		}
	})
}

func TestKeyCountsOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, j := open(t, db, trial)
		p := proposal(t, "203.0.113.7", "sshd 1")
		p.Escalate = decision.Escalation{Factor: 2, Max: time.Hour}
		first := decide(t, l, p, now, decision.Made)
		if again := decide(t, l, p, now, decision.Known); again.ID != first.ID {
			t.Errorf("got %+v, want the first one", again)
		}
		l = openWith(t, db, trial, j)
		decide(t, l, p, now.Add(time.Minute), decision.Known)
		// A replay after it has run out makes none either.
		if d := decide(t, l, p, now.Add(time.Hour), decision.Known); d.ID != "" {
			t.Errorf("got %+v, want none", d)
		}
		// Other triggers do, and last longer each time.
		for i, want := range []time.Duration{20, 40, 60, 60} {
			p.At, p.Key = now.Add(time.Duration(i+1)*2*time.Hour), fmt.Sprint("sshd later ", i)
			d := decide(t, l, p, p.At, decision.Made)
			if got := d.Until.Sub(p.At); got != want*time.Minute || d.Repeats != i+1 {
				t.Errorf("offence %d: got %v and %d repeats, want %v minutes", i+2, got, d.Repeats, want)
			}
		}
		// What was long ago does not count.
		p.At, p.Key = now.Add(60*24*time.Hour), "sshd much later"
		if d := decide(t, l, p, p.At, decision.Made); d.Repeats != 0 {
			t.Errorf("got %d repeats after two months, want 0", d.Repeats)
		}
	})
}

func TestMergeNeverShortens(t *testing.T) {
	l, _ := open(t, storetest.SQLite(t), trial)
	p := proposal(t, "203.0.113.7", "a")
	p.For = time.Hour
	first := decide(t, l, p, now, decision.Made)
	short := proposal(t, "203.0.113.7", "b")
	if d := decide(t, l, short, now.Add(time.Minute), decision.Standing); d.Until != first.Until {
		t.Errorf("got until %v, want %v", d.Until, first.Until)
	}
	long := proposal(t, "203.0.113.7", "c")
	long.For, long.Origin = 0, "detection:sip"
	d := decide(t, l, long, now.Add(time.Minute), decision.Extended)
	if !d.Until.IsZero() || d.ID != first.ID || d.Origin != "detection:sip" {
		t.Errorf("got %+v, want the first one for good", d)
	}
	for i := range 30 {
		decide(t, l, proposal(t, "203.0.113.7", fmt.Sprint(i, strings.Repeat("\x00x\n", 200))), now, decision.Standing)
	}
	got, err := l.Find(t.Context(), decision.Filter{Address: addr("203.0.113.7")}, now)
	if err != nil || len(got) != 1 || len(got[0].Evidence) != 8 || got[0].Evidence[0] != "line a" || !strings.HasPrefix(got[0].Evidence[7], "line 29") {
		t.Fatalf("got %+v, %v; want 8 lines, the first and the newest", got, err)
	}
	for _, line := range got[0].Evidence {
		if len(line) > 300 || strings.ContainsAny(line, "\x00\n") {
			t.Errorf("evidence %q is not one short line", line)
		}
	}
	throttle := proposal(t, "203.0.113.0/24", "t")
	throttle.Action = decision.Throttle
	decide(t, l, throttle, now, decision.Made)
	if d, ok := l.Lookup(addr("203.0.113.7"), now); !ok || d.Action != decision.Ban {
		t.Errorf("got %+v, want the strongest, the ban", d)
	}
	if d, ok := l.Lookup(addr("203.0.113.8"), now); !ok || d.Action != decision.Throttle {
		t.Errorf("got %+v, want the throttle of the network", d)
	}
}

func TestAllowListIsAtTheDoor(t *testing.T) {
	cfg := trial
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24")}
	l, _ := open(t, storetest.SQLite(t), cfg)
	for _, text := range []string{"127.0.0.1", "::1", "192.0.2.200", "192.0.2.0/24", "192.0.2.192/26", "2001:db8:a::/64", "10.1.0.4", "10.1.0.0/16", "::ffff:127.0.0.1"} {
		d, got, err := l.Decide(t.Context(), proposal(t, text, text), now)
		if got != decision.Allowed || err != nil || d.ID != "" {
			t.Errorf("%s: got %q, %+v, %v; want it refused", text, got, d, err)
		}
	}
	for _, text := range []string{"127.0.0.66", "192.0.2.5", "2001:db8:b::/64"} {
		decide(t, l, proposal(t, text, text), now, decision.Made)
	}
	for _, text := range []string{"0.0.0.0/0", "::/0", "203.0.0.0/15", "2001:db8::/31"} {
		decide(t, l, proposal(t, text, text), now, decision.TooWide)
	}
	// A network with somebody allowed in it becomes the address that did it.
	p := proposal(t, "192.0.2.0/24", "narrow")
	p.Source = addr("192.0.2.77")
	if d := decide(t, l, p, now, decision.Made); d.Target.Short() != "192.0.2.77" {
		t.Errorf("got %s, want 192.0.2.77", d.Target.Short())
	}
	if s := l.Stats(); s.Allowed != 9 || s.TooWide != 4 || s.Made != 4 {
		t.Errorf("counted %+v", s)
	}
}

func TestLoopbackAndOwnAddressesAreNoTargets(t *testing.T) {
	l, _ := open(t, storetest.SQLite(t), decision.Config{})
	for _, text := range []string{"127.0.0.1", "127.0.0.66", "::1"} {
		decide(t, l, proposal(t, text, text), now, decision.Allowed)
	}
	if len(l.AllowedPrefixes()) < 2 {
		t.Errorf("the allow list is %v", l.AllowedPrefixes())
	}
}

func TestAllowListGrows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, j := open(t, db, trial)
		for _, text := range []string{"203.0.113.7", "203.0.113.0/24", "203.0.112.1"} {
			decide(t, l, proposal(t, text, text), now, decision.Made)
		}
		cfg := trial
		cfg.Allow = append(slices.Clone(cfg.Allow), "203.0.113.7")
		l.Prepare(cfg)()
		wantBanned(t, l, "203.0.113.7", now, false) // at once
		if err := l.Follow(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		again := openWith(t, db, trial, j)
		for _, l := range []*decision.List{l, again} {
			wantBanned(t, l, "203.0.113.8", now, false) // the network could not stay without hitting the allowed one
			wantBanned(t, l, "203.0.112.1", now, true)
		}
	})
}

func TestNamesKeepTheirLastAnswer(t *testing.T) {
	db := storetest.SQLite(t)
	j, err := journal.Open(t.Context(), db, filepath.Join(t.TempDir(), "journal.key"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := decision.Config{Allow: []string{"office.example.org"}}
	answers := make(chan []netip.Addr, 1)
	resolve := func(context.Context, string) ([]netip.Addr, error) {
		select {
		case a := <-answers:
			return a, nil
		default:
			return nil, errors.New("no name server")
		}
	}
	deps := decision.Deps{DB: db, Journal: j, Log: slog.New(slog.DiscardHandler), Resolve: resolve}
	l, err := decision.Open(t.Context(), cfg, deps, now)
	if err != nil {
		t.Fatal(err)
	}
	answers <- []netip.Addr{addr("203.0.113.50")}
	l.RefreshNames(t.Context())
	l.RefreshNames(t.Context()) // nobody answers: the last good one stays
	decide(t, l, proposal(t, "203.0.113.50", "x"), now, decision.Allowed)
	if l, err = decision.Open(t.Context(), cfg, deps, now); err != nil {
		t.Fatal(err)
	}
	decide(t, l, proposal(t, "203.0.113.50", "x"), now, decision.Allowed)
	if got := l.Stats().Allowed; got != 1 {
		t.Errorf("counted %d refusals, want 1", got)
	}
}

func TestPast(t *testing.T) {
	l, _ := open(t, storetest.SQLite(t), trial)
	p := proposal(t, "203.0.113.7", "old")
	decide(t, l, p, now.Add(time.Hour), decision.Past)
	p.Key, p.At = "ahead", now.Add(48*time.Hour) // a wrong clock gives nobody a longer ban
	if d := decide(t, l, p, now, decision.Made); d.Until != now.Add(10*time.Minute) {
		t.Errorf("got until %v", d.Until)
	}
}

func TestCaps(t *testing.T) {
	cfg := trial
	cfg.Max, cfg.MaxSpoofable = 5, 2
	l, _ := open(t, storetest.SQLite(t), cfg)
	for i := range 4 {
		p := proposal(t, fmt.Sprintf("203.0.113.%d", i), fmt.Sprint(i))
		p.For, p.Spoofable = time.Duration(i+1)*time.Minute, true
		decide(t, l, p, now, decision.Made)
	}
	wantBanned(t, l, "203.0.113.1", now, false)
	wantBanned(t, l, "203.0.113.2", now, true)
	for i := range 6 {
		p := proposal(t, fmt.Sprintf("203.0.114.%d", i), fmt.Sprint("b", i))
		p.For = time.Duration(10+i) * time.Minute
		decide(t, l, p, now, decision.Made)
	}
	if s := l.Stats(); s.Addresses != 5 || s.SpoofableDisplaced != 2 || s.Displaced != 3 {
		t.Errorf("counted %+v, want 5 addresses, 2 and 3 displaced", s)
	}
	wantBanned(t, l, "203.0.114.0", now, false)
	wantBanned(t, l, "203.0.114.1", now, true)
	for i := range 5 {
		p := proposal(t, fmt.Sprintf("203.0.115.%d", i), "")
		p.For = 0
		if _, result, err := l.Add(t.Context(), anna, p, now); err != nil || result != decision.Made {
			t.Fatalf("a person's ban for good: %v, %v", result, err)
		}
	}
	decide(t, l, proposal(t, "203.0.116.1", "d"), now, decision.Full)
}

func TestAddAndDelete(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, j := open(t, db, trial)
		p := decision.Proposal{Action: decision.Ban, Target: target(t, "203.0.113.7"), Origin: "admin:anna", Reason: "rude", For: time.Hour}
		d, result, err := l.Add(t.Context(), anna, p, now)
		if err != nil || result != decision.Made {
			t.Fatalf("got %v, %v", result, err)
		}
		for _, own := range []string{"198.51.100.9", "198.51.100.0/24", "192.0.2.129"} {
			p.Target = target(t, own)
			var no *decision.RefusedError
			if _, _, err := l.Add(t.Context(), anna, p, now); !errors.As(err, &no) || no.Result != decision.Allowed || !strings.Contains(no.Error(), "address that you use") != strings.HasPrefix(own, "192") {
				t.Errorf("%s: got %v, want a refusal", own, err)
			}
		}
		if _, err := l.Delete(t.Context(), anna, "203.0.113.8", "", now); !errors.Is(err, decision.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
		lifted, err := l.Delete(t.Context(), anna, d.ID, "mistake", now)
		if err != nil || len(lifted) != 1 {
			t.Fatalf("got %v, %v", lifted, err)
		}
		wantBanned(t, l, "203.0.113.7", now, false)
		wantBanned(t, openWith(t, db, trial, j), "203.0.113.7", now, false)
		entries, err := j.Entries(t.Context(), 0, 10)
		if err != nil || len(entries) != 2 || entries[0].Action != "decision.add" || entries[1].Action != "decision.delete" || entries[1].Target != "203.0.113.7" ||
			!strings.Contains(entries[1].After, "mistake") || entries[0].Actor != "anna" {
			t.Errorf("the journal has %+v, %v", entries, err)
		}
		if _, _, err := l.Add(t.Context(), decision.Actor{}, decision.Proposal{Action: decision.Ban, Target: target(t, "203.0.113.9"), Origin: "admin:"}, now); err == nil {
			t.Error("a change that nobody is answerable for was made")
		}
	})
}

func TestNodesFollowEachOther(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		a, j := open(t, db, trial)
		b := openWith(t, db, trial, j)
		decide(t, a, proposal(t, "203.0.113.7", "a"), now, decision.Made)
		wantBanned(t, b, "203.0.113.7", now, false)
		if err := b.Follow(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		wantBanned(t, b, "203.0.113.7", now, true)
		// A change reads what the other did before it decides.
		decide(t, a, proposal(t, "203.0.113.8", "b"), now, decision.Made)
		decide(t, b, proposal(t, "203.0.113.8", "c"), now, decision.Standing)
		if _, err := b.Delete(t.Context(), anna, "203.0.113.7", "", now); err != nil {
			t.Fatal(err)
		}
		decide(t, a, proposal(t, "203.0.113.7", "d"), now, decision.Made)
		if err := b.Follow(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		wantBanned(t, b, "203.0.113.7", now, true)
	})
}

func TestInput(t *testing.T) {
	l, _ := open(t, storetest.SQLite(t), trial)
	for _, text := range []string{"", "x", "203.0.113.7/33", "account:", "account:a\x00b", "country:DEU", "country:1x", "::ffff:0.0.0.0/90", "fe80::1%eth0/64", "0.0.0.0", "224.0.0.1"} {
		if got, err := decision.ParseTarget(text); err == nil {
			t.Errorf("ParseTarget(%q): got %v, want an error", text, got)
		}
	}
	for field, change := range map[string]func(*decision.Proposal){
		"action": func(p *decision.Proposal) { p.Action = "hug" },
		"origin": func(p *decision.Proposal) { p.Origin = " \n" },
		"for":    func(p *decision.Proposal) { p.For = -1 },
		"target": func(p *decision.Proposal) { p.Target = decision.Target{} },
	} {
		p := proposal(t, "203.0.113.7", "a")
		change(&p)
		_, _, err := l.Decide(t.Context(), p, now)
		var input *decision.InputError
		if !errors.As(err, &input) || input.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
