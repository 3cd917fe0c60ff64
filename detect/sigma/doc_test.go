package sigma_test

import (
	"os"
	"strings"
	"testing"

	"github.com/doorward/doorward/detect/sigma"
)

// TestDocumentationLoads: every YAML block of the page about detections is a file of rules that can be used, unless the line
// before it says that it is refused, and with which words.
func TestDocumentationLoads(t *testing.T) {
	text, err := os.ReadFile("../../docs/detections-format.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```yaml\n")
	if len(blocks) < 8 {
		t.Fatalf("got %d blocks, want the whole page", len(blocks)-1)
	}
	for i, block := range blocks[1:] {
		body, _, _ := strings.Cut(block, "```")
		before := strings.TrimSpace(blocks[i])
		_, refused, isRefused := strings.Cut(before[strings.LastIndex(before, "\n")+1:], "Refused: `")
		c, err := sigma.Parse("doc.yml", []byte(body), sigma.Options{Placeholders: map[string][]string{"Administrators": {"root", "adm_*"}}})
		if err == nil {
			_, err = sigma.Compile(c, sigma.Limits{})
		}
		switch {
		case isRefused && (err == nil || !strings.Contains(err.Error(), strings.TrimRight(refused, "`."))):
			t.Errorf("block %d: got %v, want the refusal %q\n%s", i+1, err, refused, body)
		case !isRefused && err != nil:
			t.Errorf("block %d: %v\n%s", i+1, err, body)
		}
	}
}
