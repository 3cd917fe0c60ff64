// Package language holds every text that Doorward shows to the people who sign in: pages and mails, in each language
// that has a file in rules/texts.
//
// It knows how a text is found and filled in. It must not know what the texts are for, nor HTTP beyond the form of an
// Accept-Language header. English is the first language: a key that another one lacks is shown in English, and a test keeps
// that from happening in those that are shipped.
package language

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"golang.org/x/text/language"
)

// English is the language whose file has every key.
const English = "en"

// Catalogue is the texts in all languages. It is immutable.
type Catalogue struct {
	texts   map[string]map[string]string // language → key → text
	names   []string                     // English first
	matcher language.Matcher
}

// Load reads one file a language, NAME.yaml with NAME a BCP 47 tag, from the tree: flat lines of key: text. A text may
// hold {name} for values. The error names the file, and the key where there is one.
func Load(tree fs.FS) (*Catalogue, error) {
	files, err := fs.Glob(tree, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list texts: %w", err)
	}
	c := &Catalogue{texts: make(map[string]map[string]string)}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".yaml")
		if _, err := language.Parse(name); err != nil {
			return nil, fmt.Errorf("texts %s: %q is no language's tag: %w", file, name, err)
		}
		text, err := fs.ReadFile(tree, file)
		if err != nil {
			return nil, fmt.Errorf("read texts: %w", err)
		}
		texts := make(map[string]string)
		if err := yaml.UnmarshalWithOptions(text, &texts, yaml.Strict()); err != nil {
			return nil, fmt.Errorf("texts %s: %w", file, err)
		}
		c.texts[name] = texts
		if name != English {
			c.names = append(c.names, name)
		}
	}
	if c.texts[English] == nil {
		return nil, errors.New("texts: en.yaml is missing; it is the one that others fall back to")
	}
	slices.Sort(c.names)
	c.names = append([]string{English}, c.names...)
	tags := make([]language.Tag, len(c.names))
	for i, name := range c.names {
		tags[i] = language.Make(name)
	}
	c.matcher = language.NewMatcher(tags)
	return c, nil
}

// Names lists the languages' tags, English first.
func (c *Catalogue) Names() []string { return slices.Clone(c.names) }

// maxAccept caps what is read of an Accept-Language header, in bytes.
const maxAccept = 256

// Match returns the language to use: the preferred one if there is such a catalogue, else the best for the
// Accept-Language header (RFC 9110 12.5.4), else English.
func (c *Catalogue) Match(preferred, accept string) string {
	if preferred != "" && c.texts[preferred] != nil {
		return preferred
	}
	if len(accept) > maxAccept {
		return English
	}
	wanted, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(wanted) == 0 {
		return English
	}
	_, index, confidence := c.matcher.Match(wanted...)
	if confidence == language.No {
		return English
	}
	return c.names[index]
}

// Text returns the text of key in the language, with its {name} filled in from pairs of names and values. A value is put
// in as it is: pages escape the whole. Of a text in two numbers, key.one and key.other, the pair "n" chooses. A key that
// nobody knows is shown itself, so that it is seen and reported.
func (c *Catalogue) Text(name, key string, pairs ...string) string {
	return c.TextOr(name, key, key, pairs...)
}

// TextOr is Text for a key that may not be there: instead of it, other is returned, as it is.
func (c *Catalogue) TextOr(name, key, other string, pairs ...string) string {
	text, ok := c.find(name, key)
	if !ok {
		number := ".other"
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == "n" && pairs[i+1] == "1" {
				number = ".one"
			}
		}
		if text, ok = c.find(name, key+number); !ok {
			return other
		}
	}
	if len(pairs) == 0 {
		return text
	}
	fill := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		fill = append(fill, "{"+pairs[i]+"}", pairs[i+1])
	}
	return strings.NewReplacer(fill...).Replace(text)
}

func (c *Catalogue) find(name, key string) (string, bool) {
	if text, ok := c.texts[name][key]; ok {
		return text, true
	}
	text, ok := c.texts[English][key]
	return text, ok
}

// Keys lists the keys of a language, sorted: what a translator has to write.
func (c *Catalogue) Keys(name string) []string {
	keys := make([]string, 0, len(c.texts[name]))
	for key := range c.texts[name] {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
