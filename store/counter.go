package store

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/auditgate/auditgate/record"
)

// Counter counts the calls of one source: those that have begun, and those that
// are settled, that is, have become a record or part of a gap. Its methods may
// be called from many goroutines, and after the store is closed.
type Counter struct {
	source   string
	counters *counters
	calls    *calls         // holds on to what begun points to
	begun    *atomic.Uint64 // in mapped memory, so that it outlives the process

	// These are owned by the committer. settled is what the journal has, pending
	// the same with the batch that is being written.
	settled, pending uint64

	losses map[string]*loss // by reason; guarded by counters.mu
}

// Begin counts a call that begins now. It is one atomic addition.
func (c *Counter) Begin() {
	c.begun.Add(1)
	runtime.KeepAlive(c)
}

// Forget takes a Begin back: the call is to be neither record nor gap. It is not
// for a call that has a begin entry.
func (c *Counter) Forget() {
	c.begun.Add(^uint64(0))
	runtime.KeepAlive(c)
}

// Lose counts a call that began at the time given, has ended now and becomes no
// record. The reason is one of a few fixed words; past 16 of them for one source,
// the rest are "other". Losses of one source and reason become one gap record, at
// most once a second, as soon as records can be written; its stretch is from the
// beginning of the earliest call to the end of the last. A call that may have a
// begin entry is abandoned instead.
func (c *Counter) Lose(reason string, began time.Time) { c.counters.lose(c, reason, began) }

// Abandon is Lose for a call that may have a begin entry. Where it has one, that
// becomes the call's record, unfinished, and the call is not lost.
func (c *Counter) Abandon(id record.ID, reason string, began time.Time) {
	if !c.counters.abandon(id) {
		c.Lose(reason, began)
	}
}

// maxReasons bounds the reasons of one source.
const maxReasons = 16

// otherName stands for all sources, and all reasons, past the bound.
const otherName = "other"

// loss is calls that were lost and are not yet a gap record.
type loss struct {
	call        *Counter
	reason      string
	count       uint64
	first, last time.Time
}

// counters are all counters of a journal.
type counters struct {
	calls   *calls
	now     func() time.Time
	wake    func()               // called when there is a first loss, or a new source
	abandon func(record.ID) bool // see queue.abandon

	mu     sync.Mutex // guards all below, and the losses of each counter
	all    map[string]*Counter
	lossy  []*Counter        // those with losses
	lost   map[string]uint64 // since the journal was opened, by reason
	closed bool
}

func newCounters(c *calls, now func() time.Time, q *queue) *counters {
	return &counters{
		calls: c, now: now, wake: q.wake, abandon: q.abandon,
		all: map[string]*Counter{}, lost: map[string]uint64{},
	}
}

// get returns the counter of a source, which is that of all others where the
// name is not one that can be kept, or the places are used up.
func (cs *counters) get(source string) *Counter {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if source == "" || len(source) > record.MaxSourceLen {
		source = otherName
	}
	if c := cs.all[source]; c != nil {
		return c
	}
	if len(cs.all) >= maxSources {
		source = otherName
		if c := cs.all[source]; c != nil {
			return c
		}
	}
	c := &Counter{
		source: source, counters: cs, calls: cs.calls,
		begun: cs.calls.claim(source), losses: map[string]*loss{},
	}
	cs.all[source] = c
	cs.wake() // to have its name on stable storage
	return c
}

func (cs *counters) lose(c *Counter, reason string, began time.Time) {
	now := cs.now()
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed { // in the gap that was written then
		return
	}
	l := c.losses[reason]
	if l == nil {
		if len(c.losses) == 0 {
			cs.lossy = append(cs.lossy, c)
		}
		if len(c.losses) >= maxReasons {
			reason = otherName
			l = c.losses[reason]
		}
	}
	if l == nil {
		l = &loss{call: c, reason: reason, first: began}
		c.losses[reason] = l
		defer cs.wake()
	}
	l.count++
	l.last = now
	if began.Before(l.first) {
		l.first = began
	}
	cs.lost[reason]++
}

// count adds to the figures what the journal itself has found lost.
func (cs *counters) count(reason string, n uint64) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.lost[reason] += n
}

// harvest takes all losses that are not yet gap records.
func (cs *counters) harvest() (losses []*loss) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, c := range cs.lossy {
		for _, l := range c.losses {
			losses = append(losses, l)
		}
		clear(c.losses)
	}
	cs.lossy = nil
	return losses
}

// close ignores losses from now on: what is not settled is in the journal's
// last gap.
func (cs *counters) close() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.closed = true
}

// figures returns how many calls were lost, by reason.
func (cs *counters) figures() map[string]uint64 {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return maps.Clone(cs.lost)
}

// each calls do for each counter, by name.
func (cs *counters) each(do func(*Counter)) {
	cs.mu.Lock()
	list := make([]*Counter, 0, len(cs.all))
	for _, c := range cs.all {
		list = append(list, c)
	}
	cs.mu.Unlock()
	slices.SortFunc(list, func(a, b *Counter) int { return strings.Compare(a.source, b.source) })
	for _, c := range list {
		do(c)
	}
}
