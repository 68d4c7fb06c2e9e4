package badger

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// Gaps implements [store.Store].
func (s *Store) Gaps(ctx context.Context, from, to time.Time, limit int) ([]*record.Record, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	if limit <= 0 {
		return nil, nil
	}
	again := false
	g := &gaps{from: from, to: to, limit: limit, healed: make(map[record.ID]bool)}
	// Segments first: what is dropped meanwhile is in memory by then.
	for _, id := range slices.Concat(s.segments.healed(), s.memory.get().Healed) {
		g.healed[id] = true
	}
	for _, row := range s.journal.View().Gaps() {
		r, err := row.Record(false)
		if err != nil {
			return nil, err
		}
		g.add(r)
	}
	for _, r := range s.damage.list() {
		g.add(r)
	}
	g.cut()
	for _, seg := range s.segments.list() {
		bound := seg.bound.Load()
		if !g.touches(bound.Oldest, bound.GapsUntil) {
			continue
		}
		var blocks []block
		if err := s.segments.use(seg, func(d *database) error {
			blocks = *d.blocks.Load()
			return nil
		}); err != nil {
			if !s.pass(err) {
				return nil, err
			}
			again = true
			continue
		}
		for i := len(blocks) - 1; i >= 0; i-- { // oldest first: then the limit soon spares the others
			if !g.touches(blocks[i].oldest, blocks[i].gapsUntil) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			b := &blockSource{blockReader: blockReader{segments: s.segments, segment: seg, block: blocks[i]}}
			if err := b.gaps(g); err != nil {
				if !s.passBlock(&b.blockReader, err) {
					return nil, err
				}
				again = true
			}
			g.cut()
		}
	}
	if again { // what was found on the way
		for _, r := range s.damage.list() {
			g.add(r)
		}
		g.cut()
	}
	return g.found, nil
}

// gapEnd returns when the stretch of a gap ends.
func gapEnd(r *record.Record) time.Time {
	if r.EndTime.IsZero() { // a moment
		return r.Timestamp
	}
	return r.EndTime
}

// gaps are those found so far.
type gaps struct {
	from, to time.Time
	limit    int
	healed   map[record.ID]bool // which are none any more
	found    []*record.Record   // oldest first, after cut
}

// touches reports whether gaps that begin at oldest or later, the last of which
// ends at until, can be asked for. until is zero where there are none.
func (g *gaps) touches(oldest record.ID, until time.Time) bool {
	return !until.IsZero() && !until.Before(g.from) && (g.to.IsZero() || oldest.Time().Before(g.to)) &&
		(len(g.found) < g.limit || oldest.Compare(g.found[len(g.found)-1].EventID) < 0)
}

func (g *gaps) add(r *record.Record) {
	if r.Gap != nil && !g.healed[r.EventID] && !gapEnd(r).Before(g.from) && (g.to.IsZero() || r.Timestamp.Before(g.to)) {
		g.found = append(g.found, r)
	}
}

// cut puts what was found in order and leaves out what is too much.
func (g *gaps) cut() {
	slices.SortFunc(g.found, func(a, b *record.Record) int { return a.EventID.Compare(b.EventID) })
	g.found = slices.CompactFunc(g.found, func(a, b *record.Record) bool { return a.EventID == b.EventID })
	g.found = g.found[:min(len(g.found), g.limit)]
}

// gaps adds the gap records of the block.
func (b *blockSource) gaps(g *gaps) error {
	if err := b.open(); err != nil {
		return err
	}
	var raw []byte
	for i := range b.head.metadata {
		var err error
		if raw, err = b.readMetadata(i, raw); err != nil {
			return err
		}
		for p, err := range rowsOf(raw) {
			if err != nil {
				return b.wrap(err)
			}
			if !bytes.Contains(p.meta, []byte(record.OutcomeGap)) {
				continue
			}
			r := new(record.Record)
			if err := (&row{id: p.id, sequence: p.sequence, meta: p.meta, block: b}).decode(r); err != nil {
				return err
			}
			g.add(r)
		}
	}
	return nil
}
