package gateway_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
)

// TestEmbedded: an access event says whether a page had the request sent, so that whoever looks at the page is not taken for a scanner. What
// a person asks for, and what says nothing, is not embedded.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	r := start(t, gateway.Config{}, publicSite(t, application(t, ok).URL))
	type fetch struct{ site, mode, dest string }
	want := map[string]bool{}
	for path, c := range map[string]struct {
		fetch
		embedded bool
	}{
		"/typed":    {fetch{"none", "navigate", "document"}, false},
		"/followed": {fetch{"same-origin", "navigate", "document"}, false},
		"/script":   {fetch{"same-origin", "cors", "empty"}, false},
		"/curl":     {fetch{}, false},
		"/image":    {fetch{"same-origin", "no-cors", "image"}, true},
		"/frame":    {fetch{"same-origin", "navigate", "iframe"}, true},
		"/ping":     {fetch{"same-origin", "no-cors", "empty"}, true},
		"/other":    {fetch{"cross-site", "navigate", "document"}, true},
		"/sibling":  {fetch{"same-site", "cors", "empty"}, true},
		"/font":     {fetch{"same-origin", "cors", "font"}, true},
	} {
		want[path] = c.embedded
		req, err := http.NewRequest(http.MethodGet, r.url("https", path), nil)
		must(t, err)
		for name, value := range map[string]string{"Sec-Fetch-Site": c.site, "Sec-Fetch-Mode": c.mode, "Sec-Fetch-Dest": c.dest} {
			if value != "" {
				req.Header.Set(name, value)
			}
		}
		res, err := r.client().Do(req)
		must(t, err)
		res.Body.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	eventually(t, time.Minute, "all events", func() bool {
		must(t, r.deps.Events.Flush(ctx))
		events, err := r.deps.Events.Query(ctx, event.Query{From: time.Now().Add(-time.Hour), Class: event.HTTP, Limit: 100})
		must(t, err)
		seen := 0
		for _, e := range events {
			target, embedded := "", false
			for _, f := range e.Fields {
				switch f.Key {
				case "target":
					target = f.Value
				case "embedded":
					embedded = f.Value == "true"
				}
			}
			if expected, asked := want[target]; asked {
				if seen++; embedded != expected {
					t.Errorf("%s: embedded %v, want %v", target, embedded, expected)
				}
			}
		}
		return seen == len(want)
	})
}
