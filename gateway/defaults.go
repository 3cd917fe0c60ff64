package gateway

import (
	"net/netip"
	"strings"
	"time"

	"github.com/doorward/doorward/gateway/waf"
)

// SetDefaults fills in every setting that the file left out. A list that the file gives as empty stays
// empty: that is how a listener is turned off.
func (c *Config) SetDefaults() {
	c.Listen.setDefaults()
	if c.TLS.ACME.Directory == "" {
		c.TLS.ACME.Directory = "https://acme-v02.api.letsencrypt.org/directory"
	}
	c.Limits.setDefaults()
	setDefault(&c.WAF.Rules, waf.Doorward)
	setDefault(&c.WAF.Memory, 256<<20)
	for i := range c.Sites {
		c.Sites[i].setDefaults()
	}
}

// setDefaults opens the well-known ports only where the file names no address at all: whoever chose a
// high port for HTTPS usually may not open port 80 either.
func (l *ListenConfig) setDefaults() {
	if l.HTTPS == nil && l.HTTP == nil && l.Plain == nil {
		l.HTTPS = []string{":443"}
		l.HTTP = []string{":80"}
	}
}

func (l *LimitsConfig) setDefaults() {
	setDefault(&l.Connections, 8000)
	setDefault(&l.HeaderBytes, 32<<10)
	setDefault(&l.HeaderTimeout, 10*time.Second)
	setDefault(&l.BodyTimeout, 30*time.Second)
	setDefault(&l.IdleTimeout, 2*time.Minute)
	setDefault(&l.RequestsPerSecond, 200)
	setDefault(&l.Burst, 400)
	setDefault(&l.InFlight, 2000)
}

func (s *SiteConfig) setDefaults() {
	setDefault(&s.App, "generic")
	setDefault(&s.MaxBody, 64<<20)
	setDefault(&s.TLS.Source, s.defaultSource())
	setDefault(&s.Upstream.ConnectTimeout, 5*time.Second)
	setDefault(&s.Upstream.ResponseTimeout, time.Minute)
	setDefault(&s.Upstream.HealthInterval, 10*time.Second)
	setDefault(&s.Upstream.MaxFails, 3)
	setDefault(&s.Upstream.RestFor, 10*time.Second)
	setDefault(&s.Headers.ContentSecurityPolicy, "frame-ancestors 'self'; base-uri 'self'; object-src 'none'")
	setDefault(&s.Headers.FrameOptions, "SAMEORIGIN")
	setDefault(&s.Headers.ReferrerPolicy, "strict-origin-when-cross-origin")
	setDefault(&s.Headers.HSTS.MaxAge, 15768000*time.Second)
	setDefault(&s.Cookies.SameSite, "lax")
	s.WAF.setDefaults(s.MaxBody)
	for i := range s.CSRF.Exceptions {
		s.CSRF.Exceptions[i].setDefaults()
	}
}

func (s *SiteConfig) defaultSource() string {
	if s.TLS.Certificate != "" || s.TLS.Key != "" {
		return "files"
	}
	if s.ForwardAuth {
		return "internal" // browsers see the other proxy's certificate
	}
	for _, host := range s.Hosts {
		if !privateName(host) {
			return "acme"
		}
	}
	return "internal"
}

// privateName tells whether no public authority certifies host: localhost, a name below it, or an address.
func privateName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

func setDefault[T comparable](setting *T, value T) {
	var zero T
	if *setting == zero {
		*setting = value
	}
}

func (e *CSRFException) setDefaults() {
	if e.Kind != forgeryCORS {
		return
	}
	if e.Methods == nil {
		e.Methods = []string{"POST"}
	}
	if e.Headers == nil {
		e.Headers = []string{"content-type"}
	}
}

func (c *SiteWAFConfig) setDefaults(maxBody Size) {
	setDefault(&c.Mode, string(waf.Block))
	if c.Mode == string(waf.Off) {
		setDefault(&c.Answers, string(waf.Off))
	}
	setDefault(&c.Answers, string(waf.Detect))
	setDefault(&c.ParanoiaLevel, 1)
	setDefault(&c.InboundThreshold, 5)
	setDefault(&c.OutboundThreshold, 4)
	setDefault(&c.BodyLimit, min(16<<20, maxBody))
	setDefault(&c.FieldsLimit, min(1<<20, c.BodyLimit))
	setDefault(&c.ParameterLimit, 1000)
	setDefault(&c.AnswerLimit, 512<<10)
}
