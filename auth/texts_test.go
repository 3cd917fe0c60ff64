package auth_test

import (
	"testing"

	"github.com/doorward/doorward/auth"

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

// reload takes a new configuration, as a running Doorward does.
func (f *fixture) reload(cfg auth.Config) {
	f.t.Helper()
	swap, err := f.Prepare(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	swap()
}
