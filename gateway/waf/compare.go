package waf

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/doorward/doorward/seclang"
)

// Difference is a request about which the plain way of judging says something else than the fast one.
type Difference struct {
	ID, Host string // of the request
	What     string // the first difference; the fast way is the first, the plain one the second
	Fault    *Fault // in place of What: the plain way met a defect
}

// measure lets one request at a time be judged in both ways, whatever engine is in force.
type measure struct{ slot chan struct{} }

func newMeasure() *measure { return &measure{slot: make(chan struct{}, 1)} }

// maxCompared is how many bytes of bodies a request and its answer may have to be judged plainly too: that takes some ten
// milliseconds for a few kilobytes, and grows with them.
const maxCompared = 256 << 10

// Compare has a share of the requests (0 to 1) judged by every rule one by one too, after they are judged and in nobody's way, one
// at a time. tell hears of differences, from other goroutines. It is set before the engine's sites are used.
func (e *Engine) Compare(share float64, tell func(Difference)) { e.share, e.tell = share, tell }

// Settle waits until no request is being compared, or ctx ends, and lets none begin after it.
func (e *Engine) Settle(ctx context.Context) {
	select {
	case e.measure.slot <- struct{}{}:
	case <-ctx.Done():
	}
}

// sample is what the rules are shown of one request and its answer, to be shown once more.
type sample struct {
	request *http.Request // line and headers
	asked   Request

	checked bool    // the step of the request's body was taken
	body    *string // nil where it was not looked at

	answer        *answerHead // nil where the application was not asked, or its answer is not looked at
	answerChecked bool
	text          *string
}

// newSample begins to keep what the rules are shown, if the request is one to compare; else it returns nil. What comes of it
// must end in compare.
func (s *Site) newSample(r *http.Request, q Request) *sample {
	if s.engine.share <= 0 || rand.Float64() >= s.engine.share || !s.rules.fast.Load() {
		return nil
	}
	select {
	case s.engine.measure.slot <- struct{}{}:
	default:
		return nil
	}
	request := *r
	request.Header, request.Body = r.Header.Clone(), nil
	return &sample{request: &request, asked: q}
}

func (s *sample) keepAnswer(a answerHead) {
	a.header = a.header.Clone()
	s.answer = &a
}

func (s *sample) size() int {
	n := 0
	for _, text := range []*string{s.body, s.text} {
		if text != nil {
			n += len(*text)
		}
	}
	return n
}

// compare judges the sample plainly in the background and tells what differs from tx. release is called when neither is needed any more.
func (s *Site) compare(one *sample, tx *seclang.Transaction, started, ended time.Time, release func()) {
	slot := s.engine.measure.slot
	if tx == nil || one.size() > maxCompared {
		s.engine.counters.skipped.Add(1)
		<-slot
		release()
		return
	}
	go func() {
		defer func() { <-slot }()
		defer release()
		s.engine.counters.compared.Add(1)
		if d := s.difference(one, tx, started, ended); d != nil {
			s.engine.counters.differed.Add(1)
			s.engine.tell(*d)
		}
	}()
}

// difference is what the plain way says otherwise; nil when it says the same.
func (s *Site) difference(one *sample, tx *seclang.Transaction, started, ended time.Time) (d *Difference) {
	defer func() {
		if p := recover(); p != nil {
			s.engine.counters.faults.add(Panic)
			d = &Difference{ID: one.asked.ID, Host: one.asked.Host, Fault: panicked(p, stepCompare)}
		}
	}()
	site, err := s.plainSite()
	if err != nil {
		s.engine.counters.faults.add(Rules)
		return &Difference{ID: one.asked.ID, Host: one.asked.Host, Fault: &Fault{Kind: Rules, Step: stepCompare, Err: err}}
	}
	plain := site.Begin(one.asked.ID, started)
	s.replay(one, plain)
	plain.Finish(ended)
	defer plain.Close()
	if what := seclang.Differs(tx, plain); what != "" {
		return &Difference{ID: one.asked.ID, Host: one.asked.Host, What: what}
	}
	return nil
}

// replay shows the sample to a transaction, in the steps in which it was shown before.
func (s *Site) replay(one *sample, tx *seclang.Transaction) {
	s.feed(tx, one.request, one.asked)
	tx.CheckRequestHeaders()
	if one.body != nil {
		tx.RequestBody(*one.body)
		tx.ReadRequestBody()
	}
	if one.checked {
		tx.CheckRequestBody()
	}
	if one.answer != nil {
		one.answer.feed(tx)
		tx.CheckResponseHeaders()
	}
	if one.answerChecked {
		if one.text != nil {
			tx.ResponseBody(*one.text)
		}
		tx.CheckResponseBody()
	}
}

// plainSite is the site as the plain way judges for it.
func (s *Site) plainSite() (*seclang.Site, error) {
	if site := s.plain.Load(); site != nil {
		return site, nil
	}
	c := s.config
	c.Plain = true
	site, err := s.rules.best.Load().NewSite(c)
	if err != nil {
		return nil, err
	}
	s.plain.Store(site)
	return site, nil
}
