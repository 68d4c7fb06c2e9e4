package redact

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"

	"github.com/auditgate/auditgate/capture/uripath"
)

// pattern is a pattern of paths: see [Keep.Path].
type pattern struct {
	text     string
	segments []string // "*" is any, secret is any and secret
	rest     bool     // more segments may follow
}

// secret is the segment of a pattern that stands for a secret.
const secret = ":secret"

func parsePattern(text string) (pattern, error) {
	p := pattern{text: text}
	if !strings.HasPrefix(text, "/") {
		return p, fmt.Errorf("path %q: want one that begins with /", text)
	}
	if len(text) > MaxPlace {
		return p, fmt.Errorf("path %q: longer than %d bytes", text, MaxPlace)
	}
	list := strings.Split(strings.Trim(text, "/"), "/")
	for i, s := range list {
		switch {
		case s == "" && len(list) == 1: // the root
		case s == "*" && i == len(list)-1:
			p.rest = true
		case s == "", s == ".", s == "..", s == ":":
			return p, fmt.Errorf("path %q: %q is no segment", text, s)
		case strings.ContainsAny(s, "?#%") || strings.Contains(s, "*") && s != "*":
			return p, fmt.Errorf("path %q: want segment %q as *, as :name, or as plain text", text, s)
		case s[0] == ':' && s != secret:
			p.segments = append(p.segments, "*")
		default:
			p.segments = append(p.segments, s)
		}
	}
	return p, nil
}

// secretPattern reads a pattern that has a secret in it.
func secretPattern(text string) (pattern, error) {
	p, err := parsePattern(text)
	if err != nil {
		return p, fmt.Errorf("secret %w", err)
	}
	for _, s := range p.segments {
		if s == secret {
			return p, nil
		}
	}
	return p, fmt.Errorf("secret path %q: no segment is named %s", text, secret)
}

// fits reports whether a path matches however servers read it, as what takes away from
// secrecy must.
func (p *pattern) fits(path []byte) bool {
	return p.matches(path, uripath.Segments(nil, path, false), false) && p.matches(path, uripath.Segments(nil, path, true), false)
}

// mayFit reports whether a path matches as some server reads it, as will do for what adds
// to secrecy.
func (p *pattern) mayFit(path []byte) bool {
	return p.matches(path, uripath.Segments(nil, path, false), false) || p.matches(path, uripath.Segments(nil, path, true), false)
}

// matches reports whether the path whose segments are list matches. Of a path that
// was cut, the end is not known.
func (p *pattern) matches(path []byte, list []uripath.Span, cut bool) bool {
	if len(list) > len(p.segments) && !p.rest || len(list) < len(p.segments) && !cut {
		return false
	}
	for i, want := range p.segments[:min(len(list), len(p.segments))] {
		if want == "*" || want == secret {
			continue
		}
		got := path[list[i].From:list[i].To]
		if bytes.IndexByte(got, '%') >= 0 {
			got = percentCoding.decode(nil, got)
		}
		if cut && i == len(list)-1 && len(got) < len(want) {
			want = want[:len(got)]
		}
		if !strings.EqualFold(want, string(got)) {
			return false
		}
	}
	return true
}

// paths hides the secret segments of the paths in a text: of URLs, and of what
// begins with a slash. Of a URL alone, which whole says that in is, the path goes
// on to its query.
func (j *job) paths(in []byte, cut, whole bool) {
	for i := 0; i < len(in); {
		slash := bytes.IndexByte(in[i:], '/')
		if slash < 0 {
			return
		}
		i += slash
		absolute := i == 0 || !inName[in[i-1]]
		whole = whole && i < untilAny(in, "?#&=")
		if size := slashesAt(in, i); size > 0 && absolute && !(whole && i == 0) {
			if i = authorityEnd(in, i+size); i == len(in) || in[i] != '/' {
				continue
			}
		}
		stop := "?#\"'`<>\\ \t\r\n&,;()"
		if whole {
			stop = "?#"
		}
		end := i + untilAny(in[i:], stop)
		if absolute {
			j.segmentsOf(in, i, end, cut && end == len(in))
		}
		i, whole = end, false
	}
}

// segmentsOf hides the secret segments of the path in[from:to].
func (j *job) segmentsOf(in []byte, from, to int, cut bool) {
	j.segmentsAs(in, from, to, cut, false)
	if mayHold(in[from:to], '%') { // servers do not agree on coded slashes
		j.segmentsAs(in, from, to, cut, true)
	}
}

// segmentsAs is segmentsOf for one reading of coded slashes.
func (j *job) segmentsAs(in []byte, from, to int, cut, coded bool) {
	path := in[from:to]
	j.spans = uripath.Segments(j.spans[:0], path, coded)
	for n := range j.r.paths {
		p := &j.r.paths[n]
		if !p.matches(path, j.spans, cut) {
			continue
		}
		for i, want := range p.segments[:min(len(j.spans), len(p.segments))] {
			if want != secret {
				continue
			}
			s := j.spans[i]
			if cut && s.To == len(path) { // cut says that the path goes to the end of in
				j.drop(from+s.From, from+s.To)
				continue
			}
			segment := string(path[s.From:s.To])
			plain, err := url.PathUnescape(segment)
			if err != nil {
				plain = segment
			}
			j.hideWord(from+s.From, from+s.To, []byte(plain))
		}
	}
}
