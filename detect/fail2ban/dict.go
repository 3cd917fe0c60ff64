package fail2ban

import (
	"slices"
	"strings"
	"unicode"
)

// dict is text by name that keeps the order in which names came, as the order decides which reference is filled first.
type dict struct {
	keys   []string
	values map[string]string
}

func newDict() *dict { return &dict{values: map[string]string{}} }

func (d *dict) get(key string) (string, bool) {
	if d == nil {
		return "", false
	}
	v, ok := d.values[key]
	return v, ok
}

func (d *dict) has(key string) bool {
	_, ok := d.get(key)
	return ok
}

func (d *dict) set(key, value string) {
	if _, ok := d.values[key]; !ok {
		d.keys = append(d.keys, key)
	}
	d.values[key] = value
}

func (d *dict) names() []string {
	if d == nil {
		return nil
	}
	return d.keys
}

// update sets everything that other holds.
func (d *dict) update(other *dict) {
	for _, k := range other.names() {
		d.set(k, other.values[k])
	}
}

func (d *dict) clone() *dict {
	c := newDict()
	c.update(d)
	return c
}

// merged is d and then other, which wins.
func (d *dict) merged(other *dict) *dict {
	c := d.clone()
	c.update(other)
	return c
}

// isSpace is what Python's str.isspace calls space: Unicode's spaces and four of the control characters.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func trim(s string) string { return strings.TrimFunc(s, isSpace) }

func (d *dict) remove(key string) {
	if _, ok := d.values[key]; ok {
		delete(d.values, key)
		d.keys = slices.DeleteFunc(d.keys, func(k string) bool { return k == key })
	}
}
