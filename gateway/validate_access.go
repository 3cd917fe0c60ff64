package gateway

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

func (a AccessRule) validate(path string, zones []string, report reporter) {
	switch {
	case a.Path == "":
		report(path+".path", "is missing; give the prefix that the rule is for, such as /admin")
	case !strings.HasPrefix(a.Path, "/"):
		report(path+".path", "%q does not begin with /; write /%s", a.Path, a.Path)
	case strings.ContainsAny(a.Path, "?#%\\;*") || strings.Contains(a.Path, "//") || strings.ContainsFunc(a.Path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		report(path+".path", "%q is not a plain path; a rule is a prefix of whole segments as the browser shows them, without query, wildcard or %%-encoding", a.Path)
	case slices.Contains(strings.Split(a.Path, "/"), "..") || slices.Contains(strings.Split(a.Path, "/"), "."):
		report(path+".path", "%q has a dot segment, which no request that is let through has", a.Path)
	}
	switch {
	case a.Public && a.Deny:
		report(path, "public and deny contradict each other; keep one")
	case a.Public && len(a.Roles) > 0:
		report(path, "public lets everybody pass, so roles has no effect; remove one of them")
	case a.Public && a.Factor != "":
		report(path, "public lets everybody pass, so factor has no effect; remove one of them")
	case a.Deny && (len(a.Roles) > 0 || len(a.Networks) > 0):
		report(path, "deny refuses everybody, so roles and networks have no effect; to let only some pass, remove deny")
	case a.Deny && (len(a.Zones) > 0 || a.Countries.Set() || a.Factor != "" || a.Certificate):
		report(path, "deny refuses everybody, so zones, countries, factor and certificate have no effect; to let only some pass, remove deny")
	}
	if a.Factor != "" {
		oneOf(report, path+".factor", a.Factor, factorAny, factorPasskey)
	}
	a.Countries.validate(path+".countries", report)
	for i, zone := range a.Zones {
		item := fmt.Sprintf("%s.zones[%d]", path, i)
		switch {
		case !slices.Contains(zones, zone) && len(zones) == 0:
			report(item, "%q is not a zone; there are none yet: add one under zones, with name and networks", zone)
		case !slices.Contains(zones, zone):
			report(item, "%q is not a zone%s; known: %s", zone, didYouMean(zone, zones), strings.Join(zones, ", "))
		case slices.Contains(a.Zones[:i], zone):
			report(item, "%s stands here twice; remove one", zone)
		}
	}
	for i, role := range a.Roles {
		item := fmt.Sprintf("%s.roles[%d]", path, i)
		// Which roles exist is in another part of the file: package config compares the two.
		if slices.Contains(a.Roles[:i], role) {
			report(item, "%s stands here twice; remove one", role)
		}
	}
	for i, network := range a.Networks {
		if network.IsValid() && network.Bits() == 0 && network.Addr() == (netip.Addr{}) {
			report(fmt.Sprintf("%s.networks[%d]", path, i), "is not a network")
		}
	}
}

// validateOrder finds rules that are never reached, because the first match wins: a deny below a wider
// public rule looks like protection and is none.
func validateOrder(path string, rules []AccessRule, report reporter) {
	for i, rule := range rules {
		for j, earlier := range rules[:i] {
			if rule.Path != "" && earlier.Path != "" && underPrefix(rule.Path, earlier.Path, !earlier.Public) {
				report(fmt.Sprintf("%s.access[%d]", path, i), "%s is never reached, because access[%d] (%s) comes first and the first match decides; move this rule above it",
					rule.Path, j, earlier.Path)
				break
			}
		}
	}
}

// underPrefix tells whether every path that begins with path's segments begins with prefix's too. Rules that
// restrict match whatever the case, public ones only as written.
func underPrefix(path, prefix string, fold bool) bool {
	path, prefix = strings.TrimSuffix(path, "/"), strings.TrimSuffix(prefix, "/")
	if fold {
		path, prefix = strings.ToLower(path), strings.ToLower(prefix)
	}
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// validateZones judges the named networks and returns the names.
func validateZones(zones []ZoneConfig, report reporter) []string {
	var names []string
	for i, z := range zones {
		path := fmt.Sprintf("zones[%d]", i)
		switch {
		case z.Name == "":
			report(path+".name", "is missing; give the name that access rules use, such as office")
		case strings.Trim(z.Name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "":
			report(path+".name", "%q has other characters than letters, digits and dashes", z.Name)
		case slices.Contains(names, z.Name):
			report(path+".name", "%s is the name of two zones; put their networks into one", z.Name)
		default:
			names = append(names, z.Name)
		}
		if len(z.Networks) == 0 {
			report(path+".networks", "is missing; give the zone's addresses, such as [192.0.2.0/24]")
		}
	}
	return names
}

// What a country rule may say of addresses whose country is not known.
const (
	unknownAllow = "allow"
	unknownDeny  = "deny"
)

// validate judges all but the codes themselves, which package geo knows: the configuration asks it.
func (c CountryConfig) validate(path string, report reporter) {
	for _, list := range []struct {
		key   string
		codes []string
	}{{"allow", c.Allow}, {"deny", c.Deny}} {
		for i, code := range list.codes {
			item := fmt.Sprintf("%s.%s[%d]", path, list.key, i)
			switch {
			case slices.Contains(list.codes[:i], code):
				report(item, "%s stands here twice; remove one", code)
			case list.key == "deny" && slices.Contains(c.Allow, code):
				report(item, "%s is allowed and denied; remove it from one of the lists", code)
			}
		}
	}
	if c.Unknown == "" {
		return
	}
	oneOf(report, path+".unknown", c.Unknown, unknownAllow, unknownDeny)
	if len(c.Allow) == 0 && len(c.Deny) == 0 && c.Unknown == unknownAllow {
		report(path, "lets every country and unknown ones pass, so it has no effect; give allow or deny a list, or remove it")
	}
}
