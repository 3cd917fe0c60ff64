package audit_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/trial"
	"github.com/doorward/doorward/rules"
)

// TestHostsOfFiles judges folders that stand for hosts, testdata/verdicts/NAME.txtar; package trial says how they are
// written. Programs of such a host are not run, as with --root.
func TestHostsOfFiles(t *testing.T) {
	cat := shipped(t)
	names, err := filepath.Glob("testdata/verdicts/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			host, err := trial.Read(name)
			if err != nil {
				t.Fatal(err)
			}
			mistakes, err := host.Run(t.Context(), cat, now)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range mistakes {
				t.Error(m)
			}
		})
	}
}

// shipped reads the controls that Doorward comes with.
func shipped(t *testing.T) *audit.Catalogue {
	t.Helper()
	cat, err := audit.Load(audit.Source{Controls: rules.Controls(), Profiles: rules.Profiles()})
	if err != nil {
		t.Fatal(err)
	}
	return cat
}
