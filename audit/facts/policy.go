package facts

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Policy is what Doorward's own configuration makes of sign-in and access, every default filled in, and whether it is in
// force: the process that runs has loaded this file, and its door was tried.
type Policy struct {
	// Running says that the instance that answers on the admin socket has loaded this very file.
	Running bool `cel:"running"`
	// Where says what was found about that, for people.
	Where string `cel:"where"`
	// Roles are owner, admin, agent, user and the configuration's own.
	Roles []RolePolicy `cel:"roles"`
	// Sites are the applications behind the gateway.
	Sites []SitePolicy `cel:"sites"`

	// SignInFailures wrong sign-ins in a row make an address wait for SignInWait (M-40, M-41).
	SignInFailures int           `cel:"sign_in_failures"`
	SignInWait     time.Duration `cel:"sign_in_wait"`
	// StaffPerAccount, StaffPerAddress, UsersPerAccount and UsersPerAddress cap failures in a window of StaffWindow and UsersWindow (D-08).
	StaffPerAccount int           `cel:"staff_per_account"`
	StaffPerAddress int           `cel:"staff_per_address"`
	StaffWindow     time.Duration `cel:"staff_window"`
	UsersPerAccount int           `cel:"users_per_account"`
	UsersPerAddress int           `cel:"users_per_address"`
	UsersWindow     time.Duration `cel:"users_window"`

	// RequestsPerSecond, Connections and InFlight are the gateway's limits for load (F-23).
	RequestsPerSecond int `cel:"requests_per_second"`
	Connections       int `cel:"connections"`
	InFlight          int `cel:"in_flight"`

	Mails           bool   `cel:"mails"`            // a mail server is set
	NoticeSignIn    string `cel:"notice_sign_in"`   // new, every or off
	NoticeFailures  bool   `cel:"notice_failures"`  // people are told of failed sign-ins
	HostNames       bool   `cel:"host_names"`       // confirmed host names are looked up
	CountryDatabase bool   `cel:"country_database"` // a database of countries is set
	CountryRules    bool   `cel:"country_rules"`    // some site or path is limited by country

	Registration      bool   `cel:"registration"`       // strangers may register
	RegistrationPhone string `cel:"registration_phone"` // required, optional or off
	MaxAdmins         int    `cel:"max_admins"`         // how many administrators a review finds in order
	// Browsers says that sign-ins of old browsers are refused or warned about (I-09).
	Browsers bool `cel:"browsers"`

	Origin string `cel:"origin"` // the configuration file
}

// RolePolicy is what holds for the people of one role.
type RolePolicy struct {
	Name  string `cel:"name"`
	Staff bool   `cel:"staff"` // owner, admin, agent, and own roles that count as staff
	Admin bool   `cel:"admin"` // may manage accounts

	// The demands on passwords: MinLength of one that is the only factor, MinLengthWithFactor beside a second one. Classes are
	// lower, upper, digit, symbol, letter; "letter" is either case. MaxAge 0 is none.
	MinLength           int           `cel:"min_length"`
	MinLengthWithFactor int           `cel:"min_length_with_factor"`
	Classes             []string      `cel:"classes"`
	MaxAge              time.Duration `cel:"max_age"`
	History             int           `cel:"history"`
	MinScore            int           `cel:"min_score"`
	CommonRefused       bool          `cel:"common_refused"`
	ChangeAtFirst       bool          `cel:"change_at_first"`

	Factor          string        `cel:"factor"`   // none, any or passkey
	Networks        []string      `cel:"networks"` // empty: from everywhere
	Idle            time.Duration `cel:"idle"`
	Absolute        time.Duration `cel:"absolute"`
	Remember        time.Duration `cel:"remember"` // 0: nobody stays signed in
	RequireActivity bool          `cel:"require_activity"`
	TrustRequired   bool          `cel:"trust_required"` // sign-ins from new addresses are held
	TrustPeriod     time.Duration `cel:"trust_period"`

	Origin string `cel:"origin"`
}

// SitePolicy is one application behind the gateway. Answers and StrangerKeptOut were tried; they are false where nothing was.
type SitePolicy struct {
	Host string `cel:"host"`
	App  string `cel:"app"`
	// Answers says that Doorward's sign-in page is served at this host.
	Answers bool `cel:"answers"`
	// StrangerKeptOut says that a request without a session for the start page reached no application.
	StrangerKeptOut bool `cel:"stranger_kept_out"`
	// PublicRoot says that the configuration lets everybody see the start page.
	PublicRoot bool `cel:"public_root"`
	// Restricted are the paths that only some networks reach, with Roles that may; Roles are those that have a rule of their own.
	Restricted []string `cel:"restricted"`
	Roles      []string `cel:"roles"`
	// AdminPaths and AgentPaths are the application's own, from its folder; they are open to administrators and staff only.
	AdminPaths []string `cel:"admin_paths"`
	AgentPaths []string `cel:"agent_paths"`
	Factor     []string `cel:"factor"` // the paths that ask for a second factor
	// Identity says that the application learns by headers who is signed in (I-83), guarded by a shared secret.
	Identity           bool   `cel:"identity"`
	ClientCertificates bool   `cel:"client_certificates"` // asked for at the handshake (I-53)
	CertificatePaths   bool   `cel:"certificate_paths"`   // some path takes a certificate
	Revocations        bool   `cel:"revocations"`         // revoked certificates are refused
	FrameOptions       string `cel:"frame_options"`
	CSP                string `cel:"csp"`
	XSSProtection      bool   `cel:"xss_protection"`
	HSTS               int    `cel:"hsts"` // seconds; 0: not sent
	RememberMe         bool   `cel:"remember_me"`
	SameSite           string `cel:"same_site"`
	// Exposed are upstream addresses that others than this machine could reach, past the gateway.
	Exposed []string `cel:"exposed"`
	Origin  string   `cel:"origin"`

	// Door is the address at which the site is tried: host:port.
	Door string `cel:"-"`
}

// collectPolicy tries the door of every site of the declared policy.
func collectPolicy(ctx context.Context, h *Host, t Target) (Policy, []Missing) {
	if !h.Live() {
		return Policy{}, missing("%v", ErrNotLive)
	}
	if t.Policy == nil {
		return Policy{Where: "there is no configuration of Doorward that can be used; nothing of it is in force"}, nil
	}
	p := *t.Policy
	p.Sites = slices.Clone(p.Sites)
	var wait sync.WaitGroup
	for i := range p.Sites {
		wait.Go(func() { tryDoor(ctx, &p.Sites[i]) })
	}
	wait.Wait()
	return p, nil
}

const maxDoorBody = 256 << 10

// tryDoor asks for a site's start page and sign-in page as a stranger.
func tryDoor(ctx context.Context, s *SitePolicy) {
	if s.Door == "" {
		return
	}
	client := &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: true,
			// Whether the certificate is trusted is another control's question.
			TLSClientConfig: &tls.Config{ServerName: s.Host, InsecureSkipVerify: true}, //nolint:gosec // see above
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, s.Door)
			},
		},
	}
	ask := func(path string) (status int, location, body string, err error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.Host+path, nil)
		if err != nil {
			return 0, "", "", err
		}
		res, err := client.Do(req)
		if err != nil {
			return 0, "", "", err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(io.LimitReader(res.Body, maxDoorBody))
		return res.StatusCode, res.Header.Get("Location"), string(text), err
	}
	status, _, body, err := ask("/.doorward/sign-in")
	s.Answers = err == nil && status == http.StatusOK && strings.Contains(body, "/.doorward/")
	status, location, _, err := ask("/")
	refused := status == http.StatusUnauthorized || status == http.StatusForbidden || status >= 300 && status < 400 && strings.Contains(location, "/.doorward/")
	s.StrangerKeptOut = err == nil && s.Answers && refused
}

// Reachable says whether others than this machine could open the address of an upstream, as written in the configuration:
// http://host:port, https://host:port or unix:/path.
func Reachable(upstream string) (bool, error) {
	if strings.HasPrefix(upstream, "unix:") {
		return false, nil
	}
	_, rest, ok := strings.Cut(upstream, "://")
	if !ok {
		return false, fmt.Errorf("%q is no address of an upstream", upstream)
	}
	host, _, err := net.SplitHostPort(strings.TrimSuffix(rest, "/"))
	if err != nil {
		host = strings.Trim(strings.TrimSuffix(rest, "/"), "[]")
	}
	if host == "localhost" {
		return false, nil
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false, errors.New("it is a name: " + host)
	}
	return !a.IsLoopback(), nil
}
