package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/doorward/doorward/audit/register"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/decision/bouncer"
	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway/exclusion"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/mail"
)

// Deps is what the handler works with.
type Deps struct {
	Auth    *auth.Auth
	Journal *journal.Journal
	// Register keeps what people say about controls.
	Register *register.Register
	Mail     *mail.Outbox
	// Events is the log that is searched.
	Events *event.Log
	// Decisions are who is refused; Bouncers are the keys of programs that read them.
	Decisions *decision.List
	Bouncers  *bouncer.Keys
	// CountryTarget tells why a decision about a country would be about nobody, or about the person who asks, whose address is from; nil where
	// nothing is running that could tell.
	CountryTarget func(code string, from netip.Addr) error
	// Exclusions are what administrators left out of the firewall's rules.
	Exclusions *exclusion.List
	// WAFSites says how the firewall of each site stands, or at least which there are and their modes. Nil: that is not known.
	WAFSites func() []WAFSite
	// LeftOut tells whether the configuration leaves out whatever an exclusion would. Nil where nothing is running.
	LeftOut func(exclusion.Exclusion) bool
	// Detections are what is detected, and Jails the imported jails. Jails is nil where nothing is running.
	Detections func() ([]detect.Detection, error)
	Jails      func() []detect.JailStatus
	// WatchState says what is watched, enforced and told. Nil: there is nothing running.
	WatchState func(context.Context) (WatchState, error)
	// Watch says how all of it is, and of the sources too. Nil where nothing is running.
	Watch   func() (detect.RuleCounters, []detect.SourceStatus, []detect.JailStatus)
	Log     *slog.Logger
	Version string
	// Reload reads the configuration file again and applies it. Nil: there is nothing running to reload.
	// Its error is shown to the caller as it is, because it is about the caller's own file.
	Reload func(ctx context.Context, actor auth.Actor) error
	// Config tells the hash of the configuration file in force. Nil: there is nothing running.
	Config func() string
}

// Handler answers commands. The actor of each comes from the connection, or from the API token, never from what is asked.
type Handler struct {
	deps        Deps
	mux         *http.ServeMux
	description func() []byte // openapi.yaml, written when it is first asked for: only ServeHTTPS serves it
}

// maxBody is many times the longest account with the longest password.
const maxBody = 64 << 10

// maxLargeBody is many times an imported scan with as many findings as are kept, and room for decision.MaxBatch targets with a reason each.
const maxLargeBody = 4 << 20

// NewHandler makes the handler.
func NewHandler(deps Deps) *Handler {
	h := &Handler{deps: deps, mux: http.NewServeMux()}
	routes := h.routes()
	h.description = sync.OnceValue(func() []byte { return describe(routes) })
	for _, r := range routes {
		h.mux.HandleFunc(r.method+" "+r.path, h.adapt(r))
	}
	return h
}

// ServeHTTP answers one command.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// adapt is the one place where an answer or an error becomes a response, and where an account's privilege is asked for.
func (h *Handler) adapt(to route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, max(maxBody, to.body))
		body, err := to.carryOut(r)
		status := http.StatusOK
		if err != nil {
			e := h.public(err, to, r)
			status, body = e.Status, e
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		// A write error is the command's departure; there is nobody left to tell.
		_ = json.NewEncoder(w).Encode(body)
	}
}

// carryOut answers for whoever is on the other end.
func (to route) carryOut(r *http.Request) (any, error) {
	who, err := actor(r)
	if err != nil {
		return nil, err
	}
	if who.As != nil && to.needs != "" && !slices.Contains(who.As.Privileges, to.needs) {
		return nil, &auth.DeniedError{Problem: "this takes the privilege " + string(to.needs)}
	}
	return to.answer(r, who)
}

// actorKey is the package's context key; its value is the auth.Actor on the other end.
type actorKey struct{}

func withActor(ctx context.Context, a auth.Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

func actor(r *http.Request) (auth.Actor, error) {
	a, ok := r.Context().Value(actorKey{}).(auth.Actor)
	if !ok {
		// Fails closed: an action that nobody is answerable for must not happen.
		return auth.Actor{}, errors.New("the connection's user is not known")
	}
	return a, nil
}

// decode reads the request's JSON into v; an unknown key is refused, since it may be a restriction that
// this version does not know.
func decode(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return &Error{Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("the request is larger than %d bytes", large.Limit)}
		}
		return badRequest("the request is not the JSON that is needed here")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badRequest("the request holds more than one JSON value")
	}
	return nil
}

// done is the answer of an action that has nothing to tell.
type done struct{}

func (h *Handler) status(*http.Request, auth.Actor) (any, error) {
	s := Status{Version: h.deps.Version, PID: os.Getpid()}
	if h.deps.Config != nil {
		s.Config = h.deps.Config()
	}
	return s, nil
}

func (h *Handler) reload(r *http.Request, who auth.Actor) (any, error) {
	if h.deps.Reload == nil {
		return nil, &Error{Status: http.StatusConflict, Message: "nothing is running that could be reloaded"}
	}
	if err := h.deps.Reload(r.Context(), who); err != nil {
		return nil, &Error{Status: http.StatusConflict, Message: "the configuration was not reloaded: " + err.Error(), Hint: "the one before stays in force"}
	}
	return done{}, nil
}

// number reads an optional query parameter between 0 and limit.
func number(r *http.Request, name string, otherwise, limit int64) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > limit {
		return 0, badRequest(fmt.Sprintf("%s must be a number from 0 to %d", name, limit))
	}
	return n, nil
}
