package auth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/language"
	"github.com/doorward/doorward/racetest"
	"github.com/doorward/doorward/rules"
	"github.com/doorward/doorward/store"
)

// floodEnv makes the test binary the process that is flooded, with its data in the folder that it names.
const floodEnv = "DOORWARD_TEST_FLOOD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(floodEnv); dir != "" {
		if err := flooded(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// flooded is a process of its own under a flood of sign-ins with default costs: 300 at any time from
// addresses that change, one honest person among them. It prints how it went.
func flooded(dir string) error {
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
	defer stop()
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(dir, "doorward.db")})
	if err != nil {
		return err
	}
	j, err := journal.Open(ctx, db, filepath.Join(dir, "journal.key"))
	if err != nil {
		return err
	}
	catalogue, err := language.Load(rules.Texts())
	if err != nil {
		return err
	}
	a, err := auth.New(auth.Config{}, auth.Deps{DB: db, Journal: j, Log: slog.New(slog.DiscardHandler), Texts: catalogue})
	if err != nil {
		return err
	}
	const password = "correct horse battery"
	if _, err := a.AddPrincipal(ctx, auth.Actor{Name: "test", Origin: "local"},
		auth.NewPrincipal{Name: "zoe", Roles: []auth.Role{auth.Agent}, Password: password}); err != nil {
		return err
	}
	sweeping, stopSweeping := context.WithCancel(ctx)
	defer stopSweeping()
	var sweeper sync.WaitGroup
	sweeper.Go(func() { _ = a.Run(sweeping) })
	signIn := func(login string, addr netip.Addr, password string) error {
		_, err := a.SignIn(ctx, auth.Attempt{Login: login, Password: password, Address: addr,
			Realm: auth.SiteRealm, Host: "a.example"}, time.Now())
		return err
	}
	home := netip.MustParseAddr("192.0.2.1")
	if err := signIn("zoe", home, password); err != nil {
		return err
	}
	var attackers sync.WaitGroup
	var honest, locked, wrong, refused atomic.Int64
	began := time.Now()
	over := func() bool { // a slow machine has a longer flood, that shows as much
		shows := honest.Load() >= 5 && wrong.Load() >= 20 && refused.Load() >= 100
		return time.Since(began) > time.Minute || shows && time.Since(began) > 5*time.Second
	}
	for i := range 300 {
		attackers.Go(func() {
			for n := 0; !over(); n++ {
				if errors.Is(signIn(fmt.Sprintf("guest-%d-%d", i, n), netip.AddrFrom4([4]byte{198, 51, byte(n), byte(i)}), "guess"), auth.ErrWrong) {
					wrong.Add(1)
					continue
				}
				refused.Add(1)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	for !over() {
		if err := signIn("zoe", home, password); err != nil {
			locked.Add(1)
		} else {
			honest.Add(1)
		}
		time.Sleep(50 * time.Millisecond)
	}
	attackers.Wait()
	peak := memory("VmHWM")
	time.Sleep(6 * time.Second)
	fmt.Println(peak, memory("VmRSS"), honest.Load(), locked.Load(), wrong.Load(), refused.Load())
	stopSweeping()
	sweeper.Wait()
	return db.Close()
}

// memory reads one of this process's numbers in /proc/self/status, in MiB.
func memory(name string) int {
	status, _ := os.ReadFile("/proc/self/status")
	found := regexp.MustCompile(name + `:\s*(\d+) kB`).FindSubmatch(status)
	if found == nil {
		return -1
	}
	kib, _ := strconv.Atoi(string(found[1]))
	return kib >> 10
}

// A flood of sign-ins from tens of thousands of addresses neither fills the memory, while it lasts and after
// it, nor locks out who has signed in before.
func TestFloodOfSignIns(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 12 seconds")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), floodEnv+"="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("flooded process: %v\n%s", err, out)
	}
	var peak, after, honest, locked, wrong, refused int
	if _, err := fmt.Sscan(string(out), &peak, &after, &honest, &locked, &wrong, &refused); err != nil {
		t.Fatalf("read %q: %v", out, err)
	}
	t.Logf("peak %d MiB, after %d MiB; honest %d, refused %d; attackers wrong %d, refused %d", peak, after, honest, locked, wrong, refused)
	if wrong < 20 || refused < 100 {
		t.Errorf("the flood reached %d hashes and %d refusals: too few to show anything", wrong, refused)
	}
	if racetest.On {
		t.Log("the race detector takes memory and time of its own: not judged")
		return
	}
	if peak <= 0 || peak >= 200 {
		t.Errorf("resident memory reached %d MiB in the flood, want under 200", peak)
	}
	if after <= 0 || after >= 60 {
		t.Errorf("resident memory is %d MiB after the flood, want under 60", after)
	}
	if honest < 5 || locked > 0 {
		t.Errorf("a familiar address had %d sign-ins and %d refusals in the flood, want some and none", honest, locked)
	}
}
