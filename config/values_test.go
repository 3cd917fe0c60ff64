package config_test

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/auth/directory"
	"github.com/doorward/doorward/auth/oidc"
	"github.com/doorward/doorward/auth/password"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/console"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/firewall"
	"github.com/doorward/doorward/firewall/ruleset"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/geo"
	"github.com/doorward/doorward/hostname"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/store"
)

func parseFixture(t *testing.T, name string) *config.Config {
	t.Helper()
	text, err := os.ReadFile("testdata/good/" + name)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("/etc/doorward/"+name, text)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// comparable options: prefixes compare by value, and where nothing was written and an empty list are the same.
var same = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()}

func TestThreeLinesAreEnough(t *testing.T) {
	got := parseFixture(t, "smallest.yaml")
	site := gateway.SiteConfig{
		Hosts: []string{"helpdesk.example.org"}, Upstreams: []string{"http://127.0.0.1:8080"}, App: "request-tracker",
		TLS: gateway.SiteTLSConfig{Source: "acme"},
		Upstream: gateway.UpstreamConfig{ConnectTimeout: 5 * time.Second, ResponseTimeout: time.Minute, HealthInterval: 10 * time.Second,
			MaxFails: 3, RestFor: 10 * time.Second},
		Headers: gateway.HeaderConfig{
			ContentSecurityPolicy: "frame-ancestors 'self'; base-uri 'self'; object-src 'none'", FrameOptions: "SAMEORIGIN",
			ReferrerPolicy: "strict-origin-when-cross-origin", HSTS: gateway.HSTS{MaxAge: 15768000 * time.Second},
		},
		Cookies: gateway.CookieConfig{SameSite: "lax"},
		WAF: gateway.SiteWAFConfig{Mode: "block", Answers: "detect", ParanoiaLevel: 1, InboundThreshold: 5, OutboundThreshold: 4, BodyLimit: 16 << 20,
			FieldsLimit: 1 << 20, ParameterLimit: 1000, AnswerLimit: 512 << 10},
		MaxBody: 64 << 20,
	}
	want := gateway.Config{
		Listen: gateway.ListenConfig{HTTPS: []string{":443"}, HTTP: []string{":80"}},
		TLS:    gateway.TLSConfig{ACME: gateway.ACMEConfig{Directory: "https://acme-v02.api.letsencrypt.org/directory"}},
		Limits: gateway.LimitsConfig{Connections: 8000, HeaderBytes: 32 << 10, HeaderTimeout: 10 * time.Second, BodyTimeout: 30 * time.Second,
			IdleTimeout: 2 * time.Minute, RequestsPerSecond: 200, Burst: 400, InFlight: 2000},
		WAF:     gateway.WAFConfig{Rules: "doorward", Memory: 256 << 20},
		Sites:   []gateway.SiteConfig{site},
		DataDir: "/var/lib/doorward",
	}
	if diff := cmp.Diff(want, got.Gateway, same); diff != "" {
		t.Errorf("gateway (-want +got):\n%s", diff)
	}
	if got, want := got.Store, (store.Config{Path: "/var/lib/doorward/doorward.db"}); got != want {
		t.Errorf("store is %+v, want %+v", got, want)
	}
	if got, want := got.Events.Dir, "/var/lib/doorward/events"; got != want {
		t.Errorf("events are in %s, want %s", got, want)
	}
	if got, want := got.AdminSocket(), "/var/lib/doorward/admin.sock"; got != want {
		t.Errorf("admin socket is %s, want %s", got, want)
	}
	if got, want := got.Auth.Sessions, (auth.SessionsConfig{Idle: time.Hour, Absolute: 12 * time.Hour}); got != want {
		t.Errorf("sessions are %+v, want %+v", got, want)
	}
	if got, want := got.Geo, (geo.Config{MaxAge: 90 * 24 * time.Hour}); got != want {
		t.Errorf("geo is %+v, want %+v", got, want)
	}
	if got, want := got.HostNames, (hostname.Config{Timeout: 2 * time.Second, TTL: time.Hour, NegativeTTL: 10 * time.Minute}); got != want {
		t.Errorf("host_names is %+v, want %+v", got, want)
	}
	wantDecisions := decision.Config{Max: 200_000, MaxSpoofable: 1000, MinPrefix4: 16, MinPrefix6: 32, DefaultDuration: 4 * time.Hour, Remember: 720 * time.Hour,
		Throttle: decision.ThrottleConfig{RequestsPerSecond: 0.5, Burst: 5}, ChallengePass: 30 * time.Minute}
	if diff := cmp.Diff(wantDecisions, got.Decisions, same); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
	if got, want := got.Mail, (mail.Config{Port: 587, Encryption: mail.StartTLS, Timeout: 30 * time.Second}); got != want || got.Enabled() {
		t.Errorf("mail is %+v, want %+v, and off", got, want)
	}
	if got, want := got.Log, (config.LogConfig{Level: "info", Format: "text"}); got != want {
		t.Errorf("log is %+v, want %+v", got, want)
	}
}

func TestEverySettingIsRead(t *testing.T) {
	got := parseFixture(t, "full.yaml")
	first := gateway.SiteConfig{
		Hosts:     []string{"helpdesk.example.org", "helpdesk.example.net", "192.0.2.7", "2001:db8::7"},
		Upstreams: []string{"https://app1.internal:8443", "https://app2.internal:8443/", "unix:/run/helpdesk.sock"},
		App:       "request-tracker",
		TLS:       gateway.SiteTLSConfig{Source: "internal"},
		Upstream: gateway.UpstreamConfig{CAFile: "/etc/doorward/upstream.pem", ServerName: "app.internal", ConnectTimeout: time.Second,
			ResponseTimeout: 90 * time.Second, HealthPath: "/health?deep=1", HealthInterval: 5 * time.Second, MaxFails: 5, RestFor: 90 * time.Second},
		Access: []gateway.AccessRule{
			{Path: "/announcements", Public: true},
			{Path: "/setup", Roles: []string{"owner"}, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"),
				netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("192.0.2.9/32")}},
			{Path: "/internal/", Deny: true},
			{Path: "/reports", Roles: []string{"admin", "agent"}, Zones: []string{"office", "Branch-2"},
				Countries: gateway.CountryConfig{Deny: []string{"FR"}, Unknown: "deny"}, Factor: "passkey", Certificate: true},
		},
		ClientCertificates: gateway.ClientCertificateConfig{CAFile: "/etc/doorward/people.pem", CRLFile: "/etc/doorward/people.crl"},
		Countries:          gateway.CountryConfig{Allow: []string{"DE", "AT"}, Deny: []string{"CH"}, Unknown: "allow"},
		Paths:              gateway.PathConfig{Allow: []string{"encoded-slash", "semicolon", "double-encoding", "backslash"}},
		Headers: gateway.HeaderConfig{ContentSecurityPolicy: "frame-ancestors 'none'; object-src 'none'", FrameOptions: "DENY",
			ReferrerPolicy: "same-origin", XSSProtection: true, HSTS: gateway.HSTS{MaxAge: 5 * time.Minute, ExcludeSubDomains: true}},
		Cookies:  gateway.CookieConfig{SameSite: "strict", RememberMe: true},
		Identity: gateway.IdentityConfig{SecretFile: "/etc/doorward/helpdesk.secret"},
		WAF: gateway.SiteWAFConfig{Mode: "block", LearnUntil: gateway.LearnUntil{Time: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}, Answers: "block", ParanoiaLevel: 2, InboundThreshold: 7, OutboundThreshold: 8,
			BodyLimit: 32 << 20, FieldsLimit: 2 << 20, ParameterLimit: 5000, AnswerLimit: 1 << 20, Exclude: []gateway.WAFExclusion{
				{Path: "/reply", Rules: []gateway.RuleRange{{First: 942100, Last: 942100}, {First: 941000, Last: 941999}}, Parameter: "body"},
				{Tags: []string{"attack-sqli"}, Target: "REQUEST_HEADERS:Referer"}}},
		CSRF: gateway.CSRFConfig{Strict: true, Exceptions: []gateway.CSRFException{
			{Kind: "webhook", Path: "/hooks"},
			{Kind: "embedded", Path: "/form", Origins: []string{"https://www.example.org:8443", "null"}},
			{Kind: "form-post", Path: "/sso", Origins: []string{"http://localhost:3000"}},
			{Kind: "cors", Path: "/api", Origins: []string{"https://www.example.org"}, Methods: []string{"PUT"}, Headers: []string{"x-a"}, Credentials: true},
		}},
		MaxBody: 1 << 30,
	}
	if diff := cmp.Diff(first, got.Gateway.Sites[0], same); diff != "" {
		t.Errorf("first site (-want +got):\n%s", diff)
	}
	if got, want := got.Gateway.Sites[1].TLS, (gateway.SiteTLSConfig{Source: "files", Certificate: "/etc/doorward/cmdb.pem", Key: "/etc/doorward/cmdb.key"}); got != want {
		t.Errorf("second site's TLS is %+v, want %+v", got, want)
	}
	if !got.Gateway.Sites[1].Identity.Off {
		t.Error("identity.off was not read")
	}
	if third := got.Gateway.Sites[2]; !third.ForwardAuth || third.TLS.Source != "internal" {
		t.Errorf("third site's forward_auth is %v and its tls.source %q, want true and internal", third.ForwardAuth, third.TLS.Source)
	}
	got.Gateway.Sites = nil
	want := gateway.Config{
		Listen: gateway.ListenConfig{HTTPS: []string{"192.0.2.1:443", "[::1]:8443", "fd:https"}, HTTP: []string{":80"},
			Plain: []string{"127.0.0.1:8080", "unix:/run/doorward/plain.sock", "localhost:8088"}},
		TLS:            gateway.TLSConfig{ACME: gateway.ACMEConfig{Email: "admin@example.org", Directory: "https://acme.internal/dir", CAFile: "/etc/doorward/acme.pem"}},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("fd00::/8")},
		Limits: gateway.LimitsConfig{Connections: 16000, HeaderBytes: 64 << 10, HeaderTimeout: 5 * time.Second, BodyTimeout: time.Minute,
			IdleTimeout: 30 * time.Second, RequestsPerSecond: 12.5, Burst: 50, InFlight: 500},
		ForwardAuth: gateway.ForwardAuthConfig{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.1.0.7/32")}},
		Zones: []gateway.ZoneConfig{
			{Name: "office", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/48")}},
			{Name: "Branch-2", Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.7/32")}}},
		WAF:     gateway.WAFConfig{Rules: "crs", Memory: 64 << 20, MatchLog: "/var/log/waf.log", Compare: 0.001},
		DataDir: "/etc/doorward/data",
	}
	if diff := cmp.Diff(want, got.Gateway, same); diff != "" {
		t.Errorf("gateway (-want +got):\n%s", diff)
	}
	wantAuth := auth.Config{
		Sessions: auth.SessionsConfig{Idle: 30 * time.Minute, Absolute: 8 * time.Hour},
		SignIn: auth.SignInConfig{Failures: 5, Wait: 20 * time.Second,
			Staff: auth.RateConfig{Window: 5 * time.Minute, PerAddress: 20, PerAccount: 6, Total: 500},
			Users: auth.RateConfig{Window: 20 * time.Minute, PerAddress: 40, PerAccount: 12, Total: 2000}},
		Notices:  auth.NoticesConfig{SignIn: "every", NoFailures: true},
		Browsers: []auth.BrowserConfig{{Name: "firefox", Oldest: 128}},
		Passwords: password.Config{Preset: "deskpro", MinLength: 14, MinLengthWithFactor: 10, Classes: []string{"lower", "digit"},
			MaxAge: 90 * 24 * time.Hour, History: 5, ChangeAtFirstSignIn: true, MinScore: 3, AllowCommon: true, ContextWords: []string{"example"},
			BreachCheck: password.BreachConfig{URL: "https://pwned.example.org/range/", Timeout: 2 * time.Second}},
		Roles: []auth.RoleConfig{
			{Name: "admin", Factor: "passkey", Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Zones: []string{"office"},
				Privileges: []auth.Privilege{auth.UseConsole, auth.SeeEvents},
				Sessions:   auth.RoleSessionsConfig{Idle: 10 * time.Minute, Absolute: 4 * time.Hour, Remember: 24 * time.Hour, RequireActivity: true},
				Passwords:  password.Config{Preset: "mor"},
				TrustedAddresses: auth.TrustConfig{Required: true, Period: 7 * 24 * time.Hour,
					Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}},
			{Name: "supervisor", Staff: true, Factor: "any"}},
		Review: auth.ReviewConfig{Every: 720 * time.Hour, StaleAfter: 1440 * time.Hour, MaxAdmins: 3},
		Registration: auth.RegistrationConfig{Enabled: true, Domains: []string{"example.org"}, Phone: "optional", Region: "DE",
			Countries: []string{"DE", "+43"}, PerAddress: 2, PerDay: 50,
			SMS: auth.SMSConfig{URL: "https://sms.example.org/send", TokenFile: "/etc/doorward/sms.token", Timeout: 4 * time.Second,
				PerNumber: 2, PerAddress: 4, PerCountry: 60, PerDay: 90}},
		SiteHosts: []string{"helpdesk.example.org", "helpdesk.example.net", "192.0.2.7", "2001:db8::7", "cmdb.example.org", "billing.example.org"},
		OIDC:      got.OIDC, LDAP: got.LDAP, // judged below
		Zones:        []auth.Zone{{Name: "office", Networks: got.Gateway.Zones[0].Networks}, {Name: "Branch-2", Networks: got.Gateway.Zones[1].Networks}},
		PasswordHash: auth.HashConfig{MemoryKiB: 65536, Time: 3, Parallelism: 2, AtOnce: 4, Queue: 100, QueueWait: 5 * time.Second},
		Factors: auth.FactorsConfig{Name: "Example Ltd", RPID: "example.org", Hosts: []string{"helpdesk.example.org", "helpdesk.example.net",
			"192.0.2.7", "2001:db8::7", "cmdb.example.org", "billing.example.org", "localhost", "console.example.org"}},
		DataDir: "/etc/doorward/data",
	}
	if diff := cmp.Diff(wantAuth, got.Auth, same); diff != "" {
		t.Errorf("auth (-want +got):\n%s", diff)
	}
	wantOIDC := oidc.Config{Name: "staff", Title: "the staff account", Issuer: "https://login.example.org/realms/staff", ClientID: "doorward",
		ClientSecretFile: "/etc/doorward/oidc.secret", Scopes: []string{"openid", "groups"}, CAFile: "/etc/doorward/oidc.pem",
		UsernameClaim: "upn", UsernameDomain: "example.org", EmailClaim: "mail", NameClaim: "display_name", GroupsClaim: "realm_access.roles", UserInfo: true,
		Roles: []oidc.RoleConfig{{Group: "helpdesk", Role: "agent"}}, DefaultRole: "user", CreateAccounts: true, AllowUnverifiedEmail: true,
		SecondFactorAMR: []string{"mfa", "hwk"}, SecondFactorACR: []string{"gold"}}
	if diff := cmp.Diff([]oidc.Config{wantOIDC}, got.OIDC); diff != "" {
		t.Errorf("oidc (-want +got):\n%s", diff)
	}
	wantLDAP := directory.Config{Name: "office", URL: "ldaps://ldap.example.org", CAFile: "/etc/doorward/ldap.pem", ServerName: "ldap.internal",
		BindDN: "cn=doorward,dc=example,dc=org", BindPasswordFile: "/etc/doorward/ldap.password", BaseDN: "ou=people,dc=example,dc=org",
		UserFilter: "(sAMAccountName={login})", UsernameAttribute: "sAMAccountName", EmailAttribute: "userPrincipalName", NameAttribute: "cn",
		MemberOfAttribute: "isMemberOf", GroupBaseDN: "ou=groups,dc=example,dc=org", GroupFilter: "(memberUid={username})", NestedGroups: true,
		Roles: []directory.RoleConfig{{Group: "cn=helpdesk,ou=groups,dc=example,dc=org", Role: "agent"}}, DefaultRole: "user", CreateAccounts: true,
		DecoyDN: "cn=decoy,dc=example,dc=org", Timeout: 5 * time.Second, Connections: 4}
	if diff := cmp.Diff(wantLDAP, got.LDAP[0]); diff != "" {
		t.Errorf("ldap (-want +got):\n%s", diff)
	}
	if !got.LDAP[1].Plain {
		t.Error("plain was not read")
	}
	if got, want := got.Store, (store.Config{Path: "/etc/doorward/state.db", URLFile: "/etc/doorward/postgresql.url"}); got != want {
		t.Errorf("store is %+v, want %+v", got, want)
	}
	if got.Events.RetentionDays != 90 || got.Events.Queue != 1024 {
		t.Errorf("events are %+v, want 90 days and a queue of 1024", got.Events)
	}
	if got, want := got.Geo, (geo.Config{Database: "/etc/doorward/countries.mmdb", MaxAge: 30 * 24 * time.Hour}); got != want {
		t.Errorf("geo is %+v, want %+v", got, want)
	}
	wantDecisions := decision.Config{Allow: []string{"192.0.2.9", "2001:db8:9::/48", "office.example.org"}, Trial: true, Max: 50_000, MaxSpoofable: 100,
		MinPrefix4: 20, MinPrefix6: 48, DefaultDuration: 12 * time.Hour, Remember: 240 * time.Hour,
		Throttle: decision.ThrottleConfig{RequestsPerSecond: 0.2, Burst: 3}, ChallengePass: time.Hour,
		BouncerAPI: decision.BouncerConfig{Listen: "192.0.2.1:8081", Certificate: "/etc/doorward/bouncers.pem", Key: "/etc/doorward/bouncers.key"},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("fd00::/8"),
			netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.1.0.7/32")}}
	if diff := cmp.Diff(wantDecisions, got.Decisions, same); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
	if got, want := got.HostNames, (hostname.Config{Off: true, Resolver: "[2001:db8::53]:53", Timeout: time.Second, TTL: 30 * time.Minute,
		NegativeTTL: time.Minute}); got != want {
		t.Errorf("host_names is %+v, want %+v", got, want)
	}
	wantConsole := console.Config{Listen: []string{"127.0.0.1:9444", "[::1]:9444"}, Hosts: []string{"localhost", "console.example.org"},
		Networks: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")}}
	if diff := cmp.Diff(wantConsole, got.Console, same); diff != "" {
		t.Errorf("console (-want +got):\n%s", diff)
	}
	wantMail := mail.Config{Host: "smtp.example.org", Port: 2587, Encryption: mail.Implicit, CAFile: "/etc/doorward/mail-ca.pem", ServerName: "mail.internal",
		Username: "desk", PasswordFile: "/etc/doorward/mail.password", From: "Helpdesk <helpdesk@example.org>", ReplyTo: "staff@example.org",
		Hello: "desk.example.org", Timeout: 10 * time.Second}
	if got.Mail != wantMail {
		t.Errorf("mail is %+v, want %+v", got.Mail, wantMail)
	}
	net := netip.MustParsePrefix
	port := func(first, last uint16, networks ...netip.Prefix) ruleset.Opening {
		return ruleset.Opening{Port: ruleset.Ports{First: first, Last: last}, Networks: networks}
	}
	wantFirewall := firewall.Config{Enforce: true, Socket: "/run/other.sock", Allow: []netip.Prefix{net("192.0.2.0/24"), net("2001:db8::1/128")},
		Rules: ruleset.Config{TCP: []ruleset.Opening{port(443, 443), port(8000, 8010, net("10.0.0.0/8"))}, UDP: []ruleset.Opening{port(5060, 5060)},
			AdminNetworks: []netip.Prefix{net("10.9.0.0/16")}, SSHPort: 2222, SSHPerMinute: 4, Forward: "drop", LogPerMinute: 30,
			OutboundTCP: []ruleset.Opening{port(443, 443)}, OutboundUDP: []ruleset.Opening{port(53, 53, net("192.0.2.53/32"))}}}
	if diff := cmp.Diff(wantFirewall, got.Firewall, same); diff != "" {
		t.Errorf("firewall (-want +got):\n%s", diff)
	}
	if got, want := got.Log, (config.LogConfig{Level: "debug", Format: "json"}); got != want {
		t.Errorf("log is %+v, want %+v", got, want)
	}
}

func TestEmptySectionsAreAbsentAndEmptyListsAreNot(t *testing.T) {
	got := parseFixture(t, "empty-sections.yaml").Gateway
	if got.Limits.Connections != 8000 {
		t.Errorf("connections are %d, want the default", got.Limits.Connections)
	}
	if len(got.Listen.HTTP) != 0 {
		t.Errorf("listen.http is %v, want none: the file says so", got.Listen.HTTP)
	}
}

func TestChosenHTTPSPortOpensNoOther(t *testing.T) {
	cfg, err := config.Parse("c.yaml", []byte("listen: {https: [':8443']}\nsites: [{hosts: [a.example.org], upstreams: ['http://127.0.0.1:1']}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Gateway.Listen.HTTP) != 0 {
		t.Errorf("listen.http is %v, want none", cfg.Gateway.Listen.HTTP)
	}
}

func TestCredentialsComeFromSystemd(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "/run/credentials/doorward.service")
	got := parseFixture(t, "credential.yaml")
	if want := "/run/credentials/doorward.service/postgresql"; got.Store.URLFile != want {
		t.Errorf("url_file is %s, want %s", got.Store.URLFile, want)
	}
	if want := "/run/credentials/doorward.service/helpdesk"; got.Gateway.Sites[0].Identity.SecretFile != want {
		t.Errorf("secret_file is %s, want %s", got.Gateway.Sites[0].Identity.SecretFile, want)
	}
}

// TestFirewallFollowsTheAudit: who declares administrators and open ports for the audit need not say it again.
func TestFirewallFollowsTheAudit(t *testing.T) {
	cfg, err := config.Parse("doorward.yaml", []byte(`
sites: [{hosts: [localhost], upstreams: ["http://127.0.0.1:8080"]}]
audit: {admin_networks: [192.0.2.0/24], open_ports: [tcp/443, udp/5060]}
firewall: {tcp: []}
`))
	if err != nil {
		t.Fatal(err)
	}
	got := cfg.Firewall.Rules
	if len(got.AdminNetworks) != 1 || got.AdminNetworks[0].String() != "192.0.2.0/24" {
		t.Errorf("admin_networks are %v, want those of the audit", got.AdminNetworks)
	}
	if len(got.TCP) != 0 || len(got.UDP) != 1 || got.UDP[0].Port.String() != "5060" {
		t.Errorf("tcp %v and udp %v, want none and 5060", got.TCP, got.UDP)
	}
}
