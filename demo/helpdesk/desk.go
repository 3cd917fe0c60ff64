package helpdesk

import (
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Caps on what people can store. The oldest makes room for the newest: first among one person's own tickets.
const (
	maxOwnTickets = 200
	maxTickets    = 2000
	maxPeople     = 1000
	maxReplies    = 100
	maxSubject    = 200    // characters
	maxText       = 10_000 // characters
)

// message is a ticket's first text or a reply.
type message struct {
	author  string
	support bool // written by support for somebody else's ticket
	text    string
	at      time.Time
}

// ticket is one request for help. A value handed out by the desk is a copy.
type ticket struct {
	id       int
	owner    string
	subject  string
	open     bool
	changed  time.Time
	messages []message
}

// desk holds the tickets.
type desk struct {
	mu      sync.Mutex
	next    int
	tickets []*ticket // by id, oldest first
	met     map[string]bool
}

func newDesk() *desk { return &desk{next: 1, met: map[string]bool{}} }

// welcome gives a person who comes for the first time something to look at.
func (d *desk) welcome(person string, now time.Time) {
	d.mu.Lock()
	skip := d.met[person] || len(d.met) >= maxPeople
	if !skip {
		d.met[person] = true
	}
	d.mu.Unlock()
	if skip {
		return
	}
	first := d.add(person, "Welcome to the helpdesk", "Try it: open a ticket with the form, answer this one, or close it.", now)
	d.reply(first, message{author: "", support: true, at: now,
		text: "Hello! Everything here is kept in memory and gone when the demo ends."})
	d.add(person, "The printer on the second floor prints only green", "It started this morning. The toner is new.", now)
}

// add opens a ticket and returns its number.
func (d *desk) add(owner, subject, text string, now time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.makeRoom(owner)
	id := d.next
	d.next++
	d.tickets = append(d.tickets, &ticket{
		id: id, owner: owner, subject: clip(subject, maxSubject), open: true, changed: now,
		messages: []message{{author: owner, text: clip(text, maxText), at: now}},
	})
	return id
}

func (d *desk) makeRoom(owner string) {
	own := 0
	for _, t := range d.tickets {
		if t.owner == owner {
			own++
		}
	}
	if own >= maxOwnTickets {
		oldest := slices.IndexFunc(d.tickets, func(t *ticket) bool { return t.owner == owner })
		d.tickets = slices.Delete(d.tickets, oldest, oldest+1)
	}
	if len(d.tickets) >= maxTickets {
		d.tickets = slices.Delete(d.tickets, 0, 1)
	}
}

// reply adds a message; false means the ticket is gone or holds as many replies as it may.
func (d *desk) reply(id int, m message) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.byID(id)
	if t == nil || len(t.messages) > maxReplies {
		return false
	}
	m.text = clip(m.text, maxText)
	t.messages = append(t.messages, m)
	t.changed, t.open = m.at, true
	return true
}

// setOpen opens or closes a ticket; false means it is gone.
func (d *desk) setOpen(id int, open bool, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.byID(id)
	if t == nil {
		return false
	}
	t.open, t.changed = open, now
	return true
}

// get returns a copy of the ticket.
func (d *desk) get(id int) (ticket, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.byID(id)
	if t == nil {
		return ticket{}, false
	}
	return t.copy(), true
}

// list returns copies of the tickets that keep says yes to, the last changed first.
func (d *desk) list(keep func(*ticket) bool) []ticket {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []ticket
	for _, t := range d.tickets {
		if keep(t) {
			found = append(found, t.copy())
		}
	}
	slices.SortStableFunc(found, func(a, b ticket) int {
		if c := b.changed.Compare(a.changed); c != 0 {
			return c
		}
		return b.id - a.id
	})
	return found
}

func (d *desk) byID(id int) *ticket {
	i, found := slices.BinarySearchFunc(d.tickets, id, func(t *ticket, id int) int { return t.id - id })
	if !found {
		return nil
	}
	return d.tickets[i]
}

func (t *ticket) copy() ticket {
	c := *t
	c.messages = slices.Clone(t.messages)
	return c
}

// matches tells whether any text of the ticket contains the words, whatever their case.
func (t *ticket) matches(words string) bool {
	words = strings.ToLower(words)
	if strings.Contains(strings.ToLower(t.subject), words) {
		return true
	}
	return slices.ContainsFunc(t.messages, func(m message) bool {
		return strings.Contains(strings.ToLower(m.text), words)
	})
}

// clip cuts text to so many characters and makes it valid UTF-8.
func clip(text string, characters int) string {
	text = strings.TrimSpace(strings.ToValidUTF8(text, "\uFFFD"))
	if utf8.RuneCountInString(text) <= characters {
		return text
	}
	return string([]rune(text)[:characters])
}
