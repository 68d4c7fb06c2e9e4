package badger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/auditgate/auditgate/record"
)

// The fields of a head. A reader skips those that it does not know; a number is
// never used again for another meaning.
const (
	headOldest    protowire.Number = 1 // id of the oldest record
	headLast      protowire.Number = 2 // the highest sequence
	headCount     protowire.Number = 3 // records
	headNode      protowire.Number = 4
	headBoot      protowire.Number = 5
	headGapsUntil protowire.Number = 6  // end of the last gap's stretch, in microseconds of Unix time
	headMetadata  protowire.Number = 7  // repeated message: 1 raw size, 2 stored size, 3 id of its newest record, 4 records
	headBodies    protowire.Number = 8  // repeated message: 1 raw size, 2 stored size
	headContent   protowire.Number = 9  // SHA-256 of the frames of metadata and bodies, in the order of their keys
	headColumns   protowire.Number = 11 // repeated message, for each entry of columns: 1 raw size, 2 stored size
	headFilters   protowire.Number = 10 // message: 1 id and 2 sequence in the key of the pages, 3 how many, 4 the block's first unit
)

// maxSub bounds what one sub-block may decompress to, in bytes: two bodies at
// their largest, and room. A head that says more is damaged.
const maxSub = 64 << 20

// block is what is known of a block without reading it whole.
type block struct {
	newest, oldest record.ID
	first, last    uint64 // sequence
	count          int
	gapsUntil      time.Time // zero where the block has no gaps
	// digest is the SHA-256 of the keys' common part and the head, which has that
	// of the rest.
	digest [sha256.Size]byte

	// What follows is zero in blocks of before there were columns and filters.
	columns [entryCount]entrySize
	filters group
	unit    int // the first of the block's units in the group
	units   int // as many as sub-blocks of metadata
}

// entrySize is that of an entry of columns, in bytes.
type entrySize struct{ raw, stored uint32 }

// group names the pages of filters that some blocks share: they stand in the keys
// of the first of them.
type group struct {
	newest record.ID
	first  uint64
	pages  int
}

func (b *block) key() blockKey { return newBlockKey(b.newest, b.first) }

// sub is one sub-block, as the head tells.
type sub struct {
	raw, stored int
	// These are of metadata alone; records is 0 in blocks without columns.
	newest  record.ID
	records int
}

// head is the directory of a block.
type head struct {
	block
	node, boot       string
	metadata, bodies []sub
	content          []byte
}

var errHead = errors.New("malformed head of a block")

// append appends the stored form of h to dst; newest and first are in the key.
func (h *head) append(dst []byte) []byte {
	data := func(n protowire.Number, v []byte) {
		dst = protowire.AppendBytes(protowire.AppendTag(dst, n, protowire.BytesType), v)
	}
	dst = h.block.append(dst)
	data(headNode, []byte(h.node))
	data(headBoot, []byte(h.boot))
	for _, s := range h.metadata {
		m := protowire.AppendBytes(protowire.AppendTag(s.appendSizes(nil), 3, protowire.BytesType), s.newest[:])
		data(headMetadata, protowire.AppendVarint(protowire.AppendTag(m, 4, protowire.VarintType), uint64(s.records)))
	}
	for _, s := range h.bodies {
		data(headBodies, s.appendSizes(nil))
	}
	if len(h.content) > 0 {
		data(headContent, h.content)
	}
	return dst
}

// append appends to dst those fields of the head that are of the block as a whole.
func (b *block) append(dst []byte) []byte {
	number := func(n protowire.Number, v uint64) {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, n, protowire.VarintType), v)
	}
	data := func(n protowire.Number, v []byte) {
		dst = protowire.AppendBytes(protowire.AppendTag(dst, n, protowire.BytesType), v)
	}
	data(headOldest, b.oldest[:])
	number(headLast, b.last)
	number(headCount, uint64(b.count))
	if !b.gapsUntil.IsZero() {
		number(headGapsUntil, uint64(b.gapsUntil.UnixMicro()))
	}
	for _, size := range b.columns {
		data(headColumns, (&sub{raw: int(size.raw), stored: int(size.stored)}).appendSizes(nil))
	}
	g := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), b.filters.newest[:])
	for i, v := range [...]uint64{b.filters.first, uint64(b.filters.pages), uint64(b.unit)} {
		g = protowire.AppendVarint(protowire.AppendTag(g, protowire.Number(2+i), protowire.VarintType), v)
	}
	data(headFilters, g)
	return dst
}

// digestOf returns the digest of a block with that key and stored head.
func digestOf(key blockKey, head []byte) [sha256.Size]byte {
	return sha256.Sum256(append(key[:], head...))
}

func (s *sub) appendSizes(dst []byte) []byte {
	dst = protowire.AppendVarint(protowire.AppendTag(dst, 1, protowire.VarintType), uint64(s.raw))
	return protowire.AppendVarint(protowire.AppendTag(dst, 2, protowire.VarintType), uint64(s.stored))
}

// parseHead reads what append wrote of the block with that newest record and
// lowest sequence. Nothing of data is kept.
func parseHead(newest record.ID, first uint64, data []byte) (*head, error) {
	h := &head{block: block{newest: newest, first: first, digest: digestOf(newBlockKey(newest, first), data)}}
	var columns []sub
	err := record.EachField(data, func(n protowire.Number, number uint64, data []byte) error {
		switch n {
		case headNode:
			h.node = string(data)
		case headBoot:
			h.boot = string(data)
		case headMetadata:
			return appendSub(&h.metadata, data)
		case headBodies:
			return appendSub(&h.bodies, data)
		case headContent:
			h.content = bytes.Clone(data)
		default:
			return h.block.set(n, number, data, &columns)
		}
		return nil
	})
	h.units = len(h.metadata)
	if err == nil {
		err = h.block.finish(columns)
	}
	if err != nil && !errors.Is(err, errHead) {
		err = fmt.Errorf("%w: %w", errHead, err)
	}
	return h, err
}

// set sets a field that is of the block as a whole; columns are collected apart.
func (b *block) set(n protowire.Number, number uint64, data []byte, columns *[]sub) error {
	switch n {
	case headOldest:
		if copy(b.oldest[:], data) != len(b.oldest) {
			return fmt.Errorf("%w: oldest id has %d bytes", errHead, len(data))
		}
	case headLast:
		b.last = number
	case headCount:
		b.count = int(min(number, 1<<31))
	case headGapsUntil:
		b.gapsUntil = time.UnixMicro(int64(number)).UTC()
	case headColumns:
		return appendSub(columns, data)
	case headFilters:
		return b.setFilters(data)
	}
	return nil
}

// finish is called when all fields are set.
func (b *block) finish(columns []sub) error {
	for i := range min(len(columns), entryCount) {
		b.columns[i] = entrySize{uint32(columns[i].raw), uint32(columns[i].stored)}
	}
	if b.oldest.Compare(b.newest) > 0 || b.last < b.first || b.count == 0 || b.units == 0 {
		return fmt.Errorf("%w: it contradicts itself", errHead)
	}
	return nil
}

func (b *block) setFilters(data []byte) error {
	return record.EachField(data, func(n protowire.Number, number uint64, data []byte) error {
		switch n {
		case 1:
			copy(b.filters.newest[:], data)
		case 2:
			b.filters.first = number
		case 3:
			b.filters.pages = int(min(number, maxSub))
		case 4:
			b.unit = int(min(number, maxSub))
		}
		return nil
	})
}

func appendSub(to *[]sub, data []byte) error {
	var s sub
	err := record.EachField(data, func(n protowire.Number, number uint64, data []byte) error {
		switch n {
		case 1:
			s.raw = int(min(number, maxSub+1))
		case 2:
			s.stored = int(min(number, maxSub+1))
		case 3:
			copy(s.newest[:], data)
		case 4:
			s.records = int(min(number, 1<<31))
		}
		return nil
	})
	if err == nil && (s.raw > maxSub || s.stored > maxSub) {
		err = fmt.Errorf("%w: a sub-block of more than %d bytes", errHead, maxSub)
	}
	*to = append(*to, s)
	return err
}
