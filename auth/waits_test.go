package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

const wrongPassword = "wrong horse battery"

// fail makes a wrong sign-in that must be checked.
func (f *fixture) fail(login, address string) {
	f.t.Helper()
	if err := f.try(login, wrongPassword, address); err != auth.ErrWrong {
		f.t.Fatalf("wrong sign-in as %s from %s: %v, want ErrWrong", login, address, err)
	}
}

// wantWait fails the test unless a right sign-in from the address is refused unseen for the given time.
func (f *fixture) wantWait(address string, want time.Duration, when string) {
	f.t.Helper()
	hashed := f.Stats().Hashed
	err := f.try("agent", password, address)
	if got := waiting(err); got < want-time.Second || got > want {
		f.t.Errorf("%s: %v, want a wait of %v (a second less at most)", when, err, want)
	}
	if n := f.Stats().Hashed - hashed; n != 0 {
		f.t.Errorf("%s: %d passwords were checked during the wait", when, n)
	}
	if got := f.Waiting(netip.MustParseAddr(address), f.now); got < want-time.Second || got > want {
		f.t.Errorf("%s: Waiting = %v, want %v", when, got, want)
	}
}

func TestThreeFailuresMakeTheAddressWait(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	// Whoever is asked for, known or not: failures count by address.
	f.fail("agent", "127.0.0.1")
	f.fail("nobody", "127.0.0.1")
	f.fail("owner@example.com", "127.0.0.1")
	f.wantWait("127.0.0.1", 10*time.Second, "after the third failure, loopback or not")
	wantErr(t, f.try("agent", password, "127.0.0.2"), nil, "another address")

	f.now = f.now.Add(4 * time.Second)
	for range 20 {
		f.wantWait("127.0.0.1", 6*time.Second, "attempts do not extend the wait")
	}
	f.now = f.now.Add(6 * time.Second)
	if got := f.Waiting(netip.MustParseAddr("127.0.0.1"), f.now); got != 0 {
		t.Errorf("Waiting at the end of the wait = %v", got)
	}
	// The count begins again.
	f.fail("agent", "127.0.0.1")
	f.fail("agent", "127.0.0.1")
	wantErr(t, f.try("agent", password, "127.0.0.1"), nil, "after the wait and two failures")
}

func TestWaitRetryAfterIsInRange(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	for range 3 {
		f.fail("agent", "192.0.2.7")
	}
	began := f.now
	for _, after := range []time.Duration{0, time.Millisecond, 9 * time.Second, 10*time.Second - time.Nanosecond} {
		f.now = began.Add(after)
		if got := waiting(f.try("agent", password, "192.0.2.7")); got <= 0 || got > 10*time.Second {
			t.Errorf("after %v the wait is %v, want more than 0 and at most 10s", after, got)
		}
	}
}

// A success takes away only its own account's failures: whoever knows one account cannot use it to guess
// at another without end.
func TestSuccessClearsOnlyItsOwnFailures(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	const from = "192.0.2.7"
	f.fail("owner", from)
	f.fail("owner", from)
	wantErr(t, f.try("agent", password, from), nil, "the stranger's own account")
	f.fail("owner", from)
	f.wantWait(from, 10*time.Second, "two failures, a success as another, a third failure")

	f.now = f.now.Add(time.Minute)
	f.fail("agent", from)
	f.fail("agent", from)
	wantErr(t, f.try("agent@example.com", password, from), nil, "the account that failed, by e-mail")
	f.fail("agent", from)
	f.fail("agent", from)
	wantErr(t, f.try("agent", password, from), nil, "two failures after a success")

	// Failures for names that do not exist go with no success.
	f.fail("nobody", from)
	f.fail("nobody", from)
	wantErr(t, f.try("agent", password, from), nil, "an account that exists")
	f.fail("agent", from)
	f.wantWait(from, 10*time.Second, "two unknown names and one failure")

	// A mixed row loses only the one failure.
	f.now = f.now.Add(time.Minute)
	f.fail("agent", from)
	f.fail("owner", from)
	wantErr(t, f.try("agent", password, from), nil, "agent")
	f.fail("user", from)
	f.fail("agent", from)
	f.wantWait(from, 10*time.Second, "owner, user, agent")
}

// IPv6 addresses count by /64, which is what one customer has; IPv4 in IPv6 clothes is IPv4.
func TestWaitCountsNetworks(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.fail("agent", "2001:db8:1:2::1")
	f.fail("agent", "2001:db8:1:2:ffff::2")
	f.fail("agent", "2001:db8:1:2:aaaa:bbbb:cccc:dddd")
	f.wantWait("2001:db8:1:2::99", 10*time.Second, "another address of the /64")
	wantErr(t, f.try("agent", password, "2001:db8:1:3::1"), nil, "the next /64")

	f.fail("agent", "192.0.2.7")
	f.fail("agent", "::ffff:192.0.2.7")
	f.fail("agent", "192.0.2.7")
	f.wantWait("::ffff:192.0.2.7", 10*time.Second, "the same address mapped")
	wantErr(t, f.try("agent", password, "192.0.2.8"), nil, "the next address")

	for range 3 {
		f.fail("agent", "fe80::1%eth0")
	}
	f.wantWait("fe80::1%eth1", 10*time.Second, "another zone")
}

// Guesses that arrive at the same moment are no way around the count: three are looked at.
func TestWaitHoldsInParallel(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.cfg.PasswordHash.Queue = 400 // so that nobody is turned away instead
	f.reload(f.cfg)
	var wrong, waited, other atomic.Int64
	var all sync.WaitGroup
	for range 60 {
		all.Go(func() {
			_, err := f.SignIn(context.Background(), attempt("agent", wrongPassword, "192.0.2.7"), f.now)
			switch {
			case errors.Is(err, auth.ErrWrong):
				wrong.Add(1)
			case waiting(err) > 0:
				waited.Add(1)
			default:
				other.Add(1)
			}
		})
	}
	all.Wait()
	if wrong.Load() != 3 || waited.Load() != 57 {
		t.Errorf("%d checked, %d refused, %d other; want 3, 57, 0", wrong.Load(), waited.Load(), other.Load())
	}
}

func TestWaitSurvivesARestart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for range 3 {
			f.fail("agent", "192.0.2.7")
		}
		f.fail("owner", "192.0.2.8")
		f.fail("agent", "192.0.2.8")
		f.fail("agent", "2001:db8::1")
		f.restart()
		f.wantWait("192.0.2.7", 10*time.Second, "after a restart")
		wantErr(t, f.try("agent", password, "192.0.2.8"), nil, "two failures before the restart")
		f.fail("user", "192.0.2.8")
		f.restart()
		f.fail("user", "192.0.2.8")
		f.wantWait("192.0.2.8", 10*time.Second, "owner, user | restart | user")

		f.now = f.now.Add(time.Minute)
		f.Sweep(t.Context(), f.now)
		if n := row[int](f, `SELECT COUNT(*) FROM sign_in_failure`); n != 1 {
			t.Errorf("%d rows after the waits are over, want the one failure that is still counted", n)
		}
		f.now = f.now.Add(25 * time.Hour)
		f.Sweep(t.Context(), f.now)
		if n := row[int](f, `SELECT COUNT(*) FROM sign_in_failure`); n != 0 || f.Stats().Addresses != 0 {
			t.Errorf("%d rows and %d addresses after a day, want none", n, f.Stats().Addresses)
		}
	})
}

// A clock that is set back an hour, or a store written by a clock that was ahead, makes nobody wait longer
// than the whole wait.
func TestWaitAndTheClockSetBack(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	for range 3 {
		f.fail("agent", "192.0.2.7")
	}
	f.restart()
	f.now = f.now.Add(-time.Hour)
	f.wantWait("192.0.2.7", 10*time.Second, "an hour earlier")
	f.now = f.now.Add(11 * time.Second)
	wantErr(t, f.try("agent", password, "192.0.2.7"), nil, "after the wait")
}

func TestWaitSettings(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.cfg.SignIn = auth.SignInConfig{Failures: 1, Wait: time.Minute}
	f.reload(f.cfg)
	f.fail("agent", "192.0.2.7")
	f.wantWait("192.0.2.7", time.Minute, "after one failure")
	f.cfg.SignIn.Wait = 5 * time.Second
	f.reload(f.cfg)
	f.wantWait("192.0.2.7", 5*time.Second, "after the wait was made shorter")
}

// The table is capped. What falls out is the address whose failure is longest ago, which is over its wait
// long before at any rate that hashes can be computed at.
func TestWaitsAreCapped(t *testing.T) {
	w := auth.NewWaits(1000)
	cfg := auth.SignInConfig{Failures: 3, Wait: 10 * time.Second}
	now := time.Now()
	victim := netip.MustParsePrefix("192.0.2.7/32")
	for range 3 {
		w.Failed(victim, "-", now, cfg)
	}
	for i := range 999 {
		w.Failed(netip.MustParsePrefix(fmt.Sprintf("10.0.%d.%d/32", i/250, i%250)), "-", now, cfg)
	}
	if got := w.Remaining(victim, now, cfg.Wait); got != cfg.Wait {
		t.Errorf("wait in a full table = %v, want %v", got, cfg.Wait)
	}
	for i := range 500 {
		w.Failed(netip.MustParsePrefix(fmt.Sprintf("10.1.%d.%d/32", i/250, i%250)), "-", now, cfg)
	}
	if tracked, displaced := w.Size(); tracked != 1000 || displaced != 500 {
		t.Errorf("%d tracked and %d displaced, want 1000 and 500", tracked, displaced)
	}
}
