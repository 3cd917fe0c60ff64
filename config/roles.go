package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/doorward/doorward/auth"
)

// reportRoles finds roles that do not exist. An access rule for one would keep everybody out, or, once somebody makes a role
// of that name, let the wrong ones in; a group of a provider or a directory would take the role from all who had it.
func (c *Config) reportRoles(report func(string, string, ...any)) {
	known := c.Auth.RoleNames()
	for i, site := range c.Gateway.Sites {
		for j, rule := range site.Access {
			for k, name := range rule.Roles {
				reportRole(known, fmt.Sprintf("sites[%d].access[%d].roles[%d]", i, j, k), name, report)
			}
		}
	}
	for i, p := range c.OIDC {
		for j, r := range p.Roles {
			reportRole(known, fmt.Sprintf("oidc[%d].roles[%d].role", i, j), r.Role, report)
		}
		if p.DefaultRole != "" {
			reportDefaultRole(known, fmt.Sprintf("oidc[%d].default_role", i), p.DefaultRole, report)
		}
	}
	for i, d := range c.LDAP {
		for j, r := range d.Roles {
			reportRole(known, fmt.Sprintf("ldap[%d].roles[%d].role", i, j), r.Role, report)
		}
		if d.DefaultRole != "" {
			reportDefaultRole(known, fmt.Sprintf("ldap[%d].default_role", i), d.DefaultRole, report)
		}
	}
}

// reportDefaultRole is reportRole for a role that everybody may get. Those that may not be it are reported elsewhere when they
// are named, and are not offered for another name.
func reportDefaultRole(known []auth.Role, path, name string, report func(string, string, ...any)) {
	if slices.Contains(known, auth.Role(name)) {
		return
	}
	offered := slices.DeleteFunc(slices.Clone(known), func(r auth.Role) bool { return r == auth.Owner || r == auth.Admin })
	reportRole(offered, path, name, report)
}

// reportRole reports a name at path that is no role's, with the one that was probably meant.
func reportRole(known []auth.Role, path, name string, report func(string, string, ...any)) {
	names := make([]string, len(known))
	for i, role := range known {
		if names[i] = string(role); names[i] == name {
			return
		}
	}
	meant := ""
	if near := nearest(name, names); near != "" {
		meant = "; did you mean " + near + "?"
	}
	report(path, "%q is not one of %s%s", name, strings.Join(names, ", "), meant)
}
