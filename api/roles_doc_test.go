package api_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth"
)

const rolesPage = "../docs/roles.md"

// privilegeMeans says what each privilege is for, in the page's matrix.
func privilegeMeans(p auth.Privilege) string {
	return map[auth.Privilege]string{
		auth.UseSites:       "use the sites, as their access rules say",
		auth.UseConsole:     "open the console",
		auth.SeeAccounts:    "see accounts, sessions, tokens, addresses and reviews",
		auth.ManageAccounts: "add, change, disable and enable accounts; reset passwords and factors",
		auth.ManageRoles:    "give and take roles",
		auth.ManageSessions: "end sessions, revoke tokens",
		auth.SeeEvents:      "see events in the console",
		auth.SeeJournal:     "read and verify the journal",
		auth.SeeMetrics:     "read `/metrics` from elsewhere with a token",
		auth.AddDecisions:   "add bans and throttles; undo exclusions of the firewall",
		auth.RunFixes:       "run fixes",
		auth.SignReviews:    "sign access reviews",
		auth.ReloadConfig:   "have the configuration file read again",
	}[p]
}

// TestGeneratedRolesPage keeps the matrix and the commands in docs/roles.md equal to the code. `make docs` writes them anew.
func TestGeneratedRolesPage(t *testing.T) {
	r := newRig(t)
	roles := r.auth.RoleNames()
	var matrix strings.Builder
	matrix.WriteString("| privilege | what for |")
	for _, role := range roles {
		fmt.Fprintf(&matrix, " %s |", role)
	}
	matrix.WriteString("\n|---|---|" + strings.Repeat("---|", len(roles)) + "\n")
	for _, p := range auth.Privileges() {
		if privilegeMeans(p) == "" {
			t.Errorf("the page says nothing of %s", p)
		}
		fmt.Fprintf(&matrix, "| `%s` | %s |", p, privilegeMeans(p))
		for _, role := range roles {
			mark := " "
			if slices.Contains(r.auth.PrivilegesOf([]auth.Role{role}), p) {
				mark = " yes "
			}
			matrix.WriteString(mark + "|")
		}
		matrix.WriteByte('\n')
	}
	var commands strings.Builder
	commands.WriteString("| command | privilege |\n|---|---|\n")
	for _, line := range r.handler.Routes() {
		fields := append(strings.Fields(line), "")
		privilege := "any token"
		if fields[2] != "" {
			privilege = "`" + fields[2] + "`"
		}
		fmt.Fprintf(&commands, "| `%s /api%s` | %s |\n", fields[0], fields[1], privilege)
	}
	text, err := os.ReadFile(rolesPage)
	if err != nil {
		t.Fatal(err)
	}
	want := between(t, string(text), "matrix", matrix.String())
	want = between(t, want, "commands", commands.String())
	if os.Getenv("DOORWARD_UPDATE") == "1" {
		if err := os.WriteFile(rolesPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("%s is stale; run: make docs (-want +file):\n%s", rolesPage, diff)
	}
}

// between puts the new text between the page's two marks of the part.
func between(t *testing.T, page, part, text string) string {
	t.Helper()
	head, rest, found := strings.Cut(page, "<!-- "+part+": written by make docs -->\n")
	_, tail, foundEnd := strings.Cut(rest, "<!-- end of "+part+" -->")
	if !found || !foundEnd {
		t.Fatalf("%s has no marks around its %s", rolesPage, part)
	}
	return head + "<!-- " + part + ": written by make docs -->\n" + text + "<!-- end of " + part + " -->" + tail
}
