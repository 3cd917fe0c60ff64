package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/config"
)

// TestHostileFilesAreRefusedQuickly: a file of the largest size, made to be slow, must not keep a reload busy.
func TestHostileFilesAreRefusedQuickly(t *testing.T) {
	const size = 1<<20 - 20 // room for what stands before and behind
	fill := func(unit string) string { return strings.Repeat(unit, size/len(unit)) }
	for name, text := range map[string]string{
		"brackets":        fill("["),
		"braces":          fill("{a: "),
		"dashes":          fill("- "),
		"spaces":          fill(" ") + "a",
		"quotes":          fill("'"),
		"open quote":      `a: "` + fill("x"),
		"escapes":         `a: "` + fill(`\x`),
		"block scalar":    "a: |\n" + fill(" x\n"),
		"keys":            fill("a: 1\n"),
		"distinct keys":   distinctKeys(size),
		"anchors":         fill("a: &a b\n"),
		"comments":        fill("# x\n"),
		"documents":       fill("---\n"),
		"nul":             fill("\x00"),
		"tabs":            fill("\t"),
		"question marks":  fill("? "),
		"list of nothing": "sites:\n" + fill("- \n"),
		"list of sites":   "sites:\n" + fill("- {}\n"),
		"one long line":   "data_dir: " + fill("x"),
		"commas":          "sites: [" + fill(",") + "]",
		"most keys":       strings.Repeat("a: 1\n", 16_000),
		"most entries":    "sites:\n" + strings.Repeat("- {}\n", 15_000),
		"most distinct":   distinctKeys(200_000),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := config.Parse("hostile.yaml", []byte(text))
			var invalid *config.Errors
			if !errors.As(err, &invalid) {
				t.Fatalf("Parse gave %v, want *config.Errors", err)
			}
			if n := len(invalid.Problems); n > 200 {
				t.Errorf("%d problems, want 200 at most", n)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func distinctKeys(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size-20; i++ {
		fmt.Fprintf(&b, "key%d: 1\n", i)
	}
	return b.String()
}

func TestFileOverTheLimit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(file, []byte("#"+strings.Repeat("x", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(file)
	if want := file + ":1:1: the file has more than 1048576 bytes"; err == nil || err.Error() != want {
		t.Errorf("Load gave %v, want %s", err, want)
	}
}

func TestFileThatIsNoFile(t *testing.T) {
	for name, want := range map[string]error{t.TempDir(): nil, filepath.Join(t.TempDir(), "none.yaml"): os.ErrNotExist} {
		_, err := config.Load(name)
		var invalid *config.Errors
		if err == nil || errors.As(err, &invalid) || want != nil && !errors.Is(err, want) {
			t.Errorf("Load(%s) gave %v", name, err)
		}
	}
}

// TestStoreCommandsSurviveOtherMistakes: a half-edited site must not keep an administrator from the store,
// a mistake about the store must.
func TestStoreCommandsSurviveOtherMistakes(t *testing.T) {
	f := newFolder(t)
	f.write("doorward.yaml", 0o600, "data_dir: data\nsites: [{hosts: [a b]}]\nzzz: 1\n")
	cfg, err := config.LoadStore(filepath.Join(f.dir, "doorward.yaml"))
	if err != nil {
		t.Fatalf("LoadStore gave %v", err)
	}
	if want := filepath.Join(f.dir, "data", "doorward.db"); cfg.Store.Path != want {
		t.Errorf("store is %s, want %s", cfg.Store.Path, want)
	}
	for _, text := range []string{"store: {pth: x}\n", "data_dir: [x]\n", "store: {url_file: none}\n", "a: [\n"} {
		f.write("doorward.yaml", 0o600, text+"sites: []\n")
		if _, err := config.LoadStore(filepath.Join(f.dir, "doorward.yaml")); err == nil {
			t.Errorf("LoadStore accepted %q", text)
		}
	}
}
