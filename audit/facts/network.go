package facts

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/doorward/doorward/audit/netfilter"
)

// Network is how the host is connected.
type Network struct {
	// Addresses of all interfaces that are up, but those of loopback; at most 1000.
	Addresses []Address `cel:"addresses"`
	// IPv6 is whether the kernel speaks IPv6 at all on any interface but loopback.
	IPv6 bool `cel:"ipv6"`
	// Global6 is whether the host has an address that the whole Internet can reach by IPv6.
	Global6 bool `cel:"global6"`
	// DefaultRoutes lead to the Internet, as "IPv4 by eth0".
	DefaultRoutes []string `cel:"default_routes"`
	// Sysctl is how the kernel's network is set, by name: net.ipv4.tcp_syncookies.
	Sysctl map[string]Sysctl `cel:"sysctl"`
	// AptProxies are the proxies by which apt fetches packages; "DIRECT" is none.
	AptProxies []Setting `cel:"apt_proxies"`
	// Outbound are the hosts of audit.outbound, and whether they could be reached; missing when none is declared.
	Outbound []Outbound `cel:"outbound"`
	Origin   string     `cel:"origin"`
}

// Address is one of the host's.
type Address struct {
	Address   string `cel:"address"`
	Interface string `cel:"interface"`
	// Scope is global for what the Internet can route, private for networks of one's own, link for one link.
	Scope  string `cel:"scope"`
	Origin string `cel:"origin"`
}

// Sysctl is one setting of the kernel.
type Sysctl struct {
	// Value is what is in force; on a host that is a folder, what is configured.
	Value string `cel:"value"`
	// Configured is what the files of sysctl.d say, so that it is still so after a restart; "" for nothing.
	Configured string `cel:"configured"`
	Origin     string `cel:"origin"` // the file and line of Configured, or the file of Value
}

// Outbound is a host that this one has to reach.
type Outbound struct {
	Target    string `cel:"target"` // host:port
	Reachable bool   `cel:"reachable"`
	Reason    string `cel:"reason"` // why not
	Origin    string `cel:"origin"`
}

const maxAddresses = 1000

func collectNetwork(ctx context.Context, h *Host, t Target) (Network, []Missing) {
	n := Network{Origin: "kernel", Sysctl: map[string]Sysctl{}}
	var m []Missing
	lose := func(err error, fields ...string) {
		for _, f := range fields {
			m = append(m, Missing{f, because(err)})
		}
	}
	var err error
	if n.Sysctl, err = sysctls(h); err != nil {
		lose(err, "sysctl")
	}
	if n.AptProxies, err = aptProxies(h); err != nil {
		lose(err, "apt_proxies")
	}
	if !h.Live() {
		lose(ErrNotLive, "addresses", "ipv6", "global6", "default_routes", "outbound")
		return n, m
	}
	host, err := interfacesOf(h)
	if err != nil {
		lose(err, "addresses", "ipv6", "global6", "default_routes")
	} else {
		n.describe(host)
	}
	if len(t.Outbound) == 0 {
		m = append(m, Missing{"outbound", "audit.outbound does not say which hosts this one has to reach"})
	}
	n.Outbound = reachAll(ctx, t.Outbound)
	return n, m
}

func (n *Network) describe(host netfilter.Host) {
	for _, i := range host.Interfaces {
		if i.Loopback {
			continue
		}
		for _, a := range i.Addresses {
			n.IPv6 = n.IPv6 || a.Is6()
			n.Global6 = n.Global6 || a.Is6() && scope(a) == "global"
			if len(n.Addresses) < maxAddresses {
				n.Addresses = append(n.Addresses, Address{a.String(), i.Name, scope(a), "interface " + i.Name})
			}
		}
		for _, r := range i.Routes {
			if r.Bits() != 0 {
				continue
			}
			version := "IPv4"
			if r.Addr().Is6() {
				version = "IPv6"
			}
			if text := version + " by " + i.Name; !slices.Contains(n.DefaultRoutes, text) {
				n.DefaultRoutes = append(n.DefaultRoutes, text)
			}
		}
	}
}

func scope(a netip.Addr) string {
	switch {
	case a.IsLinkLocalUnicast():
		return "link"
	case a.IsPrivate(), netip.MustParsePrefix("100.64.0.0/10").Contains(a):
		return "private"
	}
	return "global"
}

// interfacesOf lists the interfaces that are up, with their routes of the main table.
func interfacesOf(h *Host) (netfilter.Host, error) {
	var host netfilter.Host
	all, err := net.Interfaces()
	if err != nil {
		return host, err
	}
	routes, err := routesOf(h)
	if err != nil {
		return host, err
	}
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		one := netfilter.Interface{Name: i.Name, Loopback: i.Flags&net.FlagLoopback != 0, Routes: routes[i.Name]}
		addrs, err := i.Addrs()
		if err != nil {
			return host, err
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				one.Addresses = append(one.Addresses, p.Addr().Unmap())
			}
		}
		host.Interfaces = append(host.Interfaces, one)
	}
	return host, nil
}

// routesOf reads the routes of both versions, by interface.
func routesOf(h *Host) (map[string][]netip.Prefix, error) {
	routes := map[string][]netip.Prefix{}
	for _, file := range []string{"/proc/net/route", "/proc/net/ipv6_route"} {
		text, err := h.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) { // the kernel has no IPv6
			continue
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			read := route4
			if file == "/proc/net/ipv6_route" {
				read = route6
			}
			if name, p, ok := read(strings.Fields(line)); ok {
				routes[name] = append(routes[name], p)
			}
		}
	}
	return routes, nil
}

const (
	routeUp     = 0x1
	routeReject = 0x200
)

// route4 reads: Iface Destination Gateway Flags RefCnt Use Metric Mask …
func route4(w []string) (string, netip.Prefix, bool) {
	if len(w) < 8 {
		return "", netip.Prefix{}, false
	}
	to, ok1 := procAddr(w[1] + ":0")
	mask, ok2 := procAddr(w[7] + ":0")
	flags, err := strconv.ParseUint(w[3], 16, 32)
	if !ok1 || !ok2 || err != nil || flags&routeUp == 0 || flags&routeReject != 0 {
		return "", netip.Prefix{}, false
	}
	m := mask.Addr().As4()
	ones, _ := net.IPMask(m[:]).Size()
	return w[0], netip.PrefixFrom(to.Addr(), ones), true
}

// route6 reads: destination length source length next-hop metric references use flags interface
func route6(w []string) (string, netip.Prefix, bool) {
	if len(w) < 10 {
		return "", netip.Prefix{}, false
	}
	b, err1 := hex.DecodeString(w[0])
	length, err2 := strconv.ParseUint(w[1], 16, 8)
	flags, err3 := strconv.ParseUint(w[8], 16, 32)
	if err1 != nil || err2 != nil || err3 != nil || len(b) != 16 || length > 128 || flags&routeUp == 0 || flags&routeReject != 0 {
		return "", netip.Prefix{}, false
	}
	a := netip.AddrFrom16([16]byte(b))
	if a.IsMulticast() {
		return "", netip.Prefix{}, false
	}
	return w[9], netip.PrefixFrom(a, int(length)), true
}

const (
	maxOutbound  = 64
	outboundWait = 2 * time.Second
)

// reachAll connects to every target, side by side.
func reachAll(ctx context.Context, targets []string) []Outbound {
	all := make([]Outbound, min(len(targets), maxOutbound))
	var wait sync.WaitGroup
	for i := range all {
		wait.Go(func() {
			all[i] = Outbound{Target: targets[i], Origin: "a connection from this host"}
			d := net.Dialer{Timeout: outboundWait}
			c, err := d.DialContext(ctx, "tcp", targets[i])
			if err != nil {
				all[i].Reason = fmt.Sprint(err)
				return
			}
			all[i].Reachable = true
			_ = c.Close() // it was only opened to see that it can be
		})
	}
	wait.Wait()
	return all
}
