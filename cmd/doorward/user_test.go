package main

import (
	"testing"
	"time"

	"github.com/doorward/doorward/api"
)

// TestPasskeysWithoutANameAreShown: an administrator who looks for what opens an account must see all of it.
func TestPasskeysWithoutANameAreShown(t *testing.T) {
	added := time.Date(2026, 11, 25, 23, 30, 0, 0, time.UTC)
	got := passkeyNames([]api.Passkey{{ID: "1", Created: added}, {ID: "2", Name: "my phone", Created: added}})
	if want := "(unnamed, added 2026-11-25), my phone"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
