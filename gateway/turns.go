package gateway

import (
	"context"
	"sync"
)

// turns keeps processors free of large bodies: to judge one takes the firewall tens of milliseconds, and a hundred at once would
// have everybody else wait for as long as all of them take. One client, and all strangers together, are given half of the
// processors; their other bodies wait. Whoever waits has a place among the requests under way, so that their number is bounded.
type turns struct {
	each      int
	strangers chan struct{}

	mu       sync.Mutex
	byClient map[limiterKey]*turn // of clients with bodies that are judged or wait
}

type turn struct {
	taken chan struct{}
	users int
}

func newTurns(processors int) *turns {
	each := max(1, processors/2)
	return &turns{each: each, strangers: make(chan struct{}, each), byClient: make(map[limiterKey]*turn)}
}

// take waits for a turn; the caller calls leave when the body is judged. It returns an error when ctx ends before.
func (t *turns) take(ctx context.Context, client limiterKey) (leave func(), err error) {
	t.mu.Lock()
	own := t.byClient[client]
	if own == nil {
		own = &turn{taken: make(chan struct{}, t.each)}
		t.byClient[client] = own
	}
	own.users++
	t.mu.Unlock()
	if err := enterTurn(ctx, own.taken); err != nil {
		t.forget(client, own)
		return nil, err
	}
	if client.session != "" {
		return func() { <-own.taken; t.forget(client, own) }, nil
	}
	if err := enterTurn(ctx, t.strangers); err != nil {
		<-own.taken
		t.forget(client, own)
		return nil, err
	}
	return func() { <-t.strangers; <-own.taken; t.forget(client, own) }, nil
}

func enterTurn(ctx context.Context, taken chan struct{}) error {
	select {
	case taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *turns) forget(client limiterKey, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(t.byClient, client)
	}
}
