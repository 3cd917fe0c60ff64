package rules_test

import (
	"io/fs"
	"testing"

	"github.com/doorward/doorward/rules"
)

// TestAppsHasWholeFolders: a folder without the gateway's file would be offered by name and fail when it is used.
func TestAppsHasWholeFolders(t *testing.T) {
	folders, err := fs.ReadDir(rules.Apps(), ".")
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) < 6 {
		t.Errorf("%d folders, want the six applications at least", len(folders))
	}
	for _, folder := range folders {
		if info, err := fs.Stat(rules.Apps(), folder.Name()+"/gateway.yaml"); err != nil || info.Size() == 0 {
			t.Errorf("%s: no gateway.yaml (%v)", folder.Name(), err)
		}
	}
}
