package gateway

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Config is the gateway's part of the configuration file. The zero value of every field means its default,
// which SetDefaults fills in. It is immutable once it was given to New or Reload.
type Config struct {
	Listen ListenConfig `yaml:"listen"`
	TLS    TLSConfig    `yaml:"tls"`
	// TrustedProxies are the networks of the proxies in front of Doorward whose X-Forwarded-For and Forwarded headers
	// are believed. Default: none.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
	// ForwardAuth lets proxies ask about requests that do not come through Doorward.
	ForwardAuth ForwardAuthConfig `yaml:"forward_auth"`
	Limits      LimitsConfig      `yaml:"limits"`
	// Zones are networks with a name, for access rules.
	Zones []ZoneConfig `yaml:"zones"`
	// WAF is the web application firewall: what all sites share.
	WAF   WAFConfig    `yaml:"waf"`
	Sites []SiteConfig `yaml:"sites"`

	// DataDir is where certificates, keys and generated secrets live; it is the file's data_dir.
	DataDir string `yaml:"-"`
}

// ListenConfig says where the gateway listens. An address is host:port, or fd:NAME for a socket that
// systemd passed under that name. A socket that systemd passed and that is bound to a host:port given here is taken over,
// so that :443 and :80 work with the packaged socket units too.
type ListenConfig struct {
	// HTTPS addresses serve the sites. Default: :443 as long as no address at all is given.
	HTTPS []string `yaml:"https"`
	// HTTP addresses only redirect to https and answer ACME challenges (F-45). Default: :80 as long as no address at
	// all is given.
	HTTP []string `yaml:"http"`
	// Plain addresses serve the sites without TLS, behind something on this host that ends TLS: a loopback
	// address or unix:PATH, anything else is refused.
	Plain []string `yaml:"plain"`
}

// TLSConfig says where certificates come from for sites that name no files of their own.
type TLSConfig struct {
	ACME ACMEConfig `yaml:"acme"`
}

// ACMEConfig is the account with the certificate authority (RFC 8555).
type ACMEConfig struct {
	// Email is given to the authority for notices about the account. May be empty.
	Email string `yaml:"email"`
	// Directory is the authority's directory URL. Default: Let's Encrypt's production directory.
	Directory string `yaml:"directory"`
	// CAFile holds the PEM roots to trust for Directory, for an authority of one's own.
	CAFile string `yaml:"ca_file"`
}

// LimitsConfig caps what one client, and all clients together, can make the gateway hold.
type LimitsConfig struct {
	Connections       int           `yaml:"connections"`         // open at once, all clients; default 8000, of which an eighth is kept for one session
	HeaderBytes       Size          `yaml:"header_bytes"`        // request line and headers; default 32KiB
	HeaderTimeout     time.Duration `yaml:"header_timeout"`      // to send all headers; default 10s
	BodyTimeout       time.Duration `yaml:"body_timeout"`        // longest pause inside a body; default 30s
	IdleTimeout       time.Duration `yaml:"idle_timeout"`        // kept-alive connection at rest; default 2m
	RequestsPerSecond float64       `yaml:"requests_per_second"` // per session or address; default 200
	Burst             int           `yaml:"burst"`               // requests that may come at once above that rate; default 400
	InFlight          int           `yaml:"in_flight"`           // requests at once; default 2000, of which strangers get three quarters, and one session, or one address of theirs, an eighth
}

// ForwardAuthConfig is for proxies that keep their place in front of an application and ask Doorward about each request
// (docs/forward-auth.md).
type ForwardAuthConfig struct {
	// Trusted are the networks of the proxies that may ask at /.doorward/authz, and whose X-Forwarded-Method, -Proto, -Host,
	// -Uri and -For are believed there. For everybody else there is no such page. Default: none.
	Trusted []netip.Prefix `yaml:"trusted"`
}

// ZoneConfig is a name for networks, such as those of an office.
type ZoneConfig struct {
	// Name is what access rules call the zone: letters, digits and dashes.
	Name string `yaml:"name"`
	// Networks are the zone's addresses, as 192.0.2.0/24 or 2001:db8::/48.
	Networks []netip.Prefix `yaml:"networks"`
}

// CountryConfig lets people in by the country of their address (M-42). It needs a country database. Private addresses
// belong to no country and always pass.
type CountryConfig struct {
	// Allow, if any, must hold the country, as two capital letters (ISO 3166-1).
	Allow []string `yaml:"allow"`
	// Deny must not hold it.
	Deny []string `yaml:"deny"`
	// Unknown says what becomes of addresses whose country the database does not know: allow or deny. Default: deny
	// with a list of allowed countries, else allow.
	Unknown string `yaml:"unknown"`
}

// Set tells whether the rule asks for anything.
func (c CountryConfig) Set() bool { return len(c.Allow) > 0 || len(c.Deny) > 0 || c.Unknown != "" }

// SiteConfig is one application behind the gateway.
type SiteConfig struct {
	// Hosts are the names under which people reach the site, without scheme or port.
	Hosts []string `yaml:"hosts"`
	// Upstreams are the application's addresses: http://host:port, https://host:port or unix:/path.
	Upstreams []string `yaml:"upstreams"`
	// ForwardAuth says that another proxy reaches the application and asks Doorward about each request, so that the site
	// needs no upstreams. Doorward then serves the sign-in page and its like only.
	ForwardAuth bool `yaml:"forward_auth"`
	// App names the application's folder: request-tracker, deskpro, faveo, idoit, mor, generic, or the path
	// of a folder of one's own. Default: generic.
	App string `yaml:"app"`

	TLS SiteTLSConfig `yaml:"tls"`
	// ClientCertificates are the certificates that access rules can ask for.
	ClientCertificates ClientCertificateConfig `yaml:"client_certificates"`
	Upstream           UpstreamConfig          `yaml:"upstream"`
	Access             []AccessRule            `yaml:"access"`
	// Countries closes the whole site, the sign-in page with it.
	Countries CountryConfig  `yaml:"countries"`
	Paths     PathConfig     `yaml:"paths"`
	Headers   HeaderConfig   `yaml:"headers"`
	Cookies   CookieConfig   `yaml:"cookies"`
	Identity  IdentityConfig `yaml:"identity"`
	// CSRF says what pages of other sites may start (I-81).
	CSRF CSRFConfig `yaml:"csrf"`
	// WAF is the web application firewall before the application.
	WAF SiteWAFConfig `yaml:"waf"`
	// MaxBody caps a request's body. Default 64MiB.
	MaxBody Size `yaml:"max_body"`
	// AnyHost is for public test tools of firewalls (docs/waf-testing.md): requests for any host, or with a broken one, are this
	// site's, and the firewall sees each request as it came, before anything else refuses it. Only where this is the one site and
	// listen.plain, which other machines cannot reach, is the only way in.
	AnyHost bool `yaml:"any_host"`
}

// CSRFConfig is the guard against requests that change something and were started by another site's page. Such a request
// needs an Origin or Sec-Fetch-Site of the site itself; programs without a browser's name need none, unless Strict.
type CSRFConfig struct {
	// Off leaves the guard to the application: for public test tools.
	Off bool `yaml:"off"`
	// Strict asks every request with cookies for its origin, whatever program sends it.
	Strict bool `yaml:"strict"`
	// Exceptions are what others may start.
	Exceptions []CSRFException `yaml:"exceptions"`
}

// CSRFException lets pages or programs of others start requests below one path. The access rules decide as ever, and a
// request without cookies is a stranger's: the path usually has to be public.
type CSRFException struct {
	// Kind is webhook (programs of any origin; without cookies), embedded (forms on pages of Origins; without cookies),
	// form-post (an identity provider's answer, sent as a form by its page; with the application's cookies) or cors (scripts
	// of Origins; Doorward answers the browser's question before them, and says that they may read the answer).
	Kind string `yaml:"kind"`
	// Path is a prefix of whole segments, exactly as written.
	Path string `yaml:"path"`
	// Origins are the pages that may, such as https://www.example.org; null for pages that hide where they are.
	Origins []string `yaml:"origins"`
	// Methods, of kind cors, are those that change something. Default: POST.
	Methods []string `yaml:"methods"`
	// Headers, of kind cors, are the request headers that scripts may set. Default: content-type.
	Headers []string `yaml:"headers"`
	// Credentials, of kind cors, passes the visitor's cookies.
	Credentials bool `yaml:"credentials"`
}

// SiteTLSConfig chooses a site's certificate.
type SiteTLSConfig struct {
	// Source is acme, files or internal (Doorward's own authority, for localhost and private names).
	// Default: files if Certificate is set, internal for localhost, *.localhost and addresses, else acme.
	Source      string `yaml:"source"`
	Certificate string `yaml:"certificate"` // PEM file, leaf first
	Key         string `yaml:"key"`         // PEM file
}

// ClientCertificateConfig lets access rules ask for a certificate in the person's browser (I-53). The handshake then asks
// for one at all hosts of the site. It needs TLS that ends here.
type ClientCertificateConfig struct {
	// CAFile holds the PEM certificates of the authorities whose certificates are accepted.
	CAFile string `yaml:"ca_file"`
	// CRLFile holds the authorities' lists of revoked certificates, in PEM or one in DER. With it, no certificate passes
	// whose authority has no current list there. It is read again within a minute when it changes.
	CRLFile string `yaml:"crl_file"`
}

// UpstreamConfig says how the application is reached and watched.
type UpstreamConfig struct {
	CAFile         string        `yaml:"ca_file"`         // PEM roots for https upstreams; default: the system's
	ServerName     string        `yaml:"server_name"`     // name to verify in the upstream's certificate; default: its host
	ConnectTimeout time.Duration `yaml:"connect_timeout"` // until the connection stands; default 5s
	// ResponseTimeout bounds the wait for an answer's headers. Default 60s.
	ResponseTimeout time.Duration `yaml:"response_timeout"`
	HealthPath      string        `yaml:"health_path"`     // GET by the health check; default: connect only
	HealthInterval  time.Duration `yaml:"health_interval"` // between two health checks; default 10s
	MaxFails        int           `yaml:"max_fails"`       // failures in a row until an upstream rests; default 3
	RestFor         time.Duration `yaml:"rest_for"`        // how long it rests; default 10s
}

// AccessRule is one line of a site's access policy: the first whose path is a prefix of the request's
// decides. At most one of Public and Deny may be set; everything else narrows.
type AccessRule struct {
	// Path is a prefix; it matches whole segments: /admin and /admin/ match /admin and /admin/x, not /administrator.
	Path string `yaml:"path"`
	// Public lets everybody pass, signed in or not.
	Public bool `yaml:"public"`
	// Deny refuses everybody.
	Deny bool `yaml:"deny"`
	// Roles names who may pass. Default: any role.
	Roles []string `yaml:"roles"`
	// Networks, if any, must contain the client's address (D-03, D-31, M-19); so may one of Zones.
	Networks []netip.Prefix `yaml:"networks"`
	// Zones are names from the list zones: networks that may contain the client's address, beside those of Networks.
	Zones []string `yaml:"zones"`
	// Countries narrows the rule to people in some countries.
	Countries CountryConfig `yaml:"countries"`
	// Factor says how surely the person must have been recognised: any asks for a second factor, passkey for a passkey or
	// security key. Whoever has signed in with less is asked for it. Default: a password is enough.
	Factor string `yaml:"factor"`
	// Certificate asks for a valid client certificate (I-53), whoever is signed in.
	Certificate bool `yaml:"certificate"`
}

// PathConfig loosens the canonical path for applications that need it.
type PathConfig struct {
	// Allow holds: encoded-slash, semicolon, double-encoding, backslash. Everything else stays refused.
	Allow []string `yaml:"allow"`
}

// HeaderConfig changes the response headers that a site gets (I-37 … I-43, I-49).
type HeaderConfig struct {
	// ContentSecurityPolicy replaces the default, which is added only where the application sent none.
	ContentSecurityPolicy string `yaml:"content_security_policy"`
	// FrameOptions is SAMEORIGIN (default), DENY or off.
	FrameOptions string `yaml:"frame_options"`
	// ReferrerPolicy defaults to strict-origin-when-cross-origin.
	ReferrerPolicy string `yaml:"referrer_policy"`
	// XSSProtection adds X-XSS-Protection: 1; mode=block (I-39). Off: browsers have removed the filter, and where
	// it still runs it can be turned against the page.
	XSSProtection bool `yaml:"xss_protection"`
	HSTS          HSTS `yaml:"hsts"`
}

// HSTS is the Strict-Transport-Security header (I-49, RFC 6797). The default is the guide's: 15768000
// seconds with includeSubDomains.
type HSTS struct {
	Off               bool          `yaml:"off"`                // sends no such header
	MaxAge            time.Duration `yaml:"max_age"`            // how long browsers insist on TLS
	ExcludeSubDomains bool          `yaml:"exclude_subdomains"` // leaves names below the host alone
}

// CookieConfig repairs the application's cookies.
type CookieConfig struct {
	// SameSite is added to cookies that carry none: lax (default), strict or off.
	SameSite string `yaml:"same_site"`
	// RememberMe lets the application keep its session cookies past the browser's end. Off, Max-Age and Expires
	// are taken from the cookies that the application's folder names as sessions (D-18); deletion still works.
	RememberMe bool `yaml:"remember_me"`
}

// IdentityConfig says how the application learns who is signed in (I-83).
type IdentityConfig struct {
	// Off sends no identity at all.
	Off bool `yaml:"off"`
	// SecretFile holds the shared secret, one a line, the first is sent, the second is the one before, which
	// the application still accepts during a rotation. Default: a generated one in the data folder.
	SecretFile string `yaml:"secret_file"`
}

// Size is a number of bytes, written as 32KiB, 64MiB, 1GiB or a plain number.
type Size int64

// UnmarshalText reads a size; the error names the accepted forms.
func (s *Size) UnmarshalText(text []byte) error {
	value := strings.TrimSpace(string(text))
	unit := int64(1)
	for suffix, factor := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if number, found := strings.CutSuffix(value, suffix); found {
			value, unit = strings.TrimSpace(number), factor
		}
	}
	number, err := strconv.ParseInt(value, 10, 64)
	if err != nil || number < 0 || number > (1<<62)/unit {
		return fmt.Errorf("size %q: write a number of bytes, or one with KiB, MiB or GiB", text)
	}
	*s = Size(number * unit)
	return nil
}

// String writes the size as UnmarshalText reads it.
func (s Size) String() string {
	for _, u := range []struct {
		suffix string
		factor Size
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s != 0 && s%u.factor == 0 {
			return strconv.FormatInt(int64(s/u.factor), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
