package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/klauspost/compress/s2"
)

// The format of a journal file, version 3. Integers are little endian; a uvarint
// is that of encoding/binary; checksums are CRC-32C (RFC 3720, appendix B.4).
//
//	file     header, header again, frames, zeros
//
//	header   256 bytes. Two equal copies, so that one bad sector does not cost a file.
//	  0      8  "AGJRNAL" and the version, 3
//	  8      8  mark: random, this file's own
//	 16      8  first: sequence of the first record that may stand here, from 1
//	 24      8  when the file was begun, microseconds since 1970
//	 32    1+64 length of the node's name, the name, zeros
//	 97    1+64 length of the boot's name, the name, zeros
//	162      8  id of the key that the frames are sealed with, zeros where they are plain
//	170      8  how many sequences right before first this journal never had: when the
//	            run began, what was kept elsewhere went on to there. The same in all
//	            files of that first; else 0, as in files of before there was this
//	178     74  zeros
//	252      4  checksum of all before it
//
//	frame    48 bytes, then what their lengths say
//	  0      8  the file's mark. Nobody who sends a body can know it, so nothing in a
//	            body passes for a frame when frames are searched for after damage
//	  8      4  checksum of all that follows, to the frame's end
//	 12      4  length of the settled counts
//	 16      8  sequence of the frame's first record; those after it count on, but
//	            for begin entries, which have none
//	 24      8  when it was written, microseconds since 1970
//	 32      4  number of records and begin entries, may be 0
//	 36      4  length of the records
//	 40      4  length of the records as compressed (s2)
//	 44      4  how many bytes longer the rest is because it is sealed: 36, or 0
//	 48         settled counts, compressed records; sealed as one where the file has
//	            a key, see Sealer, with the head but for the checksum as what it is about.
//	            The place is "journal", mark, node and boot, with a line end between
//	            each; the checksum is of what is sealed, so damage is told without a key
//
//	settled  for each source of which the frame settles calls:
//	         uvarint length and name of the source, uvarint count of all calls of
//	         it that this boot has settled so far, the frame's own included
//
//	record   uvarint flags (1: a gap; 2: a begin entry), 16 bytes id, uvarint lengths
//	         of meta, request body and response body, then these three; meta as
//	         record.AppendAnnounced and record.Record.AppendMeta
//
// The first frame of a file has no records: it settles what the boot settled
// before, so that earlier files can go. A commit is one or more frames; each is
// valid by itself, since its counts belong to its records.
//
// A begin entry is of a call that has no record yet. The record of the same id
// supersedes it, in whichever file. While there is none the entry is copied to the
// newest file before its own goes, so the same one may stand in several.
//
// Version 2 had no keys, version 1 no begin entries either. Both are read as well.
const (
	headerSize   = 256
	firstFrame   = 2 * headerSize
	frameHead    = 48
	maxNodeName  = 64
	flagGap      = 1
	flagBegin    = 2
	maxRowHead   = 1 + 16 + 3*binary.MaxVarintLen32 + maxAnnounced
	maxAnnounced = 2 + binary.MaxVarintLen64
	headerMagic  = "AGJRNAL"
	headerFormat = 3
	oldestFormat = 1
)

// frameSize is how many bytes of records a frame has before the next begins: a
// look-up of one record decompresses about this much. Frames of a whole commit
// would take two percent less of the disk.
const frameSize = 64 << 10

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errFormat  = errors.New("malformed journal")
	errUnborn  = fmt.Errorf("%w: nothing was written", errFormat)
	errVersion = errors.New("written by another version of this program")
)

// frameHeader is the fixed part of a frame.
type frameHeader struct {
	checksum uint32
	settled  uint32 // bytes
	first    uint64
	written  time.Time
	records  uint32
	raw      uint32 // bytes of records
	packed   uint32 // the same, compressed
	sealed   uint32 // what sealing added
}

// size is that of the whole frame.
func (h *frameHeader) size() int64 {
	return frameHead + int64(h.settled) + int64(h.packed) + int64(h.sealed)
}

// parse reads the fixed part and reports whether it can be that of a frame of
// the file with the mark m, which is sealed or not.
func (h *frameHeader) parse(b []byte, m mark, sealed bool) bool {
	*h = frameHeader{
		checksum: binary.LittleEndian.Uint32(b[8:]),
		settled:  binary.LittleEndian.Uint32(b[12:]),
		first:    binary.LittleEndian.Uint64(b[16:]),
		written:  time.UnixMicro(int64(binary.LittleEndian.Uint64(b[24:]))).UTC(),
		records:  binary.LittleEndian.Uint32(b[32:]),
		raw:      binary.LittleEndian.Uint32(b[36:]),
		packed:   binary.LittleEndian.Uint32(b[40:]),
		sealed:   binary.LittleEndian.Uint32(b[44:]),
	}
	return mark(b[:8]) == m && h.sealed == overhead(sealed) && h.raw <= MaxRecord+maxRowHead+frameSize && int(h.packed) <= s2.MaxEncodedLen(int(h.raw))
}

// overhead is what sealing adds to a frame.
func overhead(sealed bool) uint32 {
	if sealed {
		return uint32(SealOverhead)
	}
	return 0
}

// appendFrame appends a frame without its mark, which is that of the file it
// will be written to; see file.finish. One that is to be sealed has room for that.
func appendFrame(dst []byte, first uint64, written time.Time, records int, settled, raw []byte, sealed bool) []byte {
	start := len(dst)
	var b [frameHead]byte
	binary.LittleEndian.PutUint32(b[12:], uint32(len(settled)))
	binary.LittleEndian.PutUint64(b[16:], first)
	binary.LittleEndian.PutUint64(b[24:], uint64(written.UnixMicro()))
	binary.LittleEndian.PutUint32(b[32:], uint32(records))
	binary.LittleEndian.PutUint32(b[36:], uint32(len(raw)))
	binary.LittleEndian.PutUint32(b[44:], overhead(sealed))
	dst = append(append(dst, b[:]...), settled...)
	if len(raw) > 0 {
		dst = slices.Grow(dst, s2.MaxEncodedLen(len(raw)))
		packed := s2.Encode(dst[len(dst):cap(dst)], raw)
		dst = dst[:len(dst)+len(packed)]
		binary.LittleEndian.PutUint32(dst[start+40:], uint32(len(packed)))
	}
	if sealed {
		return append(dst, make([]byte, SealOverhead)...)
	}
	setChecksum(dst[start:])
	return dst
}

func setChecksum(frame []byte) {
	binary.LittleEndian.PutUint32(frame[8:], crc32.Checksum(frame[12:], castagnoli))
}

// setMarks writes m into each of the frames.
func setMarks(frames []byte, m mark) {
	for len(frames) > 0 {
		copy(frames, m[:])
		frames = frames[frameLen(frames):]
	}
}

// frameLen is the length of the first of the frames.
func frameLen(frames []byte) int {
	length := frameHead
	for _, at := range []int{12, 40, 44} {
		length += int(binary.LittleEndian.Uint32(frames[at:]))
	}
	return length
}

// appendSealed appends the frames, with their marks, sealed.
func appendSealed(dst, frames []byte, s *Sealer) []byte {
	for len(frames) > 0 {
		frame, start := frames[:frameLen(frames)], len(dst)
		frames = frames[len(frame):]
		dst = append(dst, frame[:frameHead]...)
		dst = s.Seal(dst, frame[frameHead:len(frame)-SealOverhead], aboutFrame(frame))
		setChecksum(dst[start:])
	}
	return dst
}

// aboutFrame is what a sealed frame is about: its head without the checksum.
func aboutFrame(frame []byte) []byte {
	return append(append(make([]byte, 0, frameHead), frame[:8]...), frame[12:frameHead]...)
}

// openFrame checks a whole frame and returns its settled counts and its
// records, decompressed into buf where that has room. Both are well formed.
func openFrame(data []byte, m mark, s *Sealer, buf []byte) (h frameHeader, settled, raw []byte, err error) {
	switch {
	case len(data) < frameHead, !h.parse(data, m, s != nil), h.size() != int64(len(data)):
		return h, nil, nil, fmt.Errorf("%w: no frame", errFormat)
	case crc32.Checksum(data[12:], castagnoli) != h.checksum:
		return h, nil, nil, fmt.Errorf("%w: frame of sequence %d has a wrong checksum", errFormat, h.first)
	}
	rest := data[frameHead:]
	if s != nil {
		if rest, err = s.Open(nil, rest, aboutFrame(data)); err != nil {
			return h, nil, nil, fmt.Errorf("%w: frame of sequence %d: %w", errFormat, h.first, err)
		}
	}
	settled = rest[:h.settled]
	if err := eachSettled(settled, func(string, uint64) {}); err != nil {
		return h, nil, nil, err
	}
	if h.raw > 0 {
		packed := rest[h.settled:]
		if n, err := s2.DecodedLen(packed); err != nil || n != int(h.raw) {
			return h, nil, nil, fmt.Errorf("%w: frame of sequence %d does not have the length that it names", errFormat, h.first)
		}
		if raw, err = s2.Decode(buf, packed); err != nil {
			return h, nil, nil, fmt.Errorf("%w: decompressing frame of sequence %d: %w", errFormat, h.first, err)
		}
	}
	records := uint32(0)
	if err := eachRow(raw, func(rawRow) { records++ }); err != nil {
		return h, nil, nil, err
	}
	if records != h.records {
		return h, nil, nil, fmt.Errorf("%w: frame of sequence %d has %d records, want %d", errFormat, h.first, records, h.records)
	}
	return h, settled, raw, nil
}

// appendSettled appends the count of one source.
func appendSettled(dst []byte, source string, count uint64) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(source)))
	return binary.AppendUvarint(append(dst, source...), count)
}

// eachSettled calls do for each count.
func eachSettled(data []byte, do func(source string, count uint64)) error {
	for len(data) > 0 {
		source, rest, ok := cutBytes(data)
		count, n := binary.Uvarint(rest)
		if !ok || n <= 0 {
			return fmt.Errorf("%w: settled counts", errFormat)
		}
		do(string(source), count)
		data = rest[n:]
	}
	return nil
}
