package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/doorward/doorward/auth"
)

// ruling is what the access policy says; its zero value refuses. (A decision is about a client, not a path.)
type ruling int

const (
	deny   ruling = iota
	signIn        // nobody is signed in, and somebody must be
	stepUp        // somebody is, but not surely enough
	allow
)

// verdict is a ruling with what the rest of the chain wants to know of it. A refusal has a reason:
// path-denied, network, country, certificate, role or factor.
type verdict struct {
	decision ruling
	reason   string
	public   bool       // let through because the path is declared public
	level    auth.Level // of a stepUp: the level that is asked for
}

// accessPolicy decides who may use which path of a site. In order: the application folder's denied and data
// paths, the site's rules (first match), the folder's admin, agent and public paths, and then anybody who is
// signed in. A site's rule lifts the folder's admin and agent rules only where it names their path or one
// below, and says who may: "path: /" with roles does not open /admin. It is immutable.
type accessPolicy struct {
	// bySegment holds, for each first segment that a rule names, the rules that can match below it, in order.
	bySegment map[string][]*accessRule
	anywhere  []*accessRule // the rules that match below every first segment
	names     *nameRules    // come before all of them
}

type accessRule struct {
	prefix    string // without a final slash; folded, except for public rules
	public    bool
	deny      bool
	roles     []auth.Role // empty: any
	networks  []netip.Prefix
	countries *countryRule  // nil: any
	level     auth.Level    // 0: any
	certified bool          // a client certificate is needed
	narrow    []*accessRule // the folder's role rules that hold besides this one
}

// newAccessPolicy compiles the site's rules and the application folder's. An error names the rule.
func newAccessPolicy(rules []AccessRule, zones zoneTable, app *App) (*accessPolicy, error) {
	admin, agent := []auth.Role{auth.Owner, auth.Admin}, []auth.Role{auth.Owner, auth.Admin, auth.Agent}
	var compiled, roleRules []*accessRule
	add := func(list []*accessRule, paths []string, rule accessRule) ([]*accessRule, error) {
		for _, path := range paths {
			r := rule
			if err := r.setPrefix(path); err != nil {
				return nil, fmt.Errorf("application folder: %w", err)
			}
			list = append(list, &r)
		}
		return list, nil
	}
	var errs [4]error
	compiled, errs[0] = add(compiled, app.DenyPaths, accessRule{deny: true})
	compiled, errs[1] = add(compiled, app.DataPaths, accessRule{deny: true})
	roleRules, errs[2] = add(roleRules, app.AdminPaths, accessRule{roles: admin})
	roleRules, errs[3] = add(roleRules, app.AgentPaths, accessRule{roles: agent})
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	for i, rule := range rules {
		// What restricts a path restricts it wherever the application shows it (D-31); what opens one opens that one.
		spellings := []string{rule.Path}
		if !rule.Public {
			spellings = app.Spellings(rule.Path)
		}
		for _, rule.Path = range spellings {
			r, err := compileRule(rule, zones)
			if err != nil {
				return nil, fmt.Errorf("access[%d]: %w", i, err)
			}
			r.addNarrow(roleRules)
			compiled = append(compiled, r)
		}
	}
	compiled = append(compiled, roleRules...)
	compiled, err := add(compiled, app.PublicPaths, accessRule{public: true})
	if err != nil {
		return nil, err
	}
	p := indexRules(compiled)
	p.names = newNameRules(app)
	return p, nil
}

func compileRule(rule AccessRule, zones zoneTable) (*accessRule, error) {
	r := &accessRule{public: rule.Public, deny: rule.Deny, countries: newCountryRule(rule.Countries), certified: rule.Certificate}
	if rule.Public && rule.Deny {
		return nil, fmt.Errorf("path %q is both public and denied", rule.Path)
	}
	if (len(rule.Roles) > 0 || rule.Factor != "") && (rule.Public || rule.Deny) {
		return nil, fmt.Errorf("path %q: roles and factor have no meaning on a public or denied path", rule.Path)
	}
	var err error
	if r.networks, err = zones.networks(rule); err != nil {
		return nil, fmt.Errorf("path %q: %w", rule.Path, err)
	}
	if r.level, err = factorLevel(rule.Factor); err != nil {
		return nil, fmt.Errorf("path %q: %w", rule.Path, err)
	}
	for _, name := range rule.Roles {
		role, err := auth.ParseRole(name)
		if err != nil {
			return nil, fmt.Errorf("path %q: %w", rule.Path, err)
		}
		r.roles = append(r.roles, role)
	}
	return r, r.setPrefix(rule.Path)
}

// factorLevel is the level that a rule's factor asks for.
func factorLevel(factor string) (auth.Level, error) {
	switch factor {
	case "":
		return 0, nil
	case factorAny:
		return auth.FactorLevel, nil
	case factorPasskey:
		return auth.PasskeyLevel, nil
	default:
		return 0, fmt.Errorf("factor %q is neither %s nor %s", factor, factorAny, factorPasskey)
	}
}

// setPrefix brings a rule's path into the form that requests' paths have.
func (r *accessRule) setPrefix(path string) error {
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || badReading(path) != "" {
		return fmt.Errorf("path %q: write it as the browser shows it, from the first slash on", path)
	}
	if !r.public {
		path = foldPath(path)
	}
	r.prefix = strings.TrimSuffix(path, "/")
	return nil
}

// addNarrow notes which of the folder's role rules hold besides r: all of them when r does not say who, else
// those for paths below r's own.
func (r *accessRule) addNarrow(roleRules []*accessRule) {
	if r.deny {
		return
	}
	own := foldPath(r.prefix)
	for _, role := range roleRules {
		if !r.public && len(r.roles) == 0 || strings.HasPrefix(role.prefix, own+"/") {
			r.narrow = append(r.narrow, role)
		}
	}
}

// indexRules sorts the rules by first segment, so that a folder with hundreds of paths costs one look-up.
func indexRules(rules []*accessRule) *accessPolicy {
	p := &accessPolicy{bySegment: make(map[string][]*accessRule)}
	for _, r := range rules {
		if segment := firstSegment(foldPath(r.prefix)); segment != "" {
			p.bySegment[segment] = nil
		}
	}
	for _, r := range rules {
		segment := firstSegment(foldPath(r.prefix))
		if segment == "" {
			p.anywhere = append(p.anywhere, r)
		}
		for other := range p.bySegment {
			if segment == "" || segment == other {
				p.bySegment[other] = append(p.bySegment[other], r)
			}
		}
	}
	return p
}

func firstSegment(path string) string {
	if len(path) < 2 {
		return ""
	}
	if end := strings.IndexByte(path[1:], '/'); end >= 0 {
		return path[1 : 1+end]
	}
	return path[1:]
}

// judge decides about a path by every reading of it: the strictest verdict holds. s is nil while nobody is
// signed in.
func (p *accessPolicy) judge(path canonicalPath, s *auth.Session, from place) verdict {
	if p.names.deny(path) {
		return verdict{decision: deny, reason: "path-denied"}
	}
	v := p.judgeReading(path.decoded, path.folded, s, from)
	for _, other := range path.others {
		v = stricter(v, p.judgeReading(other.decoded, other.folded, s, from))
	}
	return v
}

func stricter(a, b verdict) verdict {
	if b.decision < a.decision || b.decision == stepUp && a.decision == stepUp && b.level > a.level {
		a, b = b, a
	}
	a.public = a.public && b.public
	return a
}

func (p *accessPolicy) judgeReading(decoded, folded string, s *auth.Session, from place) verdict {
	rules, found := p.bySegment[firstSegment(folded)]
	if !found {
		rules = p.anywhere
	}
	for _, rule := range rules {
		if !rule.matches(decoded, folded) {
			continue
		}
		v := rule.judge(s, from)
		for _, role := range rule.narrow {
			if role.matches(decoded, folded) {
				return stricter(v, role.judge(s, from))
			}
		}
		return v
	}
	return (&accessRule{}).judge(s, from)
}

// matches compares whole segments. Public rules compare the path as written, so that no spelling makes more
// public than was said; all others compare the folded path, so that no spelling escapes them.
func (r *accessRule) matches(decoded, folded string) bool {
	path := folded
	if r.public {
		path = decoded
	}
	return strings.HasPrefix(path, r.prefix) && (len(path) == len(r.prefix) || path[len(r.prefix)] == '/')
}

// judge applies the rule to a request that it matches. A principal without any role (freshly registered) may
// use what is public and nothing else.
func (r *accessRule) judge(s *auth.Session, from place) verdict {
	if r.deny {
		return verdict{decision: deny, reason: "path-denied"}
	}
	if len(r.networks) > 0 && !containsAddress(r.networks, from.client) {
		return verdict{decision: deny, reason: "network"}
	}
	if !r.countries.admits(from) {
		return verdict{decision: deny, reason: "country"}
	}
	if r.certified && !from.certified {
		return verdict{decision: deny, reason: "certificate"}
	}
	switch {
	case r.public:
		return verdict{decision: allow, public: true}
	case s == nil:
		return verdict{decision: signIn}
	case len(s.Principal.Roles) == 0, len(r.roles) > 0 && !s.HasRole(r.roles...):
		return verdict{decision: deny, reason: "role"}
	case s.Level < r.level:
		return verdict{decision: stepUp, reason: "factor", level: r.level}
	default:
		return verdict{decision: allow}
	}
}

func containsAddress(networks []netip.Prefix, address netip.Addr) bool {
	for _, network := range networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}
