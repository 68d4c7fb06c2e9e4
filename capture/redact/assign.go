package redact

import (
	"bytes"
)

// inName tells which bytes are part of a name in text.
var inName = func() (t [256]bool) {
	for c := range t {
		t[c] = folded[c] != 0 || c >= 0x80
	}
	for _, c := range "-_.%[]" {
		t[c] = true
	}
	return t
}()

// nextName returns the first name in in[i:] and where it ends. An escape like
// \u0041 is part of a name.
func nextName(in []byte, i int) (name []byte, end int) {
	for i < len(in) && !inName[in[i]] && !isUnicodeEscape(in[i:]) {
		i = max(i+1, afterColour(in, i))
	}
	start := i
	for i < len(in) {
		if inName[in[i]] {
			i++
		} else if isUnicodeEscape(in[i:]) {
			i += 6
		} else {
			break
		}
	}
	return in[start:i], i
}

// afterColour returns where the sequence ends that begins at i and colours a text on
// a terminal (ECMA-48, SGR), i where there is none.
func afterColour(in []byte, i int) int {
	if i < 0 || i+1 >= len(in) || in[i] != 0x1B || in[i+1] != '[' {
		return i
	}
	if end := skip(in, i+2, "0123456789;"); end < len(in) && in[end] == 'm' {
		return end + 1
	}
	return i
}

func isUnicodeEscape(in []byte) bool {
	return in[0] == '\\' && len(in) >= 6 && in[1] == 'u' && escape(in) == 6
}

// inQuotes reports whether in[start:end] stands in quotes, escaped or not.
func inQuotes(in []byte, start, end int) bool {
	if start == 0 || in[start-1] != '"' && in[start-1] != '\'' {
		return false
	}
	quote := skip(in, end, `\`)
	return quote < len(in) && in[quote] == in[start-1]
}

// assigns is what signs that give a value are made of: =, :, =>, := and so on.
const assigns = ":=>~"

// assigned returns where the value begins that is given to a name which ends
// at i.
func assigned(in []byte, i int, d dialect) (value int, ok bool) {
	if d == embedded && i < len(in) && in[i] == '=' {
		return skip(in, i, assigns), true
	}
	i = skip(in, afterColour(in, i), "\"'`\\]) \t")
	// An attribute of a tag may be written on three lines.
	if next := skip(in, i, " \t\r\n"); next < len(in) && in[next] == '=' {
		value = skip(in, next+1, " \t\r\n")
		if value < len(in) && (in[value] == '"' || in[value] == '\'') {
			return value, true
		}
	}
	if i == len(in) || in[i] != '=' && in[i] != ':' {
		return 0, false
	}
	return skip(in, skip(in, i, assigns), " \t"), true
}

// labels reports whether in[start:end] stands where a tag, a column or a cell
// is named.
func labels(in []byte, start, end int) bool {
	tag := start
	for tag > 0 && (inName[in[tag-1]] || in[tag-1] == ':') && start-tag < MaxName {
		tag--
	}
	if tag > 0 && (in[tag-1] == '<' || in[tag-1] == '/' && tag > 1 && in[tag-2] == '<') {
		return true
	}
	if field := bytes.ToLower(in[max(0, start-6):start]); bytes.HasSuffix(field, []byte("name=")) && (len(field) == 5 || !inName[field[0]]) {
		return true // as multipart/form-data and HTML name fields, without quotes
	}
	const bounds = "<>,;|\"'`\t\r\n"
	before := bytes.TrimRight(in[:start], " \\")
	after := bytes.TrimLeft(in[end:], " \\")
	left := len(before) == 0 || start-len(before) > 1 || bytes.IndexByte([]byte(bounds), before[len(before)-1]) >= 0
	right := len(after) == 0 || len(in)-end-len(after) > 1 || bytes.IndexByte([]byte(bounds), after[0]) >= 0
	return left && right
}

// skip returns the index of the first byte from i on that is not in set.
func skip(in []byte, i int, set string) int {
	return len(in) - len(bytes.TrimLeft(in[i:], set))
}

// untilAny returns how many bytes stand before the first one of set; all,
// where there is none.
func untilAny(in []byte, set string) int {
	if i := bytes.IndexAny(in, set); i >= 0 {
		return i
	}
	return len(in)
}
