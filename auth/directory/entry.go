package directory

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"
)

const (
	maxValue  = 256  // characters of a name or an address
	maxDN     = 2048 // bytes
	maxGroups = 1000 // of one person; with more, nobody can tell which would be missing, so nothing is decided

	// inChain is Active Directory's matching rule that follows groups within groups (LDAP_MATCHING_RULE_IN_CHAIN).
	inChain = "1.2.840.113556.1.4.1941"
	// accountDisable is the bit of userAccountControl that Active Directory sets for a disabled account.
	accountDisable = 2
)

// search asks for entries. A directory that names another one to ask (a referral) is not followed: it would get the
// service account's password.
func (d *Directory) search(conn connection, base string, scope, limit int, filter string, attributes ...string) ([]*ldap.Entry, error) {
	req := ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, limit, int(d.cfg.Timeout.Seconds()), false, filter, attributes, nil)
	req.EnforceSizeLimit = true
	result, err := conn.Search(req)
	if err != nil {
		return nil, err
	}
	return result.Entries, nil
}

// tooMany tells whether a search found more than its limit, or than the directory's own.
func tooMany(err error) bool {
	return ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) || errors.Is(err, ldap.ErrSizeLimitExceeded)
}

// findOne returns the DN of the one entry that the filter finds, or nothing if there is none.
func (d *Directory) findOne(conn connection, filter string) (dn string, err error) {
	entries, err := d.search(conn, d.cfg.BaseDN, ldap.ScopeWholeSubtree, 2, filter, "1.1")
	switch {
	case tooMany(err), err == nil && len(entries) > 1:
		return "", d.fail(Ambiguous, "several entries match %s", filter)
	case err != nil:
		return "", d.failed("search for the person", err)
	case len(entries) == 0:
		return "", nil
	case entries[0].DN == "" || len(entries[0].DN) > maxDN:
		// A bind as "" is a bind as nobody, which succeeds.
		return "", d.fail(Misconfigured, "the entry that matches %s has no usable DN", filter)
	}
	return entries[0].DN, nil
}

// read makes the Identity of an entry that the filter must still find.
func (d *Directory) read(conn connection, dn, filter string) (Identity, error) {
	attributes := []string{"entryUUID", "objectGUID", "userAccountControl", d.cfg.UsernameAttribute, d.cfg.EmailAttribute, d.cfg.NameAttribute}
	if d.cfg.GroupBaseDN == "" {
		attributes = append(attributes, d.cfg.MemberOfAttribute)
	}
	entries, err := d.search(conn, dn, ldap.ScopeBaseObject, 1, filter, attributes...)
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject), err == nil && len(entries) == 0:
		return Identity{}, d.fail(Gone, "%s is not found", dn)
	case err != nil:
		return Identity{}, d.failed("read the person's entry", err)
	}
	entry := entries[0]
	if control, err := strconv.ParseInt(entry.GetEqualFoldAttributeValue("userAccountControl"), 10, 64); err == nil && control&accountDisable != 0 {
		return Identity{}, d.fail(Gone, "%s is disabled", dn)
	}
	id := Identity{Directory: d.cfg.Name, Subject: subjectOf(entry), Username: value(entry, d.cfg.UsernameAttribute),
		Email: value(entry, d.cfg.EmailAttribute), Name: value(entry, d.cfg.NameAttribute)}
	if id.Username == "" {
		return Identity{}, d.fail(Misconfigured, "%s has no usable %s", dn, d.cfg.UsernameAttribute)
	}
	if id.Groups, err = d.groups(conn, entry, id.Username); err != nil {
		return Identity{}, err
	}
	if id.Roles = rolesOf(d.roles, id.Groups); len(id.Roles) == 0 && d.cfg.DefaultRole != "" {
		id.Roles = []string{d.cfg.DefaultRole}
	}
	return id, nil
}

// groups returns the DNs of the person's groups.
func (d *Directory) groups(conn connection, person *ldap.Entry, username string) ([]string, error) {
	if d.cfg.GroupBaseDN == "" {
		groups := person.GetEqualFoldAttributeValues(d.cfg.MemberOfAttribute)
		if len(groups) > maxGroups {
			return nil, d.fail(Misconfigured, "%s is in more than %d groups; search for them by group_filter", person.DN, maxGroups)
		}
		return sortedUnique(slices.Clone(groups)), nil
	}
	filter := fill(d.cfg.GroupFilter, "dn", ldap.EscapeFilter(person.DN), "username", ldap.EscapeFilter(username))
	if d.cfg.NestedGroups {
		filter = "(member:" + inChain + ":=" + ldap.EscapeFilter(person.DN) + ")"
	}
	entries, err := d.search(conn, d.cfg.GroupBaseDN, ldap.ScopeWholeSubtree, maxGroups, filter, "1.1")
	if tooMany(err) {
		return nil, d.fail(Misconfigured, "%s is in more groups than the directory tells, or than %d; narrow group_filter", person.DN, maxGroups)
	}
	if err != nil {
		return nil, d.failed("search for groups", err)
	}
	var groups []string
	for _, e := range entries {
		groups = append(groups, e.DN)
	}
	return sortedUnique(groups), nil
}

// value is an attribute's first value, if a person could read it.
func value(entry *ldap.Entry, attribute string) string {
	if v := strings.TrimSpace(entry.GetEqualFoldAttributeValue(attribute)); readable(v, maxValue) {
		return v
	}
	return ""
}

// subjectOf names an entry so that a change of its name or place does not make it another (RFC 4530; Active Directory's
// objectGUID).
func subjectOf(entry *ldap.Entry) string {
	if id, err := uuid.Parse(entry.GetEqualFoldAttributeValue("entryUUID")); err == nil {
		return "entryuuid:" + id.String()
	}
	if guid := entry.GetEqualFoldRawAttributeValue("objectGUID"); len(guid) == 16 {
		return "objectguid:" + hex.EncodeToString(guid)
	}
	return "dn:" + entry.DN
}

// subjectFilter finds the entry again that subjectOf named by its identifier.
func subjectFilter(subject string) (filter string, ok bool) {
	kind, id, _ := strings.Cut(subject, ":")
	switch kind {
	case "entryuuid":
		parsed, err := uuid.Parse(id)
		return "(entryUUID=" + parsed.String() + ")", err == nil
	case "objectguid":
		guid, err := hex.DecodeString(id)
		escaped := ""
		for _, b := range guid {
			escaped += fmt.Sprintf(`\%02x`, b)
		}
		return "(objectGUID=" + escaped + ")", err == nil && len(guid) == 16
	}
	return "", false
}

// roleRule is one RoleConfig, read.
type roleRule struct {
	dn   *ldap.DN // nil if the group is given by its common name
	name string
	role string
}

func roleRules(configs []RoleConfig) ([]roleRule, error) {
	var rules []roleRule
	for _, c := range configs {
		rule := roleRule{name: c.Group, role: c.Role}
		if strings.Contains(c.Group, "=") {
			dn, err := ldap.ParseDN(c.Group)
			if err != nil {
				return nil, fmt.Errorf("read group %q: %w", c.Group, err)
			}
			rule.dn = dn
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// rolesOf returns the roles that the groups give, sorted, each once.
func rolesOf(rules []roleRule, groups []string) []string {
	var roles []string
	for _, group := range groups {
		dn, err := ldap.ParseDN(group)
		if err != nil {
			continue
		}
		for _, rule := range rules {
			if rule.dn != nil && rule.dn.EqualFold(dn) || rule.dn == nil && commonName(dn, rule.name) {
				roles = append(roles, rule.role)
			}
		}
	}
	return sortedUnique(roles)
}

// commonName tells whether the DN begins with that common name.
func commonName(dn *ldap.DN, name string) bool {
	return len(dn.RDNs) > 0 && slices.ContainsFunc(dn.RDNs[0].Attributes, func(a *ldap.AttributeTypeAndValue) bool {
		return strings.EqualFold(a.Type, "cn") && strings.EqualFold(a.Value, name)
	})
}
