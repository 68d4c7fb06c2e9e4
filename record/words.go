package record

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// MaxWordLen is how much of a word counts, in bytes: of a longer one its beginning
// stands for it, in records and in what is asked for.
const MaxWordLen = 128

// EachWord calls do with each word of text in lower case: a run of letters, digits
// and underscores. It is how [Query.Words] are found, and an index of words must
// be made of the same. Where text is that of JSON, an escape ends a word or belongs
// to it as what it stands for; since text may also be none, as in C:\new, what
// follows a backslash is a word both with and without the escape's letter. The word is
// valid until do returns. It ends when do returns false.
func EachWord(text []byte, do func(word []byte) bool) {
	// Most words are plain: they are handed on as they stand in text. Those with
	// capitals are copied, and what has escapes or more than ASCII is gathered rune
	// by rune.
	var w *words
	for i := 0; i < len(text); {
		start := i
		for i < len(text) && kinds[text[i]] == plainByte {
			i++
		}
		if i == len(text) || kinds[text[i]] == otherByte {
			if i > start && !do(text[start:min(i, start+MaxWordLen)]) {
				break
			}
			i++
			continue
		}
		if w == nil {
			w = mixed.Get().(*words)
			w.do = do
		}
		end := i
		for end < len(text) && kinds[text[end]]&(plainByte|capitalByte) != 0 {
			end++
		}
		if end == len(text) || kinds[text[end]] == otherByte {
			if !w.ascii(text[start:end]) {
				break
			}
			i = end + 1
			continue
		}
		n, more := w.next(text[start:])
		if !more {
			break
		}
		i = start + n
	}
	if w != nil {
		*w = words{word: w.word[:0]}
		mixed.Put(w)
	}
}

// kinds are what a byte can be to [EachWord]: the end of a word, part of one as it
// stands, a capital, or something to look at closely.
var kinds = func() (k [256]byte) {
	for c := range k {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_':
			k[c] = plainByte
		case 'A' <= c && c <= 'Z':
			k[c] = capitalByte
		case c >= utf8.RuneSelf, c == '\\':
			k[c] = mixedByte
		}
	}
	return k
}()

const (
	otherByte   = 0
	plainByte   = 1
	capitalByte = 2
	mixedByte   = 4
)

// words gathers one word after the other.
type words struct {
	do      func([]byte) bool
	word    []byte
	escaped int // how many bytes of word are the letter of an escape
	long    bool
}

// mixed are those that nobody uses now.
var mixed = sync.Pool{New: func() any { return new(words) }}

// ascii takes a word that is plain but for its capitals, and reports whether to go on.
func (w *words) ascii(text []byte) bool {
	w.word = append(w.word[:0], text[:min(len(text), MaxWordLen)]...)
	for i, c := range w.word {
		if kinds[c] == capitalByte {
			w.word[i] = c + 'a' - 'A'
		}
	}
	return w.end()
}

// next gathers words up to where one has ended and none has begun. It returns how
// far that is, and whether to go on.
func (w *words) next(text []byte) (n int, more bool) {
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(text[i:])
		}
		if r == '\\' && i+1 < len(text) {
			size, more = w.escape(text[i:])
		} else {
			more = w.add(r)
		}
		if i += size; !more || len(w.word) == 0 {
			return i, more
		}
	}
	return len(text), w.end()
}

// add takes the next rune, and reports whether to go on.
func (w *words) add(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '_':
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		default:
			return w.end()
		}
	case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r):
		r = unicode.ToLower(r)
	default:
		return w.end()
	}
	if w.long || len(w.word)+utf8.RuneLen(r) > MaxWordLen+w.escaped {
		w.long = true
		return true
	}
	w.word = utf8.AppendRune(w.word, r)
	return true
}

// escape takes what stands at a backslash, and returns how long that is.
func (w *words) escape(text []byte) (n int, more bool) {
	switch c := text[1]; c {
	case 'u':
		if r, ok := hexRune(text[2:]); ok {
			return 6, w.add(r)
		}
	case 'b', 'f', 'n', 'r', 't':
		if !w.end() {
			return 2, false
		}
		more = w.add(rune(c))
		w.escaped = 1
		return 2, more
	case '\\', '"', '/':
		return 2, w.end()
	}
	return 1, w.end()
}

// hexRune reads the four digits of \uXXXX. Halves of surrogate pairs are no runes.
func hexRune(text []byte) (r rune, ok bool) {
	if len(text) < 4 {
		return 0, false
	}
	for _, c := range text[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, utf8.ValidRune(r)
}

// end ends the word, and reports whether to go on.
func (w *words) end() bool {
	word, escaped := w.word, w.escaped
	w.word, w.escaped, w.long = w.word[:0], 0, false
	if len(word) > escaped && escaped > 0 && !w.do(word[escaped:]) {
		return false
	}
	if len(word) > MaxWordLen {
		word = word[:MaxWordLen]
	}
	return len(word) == 0 || w.do(word)
}

// Words returns the words of text, each once, in the order in which they stand.
func Words(text string) (list []string) {
	seen := make(map[string]bool)
	EachWord([]byte(text), func(word []byte) bool {
		if !seen[string(word)] {
			seen[string(word)] = true
			list = append(list, string(word))
		}
		return true
	})
	return list
}

// EachWordOf calls do with each word of what [Query.Words] are sought in: URI,
// query, headers, trailers and bodies of r. URI and query count as they stand
// and as what their percent-encoding stands for. It ends when do returns false.
func EachWordOf(r *Record, do func(word []byte) bool) {
	more := true
	next := func(word []byte) bool { more = do(word); return more }
	each := func(text []byte) {
		if more {
			EachWord(text, next)
		}
	}
	for _, part := range [...]string{r.URI, r.Query} {
		each([]byte(part))
		if strings.Contains(part, "%") {
			each(unescape(part))
		}
	}
	for _, headers := range [...]Headers{r.RequestHeaders, r.ResponseHeaders, r.RequestTrailers, r.ResponseTrailers} {
		for i := range headers {
			each([]byte(headers[i].Name))
			each([]byte(headers[i].Value))
		}
	}
	each(r.RequestBody.Content)
	each(r.ResponseBody.Content)
}

// unescape undoes percent-encoding where it is one.
func unescape(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if r, ok := hexRune([]byte{'0', '0', s[i+1], s[i+2]}); ok {
				out = append(out, byte(r))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return out
}

// MatchWords reports whether all of Words stand in r, whose bodies have their
// contents.
func (q *Query) MatchWords(r *Record) bool {
	if len(q.Words) == 0 {
		return true
	}
	missing := slices.Clone(q.Words)
	EachWordOf(r, func(word []byte) bool {
		missing = slices.DeleteFunc(missing, func(asked string) bool { return asked == string(word) })
		return len(missing) > 0
	})
	return len(missing) == 0
}
