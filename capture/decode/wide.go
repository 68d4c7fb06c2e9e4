package decode

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// unit is what a text is made of: UTF-16 of 2 bytes, UTF-32 of 4. The order is
// nil where a label does not tell it.
type unit struct {
	size  int
	order binary.ByteOrder
}

// wideLabels are the names of such texts. By the WHATWG "utf-16" is little-endian,
// by RFC 2781 it is not: without a byte order mark or NULs nobody knows.
var wideLabels = map[string]unit{
	"utf-16": {2, nil}, "utf16": {2, nil}, "unicode": {2, nil}, "ucs-2": {2, nil}, "iso-10646-ucs-2": {2, nil}, "csunicode": {2, nil},
	"utf-16le": {2, binary.LittleEndian}, "utf-16be": {2, binary.BigEndian},
	"unicodefeff": {2, binary.LittleEndian}, "unicodefffe": {2, binary.BigEndian},
	"utf-32": {4, nil}, "utf32": {4, nil},
	"utf-32le": {4, binary.LittleEndian}, "utf-32be": {4, binary.BigEndian},
}

// sniff tells from the first bytes of a text what it is made of: a byte order
// mark, or the NULs of two characters of ASCII, or of one in UTF-32. Its size
// is 0 where it is none.
func sniff(content []byte) unit {
	if len(content) < 4 || bytes.IndexByte(content, 0) < 0 {
		return unit{}
	}
	c := content[:4]
	switch mark := binary.BigEndian.Uint32(c); {
	case mark == 0xFFFE0000:
		return unit{4, binary.LittleEndian}
	case mark == 0x0000FEFF:
		return unit{4, binary.BigEndian}
	case mark>>16 == 0xFFFE:
		return unit{2, binary.LittleEndian}
	case mark>>16 == 0xFEFF:
		return unit{2, binary.BigEndian}
	}
	switch [4]bool{c[0] == 0, c[1] == 0, c[2] == 0, c[3] == 0} {
	case [4]bool{false, true, true, true}:
		return unit{4, binary.LittleEndian}
	case [4]bool{true, true, true, false}:
		return unit{4, binary.BigEndian}
	case [4]bool{false, true, false, true}:
		return unit{2, binary.LittleEndian}
	case [4]bool{true, false, true, false}:
		return unit{2, binary.BigEndian}
	}
	return unit{}
}

// decode returns content in UTF-8 without its byte order mark. It is not ok where
// content is no text in these units, or may be one in bytes as well.
func (u unit) decode(content []byte) (text []byte, ok bool) {
	if assigns(content) {
		return nil, false
	}
	text = make([]byte, 0, len(content)/u.size+len(content)/16)
	for i := 0; i+u.size <= len(content); i += u.size {
		r := u.at(content[i:])
		if u.size == 2 && utf16.IsSurrogate(r) {
			if i += u.size; i+u.size > len(content) {
				break // a cut went through it
			}
			if r = utf16.DecodeRune(r, u.at(content[i:])); r == utf8.RuneError {
				return nil, false
			}
		}
		switch {
		case r == '\uFEFF' && i == 0:
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7F, !utf8.ValidRune(r):
			return nil, false
		default:
			text = utf8.AppendRune(text, r)
		}
	}
	return text, true
}

// at returns the unit that b begins with. One of four bytes may be negative.
func (u unit) at(b []byte) rune {
	if u.size == 2 {
		return rune(u.order.Uint16(b))
	}
	return rune(u.order.Uint32(b))
}

// assigns reports whether a name of two letters and more is given a value in
// content as it is read byte by byte. In wide text there are NULs between.
func assigns(content []byte) bool {
	for i := 2; i < len(content); i++ {
		if c := content[i]; (c == '=' || c == ':') && isWord(content[i-1]) && isWord(content[i-2]) {
			return true
		}
	}
	return false
}

func isWord(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}
