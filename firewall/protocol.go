package firewall

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// The verbs of the socket. Each request and each answer is one line of JSON.
const (
	verbSync   = "sync"   // a part of a whole list; with Last it is put into force instead of what is
	verbAdd    = "add"    // bans, or gives another end to those that are there
	verbDelete = "delete" // lifts bans
	verbList   = "list"   // lists bans from Offset on
	verbStatus = "status"
)

const (
	maxLine     = 64 << 10 // bytes of a request or an answer
	maxPerLine  = 500      // elements in a request or an answer
	maxRefusals = 200      // named in an answer; the rest are counted in the status
)

// request is what a client asks.
type request struct {
	Verb     string `json:"do"`
	Elements []wire `json:"elements,omitempty"`
	First    bool   `json:"first,omitempty"`  // of sync: what was sent before is forgotten
	Last     bool   `json:"last,omitempty"`   // of sync: Total elements were sent
	Total    int    `json:"total,omitempty"`  // of sync
	Offset   int    `json:"offset,omitempty"` // of list; 0 takes the list anew
}

// answer is what the enforcer says.
type answer struct {
	Error    string    `json:"error,omitempty"`
	Refused  []Refusal `json:"refused,omitempty"`
	Elements []wire    `json:"elements,omitempty"`
	More     bool      `json:"more,omitempty"` // of list: there are others after these
	Status   *Status   `json:"status,omitempty"`
}

// wire is an element on its way: its network, and its end in microseconds since 1970, 0 for good.
type wire struct {
	Prefix netip.Prefix `json:"p"`
	Until  int64        `json:"u,omitempty"`
}

// latest is the last end of a ban that is taken: beyond it the kernel's timeouts would overflow. It is the year 2100.
const latest = 4102444800 * 1_000_000

func toWire(list []Element) []wire {
	all := make([]wire, len(list))
	for i, e := range list {
		all[i].Prefix = e.Prefix
		if !e.Until.IsZero() {
			all[i].Until = min(max(e.Until.UnixMicro(), 1), latest)
		}
	}
	return all
}

func (w wire) element() Element {
	e := Element{Prefix: w.Prefix}
	if w.Until != 0 {
		e.Until = time.UnixMicro(w.Until)
	}
	return e
}

// parseRequest reads one line. Unknown keys, a second value, too many elements and times out of range are errors.
func parseRequest(line []byte) (request, error) {
	var r request
	if len(line) > maxLine {
		return r, fmt.Errorf("a line of more than %d bytes", maxLine)
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("the line is no request: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return r, errors.New("the line has more than one request")
	}
	if len(r.Elements) > maxPerLine {
		return r, fmt.Errorf("%d elements in a line, of at most %d", len(r.Elements), maxPerLine)
	}
	for _, w := range r.Elements {
		if !w.Prefix.IsValid() {
			return r, errors.New("an element without a network")
		}
		if w.Until < 0 || w.Until > latest {
			return r, fmt.Errorf("the end of %s is out of range", w.Prefix)
		}
	}
	switch r.Verb {
	case verbSync, verbAdd, verbDelete, verbList, verbStatus:
	default:
		return r, fmt.Errorf("%.20q is no verb", r.Verb)
	}
	if r.Total < 0 || r.Total > MaxElements || r.Offset < 0 || r.Offset > MaxElements {
		return r, errors.New("a number out of range")
	}
	return r, nil
}

// session is one connection's memory.
type session struct {
	enforcer *Enforcer
	staged   []Element // of sync
	listed   []Element // of list
}

// handle carries out one request.
func (s *session) handle(r request) answer {
	switch r.Verb {
	case verbSync:
		return s.sync(r)
	case verbAdd:
		list := make([]Element, len(r.Elements))
		for i, w := range r.Elements {
			list[i] = w.element()
		}
		return told(s.enforcer.Change(list, nil))
	case verbDelete:
		list := make([]netip.Prefix, len(r.Elements))
		for i, w := range r.Elements {
			list[i] = w.Prefix
		}
		return told(s.enforcer.Change(nil, list))
	case verbList:
		if r.Offset == 0 {
			s.listed = s.enforcer.List()
		}
		from := min(r.Offset, len(s.listed))
		to := min(from+maxPerLine, len(s.listed))
		a := answer{Elements: toWire(s.listed[from:to]), More: to < len(s.listed)}
		if !a.More {
			s.listed = nil
		}
		return a
	}
	status := s.enforcer.Status()
	return answer{Status: &status}
}

// sync gathers the parts of a list, and hands it over when it is whole.
func (s *session) sync(r request) answer {
	if r.First {
		s.staged = nil
	}
	if len(s.staged)+len(r.Elements) > MaxElements {
		s.staged = nil
		return answer{Error: ErrTooMany.Error()}
	}
	for _, w := range r.Elements {
		s.staged = append(s.staged, w.element())
	}
	if !r.Last {
		return answer{}
	}
	list := s.staged
	s.staged = nil
	if len(list) != r.Total {
		return answer{Error: fmt.Sprintf("the list has %d elements, and %d were promised", len(list), r.Total)}
	}
	return told(s.enforcer.Replace(list))
}

func told(refused []Refusal, err error) answer {
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Refused: refused[:min(len(refused), maxRefusals)]}
}
