package capture

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Budget bounds the memory that captures take: taps, and calls that wait to
// become records. When it is used up, new bodies are not kept; when twice as much
// is taken, calls that end are lost to the count. Calls go on in any case.
type Budget struct {
	limit atomic.Int64
	used  atomic.Int64
}

// NewBudget returns a budget of so many bytes.
func NewBudget(limit int64) *Budget {
	b := new(Budget)
	b.limit.Store(limit)
	return b
}

// Used returns how many bytes are taken.
func (b *Budget) Used() int64 { return b.used.Load() }

// SetLimit changes the budget. What is taken stays taken.
func (b *Budget) SetLimit(limit int64) { b.limit.Store(limit) }

// take reports whether n more bytes may be used; if so, they are.
func (b *Budget) take(n int64) bool {
	if b.used.Add(n) > b.limit.Load() {
		b.used.Add(-n)
		return false
	}
	return true
}

// force takes n bytes, allowed or not: what is known of a call without its bodies
// is kept past the limit, up to as much again. See exhausted.
func (b *Budget) force(n int64) { b.used.Add(n) }

// exhausted reports whether even calls without bodies take too much.
func (b *Budget) exhausted() bool { return b.used.Load() > 2*b.limit.Load() }

// tight reports whether no call may begin that must become a record: half of what
// lies past the limit is for those that have.
func (b *Budget) tight() bool { return b.used.Load() > b.limit.Load()/2*3 }

func (b *Budget) give(n int64) { b.used.Add(-n) }

// Buffers come in classes, each twice the one before, so that a buffer that went
// back fits the next body.
const (
	smallestBuffer = 4 << 10
	// MaxKept is the most that is kept of one body, in bytes.
	MaxKept = 16 << 20
)

var buffers [13]sync.Pool // 4 KiB, 8 KiB, … 16 MiB

// class returns that of the smallest buffer for n bytes, and its size.
func class(n int) (index, size int) {
	if n > smallestBuffer {
		index = bits.Len(uint((n - 1) / smallestBuffer))
	}
	return index, smallestBuffer << index
}

// get returns an empty buffer with room for n bytes, at most MaxKept, or nil
// where the budget does not allow it.
func (b *Budget) get(n int) []byte {
	i, size := class(n)
	if !b.take(int64(size)) {
		return nil
	}
	if p, ok := buffers[i].Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return make([]byte, 0, size)
}

// put takes back what get returned. Nobody may use it any more.
func (b *Budget) put(buf []byte) {
	if cap(buf) == 0 {
		return
	}
	i, size := class(cap(buf))
	b.give(int64(size))
	clear(buf) // no byte of a secret outlives its call
	buf = buf[:0]
	buffers[i].Put(&buf)
}

// copyBuffer is how much passes through a tap at once where it is copied by one,
// in bytes.
const copyBuffer = 32 << 10

var copyBuffers = sync.Pool{New: func() any { return new(make([]byte, copyBuffer)) }}
