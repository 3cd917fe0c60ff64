package gateway_test

import (
	"testing"

	"github.com/doorward/doorward/language"
	"github.com/doorward/doorward/rules"
)

// texts are the shipped texts.
func texts(t testing.TB) *language.Catalogue {
	t.Helper()
	c, err := language.Load(rules.Texts())
	if err != nil {
		t.Fatal(err)
	}
	return c
}
