package redact

import (
	"encoding/binary"
	"math/bits"
)

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// text reads a string, and searches what may be written in it.
func (s *scanner) text(i int) int {
	end, escaped := s.quoted(i + 1)
	if s.secret || end == invalid {
		return end
	}
	if end == ended {
		s.inside(i+1, s.in[i+1:], true)
	} else if raw := s.in[i+1 : end-1]; escaped || opens(raw) || s.telling && s.tells(raw) || s.blank&highBits != 0 && speaks(raw) {
		s.inside(i+1, raw, false)
	}
	return end
}

// opens reports whether a string may hold JSON from its first byte on.
func opens(raw []byte) bool {
	return len(raw) > 0 && (raw[0] == '{' || raw[0] == '[' || raw[0] == ' ')
}

// tells reports whether a string without escapes may hold a secret elsewhere.
// Most hold none.
func (s *scanner) tells(raw []byte) bool {
	return s.equals && mayHold(raw, '=') || s.quotes && mayHold(raw, '\'') || s.users && mayHoldUsers(raw) ||
		s.tags && mayHoldMarkup(raw) || s.suspicious && s.r.suspect(raw)
}

// inside searches the string of which raw, at the index from, stands between
// the quotes. With cut, raw is only its beginning.
func (s *scanner) inside(from int, raw []byte, cut bool) {
	mark, edits := len(s.scratch), len(s.edits)
	plain := s.decode(jsonCoding, raw)
	switch {
	case s.search(plain, cut, s.level+1, jsonCoding):
		jsonCoding.outward(s.edits[edits:], raw, from)
	case cut:
		s.drop(from-1, len(s.in))
	default:
		s.hide(from, from+len(raw), plain, "")
	}
	s.scratch = s.scratch[:mark]
}

// quoted reads a string from the index behind its opening quote. Eight bytes are
// looked at at once, since most of a body is strings.
func (s *scanner) quoted(i int) (end int, escaped bool) {
	in, high, blank := s.in, s.high, uint64(0)
	for {
		for i+8 <= len(in) {
			w := binary.LittleEndian.Uint64(in[i:])
			high |= w
			// The lowest bit set marks the first byte that ends the run: a
			// control character or a quote, which with one bit changed are all
			// below '!', or a backslash.
			low, slash, space := w^(lowBits*2), w^(lowBits*'\\'), w^(lowBits*' ')
			space = (space - lowBits) &^ space
			stop := ((low-lowBits*'!')&^low | (slash-lowBits)&^slash) & highBits
			if stop != 0 {
				blank |= space & (stop&-stop - 1) // of what stands before
				i += bits.TrailingZeros64(stop) / 8
				break
			}
			blank |= space
			i += 8
		}
		if i >= len(in) {
			s.high, s.blank = high, blank
			return ended, escaped
		}
		switch c := in[i]; {
		case c == '"':
			s.high, s.blank = high, blank
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
			high, blank = high|uint64(c), highBits
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
