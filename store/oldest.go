package store

import "time"

// Oldest tells the journal of calls that it knows nothing of; see [Store.Oldest].
func (j *Journal) Oldest(t time.Time) {
	j.committer.floor.Store(t.UnixMicro())
	j.queue.wake()
}

// noteOldest notes in the calls file since when calls may be untold of: those that
// Oldest was told of, those that wait in the queue, and losses that are no gap record
// yet. A call goes from the first to one of the others, never back, and from there
// into the batch that the committer has just written; so none is missed in this
// order, and what was noted once holds for ever.
func (c *committer) noteOldest() {
	t := timeOf(c.floor.Load())
	if t.IsZero() {
		return
	}
	for _, other := range [...]time.Time{c.queue.oldest(), c.counters.oldest()} {
		if !other.IsZero() && other.Before(t) {
			t = other
		}
	}
	if t.After(c.calls.oldest()) { // one that is older has a begin entry
		c.calls.setOldest(t)
	}
}

// oldest returns when the first call began that waits, zero where none does.
func (q *queue) oldest() (t time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range q.batches {
		if !b.oldest.IsZero() && (t.IsZero() || b.oldest.Before(t)) {
			t = b.oldest
		}
	}
	return t
}

// oldest returns when the first call began that is lost and not yet part of a gap
// record, zero where there is none.
func (cs *counters) oldest() (t time.Time) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, c := range cs.lossy {
		for _, l := range c.losses {
			if t.IsZero() || l.first.Before(t) {
				t = l.first
			}
		}
	}
	return t
}
