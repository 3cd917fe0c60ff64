package populated

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/emersion/go-smtp"
	"github.com/miekg/dns"
)

// zone is what the copy's own name server knows; all else does not exist, and nothing is asked of anybody.
const zone = `$TTL 60
wiki.example.test. A 127.0.0.1
mail.example.test. A 127.0.0.1
mta-sts.example.test. A 127.0.0.2
example.test. MX 10 mail.example.test.
example.test. TXT "v=spf1 mx -all"
_dmarc.example.test. TXT "v=DMARC1; p=reject; rua=mailto:d@example.test"
_mta-sts.example.test. TXT "v=STSv1; id=1"
_smtp._tls.example.test. TXT "v=TLSRPTv1; rua=mailto:d@example.test"
s1._domainkey.example.test. TXT "v=DKIM1; k=rsa; p=%s" "%s"
`

// session takes no mail.
type session struct{}

func (session) Reset()                               {}
func (session) Logout() error                        { return nil }
func (session) Mail(string, *smtp.MailOptions) error { return smtp.ErrAuthRequired }
func (session) Rcpt(string, *smtp.RcptOptions) error { return smtp.ErrAuthRequired }
func (session) Data(io.Reader) error                 { return smtp.ErrAuthRequired }

// startServices starts what Debian would need more packages for: a name server, a mail server with TLS, and the page of its policy.
func (m *Machine) startServices() error {
	if err := m.startNames(); err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair("/etc/tls/site.crt", "/etc/tls/site.key")
	if err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	for _, port := range []string{"25", "587"} {
		s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return session{}, nil }))
		s.Domain, s.TLSConfig = "mail.example.test", config
		s.ErrorLog = log.New(io.Discard, "", 0) // the audit hangs up in the middle of talks
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			return err
		}
		go s.Serve(l)
		m.close = append(m.close, func() { s.Close() })
	}
	return m.startPolicy(config)
}

func (m *Machine) startNames() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	public := base64.StdEncoding.EncodeToString(der)
	records := map[string][]dns.RR{}
	parser := dns.NewZoneParser(strings.NewReader(fmt.Sprintf(zone, public[:100], public[100:])), "", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		records[rr.Header().Name] = append(records[rr.Header().Name], rr)
	}
	if err := parser.Err(); err != nil {
		return err
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		answer.RecursionAvailable = true
		all, known := records[strings.ToLower(q.Question[0].Name)]
		if !known {
			answer.Rcode = dns.RcodeNameError
		}
		for _, rr := range all {
			if rr.Header().Rrtype == q.Question[0].Qtype {
				answer.Answer = append(answer.Answer, rr)
			}
		}
		if _, ok := w.LocalAddr().(*net.UDPAddr); ok {
			answer.Truncate(dns.MinMsgSize)
		}
		_ = w.WriteMsg(answer) // whoever asked may be gone
	})
	udp, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		return err
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:53")
	if err != nil {
		return err
	}
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}} {
		go s.ActivateAndServe()
		m.close = append(m.close, func() { s.Shutdown() })
	}
	return nil
}

// startPolicy serves the mail server's policy (RFC 8461) at an address of its own.
func (m *Machine) startPolicy(config *tls.Config) error {
	l, err := tls.Listen("tcp", "127.0.0.2:443", config)
	if err != nil {
		return err
	}
	s := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "version: STSv1\r\nmode: enforce\r\nmx: mail.example.test\r\nmax_age: 604800\r\n")
	})}
	go s.Serve(l)
	m.close = append(m.close, func() { s.Close() })
	return nil
}
