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
	headGapsUntil protowire.Number = 6 // end of the last gap's stretch, in microseconds of Unix time
	headMetadata  protowire.Number = 7 // repeated message: 1 raw size, 2 stored size, 3 id of its newest record
	headBodies    protowire.Number = 8 // repeated message: 1 raw size, 2 stored size
	headContent   protowire.Number = 9 // SHA-256 of all other values of the block, in the order of their keys
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
}

func (b *block) key() blockKey { return newBlockKey(b.newest, b.first) }

// sub is one sub-block, as the head tells.
type sub struct {
	raw, stored int
	newest      record.ID // of metadata alone
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
	number := func(n protowire.Number, v uint64) {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, n, protowire.VarintType), v)
	}
	data := func(n protowire.Number, v []byte) {
		dst = protowire.AppendBytes(protowire.AppendTag(dst, n, protowire.BytesType), v)
	}
	data(headOldest, h.oldest[:])
	number(headLast, h.last)
	number(headCount, uint64(h.count))
	data(headNode, []byte(h.node))
	data(headBoot, []byte(h.boot))
	if !h.gapsUntil.IsZero() {
		number(headGapsUntil, uint64(h.gapsUntil.UnixMicro()))
	}
	for _, s := range h.metadata {
		data(headMetadata, protowire.AppendBytes(protowire.AppendTag(s.appendSizes(nil), 3, protowire.BytesType), s.newest[:]))
	}
	for _, s := range h.bodies {
		data(headBodies, s.appendSizes(nil))
	}
	if len(h.content) > 0 {
		data(headContent, h.content)
	}
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
	err := record.EachField(data, func(n protowire.Number, number uint64, data []byte) error {
		switch n {
		case headOldest:
			if copy(h.oldest[:], data) != len(h.oldest) {
				return fmt.Errorf("%w: oldest id has %d bytes", errHead, len(data))
			}
		case headLast:
			h.last = number
		case headCount:
			h.count = int(min(number, 1<<31))
		case headNode:
			h.node = string(data)
		case headBoot:
			h.boot = string(data)
		case headGapsUntil:
			h.gapsUntil = time.UnixMicro(int64(number)).UTC()
		case headMetadata:
			return appendSub(&h.metadata, data)
		case headBodies:
			return appendSub(&h.bodies, data)
		case headContent:
			h.content = bytes.Clone(data)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errHead) {
		err = fmt.Errorf("%w: %w", errHead, err)
	}
	if err == nil && (h.oldest.Compare(newest) > 0 || h.last < first || h.count == 0 || len(h.metadata) == 0) {
		err = fmt.Errorf("%w: it contradicts itself", errHead)
	}
	return h, err
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
		}
		return nil
	})
	if err == nil && (s.raw > maxSub || s.stored > maxSub) {
		err = fmt.Errorf("%w: a sub-block of more than %d bytes", errHead, maxSub)
	}
	*to = append(*to, s)
	return err
}
