package console_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/console"
	"github.com/doorward/doorward/event"
)

// token makes an API token with the privileges.
func (r *running) token(t *testing.T, account string, privileges ...auth.Privilege) string {
	t.Helper()
	_, token, err := r.auth.AddToken(t.Context(), auth.Actor{Name: "test", Origin: "local"}, account,
		auth.NewToken{Name: "t" + string(privileges[0]), Privileges: privileges}, time.Now())
	must(t, err)
	return token
}

// TestTheAPITakesTokensOnly: a session's cookie opens nothing there, and a token nothing elsewhere.
func TestTheAPITakesTokensOnly(t *testing.T) {
	r := start(t, nil)
	token, cookie := r.token(t, "the-owner", auth.Privileges()...), r.signIn(t, "the-owner")
	for _, c := range []struct {
		what, path string
		headers    []string
		want       int
	}{
		{"with the token", "/api/v1/principals", []string{"Authorization", "Bearer " + token}, 200},
		{"with the token, in another case", "/api/v1/principals", []string{"Authorization", "bearer " + token}, 200},
		{"with the cookie", "/api/v1/principals", []string{"Cookie", cookie}, 401},
		{"with Basic", "/api/v1/principals", []string{"Authorization", "Basic " + token}, 401},
		{"with nothing", "/api/v1/principals", nil, 401},
		{"the description", "/api/v1/openapi.yaml", nil, 200},
		{"the console's page with the token", "/", []string{"Authorization", "Bearer " + token}, 401},
		{"with the token as the session's cookie", "/", []string{"Cookie", console.CookieName + "=" + token}, 401},
		{"another host", "/api/v1/principals", []string{"Host", "rebound.example", "Authorization", "Bearer " + token}, 421},
	} {
		if answer, text := r.send(t, http.MethodGet, c.path, nil, c.headers...); answer.StatusCode != c.want {
			t.Errorf("%s: got %d %.200s, want %d", c.what, answer.StatusCode, text, c.want)
		}
	}
	if answer, _ := r.send(t, http.MethodPost, "/api/v1/principals/the-user/disable", nil, "Authorization", "Bearer "+token,
		"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); answer.StatusCode != 403 {
		t.Errorf("from another site's page: got %d, want 403", answer.StatusCode)
	}
	must(t, r.events.Flush(t.Context()))
	events, err := r.events.Query(t.Context(), event.Query{Limit: 100})
	must(t, err)
	seen := false
	for _, e := range events {
		for _, f := range e.Fields {
			if strings.Contains(f.Value, token) && f.Key != "target" {
				t.Errorf("the event %+v holds the token", e)
			}
			seen = seen || f.Key == "target" && f.Value == "/api/v1/principals" && e.User == "the-owner" && e.Outcome == event.Success
		}
	}
	if !seen {
		t.Error("no event tells that the-owner asked the API")
	}
}

// TestEventsTakeTheirPrivilege: a role of one's own may use the console and see no events.
func TestEventsTakeTheirPrivilege(t *testing.T) {
	r := start(t, nil)
	for role, want := range map[string]bool{"admin": true, "watcher": false} {
		_, text := r.send(t, http.MethodGet, "/", nil, "Cookie", r.signIn(t, "the-"+role))
		if got := strings.Contains(text, `id="events-title"`); got != want || !strings.Contains(text, `id="health-title"`) {
			t.Errorf("%s: the page shows events %t, want %t", role, got, want)
		}
	}
}

// TestOverviewRemindsOfTheReview: once it is due.
func TestOverviewRemindsOfTheReview(t *testing.T) {
	r := start(t, nil)
	cookie := r.signIn(t, "the-owner")
	r.auth.Sweep(t.Context(), time.Now())
	if _, text := r.send(t, http.MethodGet, "/", nil, "Cookie", cookie); strings.Contains(text, `id="review"`) {
		t.Error("the page reminds of a review that is not due")
	}
	if _, text := r.send(t, http.MethodGet, "/metrics", nil); !strings.Contains(text, "\ndoorward_access_review_overdue 0\n") {
		t.Error("the metric says that the review is overdue, or nothing")
	}
	_, err := r.auth.SignReview(t.Context(), auth.Actor{Name: "test", Origin: "local"}, "long ago", time.Now().Add(-100*24*time.Hour))
	must(t, err)
	if _, text := r.send(t, http.MethodGet, "/", nil, "Cookie", cookie); !strings.Contains(text, `id="review"`) || !strings.Contains(text, "The access review is due since") {
		t.Error("the page does not remind of a review that is due")
	}
	if _, text := r.send(t, http.MethodGet, "/metrics", nil); !strings.Contains(text, "\ndoorward_access_review_overdue 1\n") {
		t.Error("the metric does not say that the review is overdue")
	}
}

// TestMetricsByAPIToken: a peer elsewhere reads the numbers with a token for them, and with no other.
func TestMetricsByAPIToken(t *testing.T) {
	r := start(t, nil)
	for what, c := range map[string]struct {
		token string
		want  int
	}{
		"for metrics":   {r.token(t, "the-admin", auth.SeeMetrics), 200},
		"for events":    {r.token(t, "the-admin", auth.SeeEvents), 403},
		"nobody's":      {auth.TokenPrefix + strings.Repeat("x", 43), 403},
		"none of these": {"the-token-of-prometheus", 403},
	} {
		request := httptest.NewRequest(http.MethodGet, "https://localhost/metrics", nil)
		request.RemoteAddr = "192.0.2.1:5000"
		request.Header.Set("Authorization", "Bearer "+c.token)
		w := httptest.NewRecorder()
		r.console.ServeHTTP(w, request)
		if w.Code != c.want {
			t.Errorf("a token %s: got %d, want %d", what, w.Code, c.want)
		}
	}
}
