package capture

import (
	"bytes"
	"log/slog"
	"net/http"

	"github.com/auditgate/auditgate/capture/decode"
	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/record"
)

// attend notes what the rules want to learn from the call.
func (x *Exchange) attend() {
	x.readsRequest, x.readsResponse = x.rules.Lessons.Reads(x.method, x.uri)
}

// attentive reports whether the call may still teach something.
func (x *Exchange) attentive() bool { return x.rules.Lessons != nil && !x.taught }

// teach lets others' tokens be known that this call tells of, if it was answered with
// a 2xx. It runs on the request's goroutine, before the client has the last of the
// answer, so that the next call is known already: last is what goes out next. What it
// costs is a search in at most [identity.MaxLesson] bytes of each body, of such calls
// alone. It may not fail.
func (x *Exchange) teach(status int, last []byte) {
	x.taught = true
	if status < 200 || status > 299 || x.response.upgraded || !x.rules.Lessons.Fit(x.method, x.uri) {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			x.pipeline.log.Error("learning from a call panicked, nothing is learned of it",
				slog.String("event_id", x.ID.String()), slog.String("type", typeName(v)))
		}
	}()
	request, response := x.headers, x.response.headers
	if x.whole != nil {
		request = x.forLessons(x.whole)
	}
	if response == nil {
		response = x.forLessons(x.response.Header())
	} else if x.response.lesson != nil {
		response = x.response.lesson
	}
	issued := x.rules.Lessons.Teach(&identity.Passed{
		Method: x.method, Path: x.uri, RequestHeaders: request, ResponseHeaders: response,
		RequestBody:  x.uploaded().heard(x.readsRequest, request.Get("Content-Encoding"), nil),
		ResponseBody: x.response.heard(x.readsResponse, response.Get("Content-Encoding"), last),
	}, func(token string) string { return x.rules.Redactor.Value([]byte(token)) }, x.pipeline.book)
	x.mu.Lock()
	x.issued = issued
	x.mu.Unlock()
}

// teachAtEnd teaches what was not yet taught, and lets go of what was kept for that
// alone.
func (x *Exchange) teachAtEnd() {
	if x.attentive() {
		status := x.response.status
		if status == 0 && x.ending.Err == nil && x.ending.Panic == nil {
			status = http.StatusOK // which the server sends for a handler that wrote nothing
		}
		x.teach(status, x.response.unsent)
	}
	clear(x.response.unsent)
	x.response.unsent = nil
	if x.readsRequest || x.readsResponse {
		x.readsRequest, x.readsResponse = false, false
		x.aim()
	}
}

// miss takes note of bytes that the client did not take any more, of an answer that
// teaches: a token was issued, whoever has left.
func (t *responseTap) miss(p []byte) {
	x := t.exchange
	if !x.attentive() || !x.readsResponse {
		return
	}
	p = p[:min(len(p), identity.MaxLesson-len(t.unsent))]
	t.unsent = append(t.unsent, p...)
	x.weight += int64(len(p))
	x.pipeline.budget.force(int64(len(p)))
}

// forLessons are the lines of a header that lessons read.
func (x *Exchange) forLessons(h http.Header) record.Headers {
	return pick(h, x.rules.Lessons.Headers(), identity.MaxRoles+1, identity.MaxTokenLen)
}

// heard returns the beginning of a body, decoded: of what was kept and of what comes
// last.
func (s *side) heard(reads bool, coding string, last []byte) []byte {
	if !reads {
		return nil
	}
	s.mu.Lock()
	wire := bytes.Clone(s.kept[:min(len(s.kept), identity.MaxLesson)]) // a transport may still add to it
	whole := int64(len(s.kept)) == s.size
	s.mu.Unlock()
	if whole {
		wire = append(wire, last[:min(len(last), identity.MaxLesson-len(wire))]...)
	}
	plain, _, err := decode.Body(coding, wire, decodedRoom)
	if err != nil {
		return nil
	}
	return plain
}
