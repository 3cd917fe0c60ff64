package geo

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

const (
	// answers is how many records of a database have their country remembered. A country database has some hundred.
	answers = 1 << 12
	// layoutSearch is how many networks of a database are looked at for one with a country.
	layoutSearch = 4096
)

// database is one file's contents. It is immutable but for the memory of answers.
type database struct {
	reader *maxminddb.Reader
	path   []any // of the country's code in a record
	kind   string
	built  time.Time
	// memory holds countries by the place of their record, so that few look-ups decode one: place and codeIndex in one
	// word, without a lock.
	memory [answers]atomic.Uint64
}

// layouts returns where the databases that we know keep the code. `registered_country` is not among them: it tells
// where the network's owner is at home, which says nothing about an address that the maker could not place.
func layouts() [][]any {
	return [][]any{
		{"country", "iso_code"}, // GeoLite2, GeoIP2, DB-IP: Country and City
		{"country_code"},        // IPinfo Lite
		{"country"},             // IPinfo's older free files; IPinfo Lite has the country's name here
	}
}

// newDatabase reads the bytes of a file and keeps them. Its errors say what is wrong with the file, without its name.
// It must not panic or run without bound on any input: the fuzz target holds it to that.
func newDatabase(file []byte) (*database, error) {
	reader, err := maxminddb.OpenBytes(file)
	if err != nil {
		return nil, explain(file, err)
	}
	meta := reader.Metadata
	switch {
	case meta.BinaryFormatMajorVersion != 2:
		return nil, fmt.Errorf("has version %d of the MaxMind DB format, not 2", meta.BinaryFormatMajorVersion)
	case meta.IPVersion != 4 && meta.IPVersion != 6:
		return nil, fmt.Errorf("is damaged: it says that it is for IP version %d", meta.IPVersion)
	case meta.NodeCount == 0 || meta.RecordSize != 24 && meta.RecordSize != 28 && meta.RecordSize != 32:
		return nil, fmt.Errorf("is damaged: %d nodes with records of %d bits", meta.NodeCount, meta.RecordSize)
	}
	db := &database{reader: reader, kind: printable(meta.DatabaseType)}
	if epoch := meta.BuildEpoch; epoch > 0 && epoch < 1<<33 { // else it has no date, and counts as old
		db.built = meta.BuildTime().UTC()
	}
	return db, db.findLayout()
}

// explain makes of the reader's error what helps whoever gave the file.
func explain(file []byte, err error) error {
	switch {
	case len(file) == 0:
		return errors.New("is empty")
	case bytes.HasPrefix(file, []byte{0x1f, 0x8b}), bytes.HasPrefix(file, []byte("PK\x03\x04")):
		return errors.New("is compressed; unpack it and give the .mmdb file")
	case bytes.IndexByte(file[:min(len(file), 512)], 0) < 0:
		return errors.New("is a text, not a database in the MaxMind DB format; give the .mmdb file")
	case !bytes.Contains(file, []byte("\xAB\xCD\xEFMaxMind.com")):
		return errors.New("is cut off, or is no database in the MaxMind DB format: its end mark is missing")
	}
	return fmt.Errorf("is damaged: %w", err)
}

// findLayout looks for the first record with a country. A database without any, one of operators for example, would
// make every address unknown, and shut everybody out where unknown is denied.
func (d *database) findLayout() error {
	looked := 0
	// Networks without data are counted too: a hostile tree could hide no end of them from a count of records.
	for network := range d.reader.Networks(maxminddb.IncludeNetworksWithoutData()) {
		if err := network.Err(); err != nil {
			return fmt.Errorf("is damaged: %w", err)
		}
		if looked++; looked > layoutSearch {
			break
		}
		if !network.Found() {
			continue
		}
		for _, path := range layouts() {
			var code string
			if network.DecodePath(&code, path...) == nil && codeIndex(code) != 0 {
				d.path = path
				return nil
			}
		}
	}
	return fmt.Errorf("holds no countries (its type is %q); give a country or city database", d.kind)
}

// country returns the country of addr, in plain form, and an error for a damaged record.
func (d *database) country(addr netip.Addr) (Country, error) {
	if d.reader.Metadata.IPVersion == 4 && !addr.Is4() {
		return Unknown, nil
	}
	record := d.reader.Lookup(addr)
	if !record.Found() {
		return Unknown, record.Err()
	}
	place := uint64(record.Offset()) + 1 // 0 is an empty slot
	slot := &d.memory[place*0x9E3779B97F4A7C15>>52]
	if word := slot.Load(); word>>16 == place {
		return countryAt(int(word & 0xffff)), nil
	}
	var code string
	if err := record.DecodePath(&code, d.path...); err != nil {
		return Unknown, err
	}
	index := codeIndex(code) // codes that are no country ("EU", "ZZ") are 0, unknown
	slot.Store(place<<16 | uint64(index))
	return countryAt(index), nil
}

// printable is a text out of a file, made fit for logs and pages.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, text)
	return text[:min(len(text), 64)]
}
