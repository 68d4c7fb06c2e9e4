package redact

import (
	"encoding/binary"
	"math/bits"
)

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// quoted reads a string from the index behind its opening quote. Eight bytes are
// looked at at once, since most of a body is strings.
func (s *scanner) quoted(i int) (end int, escaped bool) {
	in, high := s.in, s.high
	for {
		for i+8 <= len(in) {
			w := binary.LittleEndian.Uint64(in[i:])
			high |= w
			// The lowest bit set marks the first byte that ends the run: a
			// control character, a quote or a backslash.
			quote, slash := w^(lowBits*'"'), w^(lowBits*'\\')
			stop := ((w-lowBits*' ')&^w | (quote-lowBits)&^quote | (slash-lowBits)&^slash) & highBits
			if stop != 0 {
				i += bits.TrailingZeros64(stop) / 8
				break
			}
			i += 8
		}
		if i >= len(in) {
			s.high = high
			return ended, escaped
		}
		switch c := in[i]; {
		case c == '"':
			s.high = high
			return i + 1, escaped
		case c == '\\':
			escaped = true
			size := escape(in[i:])
			if size < 0 {
				s.high = high
				return size, true
			}
			i += size
		case c < ' ':
			return invalid, escaped
		default: // one of the last seven bytes of the text
			high |= uint64(c)
			i++
		}
	}
}

// escape returns the length of the escape that text begins with.
func escape(text []byte) int {
	if len(text) < 2 {
		return ended
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := unhex(text[2:min(6, len(text))]); !ok {
			return invalid
		}
		if len(text) < 6 {
			return ended
		}
		return 6
	}
	return invalid
}
