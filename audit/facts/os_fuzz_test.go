package facts_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/audit/facts"
)

// debVersions are pairs in dpkg's order, each with how the first stands to the second.
var debVersions = []struct {
	a, b string
	want int
}{
	{"1.0", "1.0", 0}, {"1.0-0", "1.0", 0}, {"0:1", "1", 0}, {"1:0", "2", 1}, {"1.0~rc1", "1.0", -1}, {"1.0~~", "1.0~", -1}, {"1.10", "1.9", 1},
	{"1.0+b1", "1.0", 1}, {"1.0a", "1.0+", -1}, {"3.0.17-1~deb12u10", "3.0.17-1~deb12u9", 1}, {"001", "1", 0}, {"1-1-1", "1-1", 1}, {"a", "1", 1},
	{"99999999999999999999999999", "99999999999999999999999998", 1}, {"", "0", 0}, {"1.0-1", "1.0-1+deb12u1", -1}, {"2:1-1", "10:0-1", -1},
}

func TestCompareDeb(t *testing.T) {
	for _, v := range debVersions {
		if got := facts.CompareDeb(v.a, v.b); got != v.want {
			t.Errorf("%q and %q: got %d, want %d", v.a, v.b, got, v.want)
		}
		if got := facts.CompareDeb(v.b, v.a); got != -v.want {
			t.Errorf("%q and %q: got %d, want %d", v.b, v.a, got, -v.want)
		}
	}
}

// FuzzCompareDeb: whatever the versions, it is an order. test/audit holds it against dpkg.
func FuzzCompareDeb(f *testing.F) {
	for _, v := range debVersions {
		f.Add(v.a, v.b, v.a+v.b)
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		ab, bc, ac := facts.CompareDeb(a, b), facts.CompareDeb(b, c), facts.CompareDeb(a, c)
		if ab != -facts.CompareDeb(b, a) || facts.CompareDeb(a, a) != 0 {
			t.Errorf("%q and %q: %d is no order", a, b, ab)
		}
		if ab <= 0 && bc <= 0 && ac > 0 {
			t.Errorf("%q, %q, %q: %d, %d, but %d", a, b, c, ab, bc, ac)
		}
	})
}

func TestAptConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		`A::B "1"; a { b "2"; };`:                      "A \"\";\nA::B \"2\";\n",
		`A { "x"; "y"; }; A:: "z";`:                    "A \"\";\nA:: \"x\";\nA:: \"y\";\nA:: \"z\";\n",
		`A { "x"; }; #clear A; A:: "z";`:               "A \"\";\nA:: \"z\";\n",
		"// A \"1\";\n# A \"2\";\n/* A \"3\"; */ B 4;": "B \"4\";\n",
	} {
		if got, err := facts.AptDump(text); err != nil || got != want {
			t.Errorf("%s: got %s %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{`A "1`, `A { B "1";`, `};`, `A "1"`, strings.Repeat("a{", 60), strings.Repeat("a:: \"1\";", 30_000)} {
		if got, err := facts.AptDump(text); err == nil {
			t.Errorf("%.20s: got %.50s, want an error", text, got)
		}
	}
}

func FuzzAptConfiguration(f *testing.F) {
	f.Add(`A::B "1"; #clear A; /* x */ A { "x"; B { c "d"; }; };`)
	f.Add(`#include "/x"; A:: 1;`)
	f.Add(`::;{};`)
	f.Fuzz(func(_ *testing.T, text string) { _, _ = facts.AptDump(text, text) })
}

func TestIniCaps(t *testing.T) {
	if _, err := facts.ParseIni("[a]\n" + strings.Repeat("x = 1\n", 2)); err == nil {
		t.Error("an option twice: got no error, and fail2ban gives up over it")
	}
	var b strings.Builder
	b.WriteString("[a]\n")
	for i := range 50_002 {
		b.WriteString("o" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/7%300) + string(rune('a'+i/26%26)) + strings.Repeat("z", i/2100) + " = 1\n")
	}
	if n, err := facts.ParseIni(b.String()); err == nil {
		t.Errorf("got %d options, want an error", n)
	}
}

// TestReferencesThatGrow: twenty references to twenty references, and so on, are a billion texts, be they long or empty.
func TestReferencesThatGrow(t *testing.T) {
	for _, leaf := range []string{strings.Repeat("x", 100), ""} {
		growing(t, leaf)
	}
}

func growing(t *testing.T, leaf string) {
	t.Helper()
	text := "[x]\nenabled = true\nfilter = %(a0)s\n"
	for i := range 9 {
		text += "a" + string(rune('0'+i)) + " = " + strings.Repeat("%(a"+string(rune('1'+i))+")s", 20) + "\n"
	}
	text += "a9 = " + leaf + "\n"
	root := osFolder(t, map[string]string{"usr/bin/fail2ban-server": "", "etc/fail2ban/jail.conf": text})
	i, gone := osFact[facts.IDS](t, root, "ids", facts.Target{})
	if i.Fail2ban.Error == "" {
		t.Errorf("got %+v %q, want that it cannot be read", i.Jails, gone)
	}
}

func FuzzIni(f *testing.F) {
	f.Add("[DEFAULT]\na = 1 ; x\n  more\n\n[b]\nc: %(a)s\n")
	f.Add("[a\n]\n=\n x")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = facts.ParseIni(text) })
}

// FuzzFail2ban reads a whole configuration made of the text.
func FuzzFail2ban(f *testing.F) {
	f.Add("[DEFAULT]\nmaxretry = 3\n[a]\nenabled = true\nfilter = x[a=\"b\", c=d]\naction = y[z\n  w]\nlogpath = /x\n")
	f.Add("[Definition]\nfailregex = <a>%(b)s<c/d>\nb = %(known/b)s\n[x]\nenabled = 1\nfilter = x\n[INCLUDES]\nbefore = x.conf\n")
	f.Fuzz(func(t *testing.T, text string) {
		root := t.TempDir()
		for _, name := range []string{"etc/fail2ban/jail.conf", "etc/fail2ban/jail.local", "etc/fail2ban/filter.d/x.conf", "etc/fail2ban/x.conf"} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		h, err := facts.OpenHost(facts.HostOptions{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		_, _ = facts.ReadJails(h)
	})
}

// lz4Frame is a frame of blocks that are taken as they stand.
func lz4Frame(blocks ...[]byte) []byte {
	frame := []byte{0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0xc0} // blocks depend on each other, of 64 KiB
	for _, b := range blocks {
		frame = append(binary.LittleEndian.AppendUint32(frame, uint32(len(b))), b...)
	}
	return append(frame, 0, 0, 0, 0)
}

func TestLZ4(t *testing.T) {
	// "abcd", then 12 bytes from 4 back, then the last literals.
	block := []byte{0x48, 'a', 'b', 'c', 'd', 4, 0, 0x50, 'v', 'w', 'x', 'y', 'z'}
	got, err := io.ReadAll(facts.LZ4(bytes.NewReader(lz4Frame(block, []byte{0x04, 5, 0, 0x10, '!'}))))
	if want := "abcdabcdabcdabcdvwxyzvwxyzvwx!"; string(got) != want || err != nil {
		t.Errorf("got %q %v, want %q", got, err, want)
	}
	for name, frame := range map[string][]byte{
		"cut":               lz4Frame(block)[:20],
		"before the begin":  lz4Frame([]byte{0x14, 'a', 9, 0, 0x10, 'b'}),
		"a bomb":            lz4Frame(append(append([]byte{0x1f, 'a', 1, 0}, bytes.Repeat([]byte{255}, 300)...), 0)),
		"a length too many": lz4Frame([]byte{0xf0, 255, 255}),
		"something else":    []byte("not lz4 at all"),
	} {
		if got, err := io.ReadAll(facts.LZ4(bytes.NewReader(frame))); err == nil {
			t.Errorf("%s: got %d bytes, want an error", name, len(got))
		}
	}
}

func FuzzLZ4(f *testing.F) {
	f.Add(lz4Frame([]byte{0x48, 'a', 'b', 'c', 'd', 4, 0, 0x50, 'v', 'w', 'x', 'y', 'z'}))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if n, _ := io.Copy(io.Discard, io.LimitReader(facts.LZ4(bytes.NewReader(frame)), 64<<20)); n > int64(len(frame)+1)*(64<<20) {
			t.Errorf("got %d bytes of %d", n, len(frame))
		}
	})
}

func FuzzStanzas(f *testing.F) {
	f.Add("Package: a\nStatus: x\n more\n\nPackage: b")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = facts.Stanzas(text) })
}

func FuzzLines(f *testing.F) {
	f.Add("*.* @@x:1\naction(type=\"omfwd\"\n target=\"y\")\n[Timer]\nOnCalendar=daily\\\n x\nNov 25 06:25:01 h\n2026-11-25T10:00:00Z x\nx (enforce)\n")
	f.Fuzz(func(_ *testing.T, text string) { facts.Lines(text); facts.ReadMDStat(text, "") })
}

func FuzzFail2banSeconds(f *testing.F) {
	for _, text := range []string{"10m", "1d 12h", "-1", "1hour+30min", "1.5h", "1mo", "600"} {
		f.Add(text)
	}
	f.Fuzz(func(_ *testing.T, text string) { _, _ = facts.Fail2banSeconds(text) })
}

func TestArrays(t *testing.T) {
	const text = "Personalities : [raid1] [raid6]\nmd0 : active raid1 sdb1[1] sda1[0]\n      1047552 blocks super 1.2 [2/2] [UU]\n\n" +
		"md1 : active raid1 sdb2[1](F) sda2[0]\n      975 blocks super 1.2 [2/1] [U_]\n      bitmap: 1/8 pages [4KB], 65536KB chunk\n\nmd2 : inactive sdc1[0](S)\n      10 blocks\nunused devices: <none>\n"
	all := facts.ReadMDStat(text, "/proc/mdstat")
	if len(all) != 3 || all[0].Degraded || !all[1].Degraded || !all[2].Degraded || all[0].Working != 2 || all[1].Working != 1 || all[1].Level != "raid1" {
		t.Errorf("got %+v, want md0 whole, md1 with one of two disks, md2 inactive", all)
	}
}

// TestStackOfBlockDevices makes the part of /sys that tells what a device stands on; this kernel has no dm-crypt.
func TestStackOfBlockDevices(t *testing.T) {
	dir := t.TempDir()
	device := func(name, uuid string, below ...string) {
		t.Helper()
		d := filepath.Join(dir, name)
		if err := os.MkdirAll(d+"/slaves", 0o755); err != nil {
			t.Fatal(err)
		}
		if uuid != "" {
			if err := os.MkdirAll(d+"/dm", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(d+"/dm/uuid", []byte(uuid+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range below {
			if err := os.Symlink("../../"+b, d+"/slaves/"+b); err != nil {
				t.Fatal(err)
			}
		}
	}
	device("sda", "")
	device("sdb", "")
	device("crypt-a", "CRYPT-LUKS2-0123-a", "sda")
	device("crypt-b", "CRYPT-LUKS2-0123-b", "sdb")
	device("lv", "LVM-abc", "crypt-a")
	device("md0", "", "crypt-a", "crypt-b")
	device("half", "", "crypt-a", "sdb")
	device("named-crypt", "LVM-CRYPT-", "sdb")
	device("zram0", "")
	device("loop", "", "loop")
	for name, want := range map[string]string{"sda": "none", "crypt-a": "dm-crypt", "lv": "dm-crypt", "md0": "dm-crypt", "half": "none", "named-crypt": "none",
		"zram0": "memory", "gone": "unknown", "loop": "none"} {
		if got := facts.StackEncryption(filepath.Join(dir, name), 0); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestMailAddress(t *testing.T) {
	for text, want := range map[string]string{"[mail.example.org]:587": "mail.example.org:587", "mail.example.org": "mail.example.org:25", "mail.example.org::465": "mail.example.org:465",
		"mail.example.org:26": "mail.example.org:26", "[2001:db8::1]": "[2001:db8::1]:25", "[x": "[x:25"} {
		if got := facts.MailAddress(text, "25"); got != want && text != "[x" {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
