// Package directory asks an LDAP directory, such as OpenLDAP or Active Directory, whether a name and a password belong
// together, and which groups their owner is in.
//
// It knows directories, their entries and groups, and turns groups into the names of roles. It must not know accounts,
// sessions or pages: whoever calls it decides what an Identity may do.
package directory

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Config is one LDAP directory whose people may sign in with their password there. The zero value of a field means its
// default, which SetDefaults fills in.
type Config struct {
	// Name is the directory's word in logs and events: small letters, digits and hyphens. It also stands before each
	// account's subject, so it must not change later.
	Name string `yaml:"name"`
	// URL is where the directory listens: ldaps://host:636, ldap://host:389 (TLS is then started before anything is
	// sent) or ldapi:///run/slapd/ldapi, a socket of this machine.
	URL string `yaml:"url"`
	// Plain leaves out TLS with ldap://; only for loopback addresses.
	Plain bool `yaml:"plain"`
	// CAFile holds the PEM certificates of the authorities that vouch for the directory, instead of the system's.
	CAFile string `yaml:"ca_file"`
	// ServerName is the name that the directory's certificate must have. Default the host of URL.
	ServerName string `yaml:"server_name"`
	// BindDN is the account that searches for people. It needs no right but to read them and their groups. Without it
	// the search is anonymous.
	BindDN string `yaml:"bind_dn"`
	// BindPasswordFile holds its password in the first line.
	BindPasswordFile string `yaml:"bind_password_file"`
	// BaseDN is the entry below which people are.
	BaseDN string `yaml:"base_dn"`
	// UserFilter finds a person (RFC 4515); {login} stands for what was typed. With several matches nobody gets in. It
	// should leave out disabled accounts, so that their sessions end. Default (uid={login}).
	UserFilter string `yaml:"user_filter"`
	// UsernameAttribute is the attribute that names the account. Default uid; in Active Directory it is
	// sAMAccountName.
	UsernameAttribute string `yaml:"username_attribute"`
	// EmailAttribute is the attribute with the e-mail address. Default mail.
	EmailAttribute string `yaml:"email_attribute"`
	// NameAttribute is the attribute with the name that people read. Default displayName.
	NameAttribute string `yaml:"name_attribute"`
	// MemberOfAttribute is the person's attribute with the DNs of the groups. It is not read when GroupBaseDN is set.
	// Default memberOf.
	MemberOfAttribute string `yaml:"member_of_attribute"`
	// GroupBaseDN is the entry below which groups are searched for.
	GroupBaseDN string `yaml:"group_base_dn"`
	// GroupFilter finds a person's groups below GroupBaseDN; {dn} stands for the person's DN, {username} for the name of
	// the account. Default (member={dn}).
	GroupFilter string `yaml:"group_filter"`
	// NestedGroups also counts the groups that a person's groups are members of. Only Active Directory knows how, and
	// GroupBaseDN must be set; GroupFilter has no effect then.
	NestedGroups bool `yaml:"nested_groups"`
	// Roles says which roles the members of a group have.
	Roles []RoleConfig `yaml:"roles"`
	// DefaultRole is the role of those whom no group gives one. Without it they have none and may not enter. Owner and
	// admin are refused here: everybody in the directory would be one.
	DefaultRole string `yaml:"default_role"`
	// CreateAccounts makes an account at a person's first sign-in; else it must exist.
	CreateAccounts bool `yaml:"create_accounts"`
	// DecoyDN is an entry that is bound with a random password when nobody has the name that was typed, so that the time
	// an answer takes does not tell who exists. It should be one whose password is hashed like everybody's, that no
	// lockout policy applies to, and that nobody uses. Default an entry below BaseDN that does not exist.
	DecoyDN string `yaml:"decoy_dn"`
	// Timeout is how long one question to the directory, with all its steps, may take. Default 10s.
	Timeout time.Duration `yaml:"timeout"`
	// Connections is how many people may be asked about at the same time; each takes two connections. Default 8.
	Connections int `yaml:"connections"`
}

// RoleConfig gives a role to a group's members.
type RoleConfig struct {
	// Group is the group's DN, or only its common name. Give the DN where people may make groups themselves: a group of
	// the same name elsewhere would do too. Case does not matter.
	Group string `yaml:"group"`
	// Role is the name of the role.
	Role string `yaml:"role"`
}

// SetDefaults replaces zero values by the defaults.
func (c *Config) SetDefaults() {
	setDefault(&c.UserFilter, "(uid={login})")
	setDefault(&c.UsernameAttribute, "uid")
	setDefault(&c.EmailAttribute, "mail")
	setDefault(&c.NameAttribute, "displayName")
	setDefault(&c.MemberOfAttribute, "memberOf")
	setDefault(&c.GroupFilter, "(member={dn})")
	setDefault(&c.Timeout, 10*time.Second)
	setDefault(&c.Connections, 8)
	if _, err := ldap.ParseDN(c.BaseDN); err == nil && c.DecoyDN == "" && c.BaseDN != "" {
		c.DecoyDN = "cn=nobody-has-this-name," + c.BaseDN
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// What a directory's name and an attribute (RFC 4512, 2.5) look like.
const (
	nameForm      = `^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`
	attributeForm = `^[A-Za-z][A-Za-z0-9-]{0,127}$`
)

// Validate reports every value that cannot be used; call SetDefaults before. The paths are relative to this directory's
// entry. Which roles exist is not known here: package config checks them.
func (c Config) Validate(report func(path, format string, args ...any)) {
	switch {
	case c.Name == "":
		report("name", "is missing; give a word for the directory, such as staff")
	case !regexp.MustCompile(nameForm).MatchString(c.Name):
		report("name", "%q is not 1 to 32 small letters, digits and hyphens", c.Name)
	}
	if problem := c.badURL(); problem != "" {
		report("url", "%s", problem)
	}
	if (c.BindDN == "") != (c.BindPasswordFile == "") {
		report("bind_dn", "bind_dn and bind_password_file belong together; without a password a directory takes anybody for nobody")
	}
	if c.BaseDN == "" {
		report("base_dn", "is missing; give the entry below which people are, such as ou=people,dc=example,dc=org")
	}
	for _, dn := range []struct{ path, value string }{{"bind_dn", c.BindDN}, {"base_dn", c.BaseDN}, {"group_base_dn", c.GroupBaseDN}, {"decoy_dn", c.DecoyDN}} {
		if _, err := ldap.ParseDN(dn.value); err != nil {
			report(dn.path, "%q is not a DN; write it like ou=people,dc=example,dc=org", dn.value)
		}
	}
	for _, a := range []struct{ path, value string }{{"username_attribute", c.UsernameAttribute}, {"email_attribute", c.EmailAttribute},
		{"name_attribute", c.NameAttribute}, {"member_of_attribute", c.MemberOfAttribute}} {
		if !regexp.MustCompile(attributeForm).MatchString(a.value) {
			report(a.path, "%q is not the name of an attribute", a.value)
		}
	}
	c.validateFilters(report)
	c.validateRoles(report)
	if c.Timeout < time.Second || c.Timeout > time.Minute {
		report("timeout", "%v is not between 1s and 1m0s", c.Timeout)
	}
	if c.Connections < 1 || c.Connections > 256 {
		report("connections", "%d is not between 1 and 256", c.Connections)
	}
}

func (c Config) validateFilters(report func(path, format string, args ...any)) {
	switch _, err := ldap.CompileFilter(fill(c.UserFilter, "login", "x")); {
	case !strings.Contains(c.UserFilter, "{login}"):
		report("user_filter", "does not hold {login}, so it would find the same people whatever is typed")
	case err != nil:
		report("user_filter", "%q is not a filter; write it like (uid={login})", c.UserFilter)
	case !comparesLogin(c.UserFilter):
		report("user_filter", "{login} must be the value that an attribute is compared with, as in (uid={login})")
	}
	switch _, err := ldap.CompileFilter(fill(c.GroupFilter, "dn", "x", "username", "x")); {
	case err != nil:
		report("group_filter", "%q is not a filter; write it like (member={dn})", c.GroupFilter)
	case !strings.Contains(c.GroupFilter, "{dn}") && !strings.Contains(c.GroupFilter, "{username}"):
		report("group_filter", "holds neither {dn} nor {username}, so everybody would be in the same groups")
	}
	if c.NestedGroups && c.GroupBaseDN == "" {
		report("nested_groups", "needs group_base_dn: such groups are searched for")
	}
}

// comparesLogin tells whether {login} stands for a value only, never for an attribute: escaping keeps it a value.
func comparesLogin(filter string) bool {
	for at := range filter {
		if strings.HasPrefix(filter[at:], "{login}") && !strings.Contains(filter[strings.LastIndex(filter[:at], "(")+1:at], "=") {
			return false
		}
	}
	_, err := ldap.CompileFilter(fill(filter, "login", "*")) // Lookup asks for anybody
	return err == nil
}

func (c Config) validateRoles(report func(path, format string, args ...any)) {
	for i, r := range c.Roles {
		at := fmt.Sprintf("roles[%d]", i)
		if r.Group == "" {
			report(at+".group", "is missing; give the group's DN")
		} else if strings.Contains(r.Group, "=") {
			if _, err := ldap.ParseDN(r.Group); err != nil {
				report(at+".group", "%q is not a DN; write it like cn=agents,ou=groups,dc=example,dc=org", r.Group)
			}
		}
		if slices.Contains(c.Roles[:i], r) {
			report(at, "group %q has role %s already; remove one of them", r.Group, r.Role)
		}
	}
	if c.DefaultRole == "owner" || c.DefaultRole == "admin" {
		report("default_role", "%s would be the role of everybody in the directory; give it to a group under roles", c.DefaultRole)
	}
}

// target is where a URL leads.
type target struct {
	network, address string // for net.Dial
	host             string // that its certificate must name
	tls, startTLS    bool
}

// target reads URL; Validate has said whether it can be read.
func (c Config) target() (target, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return target{}, fmt.Errorf("read address of directory: %w", err)
	}
	if u.Scheme == "ldapi" {
		return target{network: "unix", address: u.Path}, nil
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	}
	return target{network: "tcp", address: net.JoinHostPort(u.Hostname(), port), host: u.Hostname(),
		tls: u.Scheme == "ldaps", startTLS: u.Scheme == "ldap" && !c.Plain}, nil
}

// badURL says why URL cannot be used, or nothing.
func (c Config) badURL() string {
	if c.URL == "" {
		return "is missing; write it like ldaps://ldap.example.org"
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return fmt.Sprintf("%q is not an address; write it like ldaps://ldap.example.org", c.URL)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Sprintf("%q has more than a host and a port", c.URL)
	case u.Scheme == "ldapi" && (u.Host != "" || !path.IsAbs(u.Path)):
		return fmt.Sprintf("%q does not name a socket; write it like ldapi:///run/slapd/ldapi", c.URL)
	case u.Scheme == "ldapi":
		return ""
	case u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "":
		return fmt.Sprintf("%q does not begin with ldaps://, ldap:// or ldapi:///", c.URL)
	case strings.Trim(u.Path, "/") != "":
		return fmt.Sprintf("%q has more than a host and a port; the place of people is base_dn", c.URL)
	case c.Plain && u.Scheme == "ldaps":
		return "is encrypted, so plain has no effect; remove it"
	case c.Plain && !loopback(u.Hostname()):
		return "is not a loopback address, so everybody's password would cross the network in the clear; remove plain"
	}
	return ""
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// fill puts values in the place of {names} in one pass, so that what one value holds is not replaced again.
func fill(filter string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		pairs[i] = "{" + pairs[i] + "}"
	}
	return strings.NewReplacer(pairs...).Replace(filter)
}
