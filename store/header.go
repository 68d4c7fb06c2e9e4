package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"
)

// mark is the first field of each frame of one file.
type mark [8]byte

// header is the beginning of a journal file.
type header struct {
	mark  mark
	first uint64
	begun time.Time
	node  string
	boot  string
	key   KeyID // that frames are sealed with; zero where they are plain
	// skipped is how many sequences before first this journal never had, because those
	// kept elsewhere were newer when the run began.
	skipped uint64
}

// append appends both copies.
func (h *header) append(dst []byte) []byte {
	var b [headerSize]byte
	copy(b[:], headerMagic)
	b[7] = headerFormat
	copy(b[8:], h.mark[:])
	binary.LittleEndian.PutUint64(b[16:], h.first)
	binary.LittleEndian.PutUint64(b[24:], uint64(h.begun.UnixMicro()))
	b[32] = byte(copy(b[33:97], h.node))
	b[97] = byte(copy(b[98:162], h.boot))
	copy(b[162:], h.key[:])
	binary.LittleEndian.PutUint64(b[170:], h.skipped)
	binary.LittleEndian.PutUint32(b[252:], crc32.Checksum(b[:252], castagnoli))
	return append(append(dst, b[:]...), b[:]...)
}

// parse reads whichever copy is good. Of an unknown version the error wraps
// errVersion: the file is sound, and not for this program.
func (h *header) parse(data []byte) error {
	if len(data) < firstFrame {
		return fmt.Errorf("%w: %d bytes are no header", errFormat, len(data))
	}
	for _, b := range [][]byte{data[:headerSize], data[headerSize:firstFrame]} {
		node, boot := int(b[32]), int(b[97])
		if crc32.Checksum(b[:252], castagnoli) != binary.LittleEndian.Uint32(b[252:]) ||
			string(b[:7]) != headerMagic || b[7] < oldestFormat || b[7] > headerFormat ||
			node > maxNodeName || boot > maxNodeName || binary.LittleEndian.Uint64(b[16:]) <= binary.LittleEndian.Uint64(b[170:]) {
			continue
		}
		*h = header{
			mark:  mark(b[8:16]),
			first: binary.LittleEndian.Uint64(b[16:]),
			begun: time.UnixMicro(int64(binary.LittleEndian.Uint64(b[24:]))).UTC(),
			node:  string(b[33 : 33+node]),
			boot:  string(b[98 : 98+boot]),
			key:   KeyID(b[162:170]),

			skipped: binary.LittleEndian.Uint64(b[170:]),
		}
		return nil
	}
	if bytes.Equal(data[:8], data[headerSize:][:8]) && string(data[:7]) == headerMagic && (data[7] < oldestFormat || data[7] > headerFormat) {
		return fmt.Errorf("%w: journal file of format %d, want %d to %d", errVersion, data[7], oldestFormat, headerFormat)
	}
	return fmt.Errorf("%w: both copies of the header are damaged", errFormat)
}

// sealer returns what seals and opens the frames of this file alone; nil where they
// are plain.
func (h *header) sealer(k *Keyring) *Sealer {
	if h.key == (KeyID{}) {
		return nil
	}
	return k.Sealer("journal\n" + string(h.mark[:]) + "\n" + h.node + "\n" + h.boot)
}
