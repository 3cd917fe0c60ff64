package facts

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Listeners is who waits for connections on the host.
type Listeners struct {
	// Sockets are TCP sockets that listen and UDP sockets that take packets from everybody. Sockets that share an address,
	// as the workers of one server do, are one entry.
	Sockets []Listener `cel:"sockets"`
	// Declared is whether the administrator has declared in audit.listeners what may listen; missing when he has not.
	Declared bool `cel:"declared"`
	// Owned is whether the process behind every socket was found; missing when not, because then some of exe, user, package
	// and service are empty without meaning anything.
	Owned  bool   `cel:"owned"`
	Origin string `cel:"origin"`
}

// Listener is one address that something listens on.
type Listener struct {
	Protocol string `cel:"protocol"` // tcp or udp
	Address  string `cel:"address"`  // 0.0.0.0 and :: are all addresses of the host
	Port     int    `cel:"port"`
	Outer    bool   `cel:"outer"` // not only on loopback
	IPv4     bool   `cel:"ipv4"`  // can be reached by IPv4
	IPv6     bool   `cel:"ipv6"`
	PID      int    `cel:"pid"`     // 0: the kernel's own, or not found
	Process  string `cel:"process"` // its name
	Exe      string `cel:"exe"`     // its program
	UID      int64  `cel:"uid"`     // who opened the socket
	User     string `cel:"user"`    // its name; "" when the uid has none
	Package  string `cel:"package"` // Debian's package that the program is of; "" for none
	// Service is the protocol that is spoken: ssh, http, https, mysql, postgresql, smtp, … "" when it is not known.
	Service  string `cel:"service"`
	Declared bool   `cel:"declared"` // in audit.listeners or audit.open_ports
	Origin   string `cel:"origin"`
}

func collectListeners(ctx context.Context, h *Host, t Target) (Listeners, []Missing) {
	l := Listeners{Origin: "sockets of the kernel", Declared: len(t.Listeners) > 0}
	if !h.Live() {
		return l, missing("%s", ErrNotLive)
	}
	all, owned, err := listening(ctx, h)
	if err != nil {
		return l, missing("%s", because(err))
	}
	declared := slices.Concat(t.Listeners, t.openPorts())
	for i := range all {
		all[i].Declared = slices.Contains(declared, all[i].name())
	}
	l.Sockets, l.Owned = all, owned
	var m []Missing
	if !l.Declared {
		m = append(m, Missing{"declared", "audit.listeners does not say what may listen on this host"})
	}
	if !owned {
		m = append(m, Missing{"owned", "not every process may be looked into: run the audit as root"})
	}
	return l, m
}

// name is how the configuration names a port.
func (l Listener) name() string { return l.Protocol + "/" + strconv.Itoa(l.Port) }

// openPorts is OpenPorts, or what it is without a word of the administrator.
func (c Config) openPorts() []string {
	if len(c.OpenPorts) == 0 {
		return []string{"tcp/80", "tcp/443"}
	}
	return c.OpenPorts
}

// listening lists who listens. owned says that a process was found for all, or that there is none.
func listening(ctx context.Context, h *Host) (all []Listener, owned bool, err error) {
	sockets, err := readSockets(h)
	if err != nil {
		return nil, false, err
	}
	wanted := map[uint64]bool{}
	for _, s := range sockets {
		wanted[s.inode] = true
	}
	processes, sealed, err := readProcesses(ctx, wanted)
	if err != nil {
		return nil, false, err
	}
	holders := map[uint64]process{}
	for _, p := range processes { // by pid, so that the parent of workers comes first
		for _, inode := range p.inodes {
			if _, ok := holders[inode]; !ok {
				holders[inode] = p
			}
		}
	}
	owned = true
	users, seen := userNames(h), map[string]bool{}
	for _, s := range sockets {
		p, found := holders[s.inode]
		owned = owned && (found || !sealed)
		l := Listener{Protocol: s.protocol, Address: s.addr.Addr().String(), Port: int(s.addr.Port()), Outer: s.outer(), IPv4: s.v4(), IPv6: s.v6(),
			PID: p.pid, Process: p.name, Exe: p.exe, UID: int64(s.uid), User: users[s.uid], Origin: "kernel"}
		if found {
			l.Origin = fmt.Sprintf("/proc/%d/fd", p.pid)
		}
		if key := fmt.Sprint(l.name(), l.Address, l.Exe, l.UID); !seen[key] {
			seen[key] = true
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b Listener) int {
		return cmp.Or(strings.Compare(a.Protocol, b.Protocol), a.Port-b.Port, strings.Compare(a.Address, b.Address))
	})
	if err := nameListeners(ctx, h, all); err != nil {
		return nil, false, err
	}
	return all, owned, nil
}

// nameListeners finds the packages of the programs, and what they speak.
func nameListeners(ctx context.Context, h *Host, all []Listener) error {
	var programs []string
	for _, l := range all {
		if l.Exe != "" && !slices.Contains(programs, l.Exe) && len(programs) < 500 {
			programs = append(programs, l.Exe)
		}
	}
	owners, _, err := packagesOf(ctx, h, programs)
	if err != nil {
		return fmt.Errorf("read dpkg's lists: %w", err)
	}
	for i := range all {
		all[i].Package = owners[all[i].Exe]
		all[i].Service = serviceOf(path.Base(all[i].Exe))
	}
	speak(ctx, all)
	return nil
}

// dialable is an address of the host itself under which a listener can be asked.
func (l Listener) dialable() string {
	a, err := netip.ParseAddr(l.Address)
	if err != nil {
		return ""
	}
	switch {
	case a == netip.IPv4Unspecified():
		a = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case a == netip.IPv6Unspecified():
		a = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(a, uint16(l.Port)).String()
}
