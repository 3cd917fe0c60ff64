package gateway

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

func (s SiteConfig) validate(path string, zones []string, report reporter) {
	if len(s.Upstreams) > 0 && s.ForwardAuth {
		report(path+".forward_auth", "the site has upstreams, so Doorward reaches the application itself; remove one of them (proxies may ask about every site)")
	}
	if len(s.Upstreams) == 0 && !s.ForwardAuth {
		report(path+".upstreams", "is missing; give the application's address, such as [http://127.0.0.1:8080]")
	}
	for i, raw := range s.Upstreams {
		if message := upstreamProblem(raw); message != "" {
			report(fmt.Sprintf("%s.upstreams[%d]", path, i), "%s", message)
		}
		if slices.Contains(s.Upstreams[:i], raw) {
			report(fmt.Sprintf("%s.upstreams[%d]", path, i), "%s stands here twice; remove one", raw)
		}
	}
	s.TLS.validate(path+".tls", s.Hosts, report)
	s.validateClientCertificates(path, report)
	s.Upstream.validate(path+".upstream", s.Upstreams, report)
	for i, rule := range s.Access {
		rule.validate(fmt.Sprintf("%s.access[%d]", path, i), zones, report)
	}
	s.Countries.validate(path+".countries", report)
	validateOrder(path, s.Access, report)
	for i, allow := range s.Paths.Allow {
		oneOf(report, fmt.Sprintf("%s.paths.allow[%d]", path, i), allow, "encoded-slash", "semicolon", "double-encoding", "backslash")
	}
	s.Headers.validate(path+".headers", report)
	oneOf(report, path+".cookies.same_site", s.Cookies.SameSite, "lax", "strict", "off")
	for i, e := range s.CSRF.Exceptions {
		e.validate(fmt.Sprintf("%s.csrf.exceptions[%d]", path, i), report)
	}
	if s.CSRF.Off && (s.CSRF.Strict || len(s.CSRF.Exceptions) > 0) {
		report(path+".csrf.off", "off guards nothing, so that strict and exceptions have no use; remove one of them")
	}
	s.WAF.validate(path+".waf", s.MaxBody, report)
	if s.Identity.Off && s.Identity.SecretFile != "" {
		report(path+".identity", "off sends no secret, so secret_file has no use; remove one of them")
	}
}

// validateHosts judges the names and finds those that two sites claim; seen maps canonical hosts to paths.
func (s SiteConfig) validateHosts(path string, seen map[string]string, report reporter) {
	if len(s.Hosts) == 0 {
		report(path+".hosts", "is missing; give the names that people type into the browser, such as [helpdesk.example.org]")
	}
	for i, raw := range s.Hosts {
		item := fmt.Sprintf("%s.hosts[%d]", path, i)
		host, message := hostProblem(raw)
		if message != "" {
			report(item, "%s", message)
			continue
		}
		if other, taken := seen[host]; taken {
			report(item, "%s is already %s; one host belongs to one site", host, other)
			continue
		}
		seen[host] = item
	}
}

// hostProblem returns the canonical form of a configured host, or what is wrong with it.
func hostProblem(raw string) (host, message string) {
	example := "write the name alone, such as helpdesk.example.org"
	switch {
	case raw == "":
		return "", "is empty; " + example
	case strings.Contains(raw, "://"):
		return "", fmt.Sprintf("%q has a scheme; %s", raw, example)
	case strings.ContainsAny(raw, "/?#"):
		return "", fmt.Sprintf("%q has a path; %s (paths are set under access)", raw, example)
	case strings.Contains(raw, "*"):
		return "", fmt.Sprintf("%q has a wildcard, which is not supported; list each name", raw)
	case strings.Contains(raw, "@"):
		return "", fmt.Sprintf("%q has a user name; %s", raw, example)
	}
	if name, _, err := net.SplitHostPort(raw); err == nil {
		return "", fmt.Sprintf("%q has a port; write %s (ports are set under listen)", raw, name)
	}
	host, ok := canonicalHost(raw)
	if !ok {
		return "", fmt.Sprintf("%q is not a host name or an address; a name has letters, digits, dashes and dots (write others in their xn-- form)", raw)
	}
	return host, ""
}

// upstreamProblem says what is wrong with an upstream's address, or nothing.
func upstreamProblem(raw string) string {
	const forms = "write http://host:port, https://host:port or unix:/path/of/socket"
	if file, ok := strings.CutPrefix(raw, "unix:"); ok {
		if !strings.HasPrefix(file, "/") || strings.ContainsAny(file, "?#") {
			return fmt.Sprintf("%q needs an absolute path after unix:, such as unix:/run/app.sock", raw)
		}
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Sprintf("%q is not an upstream's address; %s", raw, forms)
	}
	if u.User != nil {
		return "has a user name or password, which would show up in logs; remove it"
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Sprintf("%q has a path, but the path judged must be the path sent; %s", raw, forms)
	}
	if strings.HasSuffix(u.Host, ":") {
		return fmt.Sprintf("%q ends with a colon; %s", raw, forms)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Sprintf("port %q is not a number from 1 to 65535", port)
		}
	}
	if _, ok := canonicalHost(u.Hostname()); !ok {
		return fmt.Sprintf("%q is not a host name or an address", u.Hostname())
	}
	return ""
}

// unusableApp says why an application's folder cannot be used, or nothing.
func unusableApp(app string) string {
	if !strings.Contains(app, "/") {
		if names := AppNames(); !slices.Contains(names, app) {
			return fmt.Sprintf("%q is not an application that Doorward knows%s; known: %s, or the path of a folder of your own",
				app, didYouMean(app, names), strings.Join(names, ", "))
		}
	} else if info, err := os.Stat(app); err != nil || !info.IsDir() {
		return fmt.Sprintf("%q is not a folder that can be read", app)
	}
	if _, err := LoadApp(app); err != nil {
		return err.Error()
	}
	return ""
}

// didYouMean proposes a candidate that word was probably meant for: they begin with the same three letters, or differ
// in two at most.
func didYouMean(word string, candidates []string) string {
	squash := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r == '-' || r == '_' || r == ' ' || r == '.' {
				return -1
			}
			return r
		}, strings.ToLower(s))
	}
	short := squash(word[:min(len(word), 64)])
	if short == "rt" || short == "rt5" {
		return " (did you mean request-tracker?)"
	}
	for _, c := range candidates {
		if n := min(3, len(short)); n > 1 && strings.HasPrefix(squash(c), short[:n]) {
			return " (did you mean " + c + "?)"
		}
	}
	for _, c := range candidates {
		if d := distance(short, squash(c)); d <= 2 && d < len(short)/2 {
			return " (did you mean " + c + "?)"
		}
	}
	return ""
}

// distance counts the letters to insert, remove or change to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func (t SiteTLSConfig) validate(path string, hosts []string, report reporter) {
	oneOf(report, path+".source", t.Source, "acme", "files", "internal")
	if (t.Certificate == "") != (t.Key == "") {
		report(path, "certificate and key belong together; give both files")
		return
	}
	if t.Source == "files" && t.Certificate == "" {
		report(path, "source files needs certificate and key")
	}
	if t.Source != "files" && t.Certificate != "" {
		report(path, "source %s does not use certificate and key; remove them, or set source to files", t.Source)
	}
	if t.Source != "acme" {
		return
	}
	for _, host := range hosts {
		if privateName(host) {
			report(path+".source", "no public authority certifies %s; set source to internal, or move that host to a site of its own", host)
			return
		}
	}
}

func (s SiteConfig) validateClientCertificates(path string, report reporter) {
	c, needed := s.ClientCertificates, slices.ContainsFunc(s.Access, func(a AccessRule) bool { return a.Certificate })
	switch {
	case c.CAFile == "" && c.CRLFile != "":
		report(path+".client_certificates", "crl_file needs ca_file, the authority whose certificates it lists")
	case c.CAFile == "" && needed:
		report(path+".client_certificates.ca_file", "is missing, but an access rule asks for a certificate; give the authority's PEM file")
	case c.CAFile != "" && s.ForwardAuth:
		report(path+".client_certificates", "TLS ends at the proxy, so Doorward sees no certificate; let the proxy ask for it")
	case c.CAFile != "" && !needed:
		report(path+".client_certificates", "every browser would be asked, but no access rule has certificate: true; add one, or remove this")
	}
}

func (u UpstreamConfig) validate(path string, upstreams []string, report reporter) {
	encrypted := slices.ContainsFunc(upstreams, func(raw string) bool { return strings.HasPrefix(raw, "https://") })
	if u.CAFile != "" && !encrypted {
		report(path+".ca_file", "no upstream of this site begins with https://, so nothing would be verified with it; remove it, or use https://")
	}
	if u.ServerName != "" {
		if !encrypted {
			report(path+".server_name", "no upstream of this site begins with https://, so nothing would be verified with it; remove it, or use https://")
		} else if _, message := hostProblem(u.ServerName); message != "" {
			report(path+".server_name", "%q is not a name as a certificate holds it; write it without scheme and port", u.ServerName)
		}
	}
	if u.HealthPath != "" && (!strings.HasPrefix(u.HealthPath, "/") || strings.ContainsAny(u.HealthPath, " #\r\n")) {
		report(path+".health_path", "%q is not a path; write one that begins with /, such as /health", u.HealthPath)
	}
	if u.MaxFails < 0 {
		report(path+".max_fails", "%d is not a number of failures", u.MaxFails)
	}
}

func (h HeaderConfig) validate(path string, report reporter) {
	if strings.ContainsFunc(h.ContentSecurityPolicy, func(r rune) bool { return r < ' ' || r > '~' }) {
		report(path+".content_security_policy", "holds a line break or a character outside ASCII; write it on one line")
	}
	oneOf(report, path+".frame_options", h.FrameOptions, "SAMEORIGIN", "DENY", "off")
	oneOf(report, path+".referrer_policy", h.ReferrerPolicy, "strict-origin-when-cross-origin", "strict-origin", "same-origin",
		"origin", "origin-when-cross-origin", "no-referrer", "no-referrer-when-downgrade")
	if h.HSTS.Off && h.HSTS.ExcludeSubDomains {
		report(path+".hsts", "off sends no header, so exclude_subdomains has no effect; remove one of them")
	}
}
