package gateway_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/language/languagetest"
)

// TestRefusalsSpeakTheVisitorsLanguage: a person reads why in their language, a program in English.
func TestRefusalsSpeakTheVisitorsLanguage(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	site := publicSite(t, up.URL)
	site.Access = append([]gateway.AccessRule{{Path: "/closed", Deny: true}}, site.Access...)
	r := start(t, gateway.Config{}, site)
	for _, c := range []struct{ path, languages, accept, want string }{
		{"/closed", "", "text/html", "<h1>Forbidden</h1><p>You may not do this.</p>"},
		{"/closed", "de-CH, en;q=0.5", "text/html", "<h1>Nicht erlaubt</h1><p>Das dürfen Sie nicht.</p>"},
		{"/closed", "de", "text/html", `<html lang="de">`},
		{"/closed", "de", "*/*", "403 Forbidden\nYou may not do this.\nrequest "},
		{"/.Doorward/x", "de", "text/html", "Diese Seite gibt es nicht."},
	} {
		req, err := http.NewRequest(http.MethodGet, r.url("https", c.path), nil)
		must(t, err)
		req.Header.Set("Accept", c.accept)
		req.Header.Set("Accept-Language", c.languages)
		res, err := r.client().Do(req)
		must(t, err)
		text, err := io.ReadAll(res.Body)
		must(t, err)
		res.Body.Close()
		if !strings.Contains(string(text), c.want) || strings.Contains(string(text), "refusal.") {
			t.Errorf("%+v: got %d %s", c, res.StatusCode, text)
		}
	}
}

// TestEveryRefusalHasWords: a key that is in no catalogue would be shown itself.
func TestEveryRefusalHasWords(t *testing.T) {
	names, err := filepath.Glob("*.go")
	must(t, err)
	found := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		must(t, err)
		for _, key := range regexp.MustCompile(`"(refusal\.[a-z_.]*[a-z])"`).FindAllStringSubmatch(string(source), -1) {
			found++
			if languagetest.Shipped(t).Text("en", key[1]) == key[1] {
				t.Errorf("%s: %s is in no catalogue", name, key[1])
			}
		}
		if bare := regexp.MustCompile(`refuse\(http\.Status\w+, "[^"]*", "[^"r][^"]*"\)`).Find(source); bare != nil {
			t.Errorf("%s: %s holds words", name, bare)
		}
	}
	if found < 8 {
		t.Errorf("found %d keys", found)
	}
}

// TestCodesOfLinksAreNotRecorded: whoever reads the events could use the link before the person does.
func TestCodesOfLinksAreNotRecorded(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	r := start(t, gateway.Config{}, publicSite(t, up.URL))
	r.get("/.doorward/link/release?c=not-to-be-seen")
	must(t, r.deps.Events.Flush(t.Context()))
	events, err := r.deps.Events.Query(t.Context(), event.Query{Class: event.HTTP})
	must(t, err)
	recorded := false
	for _, e := range events {
		for _, field := range e.Fields {
			recorded = recorded || strings.Contains(field.Value, "/.doorward/link/release")
			if strings.Contains(field.Value, "not-to-be-seen") {
				t.Errorf("the event's %s is %q", field.Key, field.Value)
			}
		}
	}
	if !recorded {
		t.Error("the request left no event")
	}
}
