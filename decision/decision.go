package decision

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/doorward/doorward/store"
)

// Action is what a decision does to its target.
type Action string

// The actions, the strongest first.
const (
	Ban       Action = "ban"       // refused
	Challenge Action = "challenge" // has to answer a page that takes a browser
	Throttle  Action = "throttle"  // a much lower rate
)

// Actions lists the actions, the strongest first.
func Actions() []Action { return []Action{Ban, Challenge, Throttle} }

// rank is the place of an action among Actions; -1 for none of them.
func (a Action) rank() int {
	switch a {
	case Ban:
		return 0
	case Challenge:
		return 1
	case Throttle:
		return 2
	}
	return -1
}

// Stronger tells whether a does more to its target than b.
func (a Action) Stronger(b Action) bool { return a.rank() < b.rank() }

// Kind is what a target is.
type Kind string

// The kinds.
const (
	Address Kind = "address" // one address or a network
	Account Kind = "account"
	Country Kind = "country"
)

// Target is whom a decision is about. Targets made by ParseTarget, ForAddress, ForAccount and ForCountry are canonical and can be
// compared.
type Target struct {
	Kind   Kind
	Prefix netip.Prefix // of Address; one address is a prefix of its full length
	Name   string       // of Account (lower case) and Country (ISO 3166-1 alpha-2, capital letters)
}

// ForAddress is the target that scope makes of an address.
func ForAddress(a netip.Addr, scope Scope) Target {
	return Target{Kind: Address, Prefix: scope.Prefix(a)}
}

// ForPrefix is the target of a network.
func ForPrefix(p netip.Prefix) Target { return Target{Kind: Address, Prefix: p} }

// ForAccount is the target of an account, by its name.
func ForAccount(name string) Target { return Target{Kind: Account, Name: name} }

// ForCountry is the target of a country, by its ISO 3166-1 alpha-2 code.
func ForCountry(code string) Target { return Target{Kind: Country, Name: code} }

const (
	accountPrefix = "account:"
	countryPrefix = "country:"
	maxName       = 254
)

// ParseTarget reads what String writes, and an address without a length. The error is *InputError.
func ParseTarget(text string) (Target, error) {
	if name, ok := strings.CutPrefix(text, accountPrefix); ok {
		return ForAccount(name).canonical()
	}
	if code, ok := strings.CutPrefix(text, countryPrefix); ok {
		return ForCountry(code).canonical()
	}
	if !strings.Contains(text, "/") { // which those in the store have
		if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
			return ForPrefix(netip.PrefixFrom(addr, addr.BitLen())).canonical()
		}
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return Target{}, &InputError{"target", "has to be an address, a network such as 192.0.2.0/24, account:NAME or country:XX"}
	}
	return ForPrefix(prefix).canonical()
}

// canonical returns the one form of the target, or *InputError.
func (t Target) canonical() (Target, error) {
	switch t.Kind {
	case Address:
		prefix, ok := canonicalPrefix(t.Prefix)
		if !ok {
			return Target{}, &InputError{"target", "is not an address or network that a client can have"}
		}
		return Target{Kind: Address, Prefix: prefix}, nil
	case Account:
		name := foldAccount(t.Name)
		if name == "" || len(name) > maxName || store.Text(name) != name || strings.ContainsFunc(name, isControl) {
			return Target{}, &InputError{"target", fmt.Sprintf("has to name an account in 1 to %d bytes", maxName)}
		}
		return Target{Kind: Account, Name: name}, nil
	case Country:
		code := strings.ToUpper(t.Name)
		if len(code) != 2 || code[0] < 'A' || code[0] > 'Z' || code[1] < 'A' || code[1] > 'Z' {
			return Target{}, &InputError{"target", "has to name a country by its two letters (ISO 3166-1)"}
		}
		return Target{Kind: Country, Name: code}, nil
	}
	return Target{}, &InputError{"target", "has to be an address, an account or a country"}
}

// canonicalPrefix unmaps IPv4 in IPv6, takes host bits away and refuses what no client's address can be.
func canonicalPrefix(p netip.Prefix) (netip.Prefix, bool) {
	if !p.IsValid() || p.Addr().Zone() != "" {
		return netip.Prefix{}, false
	}
	addr, bits := p.Addr(), p.Bits()
	if addr.Is4In6() {
		if bits < 96 {
			return netip.Prefix{}, false // all of IPv4 and more
		}
		addr, bits = addr.Unmap(), bits-96
	}
	if bits == addr.BitLen() && (addr.IsUnspecified() || addr.IsMulticast()) {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(addr, bits).Masked(), true
}

// foldAccount is an account's name as the list compares it. Accounts are looked up by the same folding (NFKC and case, until stable), or
// another spelling would be another account here and the same one at the sign-in.
func foldAccount(name string) string {
	name = strings.TrimSpace(name)
	for range 4 {
		next := norm.NFKC.String(cases.Fold().String(norm.NFKC.String(name)))
		if next == name {
			break
		}
		name = next
	}
	return name
}

func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }

// String is the canonical text: 192.0.2.7/32, account:maria, country:XX.
func (t Target) String() string {
	switch t.Kind {
	case Account:
		return accountPrefix + t.Name
	case Country:
		return countryPrefix + t.Name
	}
	return t.Prefix.String()
}

// Short is String, with one address written without its length.
func (t Target) Short() string {
	if t.Kind == Address && t.Prefix.IsSingleIP() {
		return t.Prefix.Addr().String()
	}
	return t.String()
}

// Scope is how far a decision about an address reaches.
type Scope string

// The scopes.
const (
	OneAddress Scope = "address" // the address alone
	OneNetwork Scope = "/64"     // an IPv6 address's /64, which is what one customer gets; an IPv4 address alone
	Subnet     Scope = "subnet"  // IPv4 /24, IPv6 /48
)

// ParseScope reads a scope; empty is OneAddress.
func ParseScope(text string) (Scope, error) {
	switch s := Scope(text); s {
	case "":
		return OneAddress, nil
	case OneAddress, OneNetwork, Subnet:
		return s, nil
	}
	return "", fmt.Errorf("scope %q: not one of address, /64, subnet", text)
}

// Prefix is the network that the scope makes of an address; IPv4 in IPv6 is unmapped. An invalid address gives an invalid prefix.
func (s Scope) Prefix(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	switch {
	case s == OneNetwork && a.Is6():
		bits = 64
	case s == Subnet && a.Is6():
		bits = 48
	case s == Subnet:
		bits = 24
	}
	prefix, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// Decision is one entry of the list.
type Decision struct {
	ID       string // UUIDv7
	Number   int64  // for programs that want an integer; unique too
	Action   Action
	Target   Target
	Origin   string   // detection:NAME, jail:NAME, admin:NAME, import:NAME
	Reason   string   // one line
	Evidence []string // what led to it, the first and the newest; empty where it comes from the snapshot
	Created  time.Time
	Until    time.Time // zero: for good
	Repeats  int       // how often the target had decisions before, as far as is remembered
	// Spoofable says that only datagrams led to it, whose source anybody can write.
	Spoofable bool

	revision int64
}

// Active tells whether the decision holds at now.
func (d *Decision) Active(now time.Time) bool { return d.Until.IsZero() || now.Before(d.Until) }

// outlasts tells whether d ends later than until, where zero is never.
func (d *Decision) outlasts(until time.Time) bool {
	switch {
	case d.Until.IsZero():
		return !until.IsZero()
	case until.IsZero():
		return false
	}
	return d.Until.After(until)
}

// InputError says which part of a proposal cannot be accepted, and why.
type InputError struct{ Field, Problem string }

// Error is the sentence.
func (e *InputError) Error() string { return e.Field + " " + e.Problem }
