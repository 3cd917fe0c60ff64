package config

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/gateway"
)

// Policy says what the configuration makes of sign-in and access, every default filled in, for the audit. Whether it is in
// force is for the audit to find out.
func (c *Config) Policy() (facts.Policy, error) {
	roles, err := c.Auth.EffectiveRoles()
	if err != nil {
		return facts.Policy{}, err
	}
	signIn, limits := c.Auth.SignIn, c.Gateway.Limits
	p := facts.Policy{
		Origin: c.File, SignInFailures: signIn.Failures, SignInWait: signIn.Wait,
		StaffPerAccount: signIn.Staff.PerAccount, StaffPerAddress: signIn.Staff.PerAddress, StaffWindow: signIn.Staff.Window,
		UsersPerAccount: signIn.Users.PerAccount, UsersPerAddress: signIn.Users.PerAddress, UsersWindow: signIn.Users.Window,
		RequestsPerSecond: int(limits.RequestsPerSecond), Connections: limits.Connections, InFlight: limits.InFlight,
		Mails: c.Mail.Enabled(), NoticeSignIn: c.Auth.Notices.SignIn, NoticeFailures: !c.Auth.Notices.NoFailures,
		HostNames: !c.HostNames.Off, CountryDatabase: c.Geo.Database != "",
		Registration: c.Auth.Registration.Enabled, RegistrationPhone: c.Auth.Registration.Phone, MaxAdmins: c.Auth.Review.MaxAdmins,
		Browsers: len(c.Auth.Browsers) > 0,
	}
	for _, r := range roles {
		p.Roles = append(p.Roles, c.rolePolicy(r))
	}
	for _, s := range c.Gateway.Sites {
		sites, countries, err := c.sitePolicies(s)
		if err != nil {
			return facts.Policy{}, err
		}
		p.Sites = append(p.Sites, sites...)
		p.CountryRules = p.CountryRules || countries
	}
	return p, nil
}

func (c *Config) rolePolicy(r auth.EffectiveRole) facts.RolePolicy {
	p := facts.RolePolicy{
		Name: string(r.Name), Staff: r.Staff, Admin: slices.Contains(r.Privileges, auth.ManageAccounts),
		MinLength: r.Passwords.MinLength, MinLengthWithFactor: r.Passwords.MinLengthWithFactor,
		MaxAge: r.Passwords.MaxAge, History: r.Passwords.History, MinScore: r.Passwords.MinScore, CommonRefused: r.Passwords.CommonPasswords,
		ChangeAtFirst: r.Passwords.ChangeAtFirstSignIn,
		Factor:        r.Factor, Networks: prefixes(r.Networks), Idle: r.Idle, Absolute: r.Absolute, Remember: r.Remember,
		RequireActivity: r.RequireActivity, TrustRequired: r.Trust.Required, TrustPeriod: r.Trust.Period,
		Origin: c.File + " roles: " + string(r.Name),
	}
	if r.Passwords.Classes != 0 {
		p.Classes = strings.FieldsFunc(r.Passwords.Classes.String(), func(r rune) bool { return r == ',' || r == ' ' })
	}
	return p
}

func prefixes(networks []netip.Prefix) []string {
	all := make([]string, len(networks))
	for i, n := range networks {
		all[i] = n.String()
	}
	return all
}

// sitePolicies is the policy of every host of a site, and whether it has rules about countries.
func (c *Config) sitePolicies(s gateway.SiteConfig) (sites []facts.SitePolicy, countries bool, err error) {
	folder, err := gateway.LoadApp(s.App)
	if err != nil {
		return nil, false, err
	}
	p := facts.SitePolicy{
		App: s.App, AdminPaths: folder.AdminPaths, AgentPaths: folder.AgentPaths, Identity: !s.Identity.Off,
		ClientCertificates: s.ClientCertificates.CAFile != "", Revocations: s.ClientCertificates.CRLFile != "",
		FrameOptions: s.Headers.FrameOptions, CSP: s.Headers.ContentSecurityPolicy, XSSProtection: s.Headers.XSSProtection,
		RememberMe: s.Cookies.RememberMe, SameSite: s.Cookies.SameSite, Door: c.door(),
	}
	if !s.Headers.HSTS.Off {
		p.HSTS = int(s.Headers.HSTS.MaxAge.Seconds())
	}
	countries = s.Countries.Set()
	for _, rule := range s.Access {
		countries = countries || rule.Countries.Set()
		p.CertificatePaths = p.CertificatePaths || rule.Certificate
		if rule.Public && (rule.Path == "/" || rule.Path == "") {
			p.PublicRoot = true
		}
		if len(rule.Networks)+len(rule.Zones) > 0 {
			p.Restricted = append(p.Restricted, strings.TrimSuffix(rule.Path, "/"))
		}
		if rule.Factor != "" {
			p.Factor = append(p.Factor, rule.Path)
		}
		p.Roles = append(p.Roles, rule.Roles...)
	}
	for _, upstream := range s.Upstreams {
		if reachable, err := facts.Reachable(upstream); err != nil || reachable {
			p.Exposed = append(p.Exposed, upstream)
		}
	}
	for _, host := range s.Hosts {
		p.Host, p.Origin = host, c.File+" sites: "+host
		sites = append(sites, p)
	}
	return sites, countries, nil
}

// door is the address at which this machine reaches the gateway's own TLS listener; empty when there is none.
func (c *Config) door() string {
	for _, address := range c.Gateway.Listen.HTTPS {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			continue
		}
		if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
			host = "127.0.0.1"
			if err == nil && a.Is6() {
				host = "::1"
			}
		}
		return net.JoinHostPort(host, port)
	}
	return ""
}
