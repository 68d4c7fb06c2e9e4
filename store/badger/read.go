package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sync"

	dgraph "github.com/dgraph-io/badger/v4"
	"github.com/klauspost/compress/zstd"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// decoder decompresses sub-blocks, as many at once as there are processors.
var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxSub))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
})

// readHead reads the head of a block.
func readHead(txn *txn, b *block) (h *head, err error) {
	key := b.key()
	item, err := get(txn, key.entry(kindHead, 0, 0))
	if err != nil {
		return nil, err
	}
	err = item.Value(func(data []byte) error {
		h, err = parseHead(b.newest, b.first, data)
		return damaged(err)
	})
	return h, err
}

// readSub reads a sub-block of a block and returns it decompressed, in buf
// where that has room.
func readSub(txn *txn, b *block, kind byte, number int, s *sub, buf []byte) (raw []byte, err error) {
	decode := func(frame []byte) error {
		if raw, err = decoder().DecodeAll(frame, buf[:0]); err != nil {
			return damaged(fmt.Errorf("sub-block %d.%d: %w", kind, number, err))
		}
		if len(raw) != s.raw {
			return damaged(fmt.Errorf("sub-block %d.%d has %d bytes, want %d", kind, number, len(raw), s.raw))
		}
		return nil
	}
	if cap(buf) < s.raw {
		buf = make([]byte, 0, s.raw)
	}
	key := b.key()
	if s.stored <= pieceSize {
		item, err := get(txn, key.entry(kind, number, 0))
		if err != nil {
			return nil, err
		}
		err = item.Value(decode)
		return raw, err
	}
	frame := make([]byte, 0, s.stored)
	for piece := 0; len(frame) < s.stored; piece++ {
		item, err := get(txn, key.entry(kind, number, piece))
		if err != nil {
			return nil, err
		}
		before := len(frame)
		if err := item.Value(func(data []byte) error { frame = append(frame, data...); return nil }); err != nil {
			return nil, err
		}
		if len(frame) == before {
			return nil, damaged(fmt.Errorf("sub-block %d.%d ends after %d bytes of %d", kind, number, before, s.stored))
		}
	}
	err = decode(frame)
	return raw, err
}

// get returns an entry that must be there: a head implies the rest of its block.
func get(txn *txn, key []byte) (*item, error) {
	item, err := txn.get(key)
	if errors.Is(err, dgraph.ErrKeyNotFound) {
		err = damaged(fmt.Errorf("entry %x is missing", key))
	}
	return item, err
}

// damaged marks an error as one about what is on disk.
func damaged(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
}

// place says where the bodies of a record stand.
type place struct {
	sub               int // number of the sub-block plus one; 0: both bodies are empty
	offset            int
	request, response int // lengths
}

// cut returns both bodies out of their sub-block.
func (p *place) cut(raw []byte) (request, response []byte, err error) {
	if p.offset < 0 || p.request < 0 || p.response < 0 || p.offset > len(raw) ||
		p.request > len(raw)-p.offset || p.response > len(raw)-p.offset-p.request {
		return nil, nil, damaged(fmt.Errorf("bodies of %d and %d bytes at %d of %d", p.request, p.response, p.offset, len(raw)))
	}
	raw = raw[p.offset:]
	return raw[:p.request], raw[p.request : p.request+p.response], nil
}

// packedRow is one record of a sub-block of metadata.
type packedRow struct {
	id       record.ID
	sequence uint64
	meta     []byte
	bodies   place
}

// rowsOf returns the rows of a sub-block of metadata. What breaks it off is the last
// that it yields.
func rowsOf(metadata []byte) iter.Seq2[packedRow, error] {
	return func(yield func(packedRow, error) bool) {
		for r := (rows{rest: metadata}); ; {
			row, ok, err := r.next()
			if err == nil && !ok || !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// rows reads a sub-block of metadata from its beginning.
type rows struct {
	rest     []byte
	previous uint64
}

// next reads one row; ok is false at the end. The row's metadata is that of the
// sub-block, not a copy.
func (r *rows) next() (row packedRow, ok bool, err error) {
	if len(r.rest) == 0 {
		return row, false, nil
	}
	if len(r.rest) < len(row.id) {
		return row, false, errRow
	}
	r.rest = r.rest[copy(row.id[:], r.rest):]
	delta, n := binary.Varint(r.rest)
	if n <= 0 {
		return row, false, errRow
	}
	r.rest = r.rest[n:]
	r.previous += uint64(delta)
	row.sequence = r.previous
	size, ok := r.number()
	if !ok || size > len(r.rest) {
		return row, false, errRow
	}
	row.meta, r.rest = r.rest[:size], r.rest[size:]
	if row.bodies.sub, ok = r.number(); !ok {
		return row, false, errRow
	}
	if row.bodies.sub == 0 {
		return row, true, nil
	}
	for _, to := range []*int{&row.bodies.offset, &row.bodies.request, &row.bodies.response} {
		if *to, ok = r.number(); !ok {
			return row, false, errRow
		}
	}
	return row, true, nil
}

var errRow = damaged(errors.New("malformed row of a block"))

func (r *rows) number() (int, bool) {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > maxSub {
		return 0, false
	}
	r.rest = r.rest[n:]
	return int(v), true
}
