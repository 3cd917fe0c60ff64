package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/doorward/doorward/gateway"
)

// trust looks at who is believed about the client's address, and who may ask what others may do.
func trust(cfg gateway.Config) []Finding {
	var findings []Finding
	for _, list := range []struct {
		key      string
		prefixes []netip.Prefix
	}{{"trusted_proxies", cfg.TrustedProxies}, {"forward_auth.trusted", cfg.ForwardAuth.Trusted}} {
		for _, p := range list.prefixes {
			findings = append(findings, believed(cfg, list.key, p))
		}
	}
	if len(cfg.Listen.Plain) > 0 {
		f := Finding{Check: "client-address", Subject: "listen.plain", Status: OK, Detail: "the proxies that may tell the client's address are named"}
		if len(cfg.TrustedProxies) == 0 {
			f.Status, f.Detail = Problem, "trusted_proxies is empty, so that everybody who comes through the proxy seems to come from it: networks, limits and waits then hit all of them"
			f.Advice = "name the proxy's address in trusted_proxies"
		}
		findings = append(findings, f)
	}
	for _, p := range cfg.ForwardAuth.Trusted {
		if !slices.ContainsFunc(cfg.TrustedProxies, func(t netip.Prefix) bool { return t.Bits() <= p.Bits() && t.Contains(p.Addr()) }) {
			findings = append(findings, Finding{Check: "client-address", Subject: "forward_auth.trusted " + p.String(), Status: Problem,
				Detail: "is not in trusted_proxies, so that everybody who signs in through that proxy seems to come from it",
				Advice: "name it in trusted_proxies too"})
		}
	}
	return findings
}

// believed judges one network whose members may claim any address.
func believed(cfg gateway.Config, key string, p netip.Prefix) Finding {
	f := Finding{Check: "trusted-networks", Subject: key + " " + p.String(), Status: OK, Detail: "is no wider than a few machines"}
	if hosts := p.Addr().BitLen() - p.Bits(); hosts > 8 && !p.Addr().IsLoopback() {
		f.Status, f.Detail = Problem, fmt.Sprintf("holds 2^%d addresses; each of them can claim to be any client", hosts)
		f.Advice = "name the proxies' own addresses"
	}
	if clients := clientNetworks(cfg, p); len(clients) > 0 {
		f.Status, f.Detail = Problem, "overlaps "+strings.Join(clients, ", ")+": whoever sits there can claim to be any client"
		f.Advice = "name the proxies' own addresses, and none of people"
	}
	return f
}

// clientNetworks names the zones and access rules whose networks overlap p, other than p itself as a single address.
func clientNetworks(cfg gateway.Config, p netip.Prefix) []string {
	overlaps := func(networks []netip.Prefix) bool {
		return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Overlaps(p) && !p.IsSingleIP() })
	}
	var names []string
	for _, z := range cfg.Zones {
		if overlaps(z.Networks) {
			names = append(names, "zone "+z.Name)
		}
	}
	for _, s := range cfg.Sites {
		for i, rule := range s.Access {
			if overlaps(rule.Networks) {
				names = append(names, fmt.Sprintf("access[%d] of %s", i, s.Hosts[0]))
			}
		}
	}
	return names
}
