package facts

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/doorward/doorward/audit/netfilter"
)

// Firewall is what the kernel's rules (nftables, iptables, ip6tables) let through, all of them together. Answers are
// "open" (an arbitrary address of the Internet gets through), "some" (only certain networks do), "closed", or "unknown" where
// a rule was not understood. Limits of rate count as letting through, because a single new connection passes them.
type Firewall struct {
	// Rules is how many rules there are in the kernel.
	Rules int `cel:"rules"`
	// Managers are what loads rules when the host starts, with the file that says so: ufw, nftables, netfilter-persistent,
	// firewalld, shorewall, doorward-firewall. Empty: after a restart there are none.
	Managers []RuleLoader `cel:"managers"`
	// Knockers are programs that open ports to whoever knocks, started with the host: knockd, fwknop-server.
	Knockers []RuleLoader `cel:"knockers"`
	// Ufw is how ufw is set, also where it is off.
	Ufw Ufw `cel:"ufw"`
	// Input chains that packets to the host meet.
	Input []string `cel:"input"`
	// Default4 and Default6 answer for a port that no rule names: "closed" is a firewall that refuses what is not allowed.
	// A family of which the host has no address is judged as if it had one.
	Default4 string `cel:"default4"`
	Default6 string `cel:"default6"`
	// Ports are the ports that something listens on, that audit.open_ports declares, or that rules lead elsewhere.
	Ports []Port `cel:"ports"`
	// ICMP is which messages reach the host.
	ICMP ICMP `cel:"icmp"`
	// Egress is where the host may connect to.
	Egress Egress `cel:"egress"`
	// Understood is missing when an answer is "unknown", with the rules that were not understood: a condition that finds
	// "unknown" asks for it, so that its control is unknown too.
	Understood bool `cel:"understood"`
	// Administrators is whether audit.admin_networks declares networks; missing when not.
	Administrators bool   `cel:"administrators"`
	Origin         string `cel:"origin"`
}

// RuleLoader loads rules when the host starts.
type RuleLoader struct {
	Name   string `cel:"name"`
	Origin string `cel:"origin"`
}

// Port is one port and who reaches it.
type Port struct {
	Protocol string `cel:"protocol"`
	Number   int    `cel:"number"`
	Service  string `cel:"service"` // as listeners have it; "" when not known
	Process  string `cel:"process"`
	Outer    bool   `cel:"outer"`  // something listens not only on loopback, or rules lead the port elsewhere
	Needed   bool   `cel:"needed"` // audit.open_ports names it
	// Moved is that the service is not on the port where it is looked for; a scanner finds it all the same.
	Moved bool `cel:"moved"`
	// Redirected is that a rule leads the port to another port or host.
	Redirected bool   `cel:"redirected"`
	V4         Way    `cel:"v4"`
	V6         Way    `cel:"v6"`
	Origin     string `cel:"origin"`
}

// Way is how a port can be reached by one version of IP.
type Way struct {
	// Outside is whether a stranger reaches a service here: the rules, and whether anything listens.
	Outside string `cel:"outside"`
	// Rules is what the rules alone say, also when nothing listens or the host has no address of this version.
	Rules string `cel:"rules"`
	// Admin is whether audit.admin_networks get through the rules; "closed" when none is declared for this version.
	Admin    string `cel:"admin"`
	Loopback string `cel:"loopback"` // whether the host itself does
	// Sources are the networks that the rules let through, at most 64; More says that there are others.
	Sources []string `cel:"sources"`
	More    bool     `cel:"more"`
	// OnlyAdmin is that nobody outside audit.admin_networks reaches a service here. It is never so where Outside is unknown.
	OnlyAdmin bool   `cel:"only_admin"`
	Limited   bool   `cel:"limited"` // the rate or number of new connections is limited
	Rule      string `cel:"rule"`    // the first that lets through or refuses
}

// ICMP is which messages reach the host from strangers; Neighbours from the same link.
type ICMP struct {
	Echo4      string `cel:"echo4"`      // echo request
	Frag4      string `cel:"frag4"`      // destination unreachable, fragmentation needed (RFC 1191)
	Echo6      string `cel:"echo6"`      //
	TooBig6    string `cel:"too_big6"`   // packet too big (RFC 8201)
	Neighbour6 string `cel:"neighbour6"` // neighbour solicitation (RFC 4861)
	Origin     string `cel:"origin"`
}

// Egress is where the host may open connections to.
type Egress struct {
	// Any4 and Any6 answer for a TCP port that no rule names: "closed" is that only what is allowed gets out.
	Any4   string   `cel:"any4"`
	Any6   string   `cel:"any6"`
	Ports  []Outlet `cel:"ports"`
	Origin string   `cel:"origin"`
}

// Outlet is one port of others.
type Outlet struct {
	Protocol string `cel:"protocol"`
	Number   int    `cel:"number"`
	V4       string `cel:"v4"`
	V6       string `cel:"v6"`
	// Destinations are the networks that may be reached where it is not open, at most 64.
	Destinations []string `cel:"destinations"`
	Origin       string   `cel:"origin"`
}

func collectFirewall(ctx context.Context, h *Host, t Target) (Firewall, []Missing) {
	f := Firewall{Origin: "the kernel's rules", Administrators: len(t.AdminNetworks) > 0}
	f.Managers, f.Ufw = managersOf(h)
	f.Knockers = started(h, "knockd", "fwknop-server")
	if !h.Live() {
		var m []Missing
		for _, field := range []string{"rules", "input", "default4", "default6", "ports", "icmp", "egress", "understood"} {
			m = append(m, Missing{field, ErrNotLive.Error()})
		}
		return f, m
	}
	rules, origin := readRules(ctx, h)
	f.Origin, f.Rules = origin, rules.Rules()
	f.Input = rules.Hooked("input")
	host, err := interfacesOf(h)
	if err != nil {
		return f, missing("%s", because(err))
	}
	listeners, _, err := listening(ctx, h)
	if err != nil {
		return f, missing("%s", because(err))
	}
	g := judging{ctx: ctx, rules: rules, host: host, assumed: assume(host), target: t, origin: origin}
	g.same = reflect.DeepEqual(g.host, g.assumed)
	f.Default4 = g.stranger(netfilter.Packet{Proto: "tcp", Port: g.unnamed()})
	f.Default6 = g.stranger(netfilter.Packet{Proto: "tcp", Port: g.unnamed(), V6: true})
	f.Ports = g.ports(listeners)
	f.ICMP = g.icmp()
	f.Egress = g.egress()
	f.Understood = len(g.why) == 0
	var m []Missing
	if !f.Understood {
		m = append(m, Missing{"understood", strings.Join(g.why, "; ")})
	}
	if !f.Administrators {
		m = append(m, Missing{"administrators", "audit.admin_networks does not say where administrators work"})
	}
	if ctx.Err() != nil {
		return f, missing("the rules could not be judged in time")
	}
	return f, m
}

// assume gives a host without any address of a version one, with a default route, so that its rules can be judged.
func assume(h netfilter.Host) netfilter.Host {
	for _, v6 := range []bool{false, true} {
		found, outer := false, false
		for _, i := range h.Interfaces {
			outer = outer || !i.Loopback
			for _, a := range i.Addresses {
				found = found || !i.Loopback && a.Is6() == v6 && !a.IsLinkLocalUnicast()
			}
		}
		if found {
			continue
		}
		a, route := netip.MustParseAddr("192.0.2.1"), netip.MustParsePrefix("0.0.0.0/0")
		if v6 {
			a, route = netip.MustParseAddr("2001:db8::1"), netip.MustParsePrefix("::/0")
		}
		if !outer {
			h.Interfaces = append(slices.Clone(h.Interfaces), netfilter.Interface{Name: "eth0"})
		}
		h.Interfaces = slices.Clone(h.Interfaces)
		for n, i := range h.Interfaces {
			if !i.Loopback {
				h.Interfaces[n].Addresses = append(slices.Clone(i.Addresses), a)
				h.Interfaces[n].Routes = append(slices.Clone(i.Routes), route)
			}
		}
	}
	return h
}

// Ufw is the configuration of ufw.
type Ufw struct {
	Installed bool    `cel:"installed"`
	Enabled   bool    `cel:"enabled"` // ENABLED=yes in ufw.conf
	IPv6      Setting `cel:"ipv6"`    // yes: IPv6 has the same rules
	Input     Setting `cel:"input"`   // DROP, REJECT or ACCEPT
	Output    Setting `cel:"output"`  //
	Origin    string  `cel:"origin"`
}

// managersOf reads what loads rules at the start, from the host's files.
func managersOf(h *Host) ([]RuleLoader, Ufw) {
	u := Ufw{Origin: "/etc/ufw/ufw.conf", Installed: h.Look("/usr/sbin/ufw") != "" || h.Exists("/etc/ufw/ufw.conf")}
	u.Enabled = strings.EqualFold(shellSetting(h, "/etc/ufw/ufw.conf", "ENABLED").Value, "yes")
	u.IPv6 = shellSetting(h, "/etc/default/ufw", "IPV6")
	u.Input = shellSetting(h, "/etc/default/ufw", "DEFAULT_INPUT_POLICY")
	u.Output = shellSetting(h, "/etc/default/ufw", "DEFAULT_OUTPUT_POLICY")
	names := []string{"nftables", "netfilter-persistent", "firewalld", "shorewall", "doorward-firewall"}
	if u.Enabled {
		names = append(names, "ufw")
	}
	return started(h, names...), u
}

// started lists those of the units that systemd starts with the host, and does not mask.
func started(h *Host, names ...string) []RuleLoader {
	var all []RuleLoader
	for _, name := range names {
		if link := wanted(h, name); link != "" && !masked(h, name) {
			all = append(all, RuleLoader{name, link})
		}
	}
	return all
}

// wanted finds the link by which a unit is started, also where what it leads to is not under the root.
func wanted(h *Host, unit string) string {
	dirs, err := h.Glob("/etc/systemd/system/*.wants")
	if err != nil {
		return ""
	}
	for _, dir := range dirs {
		entries, err := h.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.Name() == unit+".service" {
				return path.Join(dir, e.Name())
			}
		}
	}
	return ""
}

// masked says whether a unit is a link to /dev/null, which under another root leads nowhere.
func masked(h *Host, unit string) bool {
	entries, err := h.ReadDir("/etc/systemd/system")
	if err != nil {
		return false
	}
	for _, e := range entries {
		if e.Name() == unit+".service" && e.Type() == fs.ModeSymlink {
			info, err := h.Stat("/etc/systemd/system/" + e.Name())
			return err != nil || !info.Mode().IsRegular()
		}
	}
	return false
}

// shellSetting reads NAME=value from a file of shell variables; the last one counts.
func shellSetting(h *Host, file, name string) Setting {
	s := Setting{Origin: "default"}
	text, err := h.ReadFile(file)
	if err != nil {
		return s
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && key == name {
			s = Setting{strings.Trim(strings.TrimSpace(value), `"'`), fmt.Sprintf("%s:%d", file, n)}
		}
	}
	return s
}
