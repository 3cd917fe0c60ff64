package detect_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// helperEnv makes this test binary the watch that is killed; its value is a folder.
const helperEnv = "DOORWARD_DETECT_WATCH"

// ownEnv makes that one meet requests at its gateway.
const ownEnv = "DOORWARD_DETECT_OWN"

func TestMain(m *testing.M) {
	if dir, order := os.Getenv(helperEnv), os.Getenv(ownEnv); order != "" {
		fmt.Fprintln(os.Stderr, gatewayProcess(dir, os.Getenv("DOORWARD_DETECT_URL"), order))
		os.Exit(1)
	} else if dir != "" {
		w, _, err := openWatch(context.Background(), dir, os.Getenv("DOORWARD_DETECT_URL"))
		if err == nil {
			err = w.Run(context.Background())
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// openWatch opens the watch over the configuration of fail2ban in dir/fail2ban, and the list in the store.
func openWatch(ctx context.Context, dir, urlFile string) (*detect.Watch, *decision.List, error) {
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(dir, "doorward.db"), URLFile: urlFile})
	if err != nil {
		return nil, nil, err
	}
	l, err := openList(ctx, db, dir)
	if err != nil {
		return nil, nil, err
	}
	w, err := detect.New(detect.Config{Fail2ban: detect.Fail2banConfig{Folder: filepath.Join(dir, "fail2ban")}},
		detect.Deps{DB: db, Decisions: l, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})), Node: "here", Local: time.UTC})
	return w, l, err
}

func openList(ctx context.Context, db *store.DB, dir string) (*decision.List, error) {
	j, err := journal.Open(ctx, db, filepath.Join(dir, "journal.key"))
	if err != nil {
		return nil, err
	}
	return decision.Open(ctx, decision.Config{Allow: []string{"192.0.2.1"}}, decision.Deps{DB: db, Journal: j, Log: slog.New(slog.DiscardHandler)}, time.Now())
}

// configure writes a configuration of fail2ban with one jail over log.
func configure(t *testing.T, dir, log, options string) {
	t.Helper()
	files := map[string]string{
		"jail.conf":              "[DEFAULT]\nbantime = 1h\nfindtime = 10m\nmaxretry = 3\nbackend = polling\nbanaction = nftables\naction = %(banaction)s[name=%(__name__)s]\n",
		"jail.local":             "[app]\nenabled = true\nfilter = app\nlogpath = " + log + "\n" + options + "\n[other]\nenabled = false\nfilter = app\nlogpath = /nowhere\n",
		"filter.d/app.conf":      "[Definition]\nfailregex = ^\\s*login of <F-USER>.*</F-USER> from <HOST> failed$\n",
		"action.d/nftables.conf": "[Definition]\nactionban = true\n",
	}
	for name, text := range files {
		full := filepath.Join(dir, "fail2ban", name)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

type logFile struct {
	t    *testing.T
	file *os.File
}

func newLog(t *testing.T, path string) logFile {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return logFile{t, f}
}

func (l logFile) fail(at time.Time, user, address string) {
	l.t.Helper()
	if _, err := fmt.Fprintf(l.file, "%s login of %s from %s failed\n", at.UTC().Format("2006-01-02 15:04:05"), user, address); err != nil {
		l.t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func run(t *testing.T, w *detect.Watch) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// TestJailBans: an imported jail leads from a line to a decision, with its evidence, for as long as the jail says.
func TestJailBans(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	log := newLog(t, path)
	configure(t, dir, path, "ignoreip = 198.51.100.0/24")
	w, l, err := openWatch(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	run(t, w)
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	for i := range 3 {
		log.fail(at.Add(time.Duration(i)*time.Second), "anna", "203.0.113.7")
		log.fail(at, "anna", "198.51.100.4") // ignoreip
		log.fail(at, "anna", "192.0.2.1")    // on the allow list
		log.fail(at, "anna", "host.example") // never resolved
		log.fail(at, "x from 203.0.113.9 failed", "2001:db8::5")
	}
	log.fail(at, "berta", "203.0.113.8")
	log.fail(at, "berta", "203.0.113.8")
	banned := func(text string) (decision.Decision, bool) { return l.Lookup(netip.MustParseAddr(text), time.Now()) }
	eventually(t, "203.0.113.7 is banned", func() bool { _, ok := banned("203.0.113.7"); return ok })
	eventually(t, "2001:db8::5 is banned", func() bool { _, ok := banned("2001:db8::5"); return ok })
	eventually(t, "all lines are read", func() bool { return w.Jails()[0].Counters.Lines == 17 })
	for _, spared := range []string{"198.51.100.4", "192.0.2.1", "203.0.113.8", "203.0.113.9"} {
		if d, ok := banned(spared); ok {
			t.Errorf("%s is banned: %+v", spared, d)
		}
	}
	found, err := l.Find(t.Context(), decision.Filter{Address: netip.MustParseAddr("203.0.113.7")}, time.Now())
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	d := found[0]
	if want := at.Add(2*time.Second + time.Hour); d.Origin != "jail:app" || !d.Until.Equal(want) || len(d.Evidence) != 3 || !strings.Contains(d.Evidence[0], "login of anna") {
		t.Errorf("decision is %+v, want one of jail:app until %s with three lines", d, want)
	}
	want := detect.JailCounters{Lines: 17, Failures: 11, Exempt: 3, Named: 3, Proposals: 3}
	if got := w.Jails()[0]; got.Counters != want || got.Problem != "" {
		t.Errorf("jail is %+v, want counters %+v", got, want)
	}
}

// TestJailsThatDoNotRun: a missing log and a jail that cannot run are said, and stop nobody.
func TestJailsThatDoNotRun(t *testing.T) {
	dir := t.TempDir()
	configure(t, dir, filepath.Join(dir, "late.log"), "[broken]\nenabled = true\nfilter = none\nlogpath = /var/log/x\n")
	w, l, err := openWatch(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	run(t, w)
	jails := w.Jails()
	if names := []string{jails[0].Name, jails[1].Name}; !slices.Equal(names, []string{"app", "broken"}) || jails[1].Problem == "" {
		t.Fatalf("jails are %+v", jails)
	}
	eventually(t, "the missing log is said", func() bool { return strings.Contains(w.Jails()[0].Problem, "no file") })
	log := newLog(t, filepath.Join(dir, "late.log"))
	for range 3 {
		log.fail(time.Now(), "anna", "203.0.113.7")
	}
	eventually(t, "banned", func() bool { _, ok := l.Lookup(netip.MustParseAddr("203.0.113.7"), time.Now()); return ok })
	eventually(t, "nothing is wrong", func() bool { return w.Jails()[0].Problem == "" })
}

// TestPrepare: another configuration takes over what was counted.
func TestPrepare(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	log := newLog(t, path)
	configure(t, dir, path, "")
	w, l, err := openWatch(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	run(t, w)
	log.fail(time.Now(), "anna", "203.0.113.7")
	log.fail(time.Now(), "anna", "203.0.113.7")
	eventually(t, "both are counted", func() bool { return w.Jails()[0].Counters.Failures == 2 })
	if _, err := w.Prepare(detect.Config{Fail2ban: detect.Fail2banConfig{Folder: filepath.Join(dir, "fail2ban"), Jails: []string{"gone"}}}); err == nil {
		t.Error("a jail that is not defined is accepted")
	}
	swap, err := w.Prepare(detect.Config{Fail2ban: detect.Fail2banConfig{Folder: filepath.Join(dir, "fail2ban"), Jails: []string{"app"}}})
	if err != nil {
		t.Fatal(err)
	}
	swap()
	eventually(t, "the other one runs", func() bool { return w.Jails()[0].Counters.Lines == 0 })
	log.fail(time.Now(), "anna", "203.0.113.7")
	eventually(t, "banned", func() bool { _, ok := l.Lookup(netip.MustParseAddr("203.0.113.7"), time.Now()); return ok })
}

// TestKilled kills the watch again and again while lines come. Who failed twice must not be banned, because no line counts
// twice; who failed three times must be, because none is lost; and nobody may seem to have come back.
func TestKilled(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		dir := t.TempDir()
		path := filepath.Join(dir, "app.log")
		log := newLog(t, path)
		configure(t, dir, path, "bantime.increment = true")
		const addresses = 1200
		address := func(n int) string { return fmt.Sprintf("100.64.%d.%d", n/250, 1+n%250) }
		began := time.Now()
		for round := 0; round < 3; round++ { // each address fails once a round, the even ones not in the last
			for first := 0; first < addresses; first += 200 {
				for n := first; n < first+200; n++ {
					if round < 2 || n%2 == 1 {
						log.fail(began, fmt.Sprint("round", round), address(n))
					}
				}
				killWatch(t, dir, cfg.URLFile, 100*time.Millisecond+time.Duration(first%7)*150*time.Millisecond)
			}
		}
		db := storetest.Open(t, store.Config{Path: filepath.Join(dir, "doorward.db"), URLFile: cfg.URLFile})
		w, l, err := openWatch(t.Context(), dir, cfg.URLFile)
		if err != nil {
			t.Fatal(err)
		}
		_ = db
		run(t, w)
		eventually(t, "the last one is banned", func() bool { return l.Stats().Addresses >= addresses/2 })
		time.Sleep(300 * time.Millisecond) // for what must not come
		found, err := l.Find(t.Context(), decision.Filter{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != addresses/2 {
			t.Errorf("%d addresses are banned, want %d", len(found), addresses/2)
		}
		for _, d := range found {
			if d.Repeats != 0 {
				t.Errorf("%s seems to have been banned before", d.Target)
			}
		}
		for n := 0; n < addresses; n += 2 {
			if _, ok := l.Lookup(netip.MustParseAddr(address(n)), time.Now()); ok {
				t.Fatalf("%s failed twice and is banned", address(n))
			}
		}
	})
}

func killWatch(t *testing.T, dir, urlFile string, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+dir, "DOORWARD_DETECT_URL="+urlFile)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}
