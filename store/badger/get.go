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
	if r, ok := s.journal.View().Find(id); ok {
		w := journalRow(r)
		return s.whole(&w)
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
		var r *record.Record
		w, err := b.row(id)
		if w != nil {
			r, err = s.whole(w)
		}
		if err != nil {
			s.passBlock(&b.blockReader, err)
		}
		if r != nil || err != nil {
			return r, err
		}
	}
	return nil, nil
}

// row returns the row of a record of the block; nil where it is not there.
func (b *blockSource) row(id record.ID) (*row, error) {
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
		if p.id == id {
			return &row{id: p.id, sequence: p.sequence, meta: p.meta, block: b, bodies: p.bodies}, nil
		}
	}
	return nil, nil
}

// whole returns the record of a row with its bodies, or saying that they are lost.
func (s *Store) whole(w *row) (*record.Record, error) {
	r := new(record.Record)
	if err := w.decode(r); err != nil {
		return nil, err
	}
	if err := s.readBodies(w, r); err != nil {
		return nil, err
	}
	return r, nil
}
