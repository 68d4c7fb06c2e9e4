package store

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/auditgate/auditgate/record"
)

// queue holds the records that wait for their commit, in batches: a batch is
// what has come while the one before it was written, up to a bound.
type queue struct {
	limit    int64          // bytes that may wait
	batch    int64          // bytes of one batch
	sequence *atomic.Uint64 // of the newest committed record
	ready    chan struct{}  // has a value when the committer should look here
	hurry    chan struct{}  // and when it should not linger

	mu         sync.Mutex // guards all below
	batches    []*batch   // oldest first; records are added to the last
	waiting    int64      // bytes of records that are not committed, those taken too
	promised   int64      // bytes that receipts have set aside for their records
	closed     bool
	entries    map[record.ID]entry // of calls whose record was not added
	entryBytes int64
}

// batch is records that are committed together.
type batch struct {
	raw    []byte // as they stand in frames; see format.go
	rows   []queued
	size   int64     // bytes of what was added
	oldest time.Time // when the first of its calls began; zero where there is none
	commit *Commit

	// What the committer makes rows of; see resolve.
	announced []announcement
	abandoned []abandoned
}

// queued is one record of a batch.
type queued struct {
	start   int      // where it begins in raw
	call    *Counter // whose calls it settles; nil for none
	settles uint64
	begin   bool // a begin entry, which has no sequence
}

// scratch holds buffers for metadata: []byte.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// spare holds batches that are empty, with their room.
var spare = sync.Pool{New: func() any { return new(batch) }}

// spareRoom is the largest batch that is kept for later, in bytes.
const spareRoom = 8 << 20

func newBatch() *batch {
	b := spare.Get().(*batch)
	b.commit = &Commit{done: make(chan struct{})}
	return b
}

// finish releases those who wait for the batch. It is not used after that.
func (b *batch) finish(err error) {
	b.commit.err = err
	close(b.commit.done)
	if cap(b.raw) > spareRoom {
		return
	}
	clear(b.rows) // of counters
	*b = batch{raw: b.raw[:0], rows: b.rows[:0]}
	spare.Put(b)
}

// add appends one record, whose metadata is meta; announced is that of its begin
// entry, 0 where it had none.
func (b *batch) add(r *record.Record, announced uint64, meta []byte, call *Counter, settles uint64) {
	b.rows = append(b.rows, queued{start: len(b.raw), call: call, settles: settles})
	b.raw = appendRecord(b.raw, r, announced, meta)
	b.since(r.EventID)
}

// since notes that the batch has a call of that id.
func (b *batch) since(id record.ID) {
	if t := id.Time(); b.oldest.IsZero() || t.Before(b.oldest) {
		b.oldest = t
	}
}

// addGap appends a gap record, which settles as many calls as it counts.
func (b *batch) addGap(r *record.Record, call *Counter) {
	b.add(r, 0, r.AppendMeta(nil), call, r.Gap.Count)
}

// unsettle takes back what encoding the batch has counted as settled.
func (b *batch) unsettle() {
	for _, q := range b.rows {
		if q.call != nil {
			q.call.pending = q.call.settled
		}
	}
}

// end returns where the record at i ends.
func (b *batch) end(i int) int {
	if i+1 < len(b.rows) {
		return b.rows[i+1].start
	}
	return len(b.raw)
}

func newQueue(limit, batch int64, sequence *atomic.Uint64) *queue {
	return &queue{
		limit: limit, batch: batch, sequence: sequence, ready: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
		entries: make(map[record.ID]entry),
	}
}

// wake tells the committer that there is something to do.
func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// encodeMeta returns the metadata of r in a buffer that goes back to scratch.
func encodeMeta(r *record.Record) (*[]byte, error) {
	if r.EventID.IsZero() {
		return nil, errors.New("adding record: it has no event id")
	}
	buf := scratch.Get().(*[]byte)
	*buf = r.AppendMeta((*buf)[:0])
	return buf, nil
}

// put adds a record to the last batch; see [Store.Add].
func (q *queue) put(r *record.Record, call *Counter) (*Commit, error) {
	buf, err := encodeMeta(r)
	if err != nil {
		return nil, err
	}
	defer scratch.Put(buf)
	size := int64(len(*buf) + len(r.RequestBody.Content) + len(r.ResponseBody.Content))
	if size > MaxRecord {
		return nil, fmt.Errorf("adding record %s: %d bytes are more than the %d that are kept of one", r.EventID, size, int64(MaxRecord))
	}

	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, ErrClosed
	}
	// A lone record may be larger than the limit, and that of a receipt has its room.
	mine := q.entries[r.EventID].promise
	if q.waiting > 0 && size > mine && q.waiting+q.promised-mine+size > q.limit {
		return nil, ErrFull
	}
	if r.Outcome == record.OutcomeInProgress {
		return q.announce(r, *buf, call)
	}
	e, _ := q.closeEntry(r.EventID)
	b := q.room(size)
	before := len(b.raw)
	b.add(r, e.announced, *buf, call, 1)
	q.grow(b, int64(len(b.raw)-before))
	return b.commit, nil
}

// grow notes that size bytes were added to b, the last batch. The caller holds mu.
func (q *queue) grow(b *batch, size int64) {
	b.size += size
	q.waiting += size
	q.wake()
	if q.waiting > q.batch/2 {
		q.hasten()
	}
}

// room returns the batch to which size bytes may be added. The caller holds mu.
func (q *queue) room(size int64) *batch {
	last := len(q.batches) - 1
	if last < 0 || q.batches[last].size+size > q.batch {
		return q.begin()
	}
	return q.batches[last]
}

// begin begins the next batch. The caller holds mu.
func (q *queue) begin() *batch {
	b := newBatch()
	b.commit.queue = q
	q.batches = append(q.batches, b)
	return b
}

// take removes the oldest batch, nil where there is none, and says whether
// there are more.
func (q *queue) take() (b *batch, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.batches) == 0 {
		return nil, false
	}
	b = q.batches[0]
	q.batches = slices.Delete(q.batches, 0, 1)
	return b, len(q.batches) > 0
}

// done says that n bytes of records do not wait any more.
func (q *queue) done(n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting -= n
}

// close refuses records from now on.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

func (q *queue) bytes() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}
