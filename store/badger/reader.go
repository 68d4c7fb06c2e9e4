package badger

import (
	"bytes"
	"errors"
	"fmt"
	"sort"

	dgraph "github.com/dgraph-io/badger/v4"

	"github.com/auditgate/auditgate/record"
)

// blockReader reads parts of one block. Between reads it holds nothing open.
type blockReader struct {
	segments *segments
	segment  *segment
	block    block
	// conditions are those that a scan asks of it: the segment tells of the others.
	conditions []condition
	head       *head // set by open
	spent      *int  // is told of the bytes that are read; nil: nobody asks
	passed     bool  // it is damaged, and what is lost was told of

	bodies []byte // the sub-block of bodies read last
	number int    // its number plus one
}

func (b *blockReader) view(do func(*txn) error) error {
	return b.wrap(b.segments.use(b.segment, func(d *database) error { return d.View(do) }))
}

// wrap says where an error happened.
func (b *blockReader) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("reading block %s of segment %s: %w", b.block.newest, b.segment.name(), err)
}

func (b *blockReader) spend(bytes int) {
	if b.spent != nil {
		*b.spent += bytes
	}
}

// open reads the head, unless it was read lately.
func (b *blockReader) open() error {
	key := headKey{b.segment, b.block.newest, b.block.first}
	if b.head = b.segments.heads.get(key); b.head != nil {
		return nil
	}
	err := b.view(func(txn *txn) (err error) {
		b.head, err = readHead(txn, &b.block)
		return err
	})
	if err == nil {
		b.segments.heads.put(key, b.head)
	}
	return err
}

// find returns the sub-block of metadata that has the row of id, or else the
// first that has older ones.
func (b *blockReader) find(id record.ID) int {
	subs := b.head.metadata
	return max(sort.Search(len(subs), func(i int) bool { return subs[i].newest.Compare(id) < 0 })-1, 0)
}

// readMetadata reads a sub-block of metadata, into buf where that has room.
func (b *blockReader) readMetadata(number int, buf []byte) (raw []byte, err error) {
	b.spend(b.head.metadata[number].raw)
	err = b.view(func(txn *txn) error {
		raw, err = readSub(txn, &b.block, kindMetadata, number, &b.head.metadata[number], buf)
		return err
	})
	return raw, err
}

// readBodies reads the bodies that stand at p. They are valid until the next
// call.
func (b *blockReader) readBodies(p *place) (request, response []byte, err error) {
	if p.sub == 0 {
		return nil, nil, nil
	}
	if p.sub > len(b.head.bodies) {
		return nil, nil, b.wrap(damaged(fmt.Errorf("bodies in sub-block %d of %d", p.sub, len(b.head.bodies))))
	}
	if b.number != p.sub {
		b.spend(b.head.bodies[p.sub-1].raw)
		if err := b.view(func(txn *txn) error {
			raw, err := readSub(txn, &b.block, kindBodies, p.sub-1, &b.head.bodies[p.sub-1], b.bodies)
			b.bodies, b.number = raw, p.sub
			return err
		}); err != nil {
			b.number = 0
			return nil, nil, err
		}
	}
	request, response, err = p.cut(b.bodies)
	return request, response, b.wrap(err)
}

// hasColumns reports whether the block has columns.
func (b *blockReader) hasColumns() bool { return b.block.columns[entryFacts].raw > 0 }

// readColumns reads an entry of columns, with buf as room for it.
func (b *blockReader) readColumns(entry int, buf []byte) (r *columnsReader, raw []byte, err error) {
	size := b.block.columns[entry]
	b.spend(int(size.raw))
	err = b.view(func(txn *txn) (err error) {
		raw, err = readSub(txn, &b.block, kindColumns, entry, &sub{raw: int(size.raw), stored: int(size.stored)}, buf)
		if err == nil {
			r, err = newColumnsReader(raw, b.block.count)
		}
		return err
	})
	return r, raw, err
}

// readPage reads a page of the filters of the block's group. It is valid while do
// runs.
func (b *blockReader) readPage(page int, do func(data []byte) error) error {
	key := newBlockKey(b.block.filters.newest, b.block.filters.first)
	return b.view(func(txn *txn) error {
		item, err := get(txn, key.entry(kindFilters, page, 0))
		if err != nil {
			return err
		}
		b.spend(int(item.ValueSize())) // about
		var data []byte
		err = item.Value(func(first []byte) error {
			if len(first) < pieceSize {
				return do(first)
			}
			data = bytes.Clone(first)
			return nil
		})
		if err != nil || data == nil {
			return err
		}
		for piece := 1; err == nil && len(data) == piece*pieceSize; piece++ {
			item, err = txn.get(key.entry(kindFilters, page, piece))
			if errors.Is(err, dgraph.ErrKeyNotFound) {
				err = nil
				break
			}
			if err == nil {
				err = item.Value(func(more []byte) error { data = append(data, more...); return nil })
			}
		}
		if err != nil {
			return err
		}
		return do(data)
	})
}
