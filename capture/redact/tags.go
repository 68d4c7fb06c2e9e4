package redact

import (
	"bytes"
	"slices"
)

// tag reads what begins with the < at i, and returns where it ends.
func (m *markup) tag(i int) (next int) {
	rest := m.in[i:]
	for _, t := range [...]struct{ open, close string }{{"<![CDATA[", "]]>"}, {"<!--", "-->"}, {"<?", "?>"}, {"<!", ">"}} {
		if !bytes.HasPrefix(rest, []byte(t.open)) {
			continue
		}
		from, end, next := i+len(t.open), len(m.in), len(m.in)
		if n := bytes.Index(m.in[from:], []byte(t.close)); n >= 0 {
			end, next = from+n, from+n+len(t.close)
		}
		if t.open == "<![CDATA[" {
			m.text(from, end, asItIs)
		} else if m.hidden < 0 {
			m.leaf(from, end, asItIs)
		}
		return next
	}
	if len(rest) > 1 && rest[1] == '/' {
		return m.endTag(i)
	}
	return m.start(i)
}

// start reads the start tag at i.
func (m *markup) start(i int) (next int) {
	in := m.in
	name := in[i+1 : i+1+untilAny(in[i+1:], " \t\r\n/>=\"'<")]
	next, closed, ok := m.attributes(i + 1 + len(name))
	switch {
	case !ok && m.cut && next == len(in):
		if m.hidden < 0 {
			m.drop(i, next)
		}
		return next
	case !ok:
		next = nextTag(in, i+1)
		m.text(i, next, markupCoding)
		return next
	}
	before, void := m.before, closed || m.html && isOneOf(name, voidElements)
	if m.hidden < 0 {
		if m.before.label && labelling(before.name) && bytes.EqualFold(before.name, name) || bytes.Equal(m.grid, name) {
			m.lost = true
			return next
		}
		m.before = sibling{}
		if n := len(m.open); n > 0 {
			m.open[n-1].children = true
		}
		labelled := m.colon || before.label && labelling(before.name)
		m.colon = m.colon && void
		m.enter(local(name))
		secret := m.judge(m.r.names.field(local(name)) || labelled)
		secret = m.searchAttributes(secret) || secret
		if slices.ContainsFunc(m.attrs, func(a attribute) bool { return a.value.to == 0 }) {
			m.leaf(i, next, betweenTags) // it may be text in angle brackets
		}
		switch {
		case void:
			m.leave()
			return next
		case secret && (m.document || m.closes(next, name)):
			m.hidden = len(m.open)
		}
	}
	if void {
		return next
	}
	if len(m.open) == MaxDepth {
		m.lost = true
		return next
	}
	m.open = append(m.open, tagged{name: name, from: next, before: before})
	return next
}

// voidElements have no content in HTML.
const voidElements = " area base br col embed hr img input link meta param source track wbr "

// closes reports whether an end tag of name follows, or may follow: it is not
// looked for without end.
func (m *markup) closes(i int, name []byte) bool {
	const most = 64
	m.looks++
	return m.cut || m.looks > most || bytes.Contains(m.in[i:], append([]byte("</"), name...))
}

// endTag reads the end tag at i.
func (m *markup) endTag(i int) (next int) {
	end := i + len("</")
	for end < len(m.in) && (inName[m.in[end]] || m.in[end] == ':') {
		end++
	}
	name := m.in[i+2 : end]
	switch end = skip(m.in, end, " \t\r\n"); {
	case end < len(m.in) && m.in[end] == '>':
		m.end(i, name)
		return end + 1
	case end == len(m.in) && m.cut:
		return end
	}
	next = nextTag(m.in, i+1)
	m.text(i, next, markupCoding)
	return next
}

// end closes the element of name before i. What is not open needs no end.
func (m *markup) end(i int, name []byte) {
	for n := len(m.open) - 1; n >= 0; n-- {
		if bytes.EqualFold(m.open[n].name, name) {
			m.lost = m.lost || m.hidden < 0 && m.before.label && isOneOf(m.before.name, " th ")
			m.close(n, i, false)
			return
		}
	}
}

// close ends the open elements from n on, before the index i; all of them where the
// text ends.
func (m *markup) close(n, i int, all bool) {
	for len(m.open) > n {
		top := len(m.open) - 1
		e := m.open[top]
		m.open = m.open[:top]
		if m.hidden >= 0 && m.hidden < top {
			continue
		}
		text := m.in[e.from:i]
		content := span{e.from + len(text) - len(bytes.TrimLeft(text, " \t\r\n")), e.from + len(bytes.TrimRight(text, " \t\r\n"))}
		content.to = max(content.to, content.from)
		waits := roleOf(local(e.name)) == value && !labelling(e.before.name) && !e.children
		if m.hidden == top {
			m.hidden = -1
			m.take(content.from, content.to, markupCoding)
		} else if all && m.cut && waits {
			m.take(content.from, content.to, markupCoding)
		}
		m.leave()
		if e.before.waits && (e.labels || all && m.cut && labelling(e.name)) {
			m.take(e.before.content.from, e.before.content.to, markupCoding)
		}
		m.before = sibling{label: e.labels, waits: waits, name: e.name, content: content}
		if e.labels {
			m.grid = e.name
		}
	}
}
