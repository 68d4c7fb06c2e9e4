package redact

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// MaxDepth is how deep JSON may be nested. What is deeper counts as invalid.
const MaxDepth = 512

// What the methods of scanner return in place of an index.
const (
	invalid = -1
	ended   = -2 // the text ended where more was due
	// restart asks for one more reading of the whole text, as pairs need it. Most
	// bodies have none, and are read without: a tenth faster.
	restart = -3
)

// scanner reads JSON (RFC 8259) once, from left to right. Its methods take the
// index where something begins, and return the one behind its end.
type scanner struct {
	*job
	in    []byte
	level int // how many texts are around this one
	depth int // of objects and arrays
	// secret is true within a secret value, where nothing is judged any more.
	secret bool
	// equals, quotes, users and tags are true where some string may hold
	// name=value, 'name': value, user information or markup; telling where one of
	// them is.
	equals, quotes, users, tags, telling bool
	// suspicious is true where some string may hold what detect looks for.
	suspicious bool
	// pairing is true once a member called value was read, since only then are
	// names and values matched: see restart.
	pairing bool
	// high collects the high bits of strings: whether all is ASCII.
	high uint64
	// blank has a high bit set where a space may stand in the string read last.
	blank uint64
}

// json finds the secrets in JSON: one value or several in a row, as Docker and
// Kubernetes stream them under application/json too. With cut, in is only the
// beginning. It reports whether in is what it should be; if not, nothing is
// edited.
func (j *job) json(in []byte, cut bool, nesting int) bool {
	s := scanner{job: j, in: in, level: nesting, equals: mayHold(in, '='), quotes: mayHold(in, '\''), users: mayHoldUsers(in), tags: mayHoldMarkup(in)}
	d := &j.r.detectors // speaks tells where PEM may be
	s.suspicious = d.jwt && holds(in, tokenMark, 'J') || d.card || len(j.r.paths) > 0
	s.telling = s.equals || s.quotes || s.users || s.tags || s.suspicious
	edits, places, path, levels := len(j.edits), len(j.places), len(j.path), len(j.levels)
	j.levels = append(j.levels, level{in, true, path})
	end := s.stream()
	if end == restart {
		j.edits, j.places = j.edits[:edits], j.places[:places]
		j.levels, j.path = j.levels[:levels+1], j.path[:path]
		s.secret, s.depth, s.pairing = false, 0, true
		end = s.stream()
	}
	j.levels, j.path = j.levels[:levels], j.path[:path]
	if end != invalid && (end != ended || cut) && (s.high&highBits == 0 || utf8.Valid(in)) {
		return true
	}
	j.edits, j.places = j.edits[:edits], j.places[:places]
	return false
}

func (s *scanner) stream() int {
	i := 0
	if bytes.HasPrefix(s.in, []byte("\xEF\xBB\xBF")) && s.level == 0 {
		i = 3
	}
	for first := true; ; first = false {
		next := s.space(i)
		for s.records && next < len(s.in) && s.in[next] == 0x1E {
			next = s.space(next + 1)
		}
		if next == len(s.in) {
			return next
		}
		if c := s.in[next]; next == i && !first && c != '{' && c != '[' {
			return invalid
		}
		if i = s.value(next); i < 0 {
			return i
		}
	}
}

func (s *scanner) value(i int) int {
	if i >= len(s.in) {
		return ended
	}
	switch c := s.in[i]; c {
	case '"':
		return s.text(i)
	case '{', '[':
		if s.depth == MaxDepth {
			return invalid
		}
		s.depth++
		at := len(s.path)
		s.path = append(s.path, step{element, 0})
		if c == '{' {
			i = s.object(i+1, at)
		} else {
			i = s.array(i+1, at)
		}
		s.path = s.path[:at]
		s.depth--
		return i
	case 't':
		return s.literal(i, "true")
	case 'f':
		return s.literal(i, "false")
	case 'n':
		return s.literal(i, "null")
	}
	end := s.number(i)
	if s.r.detectors.card && !s.secret {
		s.cardNumber(i, end)
	}
	return end
}

// object reads the members of an object, whose names are the step at of path.
func (s *scanner) object(i, at int) int {
	if !s.pairing {
		return s.members(i, at, nil)
	}
	var p pair
	end := s.members(i, at, &p)
	if end == ended && p.to > 0 && p.label.to == 0 && !s.secret {
		s.hidePaired(&p, at) // what it is may have followed
	}
	return end
}

func (s *scanner) members(i, at int, p *pair) int {
	if i = s.space(i); i < len(s.in) && s.in[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(s.in) {
			return ended
		}
		if s.in[i] != '"' {
			return invalid
		}
		from := i + 1
		next, escaped := s.quoted(from)
		if next < 0 {
			if next == ended && !s.secret {
				s.edits = append(s.edits, edit{i, len(s.in), ""}) // half a name tells nothing
			}
			return next
		}
		name, secret, levels := s.in[from:next-1], false, len(s.levels)
		s.path[at] = step{from, next - 1}
		if !s.secret {
			if escaped || opens(name) || s.telling && s.tells(name) {
				s.searchName(at, from, next-1)
			}
			if escaped || !s.r.names.harmless(name) || !(len(name) <= 8 && from >= 8 && dotless(s.in[:next-1])) && mayHold(name, '.') {
				if secret = s.secretName(name, escaped); !secret && !s.pairing && roleOf(name) == value {
					return restart
				}
			}
			if secret || len(s.pointers) > 0 {
				secret = s.judge(secret)
			}
		}
		if i = s.space(next); i >= len(s.in) {
			return ended
		}
		if s.in[i] != ':' {
			return invalid
		}
		i = s.space(i + 1)
		role := none
		if s.pairing && !secret && !s.secret {
			role = roleOf(name)
		}
		switch {
		case secret || role == value && s.labelled(p):
			i = s.hidden(i)
		case role == none:
			i = s.value(i)
		default:
			i = s.paired(p, role, i, at)
		}
		if len(s.levels) > levels {
			s.levels = s.levels[:levels]
		}
		if i < 0 {
			return i
		}
		if i = s.space(i); i >= len(s.in) {
			return ended
		}
		switch s.in[i] {
		case ',':
			i = s.space(i + 1)
		case '}':
			return i + 1
		default:
			return invalid
		}
	}
}

// array reads the elements of an array, whose index is the step at of path.
func (s *scanner) array(i, at int) int {
	if i = s.space(i); i < len(s.in) && s.in[i] == ']' {
		return i + 1
	}
	secret := false
	for n := 0; ; n++ {
		s.path[at] = step{element, n}
		from := i
		if !s.secret && len(s.pointers) > 0 {
			secret = s.judge(secret)
		}
		if secret {
			i = s.hidden(i)
		} else {
			i = s.value(i)
		}
		if i < 0 {
			return i
		}
		// In a list of arguments, x follows --password.
		secret = !s.secret && i-from > len(`"-"`) && s.in[from] == '"' && s.in[from+1] == '-' && s.r.names.field(s.in[from+1:i-1])
		if i = s.space(i); i >= len(s.in) {
			return ended
		}
		switch s.in[i] {
		case ',':
			i = s.space(i + 1)
		case ']':
			return i + 1
		default:
			return invalid
		}
	}
}

// searchName searches the name in[from:to], which is the step at of path. What is
// found is hidden in the path too, for as long as its levels are listed.
func (s *scanner) searchName(at, from, to int) {
	edits := len(s.edits)
	s.path = s.path[:at] // what stands in a name belongs to the object
	s.inside(from, s.in[from:to], false)
	s.path = append(s.path, step{from, to})
	if len(s.edits) > edits {
		redacted := splice(s.in, from, to, s.edits[edits:])
		s.path[at] = step{0, len(redacted)}
		s.levels = append(s.levels, level{redacted, true, at}, level{s.in, true, at + 1})
	}
}

// secretName judges a name, which is escaped as it stands.
func (s *scanner) secretName(name []byte, escaped bool) bool {
	if !escaped {
		return s.r.names.field(name)
	}
	mark := len(s.scratch)
	secret := s.r.names.field(s.decode(jsonCoding, name))
	s.scratch = s.scratch[:mark]
	return secret
}

// dotless reports that no dot stands in the last eight bytes of text. Most names
// are no longer, and a call of bytes.IndexByte for each takes a twentieth of all time.
func dotless(text []byte) bool {
	dot := binary.LittleEndian.Uint64(text[len(text)-8:]) ^ lowBits*'.'
	return (dot-lowBits)&^dot&highBits == 0
}
