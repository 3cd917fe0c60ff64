package facts

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	outsideTime = 20 * time.Second
	portTime    = 1500 * time.Millisecond // to answer at one port
	portsAtOnce = 16
	maxOutside  = 100
	maxAddress  = 4 // addresses of the host that are probed, of each family
)

// Reach is what another machine reaches of the host.
type Reach struct {
	Ports []OutsidePort `cel:"ports"` // TCP, every port that was tried at every address
	// V4 and V6 say that the host has addresses of the family. Addresses are those that were tried.
	V4        bool     `cel:"v4"`
	V6        bool     `cel:"v6"`
	Addresses []string `cel:"addresses"`
	// Complete is true. It is missing, with the reason, when an address could not be tried, as IPv6 from a machine without.
	Complete bool   `cel:"complete"`
	Origin   string `cel:"origin"`
}

// OutsidePort is one TCP port at one address.
type OutsidePort struct {
	Address string `cel:"address"`
	Family  string `cel:"family"` // v4 or v6
	Number  int    `cel:"number"`
	State   string `cel:"state"` // open, closed (refused), filtered (no answer)
	// Expected says that the port is declared as one that the outside needs (audit.open_ports).
	Expected bool   `cel:"expected"`
	Origin   string `cel:"origin"`
}

// usualPorts are those at which something is found that strangers must not reach: remote access, mail, file sharing,
// databases, caches, containers, telephony, consoles and exporters.
func usualPorts() []int {
	return []int{21, 22, 23, 25, 53, 80, 110, 111, 139, 143, 389, 443, 445, 465, 587, 631, 636, 873, 993, 995, 1433, 2049, 2375, 2376,
		3000, 3306, 3389, 5000, 5038, 5060, 5061, 5432, 5672, 5900, 6379, 8000, 8080, 8088, 8089, 8443, 9000, 9090, 9100, 9200, 10000, 11211, 15672, 27017}
}

// collectOutside is for the host itself, which cannot see what others reach.
func collectOutside(context.Context, *Host, Target) (Reach, []Missing) {
	return Reach{}, missing("only another machine can see it: doorward audit --from-outside HOST")
}

// NotFromOutside is the reason of facts that only the host itself can tell.
const NotFromOutside = "it cannot be read from outside"

// Outside reads what a machine that is not the host reaches of it: TCP ports of a bounded list on IPv4 and IPv6, and, at
// the declared URLs or https://HOST/, TLS, headers and pages. host is a name or an address; with an address the URLs' names are
// not looked up. Everything else is missing, so that the same controls judge it.
func Outside(ctx context.Context, host string, t Target) Facts {
	ctx, cancel := context.WithTimeout(ctx, outsideTime)
	defer cancel()
	t.ConnectTo = ""
	if address, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		host, t.ConnectTo = address.String(), address.String()
	}
	if len(t.URLs) == 0 {
		t.URLs = []string{"https://" + net.JoinHostPort(host, "443") + "/"}
	}
	f := Facts{Time: t.Now, Values: map[string]any{}}
	add := func(name string, value any, gone []Missing) {
		whole := false
		for _, m := range gone {
			whole = whole || m.Fact == ""
			f.Missing = append(f.Missing, Missing{strings.TrimSuffix(name+"."+m.Fact, "."), m.Reason})
		}
		if !whole {
			f.Values[name] = value
		}
	}
	p, err := newProber(t)
	if err != nil {
		for name := range Types() {
			add(name, nil, missing("%s", err))
		}
		return f
	}
	p.outside = true
	probes := []func() (string, any, []Missing){
		func() (string, any, []Missing) { value, gone := p.tls(ctx, t); return "tls", value, gone },
		func() (string, any, []Missing) { value, gone := p.http(ctx, t); return "http", value, gone },
		func() (string, any, []Missing) { value, gone := p.ports(ctx, host, t); return "outside", value, gone },
	}
	type result struct {
		name  string
		value any
		gone  []Missing
	}
	for _, r := range side(len(probes), probes, func(probe func() (string, any, []Missing)) result {
		name, value, gone := probe()
		return result{name, value, gone}
	}) {
		add(r.name, r.value, r.gone)
	}
	for _, name := range slices.Sorted(maps.Keys(Types())) {
		if _, ok := f.Values[name]; !ok && !slices.ContainsFunc(f.Missing, func(m Missing) bool { return m.Fact == name }) {
			add(name, nil, missing(NotFromOutside))
		}
	}
	slices.SortFunc(f.Missing, func(a, b Missing) int { return strings.Compare(a.Fact, b.Fact) })
	return f
}

// ports tries the usual ports and the declared ones at each address of the host.
func (p *prober) ports(ctx context.Context, host string, t Target) (Reach, []Missing) {
	o := Reach{Complete: true, Origin: "connections to " + host}
	expected, all := map[int]bool{}, usualPorts()
	declared := t.OpenPorts
	if len(declared) == 0 {
		declared = []string{"tcp/80", "tcp/443"}
	}
	for _, text := range declared {
		if number, ok := strings.CutPrefix(text, "tcp/"); ok {
			if n, err := strconv.Atoi(number); err == nil && n > 0 && n < 1<<16 {
				expected[n], all = true, append(all, n)
			}
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > maxOutside {
		return o, missing("more than %d ports would be tried", maxOutside)
	}
	lookup, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	addresses, err := p.resolver.LookupNetIP(lookup, "ip", host)
	if err != nil {
		return o, missing("look up %s: %s", host, because(err))
	}
	var tries []OutsidePort
	count := map[string]int{}
	for _, a := range addresses {
		a = a.Unmap()
		family := "v6"
		if a.Is4() {
			family = "v4"
		}
		if count[family]++; count[family] > maxAddress {
			continue
		}
		o.Addresses = append(o.Addresses, a.String())
		for _, n := range all {
			tries = append(tries, OutsidePort{Address: a.String(), Family: family, Number: n, Expected: expected[n], Origin: "a connection to " + netip.AddrPortFrom(a, uint16(n)).String()})
		}
	}
	o.V4, o.V6 = count["v4"] > 0, count["v6"] > 0
	var gone []Missing
	o.Ports, gone = sift(side(portsAtOnce, tries, func(try OutsidePort) looked[OutsidePort] { return try.look(ctx) }), namesOfPorts(tries))
	if !slices.ContainsFunc(o.Ports, func(p OutsidePort) bool { return p.State != "filtered" }) && len(gone) == 0 {
		return o, missing("nothing of %s answers, neither with a yes nor with a no: is it up?", host)
	}
	return o, gone
}

// look connects to the port.
func (try OutsidePort) look(ctx context.Context) looked[OutsidePort] {
	d := net.Dialer{Timeout: portTime}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(try.Address, strconv.Itoa(try.Number)))
	var timeout net.Error
	switch {
	case err == nil:
		conn.Close()
		try.State = "open"
	case ctx.Err() != nil:
		return looked[OutsidePort]{try, ctx.Err()}
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		try.State = "closed"
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EACCES):
		try.State = "filtered"
	default: // the network is unreachable from here: nothing is known
		return looked[OutsidePort]{try, err}
	}
	return looked[OutsidePort]{try, nil}
}

func namesOfPorts(all []OutsidePort) []string {
	var names []string
	for _, p := range all {
		names = append(names, p.Origin)
	}
	return names
}
