package ingest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/ingest"
	"github.com/doorward/doorward/porttest"
)

// certificate writes a pair of files for 127.0.0.1.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// listen starts a syslog source with a listener of each kind.
func listen(t *testing.T, change func(*ingest.SourceConfig)) (*ingest.Syslog, *collector, []string) {
	t.Helper()
	cfg := ingest.SourceConfig{Name: "net", Type: "syslog", Timezone: "UTC", Listen: []string{"udp://127.0.0.1:0", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"}}
	cfg.Certificate, cfg.Key = certificate(t)
	if change != nil {
		change(&cfg)
	}
	cfg.SetDefaults()
	s, err := ingest.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	source := s.(*ingest.Syslog)
	c := collect(t, s, nil)
	for end := time.Now().Add(time.Minute); len(source.Bound()) < 3 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if len(source.Bound()) < 3 {
		t.Fatalf("does not listen: %+v", source.Health())
	}
	return source, c, source.Bound()
}

func send(t *testing.T, network, address string, texts ...string) net.Conn {
	t.Helper()
	var c net.Conn
	var err error
	if network == "tls" {
		c, err = tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) // the listener's certificate is not the question here
	} else {
		c, err = net.Dial(network, address)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for _, text := range texts {
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

const failedLogin = "Failed password for root from 198.51.100.6 port 40022 ssh2"

// TestSyslog: both standards over all three ways, framed in both ways, become the same event.
func TestSyslog(t *testing.T) {
	s, c, at := listen(t, nil)
	modern := "<38>1 2026-11-25T18:57:50.123456Z shop sshd 811 ID1 [x@1 a=\"b\"] \ufeff" + failedLogin
	old := "<38>Nov 25 18:57:50 shop sshd[811]: " + failedLogin
	send(t, "udp", at[0], modern, old, "<38>2026-11-25T18:57:50Z shop sshd[811]: "+failedLogin+"\n", "<38>sshd[811]: "+failedLogin)
	c.wait(t, s, 4)
	send(t, "tcp", at[1], fmt.Sprintf("%d %s%d %s", len(modern), modern, len(old), old), old+"\n"+modern+"\r\n")
	c.wait(t, s, 8)
	send(t, "tls", at[2], fmt.Sprintf("%d %s", len(modern), modern))
	p := parser(t, false)
	for i, r := range c.wait(t, s, 9) {
		e, ok := p.Parse(&r, now)
		want := "failed|sign-in|failure|198.51.100.6|root|2026-11-25 18:57:50"
		if i == 3 { // states no time
			want = "failed|sign-in|failure|198.51.100.6|root|2026-11-25 19:00:00"
		}
		if !ok || show(e) != want || i != 3 && r.Text != "shop sshd[811]: "+failedLogin || field(r, "sender") != "127.0.0.1" {
			t.Errorf("message %d is %+v: %s", i, r, show(e))
		}
	}
}

// TestSyslogHostile: what is no message is kept as it is and counted, a long one is cut, and no message makes two.
func TestSyslogHostile(t *testing.T) {
	s, c, at := listen(t, nil)
	inner := "x\n<38>Nov 25 18:57:50 shop sshd[811]: Failed password for root from 203.0.113.9 port 1 ssh2"
	framed := "<38>Nov 25 18:57:50 shop app: " + inner
	send(t, "tcp", at[1], fmt.Sprintf("%d %s", len(framed), framed), "GET / HTTP/1.1\r\n", "<999>x\n", "<38>"+strings.Repeat("y", 1<<20)+"\n", "<38>Nov 25 18:57:50 h app: end\n")
	got := c.wait(t, s, 5)
	if got[0].Program != "app" || strings.Contains(got[0].Text, "\n") || !got[1].Malformed || !got[2].Malformed || !got[3].Cut || got[4].Message != "end" {
		for _, r := range got {
			t.Errorf("message is %.100q, cut %t, malformed %t", r.Text, r.Cut, r.Malformed)
		}
	}
	conn := send(t, "tcp", at[1], "99999999999 x")
	if n, err := conn.Read(make([]byte, 1)); err == nil || n > 0 {
		t.Error("a connection with an impossible length stays open")
	}
	p := parser(t, true)
	for _, r := range got {
		if e, _ := p.Parse(&r, now); e.Source.IsValid() {
			t.Errorf("%.80q names %s", r.Text, e.Source)
		}
	}
	if h := s.Health(); h.Malformed != 3 || h.Cut != 1 || h.Records != 5 {
		t.Errorf("health is %+v", h)
	}
}

// TestSyslogCaps: strangers, floods and too many connections are dropped and counted.
func TestSyslogCaps(t *testing.T) {
	s, c, at := listen(t, func(cfg *ingest.SourceConfig) { cfg.Rate, cfg.Connections = 10, 2 })
	dropped := func(from uint64) uint64 {
		for end := time.Now().Add(time.Minute); s.Health().Dropped == from && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
		return s.Health().Dropped
	}
	send(t, "tcp", at[1], "<38>a: 1\n")
	send(t, "tcp", at[1], "<38>a: 2\n")
	c.wait(t, s, 2)
	third := send(t, "tcp", at[1])
	if _, err := third.Read(make([]byte, 1)); err == nil || dropped(0) != 1 {
		t.Errorf("a third connection is served: %v, %+v", err, s.Health())
	}
	send(t, "udp", at[0], strings.Split(strings.Repeat("<38>a: x,", 200), ",")[:200]...)
	for end := time.Now().Add(time.Minute); s.Health().Records+s.Health().Dropped < 203 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if h := s.Health(); h.Records+h.Dropped != 203 || h.Dropped < 100 {
		t.Errorf("health is %+v, want most of 200 dropped", h)
	}
	s, _, at = listen(t, func(cfg *ingest.SourceConfig) { cfg.Allowed = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	send(t, "udp", at[0], "<38>a: x")
	if dropped(0) != 1 || s.Health().Records != 0 {
		t.Errorf("a stranger's message counts: %+v", s.Health())
	}
}

// TestSyslogTaken: a port that is taken is a problem, and no end.
func TestSyslogTaken(t *testing.T) {
	port, err := porttest.Free() // nobody else takes it when it is given back
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	cfg := ingest.SourceConfig{Name: "net", Type: "syslog", Listen: []string{"tcp://" + l.Addr().String()}}
	cfg.SetDefaults()
	s, err := ingest.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := collect(t, s, nil)
	for end := time.Now().Add(time.Minute); s.Health().Problem == "" && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if s.Health().Problem == "" {
		t.Error("no problem")
	}
	l.Close()
	for end := time.Now().Add(time.Minute); s.Health().Problem != "" && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	send(t, "tcp", l.Addr().String(), "<38>a: x\n")
	c.wait(t, s, 1)
}
