package decision

import (
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is the `decisions` section of the configuration file. The zero value of every field means its default, which SetDefaults fills in.
type Config struct {
	// Allow are addresses, networks and DNS names that no decision may ever be about, and that no rate of requests is held against. The
	// addresses of a name are asked for every five minutes; while no name server answers, the last answer counts. Addresses of this machine
	// and trusted_proxies are always allowed.
	Allow []string `yaml:"allow"`
	// Trial lets decisions be about addresses of this machine that are not in allow, and allows nothing that is not in it: for a demo or a
	// trial, where attacks come from 127.0.0.66.
	Trial bool `yaml:"trial"`
	// Max is how many decisions there may be at once. One more displaces the one that ends soonest. While half of them are for good, what
	// would be for good lasts a year, unless a person makes it. Default: 200000.
	Max int `yaml:"max"`
	// MaxSpoofable is how many decisions there may be at once that datagrams alone led to: anybody can write their source. One more
	// displaces the one that ends soonest. Default: 1000.
	MaxSpoofable int `yaml:"max_spoofable"`
	// MinPrefix4 is the shortest prefix length that a decision about IPv4 may have. Default: 16.
	MinPrefix4 int `yaml:"min_prefix4"`
	// MinPrefix6 is the same for IPv6. Default: 32.
	MinPrefix6 int `yaml:"min_prefix6"`
	// DefaultDuration is how long a decision lasts that a person makes without saying so. Default: 4h.
	DefaultDuration time.Duration `yaml:"default_duration"`
	// Remember is how long earlier decisions count for escalation, at least 24h. Default: 720h.
	Remember time.Duration  `yaml:"remember"`
	Throttle ThrottleConfig `yaml:"throttle"`
	// ChallengePass is how long a browser that has answered a challenge is let through. Default: 30m.
	ChallengePass time.Duration `yaml:"challenge_pass"`
	BouncerAPI    BouncerConfig `yaml:"bouncer_api"`

	// TrustedProxies are never banned; they are the file's trusted_proxies and forward_auth.trusted.
	TrustedProxies []netip.Prefix `yaml:"-"`
}

// ThrottleConfig is the rate that the action throttle leaves to an address.
type ThrottleConfig struct {
	// RequestsPerSecond is the lasting rate. Default: 0.5.
	RequestsPerSecond float64 `yaml:"requests_per_second"`
	// Burst is how many requests may come at once after a pause. Default: 5.
	Burst int `yaml:"burst"`
}

// BouncerConfig is the listener for programs that read the decisions by CrowdSec's protocol.
type BouncerConfig struct {
	// Listen is the address, such as 127.0.0.1:8080. Empty: there is no such listener. Other than loopback addresses need a certificate,
	// because the key of a bouncer is sent with each request.
	Listen string `yaml:"listen"`
	// Certificate is a PEM file of the certificate and its chain; with it the listener speaks TLS.
	Certificate string `yaml:"certificate"`
	// Key is a PEM file of the certificate's key.
	Key string `yaml:"key"`
}

// Caps that no setting can lift.
const (
	hardMax       = 1_000_000
	maxAllow      = 1000
	maxAllowNames = 64
	leastPrefix4  = 8
	leastPrefix6  = 16
)

// SetDefaults fills in what was left out.
func (c *Config) SetDefaults() {
	for _, v := range []struct {
		at    *int
		value int
	}{{&c.Max, 200_000}, {&c.MaxSpoofable, 1000}, {&c.MinPrefix4, 16}, {&c.MinPrefix6, 32}, {&c.Throttle.Burst, 5}} {
		if *v.at == 0 {
			*v.at = v.value
		}
	}
	for _, v := range []struct {
		at    *time.Duration
		value time.Duration
	}{{&c.DefaultDuration, 4 * time.Hour}, {&c.Remember, 30 * 24 * time.Hour}, {&c.ChallengePass, 30 * time.Minute}} {
		if *v.at == 0 {
			*v.at = v.value
		}
	}
	if c.Throttle.RequestsPerSecond == 0 {
		c.Throttle.RequestsPerSecond = 0.5
	}
}

// Validate reports what is wrong with the completed section, by the path of the setting below it.
func (c Config) Validate(report func(path, format string, args ...any)) {
	c.validateAllow(report)
	between := func(path string, value, low, high int) {
		if value < low || value > high {
			report(path, "%d is not from %d to %d", value, low, high)
		}
	}
	between("max", c.Max, 1, hardMax)
	between("max_spoofable", c.MaxSpoofable, 1, c.Max)
	between("min_prefix4", c.MinPrefix4, leastPrefix4, 32)
	between("min_prefix6", c.MinPrefix6, leastPrefix6, 128)
	between("throttle.burst", c.Throttle.Burst, 1, 1000)
	if r := c.Throttle.RequestsPerSecond; !(r >= 0.01 && r <= 1000) { // also of NaN
		report("throttle.requests_per_second", "%v is not from 0.01 to 1000", r)
	}
	for _, d := range []struct {
		path             string
		value, low, high time.Duration
	}{{"default_duration", c.DefaultDuration, time.Second, longest}, {"remember", c.Remember, 24 * time.Hour, 366 * 24 * time.Hour},
		{"challenge_pass", c.ChallengePass, time.Minute, 24 * time.Hour}} {
		if d.value < d.low || d.value > d.high {
			report(d.path, "%v is not from %v to %v", d.value, d.low, d.high)
		}
	}
	c.BouncerAPI.validate(report)
}

func (c Config) validateAllow(report func(path, format string, args ...any)) {
	if len(c.Allow) > maxAllow {
		report("allow", "has %d entries, more than %d; write networks in the place of addresses", len(c.Allow), maxAllow)
		return
	}
	names := 0
	for i, entry := range c.Allow {
		path := "allow[" + strconv.Itoa(i) + "]"
		prefix, name, ok := parseAllowed(entry)
		switch {
		case !ok:
			report(path, "%q is not an address, a network or a DNS name", entry)
		case name != "":
			if names++; names > maxAllowNames {
				report(path, "is one name too many, of at most %d; give addresses or networks", maxAllowNames)
			}
		case prefix.Bits() == 0:
			report(path, "%s is everybody, so that no decision would ever hold; name the networks that need it", entry)
		}
	}
}

// Networks returns the allowed addresses and networks that stand in the configuration, trusted proxies among them. Names are not.
func (c Config) Networks() []netip.Prefix {
	all := slices.Clone(c.TrustedProxies)
	for _, entry := range c.Allow {
		if prefix, name, ok := parseAllowed(entry); ok && name == "" {
			all = append(all, prefix)
		}
	}
	return all
}

// dnsName is a host name of at least one letter, so that no mistyped address is one.
func dnsName(text string) bool {
	ok, err := regexp.MatchString(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?$`, text)
	return ok && err == nil && len(text) <= 253
}

// parseAllowed reads an entry of the allow list: a prefix, or a name.
func parseAllowed(entry string) (prefix netip.Prefix, name string, ok bool) {
	if addr, err := netip.ParseAddr(entry); err == nil {
		if addr.Zone() != "" {
			return netip.Prefix{}, "", false
		}
		prefix, ok = canonicalPrefix(netip.PrefixFrom(addr, addr.BitLen()))
		return prefix, "", ok
	}
	if p, err := netip.ParsePrefix(entry); err == nil {
		prefix, ok = canonicalPrefix(p)
		return prefix, "", ok
	}
	if dnsName(entry) {
		return netip.Prefix{}, strings.ToLower(strings.TrimSuffix(entry, ".")), true
	}
	return netip.Prefix{}, "", false
}

func (c BouncerConfig) validate(report func(path, format string, args ...any)) {
	if (c.Certificate == "") != (c.Key == "") {
		report("bouncer_api.certificate", "and key belong together; give both or neither")
	}
	if c.Listen == "" {
		return
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		report("bouncer_api.listen", "%q is not host:port", c.Listen)
		return
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		report("bouncer_api.listen", "%q is not a port", port)
	}
	addr, err := netip.ParseAddr(host)
	if c.Certificate == "" && (err != nil || !addr.IsLoopback()) && host != "localhost" {
		report("bouncer_api.listen", "%s can be reached from elsewhere, and keys would travel unprotected; give certificate and key, or listen on 127.0.0.1", c.Listen)
	}
}
