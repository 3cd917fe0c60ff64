package api

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/doorward/doorward/audit/register"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/decision/bouncer"
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

// noSuch says that what a command is about is not there, and how to see what is.
func noSuch(what, hint string) *Error {
	return &Error{Status: http.StatusNotFound, Message: "there is no such " + what, Hint: hint}
}

// public turns an error of a domain into what the caller may read. What is not listed here is our defect or
// the machine's trouble: its text goes to the log only.
func (h *Handler) public(err error, to route, r *http.Request) *Error {
	var chosen *Error
	if errors.As(err, &chosen) {
		return chosen
	}
	if chosen := publicDecision(err); chosen != nil {
		return chosen
	}
	if chosen := publicExclusion(err, to); chosen != nil {
		return chosen
	}
	var invalid *auth.InputError
	var unfit *auth.PasswordError
	var no *auth.DeniedError
	var unsaid *register.InputError
	switch {
	case errors.As(err, &invalid):
		return badRequest(invalid.Error())
	case errors.As(err, &unfit):
		return badRequest(unfit.Error())
	case errors.As(err, &no):
		return &Error{Status: http.StatusForbidden, Message: no.Problem}
	case errors.As(err, &unsaid):
		return badRequest(unsaid.Error())
	case errors.Is(err, register.ErrFull):
		return &Error{Status: http.StatusConflict, Message: "the register is full", Hint: "end what does not hold any more: doorward attest list, doorward asset list"}
	case to.missing != nil && (errors.Is(err, auth.ErrNotFound) || errors.Is(err, register.ErrNotFound) || errors.Is(err, decision.ErrNotFound) ||
		errors.Is(err, bouncer.ErrNotFound)):
		return to.missing
	case errors.Is(err, auth.ErrNotFound):
		return noSuch("account", "doorward user list shows the accounts")
	case errors.Is(err, auth.ErrExists):
		return &Error{Status: http.StatusConflict, Message: "the name or e-mail address belongs to another account", Hint: "doorward user list shows the accounts"}
	case errors.Is(err, bouncer.ErrExists):
		return &Error{Status: http.StatusConflict, Message: bouncer.ErrExists.Error(), Hint: "doorward decision bouncer remove NAME takes its key away"}
	case errors.Is(err, bouncer.ErrFull):
		return &Error{Status: http.StatusConflict, Message: bouncer.ErrFull.Error(), Hint: "remove those that are not in use: doorward decision bouncer list"}
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
