package api

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/auth"
)

// Prefix is the path under which the commands are reached over HTTPS.
const Prefix = "/api/"

// descriptionPath is the description of the commands for programs. It tells nothing of the installation, so it needs no token.
const descriptionPath = Prefix + "v1/openapi.yaml"

// ServeHTTPS answers a command to a program that brings an API token, at a path below Prefix. host is the canonical host that was
// asked, client the address behind trusted proxies. The token's person is the actor, bound by the token's privileges and by the
// rules between accounts; cookies are not looked at, so that no page can have a browser command anything.
//
// It returns whose token it was, if anybody's, and for the access event why it was refused; empty when it was not refused here.
func (h *Handler) ServeHTTPS(w http.ResponseWriter, r *http.Request, host string, client netip.Addr) (user, reason string) {
	if r.URL.Path == descriptionPath && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		w.Header().Set("Content-Type", "application/yaml; charset=utf-8")
		_, _ = w.Write(h.description()) // an error is the reader's departure
		return "", ""
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", h.refuse(w, http.StatusUnauthorized, "not-signed-in", "an API token is needed", "send it as Authorization: Bearer "+auth.TokenPrefix+"…")
	}
	by, err := h.deps.Auth.AdminToken(r.Context(), host, strings.TrimSpace(token), client, time.Now())
	if err != nil {
		return "", h.refuseToken(w, err)
	}
	below := strings.TrimPrefix(r.URL.Path, strings.TrimSuffix(Prefix, "/"))
	command := r.Clone(withActor(r.Context(), auth.Actor{Name: by.Principal.Name, Origin: client.Unmap().String(), As: by}))
	command.URL.Path, command.URL.RawPath = below, strings.TrimPrefix(r.URL.RawPath, strings.TrimSuffix(Prefix, "/"))
	seen := &statusWriter{ResponseWriter: w}
	h.mux.ServeHTTP(seen, command)
	if seen.status == http.StatusForbidden {
		reason = "privilege"
	}
	return by.Principal.Name, reason
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// refuseToken answers for a token that is not good.
func (h *Handler) refuseToken(w http.ResponseWriter, err error) (reason string) {
	var wait *auth.WaitError
	switch {
	case errors.Is(err, auth.ErrNoSession):
		return h.refuse(w, http.StatusUnauthorized, "token", "the API token is not good here", "it may have expired or been revoked, or be bound to another host")
	case errors.As(err, &wait):
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(wait.RetryAfter.Seconds())))))
		return h.refuse(w, http.StatusTooManyRequests, "waiting", "too many wrong tokens or sign-ins from this address", "wait and try again")
	case errors.Is(err, auth.ErrNetwork):
		return h.refuse(w, http.StatusForbidden, "network", "the API token is not good from this address", "")
	case errors.Is(err, auth.ErrUnavailable):
		h.deps.Log.Error("look up API token", slog.Any("error", err))
		w.Header().Set("Retry-After", "2")
		return h.refuse(w, http.StatusServiceUnavailable, "store-unavailable", "the store does not answer", "try again in a moment")
	}
	h.deps.Log.Error("look up API token", slog.Any("error", err))
	return h.refuse(w, http.StatusInternalServerError, "internal-error", "the command could not be carried out", "doorward's log says why")
}

func (h *Handler) refuse(w http.ResponseWriter, status int, reason, message, hint string) string {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="doorward"`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(&Error{Status: status, Message: message, Hint: hint}) // an error is the caller's departure
	return reason
}
