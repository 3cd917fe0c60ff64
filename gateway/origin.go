package gateway

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// What an access rule may ask for as its factor.
const (
	factorAny     = "any"
	factorPasskey = "passkey"
)

// place is where a request comes from, as far as rules ask for it.
type place struct {
	client  netip.Addr
	country string // ISO 3166-1 alpha-2; empty while it is not known
	private bool   // the address is no country's, so that rules about countries let it pass

	certified bool // the connection has a valid client certificate
}

// zoneTable is the networks that have a name.
type zoneTable map[string][]netip.Prefix

func newZoneTable(zones []ZoneConfig) zoneTable {
	t := make(zoneTable, len(zones))
	for _, z := range zones {
		t[z.Name] = z.Networks
	}
	return t
}

// networks returns the networks of a rule, its own and those of its zones. Empty means that the rule asks for
// none, so that a zone which is not there, or is empty, must be an error: it would open what it should close.
func (t zoneTable) networks(rule AccessRule) ([]netip.Prefix, error) {
	all := slices.Clone(rule.Networks)
	for _, name := range rule.Zones {
		networks := t[name]
		if len(networks) == 0 {
			return nil, fmt.Errorf("zone %q is not among zones, or has no networks", name)
		}
		all = append(all, networks...)
	}
	return all, nil
}

// countryRule says which countries may come (M-42).
type countryRule struct {
	allow, deny []string // empty allow: all but those in deny
	unknown     bool     // whoever's country is not known may come
}

// newCountryRule compiles a rule; nil asks for nothing.
func newCountryRule(cfg CountryConfig) *countryRule {
	if !cfg.Set() {
		return nil
	}
	return &countryRule{allow: cfg.Allow, deny: cfg.Deny,
		unknown: cfg.Unknown == unknownAllow || cfg.Unknown == "" && len(cfg.Allow) == 0}
}

func (c *countryRule) admits(from place) bool {
	switch {
	case c == nil, from.private:
		return true
	case from.country == "":
		return c.unknown
	case slices.Contains(c.deny, from.country):
		return false
	default:
		return len(c.allow) == 0 || slices.Contains(c.allow, from.country)
	}
}

// asksCountry tells whether any rule of the site does, so that others cost no look-up.
func (sc SiteConfig) asksCountry() bool {
	return sc.Countries.Set() || slices.ContainsFunc(sc.Access, func(rule AccessRule) bool { return rule.Countries.Set() })
}

// judgeOrigin refuses who comes from a country that the whole site is closed to, before anything is looked up for
// them: our own pages are closed to them too.
func (g *Gateway) judgeOrigin(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		x.from = place{client: x.client}
		if x.site.asksCountry {
			x.from.country, x.from.private = g.country(x.client)
			if !x.site.countries.admits(x.from) {
				return refuse(http.StatusForbidden, "country", "")
			}
		}
		if x.ask == nil { // a proxy that asks has a certificate of its own at most
			if x.certificate = x.site.certificateOf(r, x); x.certificate != nil {
				x.from.certified = x.certificate.ok
			}
		}
		return next(w, r, x)
	}
}

// judgeRoleAddress holds a signed-in person to the networks of their roles (D-03, F-44, M-19), on our own pages
// too, so that a stolen session changes nothing from elsewhere. Ending the session, and what the refusal's own page
// looks like, stay possible.
func (g *Gateway) judgeRoleAddress(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) error {
		if x.session == nil || g.roleAllowed == nil || g.roleAllowed(x.session, x.client) ||
			x.path.decoded == signOutPath || strings.HasPrefix(x.path.decoded, ownPrefix+"static/") {
			return next(w, r, x)
		}
		return refuse(http.StatusForbidden, "role-network", "")
	}
}
