package store

import (
	"context"
	"fmt"
	"time"

	"github.com/auditgate/auditgate/record"
)

// The bounds of the begin entries that stand without a record. Past them Add
// refuses more with [ErrFull]: such a call is seen when it has ended.
const (
	// MaxEntries is how many there may be.
	MaxEntries = 65_536
	// MaxEntryBytes is how many bytes they may have together.
	MaxEntryBytes = 64 << 20
)

// announceTime is how long a call may have gone on before its begin entry is
// added, where none is refused. Calls that are counted and have neither entry nor
// record are not older, as far as is known.
const announceTime = 2 * time.Second

// entry is a begin entry that stands without a record, as the queue knows it.
type entry struct {
	announced uint64 // see record.AppendAnnounced
	size      int64
	call      *Counter
	commit    *Commit // that it is stored with
	promise   int64   // bytes set aside for the record; 0 where it is no receipt
}

// announcement is a begin entry in a batch. It is no row yet: its record may
// have come first.
type announcement struct {
	id     record.ID
	raw    []byte // as in a frame
	copied bool   // from a file that is to go
}

// abandoned is a call in a batch whose begin entry is to become its record.
type abandoned struct {
	id   record.ID
	call *Counter
}

// announce adds a begin entry to the queue, whose metadata is meta, unless there
// is one of that id. The caller holds mu.
func (q *queue) announce(r *record.Record, meta []byte, call *Counter) (*Commit, error) {
	if e, known := q.entries[r.EventID]; known {
		return e.commit, nil
	}
	next := q.sequence.Load() + 1
	raw := appendRecord(nil, r, next, meta)
	size := int64(len(raw))
	if len(q.entries) == MaxEntries || q.entryBytes+size > MaxEntryBytes {
		return nil, ErrFull
	}
	b := q.room(size)
	q.entries[r.EventID] = entry{announced: next, size: size, call: call, commit: b.commit}
	q.entryBytes += size
	q.addEntry(b, announcement{id: r.EventID, raw: raw})
	return b.commit, nil
}

// carry adds the copy of a begin entry, raw as in a frame. It is not refused for
// want of room.
func (q *queue) carry(id record.ID, raw []byte) (*Commit, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, ErrClosed
	}
	b := q.room(int64(len(raw)))
	q.addEntry(b, announcement{id: id, raw: raw, copied: true})
	return b.commit, nil
}

func (q *queue) addEntry(b *batch, a announcement) {
	b.announced = append(b.announced, a)
	b.since(a.id)
	q.grow(b, int64(len(a.raw)))
}

// closeEntry takes the entry of id off those that stand without a record, and returns
// it. The caller holds mu.
func (q *queue) closeEntry(id record.ID) (e entry, ok bool) {
	if e, ok = q.entries[id]; ok {
		delete(q.entries, id)
		q.entryBytes -= e.size
		q.promised -= e.promise
	}
	return e, ok
}

// abandon lets the begin entry of id become its record, and reports whether
// there was one. Once the queue is closed, abandonAll does that.
func (q *queue) abandon(id record.ID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		_, ok := q.entries[id]
		return ok
	}
	e, ok := q.closeEntry(id)
	if ok {
		q.addAbandoned(id, e)
	}
	return ok
}

// abandonAll does for all entries what abandon does for one.
func (q *queue) abandonAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for id := range q.entries {
		e, _ := q.closeEntry(id)
		q.addAbandoned(id, e)
	}
}

// addAbandoned adds to a batch that the call is abandoned: to a later one than the
// entry is in, so that this stands in the journal before. The caller holds mu.
func (q *queue) addAbandoned(id record.ID, e entry) {
	b := q.room(e.size)
	if b.commit == e.commit {
		b = q.begin()
	}
	b.abandoned = append(b.abandoned, abandoned{id, e.call})
	q.grow(b, e.size)
}

// resolve makes rows of what the batch has of begin entries, all batches before
// it being stored.
func (c *committer) resolve(b *batch) {
	view := c.tail.view.Load()
	for _, a := range b.announced {
		if row, ok := view.Find(a.id); ok && row.Sequence != 0 {
			continue // its record came before it
		}
		b.rows = append(b.rows, queued{start: len(b.raw), begin: true})
		b.raw = append(b.raw, a.raw...)
	}
	for _, a := range b.abandoned {
		if row, ok := view.Find(a.id); ok && row.Sequence == 0 {
			b.addUnfinished(row, a.call, c.log)
		}
	}
}

// closeLate closes the entries of a committed batch whose record came before them,
// or with them: nothing else would.
func (c *committer) closeLate(b *batch) {
	view := c.tail.view.Load()
	for _, a := range b.announced {
		if row, ok := view.Find(a.id); ok && row.Sequence != 0 {
			c.queue.mu.Lock()
			c.queue.closeEntry(a.id)
			c.queue.mu.Unlock()
		}
	}
}

// addUnfinished appends the record that a begin entry becomes when nothing more
// is heard of its call, which it settles.
func (b *batch) addUnfinished(entry Row, call *Counter, log func(string, error)) {
	r, err := entry.Record(true)
	if err != nil { // it stands for a call all the same
		log("reading a begin entry", err)
		if r, err = entry.Record(false); err != nil {
			r = &record.Record{EventID: entry.ID, Timestamp: entry.ID.Time()}
		}
	}
	r.Outcome, r.Success, r.EndTime = record.OutcomeUnfinished, record.SuccessUnknown, time.Time{}
	b.add(r, record.Announced(entry.Meta), r.AppendMeta(nil), call, 1)
}

// carry copies the begin entries of a sealed file that still stand without a
// record to the newest file. It does so once.
func (j *Journal) carry(ctx context.Context, s *Sealed) error {
	var last *Commit
	var unwritten int64
	for _, row := range s.entries {
		if now, _ := j.View().Find(row.ID); now.Sequence != 0 {
			continue
		}
		request, response, err := row.Bodies()
		if err != nil { // then it goes on without
			j.committer.log("reading the bodies of a begin entry", err)
		}
		raw := appendRow(nil, flagBegin, row.ID, nil, row.Meta, request, response)
		if last, err = j.queue.carry(row.ID, raw); err != nil {
			return fmt.Errorf("copying begin entry %s: %w", row.ID, err)
		}
		if unwritten += int64(len(raw)); unwritten < j.queue.batch {
			continue
		}
		if err := last.Wait(ctx); err != nil { // not all of them in the queue at once
			return fmt.Errorf("copying begin entries: %w", err)
		}
		last, unwritten = nil, 0
	}
	if last != nil {
		if err := last.Wait(ctx); err != nil {
			return fmt.Errorf("copying begin entries: %w", err)
		}
	}
	j.tail.dropEntries(s)
	return nil
}
