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
	if k == media {
		if !isText(content) {
			return opaque(in)
		}
		k = plain
	}
	j := r.start(in.Side, "/", nil)
	j.records = strings.Contains(in.ContentType, "json-seq")
	reason := j.body(content, in.Truncated, k)
	changed := len(j.edits) > 0
	if reason == "" {
		content = j.apply(content)
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

// body finds the secrets in a body, or returns why it cannot be kept.
func (j *job) body(content []byte, cut bool, k kind) (reason string) {
	switch {
	case k == other || k > jsonBody && !isText(content):
		return record.ReasonType
	case k == jsonBody || k > jsonBody && beginsWith(content, `{["`):
		if j.json(content, cut, 0) {
			return ""
		}
	}
	ok := false
	switch k {
	case form:
		// curl -d says form, whatever it sends.
		if bytes.IndexByte(content, '=') >= 0 && bytes.IndexByte(content, '\n') < 0 {
			j.pairs(content, cut, 0)
			return ""
		}
		ok = j.text(content, cut, 0, plainText)
	case plain:
		ok = j.text(content, cut, 0, plainText)
	case page:
		ok = j.text(content, cut, 0, markup)
	case columns:
		ok = j.text(content, cut, 0, table)
	}
	if !ok {
		return record.ReasonUnparsable
	}
	return ""
}

// kind is what a content type says about how to look for secrets.
type kind byte

const (
	other     kind = iota // nothing is known of it
	multipart             // not read yet: never kept
	media                 // pictures, sound, fonts
	jsonBody
	form
	plain   // also where no type is given
	page    // HTML
	columns // names apart from values
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
	case strings.Contains(name, "xml"), name == "csv", name == "tab-separated-values":
		return columns
	case t == "", class == "text", strings.HasSuffix(name, "javascript"):
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
