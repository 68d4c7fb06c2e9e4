package auditapi

import (
	"context"
	"sync"
	"time"
)

// The bounds of what may run at once. Whoever comes when they are reached waits
// for a moment and is then told to come back.
const (
	MaxListings       = 64              // listings, of slow clients as well, and summaries
	MaxScans          = 8               // of them, those that read the store
	MaxCallerListings = 2               // of them, those of one caller
	turnWait          = 2 * time.Second // how long one waits for its turn
)

// gate bounds the listings that run at once.
type gate struct {
	listings, scans chan struct{} // a slot for each

	mu      sync.Mutex // guards callers
	callers map[[32]byte]*callerGate
}

// callerGate is there while a listing of its caller runs or waits.
type callerGate struct {
	slots chan struct{}
	users int // those that hold or wait for a slot
}

func newGate() *gate {
	return &gate{
		listings: make(chan struct{}, MaxListings), scans: make(chan struct{}, MaxScans),
		callers: make(map[[32]byte]*callerGate),
	}
}

// turn is the way of one listing through the gate. It belongs to the listing's
// goroutine.
type turn struct {
	gate   *gate
	caller [32]byte
	held   []chan struct{} // of which it has a slot
}

// enter waits for a turn, to read the store. Whoever gets one must leave.
func (g *gate) enter(ctx context.Context, caller [32]byte) (*turn, error) {
	ctx, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()

	g.mu.Lock()
	own := g.callers[caller]
	if own == nil {
		own = &callerGate{slots: make(chan struct{}, MaxCallerListings)}
		g.callers[caller] = own
	}
	own.users++
	g.mu.Unlock()

	t := &turn{gate: g, caller: caller}
	if t.take(ctx, own.slots) != nil {
		t.leave()
		return nil, tooManyRequests.because("%d listings or summaries of this caller run already, which is the most", MaxCallerListings).
			with("Retry-After", retryAfter)
	}
	if t.take(ctx, g.listings) != nil || t.take(ctx, g.scans) != nil {
		t.leave()
		return nil, busy.because("as many listings and summaries run already as may: %d, of which %d read the store", MaxListings, MaxScans).
			with("Retry-After", retryAfter)
	}
	return t, nil
}

// take waits for a slot until ctx ends.
func (t *turn) take(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		t.held = append(t.held, slots)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pause lets others read the store while the listing does not. It may be done
// twice.
func (t *turn) pause() {
	if last := len(t.held) - 1; t.held[last] == t.gate.scans {
		<-t.gate.scans
		t.held = t.held[:last]
	}
}

// resume waits until the listing may read the store again: not for long, since
// a scan has its budget, and nobody reads on while a client does.
func (t *turn) resume(ctx context.Context) error { return t.take(ctx, t.gate.scans) }

// leave ends the turn.
func (t *turn) leave() {
	for _, slots := range t.held {
		<-slots
	}
	t.held = nil
	t.gate.mu.Lock()
	defer t.gate.mu.Unlock()
	own := t.gate.callers[t.caller]
	if own.users--; own.users == 0 {
		delete(t.gate.callers, t.caller)
	}
}
