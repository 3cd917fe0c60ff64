package facts

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Bounds of the guesses at passwords, which the hashes themselves make costly.
const (
	maxGuessed  = 50      // accounts
	maxRounds   = 200_000 // of sha256crypt and sha512crypt; the default is 5,000
	maxBcrypt   = 12      // its cost
	guessesTime = 2 * time.Second
)

// hashState says what the password field of an account holds.
func hashState(hash string) (state, kind string, weak bool) {
	switch {
	case hash == "":
		return "empty", "", false
	case hash[0] == '!' || hash[0] == '*':
		return "locked", "", false
	}
	for _, k := range []struct {
		prefix, kind string
		weak         bool
	}{
		{"$y$", "yescrypt", false}, {"$gy$", "gost-yescrypt", false}, {"$7$", "scrypt", false},
		{"$2a$", "bcrypt", false}, {"$2b$", "bcrypt", false}, {"$2y$", "bcrypt", false}, {"$2x$", "bcrypt", true},
		{"$6$", "sha512crypt", false}, {"$5$", "sha256crypt", false},
		{"$sha1", "sha1crypt", true}, {"$md5", "sunmd5", true}, {"$1$", "md5crypt", true}, {"$3$", "nt", true}, {"_", "bsdi", true},
	} {
		if strings.HasPrefix(hash, k.prefix) {
			return "set", k.kind, k.weak
		}
	}
	if len(hash) == 13 && strings.Trim(hash, cryptAlphabet) == "" {
		return "set", "descrypt", true
	}
	if strings.HasPrefix(hash, "$") {
		return "set", "unknown", true
	}
	return "locked", "", false // no hash comes out as this, so that no password is right
}

// guesses are what people try first on an account of that name. The list is short on purpose: it finds a password
// that was never chosen, and is no cracker.
func guesses(name string) []string {
	title := strings.ToUpper(name[:min(1, len(name))]) + name[min(1, len(name)):]
	return []string{name, name + "123", name + "1", title + "123", name + "2026", "password", "123456", "12345678", "admin", "changeme"}
}

// tryPasswords tries the common passwords on every account that has one and can sign in, and says which it could not try,
// or "". What is tried never leaves this process, but for the host's own perl, whose crypt knows yescrypt.
func tryPasswords(ctx context.Context, h *Host, hashes []Hash, texts []string) (untried string) {
	ctx, cancel := context.WithTimeout(ctx, guessesTime)
	defer cancel()
	var left []string
	var ask []int
	n := 0
	for i := range hashes {
		e := &hashes[i]
		if e.State != "set" {
			e.Tried = true
			continue
		}
		if n++; n > maxGuessed || ctx.Err() != nil {
			left = append(left, e.Name)
			continue
		}
		check := verifier(e.Kind, texts[i])
		if check == nil {
			ask = append(ask, i)
			continue
		}
		e.Tried = true
		for _, p := range guesses(e.Name) {
			if e.Guessed = check(p); e.Guessed {
				break
			}
			if ctx.Err() != nil {
				e.Tried = false
				left = append(left, e.Name)
				break
			}
		}
	}
	reason := "no time was left"
	if len(ask) > 0 {
		if err := askCrypt(ctx, h, hashes, texts, ask); err != nil {
			reason = err.Error()
		}
		for _, i := range ask {
			if !hashes[i].Tried {
				left = append(left, hashes[i].Name)
			}
		}
	}
	if len(left) == 0 {
		return ""
	}
	return fmt.Sprintf("the common passwords were not tried on %s: %s", strings.Join(left[:min(len(left), 10)], ", "), reason)
}

// verifier returns what checks a password against a hash; nil where its kind is not computed here.
func verifier(kind, hash string) func(password string) bool {
	switch kind {
	case "bcrypt":
		if cost, err := bcrypt.Cost([]byte(hash)); err != nil || cost > maxBcrypt {
			return nil
		}
		return func(p string) bool { return bcrypt.CompareHashAndPassword([]byte(hash), []byte(p)) == nil }
	case "sha512crypt", "sha256crypt":
		c, ok := readSHACrypt(hash)
		if !ok || c.rounds > maxRounds {
			return nil
		}
		return func(p string) bool { return c.compute(p) == c.digest }
	case "md5crypt":
		return func(p string) bool { return md5Crypt(p, hash) == hash }
	}
	return nil
}

// askCrypt lets the host's perl, which every Debian has, compute what is not computed here. The hashes and words go in by
// its standard input, so that no other process sees them; a hash is told by its number, and the answer is the numbers of
// those that were tried, with 1 where a word is right.
func askCrypt(ctx context.Context, h *Host, hashes []Hash, texts []string, which []int) error {
	const program = `$|=1; while(<STDIN>){chomp; my($n,$h,@w)=split / /; $h=pack("H*",$h); my($ok,$bad)=(0,0);` +
		`for(@w){my $c=crypt(pack("H*",$_),$h); $bad=1,last if !defined $c || $c=~/^[*]/; $ok=1,last if $c eq $h} print "$n $ok\n" if !$bad}`
	perl := h.Look("/usr/bin/perl")
	if perl == "" {
		return fmt.Errorf("there is no perl whose crypt would know their hashes")
	}
	var in strings.Builder
	for _, i := range which {
		fmt.Fprintf(&in, "%d %s", i, hex.EncodeToString([]byte(texts[i])))
		for _, p := range guesses(hashes[i].Name) {
			in.WriteString(" " + hex.EncodeToString([]byte(p)))
		}
		in.WriteByte('\n')
	}
	out, err := h.RunWith(ctx, []byte(in.String()), perl, "-e", program)
	for line := range strings.Lines(string(out.Stdout)) {
		var i, ok int
		if n, err := fmt.Sscanf(line, "%d %d", &i, &ok); err == nil && n == 2 && i >= 0 && i < len(hashes) {
			hashes[i].Tried, hashes[i].Guessed = true, ok == 1
		}
	}
	return err
}
