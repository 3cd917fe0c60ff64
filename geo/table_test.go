package geo_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/geo"
	"github.com/doorward/doorward/geo/geotest"
)

// countries are the networks of the databases here. Documentation networks say DE too: we must not believe it.
func countries() map[string]string {
	return map[string]string{"81.2.69.0/24": "GB", "89.160.20.0/24": "SE", "89.160.20.128/25": "NO", "5.10.0.0/16": "",
		"5.11.0.0/16": "EU", "2a02:cf40::/29": "NO", "2001:218::/32": "JP", "2a0f::/16": "XK",
		"10.0.0.0/8": "DE", "192.0.2.0/24": "DE", "2001:db8::/32": "DE", "fe80::/10": "DE"}
}

func write(t testing.TB, d geotest.Database) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "countries.mmdb")
	d.Write(t, file)
	return file
}

func open(t testing.TB, file string) *geo.Table {
	t.Helper()
	cfg := geo.Config{Database: file}
	cfg.SetDefaults()
	table, err := geo.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestCountryInEveryLayout(t *testing.T) {
	for _, layout := range []geotest.Layout{geotest.MaxMindCountry, geotest.MaxMindCity, geotest.DBIPCountry, geotest.IPinfoLite, geotest.IPinfoCountry} {
		t.Run(string(layout), func(t *testing.T) {
			table := open(t, write(t, geotest.Database{Layout: layout, Countries: countries()}))
			for addr, want := range map[string]geo.Country{
				"81.2.69.142": "GB", "89.160.20.112": "SE", "89.160.20.129": "NO", "2a02:cf40::1": "NO", "2001:218::1": "JP", "2a0f::1": "XK",
				"::ffff:81.2.69.142":    "GB", // IPv4 in IPv6 forms
				"64:ff9b::81.2.69.142":  "GB",
				"2a02:cf40::1%eth0":     "NO",
				"8.8.8.8":               geo.Unknown, // not in the database
				"2606:4700::1":          geo.Unknown,
				"5.10.0.1":              geo.Unknown, // a record that has no country, but its owner's
				"5.11.0.1":              geo.Unknown, // a code that is none
				"10.1.2.3":              geo.Private,
				"192.0.2.1":             geo.Private,
				"2001:db8::1":           geo.Private,
				"fe80::1%eth0":          geo.Private,
				"::ffff:10.1.2.3":       geo.Private,
				"64:ff9b::192.168.1.77": geo.Private,
			} {
				for range 2 { // decoded, then remembered
					if got := table.Country(netip.MustParseAddr(addr)); got != want {
						t.Errorf("%s is in %s, want %s", addr, got, want)
					}
				}
			}
			if got := table.Country(netip.Addr{}); got != geo.Unknown {
				t.Errorf("no address is in %s, want unknown", got)
			}
			if s := table.Stats(); s.LookupErrors != 0 || s.Kind != string(layout) || s.Bytes == 0 {
				t.Errorf("stats %+v, want no errors and the database's type and size", s)
			}
		})
	}
}

func TestDatabaseOfIPv4Only(t *testing.T) {
	table := open(t, write(t, geotest.Database{IPVersion: 4, Countries: map[string]string{"81.2.69.0/24": "GB"}}))
	for addr, want := range map[string]geo.Country{"81.2.69.1": "GB", "::ffff:81.2.69.1": "GB", "2a02:cf40::1": geo.Unknown} {
		if got := table.Country(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is in %s, want %s", addr, got, want)
		}
	}
	if got := table.Stats().LookupErrors; got != 0 {
		t.Errorf("%d errors, want none: the address is only of the other kind", got)
	}
}

func TestWithoutDatabase(t *testing.T) {
	table := open(t, "")
	if got := table.Country(netip.MustParseAddr("81.2.69.142")); got != geo.Unknown {
		t.Errorf("public address is in %s, want unknown", got)
	}
	if got := table.Country(netip.MustParseAddr("127.0.0.1")); got != geo.Private {
		t.Errorf("loopback is in %s, want private", got)
	}
	if table.Stats() != (geo.Stats{}) || table.Stale(time.Now()) || table.Age(time.Now()) != 0 || !table.Built().IsZero() {
		t.Errorf("stats %+v, stale %v, age %v, built %v; want nothing of it", table.Stats(), table.Stale(time.Now()), table.Age(time.Now()), table.Built())
	}
}

// TestRangesBothEnds: the first and the last address of each range are private, and their neighbours are not unless
// they are in another range.
func TestRangesBothEnds(t *testing.T) {
	table := open(t, "")
	private := func(addr netip.Addr) bool { return table.Country(addr) == geo.Private }
	inOther := func(addr netip.Addr) bool {
		for _, r := range geo.Ranges() {
			if r.Prefix.Contains(addr) {
				return true
			}
		}
		return addr.Is4In6()
	}
	for _, r := range geo.Ranges() {
		if r.Prefix != r.Prefix.Masked() || !r.Prefix.IsValid() || r.Use == "" || !strings.HasPrefix(r.Source, "RFC ") {
			t.Errorf("%+v is not a whole entry", r)
		}
		first := r.Prefix.Addr()
		raw := first.AsSlice()
		for i := r.Prefix.Bits(); i < len(raw)*8; i++ {
			raw[i/8] |= 1 << (7 - i%8)
		}
		last, _ := netip.AddrFromSlice(raw)
		if !private(first) || !private(last) {
			t.Errorf("%v: first private %v, last private %v; want both", r.Prefix, private(first), private(last))
		}
		for _, neighbour := range []netip.Addr{first.Prev(), last.Next()} {
			if neighbour.IsValid() && private(neighbour) != inOther(neighbour) {
				t.Errorf("%v beside %v is private: %v", neighbour, r.Prefix, private(neighbour))
			}
		}
	}
	for _, public := range []string{"1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.3.1", "198.17.1.1", "2001::1", "2002::1", "2a00::1", "64:ff9b::8.8.8.8"} {
		if private(netip.MustParseAddr(public)) {
			t.Errorf("%s is private, want public", public)
		}
	}
}

func TestAge(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	built := now.Add(-90 * 24 * time.Hour)
	table := open(t, write(t, geotest.Database{Built: built, Countries: countries()}))
	if got := table.Built(); !got.Equal(built) {
		t.Errorf("built %v, want %v", got, built)
	}
	for _, c := range []struct {
		now   time.Time
		age   time.Duration
		stale bool
	}{{now, 90 * 24 * time.Hour, false}, {now.Add(time.Second), 90*24*time.Hour + time.Second, true}, {built.Add(-time.Hour), 0, false}} {
		if age, stale := table.Age(c.now), table.Stale(c.now); age != c.age || stale != c.stale {
			t.Errorf("at %v: age %v, stale %v; want %v, %v", c.now, age, stale, c.age, c.stale)
		}
	}
}

// TestDatabaseWithoutDate: what does not say how old it is counts as old.
func TestDatabaseWithoutDate(t *testing.T) {
	for name, built := range map[string]time.Time{"of 1970": time.Unix(1, 0), "of the far future": time.Unix(1<<40, 0)} {
		table := open(t, write(t, geotest.Database{Built: built, Countries: countries()}))
		if !table.Stale(time.Now()) {
			t.Errorf("%s: not stale, want stale", name)
		}
	}
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	good := geotest.Database{Countries: countries()}.Bytes(t)
	mark := bytes.LastIndex(good, []byte("\xAB\xCD\xEFMaxMind.com"))
	for _, c := range []struct {
		name    string
		prepare func(file string) error
		want    string
	}{
		{"missing", func(string) error { return nil }, "FILE cannot be read: no such file or directory"},
		{"a folder", func(file string) error { return os.Mkdir(file, 0o755) }, "FILE is not a regular file"},
		{"a pipe", func(file string) error { return syscall.Mkfifo(file, 0o600) }, "FILE is not a regular file"},
		{"empty", contents(nil), "FILE is empty"},
		{"compressed", contents([]byte("\x1f\x8b\x08\x00rest")), "FILE is compressed; unpack it and give the .mmdb file"},
		{"zip", contents([]byte("PK\x03\x04rest")), "FILE is compressed; unpack it and give the .mmdb file"},
		{"CSV", contents([]byte("network,country\n1.0.0.0/24,AU\n")), "FILE is a text, not a database in the MaxMind DB format; give the .mmdb file"},
		{"cut off in the data", contents(good[:mark/2]), "FILE is cut off, or is no database in the MaxMind DB format: its end mark is missing"},
		{"cut off in the description", contents(good[:mark+20]), "FILE is damaged: "},
		{"data missing", contents(good[mark:]), "FILE is damaged: "},
		{"no countries", contents(geotest.Database{Kind: "GeoLite2-ASN\x1b[2J", Countries: map[string]string{"5.10.0.0/16": ""}}.Bytes(t)),
			`FILE holds no countries (its type is "GeoLite2-ASN[2J"); give a country or city database`},
		{"nothing in it", contents(geotest.Database{}.Bytes(t)), `FILE holds no countries (its type is "GeoLite2-Country"); give a country or city database`},
		{"too large", func(file string) error {
			f, err := os.Create(file)
			if err != nil {
				return err
			}
			defer f.Close()
			return f.Truncate(geo.MaxFile + 1<<20) // a hole, which takes no room
		}, "FILE has 257 MiB, more than the 256 that are read; give a country database, not a city one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.mmdb")
			if err := c.prepare(file); err != nil {
				t.Fatal(err)
			}
			_, err := geo.Open(geo.Config{Database: file}, slog.New(slog.DiscardHandler))
			want := "read country database: " + strings.ReplaceAll(c.want, "FILE", file)
			if err == nil || err.Error() != want && !(strings.HasSuffix(want, ": ") && strings.HasPrefix(err.Error(), want)) {
				t.Errorf("Open gave %v, want %s", err, want)
			}
		})
	}
}

func contents(text []byte) func(string) error {
	return func(file string) error { return os.WriteFile(file, text, 0o644) }
}

// TestLookupsAllocateNothing once the record's country is remembered.
func TestLookupsAllocateNothing(t *testing.T) {
	table := open(t, write(t, geotest.Database{Layout: geotest.MaxMindCity, Countries: countries()}))
	for _, text := range []string{"81.2.69.142", "2a02:cf40::1", "10.1.2.3", "8.8.8.8", "::ffff:81.2.69.142"} {
		addr := netip.MustParseAddr(text)
		if got := testing.AllocsPerRun(100, func() { table.Country(addr) }); got != 0 {
			t.Errorf("%s: %v allocations, want none", text, got)
		}
	}
}

// FuzzDatabase: whatever is in the file, reading it and looking addresses up ends, with a country of our list or an error.
func FuzzDatabase(f *testing.F) {
	for _, layout := range []geotest.Layout{geotest.MaxMindCountry, geotest.MaxMindCity, geotest.IPinfoLite, geotest.IPinfoCountry} {
		f.Add(geotest.Database{Layout: layout, Countries: countries()}.Bytes(f))
	}
	f.Add(geotest.Database{IPVersion: 4, Countries: map[string]string{"81.2.69.0/24": "GB"}}.Bytes(f))
	f.Fuzz(func(t *testing.T, file []byte) { hostile(t, file) })
}

func hostile(t *testing.T, file []byte) {
	t.Helper()
	db, err := geo.NewDatabase(file)
	if err != nil {
		return
	}
	for _, text := range []string{"81.2.69.142", "0.0.0.0", "255.255.255.255", "2a02:cf40::1", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		country, err := db.Country(netip.MustParseAddr(text))
		if _, parse := geo.ParseCountry(string(country)); country != geo.Unknown && (err != nil || parse != nil) {
			t.Errorf("%s is in %q, %v; want a country of the list", text, string(country), err)
		}
	}
}

// TestMutatedDatabases does what the fuzz target would find first: every byte of a database wrong in several ways, and
// the file cut at every place.
func TestMutatedDatabases(t *testing.T) {
	for _, layout := range []geotest.Layout{geotest.MaxMindCountry, geotest.IPinfoLite} {
		good := geotest.Database{Layout: layout, Countries: map[string]string{"81.2.69.0/24": "GB", "2a02:cf40::/29": "NO"}}.Bytes(t)
		for i := range good {
			for _, value := range []byte{0x00, 0xff, good[i] ^ 0x01, good[i] ^ 0x80, good[i] + 1} {
				bad := bytes.Clone(good)
				bad[i] = value
				hostile(t, bad)
			}
			hostile(t, good[:i])
			hostile(t, good[i:])
		}
	}
}

func BenchmarkCountry(b *testing.B) {
	many := make(map[string]string)
	for i := range 60_000 {
		many[fmt.Sprintf("%d.%d.%d.0/24", 20+i/65536, i/256%256, i%256)] = []string{"DE", "FR", "GB", "SE", "NO"}[i%5]
	}
	table := open(b, write(b, geotest.Database{Layout: geotest.MaxMindCity, Countries: many}))
	for name, text := range map[string]string{"public": "20.77.33.1", "private": "192.168.1.1", "IPv6, unknown": "2a02::1", "IPv6, private": "fd00::1"} {
		b.Run(name, func(b *testing.B) {
			addr := netip.MustParseAddr(text)
			b.ReportAllocs()
			for b.Loop() {
				table.Country(addr)
			}
		})
	}
	b.Run("many goroutines", func(b *testing.B) {
		addr := netip.MustParseAddr("20.77.33.1")
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				table.Country(addr)
			}
		})
	})
}
