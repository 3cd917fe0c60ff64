package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// told are the findings as CONTROL ACCOUNT and the beginning of the problem.
func told(r auth.Report) map[string]string {
	list := make(map[string]string)
	for _, f := range r.Findings {
		list[f.Control+" "+f.Account] += f.Problem + "; "
	}
	return list
}

func wantFinding(t *testing.T, r auth.Report, key, part string) {
	t.Helper()
	if got := told(r)[key]; !strings.Contains(got, part) {
		t.Errorf("finding %q is %q, want %q in it; all: %v", key, got, part, told(r))
	}
}

func TestReviewReport(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.cfg.Roles = []auth.RoleConfig{{Name: "agent", Factor: "any"}, {Name: "auditor", Factor: "none"}}
		f.cfg.Review.MaxAdmins = 1
		f.restart()
		f.add("gone", "auditor")
		f.add("old", auth.Admin)
		wantErr(t, f.SetDisabled(t.Context(), actor, "old", true), nil, "disable")
		f.cfg.Roles = f.cfg.Roles[:1]
		f.restart()
		f.signIn("admin")
		f.token("user", "script", auth.UseSites)
		r, err := f.ReviewReport(t.Context(), f.now)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range r.Snapshot.Accounts {
			names = append(names, p.Name)
		}
		if diff := cmp.Diff([]string{"admin", "agent", "gone", "old", "owner", "user"}, names); diff != "" {
			t.Errorf("accounts listed (-want +got):\n%s", diff)
		}
		if r.Snapshot.Others != (auth.SnapshotOthers{}) {
			t.Errorf("others %+v, want none: user has a token", r.Snapshot.Others)
		}
		if p := r.Snapshot.Accounts[0]; p.LastSignIn.IsZero() || len(p.Privileges) == 0 || p.Origin != "local" {
			t.Errorf("admin is %+v", p)
		}
		if p := r.Snapshot.Accounts[5]; len(p.Tokens) != 1 || p.Tokens[0].Name != "script" {
			t.Errorf("user is %+v", p)
		}
		wantFinding(t, r, "F-26 admin", "no second factor")
		wantFinding(t, r, "F-41 agent", "demand (any)")
		wantFinding(t, r, "F-42 gone", "auditor")
		wantFinding(t, r, "D-01 ", "2 accounts may manage accounts")
		wantFinding(t, r, "choice ", "one enabled owner")
		if got := told(r)["F-26 old"]; got != "" {
			t.Errorf("a disabled account is asked about: %s", got)
		}
		if !r.Last.IsZero() || len(r.Changes) != 0 || r.Due.IsZero() {
			t.Errorf("last %v, changes %v, due %v; want none, none and a time", r.Last, r.Changes, r.Due)
		}
		later, err := f.ReviewReport(t.Context(), f.now.Add(91*24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		wantFinding(t, later, "F-24 admin", "has not signed in since")
		wantFinding(t, later, "F-24 agent", "has never signed in since")
		if got := told(later)["F-24 user"]; strings.Contains(got, "token") {
			t.Errorf("an expired token is asked about: %s", got)
		}
		if now, ok := told(r)["F-24 agent"]; ok {
			t.Errorf("a fresh account is stale: %s", now)
		}
	})
}

// Expired tokens stay in the list for a month, and however many there are, they hide none that is good.
func TestReviewHasEveryToken(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	accounts := row[int](f, `SELECT COUNT(*) FROM principal`)
	for i := range accounts * 20 {
		_, _, err := f.AddToken(t.Context(), actor, "admin", auth.NewToken{Name: fmt.Sprint("old", i), Privileges: []auth.Privilege{auth.UseSites}, Life: time.Minute}, f.now)
		wantErr(t, err, nil, "add a token")
		f.now = f.now.Add(time.Minute)
	}
	f.token("user", "script", auth.UseSites)
	r, err := f.ReviewReport(t.Context(), f.now)
	if err != nil {
		t.Fatal(err)
	}
	last := r.Snapshot.Accounts[len(r.Snapshot.Accounts)-1]
	if last.Name != "user" || len(last.Tokens) != 1 || last.Tokens[0].Name != "script" {
		t.Errorf("the last account of the review is %+v, want user with the token script", last)
	}
}

func TestReviewIsSigned(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		status, err := f.ReviewStatus(t.Context(), f.now)
		if err != nil || status.Overdue || !status.Last.IsZero() || status.Due.IsZero() {
			t.Errorf("at the beginning %+v, %v; want none and one due", status, err)
		}
		late := status.Due.Add(time.Hour)
		if status, err := f.ReviewStatus(t.Context(), late); err != nil || !status.Overdue {
			t.Errorf("a period after the first account: %+v, %v; want overdue", status, err)
		}
		f.Sweep(t.Context(), f.now)
		if got := f.Stats().ReviewDue; !got.Equal(status.Due) {
			t.Errorf("Stats says due %v, want %v", got, status.Due)
		}
		var input *auth.InputError
		if _, err := f.SignReview(t.Context(), actor, "  ", f.now); !errors.As(err, &input) {
			t.Errorf("without a note: %v, want an *InputError", err)
		}
		n := int64(len(f.entries(0)))
		signed, err := f.SignReview(t.Context(), actor, "looked at every administrator", f.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.entries(n); len(got) != 1 || got[0].Action != "review.sign" || got[0].Target != signed.ID || !strings.Contains(got[0].After, "every administrator") {
			t.Errorf("journal %+v", got)
		}
		if got := f.Stats().ReviewDue; !got.Equal(signed.Due) || !signed.Due.Equal(signed.Signed.Add(90*24*time.Hour)) {
			t.Errorf("due %v, Stats %v", signed.Due, got)
		}
		list, err := f.Reviews(t.Context())
		if err != nil || len(list) != 1 || list[0].ID != signed.ID || list[0].Reviewer != "cli:tester" || list[0].Snapshot != nil {
			t.Errorf("reviews %+v, %v", list, err)
		}
		kept, err := f.Review(t.Context(), signed.ID)
		if diff := cmp.Diff(signed, kept, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("the review as kept: %v (-signed +kept):\n%s", err, diff)
		}
		_, err = f.Review(t.Context(), "nonsense")
		wantErr(t, err, auth.ErrNotFound, "no such review")

		r, err := f.ReviewReport(t.Context(), f.now)
		if err != nil || len(r.Changes) != 0 || !r.Last.Equal(signed.Signed) {
			t.Errorf("right after: changes %v, last %v, %v", r.Changes, r.Last, err)
		}
		// What happened since is named.
		wantErr(t, f.SetRoles(t.Context(), actor, "agent", []auth.Role{auth.Agent, auth.Admin}), nil, "roles")
		wantErr(t, f.SetDisabled(t.Context(), actor, "admin", true), nil, "disable")
		f.add("new", auth.Agent)
		f.token("owner", "backup", auth.SeeEvents)
		f.cfg.Roles = []auth.RoleConfig{{Name: "lead", Staff: true, Factor: "any", Privileges: []auth.Privilege{auth.SeeEvents}}}
		f.restart()
		r, err = f.ReviewReport(t.Context(), f.now)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"role lead: new, with use-sites, see-events", "agent: has got the role admin", "agent: has got the privilege manage-accounts",
			"admin: disabled, before enabled", "new: new in this list, with agent", `owner: new API token "backup" for see-events`} {
			if !strings.Contains(strings.Join(r.Changes, "\n"), want) {
				t.Errorf("the changes lack %q:\n%s", want, strings.Join(r.Changes, "\n"))
			}
		}
		// A shorter period binds at once.
		f.cfg.Review.Every = 24 * time.Hour
		f.restart()
		if status, err := f.ReviewStatus(t.Context(), f.now.Add(25*time.Hour)); err != nil || !status.Overdue {
			t.Errorf("with a shorter period: %+v, %v; want overdue", status, err)
		}
	})
}
