package decision_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/store/storetest"
)

// TestFullForGood: whoever has thousands of addresses, and does with each what bans it for good, cannot fill the list so that nobody else is
// ever banned.
func TestFullForGood(t *testing.T) {
	cfg := trial
	cfg.Max = 10
	l, _ := open(t, storetest.SQLite(t), cfg)
	forGood := 0
	for i := range 50 {
		p := proposal(t, fmt.Sprintf("2001:db8:b:%x::/64", i), fmt.Sprint(i))
		p.For, p.At = 0, now.Add(time.Duration(i)*time.Second)
		if d := decide(t, l, p, p.At, decision.Made); d.Until.IsZero() {
			forGood++
		} else if d.Until != p.At.Add(366*24*time.Hour) {
			t.Errorf("ban %d lasts until %v, want a year", i, d.Until)
		}
	}
	if forGood != 5 {
		t.Errorf("%d bans are for good, want half of the list", forGood)
	}
	later := now.Add(time.Hour)
	decide(t, l, proposal(t, "203.0.113.7", "other"), later, decision.Past)
	p := proposal(t, "203.0.113.7", "another")
	p.At = later
	decide(t, l, p, later, decision.Made)
	if _, err := l.Delete(t.Context(), anna, "2001:db8:b:0::/64", "", later); err != nil {
		t.Fatal(err)
	}
	p = proposal(t, "203.0.113.8", "third")
	p.For, p.At = 0, later
	if d := decide(t, l, p, later, decision.Made); !d.Until.IsZero() {
		t.Errorf("with room again it lasts until %v", d.Until)
	}
}
