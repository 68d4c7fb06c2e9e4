package capture

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/auditgate/auditgate/capture/decode"
	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// unknownAction is the action of a call that no rule names.
const unknownAction = "unknown"

// What a body may become when its codings are undone, so that one that was made
// to swell costs little: decodedRoom bytes, or decodedRatio times what was kept
// of it, whichever is more, and never more than MaxKept. The rest is cut.
const (
	decodedRoom  = 1 << 20
	decodedRatio = 8
)

// worker makes records, one at a time.
type worker struct{ r record.Record }

// record makes the record of an exchange that has ended. It is good until the
// next one.
func (w *worker) record(x *Exchange) *record.Record {
	res := x.result()
	redacted := w.r.Redacted[:0]
	w.r = record.Record{
		EventID: x.ID, Timestamp: x.ID.Time(),
		Source: x.rules.Source, Action: unknownAction, Success: res.success,
		Method: x.method, Host: x.host, Protocol: x.protocol,
		Status: res.status, StatusSource: res.source, Outcome: res.outcome,
		UserIP: x.client, PeerIP: x.peer,
		RequestHeaders: x.headers, ResponseHeaders: x.response.headers,
	}
	r := &w.r
	r.EndTime = r.Timestamp.Add(x.ended.Sub(x.began))
	x.placeProject(r)

	// Only identity reads what has not been redacted yet.
	if r.Actor = x.facts.Actor; !r.Known() {
		r.Actor = claimed(x.headers)
	}

	redactor := x.rules.Redactor
	redacted = redactor.Headers(r.RequestHeaders, "request_headers", redacted)
	redacted = redactor.Headers(r.ResponseHeaders, "response_headers", redacted)
	r.URI, redacted = redactor.URL(x.uri, "uri", redacted)
	r.Query, redacted = redactor.Query(x.query, redacted)
	if x.facts.UpstreamURI != "" {
		r.UpstreamURI, redacted = redactor.URL(redact.Cut(x.facts.UpstreamURI, MaxURI), "upstream_uri", redacted)
	}
	// Copied from headers, as they are redacted.
	r.UserAgent = r.RequestHeaders.Get("User-Agent")
	r.RequestID = redact.Cut(requestID(r.ResponseHeaders, r.RequestHeaders), MaxName)
	r.TraceID = traceID(r.RequestHeaders.Get("Traceparent"))
	r.RequestBody, redacted = body(redactor, x.uploaded(), x.headers, "request_body", redacted)
	x.response.whole = res.whole
	r.ResponseBody, redacted = body(redactor, &x.response.side, x.response.headers, "response_body", redacted)
	r.Redacted = redacted
	return r
}

// placeProject puts the project where it belongs: a name that only the request
// vouches for, and that the component did not let in, or has not judged, is a
// claim, so that strangers cannot write into the log of a tenant.
func (x *Exchange) placeProject(r *record.Record) {
	project := redact.Cut(x.facts.Project, MaxName)
	judged := r.StatusSource == "" && r.Status != 0 && r.Status != statusClientLeft
	refused := r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden || r.Status == http.StatusNotFound
	if x.facts.ProjectVerified || judged && !refused {
		r.Project = project
	} else {
		r.ClaimedProject = project
	}
}

// claimed returns what the client says of itself: the claims of a bearer JWT
// that nobody has verified.
func claimed(headers record.Headers) record.Actor {
	for _, name := range [...]string{"Authorization", "X-Auth-Token"} {
		if token := headers.Get(name); token != "" {
			if actor, ok := identity.FromBearer(token); ok {
				return actor
			}
		}
	}
	return record.Actor{}
}

// body makes what is stored of a body: decoded, free of secrets, and honest
// about what is missing.
func body(redactor *redact.Redactor, s *side, headers record.Headers, name string, redacted []string) (record.Body, []string) {
	b := record.Body{BodyInfo: record.BodyInfo{Size: s.size, Kept: int64(len(s.kept)), State: record.BodyNone}}
	if !s.present || s.size == 0 {
		return b, redacted
	}
	b.ContentType, b.Encoding = headers.Get("Content-Type"), headers.Get("Content-Encoding")
	b.State = record.BodyComplete
	switch {
	case s.short != "" && len(s.kept) == 0:
		b.State, b.Reason = record.BodyWithheld, s.short
	case s.short != "":
		b.State, b.Reason = record.BodyTruncated, s.short
	case !s.whole:
		b.State, b.Reason = record.BodyTruncated, record.ReasonAborted
	}
	changed := b.State != record.BodyComplete
	if b.State != record.BodyWithheld {
		changed = content(redactor, &b, s.kept, name, &redacted) || changed
	}
	digest, partial := s.sum()
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
func content(redactor *redact.Redactor, b *record.Body, kept []byte, name string, redacted *[]string) (changed bool) {
	plain, whole, err := decode.Body(b.Encoding, kept, min(MaxKept, max(decodedRoom, decodedRatio*len(kept))))
	switch {
	case err != nil:
		withhold(b, record.ReasonUnparsable)
		return true
	case !whole && b.State == record.BodyComplete:
		b.State, b.Reason = record.BodyTruncated, record.ReasonCap
	}
	res := redactor.Body(redact.Body{
		ContentType: b.ContentType, Content: plain, Truncated: b.State == record.BodyTruncated, Side: name,
	})
	if res.State == record.BodyWithheld {
		withhold(b, res.Reason)
		return true
	}
	b.Content = res.Content
	*redacted = append(*redacted, res.Redacted...)
	if res.State == record.BodyBinary && b.State == record.BodyComplete {
		b.State = record.BodyBinary
	}
	return res.Changed || !whole
}

func withhold(b *record.Body, reason string) {
	b.Content, b.Kept = nil, 0
	b.State, b.Reason = record.BodyWithheld, reason
}

// typeName names the type of what was panicked with, and never its value.
func typeName(v any) string {
	if err, ok := v.(error); ok {
		for u := errors.Unwrap(err); u != nil; u = errors.Unwrap(err) {
			err = u
		}
		v = err
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", v), "*")
}
