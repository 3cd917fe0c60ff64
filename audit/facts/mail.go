package facts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

const (
	mailTime  = 12 * time.Second
	maxMX     = 10       // servers of one domain that are probed
	maxPolicy = 64 << 10 // bytes of an MTA-STS policy (RFC 8461 proposes this bound)
)

// Mail is what the world can look up about mail of the declared domains.
type Mail struct {
	Domains []MailDomain `cel:"domains"`
	DKIM    []DKIM       `cel:"dkim"` // every declared selector of every domain; missing where none is declared
	// Servers are those that take mail for the domains, probed at port 25.
	Servers []Link `cel:"servers"`
	// Complete and ServersComplete are true. They are missing, with the reason, when records of a domain could not be looked
	// up, and when a server could not be reached: many networks let nobody out to port 25.
	Complete        bool `cel:"complete"`
	ServersComplete bool `cel:"servers_complete"`
}

// MailDomain is one domain's records.
type MailDomain struct {
	Domain string   `cel:"domain"`
	MX     []string `cel:"mx"` // names of the servers, best first; empty where mail is refused (RFC 7505) or none is named
	SPF    SPF      `cel:"spf"`
	DMARC  DMARC    `cel:"dmarc"`
	STS    STS      `cel:"sts"`
	TLSRPT bool     `cel:"tls_rpt"` // reports about TLS are asked for (RFC 8460)
	Origin string   `cel:"origin"`
}

// STS is the domain's demand that others send mail over TLS only (MTA-STS, RFC 8461).
type STS struct {
	Record bool   `cel:"record"`
	Mode   string `cel:"mode"` // enforce, testing, none; empty where there is no policy
	MaxAge int    `cel:"max_age"`
	// Covers says that the policy names every server of the domain.
	Covers bool   `cel:"covers"`
	Fault  string `cel:"fault"`
	Origin string `cel:"origin"`
}

func collectMail(ctx context.Context, h *Host, t Target) (Mail, []Missing) {
	switch {
	case !h.Live():
		return Mail{}, missing("%s", ErrNotLive)
	case len(t.MailDomains) == 0:
		return Mail{}, missing("no domain from which mail is sent is declared (audit.mail_domains)")
	case len(t.MailDomains) > maxTargets || len(t.DKIMSelectors) > maxTargets:
		return Mail{}, missing("audit.mail_domains or audit.dkim_selectors has more than %d", maxTargets)
	}
	p, err := newProber(t)
	if err != nil {
		return Mail{}, missing("%s", err)
	}
	m := Mail{Complete: true, ServersComplete: true}
	var gone []Missing
	m.Domains, gone = sift(side(probesAtOnce, t.MailDomains, func(domain string) looked[MailDomain] {
		d, err := p.domain(ctx, strings.TrimSuffix(strings.ToLower(domain), "."))
		return looked[MailDomain]{d, err}
	}), t.MailDomains)
	if len(m.Domains) == 0 {
		return m, gone
	}
	return m, append(gone, append(p.keys(ctx, t, &m), p.servers(ctx, &m)...)...)
}

// keys looks the DKIM selectors up.
func (p *prober) keys(ctx context.Context, t Target, m *Mail) []Missing {
	if len(t.DKIMSelectors) == 0 {
		return []Missing{{"dkim", "no selector is declared (audit.dkim_selectors)"}}
	}
	var names []string
	for _, d := range m.Domains {
		for _, selector := range t.DKIMSelectors {
			names = append(names, selector+"._domainkey."+d.Domain)
		}
	}
	var gone []Missing
	m.DKIM, gone = sift(side(probesAtOnce, names, func(name string) looked[DKIM] {
		all, err := p.texts(ctx, name)
		d := readDKIM(all)
		d.Selector, d.Domain, _ = strings.Cut(name, "._domainkey.")
		d.Origin = "TXT " + name
		return looked[DKIM]{d, err}
	}), names)
	return under(gone, "dkim", "complete")
}

// servers asks the domains' servers for STARTTLS.
func (p *prober) servers(ctx context.Context, m *Mail) []Missing {
	var names []string
	for _, d := range m.Domains {
		for _, mx := range d.MX {
			if !slices.Contains(names, mx) && len(names) < maxTargets {
				names = append(names, mx)
			}
		}
	}
	var gone []Missing
	m.Servers, gone = sift(side(probesAtOnce, names, func(name string) looked[Link] {
		link, err := p.link(ctx, endpoint{text: "smtp+starttls://" + name + ":25", scheme: "smtp+starttls", host: name, port: "25"})
		return looked[Link]{link, err}
	}), names)
	return under(gone, "servers", "servers_complete")
}

// under renames what is missing: all of it to the field that holds the list, a part to the field that says so.
func under(gone []Missing, list, complete string) []Missing {
	for i, m := range gone {
		if m.Fact == "" {
			gone[i].Fact = list
		} else {
			gone[i].Fact = complete
		}
	}
	return gone
}

// domain looks up one domain.
func (p *prober) domain(ctx context.Context, domain string) (MailDomain, error) {
	d := MailDomain{Domain: domain, MX: []string{}, Origin: "DNS records of " + domain}
	var err error
	if d.MX, err = p.exchangers(ctx, domain); err != nil {
		return d, err
	}
	if d.SPF, err = p.spf(ctx, domain); err != nil {
		return d, err
	}
	if d.DMARC, err = p.dmarc(ctx, domain); err != nil {
		return d, err
	}
	reports, err := p.texts(ctx, "_smtp._tls."+domain)
	if err != nil {
		return d, err
	}
	d.TLSRPT = len(startsWith(reports, "v=TLSRPTv1")) == 1
	d.STS, err = p.sts(ctx, domain, d.MX)
	return d, err
}

func (p *prober) exchangers(ctx context.Context, domain string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	all, err := p.resolver.LookupMX(ctx, domain+".")
	var no *net.DNSError
	if errors.As(err, &no) && no.IsNotFound {
		return []string{}, nil
	}
	if err != nil && len(all) == 0 {
		return nil, fmt.Errorf("look up the servers of %s: %w", domain, err)
	}
	names := []string{}
	for _, mx := range all[:min(len(all), maxMX)] {
		if name := strings.TrimSuffix(mx.Host, "."); name != "" {
			names = append(names, name)
		}
	}
	return names, nil
}

// dmarc looks at the domain, then at the one that was registered (RFC 7489, section 6.6.3).
func (p *prober) dmarc(ctx context.Context, domain string) (DMARC, error) {
	names := []string{domain}
	if above, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil && above != domain {
		names = append(names, above)
	}
	d := DMARC{Fault: "there is none"}
	for i, name := range names {
		all, err := p.texts(ctx, "_dmarc."+name)
		if err != nil {
			return d, err
		}
		if len(startsWith(all, "v=DMARC1")) > 0 {
			d = readDMARC(all, i > 0)
			d.Origin = "TXT _dmarc." + name
			return d, nil
		}
	}
	d.Origin = "TXT _dmarc." + domain
	return d, nil
}

// sts looks for the record and reads the policy.
func (p *prober) sts(ctx context.Context, domain string, servers []string) (STS, error) {
	s := STS{Fault: "there is none", Origin: "TXT _mta-sts." + domain}
	all, err := p.texts(ctx, "_mta-sts."+domain)
	if err != nil || len(startsWith(all, "v=STSv1")) != 1 {
		return s, err
	}
	s.Record, s.Fault, s.Origin = true, "", "https://mta-sts."+domain+"/.well-known/mta-sts.txt"
	client := &http.Client{Timeout: probeTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10, DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return p.dialTrue(ctx, host, port)
		}}}
	request, err := http.NewRequestWithContext(ctx, "GET", s.Origin, nil)
	if err != nil {
		return s, err
	}
	response, err := client.Do(request)
	if err != nil { // as for a server that wants to send mail
		s.Fault = err.Error()
		return s, nil
	}
	defer response.Body.Close()
	text, err := readSome(response.Body, maxPolicy)
	if err != nil || response.StatusCode != http.StatusOK {
		s.Fault = fmt.Sprintf("it answers %d", response.StatusCode)
		return s, nil
	}
	readSTS(&s, string(text), servers)
	return s, nil
}

// readSTS reads a policy (RFC 8461, section 3.2).
func readSTS(s *STS, text string, servers []string) {
	var patterns []string
	version := ""
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(name) {
		case "version":
			version = value
		case "mode":
			s.Mode = value
		case "mx":
			if len(patterns) < maxRecords {
				patterns = append(patterns, strings.ToLower(value))
			}
		case "max_age":
			s.MaxAge, _ = strconv.Atoi(value) // 0 where it is no number, which is no policy
		}
	}
	if version != "STSv1" || !slices.Contains([]string{"enforce", "testing", "none"}, s.Mode) || s.MaxAge <= 0 {
		s.Mode, s.Fault = "", "the policy cannot be read"
	}
	s.Covers = !slices.ContainsFunc(servers, func(name string) bool {
		_, parent, _ := strings.Cut(name, ".")
		return !slices.Contains(patterns, name) && !slices.Contains(patterns, "*."+parent)
	})
}
