package pages_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/auth/pages"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/language/languagetest"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/store/storetest"
)

// badInputs makes requests that must lead nowhere, from values that a site has given out, each of them changed.
type badInputs struct {
	*site
	random    *rand.Rand
	principal auth.Principal
	secrets   []string // cookies and codes of links that are good
	key       *ecdsa.PrivateKey
	passkey   []byte // the credential id of agent's passkey
}

// TestTenThousandBadInputs sends 10,000 forms, cookies, links and assertions that are wrong: none is answered 5xx, and no account,
// factor, session or trust is another afterwards.
func TestTenThousandBadInputs(t *testing.T) {
	b := newBadInputs(t)
	before := b.dump()
	statuses := make(map[int]int)
	for i := range 10_000 {
		r := b.request()
		v := pages.Visitor{Address: b.address(), Host: host, Site: "desk", RequestID: "req-7"}
		w := httptest.NewRecorder()
		b.pages.ServeHTTP(w, r.WithContext(pages.Visit(r.Context(), v)))
		statuses[w.Code]++
		if w.Code >= 500 || w.Code < 200 {
			t.Errorf("input %d, %s %s: status %d %s", i, r.Method, r.URL, w.Code, w.Body)
		}
		for _, c := range w.Result().Cookies() {
			if c.Name == cookie && c.MaxAge >= 0 {
				t.Errorf("input %d, %s %s: a session's cookie", i, r.Method, r.URL)
			}
		}
	}
	t.Logf("statuses: %v", statuses)
	for _, status := range []int{200, 303, 400, 401, 403, 404, 405, 415, 429} {
		if statuses[status] == 0 {
			t.Errorf("no input was answered %d: the inputs do not reach what they are for", status)
		}
	}
	if diff := cmp.Diff(before, b.dump()); diff != "" {
		t.Errorf("what accounts have changed (-before +after):\n%s", diff)
	}
}

func newBadInputs(t *testing.T) *badInputs {
	t.Helper()
	db := storetest.SQLite(t)
	j, err := journal.Open(t.Context(), db, filepath.Join(t.TempDir(), "journal.key"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := auth.Config{PasswordHash: auth.HashConfig{MemoryKiB: 64, Time: 1}, Roles: []auth.RoleConfig{{Name: "agent", TrustedAddresses: auth.TrustConfig{Required: true}}}}
	cfg.Factors.Hosts = []string{host}
	cfg.Registration.Enabled, cfg.Registration.Phone = true, auth.PhoneOff
	cfg.SetDefaults()
	log := slog.New(slog.DiscardHandler)
	outbox := mail.New(mail.Config{Host: "127.0.0.1", From: "desk@example.org"}, mail.Deps{DB: db, Log: log})
	a, err := auth.New(cfg, auth.Deps{DB: db, Journal: j, Log: log, Texts: languagetest.Shipped(t), Mail: outbox})
	if err != nil {
		t.Fatal(err)
	}
	p, err := pages.New(pages.Config{Realm: auth.SiteRealm, CookieName: cookie}, pages.Deps{Auth: a, Texts: languagetest.Shipped(t), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	b := &badInputs{site: &site{t: t, auth: a, db: db, pages: p}, random: rand.New(rand.NewPCG(20261125, 10_000))}
	for _, role := range []auth.Role{auth.Owner, auth.Agent, auth.User} {
		if b.principal, err = a.AddPrincipal(t.Context(), auth.Actor{Name: "test", Origin: "local"},
			auth.NewPrincipal{Name: string(role), Email: string(role) + "@example.com", Roles: []auth.Role{role}, Password: password}); err != nil {
			t.Fatal(err)
		}
	}
	b.giveSecrets()
	b.givePasskey()
	return b
}

// giveSecrets has the site make a session, a sign-in that is held, and links.
func (b *badInputs) giveSecrets() {
	b.t.Helper()
	for _, name := range []string{"owner", "agent"} {
		for _, c := range b.site.do(request("/.doorward/sign-in", signInForm(name, password, "/")), "192.0.2.1").Cookies() {
			b.secrets = append(b.secrets, c.Value)
		}
	}
	rows, err := b.db.QueryContext(b.t.Context(), `SELECT text_body FROM mail`)
	if err != nil {
		b.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			b.t.Fatal(err)
		}
		_, code, found := strings.Cut(text, "?c=")
		if !found {
			b.t.Fatalf("a mail without a link: %s", text)
		}
		b.secrets = append(b.secrets, code[:43])
	}
	if err := rows.Err(); err != nil || len(b.secrets) < 5 {
		b.t.Fatalf("%d secrets, %v; want a session, two browsers' or pending sign-ins' cookies, and two links", len(b.secrets), err)
	}
}

// givePasskey puts a passkey into the store whose private key nobody has.
func (b *badInputs) givePasskey() {
	b.t.Helper()
	var keys [2]*ecdsa.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), crand.Reader); err != nil {
			b.t.Fatal(err)
		}
	}
	point, err := keys[0].PublicKey.Bytes()
	if err != nil {
		b.t.Fatal(err)
	}
	public, err := webauthncbor.Marshal(webauthncose.EC2PublicKeyData{Curve: int64(webauthncose.P256), XCoord: point[1:33], YCoord: point[33:],
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(webauthncose.AlgES256)}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.key, b.passkey = keys[1], []byte("a credential of the person's")
	if err := b.db.Write(b.t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(b.t.Context(), `INSERT INTO passkey (id, principal_id, credential_id, public_key, name, aaguid, transports, attachment,
sign_count, user_verified, backup_eligible, backed_up, created_at, last_used_at) VALUES ($1, $2, $3, $4, 'key', '', '', '', 1, 1, 0, 0, 1, 0)`,
			uuid.NewString(), b.principal.ID, hex.EncodeToString(b.passkey), hex.EncodeToString(public))
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
}

// dump is everything that accounts have, table by table. What counts failures, and what was merely begun, is not.
func (b *badInputs) dump() map[string][]string {
	b.t.Helper()
	all := make(map[string][]string)
	for _, table := range []string{"principal", "principal_role", "password", "totp", "passkey", "recovery_code", "known_address", "known_device",
		"sign_in", "session_token", "api_token", "mailed_link", "external_identity", "invitation", "access_review", "setting", "pending_sign_in", "journal_entry"} {
		rows, err := b.db.QueryContext(b.t.Context(), `SELECT * FROM `+table)
		if err != nil {
			b.t.Fatalf("%s: %v", table, err)
		}
		columns, err := rows.Columns()
		if err != nil {
			b.t.Fatal(err)
		}
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				b.t.Fatal(err)
			}
			line := ""
			for i, v := range values {
				line += fmt.Sprintf("%s=%v ", columns[i], *v.(*any))
			}
			all[table] = append(all[table], line)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			b.t.Fatal(err)
		}
		slices.Sort(all[table])
	}
	return all
}

func pick[T any](b *badInputs, list ...T) T { return list[b.random.IntN(len(list))] }

// address is one of many, so that not every input meets a wait, or one of few, so that some do.
func (b *badInputs) address() netip.Addr {
	if b.random.IntN(8) == 0 {
		return netip.AddrFrom4([4]byte{198, 51, 100, byte(b.random.IntN(3))})
	}
	return netip.AddrFrom4([4]byte{10, byte(b.random.IntN(256)), byte(b.random.IntN(256)), byte(b.random.IntN(256))})
}

// junk is text that nobody types.
func (b *badInputs) junk() string {
	switch b.random.IntN(7) {
	case 0:
		return ""
	case 1:
		return strings.Repeat(pick(b, "x", "é", "\x00", "{name}", "%", "'"), b.random.IntN(3000))
	case 2:
		return pick(b, `' OR 1=1 --`, `"><script>`, "\r\nSet-Cookie: a=b", "../../etc/passwd", "{{.}}", "\u202egent", "agent\u200b", "ａｇｅｎｔ@", "a@b@c", "null", "[]", "-1")
	}
	text := make([]byte, b.random.IntN(80))
	for i := range text {
		text[i] = byte(b.random.IntN(256))
	}
	return string(text)
}

// spoil returns the text with something changed.
func (b *badInputs) spoil(text string) string {
	spoilt := []byte(text)
	for string(spoilt) == text || len(spoilt) == 0 {
		at := b.random.IntN(max(1, len(spoilt)))
		switch b.random.IntN(5) {
		case 0:
			spoilt = append(spoilt, pick[byte](b, 'A', ' ', '=', 0, '\n'))
		case 1:
			spoilt = slices.Delete(spoilt, min(at, len(spoilt)), min(at+1, len(spoilt)))
		case 2:
			return b.junk() + "!"
		default:
			if len(spoilt) > 0 {
				spoilt[at] ^= 1 << b.random.IntN(8)
			}
		}
	}
	return string(spoilt)
}

func (b *badInputs) secret() string { return b.spoil(pick(b, b.secrets...)) }

// request is one bad input.
func (b *badInputs) request() *http.Request {
	r := &http.Request{Method: http.MethodPost, Header: make(http.Header), Host: host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody}
	switch b.random.IntN(10) {
	case 0, 1, 2:
		b.form(r, "/.doorward/sign-in", url.Values{"username": {pick(b, "agent", "OWNER@example.com", "user", "nobody", b.junk())},
			"password": {pick(b, b.spoil(password), b.junk()+"!")}, "return_to": {b.junk()}, "remember": {b.junk()}})
	case 3, 4:
		path := pick(b, "release", "not-me", "reset", "invitation", b.junk())
		if b.random.IntN(2) == 0 {
			r.Method, r.URL = http.MethodGet, &url.URL{Path: "/.doorward/link/" + path, RawQuery: "c=" + url.QueryEscape(b.secret())}
		} else {
			b.form(r, "/.doorward/link/"+path, url.Values{"c": {b.secret()}, "do": {pick(b, "release", "refuse", b.junk())}, "name": {b.junk()},
				"new_password": {password}, "repeat_password": {password}, "password": {password}})
		}
	case 5, 6:
		b.answer(r)
	default:
		b.anyPage(r)
	}
	b.headers(r)
	return r
}

// form makes a form of the request, sometimes one that is none.
func (b *badInputs) form(r *http.Request, path string, form url.Values) {
	body := form.Encode()
	if b.random.IntN(6) == 0 {
		body = b.spoil(body)
	}
	r.URL, r.Body, r.ContentLength = &url.URL{Path: path}, io.NopCloser(strings.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
}

// anyPage asks for one of our pages, in any way, as somebody who has no session.
func (b *badInputs) anyPage(r *http.Request) {
	path := "/.doorward/" + pick(b, "sign-in", "sign-in/factor", "sign-in/held", "sign-in/password", "sign-in/enrol", "sign-in/cancel", "step-up", "sign-out",
		"account", "account/confirm", "account/password", "account/passkey", "account/passkey/remove", "account/passkey/rename", "account/app", "account/app/remove",
		"account/recovery", "account/sessions/end", "account/sessions/end-others", "account/addresses/forget", "account/language", "reset", "register", "register/confirm",
		"register/code", "register/name", "link/invitation", "link/reset", "oidc/x/start", "oidc/x/callback", "oidc/x/logout", "oidc//", "static/doorward.css", "static/../x", b.junk())
	if r.Method = pick(b, "GET", "POST", "HEAD", "PUT", "DELETE"); r.Method != http.MethodPost {
		r.URL = &url.URL{Path: path, RawQuery: pick(b, "", "return_to="+url.QueryEscape(b.junk()), "next="+url.QueryEscape(b.junk()), b.junk())}
		return
	}
	b.form(r, path, url.Values{"code": {pick(b, "000000", "AAAA-BBBB-CCCC-DDDD-EEEE-FFFF", b.junk())}, "do": {pick(b, "begin", "confirm", b.junk())},
		"password": {b.spoil(password)}, "new_password": {password + "x"}, "repeat_password": {password + "x"}, "id": {b.junk()}, "name": {pick(b, "agent", "zoe", b.junk())},
		"network": {pick(b, "0.0.0.0/0", b.junk())}, "language": {b.junk()}, "factor": {pick(b, "any", "passkey", b.junk())}, "return_to": {b.junk()},
		"logout_token": {b.junk()}, "username": {pick(b, "agent", b.junk())}, "step": {pick(b, "email", "phone", "name", b.junk())}, "email": {pick(b, "zoe@example.org", "agent@example.com", b.junk())}, "phone": {b.junk()}})
}

// answer asks for a passkey, or answers as a browser does with a passkey that signs with another key.
func (b *badInputs) answer(r *http.Request) {
	path := "/.doorward/passkey/" + pick(b, "sign-in", "sign-in", "sign-in", "factor", "enrol", "confirm", "sign-in-options", "factor-options", "enrol-options", "confirm-options")
	ask := httptest.NewRequest(http.MethodPost, "https://"+host+"/.doorward/passkey/sign-in-options", strings.NewReader("{}"))
	ask.Header.Set("Content-Type", "application/json")
	var question struct {
		Ceremony string
		Options  struct{ PublicKey struct{ Challenge string } }
	}
	if err := json.NewDecoder(b.site.do(ask, "192.0.2.1").Body).Decode(&question); err != nil || question.Ceremony == "" {
		b.t.Fatalf("ask for a passkey: %+v, %v", question, err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	client, err := json.Marshal(map[string]any{"type": pick(b, "webauthn.get", "webauthn.get", "webauthn.create", b.junk()), "challenge": question.Options.PublicKey.Challenge,
		"origin": pick(b, "https://"+host, "https://"+host, "https://evil.example", b.junk()), "crossOrigin": b.random.IntN(4) == 0})
	if err != nil {
		b.t.Fatal(err)
	}
	rp, clientHash := sha256.Sum256([]byte(pick(b, host, host, "evil.example"))), sha256.Sum256(client)
	data := binary.BigEndian.AppendUint32(append(rp[:], pick(b, byte(5), 5, 1, 0, 0xff)), uint32(b.random.IntN(100)))
	signed := sha256.Sum256(append(bytes.Clone(data), clientHash[:]...))
	signature, err := ecdsa.SignASN1(crand.Reader, b.key, signed[:])
	if err != nil {
		b.t.Fatal(err)
	}
	id, err := uuid.Parse(b.principal.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	credential := encode(pick(b, b.passkey, b.passkey, []byte(b.junk())))
	body, err := json.Marshal(map[string]any{"ceremony": pick(b, question.Ceremony, question.Ceremony, b.spoil(question.Ceremony)), "name": b.junk(), "return_to": b.junk(),
		"account": b.random.IntN(2) == 0, "response": map[string]any{"id": credential, "rawId": credential, "type": "public-key", "response": map[string]any{
			"clientDataJSON": encode(client), "authenticatorData": encode(data), "signature": encode(signature), "userHandle": encode(pick(b, id[:], id[:], []byte(b.junk()))),
			"attestationObject": encode([]byte(b.junk()))}}})
	if err != nil {
		b.t.Fatal(err)
	}
	if b.random.IntN(4) == 0 {
		body = []byte(b.spoil(string(body)))
	}
	r.URL, r.Body, r.ContentLength = &url.URL{Path: path}, io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Type", "application/json")
}

// headers adds cookies that are wrong, and what browsers and programs send.
func (b *badInputs) headers(r *http.Request) {
	for _, suffix := range []string{"", "-pending", "-device", "-proof", "-oidc", "-register", "-console"} {
		if b.random.IntN(3) == 0 {
			r.Header.Add("Cookie", cookie+suffix+"="+b.secret())
		}
	}
	r.Header.Set("Accept", pick(b, "text/html", "application/json", "*/*", b.junk()))
	r.Header.Set("Accept-Language", pick(b, "de", "en;q=0.1", b.junk()))
	r.Header.Set("User-Agent", b.junk())
	if b.random.IntN(12) == 0 {
		r.Header.Set("Sec-Fetch-Site", pick(b, "cross-site", "same-site", b.junk()))
	}
	if b.random.IntN(12) == 0 {
		r.Header.Set("Content-Type", pick(b, "", "text/plain", "application/json", "application/x-www-form-urlencoded; charset=x", b.junk()))
	}
}
