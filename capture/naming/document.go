package naming

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/auditgate/auditgate/record"
)

// pointer is a JSON pointer (RFC 6901) as its tokens.
type pointer []string

func parsePointer(text string) (pointer, error) {
	if text == "" {
		return nil, nil
	}
	if text[0] != '/' {
		return nil, fmt.Errorf("%q is no JSON pointer: want one that begins with /", text)
	}
	p := jsontext.Pointer(text)
	if !p.IsValid() {
		return nil, fmt.Errorf("pointer %q: want ~ written as ~0 or, for a slash, ~1, and all in UTF-8", text)
	}
	return slices.Collect(p.Tokens()), nil
}

// pointer returns how the value is read to which a JSON pointer leads.
func (b *builder) pointer(request bool, text string) (func(*call) (string, bool), error) {
	p, err := parsePointer(text)
	if err != nil {
		return nil, err
	}
	side := 1
	if request {
		side = 0
	}
	at := len(b.pointers[side])
	b.pointers[side] = append(b.pointers[side], p)
	return func(c *call) (string, bool) { return c.jsonValue(side, at) }, nil
}

// values are what the pointers of one rule lead to in one body.
type values struct {
	read  bool
	text  []string
	found []bool
}

// jsonValue returns the value of one pointer of the rule. With the first that is
// asked for, all are read, in one pass.
func (c *call) jsonValue(side, at int) (string, bool) {
	v := &c.bodies[side]
	if !v.read {
		body := &c.record.RequestBody
		if side == 1 {
			body = &c.record.ResponseBody
		}
		wanted := c.rule.pointers[side]
		v.read, v.text, v.found = true, make([]string, len(wanted)), make([]bool, len(wanted))
		active := make([]int, len(wanted))
		for i := range active {
			active[i] = i
		}
		w := walk{wanted: wanted, values: v}
		if body.State != record.BodyComplete && body.State != record.BodyBinary {
			w.end = int64(len(body.Content)) // what ends there may be cut
		}
		_ = w.value(newDecoder(body.Content), active, 0) // what was read until it broke off counts
	}
	return v.text[at], v.found[at]
}

func newDecoder(content []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewReader(content), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// walk goes through a document once, to where the pointers lead. Identity has a walker of
// its own: that one reads bodies before they are redacted, to one pointer, and takes the
// first of equal names or refuses both, since it decides who somebody is; this one reads
// all pointers of a rule at once, and takes the last, as most readers do.
type walk struct {
	wanted []pointer
	values *values
	end    int64 // of a document that was cut; 0 where it is whole
}

// value reads the next value, to which the tokens before depth of the active
// pointers lead.
func (w *walk) value(d *jsontext.Decoder, active []int, depth int) error {
	if len(active) == 0 {
		return d.SkipValue()
	}
	var here, deeper []int
	for _, i := range active {
		if len(w.wanted[i]) == depth {
			here = append(here, i)
		} else {
			deeper = append(deeper, i)
		}
	}
	if len(here) > 0 {
		raw, err := d.ReadValue()
		if err != nil || w.end > 0 && d.InputOffset() == w.end {
			return err
		}
		text, ok := textOf(raw)
		for _, i := range here {
			w.values.text[i], w.values.found[i] = text, ok // of equal names the last counts, as with most readers
		}
		if len(deeper) == 0 {
			return nil
		}
		d = newDecoder(bytes.Clone(raw))
		inner := walk{wanted: w.wanted, values: w.values}
		return inner.value(d, deeper, depth)
	}
	switch kind := d.PeekKind(); kind {
	case '{', '[':
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		for n := 0; ; n++ {
			if next := d.PeekKind(); next == '}' || next == ']' {
				_, err := d.ReadToken()
				return err
			}
			name := strconv.Itoa(n)
			if kind == '{' {
				token, err := d.ReadToken()
				if err != nil {
					return err
				}
				name = token.String()
			}
			var inside []int
			for _, i := range deeper {
				if w.wanted[i][depth] == name {
					inside = append(inside, i)
				}
			}
			if err := w.value(d, inside, depth+1); err != nil {
				return err
			}
		}
	default:
		return d.SkipValue()
	}
}

// textOf is a JSON value as text: a string as it is, null as nothing, the rest as
// it is written.
func textOf(raw jsontext.Value) (string, bool) {
	switch raw.Kind() {
	case 'n':
		return "", false
	case '"':
		text, err := jsontext.AppendUnquote(nil, raw)
		return string(text), err == nil
	}
	return string(raw[:min(len(raw), maxText+1)]), true
}

// firstKey returns the name of the first member of a JSON object.
func firstKey(content []byte) string {
	d := newDecoder(content)
	if d.PeekKind() != '{' {
		return ""
	}
	if _, err := d.ReadToken(); err != nil || d.PeekKind() != '"' {
		return ""
	}
	token, err := d.ReadToken()
	if err != nil {
		return ""
	}
	return token.String()
}

// formValue returns the first value of that name in a form.
func (c *call) formValue(name string) (string, bool) {
	if c.form == nil {
		body := &c.record.RequestBody
		text := string(body.Content)
		kind, _, _ := strings.Cut(body.ContentType, ";")
		if !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
			text = ""
		}
		if body.State != record.BodyComplete { // the last pair may be cut
			text = text[:max(strings.LastIndexByte(text, '&'), 0)]
		}
		c.form, _ = url.ParseQuery(text) // what can be read of it
	}
	return c.form.Get(name), c.form.Has(name)
}
