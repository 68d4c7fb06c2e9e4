package redact

import (
	"bytes"
)

// span is in[from:to] of some text.
type span struct{ from, to int }

// pair is what an object says of a value that is named by another member, as
// {"name": "password", "value": "x"}.
type pair struct {
	label span // the string that names it; judged when there is a value too
	// The value stands in in[from:to], behind so many edits, and is called name.
	// to is 0 where there is none yet.
	from, to, edits int
	name            step
}

// role is what a member may be in a pair.
type role byte

const (
	none role = iota
	label
	value
)

// roleOf tells the role by the end of a name: parameterKey, env_name, path as in
// JSON Patch (RFC 6902), defaultValue.
func roleOf(name []byte) role {
	if len(name) < len("key") {
		return none
	}
	switch name[len(name)-1] | 0x20 {
	case 'e':
		if endsFold(name, "name") {
			return label
		} else if endsFold(name, "alue") {
			return value
		}
	case 'y':
		if endsFold(name, "key") {
			return label
		}
	case 'h':
		if endsFold(name, "path") {
			return label
		}
	}
	return none
}

// endsFold reports whether name ends in the lower-case letters of end.
func endsFold(name []byte, end string) bool {
	at := len(name) - len(end)
	if at < 0 {
		return false
	}
	for i := range len(end) {
		if name[at+i]|0x20 != end[i] {
			return false
		}
	}
	return true
}

// paired reads the value at i of a member that has a role in a pair.
func (s *scanner) paired(p *pair, r role, i, at int) int {
	edits, name := len(s.edits), s.path[at]
	end := s.value(i)
	switch {
	case r == value:
		// Of a list that the text was cut in, too much would go.
		if scalar := i < len(s.in) && s.in[i] != '{' && s.in[i] != '['; end > 0 || end == ended && scalar {
			p.from, p.to, p.edits, p.name = i, end, edits, name
			if end == ended {
				p.to = len(s.in)
			}
		}
	case end > 0 && s.in[i] == '"':
		p.label = span{i + 1, end - 1}
		if p.to > 0 && s.labelled(p) {
			s.hidePaired(p, at)
			p.to = 0
		}
	}
	return end
}

// labelled reports whether a label was read that names a secret.
func (s *scanner) labelled(p *pair) bool {
	return p.label.to > 0 && s.isLabel(s.in[p.label.from:p.label.to])
}

// isLabel reports whether a string names a secret: it, or a step of the path
// that it is.
func (s *scanner) isLabel(raw []byte) bool {
	if s.r.names.harmless(raw) && !bytes.ContainsAny(raw, "./[\\") {
		return false
	}
	mark := len(s.scratch)
	defer func() { s.scratch = s.scratch[:mark] }()
	for part := range bytes.SplitSeq(s.decode(jsonCoding, raw), []byte("/")) {
		if s.r.names.field(part) {
			return true
		}
	}
	return false
}

// hidePaired hides a value that has been read already.
func (s *scanner) hidePaired(p *pair, at int) {
	here := s.path[at:]
	s.path = append(s.path[:at:at], p.name)
	first := p.edits
	switch {
	case p.to == len(s.in):
		s.drop(p.from, p.to)
	case s.in[p.from] == '"':
		mark := len(s.scratch)
		s.hide(p.from+1, p.to-1, s.decode(jsonCoding, s.in[p.from+1:p.to-1]), "")
		s.scratch = s.scratch[:mark]
	case s.in[p.from] != 'n': // null
		s.hide(p.from, p.to, s.in[p.from:p.to], `"`)
	}
	s.path = append(s.path[:at], here...)
	s.merge(first)
}

// cardNumber hides the number in[i:end] where it may be that of a card.
func (s *scanner) cardNumber(i, end int) {
	if end == ended {
		s.drop(i, len(s.in))
	} else if end > 0 && groupEnd(s.in, i) == end && end-i >= minCard {
		if to, _ := card(s.in[:end], i, false); to == end {
			s.hide(i, end, s.in[i:end], `"`)
		}
	}
}
