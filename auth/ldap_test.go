package auth_test

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/auth/directory"
	"github.com/doorward/doorward/store/storetest"
)

// startDirectory is an LDAP directory (RFC 4511) of nobody: every search ends with the code that answer gives for its bytes. slapd
// itself is asked in test/identity.
func startDirectory(t *testing.T, answer func(search []byte) int) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				for {
					request, err := ber.ReadPacket(conn)
					if err != nil || len(request.Children) < 2 || request.Children[1].Tag != 3 { // a search
						return
					}
					done := ber.Encode(ber.ClassApplication, ber.TypeConstructed, 5, nil, "")
					done.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, answer(request.Bytes()), ""))
					done.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
					done.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
					message := ber.NewSequence("")
					message.AppendChild(request.Children[0])
					message.AppendChild(done)
					if _, err := conn.Write(message.Bytes()); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		open.Wait()
	})
	return "ldap://" + l.Addr().String()
}

// Who is gone from the directory has no way in left: no session and no API token. One entry that cannot be read does not keep the
// others from being looked at, and several do.
func TestGoneFromDirectory(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	odd := [][]byte{[]byte("00000000-0000-4000-8000-000000000001")}
	var asked atomic.Int64
	url := startDirectory(t, func(search []byte) int {
		asked.Add(1)
		for _, id := range odd {
			if bytes.Contains(search, id) {
				return 50 // insufficientAccessRights
			}
		}
		return 0 // and no entry
	})
	cfg := directory.Config{Name: "staff", URL: url, Plain: true, BaseDN: "dc=example,dc=org", Roles: []directory.RoleConfig{{Group: "staff", Role: "agent"}}}
	cfg.SetDefaults()
	f.cfg.LDAP = []directory.Config{cfg}
	f.restart()
	var tokens []string
	for i := range 3 {
		n := string(rune('1' + i))
		subject := "entryuuid:00000000-0000-4000-8000-00000000000" + n
		if _, err := f.Settle(t.Context(), "ldap:staff", subject, "person"+n, "", []auth.Role{auth.Agent}, f.now); err != nil {
			t.Fatal(err)
		}
		_, token, err := f.AddToken(t.Context(), actor, "person"+n, auth.NewToken{Name: "script", Privileges: []auth.Privilege{auth.UseSites}}, f.now)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	good := func(when string, want ...bool) {
		t.Helper()
		for i, token := range tokens {
			_, err := f.TokenSession(t.Context(), host, token, attempt("", "", "192.0.2.1").Address, f.now)
			if (err == nil) != want[i] {
				t.Errorf("%s: the token of person %d gives %v, want good: %t", when, i+1, err, want[i])
			}
			f.now = f.now.Add(11 * time.Second)
		}
	}
	good("before", true, true, true)
	if err := f.LookUpDirectories(t.Context(), f.now); err == nil || !strings.Contains(err.Error(), "misconfigured") {
		t.Errorf("a round with an odd entry gave %v, want its error", err)
	}
	good("after a round", true, false, false)

	for i := range 6 {
		n := string(rune('a' + i))
		odd = append(odd, []byte("00000000-0000-4000-8000-00000000000"+n))
		if _, err := f.Settle(t.Context(), "ldap:staff", "entryuuid:"+string(odd[i+1]), "odd"+n, "", []auth.Role{auth.Agent}, f.now); err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.AddToken(t.Context(), actor, "odd"+n, auth.NewToken{Name: "script", Privileges: []auth.Privilege{auth.UseSites}}, f.now); err != nil {
			t.Fatal(err)
		}
	}
	asked.Store(0)
	if err := f.LookUpDirectories(t.Context(), f.now); err == nil || asked.Load() != 4 {
		t.Errorf("a directory that refuses everything was asked %d times and gave %v, want four times and an error", asked.Load(), err)
	}
}

// Entries that are odd for good do not keep the others from their turn: who is gone is found in the next round.
func TestOddEntriesStandBack(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	url := startDirectory(t, func(search []byte) int {
		if bytes.Contains(search, []byte("00000000-0000-4000-8000-00000000000a")) {
			return 0 // and no entry
		}
		return 50 // insufficientAccessRights
	})
	cfg := directory.Config{Name: "staff", URL: url, Plain: true, BaseDN: "dc=example,dc=org", Roles: []directory.RoleConfig{{Group: "staff", Role: "agent"}}}
	cfg.SetDefaults()
	f.cfg.LDAP = []directory.Config{cfg}
	f.restart()
	person := func(n string) string {
		if _, err := f.Settle(t.Context(), "ldap:staff", "entryuuid:00000000-0000-4000-8000-00000000000"+n, "person"+n, "", []auth.Role{auth.Agent}, f.now); err != nil {
			t.Fatal(err)
		}
		token, _ := f.token("person"+n, "script", auth.UseSites)
		return token
	}
	for _, n := range []string{"1", "2", "3", "4", "5"} {
		person(n)
	}
	f.now = f.now.Add(time.Second)
	gone := person("a")
	if _, err := f.use(gone); err != nil {
		t.Fatalf("before: %v", err)
	}
	for range 2 {
		f.now = f.now.Add(5 * time.Minute)
		if err := f.LookUpDirectories(t.Context(), f.now); err == nil {
			t.Error("a round with odd entries gives no error")
		}
	}
	_, err := f.use(gone)
	wantErr(t, err, auth.ErrNoSession, "the token of who is gone, after two rounds")
}
