package hostname_test

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// server is a name server on 127.0.0.1, over UDP and TCP.
type server struct {
	t       *testing.T
	address string

	mu      sync.Mutex
	records map[string][]dns.RR // by "name TYPE"
	codes   map[string]int      // by name, instead of records
	silent  map[string]bool     // names whose questions are never answered
	asked   map[string]int      // questions by "name TYPE"
	tcp     int                 // questions over TCP
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, records: make(map[string][]dns.RR), codes: make(map[string]int), silent: make(map[string]bool), asked: make(map[string]int)}
	packets, streams := listenBoth(t)
	s.address = packets.LocalAddr().String()
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: s}, {Listener: streams, Handler: s}} {
		started, ended := make(chan struct{}), make(chan error, 1)
		server.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			if err := server.Shutdown(); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	return s
}

// listenBoth takes a port that is free for UDP and for TCP.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		streams, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		packets, err := net.ListenPacket("udp", streams.Addr().String())
		if err == nil {
			return packets, streams
		}
		streams.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// ServeDNS answers from the records.
func (s *server) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := question.Question[0]
	name, key := strings.ToLower(q.Name), strings.ToLower(q.Name)+" "+dns.TypeToString[q.Qtype]
	s.asked[key]++
	_, overTCP := w.RemoteAddr().(*net.TCPAddr)
	if overTCP {
		s.tcp++
	}
	if s.silent[name] {
		return
	}
	answer := new(dns.Msg).SetReply(question)
	answer.Answer = s.records[key]
	answer.Rcode = s.codes[name]
	if len(answer.Answer) == 0 && s.codes[name] == 0 {
		answer.Rcode = dns.RcodeNameError
	}
	if !overTCP {
		answer.Truncate(512)
	}
	if err := w.WriteMsg(answer); err != nil {
		s.t.Logf("answer %s: %v", key, err) // who asked may have given up
	}
}

// pointer gives addr names.
func (s *server) pointer(addr string, names ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.arpa(addr)
	for _, name := range names {
		s.records[at+" PTR"] = append(s.records[at+" PTR"], &dns.PTR{Hdr: header(at, dns.TypePTR), Ptr: name})
	}
}

// host lets name lead to addr.
func (s *server) host(name, addr string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := netip.MustParseAddr(addr); a.Is4() {
		s.records[name+" A"] = append(s.records[name+" A"], &dns.A{Hdr: header(name, dns.TypeA), A: a.AsSlice()})
	} else {
		s.records[name+" AAAA"] = append(s.records[name+" AAAA"], &dns.AAAA{Hdr: header(name, dns.TypeAAAA), AAAA: a.AsSlice()})
	}
}

// alias answers questions of type qtype for name as a recursive name server does: with the alias and its target.
func (s *server) alias(name, target string, qtype uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := " " + dns.TypeToString[qtype]
	s.records[name+kind] = append([]dns.RR{&dns.CNAME{Hdr: header(name, dns.TypeCNAME), Target: target}}, s.records[target+kind]...)
}

func (s *server) arpa(addr string) string {
	s.t.Helper()
	name, err := dns.ReverseAddr(addr)
	if err != nil {
		s.t.Fatal(err)
	}
	return name
}

// fail answers questions for name with code.
func (s *server) fail(name string, code int) { s.look(func() { s.codes[name] = code }) }

// ignore never answers questions for name.
func (s *server) ignore(name string) { s.look(func() { s.silent[name] = true }) }

// drop takes the records of "name TYPE" away.
func (s *server) drop(key string) { s.look(func() { delete(s.records, key) }) }

// look runs what while no question is answered.
func (s *server) look(what func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what()
}

// questions is how many questions for name came.
func (s *server) questions(name string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, count := range s.asked {
		if strings.HasPrefix(key, strings.ToLower(name)+" ") {
			n += count
		}
	}
	return n
}

func header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: 60}
}
