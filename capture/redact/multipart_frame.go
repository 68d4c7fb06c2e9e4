package redact

import (
	"bytes"
	"strings"
)

// maxBoundary is the greatest length of a boundary (RFC 2046, section 5.1.1).
const maxBoundary = 70

// frame is how the parts of a body are told apart.
type frame struct {
	dashed []byte // the boundary with the hyphens before it
	// newline ends the lines between parts, and those of their headers: CRLF,
	// or LF as some write it. All of one body are alike. It is "" until the first
	// one is seen.
	newline string
}

// newFrame returns the frame of bodies with a boundary, if it is one.
func newFrame(boundary string) (*frame, bool) {
	if len(boundary) == 0 || len(boundary) > maxBoundary || boundary[len(boundary)-1] == ' ' {
		return nil, false
	}
	for _, c := range []byte(boundary) {
		if folded[c] == 0 && strings.IndexByte("'()+_,-./:=? ", c) < 0 {
			return nil, false
		}
	}
	return &frame{dashed: []byte("--" + boundary)}, true
}

// delimiter is a line between parts: content[from:to], with the newline before
// it, which is not part of what it ends. Behind the last one there is no part.
type delimiter struct {
	from, to int
	last     bool
}

// next returns the first delimiter in content[i:], where i is 0 or behind
// another one. It is not ok where a line begins like one and is none, or
// differs from those before it.
func (f *frame) next(content []byte, i int) (d delimiter, found, ok bool) {
	for at := i; ; at++ {
		n := bytes.Index(content[at:], f.dashed)
		if n < 0 {
			return d, false, true
		}
		if at += n; at > 0 && content[at-1] != '\n' && content[at-1] != '\r' {
			continue // within a line
		}
		rest := content[at+len(f.dashed):]
		if d.last = bytes.HasPrefix(rest, []byte("--")); d.last {
			rest = rest[2:]
		}
		rest = bytes.TrimLeft(rest, " \t") // padding
		newline := newlineAt(rest, bytes.HasPrefix)
		switch {
		case newline != "":
		case isPrefix(rest, "\r\n") && d.last: // the end
		case isPrefix(rest, "\r\n"), string(rest) == "-" && !d.last:
			return d, false, true // cut off
		default:
			return d, false, false // the boundary goes on, as in the one of another body
		}
		d.from, d.to = at, len(content)-len(rest)+len(newline)
		if at > i {
			before := newlineAt(content[:at], bytes.HasSuffix)
			if d.from -= len(before); before == "" || !f.ends(before) {
				return d, false, false
			}
		}
		return d, true, newline == "" || f.ends(newline)
	}
}

// ends reports whether lines end with newline, as those before did.
func (f *frame) ends(newline string) bool {
	if f.newline == "" {
		f.newline = newline
	}
	return f.newline == newline
}

// newlineAt returns the newline that text has at one of its ends, if there is one.
func newlineAt(text []byte, has func(text, newline []byte) bool) string {
	for _, newline := range []string{"\r\n", "\n"} {
		if has(text, []byte(newline)) {
			return newline
		}
	}
	return ""
}

// isPrefix reports whether text is a beginning of whole.
func isPrefix(text []byte, whole string) bool {
	return len(text) <= len(whole) && whole[:len(text)] == string(text)
}

// beforeDelimiter returns content without its last line, if that may be what a
// cut left of a delimiter.
func (f *frame) beforeDelimiter(content []byte) []byte {
	line := bytes.LastIndexAny(content, "\r\n") + 1
	if last := content[line:]; isPrefix(last, string(f.dashed)) || bytes.HasPrefix(last, f.dashed) {
		return bytes.TrimSuffix(bytes.TrimSuffix(content[:line], []byte("\n")), []byte("\r"))
	}
	return content
}

// header splits a part into its header and its content, with an empty line
// between, if there is one.
func (f *frame) header(part []byte) (header, content []byte, found bool) {
	if rest, ok := bytes.CutPrefix(part, []byte(f.newline)); ok {
		return nil, rest, true
	}
	header, content, found = bytes.Cut(part, []byte(f.newline+f.newline))
	if found {
		header = part[:len(header)+len(f.newline)]
	}
	return header, content, found
}
