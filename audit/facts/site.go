package facts

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// reply is one answer with its text.
type reply struct {
	url      string
	status   int
	header   http.Header
	cookies  []*http.Cookie
	text     []byte
	location string // absolute
	page     page
}

// siteProbe is the probe of one URL.
type siteProbe struct {
	p      *prober
	e      endpoint
	client *http.Client
	left   int // requests
	found  HTTP
	lost   reply // what a name that does not exist gets
}

func newSiteProbe(p *prober, e endpoint) *siteProbe {
	return &siteProbe{p: p, e: e, client: p.client(), left: maxRequests}
}

// base is the URL's folder, with a slash at its end.
func (s *siteProbe) base() string {
	if strings.HasSuffix(s.e.path, "/") {
		return s.e.path
	}
	return strings.TrimSuffix(path.Dir(s.e.path), "/") + "/"
}

// at is the absolute address of a path of the site.
func (s *siteProbe) at(path string) string {
	host := s.e.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if s.e.port != "443" {
		host += ":" + s.e.port
	}
	return "https://" + host + path
}

// ask makes one request. Whoever answers that we ask too much tells nothing of the page, so that is an error.
func (s *siteProbe) ask(ctx context.Context, method, address string, headers ...string) (reply, error) {
	if s.left--; s.left < 0 {
		return reply{}, fmt.Errorf("more than %d requests would be needed", maxRequests)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("User-Agent", "doorward-audit")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := s.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := readSome(response.Body, maxBody)
	if err != nil {
		return reply{}, fmt.Errorf("read %s: %w", address, err)
	}
	if response.StatusCode == http.StatusTooManyRequests {
		return reply{}, fmt.Errorf("%s: it answers that these are too many requests", address)
	}
	r := reply{url: address, status: response.StatusCode, header: response.Header, cookies: response.Cookies(), text: text}
	if strings.Contains(response.Header.Get("Content-Type"), "html") {
		r.page = readPage(text)
	}
	if to, err := response.Location(); err == nil && r.status >= 300 && r.status < 400 {
		r.location = to.String()
	}
	return r, nil
}

// probe asks all that is asked of one site.
func (s *siteProbe) probe(ctx context.Context) error {
	random := make([]byte, 6)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	var err error
	if s.lost, err = s.ask(ctx, "GET", s.at(fmt.Sprintf("%sdoorward-audit-%x", s.base(), random))); err != nil {
		return err
	}
	s.answered("missing", s.lost)
	start, err := s.start(ctx)
	if err != nil {
		return err
	}
	for _, part := range []func(context.Context, reply) error{s.folders, s.paths, s.tools, s.registration, s.behaviour, s.security, s.plain} {
		if err := part(ctx, start); err != nil {
			return err
		}
	}
	return nil
}

// start follows the URL to its page, as long as it stays on the site.
func (s *siteProbe) start(ctx context.Context) (reply, error) {
	address := s.at(s.e.path)
	for hop := 0; ; hop++ {
		r, err := s.ask(ctx, "GET", address)
		if err != nil {
			return r, err
		}
		if r.location == "" || hop == 5 {
			s.answered("start", r)
			for _, l := range r.page.clear {
				s.found.Mixed = append(s.found.Mixed, Mixed{r.url, l.tag, l.address, "GET " + r.url})
			}
			return r, nil
		}
		s.answered("redirect", r)
		to, err := url.Parse(r.location)
		if err != nil || to.Scheme != "https" || !strings.HasPrefix(r.location+"/", s.at("/")) {
			if err == nil && to.Scheme == "http" {
				s.found.Mixed = append(s.found.Mixed, Mixed{r.url, "redirect", r.location, "GET " + r.url})
			}
			return r, nil
		}
		to.Fragment = ""
		address = to.String()
	}
}

// answered keeps an answer's headers and cookies.
func (s *siteProbe) answered(kind string, r reply) {
	origin := "GET " + r.url
	s.found.Answers = append(s.found.Answers, Answer{r.url, kind, r.status, readHeaders(r.header), signature(r.text), origin})
	s.cookies(r)
}

func (s *siteProbe) cookies(r reply) {
	for _, c := range r.cookies {
		if len(s.found.Cookies) >= maxCookies || c.MaxAge < 0 || !c.Expires.IsZero() && c.Expires.Before(s.p.now) {
			continue // a cookie that is taken back protects nothing
		}
		k := Cookie{Name: c.Name, URL: r.url, Secure: c.Secure, HTTPOnly: c.HttpOnly, Lifetime: c.MaxAge, Origin: "GET " + r.url,
			SameSite: map[http.SameSite]string{http.SameSiteStrictMode: "strict", http.SameSiteLaxMode: "lax", http.SameSiteNoneMode: "none"}[c.SameSite],
			Host:     strings.HasPrefix(c.Name, "__Host-") && c.Secure && c.Path == "/" && c.Domain == ""}
		if c.MaxAge == 0 && !c.Expires.IsZero() {
			k.Lifetime = int(c.Expires.Sub(s.p.now).Seconds())
		}
		if !slices.Contains(s.found.Cookies, k) {
			s.found.Cookies = append(s.found.Cookies, k)
		}
	}
}

// folders asks for the folders that the start page loads from: whether their files are listed.
func (s *siteProbe) folders(ctx context.Context, start reply) error {
	all := []string{s.base() + "uploads/", s.base() + "images/", "/icons/"}
	for _, folder := range start.page.folders {
		if len(all) < 8 && !slices.Contains(all, folder) {
			all = append(all, folder)
		}
	}
	for _, folder := range all {
		r, err := s.ask(ctx, "GET", s.at(folder))
		if err != nil {
			return err
		}
		s.found.Folders = append(s.found.Folders, Folder{r.url, r.status, listing(r.page, r.text), "GET " + r.url})
	}
	return nil
}

// state says what an answer is worth to somebody who must not have it.
func (s *siteProbe) state(r reply) string {
	switch {
	case r.status == http.StatusNotFound || r.status == http.StatusGone:
		return "absent"
	case r.status == http.StatusUnauthorized:
		return "sign-in"
	case r.status >= 500:
		return "error"
	case r.status >= 400:
		return "refused"
	case r.status >= 300:
		return "redirect"
	case r.status == s.lost.status && r.page.title == s.lost.page.title && near(len(r.text), len(s.lost.text)):
		return "absent" // an application that answers every name with its own page
	}
	return "open"
}

// near says whether two lengths differ by no more than a name or a token in the page would.
func near(a, b int) bool { return max(a, b)-min(a, b) <= 64+max(a, b)/50 }

func (s *siteProbe) path(ctx context.Context, kind, path string) (reply, error) {
	r, err := s.ask(ctx, "GET", s.at(path))
	if err != nil {
		return r, err
	}
	s.found.Paths = append(s.found.Paths, Path{URL: r.url, Kind: kind, State: s.state(r), Status: r.status,
		Lists: listing(r.page, r.text), Form: r.page.form, Origin: "GET " + r.url})
	return r, nil
}

// paths asks for what Deskpro's guide wants closed.
func (s *siteProbe) paths(ctx context.Context, _ reply) error {
	for _, kind := range []string{"data", "admin", "agent"} {
		if _, err := s.path(ctx, kind, s.base()+kind+"/"); err != nil {
			return err
		}
	}
	return nil
}

// tools asks for tools of administrators and for files that were left behind. A page counts as the tool when it shows the mark.
func (s *siteProbe) tools(ctx context.Context, _ reply) error {
	for _, tool := range []struct {
		path, mark string
		outside    bool // the host itself may see it: Apache's own configuration shows it to 127.0.0.1
	}{
		{"/phpmyadmin/", "phpMyAdmin", false}, {"/pma/", "phpMyAdmin", false}, {"/phppgadmin/", "phpPgAdmin", false},
		{"/adminer.php", "Adminer", false}, {"/phpinfo.php", "PHP Version", false}, {"/info.php", "PHP Version", false},
		{"/.git/HEAD", "ref: ", false}, {"/.env", "_KEY=", false}, {"/.htpasswd", ":$", false}, {"/_profiler/", "Symfony Profiler", false},
		{"/server-status", "Server Status", true}, {"/server-info", "Server Information", true}, {"/nginx_status", "Active connections", true},
	} {
		if tool.outside && !s.p.outside {
			continue
		}
		r, err := s.path(ctx, "tool", tool.path)
		if err != nil {
			return err
		}
		s.found.Paths[len(s.found.Paths)-1].Known = r.status == http.StatusOK && bytes.Contains(r.text, []byte(tool.mark))
	}
	return nil
}

// registers finds a link to a page where strangers make themselves an account.
var registers = regexp.MustCompile(`(?i)href\s*=\s*["']?([^"'\s>]*(?:sign[-_]?up|regist(?:er|ration)|create[-_]?account)[^"'\s>]*)`)

// registration asks for the pages where strangers could register: the usual ones, and those that the start page links to.
func (s *siteProbe) registration(ctx context.Context, start reply) error {
	var all []string
	for _, name := range []string{"register", "registration", "signup", "auth/register", "users/register"} {
		all = append(all, s.base()+name)
	}
	all = append(all, "/.doorward/register")
	from, err := url.Parse(start.url)
	if err != nil {
		return err
	}
	for _, found := range registers.FindAllSubmatch(start.text, 4) {
		to, err := from.Parse(strings.ReplaceAll(string(found[1]), "&amp;", "&"))
		if err == nil && strings.HasPrefix(to.String(), s.at("/")) && !slices.Contains(all, to.EscapedPath()) {
			all = append(all, to.RequestURI())
		}
	}
	for _, path := range all {
		if _, err := s.path(ctx, "registration", path); err != nil {
			return err
		}
	}
	return nil
}

// behaviour sends what a gateway has to refuse. Nothing of it does anything to an application that takes it: the form is
// empty, and the query names a parameter that nobody reads.
func (s *siteProbe) behaviour(ctx context.Context, start reply) error {
	site := Site{URL: s.e.text, Origin: "requests to " + start.url}
	own := strings.TrimSuffix(s.at("/"), "/")
	cross, err := s.ask(ctx, "POST", start.url, "Origin", "https://elsewhere.invalid", "Sec-Fetch-Site", "cross-site", "Content-Type", "application/x-www-form-urlencoded")
	if err != nil {
		return err
	}
	same, err := s.ask(ctx, "POST", start.url, "Origin", own, "Sec-Fetch-Site", "same-origin", "Content-Type", "application/x-www-form-urlencoded")
	if err != nil {
		return err
	}
	switch {
	case cross.status < 400:
		site.CrossSite = "accepted"
	case cross.status == http.StatusForbidden && same.status != http.StatusForbidden:
		site.CrossSite = "guarded"
	default:
		site.CrossSite = "refused"
	}
	for _, attack := range []struct{ name, value string }{
		{"xss", "<script>alert(1)</script>"}, {"sql", "1' UNION SELECT user,password FROM mysql.user-- -"}, {"path", "../../../../etc/passwd"},
	} {
		r, err := s.ask(ctx, "GET", s.at(s.e.path)+"?doorward-audit="+url.QueryEscape(attack.value))
		if err != nil {
			return err
		}
		// Where the page is refused anyway, that shows nothing of the attack.
		if start.status < 400 && (r.status == http.StatusForbidden || r.status == http.StatusBadRequest || r.status == http.StatusNotAcceptable) {
			site.Refuses = append(site.Refuses, attack.name)
		}
	}
	trace, err := s.ask(ctx, "TRACE", s.at("/"), "X-Doorward-Audit", "echo")
	if err != nil {
		return err
	}
	site.Trace = trace.status == http.StatusOK && bytes.Contains(bytes.ToLower(trace.text), []byte("x-doorward-audit"))
	s.found.Sites = append(s.found.Sites, site)
	return nil
}

// security asks for security.txt.
func (s *siteProbe) security(ctx context.Context, _ reply) error {
	r, err := s.ask(ctx, "GET", s.at("/.well-known/security.txt"))
	if err != nil {
		return err
	}
	text := SecurityText{Fault: fmt.Sprintf("it answers %d", r.status)}
	if r.status == http.StatusOK {
		text = readSecurityText(r.text, r.header.Get("Content-Type"))
	}
	text.URL, text.Origin = r.url, "GET "+r.url
	s.found.Security = append(s.found.Security, text)
	return nil
}
