package badger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// damage is what was found that cannot be read. Each loss is a gap record: told in
// every answer at once, and from its commit on by the journal.
type damage struct {
	log func(string, error)

	most int // how many losses are told one by one

	mu      sync.Mutex // guards what follows
	told    map[record.ID]*record.Record
	beyond  *record.Record              // of all others, nil where there are none
	waiting []*record.Record            // those of told that are not known to be stored
	away    map[*segment]*record.Record // segments that cannot be opened now
	why     map[*segment]error          // and why not
	wake    chan struct{}
}

func newDamage(log func(string, error)) *damage {
	return &damage{
		log: log, most: maxTold, wake: make(chan struct{}, 1),
		told: make(map[record.ID]*record.Record), away: make(map[*segment]*record.Record), why: make(map[*segment]error),
	}
}

// tell makes a gap of what is lost, and logs why, unless both was done before. What
// the disk did not give is told of in this run alone: it may give it another time.
func (d *damage) tell(gap *record.Record, what string, err error) {
	d.mu.Lock()
	_, known := d.told[gap.EventID]
	switch {
	case known:
	case len(d.told) < d.most:
		d.told[gap.EventID] = gap
		if !isOfDisk(err) {
			d.waiting = append(d.waiting, gap)
		}
	default:
		known = !d.widen(gap)
	}
	d.mu.Unlock()
	if known {
		return
	}
	d.log(what, err)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// widen makes the gap of what is beyond cover a loss, and reports whether it had not.
// The caller holds mu.
func (d *damage) widen(gap *record.Record) bool {
	start, end := gap.Timestamp, gap.EndTime
	if b := d.beyond; b != nil {
		if !start.Before(b.Timestamp) && !end.After(b.EndTime) {
			return false
		}
		if b.Timestamp.Before(start) {
			start = b.Timestamp
		}
		if b.EndTime.After(end) {
			end = b.EndTime
		}
	}
	d.beyond = store.DamageGap(start, end, record.Gap{CountUnknown: true}, "beyond")
	return true
}

// isOfDisk reports whether an error is that of an operation on the disk, and not
// about what the disk gave.
func isOfDisk(err error) bool {
	var no syscall.Errno
	return errors.As(err, &no)
}

// maxTold bounds the losses of one run that are told one by one: each is a block, a
// segment, or the bodies of a record in the journal. All others are one gap, from the
// first to the last of them, of a count that nobody knows. It is not stored: the next
// run finds out anew.
const maxTold = 10_000

// setAway notes that a segment cannot be opened now, nil that it can.
func (d *damage) setAway(seg *segment, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		delete(d.away, seg)
		delete(d.why, seg)
		return
	}
	if before, ok := d.why[seg]; (!ok || before.Error() != err.Error()) && !errors.Is(err, errNoRoom) {
		d.log("segment "+seg.name()+" cannot be opened now, the rest is served", err)
	}
	d.why[seg] = err
	gap := seg.gap(seg.bound.Load().Count, "away", seg.name())
	gap.Gap.Reason = reasonAway
	d.away[seg] = gap
}

// reasonAway is the reason of a gap that is not stored: the records are there, and
// cannot be read for the time being.
const reasonAway = "unavailable"

// health says which segments cannot be opened, or that there is more damage than is
// told one by one. Segments that wait for room are not ill, like packing that does.
func (d *damage) health() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.beyond != nil {
		return fmt.Errorf("more than %d blocks and segments are damaged: bring the store back from a backup, or go on without what is lost", d.most)
	}
	for seg, err := range d.why {
		if !errors.Is(err, errNoRoom) {
			return fmt.Errorf("segment %s cannot be opened: %w", seg.name(), err)
		}
	}
	return nil
}

// list returns all that is told.
func (d *damage) list() (gaps []*record.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, g := range d.told {
		gaps = append(gaps, clone(g))
	}
	for _, g := range d.away {
		gaps = append(gaps, clone(g))
	}
	if d.beyond != nil {
		gaps = append(gaps, clone(d.beyond))
	}
	return gaps
}

// clone copies a gap record for a caller who may change it.
func clone(r *record.Record) *record.Record {
	c, gap := *r, *r.Gap
	c.Gap = &gap
	return &c
}

// take takes what waits to be stored.
func (d *damage) take() []*record.Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := d.waiting
	d.waiting = nil
	return taken
}

// storeDamage stores what is told, but for what an earlier run has stored. Open
// starts it, and Close ends it by ending ctx; what it has not come to then is found
// again.
func (s *Store) storeDamage(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.damage.wake:
		}
		for _, gap := range s.damage.take() {
			if _, err := s.Get(ctx, gap.EventID); err == nil {
				continue
			}
			for s.addAndWait(ctx, gap) != nil {
				select {
				case <-ctx.Done():
					return
				case <-time.After(damageRetry):
				}
			}
		}
	}
}

// damageRetry is how long a gap waits that could not be stored.
const damageRetry = time.Second

func (s *Store) addAndWait(ctx context.Context, r *record.Record) error {
	c, err := s.journal.Add(r, nil)
	if err != nil {
		return err
	}
	return c.Wait(ctx)
}

// pass reports whether a reader goes on without the segment that it could not
// open: what is missing is told of.
func (s *Store) pass(err error) bool {
	return err != nil && !errors.Is(err, store.ErrClosed) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// passBlock reports whether a reader goes on behind what it could not read of a
// block, and tells what is missing.
func (s *Store) passBlock(b *blockReader, err error) bool {
	if !errors.Is(err, store.ErrCorrupt) || s.segments.isClosed() {
		return false
	}
	if b.passed || b.segment.isGone() { // all of it is told of
		return true
	}
	lost := s.assess(b)
	gap := store.DamageGap(b.block.oldest.Time(), b.block.newest.Time(), lost,
		"block", b.segment.name(), b.block.newest, b.block.first, lost.Count)
	what := "bodies of records"
	if lost.Count > 0 {
		what = fmt.Sprintf("%d records", lost.Count)
	}
	s.damage.tell(gap, what+" of a block cannot be read any more; the rest of the segment is served", err)
	b.passed = true
	return true
}

// assess finds how many records of a damaged block cannot be read. It is 0 where
// these are bodies alone.
func (s *Store) assess(damaged *blockReader) record.Gap {
	lost := record.Gap{Count: uint64(damaged.block.count)}
	b := &blockReader{segments: damaged.segments, segment: damaged.segment, block: damaged.block}
	if b.open() != nil {
		return lost
	}
	var raw []byte
	for i := range b.head.metadata {
		var err error
		if raw, err = b.readMetadata(i, raw); err != nil {
			continue
		}
		for p, err := range rowsOf(raw) {
			if err == nil && new(record.Record).SetMeta(p.id, p.meta) == nil && lost.Count > 0 {
				lost.Count--
			}
		}
	}
	return lost
}

// gap returns the gap record of count records of the segment, 0 where nobody knows
// how many there are.
func (s *segment) gap(count int, found ...any) *record.Record {
	m := s.bound.Load()
	start, end := s.span()
	g := record.Gap{Count: uint64(count), CountUnknown: count == 0}
	return store.DamageGap(start, end, g, append(found, m.First, m.Last, count)...)
}

// readBodies adds the contents of the bodies to the record of a row. Where damage is
// why they cannot be read it says so in the record, and tells what is missing.
func (s *Store) readBodies(w *row, r *record.Record) error {
	err := w.readBodies(r)
	switch {
	case err == nil:
		return nil
	case w.block != nil && s.passBlock(&w.block.blockReader, err):
	case w.block == nil && errors.Is(err, store.ErrCorrupt) && !s.segments.isClosed():
		s.tellBodies(w.id, err)
	default:
		return err
	}
	withhold(r)
	return nil
}

// tellBodies tells that the bodies of a record in the journal are lost.
func (s *Store) tellBodies(id record.ID, err error) {
	gap := store.DamageGap(id.Time(), id.Time(), record.Gap{}, "bodies", id)
	s.damage.tell(gap, "the bodies of a record in the journal cannot be read any more", err)
}

// withhold says in a record that its bodies are lost.
func withhold(r *record.Record) {
	for _, b := range []*record.Body{&r.RequestBody, &r.ResponseBody} {
		b.Content = nil
		if b.Kept > 0 {
			b.State, b.Reason, b.Kept = record.BodyWithheld, store.ReasonDamage, 0
		}
	}
}
