// Package uripath reads the path of a request as servers do. They do not agree: so
// whoever decides by a path that a client has written asks for all readings.
package uripath

import (
	"net/url"
	"slices"
	"strings"
)

// Readings returns the segments of an escaped path in each way that servers may read
// it which clean it: each segment is decoded once, but for one that cannot be; empty
// ones and dots count for nothing, and two dots take one back. Where a path has coded
// slashes there is a second reading: that of servers to which they are slashes like
// others. What does not begin with a slash is no path, and has none.
func Readings(path string) [][]string {
	if !strings.HasPrefix(path, "/") {
		return nil
	}
	all := [][]string{clean(decoded(path))}
	if plain, err := url.PathUnescape(path); err == nil && strings.Count(plain, "/") > strings.Count(path, "/") {
		all = append(all, clean(strings.Split(plain, "/")))
	}
	return all
}

// Nth returns the nth segment of an escaped path, from 1: "" where there is none, or
// where servers may read it differently.
func Nth(path string, n int) string {
	var found string
	for i, segments := range Readings(path) {
		one := ""
		if n <= len(segments) {
			one = segments[n-1]
		}
		if i > 0 && one != found {
			return ""
		}
		found = one
	}
	return found
}

// decoded takes a path apart at its slashes, and decodes each part.
func decoded(path string) []string {
	parts := strings.Split(path, "/")
	if strings.IndexByte(path, '%') >= 0 {
		for i, part := range parts {
			if plain, err := url.PathUnescape(part); err == nil {
				parts[i] = plain
			}
		}
	}
	return parts
}

// clean does in place what [Readings] says of empty segments and of dots.
func clean(parts []string) []string {
	list := parts[:0]
	for _, part := range parts {
		switch part {
		case "", ".":
		case "..":
			list = list[:max(0, len(list)-1)]
		default:
			list = append(list, part)
		}
	}
	return slices.Clip(list)
}
