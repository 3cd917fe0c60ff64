package facts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

const (
	tlsTime       = 15 * time.Second // of all targets; they are probed side by side
	maxHandshakes = 160              // with one target: every suite that is known, each version, and a few more
)

// TLS is what the declared URLs offer to whoever connects, found by handshakes.
type TLS struct {
	Targets []TLSTarget `cel:"targets"` // the URLs that could be probed to the end
	// Complete is true. It is missing, with the reason, when a declared URL could not be probed to the end: write
	// `… && tls.complete`, so that a fault that was seen fails and no fault where not all was looked at is unknown.
	Complete bool `cel:"complete"`
}

// TLSTarget is one URL.
type TLSTarget struct {
	URL    string `cel:"url"`
	Speaks bool   `cel:"speaks"` // TLS; when false nothing else is set
	// Versions are those accepted, oldest first: SSLv3, TLSv1, TLSv1.1, TLSv1.2, TLSv1.3.
	Versions []string `cel:"versions"`
	// Suites are those accepted in TLS 1.2, or in the newest version below it, by OpenSSL's names. Modern are those of TLS 1.3.
	Suites []string `cel:"suites"`
	Modern []string `cel:"modern"`
	// Broken are accepted suites that protect nothing: NULL, export, anonymous, RC4, DES, 3DES, RC2, IDEA, MD5.
	Broken []string `cel:"broken"`
	// NotForward are accepted suites without forward secrecy, NotSealed those without AEAD, such as CBC.
	NotForward []string `cel:"not_forward"`
	NotSealed  []string `cel:"not_sealed"`
	// Order says whose preference decides: server, client, or single where only one suite is accepted. It is asked with suites
	// other than ChaCha20 where two are accepted.
	Order string `cel:"order"`
	// DHBits is the size of the group of DHE suites; 0 where none is accepted.
	DHBits int `cel:"dh_bits"`
	// Compression of TLS below 1.3 is accepted (CRIME).
	Compression bool `cel:"compression"`
	// SecureRenegotiation is known (RFC 5746); true where only TLS 1.3 is spoken, which has no renegotiation.
	SecureRenegotiation bool `cel:"secure_renegotiation"`
	// AsksCertificate says whether the server asks the browser for a certificate in the handshake.
	AsksCertificate bool `cel:"asks_certificate"`
	// NeedsCertificate says that it shows nothing of the URL to a browser without one: a web server that only asks checks nobody.
	NeedsCertificate bool `cel:"needs_certificate"`

	Cert Certificate `cel:"cert"`
	// Grade is A, B, C, F, or T where the certificate is not trusted and M where it is for another name, as docs/tls-grade.md
	// has it. Why are the faults that cost the better grade.
	Grade  string   `cel:"grade"`
	Why    []string `cel:"why"`
	Origin string   `cel:"origin"`
}

func collectTLS(ctx context.Context, h *Host, t Target) (TLS, []Missing) {
	if !h.Live() {
		return TLS{}, missing("%s", ErrNotLive)
	}
	p, err := newProber(t)
	if err != nil {
		return TLS{}, missing("%s", err)
	}
	return p.tls(ctx, t)
}

// tls probes every declared URL.
func (p *prober) tls(ctx context.Context, t Target) (TLS, []Missing) {
	all, err := t.applications()
	if err != nil {
		return TLS{}, missing("%s", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return TLS{}, missing("read the system's roots: %s", err)
	}
	targets, gone := sift(side(probesAtOnce, all, func(e endpoint) looked[TLSTarget] {
		s := &tlsProbe{p: p, e: e, left: maxHandshakes}
		target, err := s.probe(ctx, roots)
		return looked[TLSTarget]{target, err}
	}), texts(all))
	return TLS{Targets: targets, Complete: true}, gone
}

// tlsProbe is the probe of one endpoint.
type tlsProbe struct {
	p    *prober
	e    endpoint
	left int // handshakes
}

// ask makes one handshake's beginning. Refusals are answers; other errors end the probe.
func (s *tlsProbe) ask(ctx context.Context, o offer, all bool) (answer, bool, error) {
	if s.left--; s.left < 0 {
		return answer{}, false, fmt.Errorf("more than %d handshakes would be needed", maxHandshakes)
	}
	conn, err := s.p.dial(ctx, s.e.host, s.e.port)
	if err != nil {
		return answer{}, false, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	o.name = s.e.host
	a, err := o.ask(conn, all)
	if ctx.Err() != nil {
		return answer{}, false, ctx.Err()
	}
	if errors.Is(err, errRefused) {
		return a, false, nil
	}
	return a, err == nil, err
}

// probe does all that is asked of one target.
func (s *tlsProbe) probe(ctx context.Context, roots *x509.CertPool) (TLSTarget, error) {
	t := TLSTarget{URL: s.e.text, Origin: s.e.origin()}
	old, modern := split(suites())
	var newest uint16 // below TLS 1.3
	for _, v := range []struct {
		version uint16
		name    string
	}{{ssl3, "SSLv3"}, {tls10, "TLSv1"}, {tls11, "TLSv1.1"}, {tls12, "TLSv1.2"}, {tls13, "TLSv1.3"}} {
		offered := old
		if v.version == tls13 {
			offered = modern
		}
		a, ok, err := s.ask(ctx, offer{version: v.version, suites: offered}, false)
		if errors.Is(err, errNoTLS) {
			continue
		}
		if err != nil {
			return t, err
		}
		if ok && a.version == v.version {
			t.Versions = append(t.Versions, v.name)
			if v.version != tls13 {
				newest = v.version
			}
		}
	}
	if t.Speaks = len(t.Versions) > 0; !t.Speaks {
		t.Grade, t.Why = "F", []string{"it does not speak TLS"}
		return t, nil
	}
	if err := s.enumerate(ctx, &t, newest, old, modern); err != nil {
		return t, err
	}
	shown, err := s.certificates(ctx, newest, old)
	if err != nil {
		return t, err
	}
	t.AsksCertificate, t.NeedsCertificate = shown.asked, shown.needed
	t.Cert = judgeChain(shown, s.e.host, roots, s.p.now)
	grade(&t)
	return t, nil
}

// enumerate fills in which suites are accepted and how they are chosen.
func (s *tlsProbe) enumerate(ctx context.Context, t *TLSTarget, newest uint16, old, modern []suite) error {
	t.SecureRenegotiation = true
	var accepted []suite
	var err error
	version := newest
	if newest != 0 {
		if accepted, err = s.accepted(ctx, newest, old); err != nil {
			return err
		}
		t.Suites = namesOf(accepted)
		a, ok, err := s.ask(ctx, offer{version: newest, suites: accepted, compress: true}, false)
		if err != nil {
			return err
		}
		if !ok { // a server that has begun to refuse what it took before tells nothing any more
			return errors.New("it refuses handshakes that it took before")
		}
		t.Compression, t.SecureRenegotiation = a.compression != 0, a.secure
	}
	if slices.Contains(t.Versions, "TLSv1.3") {
		all, err := s.accepted(ctx, tls13, modern)
		if err != nil {
			return err
		}
		t.Modern = namesOf(all)
		if len(accepted) < 2 {
			accepted, version = all, tls13
		}
	}
	var ephemeral []suite
	for _, x := range accepted {
		if x.broken() {
			t.Broken = append(t.Broken, x.name)
		}
		if !x.forward() {
			t.NotForward = append(t.NotForward, x.name)
		}
		if !x.sealed() {
			t.NotSealed = append(t.NotSealed, x.name)
		}
		if strings.HasPrefix(x.name, "DHE-") {
			ephemeral = append(ephemeral, x)
		}
	}
	if len(ephemeral) > 0 {
		a, ok, err := s.ask(ctx, offer{version: newest, suites: ephemeral}, true)
		if err != nil || !ok {
			return errors.Join(err, errors.New("the group of the DHE suites cannot be read"))
		}
		t.DHBits = a.dhBits
	}
	t.Order, err = s.order(ctx, version, accepted)
	return err
}

// accepted lists the suites that the server takes, in the order in which it takes them when all are offered.
func (s *tlsProbe) accepted(ctx context.Context, version uint16, offered []suite) ([]suite, error) {
	var accepted []suite
	left := slices.Clone(offered)
	for len(left) > 0 {
		a, ok, err := s.ask(ctx, offer{version: version, suites: left}, false)
		if err != nil {
			return nil, err
		}
		if !ok || a.version != version {
			break
		}
		at := slices.IndexFunc(left, func(x suite) bool { return x.id == a.suite })
		accepted = append(accepted, left[at])
		left = slices.Delete(left, at, at+1)
	}
	if len(accepted) == 0 {
		return nil, errors.New("it refuses handshakes that it took before")
	}
	return accepted, nil
}

// order offers the first and the last of the accepted suites in both orders.
func (s *tlsProbe) order(ctx context.Context, version uint16, accepted []suite) (string, error) {
	if len(accepted) < 2 {
		return "single", nil
	}
	// Many servers keep their own order and still give ChaCha20 to a client that wants it first, because it has no AES in its
	// processor; so other suites are asked about where there are two.
	plain := slices.DeleteFunc(slices.Clone(accepted), func(x suite) bool { return strings.Contains(x.name, "CHACHA20") })
	if len(plain) >= 2 {
		accepted = plain
	}
	first, last := accepted[0], accepted[len(accepted)-1]
	var chosen [2]uint16
	for i, offered := range [][]suite{{first, last}, {last, first}} {
		a, ok, err := s.ask(ctx, offer{version: version, suites: offered}, false)
		if err != nil {
			return "", err
		}
		if !ok {
			return "", errors.New("it refuses handshakes that it took before")
		}
		chosen[i] = a.suite
	}
	if chosen[0] == chosen[1] {
		return "server", nil
	}
	return "client", nil
}

// shown is what the server showed of its certificate.
type shown struct {
	chain  []*x509.Certificate
	fault  error // why the chain could not be read
	staple []byte
	asked  bool
	needed bool
}

// certificates asks for the chain: by a full handshake as browsers make it, or, where package crypto/tls cannot, in the clear.
func (s *tlsProbe) certificates(ctx context.Context, newest uint16, old []suite) (shown, error) {
	var got shown
	var raw [][]byte
	if s.left--; s.left < 0 {
		return got, fmt.Errorf("more than %d handshakes would be needed", maxHandshakes)
	}
	conn, err := s.p.dial(ctx, s.e.host, s.e.port)
	if err != nil {
		return got, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(probeTime)); err != nil {
		return got, err
	}
	config := lenient(s.e.host)
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		got.asked = true
		return &tls.Certificate{}, nil
	}
	config.VerifyPeerCertificate = func(chain [][]byte, _ [][]*x509.Certificate) error {
		raw = chain
		return nil
	}
	client := tls.Client(conn, config)
	if err := client.HandshakeContext(ctx); err == nil {
		got.staple = client.ConnectionState().OCSPResponse
		got.needed = got.asked && refuses(client, s.e)
	} else if got.asked {
		got.needed = true // TLS 1.2: it ended the handshake when no certificate came
	} else if raw == nil && newest != 0 {
		a, ok, err := s.ask(ctx, offer{version: newest, suites: old}, true)
		if err != nil {
			return got, err
		}
		if ok {
			raw = a.chain
		}
	}
	if len(raw) == 0 {
		got.fault = errors.New("it shows no certificate")
	}
	for _, der := range raw {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			got.fault = fmt.Errorf("its certificate cannot be read: %w", err)
			break
		}
		got.chain = append(got.chain, cert)
	}
	return got, nil
}

// refuses asks for the page as a browser without a certificate does. In TLS 1.3 the server's no comes after the handshake, and
// web servers say theirs as an answer of HTTP.
func refuses(client net.Conn, e endpoint) bool {
	if _, err := fmt.Fprintf(client, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: doorward-audit\r\nConnection: close\r\n\r\n", e.path, e.host); err != nil {
		return true
	}
	start := make([]byte, len("HTTP/1.1 400"))
	if _, err := io.ReadFull(client, start); err != nil {
		var timeout net.Error
		return !errors.As(err, &timeout) || !timeout.Timeout()
	}
	status := string(start[len("HTTP/1.1 "):])
	return status >= "400" && status < "500" && status != "404"
}

// lenient is a configuration that connects to whoever answers, in every version and suite that package crypto/tls knows:
// a probe looks at what is there, and must see bad things too.
func lenient(name string) *tls.Config {
	c := &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS10}
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		c.CipherSuites = append(c.CipherSuites, s.ID)
	}
	return c
}

// split parts the suites below TLS 1.3 from those of TLS 1.3.
func split(all []suite) (old, modern []suite) {
	for _, s := range all {
		if s.modern() {
			modern = append(modern, s)
		} else {
			old = append(old, s)
		}
	}
	return old, modern
}
