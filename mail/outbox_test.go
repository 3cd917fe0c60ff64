package mail_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/mail/mailtest"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// post is an outbox with its server, at a time that the test moves.
type post struct {
	*mail.Outbox
	t      *testing.T
	db     *store.DB
	server *mailtest.Server
	now    time.Time

	mu      sync.Mutex
	results []mail.Result
}

func newPost(t *testing.T, db *store.DB) *post {
	t.Helper()
	p := &post{t: t, db: db, server: mailtest.Start(t, mailtest.Options{}), now: day}
	p.Outbox = p.another()
	return p
}

// another is an outbox as a second process would have it.
func (p *post) another() *mail.Outbox {
	return mail.New(p.server.Config(), mail.Deps{DB: p.db, Log: slog.New(slog.DiscardHandler), OnResult: func(r mail.Result) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.results = append(p.results, r)
	}})
}

// try adds a message in a transaction of its own.
func (p *post) try(o *mail.Outbox, m mail.Message) error {
	return p.db.Write(p.t.Context(), func(tx *sql.Tx) error { return o.Add(p.t.Context(), tx, m, p.now) })
}

func (p *post) add(to string) {
	p.t.Helper()
	m := message(to)
	m.Expires = p.now.Add(10 * time.Minute)
	if err := p.try(p.Outbox, m); err != nil {
		p.t.Fatal(err)
	}
}

// deliver lets the time pass and does a round.
func (p *post) deliver(after time.Duration, want int) {
	p.t.Helper()
	p.now = p.now.Add(after)
	n, err := p.Deliver(p.t.Context(), p.now)
	if n != want || err != nil {
		p.t.Fatalf("after %v %d messages were tried (%v), want %d", after, n, err, want)
	}
}

// outcomes are the results so far.
func (p *post) outcomes() (list []mail.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.results {
		list = append(list, r.Outcome)
	}
	return list
}

func (p *post) wantOutcomes(want ...mail.Outcome) {
	p.t.Helper()
	if diff := cmp.Diff(want, p.outcomes()); diff != "" {
		p.t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// content is everything of the table that could hold a link.
func (p *post) content() (text string) {
	p.t.Helper()
	rows, err := p.db.QueryContext(p.t.Context(), `SELECT subject || text_body || html_body || result FROM mail`)
	if err != nil {
		p.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			p.t.Fatal(err)
		}
		text += s + "\n"
	}
	if err := rows.Err(); err != nil {
		p.t.Fatal(err)
	}
	return text
}

func (p *post) exec(statement string, args ...any) {
	p.t.Helper()
	err := p.db.Write(p.t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(p.t.Context(), statement, args...)
		return err
	})
	if err != nil {
		p.t.Fatalf("%s: %v", statement, err)
	}
}

func (p *post) rows() (n int) {
	p.t.Helper()
	if err := p.db.QueryRowContext(p.t.Context(), `SELECT COUNT(*) FROM mail`).Scan(&n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

func TestDeliveredAndForgotten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPost(t, db)
		p.add("maria@example.org")
		if !strings.Contains(p.content(), "t=abc") {
			t.Fatal("the link is not in the store before the delivery; the test looks in the wrong place")
		}
		p.deliver(0, 1)
		got := p.server.Next(t, "maria@example.org")
		if got.Text != message("").Text || !got.TLS {
			t.Errorf("got %q, encrypted %t", got.Text, got.TLS)
		}
		if text := p.content(); strings.TrimSpace(text) != "" {
			t.Errorf("after the delivery the store still has %q", text)
		}
		p.wantOutcomes(mail.Sent)
		if got, want := p.Stats(), (mail.Stats{Sent: 1, Waiting: 1}); got != want {
			t.Errorf("stats are %+v, want %+v", got, want)
		}
		p.deliver(time.Hour, 0)
		if got := p.Stats().Waiting; got != 0 {
			t.Errorf("%d wait, want 0", got)
		}
		if err := p.Prune(t.Context(), p.now.Add(29*24*time.Hour)); err != nil || p.rows() != 1 {
			t.Errorf("after 29 days %d rows (%v), want the record", p.rows(), err)
		}
		if err := p.Prune(t.Context(), p.now.Add(31*24*time.Hour)); err != nil || p.rows() != 0 {
			t.Errorf("after 31 days %d rows (%v), want none", p.rows(), err)
		}
	})
}

func TestMailIsOneWithItsTransaction(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPost(t, db)
		refused := errors.New("the caller thinks again")
		err := db.Write(t.Context(), func(tx *sql.Tx) error {
			if err := p.Add(t.Context(), tx, message("maria@example.org"), p.now); err != nil {
				t.Fatal(err)
			}
			return refused
		})
		if !errors.Is(err, refused) {
			t.Fatal(err)
		}
		p.deliver(0, 0)
		// What cannot be sent does not spoil the caller's transaction either.
		err = db.Write(t.Context(), func(tx *sql.Tx) error {
			if err := p.Add(t.Context(), tx, message("nobody"), p.now); err == nil {
				t.Error("a message to nobody was added")
			}
			return p.Add(t.Context(), tx, message("maria@example.org"), p.now)
		})
		if err != nil {
			t.Fatal(err)
		}
		p.deliver(0, 1)
	})
}

func TestLaterThenTaken(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPost(t, db)
		p.server.Answer(mailtest.Recipient, 451, 450, 421)
		p.add("maria@example.org")
		p.deliver(0, 1)
		p.deliver(9*time.Second, 0)
		p.deliver(time.Second, 1)
		p.deliver(59*time.Second, 0)
		p.deliver(time.Second, 1)
		p.deliver(5*time.Minute, 1)
		p.wantOutcomes(mail.Retry, mail.Retry, mail.Retry, mail.Sent)
		first := p.server.Messages()[0]
		if got, want := first.Header.Get("Date"), day.Format(time.RFC1123Z); got != want {
			t.Errorf("Date is %s, want when it was written, %s", got, want)
		}
		if got := p.Stats(); got.Retried != 3 || got.Sent != 1 {
			t.Errorf("stats are %+v", got)
		}
	})
}

func TestRefusedForGood(t *testing.T) {
	p := newPost(t, storetest.SQLite(t))
	p.server.Answer(mailtest.Recipient, 550)
	p.add("nobody@example.org")
	p.deliver(0, 1)
	p.deliver(5*time.Minute, 0)
	p.wantOutcomes(mail.Failed)
	queue, err := p.Queue(t.Context(), 10)
	if err != nil || len(queue) != 1 || queue[0].State != "failed" || !strings.Contains(queue[0].Detail, "550") || queue[0].Tries != 1 || !queue[0].Done.Equal(p.now.Add(-5*time.Minute)) {
		t.Errorf("the queue is %+v, %v", queue, err)
	}
	if strings.Contains(p.content(), "t=abc") {
		t.Error("the link is still in the store")
	}
}

func TestExpired(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPost(t, db)
		for i := range 3 { // one was tried until it is too late, two were never due again
			p.server.Answer(mailtest.Recipient, 451)
			p.add(fmt.Sprintf("m%d@example.org", i))
		}
		p.deliver(0, 3)
		p.deliver(10*time.Minute, 0)
		p.wantOutcomes(mail.Retry, mail.Retry, mail.Retry, mail.Expired, mail.Expired, mail.Expired)
		if strings.Contains(p.content(), "t=abc") {
			t.Error("the link is still in the store")
		}
		// The wait after the fourth try would be longer than the message is of use: nobody waits for nothing.
		p.add("maria@example.org")
		p.server.Answer(mailtest.Recipient, 451, 451, 451, 451)
		for _, after := range []time.Duration{0, 10 * time.Second, time.Minute, 5 * time.Minute} {
			p.deliver(after, 1)
		}
		if got := p.Stats(); got.Expired != 4 || len(p.server.Messages()) != 0 {
			t.Errorf("stats are %+v and %d messages arrived; want 4 expired, none arrived", got, len(p.server.Messages()))
		}
	})
}

// TestServerInTrouble: with a server that takes nothing from us, one message at a time asks, after ten, twenty and
// thirty seconds, and everything goes out once it is well.
func TestServerInTrouble(t *testing.T) {
	p := newPost(t, storetest.SQLite(t))
	broken := p.server.Config()
	broken.CAFile = ""
	p.Reload(broken)
	for i := range 8 {
		p.add(fmt.Sprintf("m%d@example.org", i))
	}
	p.deliver(0, 1)
	p.deliver(9*time.Second, 0)
	p.deliver(time.Second, 1)
	p.deliver(19*time.Second, 0)
	p.deliver(time.Second, 1)
	p.deliver(30*time.Second, 1)
	p.wantOutcomes(mail.Retry, mail.Retry, mail.Retry, mail.Retry)
	p.Reload(p.server.Config())
	if n, err := p.Deliver(t.Context(), p.now); n < 4 || err != nil {
		t.Errorf("after the repair %d messages were tried at once (%v), want those that were never tried", n, err)
	}
	p.now = p.now.Add(30 * time.Second)
	if _, err := p.Deliver(t.Context(), p.now); err != nil || len(p.server.Messages()) != 8 {
		t.Errorf("30 seconds later %d messages had arrived (%v), want 8", len(p.server.Messages()), err)
	}
}

func TestCaps(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPost(t, db)
		for range 20 {
			p.add("maria@example.org")
		}
		if err := p.try(p.Outbox, message("MARIA@example.org")); !errors.Is(err, mail.ErrFull) {
			t.Errorf("the 21st message to one recipient gave %v, want ErrFull", err)
		}
		p.add("joe@example.org")
		p.exec(`INSERT INTO mail (id, kind, recipient, recipient_key, state, created_at, expires_at, next_at, language, subject, text_body, html_body)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9978)
SELECT 'id-' || i, 'x', 'x', 'r' || i, 'waiting', 1, $1, $1, '', 's', 't', '' FROM n`, store.Micros(p.now.Add(time.Hour)))
		p.add("ann@example.org") // the 10,000th
		if err := p.try(p.Outbox, message("eve@example.org")); !errors.Is(err, mail.ErrFull) {
			t.Errorf("the 10,001st message gave %v, want ErrFull", err)
		}
		if got := p.Stats().Dropped; got != 2 {
			t.Errorf("%d were counted as dropped, want 2", got)
		}
		p.deliver(0, 22)
		p.add("eve@example.org")
	})
}

func TestRecordIsBounded(t *testing.T) {
	p := newPost(t, storetest.SQLite(t))
	p.exec(`INSERT INTO mail (id, kind, recipient, recipient_key, state, created_at, expires_at, next_at, done_at, language, subject, text_body, html_body)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50003)
SELECT 'id-' || i, 'x', 'x', 'x', 'sent', 1, 1, 1, $1 + i, '', '', '', '' FROM n`, store.Micros(p.now))
	if err := p.Prune(t.Context(), p.now); err != nil || p.rows() != 50_000 {
		t.Errorf("%d rows are left (%v), want 50000", p.rows(), err)
	}
}

func TestWithoutServerNothingIsAdded(t *testing.T) {
	p := newPost(t, storetest.SQLite(t))
	p.Reload(mail.Config{})
	if err := p.try(p.Outbox, message("maria@example.org")); !errors.Is(err, mail.ErrOff) || p.Enabled() {
		t.Errorf("got %v and Enabled %t, want ErrOff", err, p.Enabled())
	}
}

// TestKilledBetweenClaimAndResult: a process that dies with a message on its way leaves it to the next one, which
// sends it once the claim has ended, under the same Message-ID.
func TestKilledBetweenClaimAndResult(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPost(t, db)
		p.add("maria@example.org")
		// What a process writes before it opens the connection.
		p.exec(`UPDATE mail SET claim = 'dead', tries = 1, next_at = $1`, store.Micros(p.now.Add(40*time.Second)))
		p.deliver(39*time.Second, 0)
		p.deliver(time.Second, 1)
		if n := len(p.server.Messages()); n != 1 {
			t.Errorf("%d messages arrived, want 1", n)
		}
		queue, err := p.Queue(t.Context(), 10)
		if err != nil || len(queue) != 0 {
			t.Errorf("the queue is %+v, %v; want it empty", queue, err)
		}
	})
}

// TestEndOfAClaim: a process that was away for longer than its claim has no say any more.
func TestEndOfAClaim(t *testing.T) {
	p := newPost(t, storetest.SQLite(t))
	p.server.Answer(mailtest.Content, mailtest.Hang)
	slow := p.server.Config()
	slow.Timeout = 5 * time.Second // it is for the steps before, too
	p.Reload(slow)
	p.add("maria@example.org")
	done := make(chan error, 1)
	go func() { _, err := p.Deliver(t.Context(), p.now); done <- err }()
	p.server.Await(t, mailtest.Content)
	other := p.another()
	if n, err := other.Deliver(t.Context(), p.now); n != 0 || err != nil {
		t.Errorf("during the claim another process tried %d messages (%v), want 0", n, err)
	}
	if n, err := other.Deliver(t.Context(), p.now.Add(time.Minute)); n != 1 || err != nil {
		t.Errorf("after the claim another process tried %d messages (%v), want 1", n, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n, err := other.Deliver(t.Context(), p.now.Add(2*time.Minute)); n != 0 || err != nil {
		t.Errorf("the first process's failure brought the message back: %d tried (%v)", n, err)
	}
}

// TestTwoProcessesOnOneDatabase: each message is sent once, whoever sends it, and at once.
func TestTwoProcessesOnOneDatabase(t *testing.T) {
	cfg := storetest.NewDatabase(t, storetest.Shared(t))
	p := newPost(t, storetest.Open(t, cfg))
	p.now = time.Now()
	second := storetest.Open(t, cfg)
	other := mail.New(p.server.Config(), mail.Deps{DB: second, Log: slog.New(slog.DiscardHandler)})
	run(t, p.Outbox)
	run(t, other)
	const each = 30
	var adders sync.WaitGroup
	for i, o := range []*mail.Outbox{p.Outbox, other} {
		db := []*store.DB{p.db, second}[i]
		adders.Go(func() {
			for n := range each {
				m := message(fmt.Sprintf("m%d-%d@example.org", i, n))
				m.Expires = p.now.Add(time.Hour)
				if err := db.Write(t.Context(), func(tx *sql.Tx) error { return o.Add(t.Context(), tx, m, p.now) }); err != nil {
					t.Error(err)
				}
				o.Wake()
			}
		})
	}
	adders.Wait()
	for i := range 2 {
		for n := range each {
			p.server.Next(t, fmt.Sprintf("m%d-%d@example.org", i, n))
		}
	}
	sent := func() uint64 { return p.Stats().Sent + other.Stats().Sent }
	for end := time.Now().Add(time.Minute); sent() < 2*each && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	time.Sleep(1500 * time.Millisecond) // one more look of each
	if n := len(p.server.Messages()); n != 2*each {
		t.Errorf("%d messages arrived, want %d", n, 2*each)
	}
	if n := sent(); n != 2*each {
		t.Errorf("the processes sent %d, want %d together", n, 2*each)
	}
}

// run runs an outbox until the test ends.
func run(t *testing.T, o *mail.Outbox) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run gave %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// TestRunEndsInTime: a server that hangs does not keep the process from ending, and the message is not lost.
func TestRunEndsInTime(t *testing.T) {
	p := newPost(t, storetest.SQLite(t))
	p.now = time.Now()
	slow := p.server.Config()
	slow.Timeout = 5 * time.Minute
	p.Reload(slow)
	p.server.Answer(mailtest.Sender, mailtest.Hang)
	p.add("maria@example.org")
	stop := run(t, p.Outbox)
	p.server.Await(t, mailtest.Sender)
	begin := time.Now()
	stop()
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("it took %v to end", took)
	}
	queue, err := p.Queue(t.Context(), 10)
	if err != nil || len(queue) != 1 || queue[0].State != "waiting" || queue[0].Next.After(time.Now().Add(10*time.Second)) {
		t.Errorf("the queue is %+v, %v; want the message, due soon", queue, err)
	}
}

// TestSeveralAtOnce: a recipient whose server is slow does not hold up the others.
func TestSeveralAtOnce(t *testing.T) {
	p := newPost(t, storetest.SQLite(t))
	p.now = time.Now()
	slow := p.server.Config()
	slow.Timeout = 20 * time.Second
	p.Reload(slow)
	run(t, p.Outbox)
	p.server.Answer(mailtest.Recipient, mailtest.Hang)
	p.add("slow@example.org")
	p.Wake()
	p.server.Await(t, mailtest.Recipient)
	p.add("quick@example.org")
	p.Wake()
	p.server.Next(t, "quick@example.org")
	if slices.Contains(p.outcomes(), mail.Retry) {
		t.Error("the quick one waited for the slow one")
	}
}
