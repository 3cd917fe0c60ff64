package config

import (
	"fmt"
	"strings"

	"github.com/doorward/doorward/auth"
)

// reportRoles finds access rules for roles that do not exist: such a rule would keep everybody out, or, once somebody makes
// a role of that name, let the wrong ones in.
func (c *Config) reportRoles(report func(string, string, ...any)) {
	for i, site := range c.Gateway.Sites {
		for j, rule := range site.Access {
			for k, name := range rule.Roles {
				reportRole(c.Auth.RoleNames(), fmt.Sprintf("sites[%d].access[%d].roles[%d]", i, j, k), name, report)
			}
		}
	}
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
