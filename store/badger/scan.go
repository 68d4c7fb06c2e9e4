package badger

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// Scan implements [store.Store]. It is a snapshot: what is committed after it
// began is left out. While a record is yielded no time is counted, and
// nothing is held that [Store.Close] would wait for.
func (s *Store) Scan(ctx context.Context, q *record.Query) iter.Seq2[*record.Record, error] {
	return func(yield func(*record.Record, error) bool) {
		if err := s.scan(ctx, *q, func(r *record.Record) bool { return yield(r, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

// newScan begins a scan for q, whose pin is set, of all segments, and of the journal
// as the view shows it.
func (s *Store) newScan(q *record.Query) (*scan, *store.View, error) {
	if s.closed.Load() {
		return nil, nil, store.ErrClosed
	}
	// The sequence first: the view has everything up to it. The view before the
	// segments: a row that moves meanwhile is in one of them, or in both.
	if now := s.journal.Sequence(); q.UpTo == 0 || q.UpTo > now {
		q.UpTo = now
	}
	c := &scan{store: s, pin: q.UpTo, plan: newPlan(q), needles: needlesOf(q)}
	q.UpTo = 0 // the pin is minded by wants, which knows of begin entries
	c.upper, c.bounded = q.Upper()
	c.lower = q.Lower()
	view := s.journal.View()
	for _, seg := range s.segments.list() {
		c.addSegment(seg)
	}
	return c, view, nil
}

func (s *Store) scan(ctx context.Context, q record.Query, yield func(*record.Record) bool) error {
	c, view, err := s.newScan(&q)
	if err != nil {
		return err
	}
	c.block = c.addRows
	endJournal := c.addJournal(view)
	defer func() {
		endJournal()
		c.stop()
	}()
	heap.Init(&c.sources)

	deadline := time.Now().Add(s.options.ScanTime)
	r := new(record.Record)
	for len(c.sources) > 0 {
		if s.closed.Load() {
			return store.ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if c.usedUp(deadline) {
			// Not where this scan began: whoever goes on from there gets nowhere.
			if at := c.at(); !c.bounded || at != c.upper {
				return &store.InterruptedError{At: at}
			}
		}
		row, err := c.next()
		if err != nil {
			return err
		}
		// A row that was seen already stands in a block as well. So does what is
		// newer: a segment may have got blocks since its place among the sources
		// was found, but with nothing that is not in the view, or above UpTo.
		if row == nil || !c.last.IsZero() && row.id.Compare(c.last) >= 0 {
			continue
		}
		c.last = row.id
		if err := row.decode(r); err != nil {
			if row.block != nil && s.passBlock(&row.block.blockReader, err) {
				continue
			}
			return err
		}
		if !q.Match(r) {
			continue
		}
		if q.Bodies || len(q.Words) > 0 {
			switch err := s.readBodies(row, r); {
			case errors.Is(err, errDropped):
				continue
			case err != nil:
				return err
			}
			if row.block == nil {
				c.spent += len(r.RequestBody.Content) + len(r.ResponseBody.Content)
			}
			if !q.MatchWords(r) {
				continue
			}
			if !q.Bodies {
				r.RequestBody.Content, r.ResponseBody.Content = nil, nil
			}
		}
		paused := time.Now()
		if !yield(r) {
			return nil
		}
		deadline = deadline.Add(time.Since(paused))
		r = new(record.Record) // that one is the caller's
	}
	return nil
}

// scan is the state of one scan: sources of rows, on top of the heap the one
// with the newest.
type scan struct {
	store   *Store
	pin     uint64
	plan    *plan
	needles []needles
	groups  map[groupKey]bitset // see unitsOf
	buffer  []byte              // for columns

	upper   record.ID // rows are below, if bounded
	bounded bool
	lower   record.ID // and not below this

	block   func(*blockReader) error // takes the next block of a segment
	sources sources
	opened  []source   // by the last step
	leased  []*segment // the one leased first in front
	looked  int        // rows so far, but for those that columns have dismissed
	spent   int        // bytes read so far
	last    record.ID  // of the row before; zero where there was none
}

// source is a part of the store that rows come out of, newest first.
type source interface {
	// top is an id that no row to come is above.
	top() record.ID
	// step does a little: it may come to a row, which stands until the next
	// step. more is false when there will be none.
	step(c *scan) (r *row, more bool, err error)
}

// row is one record on its way out of the store.
type row struct {
	id       record.ID
	sequence uint64
	meta     []byte
	journal  store.Row // where block is nil
	block    *blockSource
	bodies   place
}

func journalRow(r store.Row) row {
	return row{id: r.ID, sequence: r.Sequence, meta: r.Meta, journal: r}
}

// decode sets r to the row, without the contents of its bodies.
func (w *row) decode(r *record.Record) error {
	if err := r.SetMeta(w.id, w.meta); err != nil {
		return damaged(err)
	}
	r.Sequence = w.sequence
	if w.block != nil {
		r.Node, r.Boot = w.block.head.node, w.block.head.boot
	} else {
		r.Node, r.Boot = w.journal.Node(), w.journal.Boot()
	}
	return nil
}

// readBodies adds the contents of the bodies.
func (w *row) readBodies(r *record.Record) (err error) {
	var request, response []byte
	if w.block != nil {
		request, response, err = w.block.readBodies(&w.bodies)
	} else {
		request, response, err = w.journal.Bodies()
	}
	r.RequestBody.Content, r.ResponseBody.Content = append([]byte(nil), request...), append([]byte(nil), response...)
	return err
}

// next lets the source with the newest row go on.
func (c *scan) next() (*row, error) {
	row, more, err := c.sources[0].step(c)
	switch {
	case errors.Is(err, errDropped): // its records are kept no longer
		row, more = nil, false
	case err != nil:
		return nil, err
	}
	if more {
		heap.Fix(&c.sources, 0)
	} else {
		heap.Pop(&c.sources)
	}
	for _, s := range c.opened {
		heap.Push(&c.sources, s)
	}
	c.opened = c.opened[:0]
	if row != nil {
		c.looked++
	}
	return row, nil
}

// usedUp reports whether the budget is.
func (c *scan) usedUp(deadline time.Time) bool {
	o := &c.store.options
	return c.looked >= o.ScanRecords || c.spent >= o.ScanBytes || !time.Now().Before(deadline)
}

// at returns an id that all rows to come are below, and none of those before. The
// top may be above those: a segment may have got newer blocks, as above.
func (c *scan) at() record.ID {
	at := c.sources[0].top()
	for i := len(at) - 1; i >= 0; i-- { // the next one
		if at[i]++; at[i] != 0 {
			break
		}
	}
	if !c.last.IsZero() && at.Compare(c.last) > 0 {
		return c.last
	}
	return c.clamp(at)
}

// clamp lowers an id to the bound.
func (c *scan) clamp(id record.ID) record.ID {
	if c.bounded && id.Compare(c.upper) > 0 {
		return c.upper
	}
	return id
}

// overlaps reports whether records from oldest to newest can be asked for.
func (c *scan) overlaps(oldest, newest record.ID) bool {
	return newest.Compare(c.lower) >= 0 && (!c.bounded || oldest.Compare(c.upper) < 0)
}

// wants reports whether a row is worth decoding.
func (c *scan) wants(id record.ID, sequence uint64, meta []byte) bool {
	return store.VisibleAt(c.pin, sequence, meta) && (!c.bounded || id.Compare(c.upper) < 0) &&
		id.Compare(c.lower) >= 0 && c.mayMatch(meta)
}

// scanSegments is how many segments a scan keeps open for itself: those of two
// days. It moves back in time, and is done with the one that it opened first.
const scanSegments = 6

// lease keeps a segment open while the scan is likely to come back to it.
func (c *scan) lease(seg *segment) {
	if len(c.leased) == scanSegments {
		c.store.segments.unlease(c.leased[0])
		c.leased = c.leased[1:]
	}
	c.store.segments.lease(seg)
	c.leased = append(c.leased, seg)
}

func (c *scan) stop() {
	for _, seg := range c.leased {
		c.store.segments.unlease(seg)
	}
}

// needles are strings of which a record that matches has one: as they are,
// since metadata holds its strings plain.
type needles [][]byte

// needlesOf returns what must stand in the metadata of what q asks for. Most
// records are dismissed by that, at a fraction of the cost of decoding them.
func needlesOf(q *record.Query) (all []needles) {
	for _, values := range [][]string{q.Users, {q.RequestID}, {q.TraceID}, {q.TokenID}, {q.JobID}, {q.Object}, {string(q.Success)}, q.Sources, q.Methods} {
		if len(values) == 0 || slices.Contains(values, "") {
			continue
		}
		var n needles
		for _, v := range values {
			n = append(n, []byte(v))
		}
		all = append(all, n)
	}
	return all
}

// mayMatch reports whether metadata, of one record or of many, has what it
// must.
func (c *scan) mayMatch(meta []byte) bool {
next:
	for _, n := range c.needles {
		for _, needle := range n {
			if bytes.Contains(meta, needle) {
				continue next
			}
		}
		return false
	}
	return true
}

// sources are a heap, the newest on top.
type sources []source

func (s sources) Len() int           { return len(s) }
func (s sources) Less(i, j int) bool { a, b := s[i].top(), s[j].top(); return a.Compare(b) > 0 }
func (s sources) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *sources) Push(x any)        { *s = append(*s, x.(source)) }
func (s *sources) Pop() any {
	old := *s
	last := old[len(old)-1]
	*s = old[:len(old)-1]
	return last
}
