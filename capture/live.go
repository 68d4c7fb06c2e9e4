package capture

import (
	"sync"
	"time"
)

// live are the exchanges that are still running and have not been announced, in
// the order in which their time for that comes.
type live struct {
	mu          sync.Mutex // guards all below, and the place of each exchange
	first, last *Exchange
}

// place is that of an exchange in the list of the live ones.
type place struct {
	prev, next *Exchange
	due        time.Time
	listed     bool
	gone       bool // it has ended
}

// add puts a new exchange in the list.
func (l *live) add(x *Exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.push(x, x.began.Add(AnnounceAfter))
}

// again puts back an exchange that was taken, for another time, unless it has
// ended.
func (l *live) again(x *Exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !x.place.gone {
		l.push(x, time.Now().Add(AnnounceAfter))
	}
}

// push puts x at the end. The caller holds mu.
func (l *live) push(x *Exchange, due time.Time) {
	x.place.due, x.place.listed, x.place.prev = due, true, l.last
	if l.last == nil {
		l.first = x
	} else {
		l.last.place.next = x
	}
	l.last = x
}

// remove notes that x has ended, and reports whether it was in the list.
func (l *live) remove(x *Exchange) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	x.place.gone = true
	if !x.place.listed {
		return false
	}
	l.take(x)
	return true
}

// oldest takes the first exchange whose time has come by now, nil where there is
// none.
func (l *live) oldest(now time.Time) *Exchange {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.first
	if x == nil || x.place.due.After(now) {
		return nil
	}
	l.take(x)
	return x
}

// take takes x out of the list. The caller holds mu.
func (l *live) take(x *Exchange) {
	prev, next := x.place.prev, x.place.next
	if prev == nil {
		l.first = next
	} else {
		prev.place.next = next
	}
	if next == nil {
		l.last = prev
	} else {
		next.place.prev = prev
	}
	x.place.prev, x.place.next, x.place.listed = nil, nil, false
}
