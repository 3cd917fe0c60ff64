package pages

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
)

const (
	// maxForm bounds a form's body. Name and password take 2 KiB at most, escaped threefold.
	maxForm = 16 << 10
	// maxAnswer bounds what the script sends: package auth takes 64 KiB of a browser's answer.
	maxAnswer = 80 << 10
)

// form is a form as it was sent: each field once.
type form url.Values

// get is a field's text; empty if it was not sent.
func (f form) get(name string) string { return url.Values(f).Get(name) }

// readForm reads the fields from the body alone: a password in the URL would stand in logs and histories.
func readForm(x *exchange) (form, error) {
	body, err := readBody(x, "application/x-www-form-urlencoded", maxForm)
	if err != nil {
		return nil, err
	}
	return parseForm(string(body))
}

// parseForm reads the body of a form. A field sent twice is refused: two programs would read two different values.
func parseForm(body string) (form, error) {
	values, err := url.ParseQuery(body)
	for name := range values {
		if len(values[name]) > 1 {
			err = fmt.Errorf("field %q is there twice", name)
		}
	}
	if err != nil {
		return nil, &refusal{status: http.StatusBadRequest, code: "form-ambiguous", key: "page.error.form_ambiguous"}
	}
	return form(values), nil
}

// readJSON reads what the script sends into v.
func readJSON(x *exchange, v any) error {
	body, err := readBody(x, "application/json", maxAnswer)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return &refusal{status: http.StatusBadRequest, code: "json", key: "page.error.json"}
	}
	return nil
}

func readBody(x *exchange, want string, limit int64) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if err != nil || kind != want {
		return nil, &refusal{status: http.StatusUnsupportedMediaType, code: "content-type", key: "page.error.content_type", pairs: []string{"type", want}}
	}
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, limit))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, &refusal{status: http.StatusRequestEntityTooLarge, code: "form-too-large", key: "page.error.form_too_large"}
	}
	if err != nil {
		return nil, &refusal{status: http.StatusBadRequest, code: "form-incomplete", key: "page.error.form_incomplete"}
	}
	return body, nil
}
