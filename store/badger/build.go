package badger

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/auditgate/auditgate/record"
)

// The shape of blocks.
const (
	blockRecords = 1000
	// blockSpan is the longest stretch of time in one block: whoever looks for
	// an id looks no further than that.
	blockSpan = 10 * time.Minute
	// blockRaw ends a block of long bodies early, in bytes before compression:
	// a block stands in memory while it is built.
	blockRaw = 32 << 20
	// subRaw and metadataRaw are the size of a sub-block of bodies and of metadata
	// before compression. Metadata in larger ones would take a percent less of the
	// disk; in smaller ones what an index finds is opened faster.
	subRaw      = 64 << 10
	metadataRaw = 32 << 10
	// pieceSize is the longest value in Badger. It lies below the threshold
	// beyond which Badger keeps values in a log of their own.
	pieceSize = 256 << 10
)

// encoder compresses sub-blocks, one at a time: 64 KiB are too few to share out.
var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

// input is one record on its way into a block. The builder keeps none of it.
type input struct {
	id                record.ID
	sequence          uint64
	meta              []byte
	request, response []byte
	gapUntil          time.Time // the end of the stretch; zero for what is no gap
}

// builder makes one block after the other of records that come newest first.
// What it makes depends on nothing but them, and on node and boot.
type builder struct {
	node, boot string
	// put writes one entry. It may keep key and value.
	put func(key, value []byte) error
	// done hears of each block, once all of it was put.
	done func(block)

	head             head
	raw              int         // bytes of the block so far
	metadata, bodies []byte      // the sub-blocks that are being filled
	newest           record.ID   // of that of metadata
	previous         uint64      // sequence in it
	records          int         // of that of metadata
	frames           [2][][]byte // the finished ones, metadata and bodies
	stored           record.Stored
	columns          columnsBuilder
	filters          filterBuilder
	group            group
	heads            []head // of blocks whose filters are still to be put
}

// add takes the next record, older than the one before it.
func (b *builder) add(in *input) error {
	size := len(in.meta) + len(in.request) + len(in.response)
	if h := &b.head; h.count > 0 && (h.count == blockRecords || b.raw+size > blockRaw ||
		h.newest.Time().Sub(in.id.Time()) > blockSpan) {
		if err := b.finishBlock(); err != nil {
			return err
		}
		if len(b.filters.tokens) >= groupTokens || len(b.filters.units) >= groupUnits {
			if err := b.finishGroup(); err != nil {
				return err
			}
		}
	}
	// Of what cannot be read the index has a part, or nothing: who reads it is told.
	_ = b.stored.Set(in.meta)
	h := &b.head
	if h.count == 0 {
		h.newest, h.first, h.last = in.id, in.sequence, in.sequence
		h.unit = len(b.filters.units)
	}
	h.oldest = in.id
	h.first, h.last = min(h.first, in.sequence), max(h.last, in.sequence)
	h.count++
	if in.gapUntil.After(h.gapsUntil) {
		h.gapsUntil = in.gapUntil
	}
	b.raw += size

	bodies := len(in.request) + len(in.response)
	if len(b.bodies) > 0 && len(b.bodies)+bodies > subRaw {
		b.cutBodies()
	}
	if len(b.metadata) > 0 && len(b.metadata)+len(in.meta) > metadataRaw {
		b.cutMetadata()
	}
	if len(b.metadata) == 0 {
		b.newest, b.previous = in.id, 0
	}
	m := append(b.metadata, in.id[:]...)
	m = binary.AppendVarint(m, int64(in.sequence-b.previous))
	m = binary.AppendUvarint(m, uint64(len(in.meta)))
	m = append(m, in.meta...)
	if bodies == 0 {
		m = append(m, 0)
	} else {
		m = binary.AppendUvarint(m, uint64(len(h.bodies)+1))
		m = binary.AppendUvarint(m, uint64(len(b.bodies)))
		m = binary.AppendUvarint(m, uint64(len(in.request)))
		m = binary.AppendUvarint(m, uint64(len(in.response)))
	}
	b.metadata, b.previous = m, in.sequence
	b.bodies = append(append(b.bodies, in.request...), in.response...)
	b.records++
	b.columns.add(in, &b.stored)
	b.filters.add(&b.stored, in.request, in.response)
	return nil
}

func (b *builder) cutMetadata() {
	s := b.cut(kindMetadata, &b.metadata)
	s.newest, s.records = b.newest, b.records
	b.head.metadata = append(b.head.metadata, s)
	b.records = 0
	b.filters.endUnit()
}

func (b *builder) cutBodies() {
	b.head.bodies = append(b.head.bodies, b.cut(kindBodies, &b.bodies))
}

// cut compresses a sub-block and empties its buffer for the next.
func (b *builder) cut(kind int, raw *[]byte) sub {
	frame := encoder().EncodeAll(*raw, make([]byte, 0, len(*raw)/2))
	frames := &b.frames[kind-kindMetadata]
	*frames = append(*frames, frame)
	s := sub{raw: len(*raw), stored: len(frame)}
	*raw = (*raw)[:0]
	return s
}

// finishBlock puts the block that is being built, but for its head.
func (b *builder) finishBlock() error {
	b.cutMetadata()
	if len(b.bodies) > 0 {
		b.cutBodies()
	}
	b.head.node, b.head.boot = b.node, b.boot
	key := b.head.key()
	content := sha256.New()
	for i, frames := range b.frames {
		for sub, frame := range frames {
			content.Write(frame)
			if err := b.putPieces(&key, byte(kindMetadata+i), sub, frame); err != nil {
				return err
			}
		}
		b.frames[i] = nil
	}
	b.head.content = content.Sum(nil)
	if err := b.columns.flush(func(entry int, raw []byte) error {
		frame := encoder().EncodeAll(raw, nil)
		b.head.columns[entry] = entrySize{uint32(len(raw)), uint32(len(frame))}
		return b.putPieces(&key, kindColumns, entry, frame)
	}); err != nil {
		return err
	}
	if len(b.heads) == 0 {
		b.group = group{newest: b.head.newest, first: b.head.first}
	}
	b.heads = append(b.heads, b.head)
	b.head, b.raw = head{}, 0
	return nil
}

// putPieces puts data in entries that Badger takes.
func (b *builder) putPieces(key *blockKey, kind byte, number int, data []byte) error {
	for piece := 0; len(data) > 0; piece++ {
		n := min(len(data), pieceSize)
		if err := b.put(key.entry(kind, number, piece), data[:n:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// finishGroup puts the filters that the blocks so far share, and then their heads.
// Their first records may be committed by then: without a head they are nothing.
func (b *builder) finishGroup() error {
	b.group.pages = b.filters.pageCount()
	key := newBlockKey(b.group.newest, b.group.first)
	if err := b.filters.flush(func(page int, data []byte) error {
		return b.putPieces(&key, kindFilters, page, data)
	}); err != nil {
		return err
	}
	for i := range b.heads {
		h := &b.heads[i]
		h.filters, h.units = b.group, len(h.metadata)
		key := h.key()
		data := h.append(nil)
		if err := b.put(key.entry(kindHead, 0, 0), data); err != nil {
			return err
		}
		h.digest = digestOf(key, data)
	}
	if err := b.put(directoryKey(&b.group), appendDirectory(nil, b.heads)); err != nil {
		return err
	}
	for i := range b.heads {
		b.done(b.heads[i].block)
	}
	b.heads = nil
	return nil
}

// finish puts all that is left. Without records it does nothing.
func (b *builder) finish() error {
	if b.head.count > 0 {
		if err := b.finishBlock(); err != nil {
			return err
		}
	}
	if len(b.heads) == 0 {
		return nil
	}
	return b.finishGroup()
}
