package rules_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

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

// lines reads a list of passwords or words without its comments and empty lines.
func lines(t *testing.T, name string) (all []string) {
	t.Helper()
	text, err := fs.ReadFile(rules.Passwords(), name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "# ") || !strings.Contains(string(text), "Source: ") {
		t.Errorf("%s: does not begin with a comment that names its source", name)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if line != "" && !strings.HasPrefix(line, "# ") && line != "#" {
			all = append(all, line)
		}
	}
	return all
}

// TestCommonPasswordsAreSorted: the list is written by a script, in a form in which a change of it can be read; the look-up
// needs lower case. ASVS 6.2.4 wants 3,000 that have at least 8 characters.
func TestCommonPasswordsAreSorted(t *testing.T) {
	all, long := lines(t, "common.txt"), 0
	for i, word := range all {
		if word != strings.ToLower(word) || utf8.RuneCountInString(word) < 4 || strings.TrimSpace(word) != word {
			t.Errorf("%q is not lower case, or shorter than 4 characters", word)
		}
		if i > 0 && all[i-1] >= word {
			t.Errorf("%q stands after %q", word, all[i-1])
		}
		if utf8.RuneCountInString(word) >= 8 {
			long++
		}
	}
	if len(all) != 30000 || long < 3000 {
		t.Errorf("%d passwords, %d of 8 characters or more; want 30000 and 3000 at least", len(all), long)
	}
}

func TestContextWords(t *testing.T) {
	all := lines(t, "context.txt")
	for _, word := range all {
		if word != strings.ToLower(word) || strings.ContainsAny(word, " -.") || len(word) < 3 {
			t.Errorf("%q can never match: a word has three letters or more, lower case and nothing else", word)
		}
	}
	for _, word := range []string{"doorward", "deskpro", "faveo", "idoit", "kolmisoft", "administrator"} {
		if !slices.Contains(all, word) {
			t.Errorf("%q is missing", word)
		}
	}
}

// TestKeyboardWalks: a line shorter than four keys is never looked at.
func TestKeyboardWalks(t *testing.T) {
	all := lines(t, "walks.txt")
	for i, line := range all {
		if utf8.RuneCountInString(line) < 4 || slices.Contains(all[:i], line) {
			t.Errorf("%q is too short or stands there twice", line)
		}
	}
	if len(all) < 20 {
		t.Errorf("%d lines, want the rows and columns of three keyboards", len(all))
	}
}
