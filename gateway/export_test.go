package gateway

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/doorward/doorward/gateway/waf"
)

// RefreshCertificates does what happens every 30 s, as if it were now.
func (g *Gateway) RefreshCertificates(now time.Time) { g.server.certs.refresh(now) }

// NoteAppearances notes n sessions and returns how many are remembered.
func NoteAppearances(n int) int {
	var a appearances
	for i := range n {
		a.note(strconv.Itoa(i), netip.AddrFrom4([4]byte{192, 0, 2, 1}))
	}
	return len(a.seen)
}

// RefreshClientLists does what happens every minute: it reads changed lists of client certificates.
func (g *Gateway) RefreshClientLists() {
	for _, s := range g.policy.Load().sites {
		if s.clients != nil {
			s.clients.refresh(time.Now())
		}
	}
}

// ParseRevocations is parseRevocations; it returns how many serial numbers the lists hold.
func ParseRevocations(text []byte) (n int, err error) {
	lists, err := parseRevocations(text)
	for _, l := range lists {
		n += len(l.serials)
	}
	return n, err
}

// Compile writes the exclusion in the words of rules.
func (e WAFExclusion) Compile() waf.Exclusion { return e.compile() }

// NoteDifference is noteDifference.
func (g *Gateway) NoteDifference(d waf.Difference) { g.noteDifference(d) }
