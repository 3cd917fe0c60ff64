package oidc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	coreos "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	discoveryFresh  = time.Hour
	discoveryOldest = 7 * 24 * time.Hour // how long an answer serves while the provider gives no new one
	stateLife       = 10 * time.Minute
	maxReturnTo     = 1024 // bytes; the state has to fit into a cookie
	atOnce          = 64   // sign-ins that may wait for the provider
)

// Provider is one OpenID Connect provider. It is safe for concurrent use.
type Provider struct {
	cfg    Config
	secret string
	client *http.Client

	found cached[discovered]
	keys  cached[keySet]
	used  usedStates
	slots chan struct{}
	busy  atomic.Uint64
}

// discovered is what a provider's configuration document says (OpenID Connect Discovery 1.0, 4).
type discovered struct {
	provider *coreos.Provider
	keysURL  string
	style    oauth2.AuthStyle
	sendsIss bool // RFC 9207
}

// New prepares a provider; call Config.SetDefaults and Validate before. It reads the files that cfg names and makes no
// connection: a provider that is down keeps nobody from starting.
func New(cfg Config) (*Provider, error) {
	client, err := newClient(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("prepare provider %s: %w", cfg.Name, err)
	}
	text, err := os.ReadFile(cfg.ClientSecretFile)
	if err != nil {
		return nil, fmt.Errorf("prepare provider %s: read client secret: %w", cfg.Name, err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	secret := strings.TrimSpace(line)
	if secret == "" {
		return nil, fmt.Errorf("prepare provider %s: the first line of %s is empty", cfg.Name, cfg.ClientSecretFile)
	}
	return &Provider{cfg: cfg, secret: secret, client: client, slots: make(chan struct{}, atOnce)}, nil
}

// Config is the configuration that the provider was made from.
func (p *Provider) Config() Config { return p.cfg }

// Stats is what a Provider has counted since it was made.
type Stats struct {
	Busy    uint64 // sign-ins and logout notices turned away because too many were under way
	Dropped uint64 // used states forgotten before their time, because there were too many
}

// Stats returns the numbers.
func (p *Provider) Stats() Stats {
	return Stats{Busy: p.busy.Load(), Dropped: p.used.dropped.Load()}
}

// State is what a sign-in must remember until the browser comes back from the provider. The caller keeps it with that
// browser and no other, in a cookie that is encrypted and authenticated, Secure, HttpOnly and SameSite=Lax: it holds
// secrets, and the way back is a navigation from another site. It takes at most about 2 KiB.
type State struct {
	Provider string    `json:"p"`
	Host     string    `json:"h"` // with its port, if that is not 443
	ReturnTo string    `json:"r"` // as given to Begin; the caller judges it again before use
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"` // RFC 7636
	Expires  time.Time `json:"e"`
}

// callback is where the provider sends the browser back to.
func (p *Provider) callback(host string) string {
	return "https://" + host + "/.doorward/oidc/" + p.cfg.Name + "/callback"
}

// Begin starts a sign-in: it returns where to send the browser and what to remember. host is the site's own name from
// the configuration, never the request's; returnTo is forgotten when it is longer than 1 KiB. The error is *Error.
func (p *Provider) Begin(ctx context.Context, host, returnTo string, now time.Time) (redirectURL string, state State, err error) {
	found, err := p.discover(ctx, now)
	if err != nil {
		return "", State{}, err
	}
	if len(returnTo) > maxReturnTo {
		returnTo = "/"
	}
	state = State{Provider: p.cfg.Name, Host: host, ReturnTo: returnTo, State: rand.Text(), Nonce: rand.Text(),
		Verifier: oauth2.GenerateVerifier(), Expires: now.Add(stateLife)}
	options := []oauth2.AuthCodeOption{coreos.Nonce(state.Nonce), oauth2.S256ChallengeOption(state.Verifier)}
	if len(p.cfg.SecondFactorACR) > 0 {
		options = append(options, oauth2.SetAuthURLParam("acr_values", strings.Join(p.cfg.SecondFactorACR, " ")))
	}
	return p.oauth(found, host).AuthCodeURL(state.State, options...), state, nil
}

func (p *Provider) oauth(found *discovered, host string) *oauth2.Config {
	endpoint := found.provider.Endpoint()
	endpoint.AuthStyle = found.style
	scopes := p.cfg.Scopes
	if !slices.Contains(scopes, coreos.ScopeOpenID) {
		scopes = append([]string{coreos.ScopeOpenID}, scopes...)
	}
	return &oauth2.Config{ClientID: p.cfg.ClientID, ClientSecret: p.secret, Endpoint: endpoint, RedirectURL: p.callback(host), Scopes: scopes}
}

// discover reads the provider's configuration document, at most once an hour while it can be had.
func (p *Provider) discover(ctx context.Context, now time.Time) (*discovered, error) {
	found, err := p.found.get(ctx, now, now.Add(-discoveryFresh), now.Add(-discoveryOldest), p.fetchDiscovery)
	if err != nil {
		return nil, p.fail(ProviderDown, "read its configuration: %w", err)
	}
	return found, nil
}

func (p *Provider) fetchDiscovery(ctx context.Context) (*discovered, error) {
	provider, err := coreos.NewProvider(coreos.ClientContext(ctx, p.client), p.cfg.Issuer)
	if err != nil {
		return nil, err
	}
	var document struct {
		Keys     string   `json:"jwks_uri"`
		Styles   []string `json:"token_endpoint_auth_methods_supported"`
		SendsIss bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, err
	}
	endpoints := []string{provider.Endpoint().AuthURL, provider.Endpoint().TokenURL, document.Keys}
	if u := provider.UserInfoEndpoint(); u != "" {
		endpoints = append(endpoints, u)
	}
	for _, endpoint := range endpoints {
		if err := p.checkEndpoint(endpoint); err != nil {
			return nil, err
		}
	}
	style, err := p.secretStyle(document.Styles)
	if err != nil {
		return nil, err
	}
	found := &discovered{provider: provider, keysURL: document.Keys, sendsIss: document.SendsIss, style: style}
	return found, nil
}

// secretStyle chooses how the client's secret is sent. Trying both ways in turn would spend the code on the first.
func (p *Provider) secretStyle(styles []string) (oauth2.AuthStyle, error) {
	basic := len(styles) == 0 || slices.Contains(styles, "client_secret_basic") // the default of Discovery 1.0, 3
	post := slices.Contains(styles, "client_secret_post")
	// Not every provider undoes the escaping of RFC 6749, 2.3.1, so what needs it goes another way where it can.
	plain := url.QueryEscape(p.cfg.ClientID+p.secret) == p.cfg.ClientID+p.secret
	switch {
	case basic && (plain || !post):
		return oauth2.AuthStyleInHeader, nil
	case post:
		return oauth2.AuthStyleInParams, nil
	}
	return 0, errors.New("the provider takes a client's secret neither by client_secret_basic nor by client_secret_post")
}

// checkEndpoint refuses addresses that would send the browser, codes or secrets where the issuer's own address would
// not be allowed to.
func (p *Provider) checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil:
		return fmt.Errorf("its endpoint %q is no address", endpoint)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback(u.Hostname()) && strings.HasPrefix(p.cfg.Issuer, "http://"):
		return nil
	}
	return fmt.Errorf("its endpoint %q does not begin with https://", endpoint)
}
