package redact

import (
	"bytes"
	"strings"
)

// attribute has its name in in[name.from:name.to], and so on.
type attribute struct{ name, value span }

// nextTag returns where the first tag, comment or the like begins in in[i:].
func nextTag(in []byte, i int) int {
	for ; i < len(in); i++ {
		i += until(in[i:], '<')
		if i+1 == len(in) {
			return i
		}
		if i < len(in) && (in[i+1] == '/' || in[i+1] == '!' || in[i+1] == '?' || in[i+1] == '_' || in[i+1] >= 0x80 || 'a' <= in[i+1]|0x20 && in[i+1]|0x20 <= 'z') {
			return i
		}
	}
	return len(in)
}

// mayHoldMarkup reports whether in may hold markup, or what references make one.
func mayHoldMarkup(in []byte) bool { return mayHold(in, '<') || mayHold(in, '&') }

// hasTag reports whether in may hold markup.
func hasTag(in []byte) bool { return mayHold(in, '<') && nextTag(in, 0) < len(in) }

// attributes reads the attributes of a tag from the index i on. It returns where
// the tag ends, and whether it is an element without content; not ok, and where
// it cannot be read on, where it is no tag.
func (m *markup) attributes(i int) (next int, closed, ok bool) {
	in := m.in
	m.attrs = m.attrs[:0]
	for {
		closed = false
		for i < len(in) && (in[i] == '/' || in[i] <= ' ') {
			closed = in[i] == '/'
			i++
		}
		if i == len(in) || in[i] == '<' {
			return i, false, false
		}
		if in[i] == '>' {
			return i + 1, closed, true
		}
		if in[i] == '=' {
			return i, false, false
		}
		var a attribute
		a.name.from = i
		for i++; i < len(in) && in[i] > ' ' && strings.IndexByte("=>/<", in[i]) < 0; i++ {
		}
		a.name.to = i
		equal := skip(in, i, " \t\r\n")
		if equal < len(in) && in[equal] == '=' {
			if i = skip(in, equal+1, " \t\r\n"); i == len(in) {
				return i, false, false
			}
			a.value.from = i
			if in[i] == '"' || in[i] == '\'' {
				a.value.from++
				if a.value.to = i + 1 + until(in[i+1:], in[i]); a.value.to == len(in) {
					if m.cut {
						i = len(in)
					}
					return i, false, false
				}
				i = a.value.to + 1
			} else {
				i += untilAny(in[i:], " \t\r\n>")
				a.value.to = i
			}
		}
		m.attrs = append(m.attrs, a)
	}
}

// searchAttributes searches the attributes of a tag, and reports whether one says
// that the content of the element is secret. labelled says the same of its value.
func (m *markup) searchAttributes(labelled bool) (named bool) {
	for _, a := range m.attrs {
		name := local(m.in[a.name.from:a.name.to])
		if roleOf(name) != label && !isOneOf(name, " type id for field ") {
			continue
		}
		mark := len(m.scratch)
		if m.r.names.field(m.decode(markupCoding, m.in[a.value.from:a.value.to])) {
			labelled = true
			named = named || roleOf(name) == label
		}
		m.scratch = m.scratch[:mark]
	}
	for _, a := range m.attrs {
		raw := m.in[a.value.from:a.value.to]
		name := local(m.in[a.name.from:a.name.to])
		if len(raw) == 0 || bytes.HasPrefix(m.in[a.name.from:a.name.to], []byte("xmlns")) {
			continue
		}
		m.enter(name)
		if m.r.names.field(name) || labelled && (roleOf(name) == value || isOneOf(name, " content default val string ")) {
			m.take(a.value.from, a.value.to, markupCoding)
		} else {
			mark, edits := len(m.scratch), len(m.edits)
			if plain := m.decode(markupCoding, raw); m.search(plain, false, m.nesting+1, markupCoding) {
				markupCoding.outward(m.edits[edits:], raw, a.value.from)
			} else {
				m.take(a.value.from, a.value.to, markupCoding)
			}
			m.scratch = m.scratch[:mark]
		}
		m.leave()
	}
	return named
}

// labelling reports whether the text of an element of this name names what
// follows.
func labelling(name []byte) bool {
	return roleOf(local(name)) == label || isOneOf(local(name), " dt th label b strong em span ")
}

// local returns a name without the prefix of its namespace.
func local(name []byte) []byte { return name[bytes.IndexByte(name, ':')+1:] }

// isOneOf reports whether name, in lower case, is one of the words in list.
func isOneOf(name []byte, list string) bool {
	return len(name) < MaxName && strings.Contains(list, " "+strings.ToLower(string(name))+" ")
}

// indexFold returns where word, in lower case, stands first in in; the length of in
// where it does not.
func indexFold(in []byte, word string) int {
	for i := 0; i < len(in); i++ {
		i += until(in[i:], word[0])
		if len(in)-i >= len(word) && strings.EqualFold(string(in[i:i+len(word)]), word) {
			return i
		}
	}
	return len(in)
}
