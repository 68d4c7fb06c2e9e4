package auditapi

import (
	"context"
	"sync"
	"time"
)

// The bounds of what may run at once. Whoever comes when they are reached waits
// for a moment and is then told to come back.
const (
	MaxScans       = 8               // listings that read the store
	MaxCallerScans = 2               // of them, those of one caller
	scanWait       = 2 * time.Second // how long a listing waits for its turn
)

// gate bounds the listings that run at once.
type gate struct {
	all chan struct{} // a slot for each

	mu      sync.Mutex // guards callers
	callers map[[32]byte]*callerGate
}

// callerGate is there while a listing of its caller runs or waits.
type callerGate struct {
	slots chan struct{}
	users int // those that hold or wait for a slot
}

func newGate() *gate {
	return &gate{all: make(chan struct{}, MaxScans), callers: make(map[[32]byte]*callerGate)}
}

// enter waits for a turn and returns how to end it, which may be done twice.
func (g *gate) enter(ctx context.Context, caller [32]byte) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, scanWait)
	defer cancel()

	g.mu.Lock()
	own := g.callers[caller]
	if own == nil {
		own = &callerGate{slots: make(chan struct{}, MaxCallerScans)}
		g.callers[caller] = own
	}
	own.users++
	g.mu.Unlock()
	forget := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if own.users--; own.users == 0 {
			delete(g.callers, caller)
		}
	}

	select {
	case own.slots <- struct{}{}:
	case <-ctx.Done():
		forget()
		return nil, tooManyRequests.because("%d listings of this caller run already, which is the most", MaxCallerScans).
			with("Retry-After", retryAfter)
	}
	select {
	case g.all <- struct{}{}:
	case <-ctx.Done():
		<-own.slots
		forget()
		return nil, busy.because("%d listings run already, which is the most", MaxScans).
			with("Retry-After", retryAfter)
	}
	return sync.OnceFunc(func() {
		<-g.all
		<-own.slots
		forget()
	}), nil
}
