package helpdesk_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/helpdesk"
)

const secret = "the-secret-that-only-the-gateway-knows"

var everybody = []string{"demo-owner", "demo-admin", "demo-agent", "demo-user"}

func newDesk(t *testing.T) *helpdesk.Helpdesk {
	t.Helper()
	h, err := helpdesk.New(helpdesk.Config{
		Headers: helpdesk.Headers{User: "X-Test-User", Email: "X-Test-Email", Roles: "X-Test-Roles", Secret: "X-Test-Secret"},
		Secrets: []string{secret, "the-secret-before"},
		Log:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ask sends a request as the gateway would pass it on for the named person; form nil means GET.
func ask(h http.Handler, person, target string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	if form != nil {
		r = httptest.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("X-Test-Secret", secret)
	r.Header.Set("X-Test-User", person)
	r.Header.Set("X-Test-Roles", strings.TrimPrefix(person, "demo-"))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// openTicket opens a ticket and returns its path.
func openTicket(t *testing.T, h http.Handler, person, subject, text string) string {
	t.Helper()
	w := ask(h, person, "/tickets", url.Values{"subject": {subject}, "text": {text}})
	if w.Code != http.StatusSeeOther {
		t.Fatalf("open ticket as %s: got %d, want 303\n%s", person, w.Code, w.Body)
	}
	return w.Header().Get("Location")
}

func TestRefusesWhatDidNotComeThroughTheGateway(t *testing.T) {
	h := newDesk(t)
	for name, headers := range map[string]http.Header{
		"no secret":     {"X-Test-User": {"demo-owner"}},
		"wrong secret":  {"X-Test-User": {"demo-owner"}, "X-Test-Secret": {"guess"}},
		"empty secret":  {"X-Test-User": {"demo-owner"}, "X-Test-Secret": {""}},
		"two secrets":   {"X-Test-User": {"demo-owner"}, "X-Test-Secret": {"guess", secret}},
		"nobody":        {"X-Test-Secret": {secret}},
		"two people":    {"X-Test-User": {"demo-owner", "demo-user"}, "X-Test-Secret": {secret}},
		"joined secret": {"X-Test-User": {"demo-owner"}, "X-Test-Secret": {secret + ", " + secret}},
	} {
		for _, path := range []string{"/", "/admin/", "/tickets/1", "/events"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header = headers.Clone()
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != http.StatusForbidden {
				t.Errorf("%s: GET %s: got %d, want 403", name, path, w.Code)
			}
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = http.Header{"X-Test-User": {"demo-user"}, "X-Test-Secret": {"the-secret-before"}}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Errorf("the secret before, during a rotation: got %d, want 200", w.Code)
	}
}

func TestRefusesAConfigurationWithoutSecret(t *testing.T) {
	headers := helpdesk.Headers{User: "X-User", Secret: "X-Secret"}
	for name, c := range map[string]helpdesk.Config{
		"no secret":      {Headers: headers},
		"empty secret":   {Headers: headers, Secrets: []string{"fine", ""}},
		"no user header": {Headers: helpdesk.Headers{Secret: "X-Secret"}, Secrets: []string{"fine"}},
	} {
		if _, err := helpdesk.New(c); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
}

func TestEveryPageNamesOnlyWhoAsks(t *testing.T) {
	h := newDesk(t)
	tickets := map[string]string{}
	for _, person := range everybody {
		tickets[person] = openTicket(t, h, person, "A ticket", "Some text")
		ask(h, person, tickets[person]+"/replies", url.Values{"text": {"More text"}})
	}
	ask(h, "demo-agent", tickets["demo-user"]+"/replies", url.Values{"text": {"An answer"}})
	for _, person := range everybody {
		paths := []string{"/", "/?q=anything", "/?q=ticket", "/events", tickets[person], "/no-such-page", "/tickets/999999"}
		if person != "demo-user" {
			paths = append(paths, "/queue/", tickets["demo-user"])
		}
		if person == "demo-admin" || person == "demo-owner" {
			paths = append(paths, "/admin/")
		}
		for _, path := range paths {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header = http.Header{"Accept": {"text/html"}, "X-Test-Secret": {secret}, "X-Test-User": {person},
				"X-Test-Roles": {strings.TrimPrefix(person, "demo-")}}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			page := w.Body.String()
			if want := `<b id="who">` + person + `</b>`; strings.Count(page, want) != 1 {
				t.Errorf("%s as %s: %q appears %d times, want once", path, person, want, strings.Count(page, want))
			}
			for _, other := range everybody {
				if other != person && strings.Contains(page, other) {
					t.Errorf("%s as %s names %s", path, person, other)
				}
			}
		}
	}
}

func TestSearchEchoesItsWordsEscaped(t *testing.T) {
	h := newDesk(t)
	openTicket(t, h, "demo-user", "The coffee machine", "It leaks.")
	w := ask(h, "demo-user", "/?q="+url.QueryEscape(`<script>alert("x")</script>`), nil)
	if w.Code != http.StatusOK {
		t.Fatalf("got %d, want 200", w.Code)
	}
	if strings.Contains(w.Body.String(), "<script>") {
		t.Error("the search words reach the page as markup")
	}
	if want := "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;"; !strings.Contains(w.Body.String(), want) {
		t.Errorf("the page does not show %q", want)
	}
	if w := ask(h, "demo-user", "/?q=COFFEE", nil); !strings.Contains(w.Body.String(), "The coffee machine") {
		t.Error("a search in capitals does not find the ticket")
	}
	if w := ask(h, "demo-agent", "/?q=coffee", nil); strings.Contains(w.Body.String(), "The coffee machine") {
		t.Error("a search finds somebody else's ticket")
	}
}

func TestATicketsLife(t *testing.T) {
	h := newDesk(t)
	path := openTicket(t, h, "demo-user", "Screen <flickers>", "Since Monday.\nThe left one.")
	page := ask(h, "demo-user", path, nil).Body.String()
	for _, want := range []string{"Screen &lt;flickers&gt;", "Since Monday.\nThe left one.", ">open<"} {
		if !strings.Contains(page, want) {
			t.Errorf("the new ticket's page lacks %q", want)
		}
	}
	if w := ask(h, "demo-agent", path+"/replies", url.Values{"text": {"Try another cable."}}); w.Code != http.StatusSeeOther {
		t.Errorf("an agent's reply: got %d, want 303", w.Code)
	}
	page = ask(h, "demo-user", path, nil).Body.String()
	if !strings.Contains(page, "Try another cable.") || !strings.Contains(page, "Support") {
		t.Errorf("the person does not see support's reply:\n%s", page)
	}
	ask(h, "demo-user", path+"/state", url.Values{"state": {"closed"}})
	if page = ask(h, "demo-user", path, nil).Body.String(); !strings.Contains(page, ">closed<") {
		t.Error("the closed ticket is not shown as closed")
	}
	if page = ask(h, "demo-agent", "/queue/", nil).Body.String(); strings.Contains(page, "flickers") {
		t.Error("the queue shows a closed ticket")
	}
}

func TestSomebodyElsesTicketIsNotThere(t *testing.T) {
	h := newDesk(t)
	path := openTicket(t, h, "demo-agent", "Mine", "Private.")
	for _, w := range []*httptest.ResponseRecorder{
		ask(h, "demo-user", path, nil),
		ask(h, "demo-user", path+"/replies", url.Values{"text": {"x"}}),
		ask(h, "demo-user", path+"/state", url.Values{"state": {"closed"}}),
		ask(h, "demo-user", "/tickets/no-number", nil),
	} {
		if w.Code != http.StatusNotFound {
			t.Errorf("got %d, want 404", w.Code)
		}
	}
	if w := ask(h, "demo-user", "/queue/", nil); w.Code != http.StatusForbidden {
		t.Errorf("the queue as a user: got %d, want 403", w.Code)
	}
}

func TestWhatPeopleStoreIsCapped(t *testing.T) {
	h := newDesk(t)
	if w := ask(h, "demo-user", "/tickets", url.Values{"subject": {"big"}, "text": {strings.Repeat("x", 70<<10)}}); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of 70 KiB: got %d, want 413", w.Code)
	}
	if w := ask(h, "demo-user", "/tickets", url.Values{"subject": {"  "}}); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("an empty subject: got %d, want 422", w.Code)
	}
	first := openTicket(t, h, "demo-user", "first", "")
	other := openTicket(t, h, "demo-agent", "other", "")
	var last string
	for i := range 200 {
		last = openTicket(t, h, "demo-user", fmt.Sprintf("number %d", i), "")
	}
	if w := ask(h, "demo-user", first, nil); w.Code != http.StatusNotFound {
		t.Errorf("the oldest of 201 own tickets: got %d, want 404", w.Code)
	}
	if w := ask(h, "demo-agent", other, nil); w.Code != http.StatusOK {
		t.Errorf("one person's many tickets pushed out somebody else's: got %d, want 200", w.Code)
	}
	code := 0
	for range 101 {
		code = ask(h, "demo-user", last+"/replies", url.Values{"text": {"again"}}).Code
	}
	if code != http.StatusConflict {
		t.Errorf("the 101st reply: got %d, want 409", code)
	}
}

func TestAllTicketsTogetherAreCapped(t *testing.T) {
	h := newDesk(t)
	first := openTicket(t, h, "person-0", "first", "")
	for i := range 2000 {
		openTicket(t, h, fmt.Sprintf("person-%d", 1+i/100), "one of many", "")
	}
	if w := ask(h, "person-0", first, nil); w.Code != http.StatusNotFound {
		t.Errorf("the oldest of 2001 tickets: got %d, want 404", w.Code)
	}
	if w := ask(h, "person-1", "/", nil); !strings.Contains(w.Body.String(), "one of many") {
		t.Error("the second oldest went too")
	}
}

func TestStaysAreCapped(t *testing.T) {
	h := newDesk(t)
	cookie := strings.Split(ask(h, "person-0", "/", nil).Header().Get("Set-Cookie"), ";")[0]
	known := func() bool {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header = http.Header{"X-Test-Secret": {secret}, "X-Test-User": {"person-0"}, "Cookie": {cookie}}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Header().Get("Set-Cookie") == ""
	}
	for i := range 999 {
		ask(h, fmt.Sprintf("person-%d", i+1), "/", nil)
	}
	if !known() {
		t.Error("one of 1000 stays was forgotten")
	}
	ask(h, "one-more", "/", nil)
	if known() {
		t.Error("the oldest of 1001 stays is still remembered")
	}
}

func TestStreamsAreCapped(t *testing.T) {
	h := newDesk(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	watch := func(ctx context.Context) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/events", nil)
		r.Header = http.Header{"X-Test-Secret": {secret}, "X-Test-User": {"demo-user"}}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	var watching sync.WaitGroup
	for range 100 {
		watching.Go(func() { watch(ctx) })
	}
	for deadline := time.Now().Add(5 * time.Second); !strings.Contains(ask(h, "demo-owner", "/admin/", nil).Body.String(), "<dd>100</dd>"); {
		if time.Now().After(deadline) {
			t.Fatal("100 streams do not open")
		}
		time.Sleep(time.Millisecond)
	}
	code := watch(ctx).Code
	if code != http.StatusServiceUnavailable {
		t.Errorf("the 101st stream: got %d, want 503", code)
	}
	stop()
	watching.Wait()
	brief, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if w := watch(brief); w.Code != http.StatusOK {
		t.Errorf("a stream after the others have left: got %d, want 200", w.Code)
	}
}

func TestTheSessionCookieIsAsOldApplicationsSetIt(t *testing.T) {
	h := newDesk(t)
	first := ask(h, "demo-user", "/", nil).Header().Get("Set-Cookie")
	if want := regexp.MustCompile(`^helpdesk_session=[A-Z2-7]{26}; Path=/$`); !want.MatchString(first) {
		t.Errorf("got %q, want one like %s", first, want)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = http.Header{"X-Test-Secret": {secret}, "X-Test-User": {"demo-agent"}, "Cookie": {strings.Split(first, ";")[0]}}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Header().Get("Set-Cookie") == "" {
		t.Error("somebody else's session was continued by the next person at the same browser")
	}
}

func TestStaticFilesNeedNoPerson(t *testing.T) {
	h := newDesk(t)
	for path, kind := range map[string]string{"/static/helpdesk.css": "text/css", "/static/icon.svg": "image/svg+xml", "/static/live.js": "text/javascript"} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("X-Test-Secret", secret)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
			t.Errorf("%s: got %d %s, want 200 %s", path, w.Code, w.Header().Get("Content-Type"), kind)
		}
	}
}

func TestEventsStreamAndEndWithTheServer(t *testing.T) {
	h := newDesk(t)
	openTicket(t, h, "demo-user", "One", "")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- h.Serve(ctx, listener) }()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"X-Test-Secret": {secret}, "X-Test-User": {"demo-user"}, "Accept": {"text/event-stream"}}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got := answer.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type: got %q, want text/event-stream", got)
	}
	lines := bufio.NewScanner(answer.Body)
	var event []string
	for lines.Scan() && lines.Text() != "" {
		event = append(event, lines.Text())
	}
	if got := strings.Join(event, "\n"); !strings.HasPrefix(got, "id: 1\nevent: tickets\ndata: {\"open\":1,") {
		t.Errorf("first event: got %q", got)
	}
	began := time.Now()
	stop()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Errorf("the stream's end: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("an open stream held the stop up for %v", took)
	}
}
