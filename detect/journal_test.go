package detect_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/detect/fail2ban"
)

// entry is one of the journal, by its fields.
type entry map[string]string

// writeJournal makes a journal file with systemd-journal-remote, each entry a millisecond after the one before.
func writeJournal(t *testing.T, path string, from time.Time, entries ...entry) {
	t.Helper()
	const remote = "/lib/systemd/systemd-journal-remote"
	if _, err := os.Stat(remote); err != nil {
		if os.Getenv("DOORWARD_REQUIRE_REAL") == "1" {
			t.Fatalf("package systemd-journal-remote: %v", err)
		}
		t.Skip("package systemd-journal-remote is not installed")
	}
	var b bytes.Buffer
	for i, e := range entries {
		micros := from.Add(time.Duration(i) * time.Millisecond).UnixMicro()
		fmt.Fprintf(&b, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=0123456789abcdef0123456789abcdef\n", micros, micros-1_700_000_000_000_000)
		for name, value := range e {
			b.WriteString(name + "\n")
			_ = binary.Write(&b, binary.LittleEndian, uint64(len(value))) // a buffer takes everything
			b.WriteString(value + "\n")
		}
		b.WriteString("\n")
	}
	cmd := exec.Command(remote, "--output="+path, "-")
	cmd.Stdin = &b
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", remote, err, out)
	}
}

// login is a failure as the unit or the program wrote it.
func login(field, address string) entry {
	e := entry{"_HOSTNAME": "shop", "SYSLOG_IDENTIFIER": "app", "_PID": "7", "MESSAGE": "login of anna from " + address + " failed"}
	name, value, _ := strings.Cut(field, "=")
	e[name] = value
	return e
}

// journalJail writes a configuration of fail2ban whose jail reads the journal in dir/journal.
func journalJail(t *testing.T, dir, options string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "journal"), 0o700); err != nil {
		t.Fatal(err)
	}
	configure(t, dir, "/nowhere", "")
	for name, text := range map[string]string{
		"jail.local": "[app]\nenabled = true\nfilter = app\nbackend = systemd[journalpath=\"" + filepath.Join(dir, "journal") + "\"]\nlogpath = /nowhere\n" + options + "\n",
		"filter.d/app.conf": "[Definition]\nfailregex = ^\\S+ app\\[\\d+\\]: login of <F-USER>.*</F-USER> from <HOST> failed$\n" +
			"journalmatch = _SYSTEMD_UNIT=app.service SYSLOG_IDENTIFIER=app + _COMM=app\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, "fail2ban", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestJailReadsTheJournal: a jail whose backend is systemd reads the entries that it names, either alternative, from as far back
// as failures count; what was counted before a stop counts after it, and nothing comes twice.
func TestJailReadsTheJournal(t *testing.T) {
	dir := t.TempDir()
	journalJail(t, dir, "findtime = 3h\nbantime = 4h")
	at := time.Now().Add(-2 * time.Hour).Truncate(time.Second)
	const unit, program, other = "_SYSTEMD_UNIT=app.service", "_COMM=app", "_SYSTEMD_UNIT=other.service"
	writeJournal(t, filepath.Join(dir, "journal", "0.journal"), at.Add(-2*time.Hour), login(unit, "203.0.113.9")) // too long ago
	writeJournal(t, filepath.Join(dir, "journal", "a.journal"), at, login(unit, "203.0.113.7"), login(program, "203.0.113.7"),
		login(other, "203.0.113.8"), login(other, "203.0.113.8"), login(other, "203.0.113.8"), login(program, "203.0.113.9"), login(program, "203.0.113.9"))
	w, _, err := openWatch(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	want := "the journal in " + filepath.Join(dir, "journal") + ": _SYSTEMD_UNIT=app.service SYSLOG_IDENTIFIER=app + _COMM=app"
	if got := w.Jails()[0]; got.Problem != "" || !slices.Equal(got.Reads, []string{want}) {
		t.Fatalf("jail is %+v, want one that reads %q", got, want)
	}
	stop := run(t, w)
	eventually(t, "the entries are read", func() bool { return w.Jails()[0].Counters.Failures == 4 })
	stop()
	writeJournal(t, filepath.Join(dir, "journal", "b.journal"), at.Add(time.Minute), login(unit, "203.0.113.7"))
	w, l, err := openWatch(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	run(t, w)
	eventually(t, "203.0.113.7 is banned", func() bool { _, ok := l.Lookup(netip.MustParseAddr("203.0.113.7"), time.Now()); return ok })
	found, err := l.Find(t.Context(), decision.Filter{}, time.Now())
	if err != nil || len(found) != 1 || found[0].Target.Prefix != netip.MustParsePrefix("203.0.113.7/32") || found[0].Origin != "jail:app" {
		t.Fatalf("found %+v, %v, want one decision about 203.0.113.7", found, err)
	}
	line := "shop app[7]: login of anna from 203.0.113.7 failed"
	if d := found[0]; !slices.Equal(d.Evidence, []string{line, line, line}) || !d.Until.Equal(at.Add(time.Minute+4*time.Hour)) {
		t.Errorf("evidence is %q until %s, want %q three times until four hours after the last", d.Evidence, d.Until, line)
	}
	if got := w.Jails()[0]; got.Counters.Lines != 1 || got.Counters.Failures != 1 || got.Problem != "" {
		t.Errorf("after the restart the jail is %+v, want one line and one failure", got)
	}
}

// TestJournalText: what a jail is given of an entry is what fail2ban's filters are written for.
func TestJournalText(t *testing.T) {
	dir := t.TempDir()
	journalJail(t, dir, "maxretry = 1\nbantime = 1d")
	if err := os.WriteFile(filepath.Join(dir, "fail2ban", "filter.d", "app.conf"), []byte("[Definition]\nfailregex = from <HOST>\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := []entry{
		{"_HOSTNAME": "shop", "SYSLOG_IDENTIFIER": "app", "_COMM": "x", "SYSLOG_PID": "7", "_PID": "8", "MESSAGE": "from 203.0.113.1"},
		{"_HOSTNAME": "shop", "_COMM": "app", "_PID": "8", "MESSAGE": "two\nlines from 203.0.113.2"},
		{"_HOSTNAME": "shop", "SYSLOG_IDENTIFIER": "kernel", "_SOURCE_MONOTONIC_TIMESTAMP": "123456789", "MESSAGE": "from 203.0.113.3"},
		{"_HOSTNAME": "shop", "MESSAGE": "from 203.0.113.4"},
		{"MESSAGE": "from 203.0.113.5"},
		{"_HOSTNAME": "shop", "SYSLOG_IDENTIFIER": "app", "MESSAGE": "from 203.0.113.6"},
	}
	writeJournal(t, filepath.Join(dir, "journal", "a.journal"), time.Now().Add(-time.Minute), all...)
	w, l, err := openWatch(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := w.Jails()[0].Reads; len(got) != 1 || !strings.HasSuffix(got[0], ": every entry") {
		t.Errorf("the jail reads %q, want every entry", got)
	}
	run(t, w)
	for i, e := range all {
		address := netip.MustParseAddr(fmt.Sprint("203.0.113.", i+1))
		eventually(t, address.String()+" is banned", func() bool { _, ok := l.Lookup(address, time.Now()); return ok })
		found, err := l.Find(t.Context(), decision.Filter{Address: address}, time.Now())
		if err != nil || len(found) != 1 {
			t.Fatalf("found %+v, %v", found, err)
		}
		if want := fail2ban.JournalText(func(name string) string { return e[name] }); !slices.Equal(found[0].Evidence, []string{want}) {
			t.Errorf("entry %d was %q to the jail, want %q", i, found[0].Evidence, want)
		}
	}
}

// TestJournalTerms: a jail that cannot choose its entries does not run, and says why.
func TestJournalTerms(t *testing.T) {
	dir := t.TempDir()
	journalJail(t, dir, "journalmatch = --directory=/etc")
	for options, want := range map[string]string{"journalmatch = nonsense": "FIELD=VALUE", "journalmatch = --directory=/etc": "match of the journal"} {
		journalJail(t, dir, options)
		w, _, err := openWatch(t.Context(), dir, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := w.Jails()[0]; !strings.Contains(got.Problem, want) {
			t.Errorf("%s: jail is %+v, want a problem about %q", options, got, want)
		}
	}
}

// TestJournalKilled kills the watch again and again while entries come: nobody who failed twice is banned, and everybody who
// failed three times is, once.
func TestJournalKilled(t *testing.T) {
	dir := t.TempDir()
	journalJail(t, dir, "bantime.increment = true")
	const addresses = 200
	address := func(n int) string { return fmt.Sprintf("100.64.0.%d", 1+n) }
	for round := range 3 { // each address fails once a round, the even ones not in the last
		var all []entry
		for n := range addresses {
			if round < 2 || n%2 == 1 {
				all = append(all, login("_COMM=app", address(n)))
			}
		}
		for part := range 4 {
			some := all[part*len(all)/4 : (part+1)*len(all)/4]
			writeJournal(t, filepath.Join(dir, "journal", fmt.Sprintf("%d-%d.journal", round, part)), time.Now(), some...)
			killWatch(t, dir, "", 200*time.Millisecond+time.Duration(part)*300*time.Millisecond)
		}
	}
	writeJournal(t, filepath.Join(dir, "journal", "end.journal"), time.Now(), login("_COMM=app", "203.0.113.1"), login("_COMM=app", "203.0.113.1"), login("_COMM=app", "203.0.113.1"))
	w, l, err := openWatch(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	run(t, w)
	eventually(t, "all is read", func() bool { _, ok := l.Lookup(netip.MustParseAddr("203.0.113.1"), time.Now()); return ok })
	found, err := l.Find(t.Context(), decision.Filter{}, time.Now())
	if err != nil || len(found) != addresses/2+1 {
		t.Errorf("%d addresses are banned (%v), want %d", len(found), err, addresses/2+1)
	}
	for _, d := range found {
		if d.Repeats != 0 {
			t.Errorf("%s seems to have been banned before", d.Target)
		}
	}
	for n := range addresses {
		if _, ok := l.Lookup(netip.MustParseAddr(address(n)), time.Now()); ok != (n%2 == 1) {
			t.Errorf("%s is banned: %v, want %v", address(n), ok, n%2 == 1)
		}
	}
}
