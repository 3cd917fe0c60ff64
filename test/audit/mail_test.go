package audit_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/miekg/dns"

	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/test/real"
)

// zone is a DNS server on 127.0.0.1 with the given records.
func zone(t *testing.T, text string) string {
	t.Helper()
	records := map[string][]dns.RR{}
	parser := dns.NewZoneParser(strings.NewReader(text), "", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		records[rr.Header().Name] = append(records[rr.Header().Name], rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	// The port that one protocol gets may be taken in the other.
	var udp net.PacketConn
	var tcp net.Listener
	for range 20 {
		var err error
		if udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			break
		}
		udp.Close()
	}
	if tcp == nil {
		t.Fatal("no port is free in both protocols")
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		all, known := records[strings.ToLower(q.Question[0].Name)]
		if !known {
			m.Rcode = dns.RcodeNameError
		}
		for _, rr := range all {
			if rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		if _, ok := w.LocalAddr().(*net.UDPAddr); ok {
			m.Truncate(dns.MinMsgSize)
		}
		w.WriteMsg(m)
	})
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}} {
		go s.ActivateAndServe()
		t.Cleanup(func() { s.Shutdown() })
	}
	return udp.LocalAddr().String()
}

// loadPair loads what issue wrote.
func loadPair(t *testing.T, certificate, key string) *tls.Config {
	t.Helper()
	c, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{c}}
}

// session takes no mail.
type session struct{}

func (session) Reset()                               {}
func (session) Logout() error                        { return nil }
func (session) Mail(string, *smtp.MailOptions) error { return smtp.ErrAuthRequired }
func (session) Rcpt(string, *smtp.RcptOptions) error { return smtp.ErrAuthRequired }
func (session) Data(io.Reader) error                 { return smtp.ErrAuthRequired }

// mailServer is a real SMTP server at port 25; without a configuration it offers no STARTTLS.
func mailServer(t *testing.T, address string, config *tls.Config) {
	t.Helper()
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return session{}, nil }))
	s.Domain, s.TLSConfig = "mx", config
	l, err := net.Listen("tcp", address+":25")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
}

func TestMail(t *testing.T) {
	needRoot(t)
	dir, i := real.Folder(t), newIssuer(t)
	config := loadPair(t, first(i.issue(t, dir, "mx", order{names: []string{"mx.good.test", "mta-sts.good.test", "relay.good.test"}})), dir+"/mx.key")
	mailServer(t, "127.45.6.1", config)
	mailServer(t, "127.45.6.2", nil)
	mailServer(t, "127.45.6.3", &tls.Config{Certificates: config.Certificates, MaxVersion: tls.VersionTLS11})
	policy, err := tls.Listen("tcp", "127.45.6.1:443", config)
	if err != nil {
		t.Fatal(err)
	}
	defer policy.Close()
	go http.Serve(policy, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "version: STSv1\r\nmode: enforce\r\nmx: mx.good.test\r\nmax_age: 604800\r\n")
	}))
	key := func(bits int) string {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		text := base64.StdEncoding.EncodeToString(der)
		return `"v=DKIM1; k=rsa; p=` + text[:100] + `" "` + text[100:] + `"`
	}
	resolver := zone(t, `$TTL 60
good.test. MX 10 mx.good.test.
good.test. TXT "v=spf1 mx -all"
_dmarc.good.test. TXT "v=DMARC1; p=reject; rua=mailto:d@good.test"
h._domainkey.good.test. TXT `+key(2048)+`
_mta-sts.good.test. TXT "v=STSv1; id=1"
_smtp._tls.good.test. TXT "v=TLSRPTv1; rua=mailto:d@good.test"
mx.good.test. A 127.45.6.1
mta-sts.good.test. A 127.45.6.1
relay.good.test. A 127.45.6.1
plain.test. MX 10 mx.plain.test.
plain.test. TXT "v=spf1 +all"
_dmarc.plain.test. TXT "v=DMARC1; p=none"
h._domainkey.plain.test. TXT "v=DKIM1; p="
mx.plain.test. A 127.45.6.2
old.test. MX 10 mx.good.test.
old.test. MX 20 mx.old.test.
old.test. TXT "v=spf1 mx ~all"
_dmarc.old.test. TXT "v=DMARC1; p=quarantine; pct=10"
h._domainkey.old.test. TXT `+key(1024)+`
mx.old.test. A 127.45.6.3
away.test. MX 10 mx.away.test.
mx.away.test. A 127.45.6.9
`)
	for _, c := range []struct {
		name, domain, relay, want string
		choose                    []string
	}{
		{"good", "good.test", "smtp+starttls://relay.good.test:25", "F-46:pass F-47:pass F-48:pass I-35:pass", nil},
		{"good, strictly", "good.test", "smtp+starttls://relay.good.test:25", "F-46:pass F-47:pass", []string{"F-46=strict", "F-47=strict"}},
		{"nothing encrypted", "plain.test", "smtp+starttls://mx.plain.test:25", "F-46:fail F-47:fail F-48:fail I-35:fail", nil},
		{"the relay in the clear", "good.test", "smtp://relay.good.test", "F-46:fail I-35:fail", nil},
		{"the relay is another", "good.test", "smtp+starttls://mx.old.test:25", "F-46:fail I-35:fail", nil},
		{"one of two servers is old", "old.test", "smtp+starttls://relay.good.test:25", "F-46:fail F-47:pass F-48:fail", nil},
		{"a short key, strictly", "old.test", "", "F-47:fail", []string{"F-47=strict"}},
		{"a server that is away", "away.test", "smtp+starttls://relay.good.test:25", "F-46:unknown F-47:fail F-48:fail", nil},
		{"no relay declared", "good.test", "", "F-46:unknown I-35:unknown F-48:pass", nil},
		{"while watching", "good.test", "", "F-48:pass", []string{"F-48=watching"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			declared := facts.Config{Resolver: resolver, MailDomains: []string{c.domain}, DKIMSelectors: []string{"h"}}
			if c.relay != "" {
				declared.Interfaces = []string{c.relay}
			}
			wantVerdicts(t, verdicts(t, onHost(t, declared), c.choose...), c.want)
		})
	}
	begin := time.Now()
	f := onHost(t, facts.Config{Resolver: "127.45.6.99", MailDomains: []string{"good.test"}})
	if _, ok := f.Values["mail"]; ok || time.Since(begin) > 15*time.Second {
		t.Errorf("without a resolver: got %+v after %v", f.Values["mail"], time.Since(begin))
	}
}

func first(a, _ string) string { return a }

// TestInterfaces: slapd and PostgreSQL with and without TLS.
func TestInterfaces(t *testing.T) {
	real.Require(t, "/usr/sbin/slapd", "openssl")
	needRoot(t)
	dir := real.Folder(t)
	certificate, key := newIssuer(t).issue(t, dir, "ldap", order{names: []string{"ldap.example.test"}})
	for _, name := range []string{certificate, key} {
		if err := os.Chmod(name, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name, address, extra string, urls string) {
		data := filepath.Join(dir, name)
		if err := os.MkdirAll(data, 0o777); err != nil {
			t.Fatal(err)
		}
		config := real.Write(t, dir, name+".conf", fmt.Sprintf("include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile %[1]s/pid\nargsfile %[1]s/args\n%[2]s\ndatabase mdb\nsuffix dc=x\ndirectory %[1]s\n", data, extra), 0o644)
		p := real.Start(t, "slapd", exec.Command("/usr/sbin/slapd", "-d", "0", "-f", config, "-h", urls))
		p.AwaitListening(address+":389", time.Minute)
	}
	secure := fmt.Sprintf("TLSCertificateFile %s\nTLSCertificateKeyFile %s", certificate, key)
	run("secure", "127.45.7.1", secure, "ldap://127.45.7.1:389 ldaps://127.45.7.1:636")
	run("plain", "127.45.7.2", "", "ldap://127.45.7.2:389")
	resolver := zone(t, "ldap.example.test. 60 A 127.45.7.1\nplain.example.test. 60 A 127.45.7.2\nother.example.test. 60 A 127.45.7.1\n")
	for declared, want := range map[string]string{
		"ldaps://ldap.example.test":          "I-35:pass",
		"ldap+starttls://ldap.example.test":  "I-35:pass",
		"ldap://ldap.example.test":           "I-35:fail",
		"ldap+starttls://plain.example.test": "I-35:fail",
		"ldaps://other.example.test":         "I-35:fail", // the certificate is for another name
		"ldaps://nowhere.example.test":       "I-35:unknown",
	} {
		t.Run(declared, func(t *testing.T) {
			wantVerdicts(t, verdicts(t, onHost(t, facts.Config{Resolver: resolver, Interfaces: []string{declared}})), want)
		})
	}
}
