package api

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/doorward/doorward/auth"
)

// Error is an answer other than success. Message is written for whoever typed the command.
type Error struct {
	Status  int    `json:"-"` // HTTP status
	Message string `json:"error"`
	Hint    string `json:"hint,omitempty"`
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

func badRequest(message string) *Error {
	return &Error{Status: http.StatusBadRequest, Message: message}
}

// public turns an error of a domain into what the caller may read. What is not listed here is our defect or
// the machine's trouble: its text goes to the log only.
func (h *Handler) public(err error, r *http.Request) *Error {
	var chosen *Error
	if errors.As(err, &chosen) {
		return chosen
	}
	var invalid *auth.InputError
	var unfit *auth.PasswordError
	var no *auth.DeniedError
	switch {
	case errors.As(err, &invalid):
		return badRequest(invalid.Error())
	case errors.As(err, &unfit):
		return badRequest(unfit.Error())
	case errors.As(err, &no):
		return &Error{Status: http.StatusForbidden, Message: no.Problem}
	case errors.Is(err, auth.ErrNotFound) && strings.HasPrefix(r.URL.Path, "/v1/tokens/"):
		return &Error{Status: http.StatusNotFound, Message: "there is no such API token", Hint: "doorward token list shows the tokens"}
	case errors.Is(err, auth.ErrNotFound) && strings.HasPrefix(r.URL.Path, "/v1/reviews/"):
		return &Error{Status: http.StatusNotFound, Message: "there is no such review", Hint: "doorward review list shows the reviews"}
	case errors.Is(err, auth.ErrNotFound) && strings.HasPrefix(r.URL.Path, "/v1/invitations/"):
		return &Error{Status: http.StatusNotFound, Message: "there is no such open invitation", Hint: "doorward user invitations shows the invitations"}
	case errors.Is(err, auth.ErrNotFound) && r.PathValue("id") != "", errors.Is(err, auth.ErrNoSession):
		return &Error{Status: http.StatusNotFound, Message: "there is no such session", Hint: "doorward session list shows the sessions"}
	case errors.Is(err, auth.ErrNotFound):
		return &Error{Status: http.StatusNotFound, Message: "there is no such account", Hint: "doorward user list shows the accounts"}
	case errors.Is(err, auth.ErrExists):
		return &Error{Status: http.StatusConflict, Message: "the name or e-mail address belongs to another account", Hint: "doorward user list shows the accounts"}
	case errors.Is(err, auth.ErrLastOwner):
		return &Error{Status: http.StatusConflict, Message: "this is the last enabled owner", Hint: "make another owner first: doorward user add NAME --role owner"}
	case errors.Is(err, auth.ErrBusy):
		return &Error{Status: http.StatusServiceUnavailable, Message: "too many passwords are being checked", Hint: "try again in a moment"}
	case errors.Is(err, auth.ErrUnavailable):
		h.deps.Log.Error("answer command", slog.String("path", r.URL.Path), slog.Any("error", err))
		return &Error{Status: http.StatusServiceUnavailable, Message: "the store does not answer", Hint: "doorward's log says why"}
	}
	h.deps.Log.Error("answer command", slog.String("path", r.URL.Path), slog.Any("error", err))
	return &Error{Status: http.StatusInternalServerError, Message: "the command could not be carried out", Hint: "doorward's log says why"}
}
