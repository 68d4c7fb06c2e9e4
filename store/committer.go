package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/auditgate/auditgate/record"
)

// How long the committer waits before it tries again to write what could not
// be written: twice as long each time, up to a bound.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = time.Second
)

// gapInterval is the least time between two gap records of the same source and
// reason, so that many losses are few records.
const gapInterval = time.Second

// committer writes batches to the journal, one after the other. Its goroutine
// is started by OpenJournal and ended by Close.
type committer struct {
	fileSize int64
	sync     bool
	now      func() time.Time
	log      func(string, error)
	queue    *queue
	keys     *Keyring
	counters *counters
	calls    *calls
	tail     *tail
	figures  *figures
	room     atomic.Int64 // what the disk has set aside behind the last frame; see file.allocated

	sealing chan chan error // requests to begin a new file
	sealed  chan struct{}   // told when a file was sealed
	closing chan struct{}   // closed when no more records come
	giveUp  chan struct{}   // closed when Close can wait no longer
	done    chan struct{}   // closed when the goroutine has ended
	err     error           // of the end; read after done

	// These are owned by the goroutine.
	file    *file  // that is written; the tail's active one
	next    uint64 // sequence of the next record
	frames  []byte // of one batch, to be finished
	ready   []byte // the same finished, where there is a key
	parts   []part // the same, in parts
	settled []byte
	changed []*Counter

	begun      time.Time // when the last commit began; see linger
	lastCommit time.Time
	floor      atomic.Int64 // what Oldest was told, in microseconds since 1970; 0 before
	gapsDue    time.Time    // when losses may become records again
	gapWake    *time.Timer  // wakes the goroutine then
}

// part is one frame of the batch that is being written: some rows, which stand
// in the batch from start to end, and in the frames at at.
type part struct{ rows, start, end, at, size int }

func (c *committer) run() {
	defer close(c.done)
	for more := false; ; {
		select {
		case <-c.queue.ready:
			if !more { // what waits already has waited for the commit before it
				c.linger()
			}
			more, _ = c.step() // who waits is told
		case request := <-c.sealing:
			request <- c.seal()
		case <-c.closing:
			c.err = c.end()
			return
		}
	}
}

// step commits the oldest batch, and with it the gap records that are due.
func (c *committer) step() (more bool, err error) {
	b, more := c.queue.take()
	if b == nil {
		b = newBatch()
	}
	size := b.size
	c.addGaps(b)
	c.figures.begin()
	c.calls.syncNames() // those of the batch were claimed before
	c.figures.end()
	err = c.commit(b)
	c.closeLate(b)
	if err == nil {
		c.noteOldest()
	}
	c.queue.done(size) // first: whoever waits for this commit may add the next record
	b.finish(err)
	if more {
		c.queue.wake()
	}
	return more, err
}

// addGaps adds gap records of what was lost, unless the last ones are too new.
func (c *committer) addGaps(b *batch) {
	now := c.now()
	if wait := c.gapsDue.Sub(now); wait > 0 {
		c.gapWake.Reset(wait)
		return
	}
	losses := c.counters.harvest()
	for _, l := range losses {
		b.addGap(newGap(l.call.source, l.first, l.last, record.Gap{Count: l.count, Reason: l.reason}), l.call)
	}
	if len(losses) > 0 {
		c.gapsDue = now.Add(gapInterval)
	}
}

// end commits what is left, makes records of the begin entries that stand, and a
// gap of the other calls still in flight, and closes the files.
func (c *committer) end() (err error) {
	since := c.calls.oldest()
	if since.IsZero() {
		since = c.lastCommit.Add(-announceTime)
	}
	c.gapWake.Stop()
	c.gapsDue = time.Time{}
	c.counters.close()
	c.queue.abandonAll()
	for more := true; more; {
		var failed error
		more, failed = c.step()
		err = errors.Join(err, failed)
	}
	if err == nil {
		b := newBatch()
		c.counters.each(func(call *Counter) {
			if begun := call.begun.Load(); begun > call.settled {
				n := begun - call.settled
				c.counters.count(ReasonShutdown, n)
				b.addGap(newGap(call.source, since, c.now(), record.Gap{Count: n, Reason: ReasonShutdown}), call)
			}
		})
		err = c.commit(b)
		b.finish(err)
	}
	if err == nil {
		err = errors.Join(c.file.trim(), c.file.f.Sync())
	}
	if err == nil { // otherwise the next start counts what is missing
		err = c.calls.close()
	}
	return errors.Join(err, c.tail.close())
}

// commit writes a batch and shows its rows. Where it cannot be written it tries
// again, as long as it takes, until Close gives up.
func (c *committer) commit(b *batch) error {
	c.resolve(b)
	if len(b.rows) == 0 {
		return nil
	}
	c.begun = time.Now()
	began := c.now()
	c.encode(b, began)
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		c.figures.begin()
		err := c.write()
		c.figures.end()
		if err == nil {
			break
		}
		err = fmt.Errorf("writing records to the journal: %w", err)
		c.report(err)
		if !c.pause(wait, err) {
			b.unsettle()
			return err
		}
	}
	c.report(nil)
	first := c.next
	c.show(b)
	c.calls.setSequence(c.next - 1)
	c.lastCommit = c.now()
	c.figures.add(c.next-first, c.lastCommit.Sub(began))
	return nil
}

// encode makes the frames of a batch.
func (c *committer) encode(b *batch, now time.Time) {
	if cap(c.frames) > spareRoom {
		c.frames, c.ready = nil, nil
	}
	c.frames, c.parts = c.frames[:0], c.parts[:0]
	sequence := c.next
	for i := 0; i < len(b.rows); {
		first, start, next := i, b.rows[i].start, sequence
		c.changed = c.changed[:0]
		for ; i < len(b.rows) && (i == first || b.end(i)-start <= frameSize); i++ {
			if !b.rows[i].begin {
				next++
			}
			if call := b.rows[i].call; call != nil {
				call.pending += b.rows[i].settles
				if !slices.Contains(c.changed, call) {
					c.changed = append(c.changed, call)
				}
			}
		}
		c.settled = c.settled[:0]
		for _, call := range c.changed {
			c.settled = appendSettled(c.settled, call.source, call.pending)
		}
		p := part{rows: i - first, start: start, end: b.end(i - 1), at: len(c.frames)}
		c.frames = appendFrame(c.frames, sequence, now, p.rows, c.settled, b.raw[p.start:p.end], c.keys != nil)
		p.size = len(c.frames) - p.at
		c.parts = append(c.parts, p)
		sequence = next
	}
}

// write writes the frames to the file, or to the next one where the file is
// full or broken.
func (c *committer) write() error {
	if c.file.broken || c.file.hasRecords() && c.file.end+int64(len(c.frames)) > c.file.limit {
		if err := c.turn(); err != nil {
			if c.file.broken {
				return err
			}
			c.log("going on with the old journal file", err)
			c.file.limit += c.fileSize / 8
		}
	}
	frames := c.file.finish(c.frames, c.ready[:0])
	if c.keys != nil {
		c.ready = frames
	}
	err := c.file.write(frames, c.sync)
	c.room.Store(c.file.room())
	return err
}

// seal begins the next file, unless this one has no records: begin entries alone
// would only be copied.
func (c *committer) seal() error {
	if !c.file.hasRecords() {
		return nil
	}
	return c.turn()
}

// turn begins the next file, unless this one is good and has no rows.
func (c *committer) turn() error {
	if !c.file.broken && !c.file.hasRows() {
		return nil
	}
	c.settled = c.settled[:0]
	c.counters.each(func(call *Counter) {
		c.settled = appendSettled(c.settled, call.source, call.settled)
	})
	h := c.file.header
	if h.first != c.next {
		h.skipped = 0
	}
	h.first, h.begun = c.next, c.now()
	next, err := createFile(filepath.Dir(c.file.path), c.file.number+1, h, c.fileSize, c.settled, c.keys, c.file.cache)
	if err != nil {
		return fmt.Errorf("beginning the next journal file: %w", err)
	}
	if err := c.file.trim(); err != nil {
		c.log("giving back the room behind the end of a journal file", err)
	}
	if c.file = next; c.tail.turn(next) {
		c.tellSealed()
	}
	return nil
}

// pause waits before the next attempt, and reports false where there is none.
func (c *committer) pause(wait time.Duration, err error) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return true
		case request := <-c.sealing:
			request <- err
		case <-c.giveUp:
			return false
		}
	}
}

// show makes the rows of a written batch part of the tail.
func (c *committer) show(b *batch) {
	frames := make([]frame, len(c.parts))
	run := make([]Row, 0, len(b.rows))
	var gaps []Row
	base := c.file.end - int64(len(c.frames))
	for i, p := range c.parts {
		frames[i] = frame{c.file, base + int64(p.at), p.size}
		run, gaps, c.next = frames[i].rows(run, gaps, c.next, b.raw[p.start:p.end])
	}
	for _, a := range b.announced {
		if a.copied { // or those of one file would fill the next, for ever
			c.file.limit += int64(len(a.raw))
		}
	}
	slices.SortFunc(run, compareRows)
	for _, q := range b.rows {
		if q.call != nil {
			q.call.settled = q.call.pending
		}
	}
	c.tail.add(run, gaps, c.next-1)
}

func (c *committer) tellSealed() {
	select {
	case c.sealed <- struct{}{}:
	default:
	}
}

// report keeps why the journal cannot be written, nil when it can, and logs
// the change.
func (c *committer) report(err error) {
	switch before := c.figures.setFailure(err); {
	case before == nil && err != nil:
		c.log("records wait", err)
	case before != nil && err == nil:
		c.log("records can be written again", nil)
	}
}
