package capture

import (
	"encoding/hex"

	"github.com/auditgate/auditgate/capture/decode"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// What a body may become when its codings are undone, so that one that was made
// to swell costs little: decodedRoom bytes, or decodedRatio times what was kept
// of it, whichever is more, and never more than MaxKept. The rest is cut.
const (
	decodedRoom  = 1 << 20
	decodedRatio = 8
)

// message is one direction of a call that has ended.
type message struct {
	*side
	name     string         // "request_body" or "response_body"
	headers  record.Headers // redacted
	kind     string         // the Content-Type as it came
	withheld string         // why nothing of it may be kept, else ""
	call     redact.Call
	binary   bool // keep what would be withheld for its type
	frames   bool // of an upgraded connection: the header does not speak of these bytes
}

// body makes what is stored of a body: decoded, free of secrets, and honest
// about what is missing.
func (m *message) body(redactor *redact.Redactor, redacted []string) (record.Body, []string) {
	b := record.Body{BodyInfo: record.BodyInfo{Size: m.size, Kept: int64(len(m.kept)), State: record.BodyNone}}
	unread := m.size == 0 && !m.end && m.expected > 0 // refused by what its header said
	if !m.present || m.size == 0 && !unread {
		return b, redacted
	}
	coding := ""
	if b.ContentType, coding = m.headers.Get("Content-Type"), m.headers.Get("Content-Encoding"); m.frames {
		m.kind, coding = "", ""
	}
	b.Encoding, b.State = coding, record.BodyComplete
	switch {
	case m.short != "":
		b.State, b.Reason = record.BodyTruncated, m.short
	case !m.end && !m.frames: // which have no end that could be missed
		b.State, b.Reason = record.BodyTruncated, record.ReasonAborted
	}
	changed := b.State != record.BodyComplete
	switch {
	case m.withheld != "":
		changed = true
		withhold(&b, m.withheld)
	case m.short != "" && len(m.kept) == 0:
		withhold(&b, m.short)
	case unread:
	default:
		changed = m.content(&b, coding, redactor, &redacted) || changed
	}
	digest, partial := m.sum()
	b.Partial = partial
	if changed {
		b.HMACSHA256 = redactor.Digest(digest)
	} else {
		b.SHA256 = hex.EncodeToString(digest[:])
	}
	return b, redacted
}

// content decodes and redacts the kept bytes into b. It reports whether what
// stands there is less than what passed.
func (m *message) content(b *record.Body, coding string, redactor *redact.Redactor, redacted *[]string) (changed bool) {
	plain, whole, err := decode.Body(coding, m.kept, min(MaxKept, max(decodedRoom, decodedRatio*len(m.kept))))
	if err == nil && !m.frames {
		plain, _, err = decode.Charset(m.kind, plain)
	}
	if err != nil {
		withhold(b, record.ReasonUnparsable)
		return true
	}
	if len(plain) > MaxKept { // in UTF-8 it is longer
		plain, whole = plain[:MaxKept], false
	}
	if !whole && b.State == record.BodyComplete {
		b.State, b.Reason = record.BodyTruncated, record.ReasonCap
	}
	res := redactor.Body(redact.Body{
		ContentType: m.kind, Content: plain, Truncated: b.State == record.BodyTruncated || m.frames, Side: m.name,
		Call: m.call, Binary: m.binary,
	})
	if res.State == record.BodyWithheld {
		withhold(b, res.Reason)
		return true
	}
	b.Content = res.Content
	*redacted = append(*redacted, res.Redacted...)
	switch {
	case m.streamed:
		b.State = record.BodyStreamed
	case res.State == record.BodyBinary && b.State == record.BodyComplete:
		b.State = record.BodyBinary
	}
	return res.Changed || !whole
}

func withhold(b *record.Body, reason string) {
	b.Content, b.Kept = nil, 0
	b.State, b.Reason = record.BodyWithheld, reason
}
