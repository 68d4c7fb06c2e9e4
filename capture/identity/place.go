package identity

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// place is where in a call that has passed a value stands.
type place struct {
	from    origin
	name    string   // of a header or a field of a form
	pointer []string // in JSON
}

type origin byte

const (
	nowhere origin = iota
	requestHeader
	responseHeader
	requestJSON
	responseJSON
	requestForm
)

// answers reports whether it is the answer that a value stands in.
func (o origin) answers() bool { return o == responseHeader || o == responseJSON }

var origins = []struct {
	prefix string
	origin origin
}{
	{"{audit.req.header.", requestHeader},
	{"{audit.res.header.", responseHeader},
	{"{audit.req.json.", requestJSON},
	{"{audit.res.json.", responseJSON},
	{"{audit.req.form.", requestForm},
}

// maxPointer is how deep a pointer may go.
const maxPointer = 32

// parsePlace reads one placeholder.
func parsePlace(text string) (place, error) {
	for _, o := range origins {
		rest, ok := strings.CutPrefix(text, o.prefix)
		if !ok || !strings.HasSuffix(rest, "}") || strings.HasSuffix(rest, `\}`) {
			continue
		}
		rest = strings.ReplaceAll(strings.TrimSuffix(rest, "}"), `\}`, "}")
		p := place{from: o.origin, name: rest}
		if o.origin == requestJSON || o.origin == responseJSON {
			if !strings.HasPrefix(rest, "/") {
				return p, fmt.Errorf("%q: want a JSON pointer that begins with a slash, as in {audit.res.json./token/user/id}", text)
			}
			pointer := jsontext.Pointer(rest)
			if !pointer.IsValid() {
				return p, fmt.Errorf("%q: want ~ written as ~0 or, for a slash, ~1, and all in UTF-8", text)
			}
			p.pointer = slices.Collect(pointer.Tokens())
		}
		if rest == "" || len(p.pointer) > maxPointer {
			return p, fmt.Errorf("%q names nothing, or more than %d levels of JSON", text, maxPointer)
		}
		return p, nil
	}
	return place{}, fmt.Errorf("%q is not what can be learned from: want one of {audit.res.header.<name>}, {audit.res.json.<pointer>}, {audit.req.header.<name>}, {audit.req.json.<pointer>} and {audit.req.form.<name>}", text)
}

// one returns the value of a place, "" where there is none or more than one.
func (p *place) one(c *Passed) string {
	if values := p.each(c); len(values) == 1 {
		return values[0]
	}
	return ""
}

// each returns the values of a place.
func (p *place) each(c *Passed) []string {
	switch p.from {
	case requestHeader:
		return wholeHeaders(c.RequestHeaders, p.name)
	case responseHeader:
		return wholeHeaders(c.ResponseHeaders, p.name)
	case requestJSON:
		return findOnce(c.RequestBody, p.pointer)
	case responseJSON:
		return find(c.ResponseBody, p.pointer)
	case requestForm:
		kinds := wholeHeaders(c.RequestHeaders, "Content-Type")
		if len(kinds) != 1 {
			return nil
		}
		if kind, _, err := mime.ParseMediaType(kinds[0]); err != nil || kind != "application/x-www-form-urlencoded" {
			return nil
		}
		if fields, err := url.ParseQuery(string(c.RequestBody)); err == nil {
			return fields[p.name]
		}
	}
	return nil
}

// find returns the texts, numbers and truths at a pointer into a JSON document, of
// which the end may be missing. A token * of the pointer is every element of a list.
// Where a name stands twice its first value counts.
func find(document []byte, pointer []string) []string {
	w := walker{scanner: scanner{data: document}, every: slices.Contains(pointer, "*")}
	w.find(pointer)
	return w.found
}

// findOnce is find in what a client sent: where a name on the way stands twice, of which
// one server takes the first and the next the last, it finds nothing.
func findOnce(document []byte, pointer []string) []string {
	w := walker{scanner: scanner{data: document}, every: true, once: true}
	if w.find(pointer); w.twice {
		return nil
	}
	return w.found
}

// walker is a scanner on its way to a pointer.
type walker struct {
	scanner
	found       []string
	every       bool // one value is not all
	once, twice bool // a name that stands twice matters, and did
}

// find walks to the pointer. It reports false where there is no going on, or no need.
func (w *walker) find(pointer []string) bool {
	if len(pointer) == 0 {
		return w.scalar()
	}
	switch w.peek() {
	case '{':
		w.pos++
		for there := false; !w.skip('}'); {
			name, ok := w.quoted()
			if !ok || !w.skip(':') {
				return false
			}
			is := (w.once || !there) && nameIs(name, pointer[0])
			if is && there {
				w.twice = true
				return false
			}
			if is {
				there = true
				ok = w.find(pointer[1:])
			} else {
				ok = w.value()
			}
			if !ok || !w.skip(',') && w.peek() != '}' {
				return false
			}
		}
		return true
	case '[':
		w.pos++
		for i := 0; !w.skip(']'); i++ {
			ok := false
			if pointer[0] == "*" || pointer[0] == strconv.Itoa(i) {
				ok = w.find(pointer[1:])
			} else {
				ok = w.value()
			}
			if !ok || !w.skip(',') && w.peek() != ']' {
				return false
			}
		}
		return true
	}
	return w.value()
}

// nameIs reports whether a quoted name is want.
func nameIs(quoted []byte, want string) bool {
	if inner := quoted[1 : len(quoted)-1]; string(inner) == want {
		return true
	}
	var name string
	return strings.IndexByte(string(quoted), '\\') >= 0 && json.Unmarshal(quoted, &name) == nil && name == want
}

// scalar takes the value that comes next, if it is a text, a number or a truth.
func (w *walker) scalar() bool {
	switch w.peek() {
	case '{', '[':
		return w.value()
	case '"':
		quoted, ok := w.quoted()
		if !ok {
			return false
		}
		var text string
		if len(quoted) <= 6*MaxTokenLen && json.Unmarshal(quoted, &text) == nil && len(text) <= MaxTokenLen && len(w.found) < MaxRoles {
			w.found = append(w.found, text)
		}
		return w.every
	}
	from := w.pos
	if !w.value() || w.pos == len(w.data) { // the rest of a number may be missing
		return false
	}
	if word := string(w.data[from:w.pos]); word != "null" && len(word) <= MaxClaimLen && len(w.found) < MaxRoles {
		w.found = append(w.found, word)
	}
	return w.every
}
