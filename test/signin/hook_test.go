package signin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

// TestHookInTheDocs runs the hook of docs/registration.md as it stands there, against a gateway that answers as Twilio's API does.
func TestHookInTheDocs(t *testing.T) {
	real.Require(t, "/usr/bin/python3")
	page, err := os.ReadFile(filepath.Join(real.Repository(t), "docs", "registration.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, script, found := strings.Cut(string(page), "```python\n")
	script, _, end := strings.Cut(script, "```\n")
	if !found || !end {
		t.Fatal("the page has no script")
	}
	var mu sync.Mutex
	var sent []string
	answer := http.StatusCreated
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		user, password, _ := r.BasicAuth()
		sent = append(sent, fmt.Sprint(r.Method, " ", r.URL.Path, " ", user, ":", password, " ", r.PostFormValue("To"), " ", r.PostFormValue("From"), " ", r.PostFormValue("Body")))
		w.WriteHeader(answer)
	}))
	t.Cleanup(gateway.Close)
	dir, port := real.Folder(t), real.FreePort(t)
	cmd := exec.Command("/usr/bin/python3", real.Write(t, dir, "hook.py", script, 0o755))
	cmd.Env = append(os.Environ(), "SMS_ACCOUNT=AC1", "SMS_FROM=+4930123", "SMS_GATEWAY="+gateway.URL, fmt.Sprint("SMS_PORT=", port),
		"SMS_PASSWORD_FILE="+real.Write(t, dir, "password", "secret\n", 0o600), "DOORWARD_TOKEN_FILE="+real.Write(t, dir, "token", "hook\n", 0o600))
	address := fmt.Sprint("127.0.0.1:", port)
	real.Start(t, "hook", cmd).AwaitListening(address, time.Minute)

	post := func(token, id string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/send",
			strings.NewReader(`{"to":"+491701234567","text":"123456 ist Ihr Code für a.example","kind":"code","language":"de","id":"`+id+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	for _, c := range []struct {
		token, id     string
		gateway, want int
		sent          int
	}{
		{"wrong", "1", http.StatusCreated, http.StatusForbidden, 0},
		{"hook", "1", http.StatusCreated, http.StatusAccepted, 1},
		{"hook", "1", http.StatusCreated, http.StatusAccepted, 1},
		{"hook", "2", http.StatusBadGateway, http.StatusBadGateway, 2},
		{"hook", "2", http.StatusTooManyRequests, http.StatusBadGateway, 3},
		{"hook", "2", http.StatusBadRequest, http.StatusUnprocessableEntity, 4},
		{"hook", "2", http.StatusCreated, http.StatusAccepted, 5},
	} {
		mu.Lock()
		answer = c.gateway
		mu.Unlock()
		got := post(c.token, c.id)
		mu.Lock()
		if got != c.want || len(sent) != c.sent {
			t.Errorf("message %s with the gateway answering %d: %d and %d sent, want %d and %d", c.id, c.gateway, got, len(sent), c.want, c.sent)
		}
		mu.Unlock()
	}
	mu.Lock()
	defer mu.Unlock()
	const want = "POST /2010-04-01/Accounts/AC1/Messages.json AC1:secret +491701234567 +4930123 123456 ist Ihr Code für a.example"
	if len(sent) == 0 || sent[0] != want {
		t.Errorf("the gateway was given\n%s\nwant\n%s", strings.Join(sent, "\n"), want)
	}
}
