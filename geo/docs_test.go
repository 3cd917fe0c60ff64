package geo_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/doorward/doorward/geo"
)

// TestDocsListTheRanges: docs/addresses.md has the table of private ranges as it is in the code.
func TestDocsListTheRanges(t *testing.T) {
	page, err := os.ReadFile("../docs/addresses.md")
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	for _, r := range geo.Ranges() {
		want += fmt.Sprintf("| `%v` | %s | %s |\n", r.Prefix, r.Use, r.Source)
	}
	if _, table, _ := strings.Cut(string(page), "| range | use | source |\n|---|---|---|\n"); !strings.HasPrefix(table, want+"\n") {
		t.Errorf("the table in docs/addresses.md is not:\n%s", want)
	}
}
