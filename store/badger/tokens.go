package badger

import (
	"math/bits"
	"math/rand/v2"

	"github.com/cespare/xxhash/v2"
)

// A token is what a query can ask for and what stands in the filters of blocks: the
// hash of a word, or of a name (an id, a user) together with what it names.
//
// Filters are those of Bloom, one for each unit, which is the records of one
// sub-block of metadata, and exactly as long as its tokens need. The filters of many
// blocks are cut into pages by the tokens' hash, so to look for one token is to
// read one page for all of them.

// What a name is of. These are on disk: none is used again for another meaning.
const (
	ofRequest byte = iota + 1
	ofTrace
	ofToken
	ofJob
	ofObject // its id or name
	ofUser   // the id, name or e-mail address
)

// The shape of filters. Of a thousand words that are not there, eight pass for
// being there, and of a hundred thousand names seven.
const (
	wordBits   = 10 // bits of a filter for each word
	wordProbes = 7
	nameWeight = 2 // a name has as many times the bits and probes of a word

	// pageSize is about how long a page is, in bytes.
	pageSize = 16 << 10
	// groupTokens is how many tokens end a group of blocks that share their pages:
	// they stand in memory while it is built, eight bytes each.
	groupTokens = 1 << 20
	// groupMost is how many a group may have at most. A unit that would bring more
	// is full: it passes for having every token.
	groupMost = 2 * groupTokens
	// groupUnits ends a group as well: each page says something of each unit.
	groupUnits = 1 << 12
)

// Tokens are never 0.
func wordToken(word []byte) uint64 { return max(xxhash.Sum64(word), 1) }

func nameToken(of byte, name []byte) uint64 {
	return max((xxhash.Sum64(name)+uint64(of))*0x9e3779b97f4a7c15, 1)
}

// pageOf returns which of so many pages has a token.
func pageOf(token uint64, pages int) int {
	high, _ := bits.Mul64(token, uint64(pages))
	return int(high)
}

// probing is a walk through the bits of a filter that belong to a token.
type probing struct{ at, step uint32 }

func newProbe(token uint64) probing {
	token *= 0xd6e8feb86659fd93 // apart from pageOf, which took the high bits
	return probing{uint32(token), uint32(token>>32) | 1}
}

// next returns the next bit of a filter of so many.
func (p *probing) next(size int) int {
	at := int(uint64(p.at) * uint64(size) >> 32)
	p.at += p.step
	return at
}

func setBits(filter []byte, token uint64, probes int) {
	for p := newProbe(token); probes > 0; probes-- {
		at := p.next(len(filter) * 8)
		filter[at/8] |= 1 << (at % 8)
	}
}

func hasBits(filter []byte, token uint64, probes int) bool {
	if len(filter) == 0 {
		return false
	}
	for p := newProbe(token); probes > 0; probes-- {
		if at := p.next(len(filter) * 8); filter[at/8]&(1<<(at%8)) == 0 {
			return false
		}
	}
	return true
}

// tokenSet gathers distinct tokens, in the order in which they came.
type tokenSet struct {
	list  []uint64
	slots []uint64 // a hash table, open; 0 is empty
}

func (s *tokenSet) add(token uint64) {
	if 2*len(s.list) >= len(s.slots) {
		s.grow()
	}
	if at := s.find(token); s.slots[at] == 0 {
		s.slots[at] = token
		s.list = append(s.list, token)
	}
}

// find returns the slot that has the token, or else the one that it goes to.
func (s *tokenSet) find(token uint64) int {
	at := int(token*spread>>32) & (len(s.slots) - 1)
	for s.slots[at] != 0 && s.slots[at] != token {
		at = (at + 1) & (len(s.slots) - 1)
	}
	return at
}

// spread makes the places of tokens in a table this process's own: nobody can send
// words that all go to the same place.
var spread = rand.Uint64() | 1

func (s *tokenSet) grow() {
	s.slots = make([]uint64, max(4096, 2*len(s.slots)))
	for _, token := range s.list {
		s.slots[s.find(token)] = token
	}
}

func (s *tokenSet) clear() {
	s.list = s.list[:0]
	clear(s.slots)
}
