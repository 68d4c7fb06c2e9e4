// Package uripath reads the path of a request as servers do which clean it. They do not
// agree about coded slashes: so whoever decides by a path that a client has written asks
// for both readings.
//
// Others are not looked for: those of servers that keep dots or empty segments, that
// decode a path twice, or to which there are other slashes. To such a server a path that
// is written so is mostly the path of nothing.
package uripath

import (
	"net/url"
	"slices"
	"strings"
)

// Span is where a segment stands in its path: from From to before To.
type Span struct{ From, To int }

// Segments appends to dst where the segments of an escaped path stand, as servers read
// them which clean a path: empty ones and dots count for nothing, and two dots take one
// back, coded or not. Where coded is true a coded slash is a slash.
func Segments[T string | []byte](dst []Span, path T, coded bool) []Span {
	own := len(dst)
	for from := 0; from < len(path); {
		end, next := from, len(path)
		for ; end < len(path); end++ {
			if path[end] == '/' {
				next = end + 1
				break
			}
			if coded && path[end] == '%' && end+2 < len(path) && path[end+1] == '2' && path[end+2]|0x20 == 'f' {
				next = end + 3
				break
			}
		}
		switch {
		case end == from:
		case path[from] != '.' && path[from] != '%': // as nearly all of them
			dst = append(dst, Span{from, end})
		default:
			switch dots(path[from:end]) {
			case 0:
				dst = append(dst, Span{from, end})
			case 2:
				dst = dst[:max(own, len(dst)-1)]
			}
		}
		from = next
	}
	return dst
}

// dots returns how many dots a segment is, 1 or 2; 0 for any other.
func dots[T string | []byte](segment T) int {
	n, i := 0, 0
	for ; i < len(segment) && n < 3; n++ {
		switch {
		case segment[i] == '.':
			i++
		case i+2 < len(segment) && segment[i] == '%' && segment[i+1] == '2' && segment[i+2]|0x20 == 'e':
			i += 3
		default:
			return 0
		}
	}
	if n == 3 {
		return 0
	}
	return n
}

// Readings returns the segments of an escaped path in each way that servers may read
// it which clean it; see [Read].
func Readings(path string) (all [][]string) {
	for _, coded := range [...]bool{false, true} {
		if segments, ok := Read(path, coded); ok {
			all = append(all, segments)
		}
	}
	return all
}

// Read returns the segments of an escaped path, see [Segments]; each is decoded once, but
// for one that cannot be. Where coded is true it is the reading of servers to which coded
// slashes are slashes like others, and there is none where the path has no coded slash.
// What does not begin with a slash is no path, and has none at all.
func Read(path string, coded bool) (segments []string, ok bool) {
	if !strings.HasPrefix(path, "/") || coded && !codesSlash(path) {
		return nil, false
	}
	var room [32]Span
	spans := Segments(room[:0], path, coded)
	list := make([]string, len(spans))
	for i, s := range spans {
		list[i] = path[s.From:s.To]
		if strings.IndexByte(list[i], '%') < 0 {
			continue
		}
		if plain, err := url.PathUnescape(list[i]); err == nil {
			list[i] = plain
		}
	}
	return list, true
}

// codesSlash reports whether a path has coded slashes, and can be decoded.
func codesSlash(path string) bool {
	if strings.IndexByte(path, '%') < 0 {
		return false
	}
	plain, err := url.PathUnescape(path)
	return err == nil && strings.Count(plain, "/") > strings.Count(path, "/")
}

// Nth returns the nth segment of an escaped path, from 1, as servers read it: one that is
// "" where there is none, and several where they may read it differently, first that of
// those to which a coded slash is no slash.
func Nth(path string, n int) (all []string) {
	for _, segments := range Readings(path) {
		one := ""
		if n <= len(segments) {
			one = segments[n-1]
		}
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}
