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
	// subRaw is the size of a sub-block before compression.
	subRaw = 64 << 10
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
	frames           [2][][]byte // the finished ones, metadata and bodies
}

// add takes the next record, older than the one before it.
func (b *builder) add(in *input) error {
	size := len(in.meta) + len(in.request) + len(in.response)
	if h := &b.head; h.count > 0 && (h.count == blockRecords || b.raw+size > blockRaw ||
		h.newest.Time().Sub(in.id.Time()) > blockSpan) {
		if err := b.finish(); err != nil {
			return err
		}
	}
	h := &b.head
	if h.count == 0 {
		h.newest, h.first, h.last = in.id, in.sequence, in.sequence
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
	if len(b.metadata) > 0 && len(b.metadata)+len(in.meta) > subRaw {
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
	return nil
}

func (b *builder) cutMetadata() {
	b.head.metadata = append(b.head.metadata, b.cut(kindMetadata, &b.metadata, b.newest))
}

func (b *builder) cutBodies() {
	b.head.bodies = append(b.head.bodies, b.cut(kindBodies, &b.bodies, record.ID{}))
}

// cut compresses a sub-block and empties its buffer for the next.
func (b *builder) cut(kind int, raw *[]byte, newest record.ID) sub {
	frame := encoder().EncodeAll(*raw, make([]byte, 0, len(*raw)/2))
	frames := &b.frames[kind-kindMetadata]
	*frames = append(*frames, frame)
	s := sub{raw: len(*raw), stored: len(frame), newest: newest}
	*raw = (*raw)[:0]
	return s
}

// finish puts the block that is being built, its head last. Without records it
// does nothing.
func (b *builder) finish() error {
	if b.head.count == 0 {
		return nil
	}
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
			for piece := 0; len(frame) > 0; piece++ {
				n := min(len(frame), pieceSize)
				if err := b.put(key.entry(byte(kindMetadata+i), sub, piece), frame[:n]); err != nil {
					return err
				}
				frame = frame[n:]
			}
		}
		b.frames[i] = nil
	}
	b.head.content = content.Sum(nil)
	data := b.head.append(nil)
	if err := b.put(key.entry(kindHead, 0, 0), data); err != nil {
		return err
	}
	b.head.digest = digestOf(key, data)
	b.done(b.head.block)
	b.head, b.raw = head{}, 0
	return nil
}
