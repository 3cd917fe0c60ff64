package facts

import (
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

const (
	maxRecords = 50 // of one name
	maxLookups = 10 // that an SPF record may cost (RFC 7208, section 4.6.4)
)

// texts returns the TXT records of a name; none is no error.
func (p *prober) texts(ctx context.Context, name string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	all, err := p.resolver.LookupTXT(ctx, strings.TrimSuffix(name, ".")+".")
	var no *net.DNSError
	if errors.As(err, &no) && no.IsNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", name, err)
	}
	return all[:min(len(all), maxRecords)], nil
}

// tags reads TAG=VALUE; TAG=VALUE, as DKIM, DMARC and others write it (RFC 6376, section 3.2). A tag that stands twice makes
// the record void.
func tags(text string) (map[string]string, bool) {
	all := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		name, value, ok := strings.Cut(part, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if strings.TrimSpace(part) == "" {
			continue
		}
		if _, twice := all[name]; !ok || twice || name == "" {
			return all, false
		}
		all[name] = strings.TrimSpace(value)
	}
	return all, true
}

// startsWith picks the records of one kind.
func startsWith(all []string, version string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(text string) bool {
		rest, ok := cutFold(strings.TrimSpace(text), version)
		return !ok || rest != "" && !strings.ContainsRune(" ;\t", rune(rest[0]))
	})
}

func cutFold(text, prefix string) (string, bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return text, false
	}
	return text[len(prefix):], true
}

// SPF says which servers may send mail for a domain (RFC 7208).
type SPF struct {
	Record string `cel:"record"` // empty: none
	// Valid says that there is exactly one record, and that it costs no more than ten look-ups.
	Valid bool `cel:"valid"`
	// All is what happens to the others, after redirect=: fail (-all), softfail (~all), neutral (?all or nothing), pass (+all).
	All     string `cel:"all"`
	Lookups int    `cel:"lookups"`
	Fault   string `cel:"fault"`
	Origin  string `cel:"origin"`
}

// spf reads the record and those that it includes.
func (p *prober) spf(ctx context.Context, domain string) (SPF, error) {
	s := SPF{All: "neutral", Origin: "TXT " + domain}
	all, err := p.texts(ctx, domain)
	if err != nil {
		return s, err
	}
	records := startsWith(all, "v=spf1")
	switch len(records) {
	case 0:
		s.Fault = "there is none"
		return s, nil
	case 1:
	default:
		s.Record, s.Fault = records[0], "there are several, which makes all of them void"
		return s, nil
	}
	s.Record = records[0]
	s.All, err = p.spfAll(ctx, domain, s.Record, &s.Lookups)
	var void errVoid
	if errors.As(err, &void) {
		s.Fault = void.Error()
		return s, nil
	}
	s.Valid = err == nil
	return s, err
}

// errVoid is that a record is not valid.
type errVoid string

func (e errVoid) Error() string { return string(e) }

// spfAll walks one record and what it includes, counts the look-ups, and says what its "all" does.
func (p *prober) spfAll(ctx context.Context, domain, record string, lookups *int) (string, error) {
	result, redirect := "", ""
	for _, term := range strings.Fields(record)[1:] {
		word := strings.ToLower(term)
		if to, ok := strings.CutPrefix(word, "redirect="); ok {
			redirect = to
			continue
		}
		meaning := "pass"
		if at := strings.IndexByte("+-~?", word[0]); at >= 0 {
			meaning, word = []string{"pass", "fail", "softfail", "neutral"}[at], word[1:]
		}
		name, to, _ := strings.Cut(word, ":")
		name, _, _ = strings.Cut(name, "/")
		switch name {
		case "all":
			if result == "" {
				result = meaning
			}
		case "include":
			if _, err := p.spfOther(ctx, to, lookups); err != nil {
				return "", err
			}
		case "a", "mx", "ptr", "exists":
			*lookups++
		case "ip4", "ip6":
		default:
			if !strings.Contains(word, "=") {
				return "", errVoid(fmt.Sprintf("the record of %s has %q, which is nothing", domain, term))
			}
		}
	}
	if *lookups > maxLookups {
		return "", errVoid(fmt.Sprintf("it needs more than %d look-ups", maxLookups))
	}
	if result == "" && redirect != "" {
		return p.spfOther(ctx, redirect, lookups)
	}
	if result == "" {
		result = "neutral"
	}
	return result, nil
}

// spfOther reads the record of another domain. Names with macros are counted and not followed.
func (p *prober) spfOther(ctx context.Context, domain string, lookups *int) (string, error) {
	if *lookups++; *lookups > maxLookups {
		return "", errVoid(fmt.Sprintf("it needs more than %d look-ups", maxLookups))
	}
	if strings.Contains(domain, "%") {
		return "neutral", nil
	}
	all, err := p.texts(ctx, domain)
	if err != nil {
		return "", err
	}
	records := startsWith(all, "v=spf1")
	if len(records) != 1 {
		return "", errVoid(domain + " has not one SPF record")
	}
	return p.spfAll(ctx, domain, records[0], lookups)
}

// DMARC says what becomes of mail that claims to be of a domain and is not (RFC 7489).
type DMARC struct {
	Record string `cel:"record"`
	Valid  bool   `cel:"valid"`
	// Policy is none, quarantine or reject: what applies to the domain, so sp= where the record is that of the domain above.
	Policy  string `cel:"policy"`
	Percent int    `cel:"percent"` // of the mail to which it applies
	Reports bool   `cel:"reports"` // aggregate reports are asked for (rua=)
	Fault   string `cel:"fault"`
	Origin  string `cel:"origin"`
}

// readDMARC reads the record found at _dmarc of a domain; below says that it is asked for a name below it.
func readDMARC(all []string, below bool) DMARC {
	d := DMARC{Percent: 100}
	records := startsWith(all, "v=DMARC1")
	if len(records) != 1 {
		d.Fault = fmt.Sprintf("there are %d records", len(records))
		return d
	}
	d.Record = records[0]
	t, ok := tags(d.Record)
	d.Policy, d.Reports = strings.ToLower(t["p"]), t["rua"] != ""
	if sub := strings.ToLower(t["sp"]); below && sub != "" {
		d.Policy = sub
	}
	if text, set := t["pct"]; set {
		n, err := strconv.Atoi(text)
		if ok = ok && err == nil && n >= 0 && n <= 100; ok {
			d.Percent = n
		}
	}
	d.Valid = ok && slices.Contains([]string{"none", "quarantine", "reject"}, d.Policy)
	if !d.Valid {
		d.Fault = "the record cannot be read"
	}
	return d
}

// DKIM is the key with which mail of a domain is signed (RFC 6376).
type DKIM struct {
	Domain   string `cel:"domain"`
	Selector string `cel:"selector"`
	Found    bool   `cel:"found"`
	// Valid says that there is one key that can be read, and that it is not taken back (p= without a key).
	Valid bool   `cel:"valid"`
	Key   string `cel:"key"` // rsa or ed25519
	Bits  int    `cel:"bits"`
	// Testing is t=y: whoever receives the mail treats it as if it were not signed.
	Testing bool   `cel:"testing"`
	Fault   string `cel:"fault"`
	Origin  string `cel:"origin"`
}

// readDKIM reads the records of a selector.
func readDKIM(all []string) DKIM {
	d := DKIM{Found: len(all) > 0}
	if len(all) != 1 {
		d.Fault = fmt.Sprintf("there are %d records", len(all))
		return d
	}
	t, ok := tags(all[0])
	if version, set := t["v"]; !ok || set && version != "DKIM1" {
		d.Fault = "the record cannot be read"
		return d
	}
	d.Key = strings.ToLower(t["k"])
	if d.Key == "" {
		d.Key = "rsa"
	}
	d.Testing = slices.Contains(strings.Split(strings.ToLower(t["t"]), ":"), "y")
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(t["p"]), ""))
	switch {
	case len(der) == 0 && err == nil:
		d.Fault = "the key is taken back"
		return d
	case err != nil:
		d.Fault = "the key cannot be read"
		return d
	}
	switch d.Key {
	case "ed25519":
		d.Bits = len(der) * 8
		d.Valid = len(der) == ed25519.PublicKeySize
	case "rsa":
		if public, err := x509.ParsePKIXPublicKey(der); err == nil {
			if key, ok := public.(*rsa.PublicKey); ok {
				d.Bits, d.Valid = key.N.BitLen(), true
			}
		} else if key, err := x509.ParsePKCS1PublicKey(der); err == nil {
			d.Bits, d.Valid = key.N.BitLen(), true
		}
	}
	if !d.Valid {
		d.Fault = "the key cannot be read"
	}
	return d
}
