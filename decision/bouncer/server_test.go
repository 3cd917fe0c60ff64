package bouncer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/decision/bouncer"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

var root = decision.Actor{Name: "cli:root", Origin: "local"}

// served is a bouncer API on a port of its own.
type served struct {
	*bouncer.Server
	t    *testing.T
	list *decision.List
	db   *store.DB
	key  string
}

func serve(t *testing.T, db *store.DB) *served {
	t.Helper()
	j, err := journal.Open(t.Context(), db, filepath.Join(t.TempDir(), "journal.key"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	s := &served{t: t, db: db}
	s.list, err = decision.Open(t.Context(), decision.Config{Trial: true}, decision.Deps{DB: db, Journal: j, Log: log}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.Server, err = bouncer.New(t.Context(), decision.BouncerConfig{Listen: "127.0.0.1:0"}, bouncer.Deps{List: s.list, DB: db, Journal: j, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	if s.key, err = s.Keys().Add(t.Context(), root, "fw", time.Now()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *served) send(method, path, key string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, "http://"+s.Address().String()+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("X-Api-Key", key)
	}
	req.Header.Set("User-Agent", "a-bouncer/v1")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// item is what the public documentation says of a decision.
type item struct {
	ID                                                   int64
	Origin, Type, Scope, Value, Duration, Scenario, UUID string
}

func (s *served) decisions(query string) []item {
	s.t.Helper()
	status, body := s.send("GET", "/v1/decisions"+query, s.key)
	var out []item
	if err := json.Unmarshal([]byte(body), &out); err != nil || status != 200 {
		s.t.Fatalf("%s: %d %s: %v", query, status, body, err)
	}
	return out
}

func (s *served) stream(query string) (added, deleted []item) {
	s.t.Helper()
	status, body := s.send("GET", "/v1/decisions/stream"+query, s.key)
	var out struct{ New, Deleted []item }
	if err := json.Unmarshal([]byte(body), &out); err != nil || status != 200 {
		s.t.Fatalf("%s: %d %s: %v", query, status, body, err)
	}
	return out.New, out.Deleted
}

func (s *served) decide(action decision.Action, target string, long time.Duration, origin string) decision.Decision {
	s.t.Helper()
	about, err := decision.ParseTarget(target)
	if err != nil {
		s.t.Fatal(err)
	}
	d, r, err := s.list.Decide(s.t.Context(), decision.Proposal{Action: action, Target: about, Origin: origin, Reason: "why", For: long}, time.Now())
	if err != nil || r.Refused() {
		s.t.Fatalf("%s: %s, %v", target, r, err)
	}
	return d
}

func values(items []item) string {
	var out []string
	for _, i := range items {
		out = append(out, i.Value)
	}
	return strings.Join(out, " ")
}

func TestQuery(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := serve(t, db)
		if status, body := s.send("GET", "/v1/decisions?ip=203.0.113.7", s.key); status != 200 || body != "null" {
			t.Errorf("nothing: got %d %q, want null", status, body)
		}
		first := s.decide(decision.Ban, "203.0.113.7", 4*time.Hour, "detection:sshd")
		s.decide(decision.Challenge, "203.0.113.0/24", time.Hour, "admin:anna")
		s.decide(decision.Throttle, "2001:db8::/64", 0, "import:list")
		s.decide(decision.Ban, "account:maria", time.Hour, "admin:anna")
		s.decide(decision.Ban, "country:XX", time.Hour, "admin:anna")
		got := s.decisions("?ip=203.0.113.7")
		if len(got) != 2 || got[0] != (item{ID: first.Number, Origin: "crowdsec", Type: "ban", Scope: "Ip", Value: "203.0.113.7", Duration: got[0].Duration, Scenario: "detection:sshd", UUID: first.ID}) {
			t.Errorf("got %+v", got)
		}
		if d, err := time.ParseDuration(got[0].Duration); err != nil || d > 4*time.Hour || d < 3*time.Hour+59*time.Minute {
			t.Errorf("got the duration %q, %v", got[0].Duration, err)
		}
		for query, want := range map[string]string{
			"?ip=203.0.113.8":                             "203.0.113.0/24",
			"?scope=Ip&value=203.0.113.8":                 "203.0.113.0/24",
			"?value=203.0.113.8":                          "203.0.113.0/24",
			"?ip=2001:db8::5":                             "2001:db8::/64",
			"?range=203.0.113.0/25":                       "203.0.113.0/24",
			"?range=203.0.0.0/16":                         "",
			"?range=203.0.0.0/16&contains=false":          "203.0.113.0/24 203.0.113.7",
			"?scope=username&value=Maria":                 "maria",
			"?scope=Country&value=xx":                     "XX",
			"?scope=AS&value=64496":                       "",
			"?ip=203.0.113.7&type=captcha":                "203.0.113.0/24",
			"?ip=203.0.113.7&origins=cscli":               "203.0.113.0/24",
			"?ip=203.0.113.7&scopes=range":                "203.0.113.0/24",
			"?ip=203.0.113.7&scenarios_containing=SSH":    "203.0.113.7",
			"?ip=203.0.113.7&scenarios_not_containing=ss": "203.0.113.0/24",
			"?scope=Range":                                "203.0.113.0/24 2001:db8::/64",
		} {
			if got := values(s.decisions(query)); got != want {
				t.Errorf("%s: got %q, want %q", query, got, want)
			}
		}
		if got := s.decisions(""); len(got) != 5 {
			t.Errorf("got %+v, want all", got)
		}
		if list, err := s.Keys().List(t.Context()); err != nil || list[0].LastUsed.IsZero() || list[0].Agent != "a-bouncer/v1" || list[0].Address != "127.0.0.1" {
			t.Errorf("got %+v, %v, want the use noted", list, err)
		}
	})
}

func TestStream(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := serve(t, db)
		s.decide(decision.Ban, "203.0.113.7", time.Hour, "detection:sshd")
		s.decide(decision.Ban, "203.0.113.0/24", time.Hour, "admin:anna")
		if added, deleted := s.stream("?startup=true"); values(added) != "203.0.113.0/24 203.0.113.7" || deleted != nil {
			t.Errorf("startup: got %v and %v", added, deleted)
		}
		if _, body := s.send("GET", "/v1/decisions/stream?startup=false", s.key); body != `{"deleted":null,"new":null}` {
			t.Errorf("nothing new: got %s", body)
		}
		short := s.decide(decision.Ban, "203.0.113.9", 3*time.Second, "detection:sshd") // it stands while the next few things are done
		s.decide(decision.Ban, "account:maria", time.Hour, "detection:app")
		if _, err := s.list.Delete(t.Context(), root, "203.0.113.7", "", time.Now()); err != nil {
			t.Fatal(err)
		}
		// One more bouncer has a position of its own.
		other, err := s.Keys().Add(t.Context(), root, "other", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		added, deleted := s.stream("?startup=false&scopes=ip,range")
		if values(added) != "203.0.113.9" || values(deleted) != "203.0.113.7" {
			t.Errorf("got %v and %v", added, deleted)
		}
		if d, err := time.ParseDuration(deleted[0].Duration); err != nil || d > 0 {
			t.Errorf("the deleted one lasts %q", deleted[0].Duration)
		}
		time.Sleep(time.Until(short.Until) + 10*time.Millisecond)
		if added, deleted := s.stream(""); added != nil || values(deleted) != "203.0.113.9" {
			t.Errorf("got %v and %v, want the one that ran out", added, deleted)
		}
		if added, deleted := s.stream(""); added != nil || deleted != nil {
			t.Errorf("twice: got %v and %v", added, deleted)
		}
		// What takes the place of one that ran out is not deleted.
		again := s.decide(decision.Ban, "203.0.113.10", time.Second, "detection:sshd")
		s.stream("")
		time.Sleep(time.Until(again.Until) + 10*time.Millisecond)
		s.decide(decision.Ban, "203.0.113.10", time.Hour, "detection:sshd")
		if added, deleted := s.stream(""); values(added) != "203.0.113.10" || deleted != nil {
			t.Errorf("got %v and %v", added, deleted)
		}
		key := s.key
		s.key = other
		if added, _ := s.stream(""); len(added) != 3 { // the first answer to anybody is everything
			t.Errorf("the other bouncer got %v", added)
		}
		s.key = key
	})
}

func TestRefusals(t *testing.T) {
	s := serve(t, storetest.SQLite(t))
	if err := func() error { _, err := s.Keys().Add(t.Context(), root, "fw", time.Now()); return err }(); !errors.Is(err, bouncer.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	for _, c := range []struct {
		method, path, key string
		status            int
		body              string
	}{
		{"GET", "/v1/decisions", "", 403, `{"message":"access forbidden"}`},
		{"GET", "/v1/decisions/stream?startup=true", strings.Repeat("0", 64), 403, `{"message":"access forbidden"}`},
		{"HEAD", "/v1/decisions", s.key, 200, ""},
		{"HEAD", "/v1/decisions/stream", s.key, 200, ""},
		{"DELETE", "/v1/decisions", s.key, 404, `{"message":"Page or Method not found"}`},
		{"GET", "/v1/alerts", s.key, 404, `{"message":"Page or Method not found"}`},
		{"GET", "/v1/decisions?ip=x", s.key, 400, `{"message":"ip is not an address"}`},
		{"GET", "/v1/decisions?range=1.2.3.4/99", s.key, 400, `{"message":"range is not a network"}`},
		{"GET", "/v1/decisions?a=%zz", s.key, 400, `{"message":"the query is malformed"}`},
		{"POST", "/v1/usage-metrics", s.key, 201, ""},
		{"GET", "/health", "", 200, `{"status":"up"}`},
	} {
		if status, body := s.send(c.method, c.path, c.key); status != c.status || body != c.body {
			t.Errorf("%s %s: got %d %s, want %d %s", c.method, c.path, status, body, c.status, c.body)
		}
	}
	if err := s.Keys().Remove(t.Context(), root, "fw"); err != nil {
		t.Fatal(err)
	}
	if status, _ := s.send("GET", "/v1/decisions", s.key); status != 403 {
		t.Errorf("a removed key: %d", status)
	}
	if err := s.Keys().Remove(t.Context(), root, "fw"); !errors.Is(err, bouncer.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestKeysAreCappedAndHashed(t *testing.T) {
	s := serve(t, storetest.SQLite(t))
	for n := 1; n < 200; n++ {
		if _, err := s.Keys().Add(t.Context(), root, fmt.Sprint("b", n), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Keys().Add(t.Context(), root, "more", time.Now()); !errors.Is(err, bouncer.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	if _, err := s.Keys().Add(t.Context(), root, "a b\n", time.Now()); err == nil {
		t.Error("a name with a line break was taken")
	}
	var hash string
	if err := s.db.QueryRowContext(t.Context(), `SELECT key_hash FROM decision_bouncer WHERE name = 'fw'`).Scan(&hash); err != nil || hash == s.key || len(hash) != 64 {
		t.Errorf("the store has %q, %v", hash, err)
	}
}

func TestOnlyLoopbackWithoutTLS(t *testing.T) {
	db := storetest.SQLite(t)
	_, err := bouncer.New(t.Context(), decision.BouncerConfig{Listen: "0.0.0.0:0"}, bouncer.Deps{DB: db, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "unprotected") {
		t.Errorf("got %v, want a refusal", err)
	}
}

// TestManyInAStream reads a long list as one answer.
func TestManyInAStream(t *testing.T) {
	s := serve(t, storetest.SQLite(t))
	var ps []decision.Proposal
	for n := range 5000 {
		ps = append(ps, decision.Proposal{Action: decision.Ban, Target: decision.ForAddress(netip.AddrFrom4([4]byte{100, 64, byte(n >> 8), byte(n)}), decision.OneAddress), Origin: "import:x"})
	}
	if _, err := s.list.DecideAll(t.Context(), ps, time.Now()); err != nil {
		t.Fatal(err)
	}
	if added, _ := s.stream("?startup=true"); len(added) != 5000 {
		t.Errorf("got %d", len(added))
	}
}
