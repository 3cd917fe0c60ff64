package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/auth"
)

// refusalOf chooses what a person reads of an error of package auth. wrong is the text for what was proved wrongly:
// all that is wrong with a name or a password has one text.
func refusalOf(err error, wrong string) error {
	var wait *auth.WaitError
	var unfit *auth.PasswordError
	var input *auth.InputError
	switch {
	case errors.Is(err, auth.ErrWrong):
		return &refusal{status: http.StatusUnauthorized, code: "wrong", key: wrong}
	case errors.As(err, &wait):
		return &refusal{status: http.StatusTooManyRequests, code: "waiting", retryAfter: wait.RetryAfter, key: "page.error.waiting",
			pairs: []string{"n", strconv.Itoa(wholeSeconds(wait.RetryAfter))}}
	case errors.Is(err, auth.ErrTooManyCodes):
		return &refusal{status: http.StatusTooManyRequests, code: "too-many-codes", retryAfter: time.Minute, key: "page.error.too_many_codes"}
	case errors.Is(err, auth.ErrBusy), errors.Is(err, context.Canceled): // nobody reads the answer to the second
		return &refusal{status: http.StatusServiceUnavailable, code: "busy", retryAfter: 2 * time.Second, key: "page.error.busy"}
	case errors.Is(err, auth.ErrUnavailable):
		return &refusal{status: http.StatusServiceUnavailable, code: "unavailable", retryAfter: 5 * time.Second, key: "page.error.unavailable"}
	case errors.Is(err, auth.ErrNetwork):
		return &refusal{status: http.StatusForbidden, code: "network", key: "page.error.network"}
	case errors.Is(err, auth.ErrNoPending):
		return &detour{signInPath}
	case errors.As(err, &unfit):
		no := &refusal{status: http.StatusUnprocessableEntity, code: "password", key: "page.error.password"}
		for _, problem := range unfit.Problems {
			no.more = append(no.more, reason{key: "page.password." + keyWord(string(problem.Code)), pairs: []string{"n", strconv.Itoa(problem.Number)}})
		}
		return no
	case errors.As(err, &input):
		return &refusal{status: http.StatusUnprocessableEntity, code: "input", key: "page.input." + keyWord(input.Field)}
	}
	return factorRefusal(err)
}

// factorRefusal is refusalOf for what only second factors and links give.
func factorRefusal(err error) error {
	for _, c := range []struct {
		err       error
		status    int
		code, key string
	}{
		{auth.ErrNotInvited, http.StatusForbidden, "not-invited", "page.error.not_invited"},
		{auth.ErrNoLink, http.StatusNotFound, "no-link", "page.error.no_link"},
		{auth.ErrOtherBrowser, http.StatusForbidden, "other-browser", "page.error.other_browser"},
		{auth.ErrLastFactor, http.StatusConflict, "last-factor", "page.error.last_factor"},
		{auth.ErrTooManyPasskeys, http.StatusConflict, "too-many-passkeys", "page.error.too_many_passkeys"},
		{auth.ErrNoPasskeys, http.StatusConflict, "no-passkeys", "page.error.no_passkeys"},
		{auth.ErrExists, http.StatusConflict, "exists", "page.error.exists"},
		{auth.ErrNotFound, http.StatusNotFound, "not-found", "page.error.not_found"},
	} {
		if errors.Is(err, c.err) {
			return &refusal{status: c.status, code: c.code, key: c.key}
		}
	}
	return fmt.Errorf("answer own page: %w", err)
}

// keyWord is a code or a field as keys of the catalogue write it.
func keyWord(word string) string { return strings.NewReplacer("-", "_", " ", "_").Replace(word) }
