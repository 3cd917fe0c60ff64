// Package languagetest gives tests the shipped texts, read once. It knows where they lie, and nothing of what they say. It is for
// tests only.
package languagetest

import (
	"sync"
	"testing"

	"github.com/doorward/doorward/language"
	"github.com/doorward/doorward/rules"
)

// shipped reads the texts once for each test process: it takes longer than many a test.
var shipped = sync.OnceValues(func() (*language.Catalogue, error) { return language.Load(rules.Texts()) })

// Shipped are the shipped texts in all languages. Every caller is given the same catalogue.
func Shipped(t testing.TB) *language.Catalogue {
	t.Helper()
	c, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	return c
}
