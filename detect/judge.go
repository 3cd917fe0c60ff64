package detect

import (
	"container/list"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/detect/sigma"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/ingest"
)

// Caps on what events can make a judge remember.
const (
	maxTold      = 10_000 // targets that are not told again for a while
	maxKept      = 10_000 // events whose text is kept for evidence: five each of two thousand groups that are counted at once
	maxKeptBytes = 300
	tellAgain    = time.Minute // of rules that say nothing else
)

// RuleCounters says what the rules met since the start.
type RuleCounters struct {
	Events    uint64 // held against the rules
	Matches   uint64
	Proposals uint64
	Standing  uint64 // matches about a target that is refused for as long already
	Alerts    uint64 // matches that were told
	Quiet     uint64 // matches that were told a short while ago
	NoTarget  uint64 // matches about nobody who could be decided on: no address, or one that somebody else could have written
	Forgotten uint64 // groups and texts that were let go because there were too many
	Missed    uint64 // of the gateway's events: there was no room for them
	Unknown   uint64 // records that no parser knew
	NewErrors uint64 // kinds of errors in logs that were not known
	Held      uint64 // errors of new kinds that were not told, because there were too many
}

// RuleJudge holds events against detections and proposes what they respond. It is for one goroutine at a time.
type RuleJudge struct {
	engine *sigma.Engine
	fields *fielder
	lookup func(netip.Addr, time.Time) (decision.Decision, bool)
	tell   func(event.Event)
	count  RuleCounters

	texts  texts
	told   told
	errors *newErrors
}

// NewRuleJudge makes a judge that has counted nothing yet. lookup finds what stands about an address, and may be nil. tell is
// given an event for each match that is told.
func NewRuleJudge(s *Ruleset, cfg Config, lookup func(netip.Addr, time.Time) (decision.Decision, bool), tell func(event.Event)) (*RuleJudge, error) {
	engine, err := s.engine()
	if err != nil {
		return nil, fmt.Errorf("detections: %w", err)
	}
	return &RuleJudge{engine: engine, fields: newFielder(cfg), lookup: lookup, tell: tell,
		texts: texts{byRef: map[string]string{}}, told: told{byKey: map[string]*list.Element{}, order: list.New()}, errors: newNewErrors()}, nil
}

// Watching tells the judge that a source is watched since at: only what it says after the first day is told as a new error.
func (j *RuleJudge) Watching(source string, at time.Time) { j.errors.watch(source, at) }

// Own judges one of Doorward's own events.
func (j *RuleJudge) Own(e *event.Event, now time.Time) []decision.Proposal {
	if e.Class == event.Detection && e.Action != "waf" || fieldOf(e, "reason") == "banned" {
		return nil // what we said ourselves, and what comes of a ban
	}
	return j.judge(j.fields.gateway(e), e, now)
}

// Parsed judges an event that was read from a record of the named source.
func (j *RuleJudge) Parsed(source string, e *ingest.Parsed, now time.Time) []decision.Proposal {
	if e.Time.After(now) {
		e.Time = now
	}
	s := j.fields.parsed(e, key(source, e.Parser, e.Time, e.Raw))
	all := j.judge(s, &e.Event, now)
	for range e.Repeated {
		all = append(all, j.judge(s, &e.Event, now)...)
	}
	if kind, signature := j.errors.note(source, e); kind != knownError {
		if kind == newError {
			j.count.NewErrors++
		}
		s.Source = sigma.Logsource{Product: "doorward", Service: "errors"}
		s.Fields = append(s.Fields, sigma.Field{Name: "source", Value: source}, sigma.Field{Name: "novelty", Value: string(kind)}, sigma.Field{Name: "signature", Value: signature})
		all = append(all, j.judge(s, &e.Event, now)...)
	}
	return all
}

func (j *RuleJudge) judge(s *sigma.Event, e *event.Event, now time.Time) []decision.Proposal {
	j.count.Events++
	matches := j.engine.Process(s)
	if j.engine.Counted() || len(matches) > 0 {
		j.texts.keep(s.Ref, evidence(e))
	}
	var all []decision.Proposal
	for i := range matches {
		j.count.Matches++
		if p, ok := j.respond(&matches[i], s, e, now); ok {
			j.count.Proposals++
			all = append(all, p)
		}
	}
	return all
}

// respond makes of a match what its rule wants: a proposal, or an event that tells it.
func (j *RuleJudge) respond(m *sigma.Match, s *sigma.Event, e *event.Event, now time.Time) (decision.Proposal, bool) {
	h := m.Head()
	r := h.Respond
	target, about, known := targetOf(m, s)
	if known && forgeable(e) {
		known = false
	}
	if r == nil || r.Action == sigma.Alert || !known {
		if r != nil && r.Action != sigma.Alert {
			j.count.NoTarget++
		}
		wait := tellAgain
		if r != nil && r.Action == sigma.Alert && r.For > 0 {
			wait = r.For
		}
		if !j.told.due(h.Key()+"\x00"+about, e.Time, wait) {
			j.count.Quiet++
			return decision.Proposal{}, false
		}
		j.alert(m, e, about, s.Ref)
		return decision.Proposal{}, false
	}
	p := decision.Proposal{
		Action: decision.Action(r.Action), Target: target, Source: e.Source.Unmap(), Origin: origin(h), Reason: reasonOf(m),
		Evidence: j.evidence(m, s.Ref), At: e.Time, For: r.For, Spoofable: spoofable(r, e),
		Key: key(origin(h), target.String(), e.Time, s.Ref),
	}
	if r.EscalateFactor > 0 {
		p.Escalate = decision.Escalation{Factor: r.EscalateFactor, Max: r.EscalateMax}
	}
	if j.stands(p, now) {
		j.count.Standing++
		return decision.Proposal{}, false
	}
	j.alert(m, e, about, s.Ref)
	return p, true
}

// stands tells whether the target is refused already for as long as is proposed: whoever goes on must not keep the store busy.
func (j *RuleJudge) stands(p decision.Proposal, now time.Time) bool {
	if j.lookup == nil || p.Target.Kind != decision.Address {
		return false
	}
	d, ok := j.lookup(p.Target.Prefix.Addr(), now)
	if !ok || d.Action != p.Action || d.Target != p.Target {
		return false
	}
	return d.Until.IsZero() || p.For > 0 && !p.At.Add(p.For).After(d.Until)
}

// alert tells a match; ref is the event that completed it.
func (j *RuleJudge) alert(m *sigma.Match, e *event.Event, about, ref string) {
	j.count.Alerts++
	h := m.Head()
	told := event.Event{Time: e.Time, Class: event.Detection, Action: "detect", Outcome: event.Success, Source: e.Source, User: e.User, Site: e.Site,
		Severity: event.Severity(h.Level), Fields: []event.Field{{Key: "rule", Value: h.Key()}, {Key: "name", Value: strings.TrimPrefix(origin(h), "detection:")},
			{Key: "title", Value: h.Title}, {Key: "level", Value: h.Level.String()}}}
	if h.Level == sigma.Unstated {
		told.Severity = event.Medium
	}
	if h.Author != "" {
		told.Fields = append(told.Fields, event.Field{Key: "author", Value: h.Author})
	}
	if about != "" {
		told.Fields = append(told.Fields, event.Field{Key: "about", Value: about})
	}
	told.Fields = append(told.Fields, event.Field{Key: "count", Value: strconv.FormatFloat(m.Count, 'g', -1, 64)})
	for _, line := range j.evidence(m, ref) {
		told.Fields = append(told.Fields, event.Field{Key: "evidence", Value: line})
	}
	if e.ID != "" {
		told.Fields = append(told.Fields, event.Field{Key: "event", Value: e.ID})
	}
	j.tell(told)
}

// evidence is the events that counted, as far as they are remembered, and otherwise their names.
func (j *RuleJudge) evidence(m *sigma.Match, last string) []string {
	refs := m.Refs
	if len(refs) == 0 && last != "" {
		refs = []string{last}
	}
	var all []string
	for _, ref := range refs {
		if text, ok := j.texts.byRef[ref]; ok {
			all = append(all, text)
		} else {
			all = append(all, "event "+ref)
		}
	}
	return all
}

// origin names the detection to people.
func origin(h *sigma.Head) string {
	if h.Name != "" {
		return "detection:" + h.Name
	}
	return "detection:" + h.Key()
}

func reasonOf(m *sigma.Match) string {
	if m.Correlation == nil {
		return m.Head().Title
	}
	return fmt.Sprintf("%s: %s in %s", m.Head().Title, strconv.FormatFloat(m.Count, 'g', -1, 64), lengthText(max(m.Last.Sub(m.First), time.Second).Round(time.Second)))
}

// targetOf is whom a match is about, and that in words. known: a decision can be made about it.
func targetOf(m *sigma.Match, s *sigma.Event) (t decision.Target, about string, known bool) {
	r := m.Head().Respond
	if r == nil || r.Target == "" {
		return t, fieldText(m.Group, s.Fields, "src_net"), false
	}
	about = fieldText(m.Group, s.Fields, r.Target)
	if about == "" {
		return t, "", false
	}
	if r.Scope == sigma.ScopeAccount {
		return decision.ForAccount(about), about, true
	}
	prefix, err := netip.ParsePrefix(about)
	if err != nil {
		address, err := netip.ParseAddr(about)
		if err != nil {
			return t, about, false
		}
		prefix = netip.PrefixFrom(address.Unmap().WithZone(""), address.Unmap().BitLen())
	}
	if prefix.IsSingleIP() || r.Scope == sigma.ScopeSubnet {
		scope := map[sigma.Scope]decision.Scope{sigma.ScopeSubnet64: decision.OneNetwork, sigma.ScopeSubnet: decision.Subnet}[r.Scope]
		if scope == "" {
			scope = decision.OneAddress
		}
		return decision.ForAddress(prefix.Addr(), scope), about, true
	}
	return decision.ForPrefix(prefix), about, true
}

func fieldText(group, fields []sigma.Field, name string) string {
	for _, all := range [][]sigma.Field{group, fields} {
		for _, f := range all {
			if f.Name == name {
				return f.Value
			}
		}
	}
	return ""
}

// spoofable tells whether the address may be forged: the rule says so, unless the event states a connection; or it states that
// there was none.
func spoofable(r *sigma.Response, e *event.Event) bool {
	switch strings.ToUpper(fieldOf(e, "transport")) {
	case "UDP":
		return true
	case "TCP", "TLS", "WS", "WSS":
		return false
	}
	return r.Spoofable
}

// evidence is an event in one line.
func evidence(e *event.Event) string {
	text := e.Raw
	if text == "" {
		var b strings.Builder
		b.WriteString(e.Time.UTC().Format(time.RFC3339))
		for _, part := range []string{addressText(e.Source), e.Action, string(e.Outcome), fieldOf(e, "host"), e.User, fieldOf(e, "target"), fieldOf(e, "status"), fieldOf(e, "reason")} {
			if part != "" {
				b.WriteString(" " + part)
			}
		}
		text = b.String()
	}
	if len(text) > maxKeptBytes {
		text = strings.ToValidUTF8(text[:maxKeptBytes], "")
	}
	return strings.Clone(text)
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// texts is what is kept of events that count, the newest.
type texts struct {
	byRef map[string]string
	ring  [maxKept]string
	next  int
}

func (t *texts) keep(ref, text string) {
	if ref == "" {
		return
	}
	if _, known := t.byRef[ref]; known {
		return
	}
	delete(t.byRef, t.ring[t.next])
	t.ring[t.next], t.byRef[ref] = ref, text
	t.next = (t.next + 1) % maxKept
}

// told is what was told, and until when it is not told again.
type told struct {
	byKey map[string]*list.Element
	order *list.List // of toldOne, the oldest first
}

type toldOne struct {
	Key   string    `json:"key"`
	Until time.Time `json:"until"`
}

// due tells whether key is to be told at that time, and if so, notes that it is.
func (t *told) due(key string, at time.Time, wait time.Duration) bool {
	if len(key) > 512 {
		key = key[:512]
	}
	if e := t.byKey[key]; e != nil {
		if one := e.Value.(toldOne); at.Before(one.Until) {
			return false
		}
		t.remove(e)
	}
	if t.order.Len() >= maxTold {
		t.remove(t.order.Front())
	}
	t.byKey[key] = t.order.PushBack(toldOne{key, at.Add(wait)})
	return true
}

func (t *told) remove(e *list.Element) {
	delete(t.byKey, e.Value.(toldOne).Key)
	t.order.Remove(e)
}

// savedRules is the state of a RuleJudge.
type savedRules struct {
	Engine []byte      `json:"engine"`
	Told   []toldOne   `json:"told,omitempty"`
	Errors savedErrors `json:"errors"`
}

// State is what has been counted, to be kept with the places in the sources.
func (j *RuleJudge) State() ([]byte, error) {
	engine, err := j.engine.State()
	if err != nil {
		return nil, err
	}
	s := savedRules{Engine: engine, Errors: j.errors.state()}
	for e := j.told.order.Front(); e != nil; e = e.Next() {
		s.Told = append(s.Told, e.Value.(toldOne))
	}
	return json.Marshal(s)
}

// Restore takes what State gave. After an error the judge begins anew.
func (j *RuleJudge) Restore(state []byte) error {
	var s savedRules
	if err := json.Unmarshal(state, &s); err != nil {
		return fmt.Errorf("state of the detections: %w", err)
	}
	for _, one := range s.Told[max(0, len(s.Told)-maxTold):] {
		if j.told.byKey[one.Key] == nil {
			j.told.byKey[one.Key] = j.told.order.PushBack(one)
		}
	}
	j.errors.restore(s.Errors)
	return j.engine.Restore(s.Engine)
}

// Counters says what the judge met.
func (j *RuleJudge) Counters() RuleCounters {
	c := j.count
	c.Forgotten = j.engine.Counters().Evicted + j.errors.forgotten
	c.Held = j.errors.held
	return c
}
