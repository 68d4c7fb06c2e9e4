package redact

import (
	"bytes"
	"crypto/sha256"
	"fmt"
)

// substitute writes a line in the place of content that is not kept.
func (p *parts) substitute(word string, content []byte, cut bool) {
	switch {
	case isSubstitute(content):
		p.out = append(p.out, content...)
		return
	case cut:
		p.out = fmt.Appendf(p.out, "<%s %s%d%s>", word, atLeast, len(content), bytesWord)
	default:
		p.out = fmt.Appendf(p.out, "<%s %d%s%s%s>", word, len(content), bytesWord, digestWord, p.r.Digest(sha256.Sum256(content)))
	}
	p.note()
}

const (
	atLeast    = "at least "
	bytesWord  = " bytes"
	digestWord = ", hmac-sha256 "
	// maxSizeDigits is how many digits the size in such a line has: no body is
	// longer, and a card number is not taken for one.
	maxSizeDigits = 8
)

// isSubstitute reports whether text is a line that stands for content already.
func isSubstitute(text []byte) bool {
	rest, ok := bytes.CutPrefix(text, []byte("<file "))
	if !ok {
		if rest, ok = bytes.CutPrefix(text, []byte("<withheld ")); !ok {
			return false
		}
	}
	rest, cut := bytes.CutPrefix(rest, []byte(atLeast))
	digits := len(rest) - len(bytes.TrimLeft(rest, "0123456789"))
	rest, ok = bytes.CutPrefix(rest[digits:], []byte(bytesWord))
	if !ok || digits == 0 || digits > maxSizeDigits {
		return false
	}
	if !cut {
		if rest, ok = bytes.CutPrefix(rest, []byte(digestWord)); !ok || len(rest) != 2*sha256.Size+1 {
			return false
		}
		rest = bytes.TrimLeft(rest, "0123456789abcdef")
	}
	return string(rest) == ">"
}
