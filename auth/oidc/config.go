// Package oidc lets another system say who somebody is: it is the relying party of OpenID Connect Core 1.0
// (authorization code flow with PKCE, RFC 7636, and the issuer check of RFC 9207) and takes notice of sign-outs there
// (OpenID Connect Back-Channel Logout 1.0).
//
// It knows providers, their keys and their claims, and turns groups into the names of roles. It must not know accounts,
// sessions, cookies or pages: whoever calls it decides what an Identity may do.
package oidc

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Config is one OpenID Connect provider that people may sign in by. The zero value of a field means its default, which
// SetDefaults fills in.
type Config struct {
	// Name is the provider's word in addresses: the callback is /.doorward/oidc/NAME/callback. Small letters, digits
	// and hyphens. It also stands before each account's subject, so it must not change later.
	Name string `yaml:"name"`
	// Title is what the button on the sign-in page says after "Sign in with". Default the name.
	Title string `yaml:"title"`
	// Issuer is the provider's address exactly as its own configuration document spells it, such as
	// https://login.example.org/realms/staff. Plain http is for loopback addresses only.
	Issuer string `yaml:"issuer"`
	// ClientID is what the provider calls this Doorward.
	ClientID string `yaml:"client_id"`
	// ClientSecretFile holds the secret that the provider gave with it, in its first line.
	ClientSecretFile string `yaml:"client_secret_file"`
	// Scopes are asked for; openid always is. Default openid, profile, email.
	Scopes []string `yaml:"scopes"`
	// CAFile holds the PEM certificates of the authorities that vouch for the provider, instead of the system's.
	CAFile string `yaml:"ca_file"`
	// UsernameClaim is the claim that names the account. A claim within a claim is written realm_access.roles.
	// Default preferred_username.
	UsernameClaim string `yaml:"username_claim"`
	// UsernameDomain is the domain of addresses that name accounts: with example.org and the claim email,
	// zoe@example.org is called zoe. Addresses of other domains, and those that the provider does not call verified, name
	// nobody. Default: none, and who is called by an address has no usable name.
	UsernameDomain string `yaml:"username_domain"`
	// EmailClaim is the claim with the e-mail address. Default email.
	EmailClaim string `yaml:"email_claim"`
	// NameClaim is the claim with the name that people read. Default name.
	NameClaim string `yaml:"name_claim"`
	// GroupsClaim is the claim with the groups, a list of texts or one text. Default groups.
	GroupsClaim string `yaml:"groups_claim"`
	// UserInfo asks the provider's UserInfo endpoint at every sign-in; else only when the ID token lacks one of the
	// claims above.
	UserInfo bool `yaml:"user_info"`
	// Roles says which roles the members of a group have.
	Roles []RoleConfig `yaml:"roles"`
	// DefaultRole is the role of those whom no group gives one. Without it they have none and may not enter. Owner and
	// admin are refused here: everybody whom the provider knows would be one.
	DefaultRole string `yaml:"default_role"`
	// CreateAccounts makes an account at a person's first sign-in; else it must exist.
	CreateAccounts bool `yaml:"create_accounts"`
	// AllowUnverifiedEmail takes over e-mail addresses that the provider does not call verified. Only for a provider
	// where nobody can choose an address: by one, accounts are found.
	AllowUnverifiedEmail bool `yaml:"allow_unverified_email"`
	// SecondFactorAMR are the values of the claim amr (RFC 8176), such as mfa or hwk, that count as a second factor.
	// Default: none, and Doorward asks for its own.
	SecondFactorAMR []string `yaml:"second_factor_amr"`
	// SecondFactorACR are the values of the claim acr that count as a second factor; they are also asked for.
	SecondFactorACR []string `yaml:"second_factor_acr"`
}

// RoleConfig gives a role to a group's members.
type RoleConfig struct {
	// Group is one value of the groups claim, letter by letter.
	Group string `yaml:"group"`
	// Role is the name of the role.
	Role string `yaml:"role"`
}

// SetDefaults replaces zero values by the defaults.
func (c *Config) SetDefaults() {
	setDefault(&c.Title, c.Name)
	setDefault(&c.UsernameClaim, "preferred_username")
	setDefault(&c.EmailClaim, "email")
	setDefault(&c.NameClaim, "name")
	setDefault(&c.GroupsClaim, "groups")
	if c.Scopes == nil {
		c.Scopes = []string{"openid", "profile", "email"}
	}
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// What a provider's name, a scope (RFC 6749 3.3) and a domain look like.
const (
	nameForm   = `^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`
	domainForm = `^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`
	scopeForm  = `^[\x21\x23-\x5B\x5D-\x7E]{1,128}$`
)

// Validate reports every value that cannot be used; call SetDefaults before. The paths are relative to this provider's
// entry. Which roles exist is not known here: package config checks them.
func (c Config) Validate(report func(path, format string, args ...any)) {
	switch {
	case c.Name == "":
		report("name", "is missing; give the word that stands in the provider's addresses, such as staff")
	case !regexp.MustCompile(nameForm).MatchString(c.Name):
		report("name", "%q is not 1 to 32 small letters, digits and hyphens", c.Name)
	}
	text(report, "title", c.Title, 64)
	if problem := badIssuer(c.Issuer); problem != "" {
		report("issuer", "%s", problem)
	}
	if c.ClientID == "" {
		report("client_id", "is missing; it is what the provider calls this Doorward")
	}
	text(report, "client_id", c.ClientID, 256)
	if c.ClientSecretFile == "" {
		report("client_secret_file", "is missing; name a file with the secret that the provider gave")
	}
	for i, scope := range c.Scopes {
		if !regexp.MustCompile(scopeForm).MatchString(scope) {
			report(fmt.Sprintf("scopes[%d]", i), "%q is not a scope; a scope is one word", scope)
		}
	}
	for path, claim := range map[string]string{"username_claim": c.UsernameClaim, "email_claim": c.EmailClaim, "name_claim": c.NameClaim, "groups_claim": c.GroupsClaim} {
		text(report, path, claim, 256)
	}
	if c.UsernameDomain != "" && !regexp.MustCompile(domainForm).MatchString(c.UsernameDomain) {
		report("username_domain", "%q is not a domain in small letters, such as example.org", c.UsernameDomain)
	}
	c.validateRoles(report)
	for i, value := range c.SecondFactorAMR {
		text(report, fmt.Sprintf("second_factor_amr[%d]", i), value, 128)
	}
	for i, value := range c.SecondFactorACR {
		text(report, fmt.Sprintf("second_factor_acr[%d]", i), value, 128)
		if strings.ContainsAny(value, " \t") {
			report(fmt.Sprintf("second_factor_acr[%d]", i), "%q has a space", value)
		}
	}
}

func (c Config) validateRoles(report func(path, format string, args ...any)) {
	for i, r := range c.Roles {
		path := fmt.Sprintf("roles[%d]", i)
		if r.Group == "" {
			report(path+".group", "is missing; give one value of the claim %s", c.GroupsClaim)
		}
		if slices.Contains(c.Roles[:i], r) {
			report(path, "group %q has role %s already; remove one of them", r.Group, r.Role)
		}
	}
	if c.DefaultRole == "owner" || c.DefaultRole == "admin" {
		report("default_role", "%s would be the role of everybody whom the provider knows; give it to a group under roles", c.DefaultRole)
	}
}

// text reports a value that is too long or has characters nobody can see.
func text(report func(path, format string, args ...any), path, value string, most int) {
	if !readable(value, most) {
		report(path, "has more than %d characters, or one that cannot be seen", most)
	}
}

// badIssuer says why the text cannot be an issuer (OpenID Connect Discovery 1.0, 3), or nothing.
func badIssuer(issuer string) string {
	if issuer == "" {
		return "is missing; give the provider's address, such as https://login.example.org"
	}
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Sprintf("%q is not an address that begins with https://", issuer)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Sprintf("%s would let anybody on the way sign in as anybody; use https", issuer)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.ContainsAny(issuer, "?#"):
		return fmt.Sprintf("%q has a name, query or fragment, which no issuer has", issuer)
	case strings.Contains(u.Path, "/.well-known/"):
		return "is the address of the provider's configuration; leave out /.well-known/openid-configuration"
	}
	return ""
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
