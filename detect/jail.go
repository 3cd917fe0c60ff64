package detect

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/detect/fail2ban"
	"github.com/doorward/doorward/ingest"
)

const maxEvidence = 10 // lines that are kept with a proposal

// Jail runs one of fail2ban's jails: lines in, proposals out. It is for one goroutine.
type Jail struct {
	name     string
	origin   string
	filter   *fail2ban.Filter
	ignore   []netip.Prefix
	banTime  time.Duration // 0: for good
	escalate decision.Escalation
	datagram bool
	failures *failures
	count    JailCounters
}

// JailCounters says what a jail met since the start.
type JailCounters struct {
	Lines, Failures, Exempt, Proposals uint64
	Named                              uint64 // failures of a host name, which is never resolved
	Slow                               uint64 // lines that an expression took too long for
	Forgotten                          uint64 // addresses whose count was dropped because there were too many
}

// NewJail makes a jail ready to run. local is the zone of dates that name none, start the moment from
// which it runs. The error says why it cannot run.
func NewJail(j *fail2ban.Jail, local *time.Location, start time.Time) (*Jail, error) {
	if !j.Runs {
		return nil, fmt.Errorf("jail %s does not run; doorward fail2ban import says why", j.Name)
	}
	filter, err := j.Filter(local, start)
	if err != nil {
		return nil, fmt.Errorf("jail %s: %w", j.Name, err)
	}
	jail := &Jail{name: j.Name, origin: "jail:" + j.Name, filter: filter,
		failures: newFailures(j.FindTime, j.MaxRetry, j.MaxMatches), banTime: max(0, j.BanTime)}
	for _, text := range j.IgnoreIP {
		if p, err := netip.ParsePrefix(text); err == nil {
			jail.ignore = append(jail.ignore, p.Masked())
		} else if a, err := netip.ParseAddr(text); err == nil {
			jail.ignore = append(jail.ignore, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
		}
	}
	if j.Increment.On {
		jail.escalate = decision.Escalation{Factor: 2, Max: j.Increment.Max}
	}
	for _, a := range j.Actions {
		if a.Kind == fail2ban.Enforce && strings.Contains(a.Protocol, "udp") {
			jail.datagram = true
		}
	}
	return jail, nil
}

// Take runs the jail on records, read at the moment now, and returns what it proposes.
func (j *Jail) Take(b ingest.Batch, now time.Time) []decision.Proposal {
	var all []decision.Proposal
	for i := range b.Records {
		r := &b.Records[i]
		j.count.Lines++
		result, err := j.result(r, now)
		if err != nil {
			j.count.Slow++
			continue
		}
		if !result.Match {
			continue
		}
		if p, ok := j.failed(result, r.Text, now); ok {
			all = append(all, p)
		}
	}
	j.count.Proposals += uint64(len(all))
	j.count.Forgotten = j.failures.evicted
	return all
}

func (j *Jail) result(r *ingest.Record, now time.Time) (fail2ban.Result, error) {
	text := fail2ban.Decode(r.Text)
	if !r.Time.IsZero() { // the journal says when, and its lines need not
		return j.filter.Entry(text, r.Time, now)
	}
	return j.filter.Line(text, now)
}

// failed counts a failure.
func (j *Jail) failed(result fail2ban.Result, line string, now time.Time) (decision.Proposal, bool) {
	if !result.Prefix.IsValid() {
		j.count.Named++ // whoever writes the log chooses the name, and whoever owns the name its address
		return decision.Proposal{}, false
	}
	if slices.ContainsFunc(j.ignore, func(p netip.Prefix) bool { return p.Overlaps(result.Prefix) }) {
		j.count.Exempt++
		return decision.Proposal{}, false
	}
	at := result.Time
	if at.IsZero() || at.After(now) {
		at = now
	}
	j.count.Failures++
	of, full := j.failures.add(result.ID, at, line)
	if !full {
		return decision.Proposal{}, false
	}
	return decision.Proposal{
		Action: decision.Ban, Target: decision.ForPrefix(result.Prefix), Source: result.Prefix.Addr(),
		Origin: j.origin, Reason: fmt.Sprintf("%d failures in %s", of.Count, j.failures.findTime),
		Evidence: of.Lines, At: at, For: j.banTime, Escalate: j.escalate, Spoofable: j.datagram,
		Key: key(j.origin, result.ID, at, line),
	}, true
}

// key names what triggered a proposal: reading the same lines again gives the same one.
func key(origin, id string, at time.Time, line string) string {
	var memory [512]byte // nothing is allocated for most lines: there is one key for each event
	text := append(append(memory[:0], origin...), 0)
	text = append(append(text, id...), 0)
	text = append(strconv.AppendInt(text, at.UnixMicro(), 10), 0)
	sum := sha256.Sum256(append(text, line...))
	return hex.EncodeToString(sum[:16])
}

// savedJail is the state of a jail.
type savedJail struct {
	Filter   []byte        `json:"filter"`
	Failures savedFailures `json:"failures"`
}

// State is what the jail knows from line to line, to be kept with the place in the log.
func (j *Jail) State() ([]byte, error) {
	filter, err := j.filter.State()
	if err != nil {
		return nil, fmt.Errorf("jail %s: %w", j.name, err)
	}
	return json.Marshal(savedJail{filter, j.failures.state()})
}

// Restore takes what State gave. After an error the jail begins anew.
func (j *Jail) Restore(state []byte) error {
	var s savedJail
	if err := json.Unmarshal(state, &s); err != nil {
		return fmt.Errorf("jail %s: state: %w", j.name, err)
	}
	if err := j.filter.Restore(s.Filter); err != nil {
		return fmt.Errorf("jail %s: %w", j.name, err)
	}
	j.failures.restore(s.Failures)
	return nil
}

// Counters says what the jail met.
func (j *Jail) Counters() JailCounters { return j.count }
