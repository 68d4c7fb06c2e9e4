package redact

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/auditgate/auditgate/record"
)

// Body is what was captured of a body.
type Body struct {
	// ContentType is the value of the header, "" where there was none.
	ContentType string
	// Content is decoded. Body never changes it.
	Content []byte
	// Truncated is true where Content is only the beginning.
	Truncated bool
	// Side is "request_body" or "response_body": what the names of places
	// begin with.
	Side string
	// Call is the call that the body belongs to.
	Call Call
	// Binary keeps as it is what would be withheld for its type. Nobody has
	// looked for secrets in it.
	Binary bool
}

// Result is what may be kept of a body.
type Result struct {
	// Content is free of secrets. It is that of the Body itself where nothing
	// was changed, and nil where nothing may be kept.
	Content []byte
	// State is BodyNone, BodyComplete, BodyTruncated, BodyBinary or
	// BodyWithheld. Reason is set with the last alone: ReasonType or
	// ReasonUnparsable.
	State  record.BodyState
	Reason string
	// Redacted names the places where secrets stood, each once, in order:
	// "request_body:/server/adminPass". No more than [MaxPlaces] are named; the
	// side alone stands for all others.
	Redacted []string
	// Changed is true where something was redacted or withheld: then the plain
	// digest of the body must not be kept (see [Redactor.Digest]).
	Changed bool
}

// Body decides what may be kept of a body. It trusts the content more than its
// type: what is said to be a form or an image is read as JSON if it is JSON.
func (r *Redactor) Body(in Body) Result {
	if len(in.Content) == 0 {
		if in.Truncated {
			return Result{State: record.BodyTruncated}
		}
		return Result{State: record.BodyNone}
	}
	k, content := kindOf(in.ContentType), in.Content
	if in.Truncated {
		content = wholeRunes(content)
	}
	if k == media || in.Binary && k != multipart && k != jsonBody {
		if !isText(content) {
			return opaque(in)
		}
		if k <= media {
			k = plain
		}
	}
	j := r.start(in.Side, "/", nil)
	j.pointers = r.pointers
	for i := range r.keeps {
		if r.keeps[i].holds(in.Call) {
			j.keeps = append(j.keeps, r.keeps[i].pointer)
		}
	}
	j.records = strings.Contains(in.ContentType, "json-seq")
	var changed bool
	var reason string
	if k == multipart {
		content, changed, reason = j.multipart(content, in.Truncated, in.ContentType)
	} else {
		content, changed, reason = j.body(content, in.Truncated, k)
	}
	places := j.end()
	if reason != "" {
		return Result{State: record.BodyWithheld, Reason: reason, Changed: true}
	}
	state := record.BodyComplete
	if in.Truncated {
		state = record.BodyTruncated
	}
	return Result{Content: content, State: state, Redacted: places, Changed: changed}
}

// opaque keeps a body in which there is nothing to look for.
func opaque(in Body) Result {
	if in.Truncated {
		return Result{Content: in.Content, State: record.BodyTruncated}
	}
	return Result{Content: in.Content, State: record.BodyBinary}
}

// body returns a body without its secrets and whether there were any, or why
// it cannot be kept.
func (j *job) body(content []byte, cut bool, k kind) (kept []byte, changed bool, reason string) {
	for range maxPasses {
		var again bool
		j.rough, j.edits = false, j.edits[:0]
		if content, again, reason = j.bodyOnce(content, cut, k); reason != "" {
			return nil, false, reason
		}
		if changed = changed || again; !j.rough {
			break
		}
	}
	return content, changed, ""
}

// bodyOnce is one pass of body.
func (j *job) bodyOnce(content []byte, cut bool, k kind) (kept []byte, changed bool, reason string) {
	if k == other || k > jsonBody && !isText(content) {
		return nil, false, record.ReasonType
	}
	ok := (k == jsonBody || k > jsonBody && beginsWith(content, `{["`)) && j.json(content, cut, 0)
	if !ok && k == form {
		pairs := bytes.TrimRight(content, "\r\n") // the end of a file is not part of a value
		j.pairs(pairs, cut, 0)
		j.again(pairs, cut, 0, behind, 0)
		j.detect(pairs, cut, false, 0)
		if ok = bytes.IndexByte(pairs, '=') >= 0 && bytes.IndexByte(pairs, '\n') < 0; !ok {
			// curl -d says form, whatever it sends: it may be other text as well.
			changed = len(j.edits) > 0
			content = j.apply(content)
			j.edits = j.edits[:0]
		}
	}
	if !ok && !j.other(content, cut, k) {
		return nil, false, record.ReasonUnparsable
	}
	return j.apply(content), changed || len(j.edits) > 0, ""
}

// other finds the secrets in a body that is no JSON, and reports whether the
// rest can be kept.
func (j *job) other(content []byte, cut bool, k kind) (ok bool) {
	switch {
	case k == columns:
		ok = j.text(content, cut, 0, table)
	case k <= jsonBody:
		return false
	case k != page && k != markupBody && !beginsWith(content, "<") || !hasTag(content):
		ok = j.text(content, cut, 0, plainText)
	case k == markupBody:
		return j.markup(content, cut, 0, embedded, false)
	default:
		return j.markup(content, cut, 0, plainText, k == page || isHTML(content))
	}
	j.detect(content, cut, false, 0)
	return ok
}

// isHTML reports whether a text that begins with a tag says that it is HTML.
func isHTML(content []byte) bool {
	start := strings.ToLower(string(bytes.TrimSpace(content[:min(len(content), MaxName)])))
	return strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html")
}

// kind is what a content type says about how to look for secrets.
type kind byte

const (
	other     kind = iota // nothing is known of it
	multipart             // read by its parts
	media                 // pictures, sound, fonts
	jsonBody
	form
	plain      // also where no type is given
	page       // HTML
	markupBody // XML
	columns    // names apart from values
)

// kindOf reads the value of a Content-Type header (RFC 9110, section 8.3). Its
// parameters do not matter: text that is not UTF-8 is not kept.
func kindOf(contentType string) kind {
	t := strings.ToLower(strings.TrimSpace(contentType[:untilAny([]byte(contentType), ";,")]))
	switch class, name, _ := strings.Cut(t, "/"); {
	case class == "image" && name != "svg+xml", class == "audio", class == "video", class == "font":
		return media
	case class == "multipart":
		return multipart
	case strings.Contains(name, "json"): // ld+json, x-ndjson, openstack-images-v2.1-json-patch
		return jsonBody
	case t == "application/x-www-form-urlencoded":
		return form
	case strings.Contains(name, "html"):
		return page
	case strings.Contains(name, "xml"):
		return markupBody
	case name == "csv", name == "tab-separated-values":
		return columns
	case t == "", class == "text", strings.HasSuffix(name, "javascript"), strings.HasSuffix(name, "yaml"), name == "toml", name == "graphql":
		return plain
	}
	return other
}

// isText reports whether content is text in UTF-8.
func isText(content []byte) bool {
	return utf8.Valid(content) && bytes.IndexByte(content, 0) < 0
}

// wholeRunes returns text without the character that a cut went through.
func wholeRunes(text []byte) []byte {
	for i := len(text) - 1; i >= max(0, len(text)-utf8.UTFMax); i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				return text[:i]
			}
			break
		}
	}
	return text
}
