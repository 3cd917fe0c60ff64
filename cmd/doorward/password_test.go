package main

import (
	"testing"

	"github.com/doorward/doorward/auth/password"
)

// TestGeneratedPasswordsFitEveryPreset: what doorward makes, it also takes (I-75).
func TestGeneratedPasswordsFitEveryPreset(t *testing.T) {
	names, err := password.PresetNames()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		rules, err := password.New(password.Config{Preset: name, MinScore: 4})
		if err != nil {
			t.Fatal(err)
		}
		for range 500 {
			if problems := rules.Check(generatePassword(), password.Subject{Name: "maria"}, false); len(problems) != 0 {
				t.Fatalf("%s refuses a generated password: %v", name, problems)
			}
		}
	}
}
