package password

import (
	"bufio"
	"context"
	"crypto/sha1" // the protocol's, not ours: it protects nothing here
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The bounds of a breach check.
const (
	breachPrefix = 5       // digits of the SHA-1 that the service is told
	breachSuffix = 35      // digits that it answers with
	breachMax    = 1 << 20 // bytes of an answer; the real ones have less than a tenth
	breachAtOnce = 4       // connections; who comes later waits and, past the timeout, goes unchecked
)

// breaches asks a service of the Pwned Passwords range protocol: https://haveibeenpwned.com/API/v3#PwnedPasswords.
type breaches struct {
	base    *url.URL
	timeout time.Duration
	client  *http.Client
}

func newBreaches(cfg BreachConfig) (*breaches, error) {
	base, problem := breachURL(cfg.URL)
	if problem != "" {
		return nil, fmt.Errorf("breach_check.url: %q %s", cfg.URL, problem)
	}
	return &breaches{base: base, timeout: cfg.Timeout, client: &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			ForceAttemptHTTP2:      true,
			MaxConnsPerHost:        breachAtOnce,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Scheme != base.Scheme || r.URL.Host != base.Host {
				return errors.New("redirected to another host")
			}
			if len(via) > 2 {
				return errors.New("redirected too often")
			}
			return nil
		},
	}}, nil
}

// found tells whether the service knows the prepared password. An error says what went wrong and nothing of the
// password, not even the five digits.
func (b *breaches) found(ctx context.Context, text string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	sum := sha1.Sum([]byte(text))
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base.JoinPath(digits[:breachPrefix]).String(), nil)
	if err != nil {
		return false, fmt.Errorf("ask for breached passwords: %w", withoutURL(err))
	}
	request.Header.Set("Add-Padding", "true") // or the answer's size would tell which five digits it is for
	request.Header.Set("User-Agent", "doorward")
	answer, err := b.client.Do(request)
	if err != nil {
		return false, fmt.Errorf("ask for breached passwords: %w", withoutURL(err))
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return false, fmt.Errorf("ask for breached passwords: the service answers %d", answer.StatusCode)
	}
	found, err := readRange(answer.Body, digits[breachPrefix:])
	if err != nil {
		return false, fmt.Errorf("read breached passwords: %w", withoutURL(err))
	}
	return found, nil
}

// readRange looks for the suffix in an answer: lines of 35 digits, a colon and how often the password was seen. Rows
// with 0 are padding. Whatever else stands there is not the service that was meant, so nothing is concluded from it.
func readRange(body io.Reader, suffix string) (bool, error) {
	limited := &io.LimitedReader{R: body, N: breachMax + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 0, 256), 256)
	for lines.Scan() {
		if limited.N == 0 {
			break
		}
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		digits, times, ok := strings.Cut(line, ":")
		count, err := strconv.ParseUint(times, 10, 64)
		if _, notHex := hex.DecodeString("0" + digits); !ok || err != nil || notHex != nil || len(digits) != breachSuffix {
			return false, errors.New("the answer is not a list of hashes")
		}
		if count > 0 && strings.EqualFold(digits, suffix) {
			return true, nil
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return false, errors.New("the answer is not a list of hashes")
	case err != nil:
		return false, err
	case limited.N == 0:
		return false, fmt.Errorf("the answer is longer than %d bytes", breachMax)
	}
	return false, nil
}

// withoutURL takes away the URL that net/http puts into its errors: it ends with the five digits.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
