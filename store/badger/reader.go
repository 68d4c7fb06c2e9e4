package badger

import (
	"fmt"
	"sort"

	"github.com/auditgate/auditgate/record"
)

// blockReader reads parts of one block. Between reads it holds nothing open.
type blockReader struct {
	segments *segments
	segment  *segment
	block    block
	head     *head // set by open

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

// open reads the head.
func (b *blockReader) open() error {
	return b.view(func(txn *txn) (err error) {
		b.head, err = readHead(txn, &b.block)
		return err
	})
}

// find returns the sub-block of metadata that has the row of id, or else the
// first that has older ones.
func (b *blockReader) find(id record.ID) int {
	subs := b.head.metadata
	return max(sort.Search(len(subs), func(i int) bool { return subs[i].newest.Compare(id) < 0 })-1, 0)
}

// readMetadata reads a sub-block of metadata, into buf where that has room.
func (b *blockReader) readMetadata(number int, buf []byte) (raw []byte, err error) {
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
