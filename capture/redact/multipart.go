package redact

import (
	"bytes"
	"strings"

	"github.com/auditgate/auditgate/record"
)

const (
	// MaxParts is how many parts of a multipart body are read, with those of
	// multipart bodies in it. One line stands for the rest.
	MaxParts = 1000
	// MaxPartHeader is how long the header of a part may be, in bytes. A part with
	// a longer one is withheld.
	MaxPartHeader = 8 << 10
)

// multipart reads a body by its parts (RFC 2046, section 5.1; RFC 7578). What is
// kept is a multipart body again: the lines between the parts, their headers,
// and the fields, which are searched like those of a form or like bodies of
// their type. In the place of a file, and of what cannot be read, stands one
// line:
//
//	<file 12345 bytes, hmac-sha256 0123…>
//	<withheld at least 17 bytes>
//
// The digest is [Redactor.Digest]; a part that is cut off has none. What stands
// before the first line or behind the last is no part, and is withheld too.
//
// Receivers differ in what they make of framing that is not well-formed. A body
// with any line that some would take for the end of a part and others would
// not is unparsable; a part with such a header is withheld.
func (j *job) multipart(content []byte, cut bool, contentType string) (kept []byte, changed bool, reason string) {
	p := parts{job: j, left: MaxParts}
	if !p.read(content, cut, contentType) {
		return nil, false, record.ReasonUnparsable
	}
	if bytes.Equal(p.out, content) {
		return content, false, ""
	}
	return p.out, true, ""
}

// parts reads a multipart body and writes what may be kept of it to out.
type parts struct {
	*job
	out   []byte
	left  int // how many parts may still be read
	depth int // of multipart bodies in another
}

// read reads a body of a type, or reports that it cannot.
func (p *parts) read(content []byte, cut bool, contentType string) bool {
	contentType = strings.TrimSpace(contentType)
	mediaType, params, ok := parameters(contentType)
	if !ok || !asciiCharset(parameter(contentType, params, "charset")) {
		return false
	}
	switch mediaType {
	case "multipart/byteranges": // the name of a secret may stand outside
		return false
	case "multipart/digest": // its parts are mails
		return false
	}
	f, ok := newFrame(parameter(contentType, params, "boundary"))
	if !ok {
		return false
	}
	d, found, ok := f.next(content, 0)
	if !ok || !found {
		return false
	}
	p.aside(content[:d.from], false)
	for n := 0; ; n++ {
		p.out = append(p.out, content[d.from:d.to]...)
		if !d.last && p.left == 0 {
			p.substitute("withheld", content[d.to:], cut)
			return true
		}
		next, found, ok := f.next(content, d.to)
		if !ok || found && d.last {
			return false
		}
		if d.last {
			p.aside(content[d.to:], cut)
			return true
		}
		p.left--
		end := len(content)
		if found {
			end = next.from
		}
		if !p.part(content[d.to:end], n, f, cut && !found) {
			return false
		}
		if !found {
			return true
		}
		d = next
	}
}

// aside writes what is no part.
func (p *parts) aside(text []byte, cut bool) {
	if len(bytes.TrimSpace(text)) == 0 {
		p.out = append(p.out, text...)
	} else {
		p.substitute("withheld", text, cut)
	}
}

// part writes the part of index n. It returns false where the whole body cannot
// be read.
func (p *parts) part(raw []byte, n int, f *frame, cut bool) bool {
	if len(raw) == 0 || isSubstitute(raw) {
		p.out = append(p.out, raw...)
		return true
	}
	header, content, found := f.header(raw)
	if !found && cut {
		p.note() // the beginning of a header tells nothing
		return true
	}
	h, ok := partHeader{}, found
	if ok {
		h, ok = readPartHeader(header, f.newline)
	}
	if !ok {
		p.enterPart("", n)
		p.substitute("withheld", raw, cut)
		p.leave()
		return true
	}
	if h.name == "_charset_" && !asciiCharset(string(content)) { // RFC 7578, section 4.6
		return false
	}
	p.enterPart(h.name, n)
	defer p.leave()
	for i := range h.fields {
		p.header(&h.fields[i], f.newline)
	}
	p.out = append(p.out, raw[len(header):len(raw)-len(content)]...)
	p.content(content, &h, f, cut)
	return true
}

// enterPart makes a part of the body a part of the path: by the name of its
// field, or by its index where it has none or one with a secret in it.
func (p *parts) enterPart(name string, n int) {
	places := len(p.places)
	if name != "" && p.line(name) == name {
		p.enter([]byte(name))
		return
	}
	p.places = p.places[:places]
	p.levels = append(p.levels, level{nil, false, len(p.path)})
	p.path = append(p.path, step{element, n})
}

// header writes a field of the header of a part. The parameters of one are
// searched apart, so that their quotes stay.
func (p *parts) header(f *partField, newline string) {
	p.out = append(p.out, f.Name...)
	p.out = append(p.out, ':')
	p.out = append(p.out, f.space...)
	from := 0
	for _, param := range f.params {
		p.out = append(p.out, f.Value[from:param.from]...)
		p.out = append(p.out, p.value(param.name, f.Value[param.from:param.to])...)
		from = param.to
	}
	if f.params != nil {
		p.out = append(p.out, f.Value[from:]...)
	} else {
		p.out = append(p.out, p.value(f.Name, f.Value)...)
	}
	p.out = append(p.out, newline...)
}

// value returns a value in a header free of secrets.
func (p *parts) value(name, value string) string {
	if p.r.names.header(name) {
		return p.credentials(&record.Field{Name: name, Value: value})
	}
	return p.line(value)
}

// content writes the content of a part.
func (p *parts) content(content []byte, h *partHeader, f *frame, cut bool) {
	k := kindOf(h.kind)
	switch {
	case len(content) == 0:
	case h.file, k == media:
		if cut {
			content = f.beforeDelimiter(content)
		}
		p.substitute("file", content, cut)
	case p.judge(p.secretField(h.name)):
		if cut {
			p.drop(0, len(content))
		} else {
			p.hide(0, len(content), content, "")
		}
		p.applied(content)
	case h.encoded || !asciiCharset(h.charset):
		p.substitute("withheld", content, cut)
	case k == multipart:
		p.nestedParts(content, h, cut)
	case h.name != "" && k == plain && isText(content) && bytes.IndexByte(content, '\n') < 0:
		p.field(content, cut)
	default:
		kept, _, reason := p.body(content, cut, k)
		p.edits = p.edits[:0]
		if reason != "" {
			p.substitute("withheld", content, cut)
		} else {
			p.out = append(p.out, kept...)
		}
	}
}

// secretField judges the name of a field as it stands, and as browsers write
// quotes and the ends of lines in it.
func (p *parts) secretField(name string) bool {
	raw := []byte(name)
	mark := len(p.scratch)
	secret := p.r.names.field(raw) || p.r.names.field(p.decode(percentCoding, raw))
	p.scratch = p.scratch[:mark]
	return secret
}

// field writes the value of a field of one line: like that of a form it may hold
// JSON or a URL.
func (p *parts) field(value []byte, cut bool) {
	switch {
	case p.search(value, cut, 0, jsonCoding):
	case cut:
		p.drop(0, len(value))
	default:
		p.hide(0, len(value), value, "")
	}
	p.applied(value)
}

// applied writes text as changed by the edits.
func (p *parts) applied(text []byte) {
	p.out = append(p.out, p.apply(text)...)
	p.edits = p.edits[:0]
}

// nestedParts writes a part that is multipart itself.
func (p *parts) nestedParts(content []byte, h *partHeader, cut bool) {
	out, places := len(p.out), len(p.places)
	p.depth++
	ok := p.depth <= MaxNesting && p.read(content, cut, h.kind)
	p.depth--
	if !ok {
		p.out, p.places = p.out[:out], p.places[:places]
		p.substitute("withheld", content, cut)
	}
}
