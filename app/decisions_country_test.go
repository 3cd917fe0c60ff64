package app_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/geo/geotest"
	"github.com/doorward/doorward/store"
)

// TestCountryDecisions: a ban of a country that would hold for nobody, or for who asks, is refused with what to do; it would otherwise be
// a ban that does nothing, or one that only root can lift.
func TestCountryDecisions(t *testing.T) {
	database := filepath.Join(t.TempDir(), "countries.mmdb")
	geotest.Database{Countries: map[string]string{"81.2.69.0/24": "DE", "81.2.70.0/24": "FR"}}.Write(t, database)
	for name, extra := range map[string]string{"without a database": "", "with one": "geo:\n  database: " + database + "\n"} {
		r := start(t, store.Config{}, extra)
		c, err := api.Dial(t.Context(), filepath.Join(filepath.Dir(r.file), "data", "admin.sock"))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"country:de": "geo.database", "country:fr": "geo.database", "country:UK": "GB", "country:ZZ": "not the two-letter code"}
		if extra != "" {
			want["country:de"], want["country:fr"] = "the country of the address that you use now", ""
		}
		for target, problem := range want {
			_, err := c.AddDecision(t.Context(), api.NewDecision{Target: target, From: "81.2.69.7"})
			if got := text(err); (got == "") != (problem == "") || !strings.Contains(got, problem) {
				t.Errorf("%s: a ban of %s gives %q, want %q", name, target, got, problem)
			}
		}
		report, err := c.ImportDecisions(t.Context(), api.ImportedDecisions{Name: "l", Decisions: []api.ImportedDecision{{Target: "country:UK"}, {Target: "203.0.113.9"}}})
		if err != nil || report.Made != 1 || report.RefusedCount != 1 {
			t.Errorf("%s: a list with UK gives %+v, %v", name, report, err)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
