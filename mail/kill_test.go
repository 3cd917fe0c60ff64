package mail_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/mail/mailtest"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// TestKilledWhileSending kills a real process while the server keeps it waiting: before the message was handed over,
// and after, when only the answer is missing. The next process sends it, the second time under the same Message-ID.
func TestKilledWhileSending(t *testing.T) {
	if path := os.Getenv("DOORWARD_TEST_MAIL_STORE"); path != "" {
		sendAndHang(t, path)
		return
	}
	for _, step := range []string{mailtest.Sender, mailtest.Content} {
		t.Run(step, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "doorward.db")
			p := newPost(t, storetest.Open(t, store.Config{Path: file}))
			p.server.Answer(step, mailtest.Hang)
			p.add("maria@example.org")
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledWhileSending$", "-test.count=1")
			child.Env = append(os.Environ(), "DOORWARD_TEST_MAIL_STORE="+file, "DOORWARD_TEST_MAIL_CA="+p.server.CAFile,
				"DOORWARD_TEST_MAIL_PORT="+strconv.Itoa(p.server.Port()))
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			p.server.Await(t, step)
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := child.Wait(); err == nil || p.server.Commands(step) != 1 {
				t.Fatalf("the child ended by itself (%v) after %d times %s", err, p.server.Commands(step), step)
			}
			p.deliver(0, 0) // it still belongs to the dead
			p.deliver(time.Minute, 1)
			p.server.Next(t, "maria@example.org")
			p.wantOutcomes(mail.Sent)
		})
	}
}

// sendAndHang is the process that is killed.
func sendAndHang(t *testing.T, path string) {
	port, err := strconv.Atoi(os.Getenv("DOORWARD_TEST_MAIL_PORT"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := mail.Config{Host: "127.0.0.1", Port: port, CAFile: os.Getenv("DOORWARD_TEST_MAIL_CA"), From: "desk@example.org"}
	o := mail.New(cfg, mail.Deps{DB: storetest.Open(t, store.Config{Path: path}), Log: slog.New(slog.DiscardHandler)})
	n, err := o.Deliver(context.Background(), day)
	t.Fatalf("it was not killed: %d tried, %v", n, err)
}
