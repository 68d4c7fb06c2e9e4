package redact

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// coding is a way to write a text inside another.
type coding byte

const (
	jsonCoding    coding = iota // the escapes of JSON strings (RFC 8259, section 7)
	percentCoding               // of forms and queries: %41, and + for a space
	markupCoding                // the references of XML and HTML: &amp; and &#65;
	asItIs                      // no coding
	betweenTags                 // none either, and the text has been searched for markup
)

// decode appends the text that raw stands for. What is no escape stands for
// itself; an escape that raw ends in the middle of, for nothing.
func (c coding) decode(dst, raw []byte) []byte {
	for {
		next := c.special(raw)
		dst = append(dst, raw[:next]...)
		if raw = raw[next:]; len(raw) == 0 {
			return dst
		}
		var size int
		dst, size = c.unit(dst, raw)
		raw = raw[size:]
	}
}

// special returns how many bytes raw begins with that stand for themselves.
func (c coding) special(raw []byte) int {
	switch c {
	case jsonCoding:
		return until(raw, '\\')
	case markupCoding:
		return until(raw, '&')
	case asItIs, betweenTags:
		return len(raw)
	}
	for i, b := range raw {
		if b == '%' || b == '+' {
			return i
		}
	}
	return len(raw)
}

// unit appends what the escape stands for that raw begins with, and returns
// the escape's length.
func (c coding) unit(dst, raw []byte) (plain []byte, size int) {
	switch c {
	case markupCoding:
		return reference(dst, raw)
	case percentCoding:
		if raw[0] == '+' {
			return append(dst, ' '), 1
		}
		if v, ok := hexByte(raw); ok {
			return append(dst, v), 3
		}
		return append(dst, '%'), 1
	}
	if len(raw) < 2 {
		return dst, len(raw)
	}
	if raw[1] != 'u' {
		if i := strings.IndexByte(`bfnrt`, raw[1]); i >= 0 {
			return append(dst, "\b\f\n\r\t"[i]), 2
		}
		return append(dst, raw[1]), 2
	}
	r, ok := hexRune(raw)
	if !ok {
		return dst, min(len(raw), 6)
	}
	if utf16.IsSurrogate(r) {
		if low, ok := hexRune(raw[6:]); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return utf8.AppendRune(dst, pair), 12
			}
		}
	}
	return utf8.AppendRune(dst, r), 6 // half a pair becomes U+FFFD
}

// references are those of XML (section 4.6), and the space of HTML.
var references = map[string]byte{"amp": '&', "lt": '<', "gt": '>', "quot": '"', "apos": '\'', "nbsp": ' '}

// reference appends what the reference stands for that raw begins with. One that
// is not known stands for itself.
func reference(dst, raw []byte) (plain []byte, size int) {
	const longest = 12
	end := bytes.IndexByte(raw[:min(len(raw), longest)], ';')
	if end < 2 {
		return append(dst, '&'), 1
	}
	name := string(raw[1:end])
	if c, ok := references[name]; ok {
		return append(dst, c), end + 1
	}
	if name[0] == '#' {
		base, digits := 10, name[1:]
		if digits != "" && digits[0]|0x20 == 'x' {
			base, digits = 16, digits[1:]
		}
		if r, err := strconv.ParseUint(digits, base, 21); err == nil && r > 0 {
			return utf8.AppendRune(dst, rune(r)), end + 1
		}
	}
	return append(dst, '&'), 1
}

// hexRune reads an escape like \u0041 at the beginning of raw.
func hexRune(raw []byte) (r rune, ok bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	return unhex(raw[2:6])
}

// unhex reads hexadecimal digits.
func unhex(digits []byte) (v rune, ok bool) {
	for _, c := range digits {
		switch c = folded[c]; {
		case c == 0 || c > 'f':
			return 0, false
		case c >= 'a':
			c -= 'a' - 10
		default:
			c -= '0'
		}
		v = v<<4 | rune(c)
	}
	return v, true
}

// hexByte reads an escape like %41 at the beginning of raw.
func hexByte(raw []byte) (c byte, ok bool) {
	if len(raw) < 3 || raw[0] != '%' {
		return 0, false
	}
	v, ok := unhex(raw[1:3])
	return byte(v), ok
}

// percentValid reports whether each % in raw begins an escape.
func percentValid(raw []byte) bool {
	for {
		i := bytes.IndexByte(raw, '%')
		if i < 0 {
			return true
		}
		if _, ok := hexByte(raw[i:]); !ok {
			return false
		}
		raw = raw[i+3:]
	}
}

// outward turns edits of the decoded text into edits of raw, which stands at
// offset in the text around it. What is not edited keeps its spelling.
func (c coding) outward(edits []edit, raw []byte, offset int) {
	var unit [utf8.UTFMax]byte
	in, out := 0, 0 // the same place in raw, and decoded
	// seek moves to the decoded offset to. Within an escape there is no place:
	// it stops before or behind it.
	seek := func(to int, behind bool) int {
		for out < to {
			if run := min(c.special(raw[in:min(len(raw), in+to-out)]), to-out); run > 0 {
				in, out = in+run, out+run
				continue
			}
			plain, size := c.unit(unit[:0], raw[in:])
			if out+len(plain) > to && !behind {
				break
			}
			in, out = in+size, out+len(plain)
		}
		if behind && in < len(raw) && c.special(raw[in:in+1]) == 0 {
			if plain, size := c.unit(unit[:0], raw[in:]); len(plain) == 0 {
				in += size // an escape that raw ends in the middle of
			}
		}
		return in + offset
	}
	for i := range edits {
		e := &edits[i]
		e.from = seek(e.from, false)
		e.to = seek(e.to, true)
		e.with = c.escape(e.with)
	}
}

// escape writes text, which holds nothing but values and quotes, in the coding.
func (c coding) escape(text string) string {
	switch {
	case c == percentCoding && strings.ContainsAny(text, `"\`):
		return url.QueryEscape(text)
	case c == jsonCoding:
		return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
	case c == markupCoding:
		return strings.ReplaceAll(text, `"`, "&quot;")
	}
	return text
}
