package redact

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// pointer is a JSON pointer (RFC 6901) as its tokens. The token *, which by the
// RFC leads to no element of a list, leads to each of them here.
type pointer []string

func parsePointer(text string) (pointer, error) {
	if !strings.HasPrefix(text, "/") {
		return nil, fmt.Errorf("pointer %q: want a JSON pointer that begins with /", text)
	}
	if len(text) > MaxPlace {
		return nil, fmt.Errorf("pointer %q: longer than %d bytes", text, MaxPlace)
	}
	p := jsontext.Pointer(text)
	if !p.IsValid() {
		return nil, fmt.Errorf("pointer %q: want ~ written as ~0 or, for a slash, ~1, and all in UTF-8", text)
	}
	return slices.Collect(p.Tokens()), nil
}

// exception is a Keep, read.
type exception struct {
	Keep
	pointer pointer
	pattern pattern
}

func parseKeep(k Keep) (exception, error) {
	x := exception{Keep: k}
	var err error
	if x.pointer, err = parsePointer(k.Pointer); err != nil {
		return x, fmt.Errorf("keep: %w", err)
	}
	if k.Path == "" {
		x.pattern.rest = true
		return x, nil
	}
	if x.pattern, err = parsePattern(k.Path); err != nil {
		return x, fmt.Errorf("keep %s: %w", k.Pointer, err)
	}
	return x, nil
}

// holds reports whether the exception is for calls like c.
func (x *exception) holds(c Call) bool {
	if x.Method != "" && x.Method != "*" && !strings.EqualFold(x.Method, c.Method) {
		return false
	}
	return x.pattern.fits([]byte(c.Path))
}

// judge returns whether the value is secret where the job stands, which its name
// says or denies.
func (j *job) judge(byName bool) bool {
	return byName && !j.at(j.keeps) || j.at(j.pointers)
}

// at reports whether one of list leads to where the job stands.
func (j *job) at(list []pointer) bool {
	for _, p := range list {
		if len(p) == len(j.path) && j.leads(p) {
			return true
		}
	}
	return false
}

// leads reports whether p, which has as many tokens as the path, leads to where
// the job stands. The last token, which differs most, is compared first.
func (j *job) leads(p pointer) bool {
	at := len(j.levels) - 1
	for n := len(p) - 1; n >= 0; n-- {
		for j.levels[at].base > n {
			at--
		}
		l, s := &j.levels[at], j.path[n]
		if s.from == element {
			if p[n] != "*" && p[n] != strconv.Itoa(s.to) {
				return false
			}
			continue
		}
		name := l.in[s.from:s.to]
		if l.json && bytes.IndexByte(name, '\\') >= 0 {
			name = jsonCoding.decode(nil, name)
		}
		if string(name) != p[n] {
			return false
		}
	}
	return true
}
