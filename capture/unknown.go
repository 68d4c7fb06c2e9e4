package capture

import (
	"sync"
	"time"

	"github.com/auditgate/auditgate/record"
)

// unknown are the exchanges of which the ledger has neither a begin entry nor a
// record nor a loss yet, oldest first.
type unknown struct {
	mu          sync.Mutex // guards all below, and the link of each exchange
	first, last *Exchange
}

// link is the place of an exchange among the unknown ones.
type link struct {
	prev, next *Exchange
	linked     bool
}

// add names a new exchange and puts it at the end: in one step, so that none which
// is added later has an older name.
func (u *unknown) add(x *Exchange) {
	u.mu.Lock()
	defer u.mu.Unlock()
	x.ID = record.NewID()
	x.link = link{prev: u.last, linked: true}
	if u.last == nil {
		u.first = x
	} else {
		u.last.link.next = x
	}
	u.last = x
}

// remove takes x out, if it is there.
func (u *unknown) remove(x *Exchange) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !x.link.linked {
		return
	}
	prev, next := x.link.prev, x.link.next
	if prev == nil {
		u.first = next
	} else {
		prev.link.next = next
	}
	if next == nil {
		u.last = prev
	} else {
		next.link.prev = prev
	}
	x.link = link{}
}

// oldest returns when the first of them began; where there is none, the time before
// which none begins any more.
func (u *unknown) oldest() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.first != nil {
		return u.first.ID.Time()
	}
	return record.NewID().Time()
}

// Oldest returns a time before which no call began that ledgers do not know of yet,
// by begin entry, record or loss. Such a call cannot come to be later.
func (p *Pipeline) Oldest() time.Time { return p.unknown.oldest() }
