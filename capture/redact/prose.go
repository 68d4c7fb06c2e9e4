package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
)

// speaks reports whether in may be text with a secret in it that has neither =
// nor quotes: "password: x", "Bearer x", "--password x", "y {Password:x}", the label
// of PEM. It is a cheap first look at a text of one line: at what stands beside its
// spaces, eight bytes at once as in quoted. That is told by a few bits, which z, k, j
// and 2 share with r, c and the colon; m, k, +, ; and brackets with -, { and K: so it
// takes half the operations.
func speaks(in []byte) bool {
	const stride = 8
	last := len(in) - stride - 2
	if last < 0 || in[0] == '-' {
		return speaksAt(in)
	}
	found := uint64(0)
	for i := 0; ; i += stride {
		i = min(i, last) // the end, with some bytes twice
		b := in[i : i+stride+2]
		before, here, behind := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[1:]), binary.LittleEndian.Uint64(b[2:])
		space := here ^ lowBits*' '
		letter := before &^ (before >> 1) & (before>>3 ^ before<<1) << 6
		mark := behind & (behind >> 3) & (behind>>1 ^ behind>>2) << 7
		found |= (space - lowBits) &^ space & (letter | mark)
		if i == last {
			break
		}
	}
	return found&highBits != 0 && speaksAt(in)
}

// speaksAt looks at each space.
func speaksAt(in []byte) bool {
	if len(in) == 0 {
		return false
	}
	for i := 1; i < len(in)-1; i++ {
		if in[i] == ' ' && (in[i+1] == '-' || in[i+1] == '{' || in[i-1] == ':' || bytes.HasPrefix(in[i:], []byte(" KEY")) || endsFold(in[:i], "bearer") || endsFold(in[:i], "basic")) {
			return true
		}
	}
	return in[0] == '-'
}

// mayAssign tells what may stand behind a name that a value is given to.
var mayAssign = func() (t [256]bool) {
	for _, c := range "\"'`\\]) \t\r\n=:" {
		t[c] = true
	}
	return t
}()

// mayBeAssigned reports whether what follows a name that ends at i may say that a
// value is given to it.
func mayBeAssigned(in []byte, i int) bool {
	i = skip(in, i, "\"'`\\]) \t\r\n")
	return i < len(in) && (in[i] == '=' || in[i] == ':')
}

// dialectOf returns how embedded text is to be read behind the secret name
// in[start:end]; table where the name is a word of prose.
func dialectOf(in []byte, start, end int, severalLines bool) dialect {
	tight := end < len(in) && in[end] == '='
	before := bytes.TrimRight(in[:start], " \t\r*#>|\"'")
	before = bytes.TrimRight(bytes.TrimSuffix(before, []byte("export")), " \t-")
	first := len(before) == 0 || before[len(before)-1] == '\n'
	switch {
	case inQuotes(in, start, end):
		return embedded
	case first && (!tight || severalLines):
		return plainText
	case isMember(in, start, end), tight, in[start] == '-', bytes.ContainsAny(in[start:end], "_-.["), in[skip(in, end, "\"'`\\]) \t\r\n")] == '=':
		return embedded
	}
	return table
}

// isMember reports whether the name in[start:end] is one of a list of arguments or
// an object, as in login(user: "x", password: "y") and {User:x Password:y}. Words of
// prose are not.
func isMember(in []byte, start, end int) bool {
	const longest = 1 << 10 // how far the brace is looked for
	colon := skip(in, end, "\"'`\\]) \t")
	before := bytes.TrimRight(in[:start], " \t")
	if colon == len(in) || len(before) == 0 {
		return false
	}
	value := skip(in, colon+1, " \t\\")
	switch {
	case value == len(in):
		return false
	case in[value] == '"' || in[value] == '\'':
		return bytes.IndexByte([]byte("({[,\"'"), before[len(before)-1]) >= 0
	case value > end+1:
		return false
	}
	return bytes.IndexByte([]byte(" {,"), in[start-1]) >= 0 && mayHold(in[max(0, start-longest):start], '{')
}

// credentialsBehind returns the credentials that follow the scheme
// in[start:end] of an Authorization header, where it is one.
func credentialsBehind(in []byte, start, end int, cut bool) (from, to int) {
	name := in[start:end]
	if len(name) < len("basic") || len(name) > len("nbearer") || end == len(in) || in[end] != ' ' {
		return 0, 0
	}
	if start > 0 && in[start-1] == '\\' && len(name) > len("basic") {
		name = name[1:] // \nBasic
	}
	basic := bytes.EqualFold(name, []byte("basic"))
	if !basic && !bytes.EqualFold(name, []byte("bearer")) {
		return 0, 0
	}
	from = skip(in, end, " ")
	for to = from; to < len(in) && (inName[in[to]] || in[to] == '+' || in[to] == '/' || in[to] == '~') && in[to] != '['; to++ {
	}
	word := bytes.TrimRight(in[from:to], ".")
	to = skip(in, from+len(word), "=")
	next := byte(' ')
	if to < len(in) {
		next = in[to]
	}
	switch {
	case cut && to == len(in):
		return from, to
	case to > from+len(word) && (next == '"' || folded[next] != 0): // realm="x"
		return 0, 0
	case basic && isBasic(word), !basic && isOpaque(word):
		return from, to
	}
	return 0, 0
}

// isBasic reports whether word is a user name and a password as RFC 7617 writes
// them.
func isBasic(word []byte) bool {
	pair, err := base64.RawStdEncoding.AppendDecode(nil, word)
	return err == nil && bytes.IndexByte(pair, ':') >= 0
}

// isOpaque reports whether word looks like no word of a language.
func isOpaque(word []byte) bool {
	const longest = 16 // authentication, credentials
	if len(word) >= longest {
		return true
	}
	for i, c := range word {
		if '0' <= c && c <= '9' || i > 0 && 'A' <= c && c <= 'Z' && 'a' <= word[i-1] {
			return true
		}
	}
	return false
}

// argument returns the word that follows the option in[start:end], as x does in
// --password x.
func argument(in []byte, start, end int) (from, to int) {
	if in[start] != '-' || start > 0 && in[start-1] == '\\' {
		return 0, 0
	}
	from = skip(in, end, " \t")
	if from == end || from == len(in) || in[from] == '-' {
		return 0, 0
	}
	if slashes := skip(in, from, `\`) - from; from+slashes < len(in) && (in[from+slashes] == '"' || in[from+slashes] == '\'') {
		from += slashes + 1
		return from, closingQuote(in, from, slashes)
	}
	return from, from + untilAny(in[from:], " \t\r\n\"'`<>|;&")
}

// isHost reports whether in[start:end] is the host of a URL, before a port.
func isHost(in []byte, start, end int) bool {
	return start > 0 && in[start-1] == '/' && end < len(in) && in[end] == ':'
}
