package firewall

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	maxQueued   = 10_000                 // changes that wait; more, and the whole list is sent instead
	askEvery    = 10 * time.Second       // whether the enforcer still answers
	syncEvery   = time.Hour              // the whole list, whatever was missed
	retryFirst  = 100 * time.Millisecond // after a boot both begin at once
	retryMost   = 30 * time.Second
	dialTime    = 5 * time.Second
	answerTime  = 30 * time.Second // a list of half a million bans takes the kernel a few seconds
	refusalsLog = 20               // are logged at once
)

// ClientOptions say where the enforcer is and what it is told.
type ClientOptions struct {
	// Socket is the path of its socket.
	Socket string
	// OnState is told once when the enforcer cannot be reached any more or does not do what it should, with the reason, and once
	// when it does again, with an empty one. Nil: nobody is told.
	OnState func(reason string)
	Log     *slog.Logger
}

// Client keeps the enforcer's list equal to what it is told: it sends the whole list when it connects, and changes from then on. While the
// enforcer is away it tries again and again. Nothing is sent before the first Reset, so that bans of an earlier run stay in force until
// their list is known. Make one with NewClient, then Run it.
type Client struct {
	o    ClientOptions
	wake chan struct{}

	mu       sync.Mutex
	wanted   map[netip.Prefix]time.Time
	known    bool // Reset was called
	queue    []change
	overflow bool   // the whole list is due
	reason   string // why it is down; empty when it is up
	told     bool   // OnState knows
	status   Status
	guards   int // Status.Guards when the whole list was sent last
}

// change is one ban that begins, changes or ends.
type change struct {
	element Element
	remove  bool
}

// NewClient makes a client; it connects when it runs.
func NewClient(o ClientOptions) *Client {
	return &Client{o: o, wake: make(chan struct{}, 1), wanted: map[netip.Prefix]time.Time{}, reason: "not connected yet"}
}

// Reset tells every ban that is to be in force; what was told before is forgotten. It never waits.
func (c *Client) Reset(all []Element) {
	c.mu.Lock()
	c.wanted = make(map[netip.Prefix]time.Time, len(all))
	for _, e := range all {
		c.wanted[e.Prefix] = e.Until
	}
	c.known, c.overflow, c.queue = true, true, nil
	c.mu.Unlock()
	c.rouse()
}

// Change tells of bans that end, and of bans that begin or get another end. It never waits.
func (c *Client) Change(add []Element, remove []netip.Prefix) {
	c.mu.Lock()
	for _, p := range remove {
		delete(c.wanted, p)
		c.put(change{Element{Prefix: p}, true})
	}
	for _, e := range add {
		c.wanted[e.Prefix] = e.Until
		c.put(change{e, false})
	}
	c.mu.Unlock()
	c.rouse()
}

// list is every ban that is to be in force.
func (c *Client) list() []Element {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, list := time.Now(), make([]Element, 0, len(c.wanted))
	for p, until := range c.wanted {
		if e := (Element{p, until}); !e.expired(now) {
			list = append(list, e)
		}
	}
	return list
}

// rouse has the session look for what is due.
func (c *Client) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// put queues a change; c.mu is held.
func (c *Client) put(one change) {
	if len(c.queue) >= maxQueued {
		c.queue, c.overflow = nil, true
	}
	if !c.overflow {
		c.queue = append(c.queue, one)
	}
}

// State is how the enforcer fares, and why it cannot be used at the moment; empty when it can.
func (c *Client) State() (Status, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status, c.reason
}

// Run keeps the enforcer up to date until ctx ends.
func (c *Client) Run(ctx context.Context) error {
	wait := retryFirst
	for ctx.Err() == nil {
		began := time.Now()
		err := c.session(ctx)
		if ctx.Err() != nil {
			break
		}
		c.tell(err.Error())
		if time.Since(began) > retryMost {
			wait = retryFirst
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, retryMost)
	}
	return nil
}

// tell notes whether the enforcer can be used, and passes changes of that on.
func (c *Client) tell(reason string) {
	c.mu.Lock()
	news := (reason == "") != (c.reason == "") || !c.told
	c.reason, c.told = reason, true
	c.mu.Unlock()
	if !news {
		return
	}
	if reason == "" {
		c.o.Log.Info("bans are in the kernel")
	} else {
		c.o.Log.Error("bans do not reach the kernel; the gateway still refuses", slog.String("reason", reason))
	}
	if c.o.OnState != nil {
		c.o.OnState(reason)
	}
}

// session is one connection, from the whole list to the error that ends it.
func (c *Client) session(ctx context.Context) error {
	link, err := Dial(ctx, c.o.Socket)
	if err != nil {
		return err
	}
	defer link.Close()
	stop := context.AfterFunc(ctx, func() { link.Close() })
	defer stop()
	ask, whole := time.NewTicker(askEvery), time.NewTicker(syncEvery)
	defer ask.Stop()
	defer whole.Stop()
	c.mu.Lock()
	c.overflow = true
	c.mu.Unlock()
	for {
		if err := c.deliver(link); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.wake:
		case <-whole.C:
			c.mu.Lock()
			c.overflow = true
			c.mu.Unlock()
		case <-ask.C:
			if err := c.ask(link); err != nil {
				return err
			}
		}
	}
}

// ask has the enforcer say how it fares.
func (c *Client) ask(link *Link) error {
	status, err := link.Status()
	if err != nil {
		return err
	}
	c.mu.Lock()
	if status.Guards != c.guards {
		c.overflow = true // who was protected may be so no more, and the whole list is due
	}
	c.status, c.guards = status, status.Guards
	c.mu.Unlock()
	c.tell(status.Error)
	return nil
}

// deliver sends what is queued, or the whole list when more was queued than there is room for.
func (c *Client) deliver(link *Link) error {
	for {
		c.mu.Lock()
		queue, overflow := c.queue, c.overflow
		known := c.known
		if known {
			c.queue, c.overflow = nil, false
		}
		c.mu.Unlock()
		if !known || !overflow && len(queue) == 0 {
			return nil
		}
		refused, err := c.send(link, queue, overflow)
		if err != nil {
			return err
		}
		for i, r := range refused {
			if i == refusalsLog {
				c.o.Log.Warn("more bans are not in the kernel", slog.Int("others", len(refused)-i))
				break
			}
			c.o.Log.Warn("ban is not in the kernel", slog.String("target", r.Prefix.String()), slog.String("because", r.Why))
		}
		if overflow {
			if err := c.ask(link); err != nil {
				return err
			}
		}
	}
}

func (c *Client) send(link *Link, queue []change, whole bool) ([]Refusal, error) {
	if whole {
		return link.Sync(c.list())
	}
	var all []Refusal
	// Neighbours of the same kind go together, so that the order of a ban and its end is kept.
	for len(queue) > 0 {
		n := 1
		for n < len(queue) && n < maxPerLine && queue[n].remove == queue[0].remove {
			n++
		}
		var list []Element
		for _, one := range queue[:n] {
			list = append(list, one.element)
		}
		verb := verbAdd
		if queue[0].remove {
			verb = verbDelete
		}
		a, err := link.call(request{Verb: verb, Elements: toWire(list)})
		if err != nil {
			return all, err
		}
		all, queue = append(all, a.Refused...), queue[n:]
	}
	return all, nil
}

// Link is one connection to the enforcer. It is used by one goroutine.
type Link struct {
	conn net.Conn
	in   *bufio.Reader
}

// Dial connects to the enforcer's socket.
func Dial(ctx context.Context, socket string) (*Link, error) {
	d := net.Dialer{Timeout: dialTime}
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("reach doorward enforce: %w", err)
	}
	return &Link{c, bufio.NewReaderSize(c, maxLine)}, nil
}

// Close ends the connection.
func (l *Link) Close() error { return l.conn.Close() }

// Sync puts a whole list into force instead of what is, and returns what is not enforced. The parts are sent while the answers to those before
// are still on their way: waiting for each takes longer than all the rest on a busy machine. After an error the link is closed.
func (l *Link) Sync(list []Element) ([]Refusal, error) {
	parts := max(1, (len(list)+maxPerLine-1)/maxPerLine)
	sent := make(chan error, 1)
	go func() { sent <- l.sendParts(list, parts) }()
	var last answer
	var err error
	for n := 0; n < parts && err == nil; n++ {
		last, err = l.receive()
	}
	if err != nil {
		l.conn.Close() // whoever sends stops
	}
	if bad := <-sent; err == nil && bad != nil {
		err = bad
	}
	return last.Refused, err
}

func (l *Link) sendParts(list []Element, parts int) error {
	for n := range parts {
		from, to := n*maxPerLine, min((n+1)*maxPerLine, len(list))
		r := request{Verb: verbSync, Elements: toWire(list[from:to]), First: n == 0, Last: n == parts-1}
		if r.Last {
			r.Total = len(list)
		}
		if err := send(l.conn, r); err != nil {
			return fmt.Errorf("ask doorward enforce: %w", err)
		}
	}
	return nil
}

// List is every ban that the enforcer has.
func (l *Link) List() ([]Element, error) {
	var all []Element
	for {
		a, err := l.call(request{Verb: verbList, Offset: len(all)})
		if err != nil {
			return nil, err
		}
		for _, w := range a.Elements {
			all = append(all, w.element())
		}
		if !a.More || len(a.Elements) == 0 || len(all) > MaxElements {
			return all, nil
		}
	}
}

// Status asks how the enforcer fares.
func (l *Link) Status() (Status, error) {
	a, err := l.call(request{Verb: verbStatus})
	if err == nil && a.Status == nil {
		err = errors.New("doorward enforce told no status")
	}
	if err != nil {
		return Status{}, err
	}
	return *a.Status, nil
}

func (l *Link) call(r request) (answer, error) {
	if err := send(l.conn, r); err != nil {
		return answer{}, fmt.Errorf("ask doorward enforce: %w", err)
	}
	return l.receive()
}

// receive reads one answer.
func (l *Link) receive() (answer, error) {
	var a answer
	if err := l.conn.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return a, fmt.Errorf("ask doorward enforce: %w", err)
	}
	line, err := l.in.ReadSlice('\n')
	if err != nil {
		return a, fmt.Errorf("ask doorward enforce: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(line))
	if err := d.Decode(&a); err != nil {
		return a, fmt.Errorf("read the answer of doorward enforce: %w", err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("doorward enforce: %s", a.Error)
	}
	return a, nil
}
