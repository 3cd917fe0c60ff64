package syslog_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/event/syslog"
)

var at = time.Date(2026, 11, 25, 14, 0, 0, 123456789, time.FixedZone("", 3600))

func TestAppend(t *testing.T) {
	for _, test := range []struct {
		name, want string
		give       syslog.Message
	}{
		{"bare", "<0>1 2026-11-25T13:00:00.123456Z - - - - -", syslog.Message{Time: at}},
		{"whole", `<86>1 2026-11-25T13:00:00.123456Z desk doorward - http [event@32473 user="ada" f.target="/a"] GET`, syslog.Message{Facility: 10, Severity: 6, Time: at, Host: "desk",
			App: "doorward", ID: "http", DataID: "event@32473", Data: []syslog.Param{{Name: "user", Value: "ada"}, {Name: "f.target", Value: "/a"}}, Text: "GET"}},
		{"hostile", `<191>1 2026-11-25T13:00:00.123456Z a_b x_y - c_d [e_f k__\ ="a\"b\\c\]d e f"] x <34>1 y`, syslog.Message{Facility: 99, Severity: 99, Time: at, Host: "a b", App: "x\ny", ID: "c\x00d",
			DataID: "e f", Data: []syslog.Param{{Name: `k="\ `, Value: "a\"b\\c]d\ne\u2028f"}}, Text: "x\n<34>1 y"}},
	} {
		test.want = strings.Replace(test.want, `k__\ =`, `k__\_=`, 1)
		if got := string(syslog.Append(nil, test.give)); got != test.want {
			t.Errorf("%s:\n got %q\nwant %q", test.name, got, test.want)
		}
	}
}

// FuzzAppend: whatever texts say, a message is one line of UTF-8 with the parts that a receiver expects.
func FuzzAppend(f *testing.F) {
	f.Add("host", "key", "value", "text")
	f.Add("a b", `k="]`, "x\\\"]\n", "\r\n<1>1")
	f.Add("", "", "\xff\xfe", "\u2028\x85")
	f.Fuzz(func(t *testing.T, host, key, value, text string) {
		got := string(syslog.Append(nil, syslog.Message{Time: at, Host: host, App: "a", ID: "i", DataID: "d@1", Data: []syslog.Param{{Name: key, Value: value}}, Text: text}))
		if strings.ContainsAny(got, "\n\r\x00\u2028\u0085") || strings.ToValidUTF8(got, "") != got {
			t.Errorf("got %q", got)
		}
		if parts := strings.SplitN(got, " ", 8); len(parts) < 8 || parts[3] != "a" || parts[5] != "i" || parts[6] != "[d@1" {
			t.Errorf("got %q", got)
		}
	})
}

// receive reads n messages with octet counting.
func receive(c net.Conn, n int) (all []string) {
	r := bufio.NewReader(c)
	for range n {
		length, err := r.ReadString(' ')
		if err != nil {
			return all
		}
		size, err := strconv.Atoi(strings.TrimSpace(length))
		if err != nil {
			return append(all, "no length: "+length)
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			return all
		}
		all = append(all, string(b))
	}
	return all
}

func TestSend(t *testing.T) {
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	for _, network := range []string{"tcp", "tls"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if network == "tls" {
			l = tls.NewListener(l, &tls.Config{Certificates: certified.TLS.Certificates})
		}
		got, leave := make(chan []string, 1), make(chan struct{})
		go func() {
			defer l.Close()
			c, err := l.Accept()
			if err != nil {
				got <- nil
				return
			}
			defer c.Close()
			got <- receive(c, 3)
			<-leave // a server that closes at once may be noticed by the message that it took last
		}()
		server, err := syslog.ParseServer(network+"://"+l.Addr().String(), roots)
		if err != nil {
			t.Fatal(err)
		}
		s, err := server.Dial(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", network, err)
		}
		if err := s.Send([][]byte{[]byte("one"), []byte("line\nbreak ü")}); err != nil {
			t.Errorf("%s: %v", network, err)
		}
		if err := s.Send([][]byte{[]byte("three")}); err != nil {
			t.Errorf("%s: %v", network, err)
		}
		if all := strings.Join(<-got, "|"); all != "one|line\nbreak ü|three" {
			t.Errorf("%s: got %q", network, all)
		}
		close(leave)
		// The server has closed: that is noticed, if not by the first message then soon.
		for end := time.Now().Add(10 * time.Second); s.Send([][]byte{[]byte("lost")}) == nil; {
			if time.Now().After(end) {
				t.Errorf("%s: sending to a closed connection gave no error", network)
				break
			}
		}
		s.Close()
	}
	// A certificate that nobody vouches for.
	server, err := syslog.ParseServer("tls://"+certified.Listener.Addr().String(), x509.NewCertPool())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Dial(t.Context()); err == nil {
		t.Error("a server without a known certificate: got no error")
	}
}

func TestSendDatagrams(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	server, err := syslog.ParseServer("udp://"+l.LocalAddr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Send([][]byte{[]byte("one"), []byte(strings.Repeat("x", 100_000))}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<17)
	for _, want := range []int{3, 8192} {
		if n, _, err := l.ReadFrom(b); err != nil || n != want {
			t.Errorf("got a datagram of %d, %v; want %d", n, err, want)
		}
	}
}

func TestParseServer(t *testing.T) {
	for _, text := range []string{"", "logs.example.org", "http://x", "tcp://", "tcp://x/path", "tcp://a@x", "udp://x?y"} {
		if _, err := syslog.ParseServer(text, nil); err == nil {
			t.Errorf("%q: got no error", text)
		}
	}
}
