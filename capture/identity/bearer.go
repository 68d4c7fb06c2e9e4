package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/auditgate/auditgate/record"
)

// The bounds of what is taken from a token or a certificate. What is longer is
// left out: half a name would be another name.
const (
	MaxTokenLen = 16 << 10 // bytes of a token
	MaxClaimLen = 512      // bytes of one claim, and of one role
	MaxRoles    = 32       // roles of one actor; the first ones are taken
)

// FromBearer returns the actor whom the claims of a bearer JWT name, and
// whether they name one: sub, name or preferred_username, email, and a list of
// roles. Nothing is checked, so the actor is the client's word and marked
// unverified.
//
// It takes the value of an Authorization header with the scheme Bearer, or a
// bare token. Anything else, a token longer than [MaxTokenLen] or one that is
// no JWT in compact form (RFC 7519) names nobody.
func FromBearer(authorization string) (record.Actor, bool) {
	token := bare(authorization)
	if len(token) > MaxTokenLen || strings.IndexByte(token, ' ') >= 0 { // a space: another scheme
		return record.Actor{}, false
	}
	_, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.IndexByte(signature, '.') >= 0 {
		return record.Actor{}, false
	}
	var small [1024]byte // most payloads fit, and cost no allocation
	buf := small[:]
	if n := base64.RawURLEncoding.DecodedLen(len(payload)); n > len(buf) {
		buf = make([]byte, n)
	}
	n, err := base64.RawURLEncoding.Decode(buf, []byte(payload))
	if err != nil {
		return record.Actor{}, false
	}
	s := scanner{data: buf[:n]}
	a, ok := s.actor()
	if !ok || !a.Known() {
		return record.Actor{}, false
	}
	a.AuthMethod = "jwt"
	return a, true
}

// bare strips the scheme.
func bare(authorization string) string {
	const scheme = "bearer "
	if len(authorization) > len(scheme) && strings.EqualFold(authorization[:len(scheme)], scheme) {
		authorization = authorization[len(scheme):]
	}
	return strings.Trim(authorization, " ")
}

// scanner walks over a JSON object and stops at the few claims that are asked
// for. It runs on every call, where decoding into a struct costs several times
// as much; see BenchmarkFromBearer.
type scanner struct {
	data []byte
	pos  int
}

// actor reads the claims; false where they are no JSON object. It accepts some
// objects that are not quite JSON, which matters to nobody: the claims were
// not checked either.
func (s *scanner) actor() (a record.Actor, ok bool) {
	if !s.skip('{') {
		return a, false
	}
	var preferred string
	for !s.skip('}') {
		name, ok := s.quoted()
		if !ok || !s.skip(':') {
			return a, false
		}
		switch string(name) {
		case `"sub"`:
			ok = s.text(&a.UserID)
		case `"name"`:
			ok = s.text(&a.UserName)
		case `"preferred_username"`:
			ok = s.text(&preferred)
		case `"email"`:
			ok = s.text(&a.UserEmail)
		case `"roles"`:
			a.UserRoles, ok = s.list()
		default:
			ok = s.value()
		}
		if !ok || !s.skip(',') && s.peek() != '}' {
			return a, false
		}
	}
	if a.UserName == "" {
		a.UserName = preferred
	}
	return a, true
}

// peek returns the next byte that is no space, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// skip steps over c where it comes next.
func (s *scanner) skip(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// quoted reads a string, its quotes included.
func (s *scanner) quoted() ([]byte, bool) {
	if s.peek() != '"' {
		return nil, false
	}
	for i := s.pos + 1; i < len(s.data); i++ {
		switch s.data[i] {
		case '\\':
			i++
		case '"':
			str := s.data[s.pos : i+1]
			s.pos = i + 1
			return str, true
		}
	}
	return nil, false
}

// text reads a value into dst: a string that is fit to stand in a record.
// Other values are stepped over, and leave dst empty.
func (s *scanner) text(dst *string) bool {
	*dst = ""
	if s.peek() != '"' {
		return s.value()
	}
	str, ok := s.quoted()
	if !ok {
		return false
	}
	escaped := false
	for _, c := range str {
		escaped = escaped || c == '\\'
	}
	switch inner := str[1 : len(str)-1]; {
	case !escaped && len(inner) <= MaxClaimLen:
		*dst = clean(string(inner))
	case escaped && len(inner) <= 6*MaxClaimLen: // \u0041 is the longest way to write a byte
		var decoded string
		if json.Unmarshal(bytes.Clone(str), &decoded) != nil { // a clone, so that data can stay on the stack
			return false
		}
		*dst = clean(decoded)
	}
	return true
}

// list reads a value that is a list of strings. Elements that are something
// else are left out.
func (s *scanner) list() (list []string, ok bool) {
	if s.peek() != '[' {
		return nil, s.value()
	}
	s.pos++
	for !s.skip(']') {
		var item string
		if !s.text(&item) || !s.skip(',') && s.peek() != ']' {
			return nil, false
		}
		if item != "" && len(list) < MaxRoles {
			list = append(list, item)
		}
	}
	return list, true
}

// value steps over a value of any kind.
func (s *scanner) value() bool {
	depth := 0
	for {
		switch s.peek() {
		case 0:
			return false
		case '"':
			if _, ok := s.quoted(); !ok {
				return false
			}
		case '{', '[':
			depth++
			s.pos++
			continue
		case '}', ']':
			if depth--; depth < 0 {
				return false
			}
			s.pos++
		case ',', ':':
			if depth == 0 {
				return false
			}
			s.pos++
			continue
		default: // a number or a word
			for s.pos < len(s.data) && !isDelimiter(s.data[s.pos]) {
				s.pos++
			}
		}
		if depth == 0 {
			return true
		}
	}
}

func isDelimiter(c byte) bool {
	switch c {
	case ',', ':', '}', ']', '{', '[', '"', ' ', '\t', '\r', '\n', 0:
		return true
	}
	return false
}

// clean returns s if it is fit to stand in a record, else "": not too long,
// UTF-8, and without control characters, which would forge lines and colours
// wherever a name is shown.
func clean(s string) string {
	if len(s) > MaxClaimLen || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return ""
	}
	return s
}
