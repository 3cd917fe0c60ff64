package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/auth"
)

// Client sends commands to a handler, over the admin socket or in the same process.
type Client struct {
	http *http.Client
}

// ErrNoDaemon says that nobody listens on the admin socket.
var ErrNoDaemon = errors.New("no doorward is running on this data folder")

// Dial returns a client of the daemon that listens on socket, or ErrNoDaemon.
func Dial(ctx context.Context, socket string) (*Client, error) {
	connect := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	probe, err := connect(ctx, "", "")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return nil, ErrNoDaemon
	}
	if err != nil {
		return nil, fmt.Errorf("reach the running doorward: %w", err)
	}
	probe.Close()
	return &Client{http: &http.Client{Transport: &http.Transport{DialContext: connect, DisableKeepAlives: true}}}, nil
}

// Local returns a client that runs the handler in this process, for a data folder without a daemon. who is
// what the journal names as the actor.
func Local(h *Handler, who auth.Actor) *Client {
	return &Client{http: &http.Client{Transport: inProcess{handler: h, who: who}}}
}

// inProcess is the transport of Local.
type inProcess struct {
	handler http.Handler
	who     auth.Actor
}

// RoundTrip answers r with the handler.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(withActor(r.Context(), t.who))
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	w := &recorder{header: make(http.Header), status: http.StatusOK}
	t.handler.ServeHTTP(w, r)
	return &http.Response{StatusCode: w.status, Status: http.StatusText(w.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r}, nil
}

// recorder keeps an answer in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(status int)      { w.status = status }
func (w *recorder) Write(p []byte) (int, error) { return w.body.Write(p) }

// maxAnswer bounds what a client reads: a thousand journal entries of the largest kind fit.
const maxAnswer = 256 << 20

// call sends in as JSON, if there is any, and reads the answer into out. A refusal is *Error.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("write request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	// The host is never resolved: the transport knows one destination only.
	r, err := http.NewRequestWithContext(ctx, method, "http://doorward"+path, body)
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("ask doorward: %w", err)
	}
	defer answer.Body.Close()
	d := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer))
	if answer.StatusCode != http.StatusOK {
		refused := &Error{Status: answer.StatusCode}
		if err := d.Decode(refused); err != nil || refused.Message == "" {
			refused.Message = "doorward answered " + answer.Status
			refused.Hint = "the running doorward may be of another version than this command"
			if answer.StatusCode == http.StatusRequestHeaderFieldsTooLarge {
				refused.Hint = "what was asked for is too long; shorten it"
			}
		}
		return refused
	}
	if out == nil {
		return nil
	}
	if err := d.Decode(out); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

// Status tells version and process of the instance that answers.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var out Status
	err := c.call(ctx, http.MethodGet, "/v1/status", nil, &out)
	return out, err
}

// Reload has the daemon read its configuration file again.
func (c *Client) Reload(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/reload", nil, nil)
}

// Principals lists all accounts.
func (c *Client) Principals(ctx context.Context) ([]Principal, error) {
	var out []Principal
	err := c.call(ctx, http.MethodGet, "/v1/principals", nil, &out)
	return out, err
}

// AddPrincipal makes an account and returns it.
func (c *Client) AddPrincipal(ctx context.Context, n NewPrincipal) (Principal, error) {
	var out Principal
	err := c.call(ctx, http.MethodPost, "/v1/principals", n, &out)
	return out, err
}

// SetDisabled disables an account, which ends its sessions, or enables it again.
func (c *Client) SetDisabled(ctx context.Context, name string, disabled bool) error {
	verb := "/enable"
	if disabled {
		verb = "/disable"
	}
	return c.call(ctx, http.MethodPost, principalPath(name, verb), nil, nil)
}

// ResetPassword sets an account's password and ends its sessions. mustChange has the person choose another one at the next sign-in.
func (c *Client) ResetPassword(ctx context.Context, name, password string, mustChange bool) error {
	return c.call(ctx, http.MethodPost, principalPath(name, "/password"), passwordRequest{Password: password, MustChange: mustChange}, nil)
}

// Sessions lists the sessions of one account, or of all with user "".
func (c *Client) Sessions(ctx context.Context, user string) ([]Session, error) {
	var out []Session
	err := c.call(ctx, http.MethodGet, "/v1/sessions?user="+url.QueryEscape(user), nil, &out)
	return out, err
}

// RevokeSession ends one session.
func (c *Client) RevokeSession(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/sessions/"+url.PathEscape(id), nil, nil)
}

// RevokeAll ends every session of an account and returns how many there were.
func (c *Client) RevokeAll(ctx context.Context, name string) (int, error) {
	var out revoked
	err := c.call(ctx, http.MethodPost, principalPath(name, "/sign-outs"), nil, &out)
	return out.Count, err
}

// Entries returns at most limit (1000 at most) journal entries from index from on.
func (c *Client) Entries(ctx context.Context, from int64, limit int) ([]Entry, error) {
	var out []Entry
	path := "/v1/journal?from=" + strconv.FormatInt(from, 10) + "&limit=" + strconv.Itoa(limit)
	err := c.call(ctx, http.MethodGet, path, nil, &out)
	return out, err
}

// Head returns the journal's signed head.
func (c *Client) Head(ctx context.Context) (string, error) {
	var out headAnswer
	err := c.call(ctx, http.MethodGet, "/v1/journal/head", nil, &out)
	return out.Note, err
}

// Verify checks the whole journal, and against keptHead if it is not empty.
func (c *Client) Verify(ctx context.Context, keptHead string) (Report, error) {
	var out Report
	err := c.call(ctx, http.MethodPost, "/v1/journal/verify", headAnswer{Note: keptHead}, &out)
	return out, err
}

// MailQueue lists at most limit (1000 at most) messages that wait or were given up, newest first.
func (c *Client) MailQueue(ctx context.Context, limit int) ([]Mail, error) {
	var out []Mail
	err := c.call(ctx, http.MethodGet, "/v1/mail?limit="+strconv.Itoa(limit), nil, &out)
	return out, err
}
