package auth_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth"
)

const goodPHC = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func TestParsePHC(t *testing.T) {
	got, err := auth.ParsePHC(goodPHC)
	if err != nil {
		t.Fatal(err)
	}
	want := auth.PHC{MemoryKiB: 19456, Time: 2, Parallelism: 1, Salt: make([]byte, 16), Hash: make([]byte, 32)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParsePHC(%q) (-want +got):\n%s", goodPHC, diff)
	}
	if got.String() != goodPHC {
		t.Errorf("String() = %q, want %q", got.String(), goodPHC)
	}
}

func TestParsePHCRefuses(t *testing.T) {
	replace := func(old, with string) string { return strings.Replace(goodPHC, old, with, 1) }
	for name, s := range map[string]string{
		"empty":                    "",
		"other algorithm":          replace("argon2id", "argon2i"),
		"bcrypt":                   "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
		"other version":            replace("v=19", "v=16"),
		"no version":               replace("$v=19", ""),
		"memory of 4 TiB":          replace("m=19456", "m=4294967295"),
		"memory over the cap":      replace("m=19456", "m=262145"),
		"memory beyond 32 bits":    replace("m=19456", "m=4294986752"),
		"no memory":                replace("m=19456", "m=0"),
		"less than 8 KiB a lane":   replace("m=19456,t=2,p=1", "m=64,t=2,p=9"),
		"no passes":                replace("t=2", "t=0"),
		"passes over the cap":      replace("t=2", "t=17"),
		"no lanes":                 replace("p=1", "p=0"),
		"lanes over the cap":       replace("p=1", "p=255"),
		"lanes beyond a byte":      replace("p=1", "p=257"),
		"negative":                 replace("t=2", "t=-2"),
		"sign":                     replace("t=2", "t=+2"),
		"leading zero":             replace("t=2", "t=02"),
		"underscore":               replace("m=19456", "m=19_456"),
		"space":                    replace("t=2", "t= 2"),
		"order":                    replace("m=19456,t=2,p=1", "t=2,m=19456,p=1"),
		"twice":                    replace("t=2", "t=2,t=2"),
		"unknown parameter":        replace("p=1", "p=1,keyid=x"),
		"padding":                  goodPHC + "=",
		"bits after the last byte": goodPHC[:len(goodPHC)-1] + "B",
		"line break in the hash":   goodPHC[:len(goodPHC)-2] + "\n" + goodPHC[len(goodPHC)-2:],
		"URL alphabet":             replace("$AAAA", "$-_AA"),
		"short salt":               replace("AAAAAAAAAAAAAAAAAAAAAA$", "AAAA$"),
		"short hash":               goodPHC[:len(goodPHC)-23],
		"long hash":                goodPHC + strings.Repeat("A", 44),
		"too long":                 goodPHC + strings.Repeat("$", 600),
		"a field more":             goodPHC + "$AAAA",
		"text before":              "x" + goodPHC,
	} {
		if p, err := auth.ParsePHC(s); err == nil {
			t.Errorf("%s: ParsePHC(%q) = %+v, want an error", name, s, p)
		}
	}
}

// FuzzParsePHC holds that whatever is accepted is within the bounds and is the one spelling of itself.
func FuzzParsePHC(f *testing.F) {
	for _, s := range []string{
		goodPHC,
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaaaaa",
		"$argon2id$v=19$m=262144,t=16,p=16$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaaaaa",
		"$argon2id$v=19$m=4294967295,t=4294967295,p=255$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaaaaa",
		"$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$IMit9qkFULCMA/ViizL57cnTLOa5DiVM9eMwpAvPwr4",
		"$argon2id$m=19456,t=2,p=1$c29tZXNhbHQ$AAAA", "$argon2id$v=19$$$", "$$$$$", "$6$salt$hash",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := auth.ParsePHC(s)
		if err != nil {
			return
		}
		if p.String() != s {
			t.Errorf("ParsePHC(%q).String() = %q", s, p.String())
		}
		if p.MemoryKiB > auth.MaxMemoryKiB || p.Time > auth.MaxTime || p.Parallelism > auth.MaxParallelism ||
			p.Time == 0 || p.Parallelism == 0 || p.MemoryKiB < 8*uint32(p.Parallelism) ||
			len(p.Salt) < 8 || len(p.Salt) > 64 || len(p.Hash) < 16 || len(p.Hash) > 64 {
			t.Errorf("ParsePHC(%q) = %+v, outside the bounds", s, p)
		}
	})
}
