package badger

import (
	"context"
	"errors"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, id record.ID) (*record.Record, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	// The journal before the segments: a row may move meanwhile.
	if row, ok := s.journal.View().Find(id); ok {
		r, err := row.Record(true)
		if errors.Is(err, store.ErrCorrupt) && !s.segments.isClosed() {
			if bare, unread := row.Record(false); unread == nil {
				s.tellBodies(id, err)
				withhold(bare)
				return bare, nil
			}
		}
		return r, err
	}
	return s.findPacked(ctx, id)
}

// findPacked looks for a record in all segments.
func (s *Store) findPacked(ctx context.Context, id record.ID) (*record.Record, error) {
	unread := store.ErrNotFound // or why it may be there all the same
	for _, seg := range s.segments.list() {
		bound := seg.bound.Load()
		if id.Compare(bound.Oldest) < 0 || id.Compare(bound.Newest) > 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		switch r, err := s.getPacked(seg, id); {
		case r != nil:
			return r, nil
		case errors.Is(err, errDropped):
		case s.pass(err):
			unread = err
		case err != nil:
			return nil, err
		}
	}
	return nil, unread
}

// getPacked looks for a record in a segment; it returns nil where it is not.
func (s *Store) getPacked(seg *segment, id record.ID) (*record.Record, error) {
	var blocks []block
	if err := s.segments.use(seg, func(d *database) error {
		blocks = blocksFrom(*d.blocks.Load(), id)
		return nil
	}); err != nil {
		return nil, err
	}
	for i := range blocks {
		if blocks[i].newest.Compare(id) < 0 {
			break
		}
		if blocks[i].oldest.Compare(id) > 0 {
			continue
		}
		b := &blockSource{blockReader: blockReader{segments: s.segments, segment: seg, block: blocks[i]}}
		r, err := b.get(id, s.passBodies)
		if err != nil {
			s.passBlock(&b.blockReader, err)
		}
		if r != nil || err != nil {
			return r, err
		}
	}
	return nil, nil
}

// get returns a record of the block with its bodies, or without those that pass lets it
// go without; nil where it is not there.
func (b *blockSource) get(id record.ID, pass func(*row, *record.Record, error) bool) (*record.Record, error) {
	if err := b.open(); err != nil {
		return nil, err
	}
	raw, err := b.readMetadata(b.find(id), nil)
	if err != nil {
		return nil, err
	}
	for p, err := range rowsOf(raw) {
		if err != nil {
			return nil, b.wrap(err)
		}
		if p.id != id {
			continue
		}
		r := new(record.Record)
		w := &row{id: p.id, sequence: p.sequence, meta: p.meta, block: b, bodies: p.bodies}
		if err := w.decode(r); err != nil {
			return nil, err
		}
		if err := w.readBodies(r); err != nil && !pass(w, r, err) {
			return nil, err
		}
		return r, nil
	}
	return nil, nil
}
