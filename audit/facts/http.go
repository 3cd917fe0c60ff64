package facts

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

const (
	httpTime    = 15 * time.Second // of all targets; they are probed side by side
	maxBody     = 1 << 20          // bytes of one answer
	maxRequests = 70               // with one target
	maxCookies  = 100              // of one target
)

// HTTP is what the declared URLs answer to a stranger who has no session.
type HTTP struct {
	Sites   []Site   `cel:"sites"`   // one for each URL
	Answers []Answer `cel:"answers"` // over TLS, with their headers
	Plain   []Plain  `cel:"plain"`   // without TLS, at port 80 of the same names
	Cookies []Cookie `cel:"cookies"` // that those answers set
	Mixed   []Mixed  `cel:"mixed"`   // what the start pages load or send without TLS
	Folders []Folder `cel:"folders"` // those that the start pages load from, and a few usual ones
	// Paths are answers at paths that ought to be closed: kind data (/data/), admin (/admin/), agent (/agent/), tool (phpMyAdmin,
	// .git and the like) and registration.
	Paths    []Path         `cel:"paths"`
	Security []SecurityText `cel:"security"` // security.txt of each URL
	// Outside is true where the probe comes from another machine, and missing where it comes from the host itself. A page that
	// is open to the host may be closed to strangers: write `it.state != "open" || !http.outside`.
	Outside bool `cel:"outside"`
	// CrossSiteGuarded is true where every site refuses forms that other sites send. It is missing where one does not: the
	// application may still refuse them by a token, which no stranger can see.
	CrossSiteGuarded bool `cel:"cross_site_guarded"`
	// AttacksSeen is true. It is missing where a site refuses its start page to strangers anyway, so that nobody without a session
	// can see what becomes of an attack: write `"xss" in it.refuses || !http.attacks_seen`.
	AttacksSeen bool `cel:"attacks_seen"`
	// Complete is true. It is missing, with the reason, when a declared URL could not be probed to the end: write
	// `… && http.complete`.
	Complete bool `cel:"complete"`
}

// Site is what one URL does with requests that are no page views.
type Site struct {
	URL string `cel:"url"`
	// Trace says that TRACE is answered with the request.
	Trace bool `cel:"trace"`
	// CrossSite is what happens to a form that another site sends: guarded (refused, and taken from the site itself), refused
	// (refused from everywhere, which shows nothing), accepted.
	CrossSite string `cel:"cross_site"`
	// Refuses are the attacks in a query that are refused: xss, sql, path. See attacks_seen.
	Refuses []string `cel:"refuses"`
	Origin  string   `cel:"origin"`
}

// Answer is one answer over TLS.
type Answer struct {
	URL string `cel:"url"`
	// Kind is start (the page that the URL leads to), redirect (on the way there) or missing (a name that does not exist).
	Kind    string  `cel:"kind"`
	Status  int     `cel:"status"`
	Headers Headers `cel:"headers"`
	// Signature is a program with its version that the page's text names; empty is none.
	Signature string `cel:"signature"`
	Origin    string `cel:"origin"`
}

// Plain is one answer without TLS.
type Plain struct {
	URL string `cel:"url"`
	// State is closed (nothing answers), redirect (to https, with no page beside it), refused (403, 404 and the like), content
	// (a page, a sign-in or a redirect that stays without TLS) or error (the application's 5xx: requests get through).
	State  string `cel:"state"`
	Status int    `cel:"status"`
	To     string `cel:"to"` // where a redirect leads
	Origin string `cel:"origin"`
}

// Cookie is one that an answer set.
type Cookie struct {
	Name     string `cel:"name"`
	URL      string `cel:"url"`
	Secure   bool   `cel:"secure"`
	HTTPOnly bool   `cel:"http_only"`
	SameSite string `cel:"same_site"` // strict, lax, none, or empty: browsers then take lax, most of them
	// Lifetime is in seconds; 0 ends with the browser.
	Lifetime int `cel:"lifetime"`
	// Host says that the name has the prefix __Host- and what that demands.
	Host   bool   `cel:"host"`
	Origin string `cel:"origin"`
}

// Mixed is something that a page served over TLS loads or sends without it.
type Mixed struct {
	URL     string `cel:"url"`
	Tag     string `cel:"tag"` // script, form, …, or redirect
	Address string `cel:"address"`
	Origin  string `cel:"origin"`
}

// Folder is a path that ends in a slash.
type Folder struct {
	URL    string `cel:"url"`
	Status int    `cel:"status"`
	Lists  bool   `cel:"lists"` // its files are shown
	Origin string `cel:"origin"`
}

// Path is the answer at one path.
type Path struct {
	URL  string `cel:"url"`
	Kind string `cel:"kind"` // data, admin, agent, tool, registration
	// State is absent (404, 410, or what every name that does not exist gets), refused (403 and other refusals), sign-in (401),
	// redirect, open or error.
	State  string `cel:"state"`
	Status int    `cel:"status"`
	Lists  bool   `cel:"lists"`
	Form   bool   `cel:"form"` // the page takes a password or an e-mail address
	// Known says for a tool that the page is that tool's.
	Known  bool   `cel:"known"`
	Origin string `cel:"origin"`
}

func collectHTTP(ctx context.Context, h *Host, t Target) (HTTP, []Missing) {
	if !h.Live() {
		return HTTP{}, missing("%s", ErrNotLive)
	}
	p, err := newProber(t)
	if err != nil {
		return HTTP{}, missing("%s", err)
	}
	return p.http(ctx, t)
}

// http probes every declared URL.
func (p *prober) http(ctx context.Context, t Target) (HTTP, []Missing) {
	all, err := t.applications()
	if err != nil {
		return HTTP{}, missing("%s", err)
	}
	parts, gone := sift(side(probesAtOnce, all, func(e endpoint) looked[HTTP] {
		s := newSiteProbe(p, e)
		defer s.client.CloseIdleConnections()
		err := s.probe(ctx)
		return looked[HTTP]{s.found, err}
	}), texts(all))
	whole := HTTP{Outside: p.outside, Complete: true, CrossSiteGuarded: true, AttacksSeen: true}
	if !p.outside {
		gone = append(gone, Missing{"outside", "the probe comes from the host itself: see doorward audit --from-outside HOST"})
	}
	for _, part := range parts {
		whole.Sites = append(whole.Sites, part.Sites...)
		whole.Answers = append(whole.Answers, part.Answers...)
		whole.Plain = append(whole.Plain, part.Plain...)
		whole.Cookies = append(whole.Cookies, part.Cookies...)
		whole.Mixed = append(whole.Mixed, part.Mixed...)
		whole.Folders = append(whole.Folders, part.Folders...)
		whole.Paths = append(whole.Paths, part.Paths...)
		whole.Security = append(whole.Security, part.Security...)
	}
	for _, a := range whole.Answers {
		if a.Kind == "start" && a.Status >= 400 {
			gone = append(gone, Missing{"attacks_seen", fmt.Sprintf("%s: strangers get %d, whatever they send", a.URL, a.Status)})
			break
		}
	}
	for _, site := range whole.Sites {
		if site.CrossSite != "guarded" {
			gone = append(gone, Missing{"cross_site_guarded", site.URL + ": a form that another site sends is " + site.CrossSite +
				" like one of its own; whether the application asks for a token cannot be seen without a session"})
			break
		}
	}
	return whole, gone
}

// client makes a client that follows nothing, trusts everybody and goes where the prober connects.
func (p *prober) client() *http.Client {
	return &http.Client{
		Timeout:       2 * probeTime, // so that a connection that is not made is told from an answer that does not come
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: p.dialAddress, TLSClientConfig: lenient(""), MaxConnsPerHost: 2,
			TLSHandshakeTimeout: probeTime, ResponseHeaderTimeout: probeTime, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true},
	}
}
