package record

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// Field is one line of a header.
type Field struct{ Name, Value string }

// Headers is a header as stored: a line for each value, sorted by name. It is
// a slice and no map, since it is written once for each call and seldom read.
type Headers []Field

// HeadersOf copies h, so that whoever changes h later does not change what was
// seen. dst is overwritten and reused where it has room.
func HeadersOf(dst Headers, h http.Header) Headers {
	dst = dst[:0]
	for name, values := range h {
		for _, v := range values {
			dst = append(dst, Field{name, v})
		}
	}
	slices.SortStableFunc(dst, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return dst
}

// Get returns the first value of the named header, or "". Case does not matter.
func (h Headers) Get(name string) string {
	for i := range h {
		if strings.EqualFold(h[i].Name, name) {
			return h[i].Value
		}
	}
	return ""
}

// MarshalJSON writes an object of lists: {"Accept": ["text/html"]}.
func (h Headers) MarshalJSON() ([]byte, error) {
	m := make(map[string][]string, len(h))
	for _, f := range h {
		m[f.Name] = append(m[f.Name], f.Value)
	}
	return json.Marshal(m)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Headers) UnmarshalJSON(data []byte) error {
	var m map[string][]string
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	*h = HeadersOf(nil, m)
	return nil
}
