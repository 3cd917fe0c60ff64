package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/auth"
)

// door is the API as a program reaches it, over TLS.
type door struct {
	*rig
	t      *testing.T
	server *httptest.Server
	users  []string // whose token each answered request had
}

func newDoor(t *testing.T) *door {
	t.Helper()
	d := &door{rig: newRig(t), t: t}
	d.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			t.Error(err)
		}
		user, _ := d.handler.ServeHTTPS(w, r, "localhost", peer.Addr())
		d.mu.Lock()
		defer d.mu.Unlock()
		d.users = append(d.users, user)
	}))
	t.Cleanup(d.server.Close)
	return d
}

// account makes an account of a role.
func (d *door) account(name, role string) {
	d.t.Helper()
	_, err := d.auth.AddPrincipal(d.t.Context(), api.ActorOf(0), auth.NewPrincipal{Name: name, Roles: []auth.Role{auth.Role(role)}, Password: password})
	if err != nil {
		d.t.Fatal(err)
	}
}

// token makes a token of an account with all that it may.
func (d *door) token(account string, change func(*auth.NewToken)) string {
	d.t.Helper()
	p, err := d.auth.Principal(d.t.Context(), account)
	if err != nil {
		d.t.Fatal(err)
	}
	n := auth.NewToken{Name: fmt.Sprint("t", time.Now().UnixNano()), Privileges: d.auth.PrivilegesOf(p.Roles)}
	if change != nil {
		change(&n)
	}
	_, token, err := d.auth.AddToken(d.t.Context(), api.ActorOf(0), account, n, time.Now())
	if err != nil {
		d.t.Fatal(err)
	}
	return token
}

// send asks with a token and returns the status and the body.
func (d *door) send(token, method, path, body string) (*http.Response, string) {
	d.t.Helper()
	q, err := http.NewRequestWithContext(d.t.Context(), method, d.server.URL+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := d.server.Client().Do(q)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer, string(text)
}

// TestPrivilegeMatrix asks every command with a token of every role, which has all that the role may: who is let through is
// written here and not taken from the code.
func TestPrivilegeMatrix(t *testing.T) {
	d := newDoor(t)
	for _, role := range []string{"owner", "admin", "agent", "user"} {
		d.account("the-"+role, role)
	}
	const everybody, admins, owners, nobody = "owner admin agent user", "owner admin", "owner", ""
	nextYear := time.Now().AddDate(1, 0, 0).UTC().Format(time.RFC3339)
	matrix := []struct{ command, may, body string }{
		{"GET /v1/status", everybody, ""},
		{"POST /v1/reload", owners, ""},
		{"GET /v1/principals", admins, ""},
		{"POST /v1/principals", admins, `{"name":"new-NAME","email":"","display_name":"","roles":["user"],"password":"` + password + `"}`},
		{"GET /v1/principals/{name}", admins, ""},
		{"POST /v1/principals/{name}/disable", admins, ""},
		{"POST /v1/principals/{name}/enable", admins, ""},
		{"POST /v1/principals/{name}/password", admins, `{"password":"another horse battery"}`},
		{"POST /v1/principals/{name}/password-change", admins, ""},
		{"PUT /v1/principals/{name}/roles", nobody, `{"roles":["user","agent"]}`},
		{"DELETE /v1/principals/{name}/factors", nobody, ""},
		{"GET /v1/principals/{name}/addresses", admins, ""},
		{"POST /v1/principals/{name}/addresses", admins, `{"address":"192.0.2.7"}`},
		{"DELETE /v1/principals/{name}/addresses", admins, ""},
		{"POST /v1/principals/{name}/sign-outs", admins, ""},
		{"POST /v1/principals/{name}/tokens", nobody, `{"name":"t","privileges":["use-sites"]}`},
		{"GET /v1/sessions", admins, ""},
		{"DELETE /v1/sessions/{id}", admins, ""},
		{"GET /v1/tokens", admins, ""},
		{"DELETE /v1/tokens/{id}", admins, ""},
		{"GET /v1/reviews", admins, ""},
		{"POST /v1/reviews", nobody, `{"note":"looked at"}`},
		{"GET /v1/reviews/report", admins, ""},
		{"GET /v1/reviews/status", admins, ""},
		{"GET /v1/reviews/{id}", admins, ""},
		{"GET /v1/journal", admins, ""},
		{"GET /v1/journal/head", admins, ""},
		{"POST /v1/journal/verify", admins, `{"note":""}`},
		{"GET /v1/invitations", admins, ""},
		{"POST /v1/invitations", admins, `{"email":"NAME@example.org","roles":["user"]}`},
		{"DELETE /v1/invitations/{id}", admins, ""},
		{"GET /v1/mail", admins, ""},
		{"GET /v1/events", admins, ""},
		{"GET /v1/events/counts", admins, ""},
		{"GET /v1/events/top", admins, ""},
		{"GET /v1/events/days", admins, ""},
		{"GET /v1/events/feed", admins, ""},
		{"GET /v1/audit/statements", admins, ""},
		{"POST /v1/audit/statements", nobody, `{"kind":"waiver","control":"I-03","owner":"o","text":"t","until":"` + nextYear + `"}`},
		{"DELETE /v1/audit/statements/{id}", nobody, ""},
		{"GET /v1/audit/scans", admins, ""},
		{"POST /v1/audit/scans", admins, `{"kind":"web","tool":"ZAP","version":"1","format":"zap","targets":["https://NAME.example.com"],"time":"2026-01-01T00:00:00Z","stated":false,` +
			`"counts":{"info":0,"low":0,"medium":0,"high":0,"critical":0,"suppressed":0},"file":"zap.json","size":1,"sha256":"` + strings.Repeat("0", 64) + `","until":"` + nextYear + `"}`},
		{"GET /v1/audit/scans/{id}", admins, ""},
		{"DELETE /v1/audit/scans/{id}", nobody, ""},
		{"GET /v1/audit/assets", admins, ""},
		{"PUT /v1/audit/assets/{name}", admins, `{"zone":"dmz","classification":"internal","owner":"o","until":"` + nextYear + `"}`},
		{"DELETE /v1/audit/assets/{name}", admins, ""},
		{"GET /v1/decisions", admins, ""},
		{"POST /v1/decisions", admins, `{"target":"203.0.113.7"}`},
		{"POST /v1/decisions/import", admins, `{"name":"l","decisions":[{"target":"203.0.113.8"}]}`},
		{"DELETE /v1/decisions", admins, ""},
		{"GET /v1/detections", admins, ""},
		{"GET /v1/jails", admins, ""},
		{"GET /v1/watch", admins, ""},
		{"GET /v1/watch/state", admins, ""},
		{"GET /v1/waf/sites", admins, ""},
		{"GET /v1/waf/findings/{id}", admins, ""},
		{"GET /v1/waf/proposals", admins, ""},
		{"GET /v1/waf/exclusions", admins, ""},
		{"POST /v1/waf/exclusions", nobody, `{"request":"NOSUCH"}`},
		{"DELETE /v1/waf/exclusions/{id}", admins, ""},
		{"GET /v1/bouncers", admins, ""},
		{"POST /v1/bouncers/{name}", nobody, ""},
		{"DELETE /v1/bouncers/{name}", admins, ""},
	}
	var known []string
	for _, row := range matrix {
		known = append(known, row.command)
	}
	for _, r := range d.handler.Routes() {
		fields := strings.Fields(r)
		if command := fields[0] + " " + fields[1]; !slices.Contains(known, command) {
			t.Errorf("%s is not in the matrix", command)
		}
	}
	for _, role := range []string{"owner", "admin", "agent", "user"} {
		token := d.token("the-"+role, nil)
		for i, row := range matrix {
			method, path, _ := strings.Cut(row.command, " ")
			target := fmt.Sprintf("%s-%d", role, i)
			d.account(target, "user")
			path = strings.NewReplacer("{name}", target, "{id}", "0197a3c2-5f0e-7c11-9b1e-0d6a4f1c2b3a").Replace(path)
			answer, text := d.send(token, method, "/api"+path, strings.ReplaceAll(row.body, "NAME", target))
			allowed := answer.StatusCode != http.StatusUnauthorized && answer.StatusCode != http.StatusForbidden
			if want := slices.Contains(strings.Fields(row.may), role); allowed != want || answer.StatusCode >= 500 {
				t.Errorf("%s with %s's token: got %d %s, want allowed %t", row.command, role, answer.StatusCode, text, want)
			}
			if answer, _ := d.send("", method, "/api"+path, row.body); answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("Www-Authenticate") == "" {
				t.Errorf("%s without a token: got %d, want 401 with a challenge", row.command, answer.StatusCode)
			}
		}
	}
}

// TestTokensAreBound: a token can do less than its person, and never what takes a person.
func TestTokensAreBound(t *testing.T) {
	d := newDoor(t)
	for _, role := range []string{"owner", "admin", "agent"} {
		d.account("the-"+role, role)
	}
	d.account("other-admin", "admin")
	owner, admin := d.token("the-owner", nil), d.token("the-admin", nil)
	narrow := d.token("the-owner", func(n *auth.NewToken) { n.Privileges = []auth.Privilege{auth.SeeAccounts, auth.ManageAccounts} })
	sites := d.token("the-owner", func(n *auth.NewToken) { n.Privileges = []auth.Privilege{auth.UseSites} })
	reader := d.token("the-agent", func(n *auth.NewToken) { n.Privileges = []auth.Privilege{auth.UseSites} })
	bound := d.token("the-owner", func(n *auth.NewToken) { n.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	elsewhere := d.token("the-owner", func(n *auth.NewToken) { n.Hosts = []string{"helpdesk.example.org"} })
	short := d.token("the-owner", func(n *auth.NewToken) { n.Life = time.Minute })
	for _, c := range []struct {
		what, token, method, path, body string
		status                          int
		text                            string
	}{
		{"an admin and an owner's password", admin, "POST", "/api/v1/principals/the-owner/password", `{"password":"another horse battery"}`, 403, "only an owner may change an owner"},
		{"an admin and an owner's sessions", admin, "POST", "/api/v1/principals/the-owner/sign-outs", "", 403, "only an owner"},
		{"an admin disables an owner", admin, "POST", "/api/v1/principals/the-owner/disable", "", 403, "only an owner"},
		{"an admin makes an owner", admin, "POST", "/api/v1/principals", `{"name":"x","email":"","display_name":"","roles":["owner"],"password":"` + password + `"}`, 403, "manage-roles"},
		{"the own password", owner, "POST", "/api/v1/principals/the-owner/password", `{"password":"another horse battery"}`, 403, "their own account"},
		{"the own account", owner, "POST", "/api/v1/principals/the-owner/disable", "", 403, "their own account"},
		{"an admin's password by a token", owner, "POST", "/api/v1/principals/other-admin/password", `{"password":"another horse battery"}`, 403, "takes a person"},
		{"roles by a token", owner, "PUT", "/api/v1/principals/the-agent/roles", `{"roles":["user"]}`, 403, "second factor"},
		{"factors by a token", owner, "DELETE", "/api/v1/principals/the-agent/factors", "", 403, "second factor"},
		{"a token by a token", owner, "POST", "/api/v1/principals/the-owner/tokens", `{"name":"t","privileges":["use-sites"]}`, 403, "an API token is not enough"},
		{"a review by a token", owner, "POST", "/api/v1/reviews", `{"note":"fine"}`, 403, "signed by a person"},
		{"when a scan was, said by a token", owner, "POST", "/api/v1/audit/scans", `{"kind":"code","tool":"t","version":"","format":"sarif","targets":["x"],"time":"2026-01-01T00:00:00Z",` +
			`"stated":true,"counts":{"info":0,"low":0,"medium":0,"high":0,"critical":0,"suppressed":0},"file":"x","size":1,"sha256":"","until":"2026-01-01T00:00:00Z"}`, 403, "an API token is not enough"},
		{"a narrow token where it may", narrow, "GET", "/api/v1/principals", "", 200, "the-owner"},
		{"a narrow token where it may not", narrow, "GET", "/api/v1/journal", "", 403, "see-journal"},
		{"a narrow token and who may more", narrow, "POST", "/api/v1/principals/other-admin/disable", "", 403, "which you lack"},
		{"a token for sites", sites, "GET", "/api/v1/principals", "", 403, "see-accounts"},
		{"an agent's token", reader, "GET", "/api/v1/sessions", "", 403, "see-accounts"},
		{"another network", bound, "GET", "/api/v1/principals", "", 403, "not good from this address"},
		{"another host", elsewhere, "GET", "/api/v1/principals", "", 401, "not good here"},
		{"no such command", owner, "GET", "/api/v1/nothing", "", 404, ""},
		{"no such version", owner, "GET", "/api/v2/status", "", 404, ""},
		{"a name with a slash", owner, "GET", "/api/v1/principals/a%2Fb", "", 404, "no such account"},
		{"a short one", short, "GET", "/api/v1/principals", "", 200, ""},
	} {
		answer, text := d.send(c.token, c.method, c.path, c.body)
		if answer.StatusCode != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s: got %d %s, want %d with %q", c.what, answer.StatusCode, text, c.status, c.text)
		}
	}
	if err := d.auth.SetDisabled(t.Context(), api.ActorOf(0), "the-owner", true); err == nil {
		t.Error("the last owner can be disabled")
	}
}

// TestActorIsTheTokensPerson: the journal tells who and from where.
func TestActorIsTheTokensPerson(t *testing.T) {
	d := newDoor(t)
	d.account("maria", "owner")
	d.account("joe", "user")
	token := d.token("maria", nil)
	if answer, text := d.send(token, "POST", "/api/v1/principals/joe/disable", ""); answer.StatusCode != 200 {
		t.Fatalf("disable: %d %s", answer.StatusCode, text)
	}
	_, text := d.send(token, "GET", "/api/v1/journal", "")
	var entries []api.Entry
	if err := json.Unmarshal([]byte(text), &entries); err != nil {
		t.Fatal(err)
	}
	last := entries[len(entries)-1]
	if last.Actor != "maria" || last.Origin != "127.0.0.1" || last.Action != "account.disable" || last.Target != "joe" {
		t.Errorf("the journal's last entry is %+v, want maria from 127.0.0.1 who disabled joe", last)
	}
	if !slices.Contains(d.users, "maria") {
		t.Errorf("the console learns of %v, want maria", d.users)
	}
}

// TestWrongTokensWait: three that are nobody's, and the address waits; a cookie or Basic is no token.
func TestWrongTokensWait(t *testing.T) {
	d := newDoor(t)
	d.account("maria", "owner")
	good := d.token("maria", nil)
	late := d.token("maria", nil)
	if answer, _ := d.send(good, "GET", "/api/v1/status", ""); answer.StatusCode != 200 {
		t.Fatalf("a good token: %d", answer.StatusCode)
	}
	for i, wrong := range []string{"dw_" + strings.Repeat("x", 43), "nonsense", "dw_"} {
		answer, text := d.send(wrong, "GET", "/api/v1/status", "")
		if answer.StatusCode != 401 || strings.Contains(text, wrong) {
			t.Errorf("wrong token %d: got %d %s, want 401", i, answer.StatusCode, text)
		}
	}
	answer, _ := d.send(late, "GET", "/api/v1/status", "")
	if answer.StatusCode != 429 || answer.Header.Get("Retry-After") == "" {
		t.Errorf("the fourth, though right: got %d with Retry-After %q, want 429", answer.StatusCode, answer.Header.Get("Retry-After"))
	}
	if answer, _ := d.send(good, "GET", "/api/v1/status", ""); answer.StatusCode != 200 {
		t.Errorf("a token in use while the address waits: got %d, want 200", answer.StatusCode)
	}
}
