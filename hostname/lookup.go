package hostname

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
)

// maxNames is how many of an address's names are tried. Each costs a query, and a stranger may have written thousands.
const maxNames = 4

// settings is a configuration with the client that asks by it.
type settings struct {
	cfg    Config
	client *net.Resolver
}

func newSettings(cfg Config) *settings {
	s := &settings{cfg: cfg, client: &net.Resolver{PreferGo: true}} // the C library's resolver knows no deadline
	if cfg.Resolver != "" {
		s.client.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, cfg.Resolver)
		}
	}
	return s
}

// lookUp asks for the names of addr and which of them leads back to it. Names that lead elsewhere are forgotten.
func (s *settings) lookUp(ctx context.Context, addr netip.Addr) (name string, state State) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	raw, err := s.client.LookupAddr(ctx, addr.String())
	if err != nil && len(raw) == 0 { // otherwise it is about the other records
		return "", failedState(err, Missing)
	}
	state = Unconfirmed
	for _, candidate := range candidates(raw) {
		switch err := s.confirm(ctx, candidate, addr); {
		case err == nil:
			return candidate, Confirmed
		case !errors.Is(err, errElsewhere):
			state = failedState(err, state)
		}
	}
	return "", state
}

// candidates are the first of the names that may be shown. They are sorted, because name servers change the order and
// an address should not have another name every hour.
func candidates(raw []string) []string {
	var names []string
	for _, r := range raw {
		if name, ok := cleanName(r); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(len(names), maxNames)]
}

var errElsewhere = errors.New("the name leads elsewhere")

// confirm returns nil if name leads to addr.
func (s *settings) confirm(ctx context.Context, name string, addr netip.Addr) error {
	family := "ip6"
	if addr.Is4() {
		family = "ip4"
	}
	// With the dot the name is whole: it is neither taken for an address nor tried below the system's search domains.
	found, err := s.client.LookupNetIP(ctx, family, name+".")
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Unmap().WithZone("") == addr {
			return nil
		}
	}
	return errElsewhere
}

// failedState tells an answer that there is nothing, which is notFound, from no answer.
func failedState(err error, notFound State) State {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return notFound
	}
	return Failed
}
