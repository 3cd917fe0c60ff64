package decision_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// helperEnv makes this test binary the process that is killed; its value is a folder.
const helperEnv = "DOORWARD_DECISION_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		if err := decideForever(dir, os.Getenv("DOORWARD_DECISION_URL"), os.Getenv("DOORWARD_DECISION_FIRST")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// openIn opens the list in dir, or at the URL in urlFile.
func openIn(ctx context.Context, dir, urlFile string) (*store.DB, *decision.List, error) {
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(dir, "doorward.db"), URLFile: urlFile})
	if err != nil {
		return nil, nil, err
	}
	j, err := journal.Open(ctx, db, filepath.Join(dir, "journal.key"))
	if err != nil {
		return nil, nil, err
	}
	l, err := decision.Open(ctx, trial, decision.Deps{DB: db, Journal: j, Log: slog.New(slog.DiscardHandler)}, now)
	return db, l, err
}

func numbered(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{100, byte(n >> 16), byte(n >> 8), byte(n)})
}

// decideForever decides on one address after another and prints the number of each that was answered.
func decideForever(dir, urlFile, first string) error {
	ctx := context.Background()
	_, l, err := openIn(ctx, dir, urlFile)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(first)
	if err != nil {
		return err
	}
	for ; ; n++ {
		p := decision.Proposal{Action: decision.Ban, Target: decision.ForAddress(numbered(n), decision.OneAddress), Origin: "detection:test", At: now, Key: fmt.Sprint(n)}
		if _, _, err := l.Decide(ctx, p, now); err != nil {
			return err
		}
		if _, err := fmt.Println(n); err != nil {
			return err
		}
	}
}

// TestKill kills a deciding process many times, without warning, and wants every decision that was answered to stand, and none twice.
func TestKill(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		dir, answered := t.TempDir(), 0
		for round := range 6 {
			// The process begins where detections would: a little before the last answer, with the same keys.
			last := killDecider(t, dir, cfg.URLFile, max(1, answered-3))
			answered = max(answered, last)
			db, l, err := openIn(t.Context(), dir, cfg.URLFile)
			if err != nil {
				t.Fatalf("round %d: open: %v", round, err)
			}
			for n := 1; n <= answered; n++ {
				if _, ok := l.Lookup(numbered(n), now); !ok {
					t.Errorf("round %d: decision %d of %d was answered and is lost", round, n, answered)
				}
			}
			if got := l.Stats().Addresses; got < answered || got > answered+1 {
				t.Errorf("round %d: %d decisions, want %d, or one more whose answer was not out", round, got, answered)
			}
			if err := db.Close(); err != nil {
				t.Errorf("round %d: Close: %v", round, err)
			}
		}
		if answered < 60 {
			t.Errorf("only %d decisions were made: the test shows nothing", answered)
		}
	})
}

// killDecider starts the process, kills it at a random moment after its fifteenth answer, and returns the number of its last one.
func killDecider(t *testing.T, dir, urlFile string, first int) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+dir, "DOORWARD_DECISION_URL="+urlFile, "DOORWARD_DECISION_FIRST="+strconv.Itoa(first))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last, answers, lines := 0, 0, bufio.NewScanner(out)
	for lines.Scan() {
		number, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the process said %q", lines.Text())
		}
		if answers++; answers == 15 { // however slow the machine's disk is
			time.AfterFunc(time.Duration(rand.IntN(200))*time.Millisecond, func() { _ = cmd.Process.Kill() }) // SIGKILL
		}
		last = number
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the process ended with %v, want it killed", err)
	}
	return last
}
