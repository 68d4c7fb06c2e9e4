package redact

import (
	"bytes"
)

// markup reads XML and HTML once, from left to right, and asks of both no more
// than that tags look like tags.
type markup struct {
	*job
	in      []byte
	cut     bool
	nesting int
	d       dialect // of the text between tags
	html    bool
	open    []tagged
	attrs   []attribute
	// hidden is the index of the open element of which all is secret; -1 where
	// there is none.
	hidden int
	before sibling
	// document is true where in begins with a tag, so that it is no prose with
	// <placeholders> in it. looks counts how often such a one was looked for.
	document bool
	looks    int
	// lost is true where a label was found that may be that of a column.
	lost bool
	// colon is true behind a label like "Password:", whatever tags follow.
	colon bool
	// grid is the element whose text was a label, until the next text: where
	// that stands in one of the same name, the labels may be those of columns.
	grid []byte
}

// tagged is an open element.
type tagged struct {
	name     []byte // with its prefix
	from     int    // where its content begins
	labels   bool   // its text names a secret
	children bool
	before   sibling
}

// sibling is the element that has just ended, before anything but spaces.
type sibling struct {
	label, waits bool // it names a secret; it is a value without a label
	name         []byte
	content      span
}

// markup finds the secrets in XML or HTML: elements and attributes with secret
// names, in any namespace; value beside name or key, as attributes or as
// siblings; what follows a label, as in property lists. Its texts are searched
// as what d says. It returns false where a label stands in a table, so that it
// cannot be told what it belongs to.
func (j *job) markup(in []byte, cut bool, nesting int, d dialect, html bool) bool {
	m := markup{job: j, in: in, cut: cut, nesting: nesting, d: d, html: html, hidden: -1, document: beginsWith(in, "<")}
	edits, levels, path := len(j.edits), len(j.levels), len(j.path)
	ok := m.read()
	j.levels, j.path = j.levels[:levels], j.path[:path]
	if ok {
		j.rough = j.rough || len(j.edits) > edits
		j.merge(edits)
	}
	return ok
}

func (m *markup) read() bool {
	for i := 0; i < len(m.in) && !m.lost; {
		tag, c := nextTag(m.in, i), markupCoding
		if n := len(m.open); n > 0 && m.html && isOneOf(m.open[n-1].name, " script style ") {
			tag = i + indexFold(m.in[i:], "</"+string(m.open[n-1].name))
			c = asItIs // in scripts a reference is none
		}
		m.text(i, tag, c)
		if i = tag; i < len(m.in) {
			i = m.tag(i)
		}
	}
	if m.cut && m.before.waits {
		m.take(m.before.content.from, m.before.content.to, markupCoding)
	}
	m.close(0, len(m.in), true)
	return !m.lost
}

// text reads the text in[from:to] between tags.
func (m *markup) text(from, to int, c coding) {
	trimmed := bytes.TrimSpace(m.in[from:to])
	if m.hidden >= 0 || len(trimmed) == 0 {
		return
	}
	start := from + bytes.Index(m.in[from:to], trimmed)
	before, grid, colon := m.before, m.grid, m.colon
	m.before, m.grid, m.colon = sibling{}, nil, false
	top := len(m.open) - 1
	switch {
	case colon || before.label && (labelling(before.name) || trimmed[0] == ':' || trimmed[0] == '='):
		m.take(start, start+len(trimmed), c)
		return
	case grid != nil && top >= 0 && bytes.Equal(grid, m.open[top].name):
		m.lost = true
		return
	}
	if len(trimmed) <= 2*MaxName {
		mark := len(m.scratch)
		text := bytes.TrimSpace(m.decode(c, trimmed))
		word := bytes.TrimRight(text, ":= ")
		label := !bytes.ContainsAny(word, "[]%=:\"'{}()&?/\n") && m.r.names.field(word)
		m.scratch = m.scratch[:mark]
		if label && len(word) < len(text) {
			m.colon = true
			return
		}
		if label && top >= 0 && bytes.IndexByte(word, ' ') < 0 {
			m.open[top].labels = true
			return
		}
	}
	m.leaf(from, to, c)
}

// leaf searches the text in[from:to], in which there are no tags.
func (m *markup) leaf(from, to int, c coding) {
	mark, edits := len(m.scratch), len(m.edits)
	raw := m.in[from:to]
	if c == markupCoding && !mayHold(raw, '&') {
		c = betweenTags
	}
	plain := m.decode(c, raw)
	cut := m.cut && to == len(m.in)
	switch {
	case m.d == plainText && !beginsWith(plain, `{["`):
		m.lost = m.lost || !m.job.text(plain, cut, m.nesting+1, m.d)
		m.detect(plain, cut, false, edits)
	case !m.search(plain, cut, m.nesting+1, c):
		m.take(from, to, c)
		m.scratch = m.scratch[:mark]
		return
	}
	c.outward(m.edits[edits:], raw, from)
	m.scratch = m.scratch[:mark]
}

// take hides the secret in[from:to], which is coded.
func (m *markup) take(from, to int, c coding) {
	if m.cut && to == len(m.in) {
		m.drop(from, to)
		return
	}
	if raw := m.in[from:to]; bytes.HasPrefix(raw, []byte("<![CDATA[")) && bytes.Index(raw, []byte("]]>")) == len(raw)-3 && len(raw) > 12 {
		from, to, c = from+9, to-3, asItIs
	}
	mark := len(m.scratch)
	m.hideWord(from, to, m.decode(c, m.in[from:to]))
	m.scratch = m.scratch[:mark]
}
