package badger

import (
	"encoding/binary"

	"github.com/auditgate/auditgate/record"
)

// The kinds of a block's entries, in the order of their keys.
const (
	kindHead     = 0
	kindMetadata = 1
	kindBodies   = 2
	kindColumns  = 3
	kindFilters  = 4
)

const (
	blockPrefix = 'b'
	blockKeyLen = 1 + 16 + 8
	keyLen      = blockKeyLen + 1 + 2 + 2
)

// blockKey is what the keys of one block's entries have in common.
type blockKey [blockKeyLen]byte

// newBlockKey returns the key of the block with that newest record and that
// lowest sequence.
func newBlockKey(newest record.ID, first uint64) blockKey {
	var k blockKey
	k[0] = blockPrefix
	for i, b := range newest {
		k[1+i] = ^b
	}
	binary.BigEndian.PutUint64(k[17:], first)
	return k
}

// entry returns the key of one of the block's entries.
func (k *blockKey) entry(kind byte, sub, piece int) []byte {
	key := make([]byte, keyLen)
	copy(key, k[:])
	key[blockKeyLen] = kind
	binary.BigEndian.PutUint16(key[blockKeyLen+1:], uint16(sub))
	binary.BigEndian.PutUint16(key[blockKeyLen+3:], uint16(piece))
	return key
}

// next returns a key after those of the block and before those of any other.
func (k *blockKey) next() []byte { return k.entry(0xff, 0, 0) }

// parseKey takes the key of an entry apart; ok is false for what is none.
func parseKey(key []byte) (newest record.ID, first uint64, kind byte, ok bool) {
	if len(key) != keyLen || key[0] != blockPrefix {
		return newest, 0, 0, false
	}
	for i := range newest {
		newest[i] = ^key[1+i]
	}
	return newest, binary.BigEndian.Uint64(key[17:]), key[blockKeyLen], true
}
