package geo

import "net/netip"

// MaxFile is the largest file that is read.
const MaxFile = maxFile

// Database is one file's contents, for the fuzz target.
type Database struct{ *database }

// NewDatabase reads the bytes of a file.
func NewDatabase(file []byte) (Database, error) {
	db, err := newDatabase(file)
	return Database{db}, err
}

// Country looks addr up without our own ranges.
func (d Database) Country(addr netip.Addr) (Country, error) { return d.country(addr) }

// Check is what Run does every minute.
func (t *Table) Check() { t.check() }
