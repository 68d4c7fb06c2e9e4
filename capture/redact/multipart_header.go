package redact

import (
	"strings"

	"github.com/auditgate/auditgate/record"
)

// space is what may stand around the words of a header, with the newlines of
// obsolete line folding.
const space = " \t\r\n"

// partHeader is what the header of a part says.
type partHeader struct {
	fields  []partField
	name    string // of a form's field, "" where there is none
	file    bool   // there is a file name
	kind    string // Content-Type, "" where there is none
	charset string // parameter of it
	encoded bool   // by a Content-Transfer-Encoding that changes it
}

// partField is a line of the header of a part, or several, folded.
type partField struct {
	record.Field
	space  string // before the value
	params []param
}

// readPartHeader reads header, whose lines end with newline. It is not ok where
// receivers may differ in what it says.
func readPartHeader(header []byte, newline string) (h partHeader, ok bool) {
	if len(header) > MaxPartHeader || !isText(header) {
		return h, false
	}
	seen := map[string]bool{}
	text := string(header)
	for text != "" {
		end := strings.Index(text, newline)
		for folded := end + len(newline); strings.HasPrefix(text[folded:], " ") || strings.HasPrefix(text[folded:], "\t"); folded = end + len(newline) {
			end = folded + strings.Index(text[folded:], newline)
		}
		name, value, ok := strings.Cut(text[:end], ":")
		text = text[end+len(newline):]
		if !ok || !isToken(name) || strings.ContainsAny(strings.ReplaceAll(value, newline, ""), "\r\n") {
			return h, false
		}
		trimmed := strings.TrimLeft(value, space)
		f := partField{Field: record.Field{Name: name, Value: trimmed}, space: value[:len(value)-len(trimmed)]}
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "content-") {
			if seen[name] || !h.read(name, &f) {
				return h, false
			}
			seen[name] = true
		}
		h.fields = append(h.fields, f)
	}
	return h, true
}

// read takes what matters from a field of the header.
func (h *partHeader) read(name string, f *partField) (ok bool) {
	switch name {
	case "content-disposition":
		if _, f.params, ok = parameters(f.Value); !ok {
			return false
		}
		h.name = parameter(f.Value, f.params, "name")
		for _, p := range f.params {
			h.file = h.file || strings.HasPrefix(p.name, "filename")
		}
	case "content-type":
		if _, f.params, ok = parameters(f.Value); !ok {
			return false
		}
		h.kind, h.charset = f.Value, parameter(f.Value, f.params, "charset")
	case "content-transfer-encoding":
		switch strings.ToLower(strings.TrimRight(f.Value, space)) {
		case "", "7bit", "8bit", "binary", "identity":
		default:
			h.encoded = true
		}
	}
	return true
}

// param is a parameter of a header: its name in lower case, and where its value
// stands, between quotes if there are any.
type param struct {
	name     string
	from, to int
}

// parameter returns the value of a parameter of in, "" where there is none.
func parameter(in string, params []param, name string) string {
	for _, p := range params {
		if p.name == name {
			return in[p.from:p.to]
		}
	}
	return ""
}

// parameters reads a value like that of Content-Type: a word in lower case, and
// parameters behind it. It is not ok where receivers may differ in what they
// read: of a parameter that is there twice, of a quote behind a backslash, and
// of those extended by a * (RFC 8187), but for file names, whose value does not
// matter.
func parameters(in string) (word string, params []param, ok bool) {
	i := untilAny([]byte(in), ";")
	word = strings.ToLower(strings.TrimRight(in[:i], space))
	if class, name, _ := strings.Cut(word, "/"); !isToken(class) || name != "" && !isToken(name) {
		return "", nil, false
	}
	seen := map[string]bool{}
	for {
		i += len(in[i:]) - len(strings.TrimLeft(in[i:], ";"+space))
		if i == len(in) {
			return word, params, true
		}
		equal := i + untilAny([]byte(in[i:]), "=")
		p := param{name: strings.ToLower(in[i:equal])}
		if equal == len(in) || seen[p.name] || !isToken(p.name) || strings.Contains(p.name, "*") && !strings.HasPrefix(p.name, "filename*") {
			return "", nil, false
		}
		seen[p.name] = true
		if p.from = equal + 1; p.from < len(in) && in[p.from] == '"' {
			p.from++
			p.to = p.from + untilAny([]byte(in[p.from:]), `"`)
			if p.to == len(in) || in[p.to-1] == '\\' {
				return "", nil, false
			}
			i = p.to + 1
		} else {
			p.to = p.from + untilAny([]byte(in[p.from:]), ";"+space)
			if p.from == p.to || strings.ContainsAny(in[p.from:p.to], `",\`) {
				return "", nil, false
			}
			i = p.to
		}
		params = append(params, p)
		if rest := strings.TrimLeft(in[i:], space); rest != "" && rest[0] != ';' {
			return "", nil, false
		}
	}
}

// isToken reports whether text is a token (RFC 9110, section 5.6.2).
func isToken(text string) bool {
	for _, c := range []byte(text) {
		if folded[c] == 0 && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return text != ""
}

// asciiCharset reports whether ASCII is itself in a charset of this name, and
// nothing else is: "" is none.
func asciiCharset(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "latin1":
		return true
	}
	return strings.HasPrefix(name, "iso-8859-") || strings.HasPrefix(name, "windows-125")
}
