package badger

import (
	"iter"
	"sort"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// journalSource yields the rows of a view of the journal.
type journalSource struct {
	now, ahead row
	pull       func() (store.Row, bool)
}

// addJournal returns a function that ends the reading of v.
func (c *scan) addJournal(v *store.View) (end func()) {
	s := new(journalSource)
	s.pull, end = iter.Pull(v.Scan(c.upper, c.bounded, c.lower))
	if s.advance(c) {
		c.sources = append(c.sources, s)
	}
	return end
}

func (s *journalSource) top() record.ID { return s.ahead.id }

func (s *journalSource) step(c *scan) (r *row, more bool, err error) {
	s.now = s.ahead
	return &s.now, s.advance(c), nil
}

// advance comes to the next row that is worth decoding.
func (s *journalSource) advance(c *scan) bool {
	for {
		r, ok := s.pull()
		if !ok {
			return false
		}
		if c.wants(r.ID, r.Sequence, r.Meta) {
			s.ahead = journalRow(r)
			return true
		}
		c.looked++
	}
}

// segmentSource yields no rows itself, but the blocks of a segment, each once
// the scan comes to its newest record.
type segmentSource struct {
	segment    *segment
	conditions []condition // that its records may not meet
	next       record.ID
	blocks     []block // those that are left; nil until the segment was opened
}

func (c *scan) addSegment(seg *segment) {
	bound := seg.bound.Load()
	if !c.overlaps(bound.Oldest, bound.Newest) {
		return
	}
	if conditions, none := bound.narrow(c.plan.conditions); !none {
		c.sources = append(c.sources, &segmentSource{segment: seg, conditions: conditions, next: c.clamp(bound.Newest)})
	}
}

func (s *segmentSource) top() record.ID { return s.next }

func (s *segmentSource) step(c *scan) (_ *row, more bool, err error) {
	if s.blocks == nil {
		c.lease(s.segment)
		if err := c.store.segments.use(s.segment, func(d *database) error {
			s.blocks = *d.blocks.Load()
			return nil
		}); err != nil {
			if c.store.pass(err) {
				err = nil
			}
			return nil, false, err
		}
		if c.bounded {
			s.blocks = blocksFrom(s.blocks, c.upper)
		}
	} else {
		b := &blockReader{
			segments: c.store.segments, segment: s.segment, conditions: s.conditions, block: s.blocks[0], spent: &c.spent,
		}
		s.blocks = s.blocks[1:]
		if err := c.block(b); err != nil {
			return nil, false, err
		}
	}
	for len(s.blocks) > 0 && s.blocks[0].newest.Compare(c.lower) >= 0 {
		if b := &s.blocks[0]; c.overlaps(b.oldest, b.newest) {
			s.next = c.clamp(b.newest)
			return nil, true, nil
		}
		s.blocks = s.blocks[1:]
	}
	return nil, false, nil
}

// blocksFrom leaves out, of blocks in the order of their keys, those that are
// too new to have anything below id, or id itself.
func blocksFrom(blocks []block, id record.ID) []block {
	newest := id.Time().Add(blockSpan)
	return blocks[sort.Search(len(blocks), func(i int) bool { return !blocks[i].newest.Time().After(newest) }):]
}

// addRows takes a block, if there is something to read in it.
func (c *scan) addRows(b *blockReader) error {
	n, none, err := c.narrow(b)
	if err == nil && !none {
		c.opened = append(c.opened, &blockSource{blockReader: *b, narrowed: n, next: c.clamp(b.block.newest)})
	}
	return err
}

// blockSource yields the rows of one block.
type blockSource struct {
	blockReader
	narrowed
	next  record.ID
	sub   int // the sub-block of metadata to read next
	first int // the number of its first record in the block
	raw   []byte
	left  []row // of the one read last
}

func (b *blockSource) top() record.ID { return b.next }

func (b *blockSource) step(c *scan) (r *row, more bool, err error) {
	if len(b.left) > 0 {
		r, b.left = &b.left[0], b.left[1:]
	} else if err := b.read(c); err != nil {
		if !c.store.passBlock(&b.blockReader, err) {
			return nil, false, err
		}
		if b.head == nil {
			return nil, false, nil
		} // rows before one that is damaged are left
	}
	if len(b.left) > 0 {
		b.next = b.left[0].id
		return r, true, nil
	}
	for b.sub < len(b.head.metadata) && !b.wantsSub() {
		b.pass()
	}
	if b.sub < len(b.head.metadata) {
		b.next = c.clamp(b.head.metadata[b.sub].newest)
		return r, b.next.Compare(c.lower) >= 0, nil
	}
	return r, false, nil
}

// wantsSub reports whether the next sub-block of metadata can have what is asked for.
func (b *blockSource) wantsSub() bool {
	n := b.head.metadata[b.sub].records
	return b.units.has(b.sub) && b.rows.count(b.first, b.first+n) > 0 || n == 0
}

// pass goes on to the sub-block after the next.
func (b *blockSource) pass() {
	b.first += b.head.metadata[b.sub].records
	b.sub++
}

// read reads the next sub-block of metadata, and of its rows those that are
// worth decoding. The first time it looks whether that is worth reading, for
// what comes later step has looked.
func (b *blockSource) read(c *scan) (err error) {
	if b.head == nil {
		if err := b.open(); err != nil {
			return err
		}
		if c.bounded {
			for at := b.find(c.upper); b.sub < at; {
				b.pass()
			}
		}
		if !b.wantsSub() {
			b.pass()
			return nil
		}
	}
	b.raw, err = b.readMetadata(b.sub, b.raw)
	first := b.first
	b.pass()
	if err != nil {
		return err
	}
	if b.units == nil && b.rows == nil && !c.mayMatch(b.raw) {
		c.looked += b.head.count / len(b.head.metadata) // about
		return nil
	}
	return b.parse(c, first)
}

// parse finds the rows of a sub-block that are worth decoding. first is the number
// of its first record in the block.
func (b *blockSource) parse(c *scan, first int) error {
	b.left = b.left[:0]
	i := first
	for p, err := range rowsOf(b.raw) {
		switch {
		case err != nil:
			return b.wrap(err)
		case !b.rows.has(i):
		case c.wants(p.id, p.sequence, p.meta):
			b.left = append(b.left, row{id: p.id, sequence: p.sequence, meta: p.meta, block: b, bodies: p.bodies})
		default:
			c.looked++
		}
		i++
	}
	return nil
}
