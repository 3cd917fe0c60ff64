package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWatchLogs: a generated log has as many failures as it says, each address as many as its ban takes, and the last line is the last
// address's last one.
func TestWatchLogs(t *testing.T) {
	b := &bench{settings: settings{lines: 100_000}, dir: t.TempDir()}
	for _, l := range b.watchLogs() {
		for _, one := range []*watchLog{l, l.part(4)} {
			one.file = filepath.Join(b.dir, one.name)
			if err := one.write(time.Now()); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(one.file)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
			if len(lines) != one.lines {
				t.Errorf("%s has %d lines, want %d", one.name, len(lines), one.lines)
			}
			each := map[string]int{}
			for _, line := range lines {
				for _, word := range strings.Fields(line) {
					if strings.HasPrefix(word, "198.1") {
						each[word]++
					}
				}
			}
			if len(each) != one.banned {
				t.Errorf("%s has %d addresses that fail, want %d", one.name, len(each), one.banned)
			}
			for address, n := range each {
				if n != one.each {
					t.Fatalf("%s: %s fails %d times, want %d", one.name, address, n, one.each)
				}
			}
			if last := lines[len(lines)-1]; !strings.Contains(last, one.last.String()+" ") {
				t.Errorf("%s ends with %q, want a failure of %s", one.name, last, one.last)
			}
		}
	}
}
