package badger

import (
	"container/heap"
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// Summarize implements [store.Store]. What columns can tell of blocks is counted
// from them alone. Where the query asks for more, for words or ids, so little is
// left that it is read.
func (s *Store) Summarize(ctx context.Context, q *record.Query, t *store.Tally) error {
	if newPlan(q).exact {
		return s.summarize(ctx, *q, t)
	}
	all := *q
	all.Bodies = false
	for r, err := range s.Scan(ctx, &all) {
		if err != nil {
			return err
		}
		t.Add(r)
	}
	return nil
}

func (s *Store) summarize(ctx context.Context, q record.Query, t *store.Tally) error {
	c, view, err := s.newScan(&q)
	if err != nil {
		return err
	}
	m := &summary{scan: c, query: q, tally: t, view: view}
	defer m.stop()
	m.block = m.addBlock
	m.readJournal()
	heap.Init(&c.sources)
	deadline := time.Now().Add(s.options.ScanTime)
	for {
		// What is to come is not newer than that: everything newer can be counted.
		frontier := int64(math.MinInt64)
		if len(c.sources) > 0 {
			frontier = c.sources[0].top().Time().UnixMicro()
		}
		if err := m.countDownTo(frontier); err != nil {
			return err
		}
		if len(c.sources) == 0 {
			m.tellFacets()
			return nil
		}
		if s.closed.Load() {
			return store.ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if c.usedUp(deadline) {
			// As in a scan: not where this one began.
			if at := record.FirstID(time.UnixMicro(frontier + 1)); !c.bounded || at.Compare(c.upper) < 0 {
				m.tellFacets()
				return &store.InterruptedError{At: at}
			}
		}
		if _, err := c.next(); err != nil {
			return err
		}
	}
}

// summary is the state of one. Blocks overlap, so each is counted bit by bit, down
// to the newest record of the next: then what was counted has an end.
type summary struct {
	*scan
	query record.Query
	tally *store.Tally

	// What the journal has. A record may stand in it and in a block as well; in
	// blocks where that can be, records are looked up there one by one.
	view    *store.View
	pull    func() (store.Row, bool)
	end     func()
	ahead   *store.Row
	first   uint64      // the lowest sequence in it
	entries []record.ID // begin entries in it

	counters []counter
}

// counter is a block on its way into the tally.
type counter interface {
	// countDownTo counts the records that are newer than that, in microseconds of
	// Unix time, and reports whether there are more.
	countDownTo(micros int64, m *summary) (more bool)
	// tellFacets tells the tally what is counted and not told yet.
	tellFacets(t *store.Tally)
}

func (m *summary) stop() {
	if m.end != nil {
		m.end()
	}
	m.scan.stop()
}

func (m *summary) readJournal() {
	m.first = math.MaxUint64
	rows := m.view.Scan(m.upper, m.bounded, m.lower)
	for row := range rows {
		if row.Sequence == 0 {
			m.entries = append(m.entries, row.ID)
		} else {
			m.first = min(m.first, row.Sequence)
		}
	}
	m.pull, m.end = iter.Pull(rows)
	m.advance()
}

func (m *summary) advance() {
	m.ahead = nil
	if row, ok := m.pull(); ok {
		m.ahead = &row
	}
}

func (m *summary) countDownTo(micros int64) error {
	var r record.Record
	for ; m.ahead != nil && m.ahead.ID.Time().UnixMicro() > micros; m.advance() {
		m.looked++
		if !m.wants(m.ahead.ID, m.ahead.Sequence, m.ahead.Meta) {
			continue
		}
		if err := r.SetMeta(m.ahead.ID, m.ahead.Meta); err != nil {
			return damaged(err)
		}
		if m.query.Match(&r) {
			m.tally.Add(&r)
		}
	}
	m.counters = slices.DeleteFunc(m.counters, func(k counter) bool {
		more := k.countDownTo(micros, m)
		if !more {
			k.tellFacets(m.tally)
		}
		return !more
	})
	return nil
}

func (m *summary) tellFacets() {
	for _, k := range m.counters {
		k.tellFacets(m.tally)
	}
}

// addBlock takes the next block, if there is something to count in it. Where its
// columns are damaged its records are counted.
func (m *summary) addBlock(b *blockReader) error {
	err := m.addColumns(b)
	if errors.Is(err, store.ErrCorrupt) {
		err = m.addRecords(b)
	}
	return err
}

func (m *summary) addColumns(b *blockReader) error {
	if len(m.plan.clauses) > 0 && b.block.filters.pages > 0 {
		units, err := m.unitsOf(b)
		if err != nil {
			return err
		}
		if units.count(b.block.unit, b.block.unit+b.block.units) == 0 {
			return nil
		}
	}
	if !b.hasColumns() || m.mayBeInJournal(&b.block) {
		return m.addRecords(b)
	}
	cols := &blockColumns{blockReader: b, buffer: &m.buffer}
	rows, err := m.rowsOf(cols, b.conditions)
	if err != nil || rows.empty() {
		return err
	}
	places, err := cols.places()
	if err != nil {
		return err
	}
	if !m.query.Before.IsZero() && slices.Contains(places.micros, m.query.Before.Time().UnixMicro()) {
		return m.addRecords(b) // the rest of the id decides
	}
	k := &columnCounter{places: places, rows: rows}
	if k.success, err = cols.column(columnSuccess); err != nil {
		return err
	}
	for _, f := range m.tally.Grouping().Facets {
		number := facetColumns[f]
		col, err := cols.column(number)
		if err != nil {
			return err
		}
		k.facets = append(k.facets, facetCounter{f, number, col, make([]uint64, len(col.values))})
	}
	m.counters = append(m.counters, k)
	return nil
}

// mayBeInJournal reports whether a record of the block can stand in the journal, or
// a begin entry that it supersedes.
func (m *summary) mayBeInJournal(b *block) bool {
	return b.last >= m.first || slices.ContainsFunc(m.entries, func(id record.ID) bool {
		return id.Compare(b.oldest) >= 0 && id.Compare(b.newest) <= 0
	})
}

// facetColumns are the columns that facets count the values of.
var facetColumns = map[store.Facet]int{
	store.FacetSource: columnSource, store.FacetProject: columnProject, store.FacetAction: columnAction,
	store.FacetMethod: columnMethod, store.FacetStatus: columnStatus, store.FacetSuccess: columnSuccess,
	store.FacetOutcome: columnOutcome, store.FacetUser: columnUser, store.FacetUserIP: columnAddress,
	store.FacetObjectType: columnObjectType,
}

// columnCounter counts the records of a block by its columns.
type columnCounter struct {
	*places
	rows    bitset // that meet the conditions
	next    int    // the first that is not counted
	success *column
	facets  []facetCounter
}

type facetCounter struct {
	facet  store.Facet
	number int // of the column
	*column
	counts []uint64 // of each of its values
}

func (k *columnCounter) countDownTo(micros int64, m *summary) (more bool) {
	for ; k.next < len(k.micros); k.next++ {
		at := k.micros[k.next]
		if at <= micros {
			return true
		}
		if when := time.UnixMicro(at); k.rows.has(k.next) && m.inRange(when) && store.Visible(m.pin, k.sequences[k.next], k.announced[k.next]) {
			m.tally.AddTime(when, k.success.values[k.success.rows[k.next]] == string(record.SuccessNo))
			for i := range k.facets {
				k.facets[i].counts[k.facets[i].rows[k.next]]++
			}
		}
	}
	return false
}

// inRange reports whether the query asks for records of that time. Those of the
// same time as Before are judged elsewhere.
func (m *summary) inRange(when time.Time) bool {
	q := &m.query
	return (q.From.IsZero() || !when.Before(q.From)) && (q.To.IsZero() || when.Before(q.To)) &&
		(q.Before.IsZero() || when.Before(q.Before.Time()))
}

func (k *columnCounter) tellFacets(t *store.Tally) {
	var r record.Record
	for i := range k.facets {
		f := &k.facets[i]
		for code, n := range f.counts {
			if n > 0 {
				setColumn(&r, f.number, f.values[code])
				t.AddValue(i, store.FacetValue(f.facet, &r), n)
			}
		}
	}
}

// addRecords takes a block whose records must be looked at themselves.
func (m *summary) addRecords(b *blockReader) error {
	pass := func(err error) error { // what is damaged is told, and left out
		if m.store.passBlock(b, err) {
			return nil
		}
		return err
	}
	if err := b.open(); err != nil {
		return pass(err)
	}
	k := new(recordCounter)
	for number := range b.head.metadata {
		raw, err := b.readMetadata(number, m.buffer)
		if err != nil {
			if err = pass(err); err != nil {
				return err
			}
			continue
		}
		m.buffer = raw
		for p, err := range rowsOf(raw) {
			if err != nil { // what stands behind it in the sub-block goes with it
				if err = pass(b.wrap(err)); err != nil {
					return err
				}
				break
			}
			m.looked++
			if !m.wants(p.id, p.sequence, p.meta) {
				continue
			}
			if _, double := m.view.Find(p.id); double {
				continue
			}
			r := new(record.Record)
			if err := r.SetMeta(p.id, p.meta); err != nil {
				if err = pass(b.wrap(damaged(err))); err != nil {
					return err
				}
				continue
			}
			if m.query.Match(r) {
				r.RequestHeaders, r.ResponseHeaders, r.RequestTrailers, r.ResponseTrailers = nil, nil, nil, nil
				k.records = append(k.records, r)
			}
		}
	}
	if len(k.records) > 0 {
		m.counters = append(m.counters, k)
	}
	return nil
}

// recordCounter counts records one by one.
type recordCounter struct{ records []*record.Record }

func (k *recordCounter) countDownTo(micros int64, m *summary) (more bool) {
	for len(k.records) > 0 && k.records[0].Timestamp.UnixMicro() > micros {
		m.tally.Add(k.records[0])
		k.records = k.records[1:]
	}
	return len(k.records) > 0
}

func (k *recordCounter) tellFacets(*store.Tally) {}
