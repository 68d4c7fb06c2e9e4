package redact

import (
	"strconv"
	"strings"

	"github.com/auditgate/auditgate/record"
)

// Headers replaces the secrets in h: whole values of secret headers, and secrets
// in URLs, pairs and JSON elsewhere, as in Referer and Location. h is changed
// in place. side, "request_headers" or "response_headers", begins the names of
// the places, which are appended to redacted: "request_headers:Cookie".
func (r *Redactor) Headers(h record.Headers, side string, redacted []string) []string {
	j := r.start(side, "/", redacted)
	for i := range h {
		f := &h[i]
		if j.item = f.Name; r.names.header(f.Name) {
			f.Value = j.credentials(f)
		} else {
			f.Value = j.line(f.Value)
		}
	}
	return j.end()
}

// Field returns the value of a field of that name without its secrets: what stands for
// all of it where the name is that of one, else what is left of the line.
func (r *Redactor) Field(name, value string) string {
	j := r.start("", "", nil)
	defer j.end()
	if r.names.field([]byte(name)) {
		return j.credentials(&record.Field{Name: name, Value: value})
	}
	return j.line(value)
}

// Query returns a query, without its question mark, free of secrets. The names
// of their places, as "query:token", are appended to redacted.
func (r *Redactor) Query(raw string, redacted []string) (string, []string) {
	return r.URL(raw, "query", redacted)
}

// URL returns a URL, or a path with a query, whose path, query, fragment and user
// information are free of secrets. place, as "upstream_uri", begins the names of
// their places, which are appended to redacted.
func (r *Redactor) URL(raw, place string, redacted []string) (string, []string) {
	j := r.start(place, "", redacted)
	return j.line(raw), j.end()
}

// credentials returns what stands for all of a value. For "Bearer x" it is what
// stands for x, so that a token is recognised in whatever header it comes.
func (j *job) credentials(f *record.Field) string {
	credentials := f.Value
	const last = "authorization"
	if n := len(f.Name) - len(last); n >= 0 && strings.EqualFold(f.Name[n:], last) {
		if _, rest, ok := strings.Cut(f.Value, " "); ok {
			credentials = strings.TrimSpace(rest)
		}
	}
	secret := j.hold(credentials)
	j.scratch = j.scratch[:0]
	if len(secret) == 0 || credentials == f.Value && j.r.isStandIn(secret) {
		return f.Value
	}
	j.note()
	return j.r.standsFor(secret, false)
}

// Cut returns s, or its first limit bytes and a remark. [Redactor] knows the
// remark: of what the cut has left of a secret it keeps nothing.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + remark + strconv.Itoa(len(s)) + remarkEnd
}

const remark, remarkEnd = " (cut, ", " bytes)"

// beforeRemark returns the length of text without the remark of [Cut].
func beforeRemark(text string) (n int, cut bool) {
	rest, ok := strings.CutSuffix(text, remarkEnd)
	if !ok {
		return len(text), false
	}
	n = strings.LastIndex(rest, remark)
	if n < 0 || strings.Trim(rest[n+len(remark):], "0123456789") != "" {
		return len(text), false
	}
	return n, true
}

// hold returns a copy of text in scratch.
func (j *job) hold(text string) []byte {
	j.scratch = append(j.scratch, text...)
	j.used = max(j.used, len(j.scratch))
	return j.scratch[len(j.scratch)-len(text):]
}

// line returns one line of text, such as a URL, free of secrets.
func (j *job) line(text string) string {
	for range maxPasses {
		n, cut := beforeRemark(text)
		in := j.hold(text[:n])
		j.rough = false
		if cut || j.mayTell(in) {
			if !j.search(in, cut, 0, percentCoding) {
				j.hide(0, len(in), in, "")
			}
			if len(j.edits) > 0 {
				text = string(j.apply(in)) + text[n:]
			}
		}
		j.edits, j.scratch = j.edits[:0], in[:0]
		if !j.rough {
			break
		}
	}
	return text
}

// mayTell reports whether a line may hold a secret. Most hold none.
func (j *job) mayTell(in []byte) bool {
	seen := sign(0)
	for _, c := range in {
		seen |= signs[c]
	}
	return seen&pairSign != 0 || seen&userSign != 0 && mayHoldUsers(in) || seen&codeSign != 0 && isCoded(in) || beginsWith(in, `{["`) ||
		seen&proseSign != 0 && speaks(in) || (seen&valueSign != 0 || len(j.r.paths) > 0 || j.r.detectors.card) && j.r.suspect(in)
}

// sign is what a byte may be a sign of.
type sign byte

const (
	pairSign  sign = 1 << iota // name=value, or markup
	userSign                   // user information
	codeSign                   // percent-coding
	proseSign                  // see speaks
	valueSign                  // see suspect
)

var signs = func() (t [256]sign) {
	for set, s := range map[string]sign{"=<&{": pairSign, "@": userSign, "%+": codeSign, ": ": proseSign, "JG": valueSign} {
		for _, c := range set {
			t[c] = s
		}
	}
	return t
}()
