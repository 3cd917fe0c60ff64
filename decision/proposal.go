package decision

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/doorward/doorward/store"
)

// Bounds of one decision. What it holds comes from strangers in part.
const (
	maxEvidence     = 8   // lines of evidence
	maxEvidenceLine = 300 // bytes
	maxReason       = 300
	maxOrigin       = 120
	// longest is how long a decision may last that is not for good.
	longest = 10 * 366 * 24 * time.Hour
)

// Proposal is what somebody wants decided.
type Proposal struct {
	Action Action
	Target Target
	// Source is the address that led to it. Where Target is a wider network with an allowed address in it, Source alone is decided on. May
	// be zero.
	Source netip.Addr
	// Origin says who proposes: detection:sshd, jail:sshd, admin:NAME, import:FILE.
	Origin, Reason string
	Evidence       []string
	// At is the time of the event that led to it; zero, and what is in the future, is now. The decision lasts from then.
	At time.Time
	// For is how long it lasts. 0: for good.
	For      time.Duration
	Escalate Escalation
	// Key names the trigger: the same key never makes a second decision, nor a second offence. Empty: no repeats are counted.
	Key string
	// Spoofable says that only datagrams led to it.
	Spoofable bool
}

// Escalation makes a decision longer for whoever had some before.
type Escalation struct {
	Factor float64       // the length is multiplied by it for each one before; up to 1: no escalation
	Max    time.Duration // the longest that it becomes so. 0: a year
}

// length is how long a decision lasts after so many repeats.
func (e Escalation) length(first time.Duration, repeats int) time.Duration {
	if first == 0 || e.Factor <= 1 || repeats <= 0 || math.IsNaN(e.Factor) {
		return first
	}
	most := e.Max
	if most <= 0 {
		most = 366 * 24 * time.Hour
	}
	most = max(most, first) // an escalation never shortens
	long := float64(first) * math.Pow(e.Factor, float64(repeats))
	if long >= float64(most) { // also of an overflow, which is +Inf
		return most
	}
	return time.Duration(long)
}

// Result is what became of a proposal.
type Result string

// The results. Those from Allowed on are refusals: nothing was decided.
const (
	Made     Result = "made"     // a new decision
	Extended Result = "extended" // one that stood lasts longer now
	Standing Result = "standing" // one that stands lasts as long or longer; the evidence was added
	Known    Result = "known"    // the key was answered before

	Allowed  Result = "allowed"   // the target, or part of it, is on the allow list
	TooWide  Result = "too-wide"  // the network is larger than decisions may be
	Past     Result = "past"      // it would have ended by now
	Full     Result = "full"      // the list is full of decisions for good
	NotValid Result = "not-valid" // in a batch: what Decide answers with *InputError
)

// Refused tells whether nothing was decided.
func (r Result) Refused() bool {
	switch r {
	case Allowed, TooWide, Past, Full, NotValid:
		return true
	}
	return false
}

// clean completes a proposal and makes its texts fit for the store, or says what is wrong with it.
func (p Proposal) clean(now time.Time) (Proposal, error) {
	var err error
	if p.Target, err = p.Target.canonical(); err != nil {
		return p, err
	}
	if p.Action.rank() < 0 {
		return p, &InputError{"action", "has to be ban, throttle or challenge"}
	}
	if p.Origin = line(p.Origin, maxOrigin); p.Origin == "" {
		return p, &InputError{"origin", "has to say who decides"}
	}
	if p.For < 0 || p.For > longest {
		return p, &InputError{"for", fmt.Sprintf("has to be 0, for good, or up to %v", longest)}
	}
	if p.At.IsZero() || p.At.After(now) {
		p.At = now
	}
	p.At = p.At.UTC().Truncate(time.Microsecond)
	p.Reason = line(p.Reason, maxReason)
	p.Evidence = addEvidence(nil, p.Evidence)
	if p.Key != "" {
		sum := sha256.Sum256([]byte(p.Key))
		p.Key = hex.EncodeToString(sum[:16])
	}
	return p, nil
}

// addEvidence puts lines behind those that are there. Beyond the cap the first ones stay, which show how it began, and the newest.
func addEvidence(have, more []string) []string {
	const first = maxEvidence / 2
	all := append([]string(nil), have...)
	for i, text := range more {
		if text = line(text, maxEvidenceLine); text == "" {
			continue
		}
		switch {
		case len(all) < maxEvidence:
			all = append(all, text)
		case len(more)-i <= maxEvidence-first:
			copy(all[first:], all[first+1:])
			all[maxEvidence-1] = text
		}
	}
	return all
}

// line makes one line of at most n bytes of a text that may be a stranger's.
func line(text string, n int) string {
	if len(text) > 4*n { // what follows would be cut anyway
		text = text[:4*n]
	}
	text = strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, store.Text(text))
	text = strings.TrimSpace(text)
	if len(text) <= n {
		return text
	}
	for n > 0 && text[n]&0xc0 == 0x80 {
		n--
	}
	return text[:n]
}
