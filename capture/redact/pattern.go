package redact

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
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

// span is in[from:to] of some text.
type span struct{ from, to int }

// segments returns where the segments of the path in[from:to] stand, in dst. A
// path is read as servers do that clean it: empty segments and dots count for
// nothing, two dots take one back, and a coded slash is a slash, if coded is true.
func segments(dst []span, in []byte, from, to int, coded bool) []span {
	dst = dst[:0]
	for from < to {
		end, next := from, to
		for ; end < to; end++ {
			if in[end] == '/' {
				next = end + 1
				break
			}
			if c, ok := hexByte(in[end:to]); coded && ok && c == '/' {
				next = end + 3
				break
			}
		}
		switch string(in[from:end]) {
		case "", ".":
		case "..":
			dst = dst[:max(0, len(dst)-1)]
		default:
			dst = append(dst, span{from, end})
		}
		from = next
	}
	return dst
}

// matches reports whether the path whose segments are list matches. Of a path that
// was cut, the end is not known.
func (p *pattern) matches(in []byte, list []span, cut bool) bool {
	if len(list) > len(p.segments) && !p.rest || len(list) < len(p.segments) && !cut {
		return false
	}
	for i, want := range p.segments[:min(len(list), len(p.segments))] {
		if want == "*" || want == secret {
			continue
		}
		got := in[list[i].from:list[i].to]
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
	j.spans = segments(j.spans, in, from, to, coded)
	for n := range j.r.paths {
		p := &j.r.paths[n]
		if !p.matches(in, j.spans, cut) {
			continue
		}
		for i, want := range p.segments[:min(len(j.spans), len(p.segments))] {
			if want != secret {
				continue
			}
			s := j.spans[i]
			if cut && s.to == len(in) {
				j.drop(s.from, s.to)
				continue
			}
			plain, err := url.PathUnescape(string(in[s.from:s.to]))
			if err != nil {
				plain = string(in[s.from:s.to])
			}
			j.hideWord(s.from, s.to, []byte(plain))
		}
	}
}
