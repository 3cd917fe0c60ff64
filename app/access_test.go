package app_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// TestOwnRolesAtTheSite: a role of one's own opens what its rules say, and nothing once the file has it no more.
func TestOwnRolesAtTheSite(t *testing.T) {
	r := start(t, store.Config{}, "roles:\n  - {name: auditor, privileges: [see-journal]}\n")
	operator := auth.Actor{Name: "cli:tester", Origin: "local"}
	_, err := r.Auth().AddPrincipal(t.Context(), operator, auth.NewPrincipal{Name: "ann", Roles: []auth.Role{"auditor"}, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	withRule := string(text) + "    access:\n      - {path: /books/, roles: [auditor]}\n"
	r.write(withRule)
	if err := r.ReloadFile(context.Background(), operator); err != nil {
		t.Fatalf("reload: %v", err)
	}
	ann, user := r.mustSignIn("ann"), r.mustSignIn("user")
	if status, _ := r.get("/books/", ann); status != 200 {
		t.Errorf("the auditor at /books/: got %d, want 200", status)
	}
	if status, _ := r.get("/books/", user); status != 403 {
		t.Errorf("a user at /books/: got %d, want 403", status)
	}
	// A rule for a role that does not exist is refused, and so the role stays.
	r.write(strings.Replace(withRule, "roles:\n  - {name: auditor, privileges: [see-journal]}\n", "", 1))
	if err := r.ReloadFile(context.Background(), operator); err == nil || !strings.Contains(err.Error(), `"auditor" is not one of owner, admin, agent, user`) {
		t.Errorf("a rule for a role that does not exist: %v", err)
	}
	if status, _ := r.get("/books/", ann); status != 200 {
		t.Errorf("after the refused reload: got %d, want 200", status)
	}
	r.write(strings.Replace(string(text), "roles:\n  - {name: auditor, privileges: [see-journal]}\n", "", 1))
	if err := r.ReloadFile(context.Background(), operator); err != nil {
		t.Fatalf("reload: %v", err)
	}
	if status, _ := r.get("/", ann); status != 403 {
		t.Errorf("who has only a role that is gone, at /: got %d, want 403", status)
	}
	if status, _ := r.get("/", user); status != 200 {
		t.Errorf("a user at /: got %d, want 200", status)
	}
}

// TestAPIOverHTTPS: the running Doorward answers programs at the console's address, on both kinds of store.
func TestAPIOverHTTPS(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		r := start(t, cfg, "")
		info, token, err := r.Auth().AddToken(t.Context(), auth.Actor{Name: "cli:tester", Origin: "local"}, "owner",
			auth.NewToken{Name: "ci", Privileges: auth.Privileges()}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		ask := func(method, path string) (int, string) {
			t.Helper()
			c := r.client(r.Console().Addresses()[0])
			defer c.CloseIdleConnections()
			q, err := http.NewRequestWithContext(t.Context(), method, "https://localhost"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			q.Header.Set("Authorization", "Bearer "+token)
			answer, err := c.Do(q)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			return answer.StatusCode, string(text)
		}
		agent := r.mustSignIn("agent")
		if status, text := ask(http.MethodPost, "/api/v1/principals/agent/disable"); status != 200 {
			t.Fatalf("disable: got %d %s, want 200", status, text)
		}
		if status, _ := r.get("/", agent); status != 401 {
			t.Errorf("the agent's session afterwards: got %d, want 401", status)
		}
		if status, text := ask(http.MethodPost, "/api/v1/reload"); status != 200 {
			t.Errorf("reload: got %d %s, want 200", status, text)
		}
		if status, text := ask(http.MethodDelete, "/api/v1/tokens/"+info.ID); status != 200 {
			t.Errorf("revoke the token itself: got %d %s, want 200", status, text)
		}
		if status, text := ask(http.MethodGet, "/api/v1/status"); status != 401 {
			t.Errorf("afterwards: got %d %s, want 401", status, text)
		}
	})
}
