package journal_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// helperEnv makes this test binary the process that is killed; its value is the folder of the key and, for
// SQLite, the database.
const helperEnv = "DOORWARD_JOURNAL_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		if err := writeForever(dir, os.Getenv("DOORWARD_JOURNAL_URL")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// writeForever writes a row and its journal entry in one transaction, and then acknowledges it with a line
// on standard output, again and again.
func writeForever(dir, urlFile string) error {
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(dir, "doorward.db"), URLFile: urlFile})
	if err != nil {
		return err
	}
	j, err := journal.Open(ctx, db, filepath.Join(dir, "journal.key"))
	if err != nil {
		return err
	}
	var next int
	if err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM sign_in_failure`).Scan(&next); err != nil {
		return err
	}
	for ; ; next++ {
		err := db.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO sign_in_failure (key, failures, wait_until, updated_at) VALUES ($1, 1, 0, 0)`, strconv.Itoa(next))
			if err != nil {
				return err
			}
			return j.Append(ctx, tx, entry(next))
		})
		if err != nil {
			return err
		}
		if _, err := fmt.Println(next); err != nil {
			return err
		}
	}
}

// TestKill kills a writing process many times, without warning, and wants every acknowledged write there
// with its journal entry, nothing half done, and a journal that fits the head kept from the kill before.
func TestKill(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		const rounds = 12
		dir := t.TempDir()
		if cfg.URLFile == "" {
			cfg.Path = filepath.Join(dir, "doorward.db")
		}
		acknowledged, kept := -1, ""
		for round := range rounds {
			acknowledged = max(acknowledged, killWriter(t, dir, cfg.URLFile))
			db := storetest.Open(t, cfg)
			j, err := journal.Open(t.Context(), db, filepath.Join(dir, "journal.key"))
			if err != nil {
				t.Fatalf("round %d: Open: %v", round, err)
			}
			var rows int
			if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM sign_in_failure`).Scan(&rows); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if rows <= acknowledged {
				t.Fatalf("round %d: %d rows, but row %d was acknowledged", round, rows, acknowledged)
			}
			report := verify(t, j, kept)
			if !report.OK() || report.Size != int64(rows) {
				t.Fatalf("round %d: journal %+v, want no problems and %d entries, one a row", round, report, rows)
			}
			kept = head(t, j)
			if err := db.Close(); err != nil {
				t.Fatalf("round %d: Close: %v", round, err)
			}
		}
		if acknowledged < rounds {
			t.Errorf("only %d writes were acknowledged in %d rounds: the test shows nothing", acknowledged+1, rounds)
		}
	})
}

// killWriter starts the writer, kills it at a random moment after its third acknowledgement, and returns
// the last number it acknowledged.
func killWriter(t *testing.T, dir, urlFile string) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+dir, "DOORWARD_JOURNAL_URL="+urlFile)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last, acknowledged, lines := -1, 0, bufio.NewScanner(out)
	for lines.Scan() {
		number, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the writer said %q", lines.Text())
		}
		if acknowledged++; acknowledged == 3 {
			time.AfterFunc(time.Duration(rand.IntN(60))*time.Millisecond, func() { _ = cmd.Process.Kill() }) // SIGKILL
		}
		last = number
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the writer ended with %v, want it killed", err)
	}
	return last
}
