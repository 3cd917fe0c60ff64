package waf_test

import (
	"testing"

	"github.com/doorward/doorward/gateway/waf"
)

// TestChanges shows of each change of the rule set doorward that it is needed and does no harm: its attack is stopped, its
// harmless text passes, and without it one of them would fare otherwise.
func TestChanges(t *testing.T) {
	changes, err := waf.Changes()
	if err != nil {
		t.Fatal(err)
	}
	published, own := site(t, engine(t, waf.CRS), 1), site(t, engine(t, waf.Doorward), 1)
	ids := map[int]string{}
	for _, c := range changes {
		t.Run(c.Name, func(t *testing.T) {
			adds := c.Find != "" || c.Before != ""
			if c.Why == "" || c.Attack == "" || c.Harmless == "" || adds == (c.Unless != "") || (c.Unless != "") != (len(c.Rules) > 0) {
				t.Fatalf("needs a reason, an attack, a harmless text, and either a rule or a narrowing: %+v", c)
			}
			if c.Find != "" {
				if ids[c.ID] != "" || c.ID < 30000000 || c.Kind == "" {
					t.Errorf("id %d is that of %q, or not one of ours, or it has no kind", c.ID, ids[c.ID])
				}
				ids[c.ID] = c.Name
			}
			place := c.Place
			if place == "" {
				place = "form"
			}
			attack := entry{place: place, coding: "plain", text: c.Attack}
			good := entry{place: place, coding: "plain", text: c.Harmless}
			if stopped, hits := judge(t, own, attack); !stopped {
				t.Errorf("the attack passes: %s", hits)
			}
			if stopped, hits := judge(t, own, good); stopped {
				t.Errorf("the harmless text is stopped: %s", hits)
			}
			if stopped, hits := judge(t, published, attack); adds && stopped {
				t.Errorf("the published rules stop the attack: %s", hits)
			}
			if stopped, _ := judge(t, published, good); !adds && !stopped {
				t.Error("the published rules let the harmless text pass")
			}
		})
	}
}
