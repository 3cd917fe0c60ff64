package decision_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// TestSummary: bans of a time by origin and target; other actions and other times are not among them.
func TestSummary(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, _ := open(t, db, trial)
		from := now.Add(-24 * time.Hour)
		decide := func(address, origin string, action decision.Action, at time.Time, length time.Duration) {
			t.Helper()
			p := decision.Proposal{Action: action, Target: decision.ForAddress(netip.MustParseAddr(address), decision.OneAddress), Origin: origin, Reason: "test", At: at, For: length,
				Key: fmt.Sprint(address, origin, action, at.UnixNano())}
			if _, _, err := l.Decide(t.Context(), p, at); err != nil {
				t.Fatal(err)
			}
		}
		decide("203.0.113.9", "detection:too_early", decision.Ban, from.Add(-time.Hour), time.Minute)
		for n := range 3 {
			decide("203.0.113.1", "detection:sshd_guessing", decision.Ban, from.Add(time.Duration(n+1)*time.Hour), time.Minute)
		}
		decide("203.0.113.2", "detection:sshd_guessing", decision.Ban, now.Add(-time.Hour), 0)
		decide("203.0.113.3", "jail:app", decision.Ban, now.Add(-time.Hour), 0)
		decide("203.0.113.4", "detection:x", decision.Throttle, now.Add(-time.Hour), 0)
		decide("203.0.113.5", "detection:too_late", decision.Ban, now, 0)
		got, err := l.Summary(t.Context(), from, now, now.Add(time.Second), 2)
		if err != nil {
			t.Fatal(err)
		}
		want := decision.Summary{Made: 5, Standing: 3, Origins: []decision.Count{{Name: "detection:sshd_guessing", N: 4}, {Name: "jail:app", N: 1}},
			Targets: []decision.Count{{Name: "203.0.113.1", N: 3}, {Name: "203.0.113.2", N: 1}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}
