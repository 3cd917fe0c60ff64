package auth_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// withEvents gives the fixture an event log that runs until the test ends.
func (f *fixture) withEvents(t *testing.T) {
	t.Helper()
	var err error
	if f.events, err = event.Open(t.Context(), event.Config{Dir: t.TempDir()}, f.db, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.events.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := f.events.Close(); err != nil {
			t.Error(err)
		}
	})
	f.restart()
}

// recorded are the authentication events in the order they happened, one line each.
func (f *fixture) recorded(t *testing.T) []string {
	t.Helper()
	if err := f.events.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := f.events.Query(t.Context(), event.Query{Class: event.Authentication})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(list)
	var lines []string
	for _, e := range list {
		line := fmt.Sprintf("%s %s user=%q source=%v site=%s", e.Action, e.Outcome, e.User, e.Source, e.Site)
		for _, field := range e.Fields {
			if field.Key == "session" {
				field.Value = strings.Repeat("x", min(1, len(field.Value)))
			}
			line += " " + field.Key + "=" + field.Value
		}
		lines = append(lines, line)
	}
	return lines
}

// Every sign-in leaves one event that says who, from where, where to, how it ended and why, and never what
// was typed into the password field, or into the name field by mistake.
func TestEvents(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.withEvents(t)
		const secret = "Tr0ub4dor-and-3-more"
		_, s := f.signIn("agent@example.com")
		f.step()
		if err := f.SignOut(t.Context(), s, f.now); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ login, password string }{
			{"Agent", secret}, {"root", secret}, {secret, ""}, {"agent", password},
		} {
			f.step()
			_ = f.try(c.login, c.password, "2001:db8::7")
		}
		if err := f.SetDisabled(t.Context(), actor, "user", true); err != nil {
			t.Fatal(err)
		}
		f.step()
		console := attempt("user", password, "192.0.2.9")
		console.Realm, console.Site, console.UserAgent = auth.ConsoleRealm, "", strings.Repeat("B", 5000)
		_, _ = f.SignIn(t.Context(), console, f.now)

		const tail = ` host=desk.example user_agent=Browser/1 request_id=req-1`
		want := []string{
			`sign-in success user="agent" source=192.0.2.1 site=desk realm=site` + tail + ` session=x methods=password`,
			`sign-out success user="agent" source=192.0.2.1 site= realm=site host=desk.example session=x`,
			`sign-in failure user="agent" source=2001:db8::7 site=desk realm=site` + tail + ` reason=wrong-password`,
			`sign-in failure user="root" source=2001:db8::7 site=desk realm=site` + tail + ` reason=unknown-account`,
			`sign-in failure user="[not recorded]" source=2001:db8::7 site=desk realm=site` + tail + ` reason=unknown-account`,
			`sign-in refused user="agent" source=2001:db8::7 site=desk realm=site` + tail + ` reason=waiting`,
			`sign-in failure user="user" source=192.0.2.9 site= realm=console host=desk.example user_agent=` +
				strings.Repeat("B", 300) + ` request_id=req-1 reason=disabled-account`,
		}
		got := f.recorded(t)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		for _, line := range got {
			if strings.Contains(line, secret) || strings.Contains(line, password) {
				t.Errorf("the event contains a password: %s", line)
			}
		}
		stats := f.Stats()
		if stats.Succeeded != 1 || stats.Wrong != 4 || stats.Waited != 1 {
			t.Errorf("counted %d succeeded, %d wrong, %d waited; want 1, 4, 1", stats.Succeeded, stats.Wrong, stats.Waited)
		}
	})
}
