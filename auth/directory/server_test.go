package directory_test

import (
	"bufio"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/doorward/doorward/auth/directory"
)

const (
	serviceDN       = "cn=doorward,dc=example,dc=org"
	servicePassword = "service secret"
	zoeDN           = "uid=zoe,ou=people,dc=example,dc=org"
	zoePassword     = "correct horse battery staple"
	zoeUUID         = "5a3f9c1e-8f5d-4c44-9d3e-0123456789ab"
)

// entry is what a search finds.
type entry struct {
	dn         string
	attributes map[string][]string
}

// result ends an operation; the zero value is success.
type result struct {
	code       int
	diagnostic string
}

// server is an LDAP directory (RFC 4511) that answers as a test tells it to. What it does is asked by functions, so a
// test can make it lie; slapd itself is asked in test/identity.
type server struct {
	t    testing.TB
	addr string

	mu       sync.Mutex
	bind     func(dn, password string) result
	search   func(base, filter string) ([]entry, result)
	raw      func(net.Conn) // takes over new connections
	binds    []string       // DNs, in their order
	searches []string       // "BASE FILTER ATTRIBUTES", in their order
	open     sync.WaitGroup
}

func newServer(t testing.TB) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, addr: l.Addr().String(), bind: ordinaryBind, search: ordinarySearch}
	s.open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.open.Go(func() {
				defer conn.Close()
				s.mu.Lock()
				raw := s.raw
				s.mu.Unlock()
				if raw != nil {
					raw(conn)
					return
				}
				s.serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		s.open.Wait()
	})
	return s
}

// onBind, onSearch and onRaw set what the server does from now on.
func (s *server) onBind(f func(dn, password string) result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bind = f
}

func (s *server) onSearch(f func(base, filter string) ([]entry, result)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.search = f
}

func (s *server) onRaw(f func(net.Conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw = f
}

func ordinaryBind(dn, password string) result {
	if dn == serviceDN && password == servicePassword || dn == zoeDN && password == zoePassword {
		return result{}
	}
	return result{code: ldap.LDAPResultInvalidCredentials}
}

func zoe() entry {
	return entry{zoeDN, map[string][]string{"uid": {"zoe"}, "mail": {"zoe@example.org", "second@example.org"}, "displayName": {"Zoë Müller"},
		"entryUUID": {zoeUUID}, "memberOf": {"cn=Helpdesk,ou=groups,dc=example,dc=org", "cn=staff,ou=groups,dc=example,dc=org"}}}
}

func ordinarySearch(base, filter string) ([]entry, result) {
	if strings.Contains(filter, "(uid=zoe)") || strings.Contains(filter, "(entryUUID="+zoeUUID+")") || base == zoeDN {
		return []entry{zoe()}, result{}
	}
	return nil, result{}
}

// serve answers binds and searches until the client goes.
func (s *server) serve(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		packet, err := ber.ReadPacket(r)
		if err != nil || len(packet.Children) < 2 {
			return
		}
		id, op := packet.Children[0].Value.(int64), packet.Children[1]
		var answers []*ber.Packet
		s.mu.Lock()
		switch op.Tag {
		case ldap.ApplicationBindRequest:
			dn, _ := op.Children[1].Value.(string)
			s.binds = append(s.binds, dn)
			answers = append(answers, done(ldap.ApplicationBindResponse, s.bind(dn, op.Children[2].Data.String())))
		case ldap.ApplicationSearchRequest:
			answers = s.answerSearch(op)
		}
		s.mu.Unlock()
		for _, answer := range answers {
			message := ber.NewSequence("message")
			message.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, "id"))
			message.AppendChild(answer)
			if _, err := conn.Write(message.Bytes()); err != nil {
				return
			}
		}
	}
}

func (s *server) answerSearch(op *ber.Packet) (answers []*ber.Packet) {
	filter, err := ldap.DecompileFilter(op.Children[6])
	if err != nil {
		return []*ber.Packet{done(ldap.ApplicationSearchResultDone, result{code: ldap.LDAPResultProtocolError})}
	}
	var attributes []string
	for _, a := range op.Children[7].Children {
		attributes = append(attributes, a.Value.(string))
	}
	base := op.Children[0].Value.(string)
	s.searches = append(s.searches, base+" "+filter+" "+strings.Join(attributes, ","))
	entries, end := s.search(base, filter)
	for _, e := range entries {
		answer := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "entry")
		answer.AppendChild(octets(e.dn))
		list := ber.NewSequence("attributes")
		for name, values := range e.attributes {
			one := ber.NewSequence("attribute")
			one.AppendChild(octets(name))
			set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "values")
			for _, v := range values {
				set.AppendChild(octets(v))
			}
			one.AppendChild(set)
			list.AppendChild(one)
		}
		answer.AppendChild(list)
		answers = append(answers, answer)
	}
	return append(answers, done(ldap.ApplicationSearchResultDone, end))
}

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

func done(tag ber.Tag, r result) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "result")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(r.code), ""))
	p.AppendChild(octets(""))
	p.AppendChild(octets(r.diagnostic))
	return p
}

// asked is what the server was asked so far.
func (s *server) asked() (binds, searches []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.binds...), append([]string(nil), s.searches...)
}

// directory makes the client; change may be nil.
func (s *server) directory(change func(*directory.Config)) *directory.Directory {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(servicePassword+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	cfg := directory.Config{Name: "office", URL: "ldap://" + s.addr, Plain: true, BindDN: serviceDN, BindPasswordFile: file, BaseDN: "dc=example,dc=org",
		Roles: []directory.RoleConfig{{Group: "CN=helpdesk, OU=Groups,DC=example,DC=org", Role: "agent"}, {Group: "Admins", Role: "admin"}}}
	if change != nil {
		change(&cfg)
	}
	cfg.SetDefaults()
	cfg.Validate(func(path, format string, args ...any) { s.t.Errorf(path+": "+format, args...) })
	d, err := directory.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// wantReason checks why something failed, and that it is one kind of failure only.
func wantReason(t *testing.T, err error, want directory.Reason) {
	t.Helper()
	got, ok := errors.AsType[*directory.Error](err)
	if !ok || got.Reason != want {
		t.Errorf("got error %v, want reason %s", err, want)
		return
	}
	kinds := 0
	for _, kind := range []error{directory.ErrWrong, directory.ErrUnavailable, directory.ErrConfig, directory.ErrGone} {
		if errors.Is(err, kind) {
			kinds++
		}
	}
	if kinds != 1 {
		t.Errorf("%v is %d kinds of error, want one", err, kinds)
	}
	if strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("the error would forge a line of the log: %q", err)
	}
}
