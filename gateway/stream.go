package gateway

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// sweepEvery is how often open streams are looked at: revocation takes effect within it.
const sweepEvery = 250 * time.Millisecond

// streams knows every request that is with an application, so that it can be ended from outside: when its
// session ends, when its site is gone after a reload, at shutdown, and when the client stops reading. One
// sweep over all of them four times a second costs an ordinary request two list operations and no goroutine.
type streams struct {
	tick  atomic.Int64 // sweeps since the start, counted from 1
	pause atomic.Int64 // how many sweeps a client may take no byte of its answer
	cuts  atomic.Uint64

	// decided changes whenever who is refused does, and refused tells it of one exchange. Nil: nobody is.
	decided func() uint64
	refused func(x *exchange) bool
	known   uint64 // decided, at the last sweep; only Run's goroutine uses it

	mu          sync.Mutex
	first, last *flight
	closing     bool
	endless     int            // answers to signed-in people that never end by themselves
	bySession   map[string]int // of them; never more entries than answers
	maxEndless  int
}

func newStreams(limits LimitsConfig) *streams {
	s := &streams{bySession: make(map[string]int)}
	s.tick.Store(1)
	s.configure(limits)
	return s
}

// configure takes over how long a client may pause inside its answer, and how many endless answers there may
// be: as many as connections, though HTTP/2 puts several on one.
func (s *streams) configure(limits LimitsConfig) {
	s.pause.Store(max(1, int64(limits.BodyTimeout/sweepEvery)))
	s.mu.Lock()
	s.maxEndless = limits.Connections
	s.mu.Unlock()
}

// Run sweeps until ctx ends.
func (s *streams) Run(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.sweep()
		}
	}
}

// sweep cuts what lost its right to go on, and extends the write deadline of what is still making progress.
func (s *streams) sweep() {
	tick, pause := s.tick.Add(1), s.pause.Load()
	anew := false // somebody may be banned who was not
	if s.decided != nil {
		now := s.decided()
		anew, s.known = now != s.known, now
	}
	var cut, extend []flightRef
	s.mu.Lock()
	for f := s.first; f != nil; f = f.next {
		stalled := f.writing.Load()
		switch {
		case f.ended(), anew && s.refused(f.x), stalled != 0 && tick-stalled > pause:
			cut = append(cut, flightRef{f, f.generation})
		case (tick-f.joined)%max(1, pause/2) == 0:
			extend = append(extend, flightRef{f, f.generation})
		}
	}
	s.mu.Unlock()
	s.cuts.Add(uint64(len(cut)))
	for _, ref := range cut {
		ref.do((*flight).cut)
	}
	for _, ref := range extend {
		ref.do((*flight).extend)
	}
}

// cut ends the streams that which picks. It reads only what was known before the request was forwarded.
func (s *streams) cut(which func(x *exchange) bool) {
	s.cutFlights(func(f *flight) bool { return which(f.x) })
}

// shutdown ends what would never end by itself, event streams and websockets, now and from now on.
func (s *streams) shutdown() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.cutFlights(func(f *flight) bool { return f.endless.Load() })
}

func (s *streams) cutFlights(which func(f *flight) bool) {
	var cut []flightRef
	s.mu.Lock()
	for f := s.first; f != nil; f = f.next {
		if which(f) {
			cut = append(cut, flightRef{f, f.generation})
		}
	}
	s.mu.Unlock()
	s.cuts.Add(uint64(len(cut)))
	for _, ref := range cut {
		ref.do((*flight).cut)
	}
}

func (s *streams) join(f *flight) {
	s.mu.Lock()
	f.joined = s.tick.Load()
	f.prev, f.next = s.last, nil
	if s.last != nil {
		s.last.next = f
	} else {
		s.first = f
	}
	s.last = f
	s.mu.Unlock()
}

// leave takes f out; afterwards nothing touches its response writer any more.
func (s *streams) leave(f *flight) {
	s.mu.Lock()
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		s.first = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		s.last = f.prev
	}
	f.prev, f.next = nil, nil
	if f.settled {
		f.settled = false
		s.endless--
		if id := f.x.session.ID; s.bySession[id] > 1 {
			s.bySession[id]--
		} else {
			delete(s.bySession, id)
		}
	}
	s.mu.Unlock()
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
}

// settle counts f as an endless answer. A signed-in person's then gives back its place among the requests
// under way: hundreds of people with an open page are no load, and must not keep others out. Strangers'
// keep theirs, because nothing else bounds them. One session gets an eighth of the answers.
func (s *streams) settle(f *flight) error {
	f.endless.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return errCut
	case f.x.session == nil:
		return nil
	case s.endless >= s.maxEndless:
		return overload("streams")
	case s.bySession[f.x.session.ID] >= int(shareOf(int64(s.maxEndless))):
		return ownLoad()
	}
	s.endless++
	s.bySession[f.x.session.ID]++
	f.settled = true
	f.x.release()
	return nil
}

// flightRef is a flight as it was when the list was read; the flight may have been reused since.
type flightRef struct {
	f          *flight
	generation uint64
}

func (ref flightRef) do(what func(f *flight)) {
	ref.f.mu.Lock()
	defer ref.f.mu.Unlock()
	if ref.f.generation == ref.generation && !ref.f.over {
		what(ref.f)
	}
}

// ended says that the session under which the request was let through is over.
func (f *flight) ended() bool {
	if f.x.session == nil {
		return false
	}
	select {
	case <-f.x.session.Done():
		return true
	default:
		return false
	}
}

// cut ends the exchange: the application's side is closed, and what is still to be written to the client
// fails, so that a broken answer never looks whole. f.mu is held.
func (f *flight) cut() {
	f.cutOff.Store(true)
	if f.source != nil {
		f.source.Close()
	}
	if f.writing.Load() != 0 {
		_ = http.NewResponseController(f.x.w).SetWriteDeadline(time.Now()) // an error: the client is gone already
	}
}

// extend moves the server's write deadline on, for an answer that takes longer than one. f.mu is held.
func (f *flight) extend() {
	if !f.hijacked.Load() {
		pause := time.Duration(f.streams.pause.Load()) * sweepEvery
		_ = http.NewResponseController(f.x.w).SetWriteDeadline(time.Now().Add(2 * pause)) // as above
	}
}

// answerBody is the application's answer on its way to the client. It notes when the client is being
// written to, and ends when the flight is cut.
type answerBody struct{ f *flight }

// Read reads from the application.
func (b answerBody) Read(p []byte) (int, error) {
	f := b.f
	f.writing.Store(0)
	if f.cutOff.Load() {
		return 0, errCut
	}
	n, err := f.source.Read(p)
	if f.cutOff.Load() {
		return 0, errCut
	}
	if err == io.EOF {
		// Trailers come after the answer's rules were applied: a Set-Cookie among them would not have met them.
		f.answer.Trailer = nil
	}
	f.writing.Store(f.streams.tick.Load())
	return n, err
}

// Close closes the application's side.
func (b answerBody) Close() error {
	b.f.writing.Store(0)
	return b.f.source.Close()
}
