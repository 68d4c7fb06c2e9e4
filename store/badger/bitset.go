package badger

import "math/bits"

// bitset is a set of small numbers. One that is nil has them all.
type bitset []uint64

func newBitset(size int) bitset { return make(bitset, (size+63)/64) }

func (s bitset) add(i int) { s[i/64] |= 1 << (i % 64) }

func (s bitset) has(i int) bool {
	return s == nil || i/64 < len(s) && s[i/64]&(1<<(i%64)) != 0
}

// count returns how many numbers from..to-1 are in it.
func (s bitset) count(from, to int) (n int) {
	if s == nil {
		return to - from
	}
	for i := from; i < to; {
		if i%64 == 0 && to-i >= 64 {
			n += bits.OnesCount64(s[i/64])
			i += 64
			continue
		}
		if s.has(i) {
			n++
		}
		i++
	}
	return n
}

func (s bitset) empty() bool {
	for _, word := range s {
		if word != 0 {
			return false
		}
	}
	return s != nil
}
