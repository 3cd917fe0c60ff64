package facts

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	maxTries   = 5 // sign-ins at one application, and one before with an account that is nobody's
	betweenTry = time.Second
	maxCost    = 12 // of bcrypt; more is not compared, because it would take seconds
)

// passwordScheme tells how a stored password is kept, and whether that is salted and slow. "none" is no password at all.
func passwordScheme(stored string) (scheme string, slow bool) {
	for _, known := range []struct {
		prefix, scheme string
		slow           bool
	}{
		{"$2a$", "bcrypt", true}, {"$2b$", "bcrypt", true}, {"$2y$", "bcrypt", true}, {"!bcrypt!", "bcrypt", true},
		{"$argon2", "argon2", true}, {"$scrypt$", "scrypt", true}, {"$7$", "scrypt", true}, {"$y$", "yescrypt", true},
		{"$pbkdf2", "pbkdf2", true}, {"pbkdf2_", "pbkdf2", true}, {"$6$", "sha512-crypt", true}, {"$5$", "sha256-crypt", true},
		{"$P$", "phpass", false}, {"$H$", "phpass", false}, {"$1$", "md5-crypt", false}, {"!sha512!", "salted sha512", false},
	} {
		if strings.HasPrefix(stored, known.prefix) {
			return known.scheme, known.slow
		}
	}
	if stored == "" || strings.HasPrefix(stored, "*") {
		return "none", false
	}
	if _, err := hex.DecodeString(stored); err == nil {
		switch len(stored) {
		case 32:
			return "md5", false
		case 40:
			return "sha1", false
		case 64:
			return "sha256", false
		case 128:
			return "sha512", false
		}
	}
	return "plain", false
}

// matches says whether a stored password is this one, in the schemes that applications of the folders use. known is false
// where that cannot be said.
func (r *appReader) matches(stored, password string) (matches, known bool) {
	if password == "" {
		return false, true
	}
	equal := func(sum []byte) bool {
		return subtle.ConstantTimeCompare([]byte(strings.ToLower(stored)), []byte(hex.EncodeToString(sum))) == 1
	}
	switch scheme, _ := passwordScheme(stored); scheme {
	case "none":
		return false, true
	case "bcrypt":
		secret := []byte(password)
		if rest, ok := strings.CutPrefix(stored, "!bcrypt!"); ok { // Request Tracker: bcrypt over SHA-512
			cost, hash, _ := strings.Cut(rest, "!")
			sum := sha512.Sum512(secret)
			stored, secret = "$2a$"+cost+"$"+hash, sum[:]
		}
		cost, err := bcrypt.Cost([]byte(stored))
		if r.compare--; err != nil || cost > maxCost || r.compare < 0 {
			return false, false
		}
		return bcrypt.CompareHashAndPassword([]byte(stored), secret) == nil, true
	case "md5":
		sum := md5.Sum([]byte(password))
		return equal(sum[:]), true
	case "sha1":
		sum := sha1.Sum([]byte(password))
		return equal(sum[:]), true
	case "sha256":
		sum := sha256.Sum256([]byte(password))
		return equal(sum[:]), true
	case "plain":
		return stored == password, true
	}
	return false, false
}

// passwords lists those of the delivery.
func (k appKind) passwords() []string {
	var all []string
	for _, account := range k.accounts.Accounts {
		all = append(all, account.Passwords...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// signIns tries the passwords of the delivery at the application, when its administrator consents.
func (r *appReader) signIns(ctx context.Context, app App, kind appKind) {
	form := kind.accounts.SignIn
	if !app.TryDefaultPasswords || form == nil || app.URL == "" {
		return
	}
	base, err := url.Parse(app.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" {
		r.lose(app, "its url is not one of a web page", "default_passwords")
		return
	}
	// Nothing secret is sent, and whose certificate it is is another control's question.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 4 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	try := func(name, password string) (bool, error) {
		fields := url.Values{form.User: {name}, form.Password: {password}}
		for key, value := range form.Fields {
			fields.Set(key, value)
		}
		status, err := post(ctx, client, base.JoinPath(form.Path).String(), fields)
		return status == form.Status, err
	}
	// An address that answers so to everybody, such as one that only redirects to another, would prove nothing.
	if works, err := try("doorward-"+rand.Text(), rand.Text()); err != nil || works {
		reason := "an account that does not exist can sign in at " + app.URL
		if err != nil {
			reason = because(err)
		}
		r.lose(app, reason, "default_passwords")
		return
	}
	tries := 0
	for _, account := range kind.accounts.Accounts {
		works := false
		for _, password := range account.Passwords {
			if tries++; tries > maxTries {
				r.lose(app, fmt.Sprintf("only %d sign-ins were tried", maxTries), "default_passwords")
				return
			}
			if wait(ctx, betweenTry) != nil {
				r.lose(app, "no answer in time", "default_passwords")
				return
			}
			worked, err := try(account.Name, password)
			if err != nil {
				r.lose(app, because(err), "default_passwords")
				return
			}
			works = works || worked
		}
		r.facts.DefaultPasswords = append(r.facts.DefaultPasswords, AppDefaultPassword{app.Name, account.Name, works, "sign-in", app.URL})
	}
}

func post(ctx context.Context, client *http.Client, to string, form url.Values) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", "doorward audit")
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 1<<20) // the status says it all
	return response.StatusCode, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
