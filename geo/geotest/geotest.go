// Package geotest writes country databases for tests. It knows the layouts of those that people use, and nothing of
// package geo, which must find its way in them. It is for tests only.
package geotest

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// Layout is how a record says which country it is for.
type Layout string

// The layouts, each as its maker writes it in 2026.
const (
	MaxMindCountry Layout = "GeoLite2-Country"
	MaxMindCity    Layout = "GeoLite2-City"
	DBIPCountry    Layout = "DBIP-Country-Lite"
	IPinfoLite     Layout = "ipinfo bundle_location_lite.mmdb"
	IPinfoCountry  Layout = "ipinfo standard_free_country.mmdb" // the older free file
)

// Database is what to write. The zero value of a field is the common case.
type Database struct {
	Layout    Layout            // default: MaxMindCountry
	Kind      string            // the type that the file names; default: Layout
	Built     time.Time         // default: now
	IPVersion int               // 4 or 6; default: 6, which holds both
	Countries map[string]string // network → code; "" gives a record without a country
}

// Bytes returns the file's contents.
func (d Database) Bytes(t testing.TB) []byte {
	t.Helper()
	options := mmdbwriter.Options{DatabaseType: d.Kind, IPVersion: d.IPVersion, RecordSize: 24, IncludeReservedNetworks: true}
	if d.Layout == "" {
		d.Layout = MaxMindCountry
	}
	if options.DatabaseType == "" {
		options.DatabaseType = string(d.Layout)
	}
	if !d.Built.IsZero() {
		options.BuildEpoch = d.Built.Unix()
	}
	tree, err := mmdbwriter.New(options)
	if err != nil {
		t.Fatal(err)
	}
	prefixes := make([]netip.Prefix, 0, len(d.Countries))
	for network := range d.Countries {
		prefixes = append(prefixes, netip.MustParsePrefix(network))
	}
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() }) // the narrower one counts
	for _, p := range prefixes {
		network := &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
		if err := tree.Insert(network, d.Layout.record(d.Countries[p.String()])); err != nil {
			t.Fatal(err)
		}
	}
	var file bytes.Buffer
	if _, err := tree.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// Write writes the file as an updater should: beside its place, then renamed into it.
func (d Database) Write(t testing.TB, name string) {
	t.Helper()
	if err := os.WriteFile(name+".new", d.Bytes(t), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// record is one network's entry for code.
func (l Layout) record(code string) mmdbtype.Map {
	country := mmdbtype.Map{"iso_code": mmdbtype.String(code), "geoname_id": mmdbtype.Uint32(2921044),
		"names": mmdbtype.Map{"en": mmdbtype.String("Name of " + code), "de": mmdbtype.String("Name von " + code)}}
	// The owner's home is another country on purpose: it must not be taken for the address's.
	owner := mmdbtype.Map{"iso_code": mmdbtype.String("US"), "names": mmdbtype.Map{"en": mmdbtype.String("United States")}}
	record := mmdbtype.Map{}
	switch l {
	case MaxMindCity:
		record["city"] = mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String("A city")}}
		record["location"] = mmdbtype.Map{"latitude": mmdbtype.Float64(52.5), "accuracy_radius": mmdbtype.Uint16(20)}
		record["country"], record["registered_country"] = country, owner
	case DBIPCountry:
		record["continent"], record["country"] = mmdbtype.Map{"code": mmdbtype.String("EU")}, country
	case IPinfoLite:
		return mmdbtype.Map{"country_code": mmdbtype.String(code), "country": mmdbtype.String("Name of " + code), "asn": mmdbtype.String("AS64496")}
	case IPinfoCountry:
		return mmdbtype.Map{"country": mmdbtype.String(code), "country_name": mmdbtype.String("Name of " + code), "continent": mmdbtype.String("EU")}
	default:
		record["country"], record["registered_country"] = country, owner
	}
	if code == "" {
		delete(record, "country")
	}
	return record
}
