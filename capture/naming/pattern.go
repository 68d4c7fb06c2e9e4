package naming

import (
	"errors"
	"fmt"
	"strings"

	"github.com/auditgate/auditgate/capture/uripath"
)

// The bounds of a pattern.
const (
	maxPattern  = 1024 // bytes
	maxSegments = 64
)

// segment is one segment of a pattern: what begins and what ends it, and whether
// there may be anything in between, which has a name or none.
type segment struct {
	prefix, suffix string
	open           bool
	name           string
}

// pattern is the shape of a path.
type pattern struct {
	segments []segment
	rest     bool // and what follows them
}

// parsePattern reads a path in which `:name` is any one segment, `*` one without a
// name, and a last `/*` the rest.
func parsePattern(text string) (p pattern, err error) {
	return readPattern(text, func(part string) (segment, error) {
		switch {
		case part == "*":
			return segment{open: true}, nil
		case strings.HasPrefix(part, ":"):
			if part == ":" {
				return segment{}, errors.New("a segment `:` has no name")
			}
			return segment{open: true, name: part[1:]}, nil
		case strings.ContainsAny(part, "*{}"):
			return segment{}, fmt.Errorf("segment %q: want `:name` or `*` for any one segment", part)
		}
		return segment{prefix: part}, nil
	})
}

// parseTemplate reads a path as OpenAPI writes it: `{name}` is what stands there
// within one segment.
func parseTemplate(text string) (pattern, error) {
	return readPattern(text, func(part string) (segment, error) {
		prefix, rest, open := strings.Cut(part, "{")
		if !open {
			return segment{prefix: part}, nil
		}
		name, _, closed := strings.Cut(rest, "}")
		if !closed || name == "" {
			return segment{}, fmt.Errorf("segment %q: want {name}", part)
		}
		// Of several parameters in one segment the first counts.
		return segment{prefix: prefix, suffix: rest[strings.LastIndexByte(rest, '}')+1:], open: true, name: name}, nil
	})
}

func readPattern(text string, read func(string) (segment, error)) (p pattern, err error) {
	if !strings.HasPrefix(text, "/") {
		return p, fmt.Errorf("path %q: want one that begins with /", text)
	}
	if len(text) > maxPattern {
		return p, fmt.Errorf("path of %d bytes: want %d at most", len(text), maxPattern)
	}
	text, p.rest = strings.CutSuffix(text, "/*")
	names := map[string]bool{}
	for _, part := range split(text) {
		if part == "." || part == ".." {
			return p, fmt.Errorf("path %q: %q is no segment, since servers take it out of a path", text, part)
		}
		s, err := read(part)
		if err != nil {
			return p, fmt.Errorf("path %q: %w", text, err)
		}
		if names[s.name] {
			return p, fmt.Errorf("path %q: %q stands there twice", text, s.name)
		}
		names[s.name] = s.name != ""
		p.segments = append(p.segments, s)
	}
	if len(p.segments) > maxSegments {
		return p, fmt.Errorf("path %q has %d segments: want %d at most", text, len(p.segments), maxSegments)
	}
	return p, nil
}

// split takes the path of a pattern apart at its slashes. Empty segments do not count, as
// they do not in the paths of calls.
func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// segments are those of an escaped path as components read it; see [uripath.Read]. Of very
// long ones the end is left out, which no pattern reaches. What is no path, as that of
// OPTIONS *, has none: only what is for every call is for it.
func segments(path string, coded bool) ([]string, bool) {
	list, ok := uripath.Read(path, coded)
	return list[:min(len(list), maxSegments+1)], ok || !coded
}

// takes reports whether s is the shape of a segment.
func (s *segment) takes(part string) bool {
	return len(part) >= len(s.prefix)+len(s.suffix)+1 && strings.HasPrefix(part, s.prefix) && strings.HasSuffix(part, s.suffix)
}

// value cuts out of a segment what the pattern leaves open.
func (s *segment) value(part string) string {
	return strings.TrimSuffix(strings.TrimPrefix(part, s.prefix), s.suffix)
}

// node is a place in the tree of all patterns.
type node struct {
	literal map[string]*node
	open    []edge  // in the order in which they came
	end     []entry // of patterns that end here
	rest    []entry // of those whose rest begins here
}

type edge struct {
	segment
	to *node
}

// entry is one line `match` of one rule.
type entry struct {
	rule, rank int
	method     string // "" for any
	key        string // see Rule.Key
	names      []segment
}

func (n *node) add(p pattern, e entry) {
	e.names = p.segments
	for _, s := range p.segments {
		n = n.next(s)
	}
	if p.rest {
		n.rest = append(n.rest, e)
	} else {
		n.end = append(n.end, e)
	}
}

func (n *node) next(s segment) *node {
	if !s.open {
		if n.literal == nil {
			n.literal = map[string]*node{}
		}
		if n.literal[s.prefix] == nil {
			n.literal[s.prefix] = new(node)
		}
		return n.literal[s.prefix]
	}
	for _, e := range n.open {
		if e.prefix == s.prefix && e.suffix == s.suffix {
			return e.to
		}
	}
	to := new(node)
	n.open = append(n.open, edge{s, to})
	return to
}

// search is a look through the tree for one call.
type search struct {
	method string
	query  string
	body   []byte // of the request
	key    string // its first member, once somebody asks
	peeked bool
	found  []entry
}

// take notes those entries whose method and key are those of the call.
func (s *search) take(entries []entry) {
	for i := range entries {
		e := &entries[i]
		if e.method != "" && e.method != s.method || e.key != "" && !s.has(e.key) {
			continue
		}
		s.found = append(s.found, *e)
	}
}

// has reports whether the call has what a rule's key says.
func (s *search) has(key string) bool {
	parameter, of := strings.CutPrefix(key, "?")
	if !of {
		return key == s.first()
	}
	for pair := range strings.SplitSeq(s.query, "&") {
		if name, _, _ := strings.Cut(pair, "="); name == parameter {
			return true
		}
	}
	return false
}

// first returns the name of the first member of the body.
func (s *search) first() string {
	if !s.peeked {
		s.key, s.peeked = firstKey(s.body), true
	}
	return s.key
}

// find finds the entries that are of the call, the rest of whose path is given.
func (n *node) find(s *search, path []string) {
	s.take(n.rest)
	if len(path) == 0 {
		s.take(n.end)
		return
	}
	if to := n.literal[path[0]]; to != nil {
		to.find(s, path[1:])
	}
	for i := range n.open {
		if n.open[i].takes(path[0]) {
			n.open[i].to.find(s, path[1:])
		}
	}
}

// Covers reports whether some rule is about the calls of that method and path, however
// a server may read the path, and below whatever other segments the API is mounted.
func (n *Namer) Covers(method, path string) bool {
	s := search{method: method}
	for _, segments := range uripath.Readings(path) {
		for i := range segments {
			if i == 0 || n.tree.literal[segments[i]] != nil {
				n.tree.find(&s, segments[i:])
			}
			if len(s.found) > 0 {
				return true
			}
		}
	}
	return false
}
