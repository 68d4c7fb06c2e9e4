package capture

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/capture/naming"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// worker makes records, one at a time.
type worker struct{ r record.Record }

// seen is what an exchange has come to: at its end, or when it is announced.
type seen struct {
	rules             *Rules
	facts             Facts
	who               identity.Identity
	status            int
	source            string
	request, response record.Headers // to be redacted in place
	failed            bool           // an error route answered, and not the component
}

// record makes the record of an exchange that has ended. It is good until the
// next one.
func (w *worker) record(x *Exchange, level Level, who identity.Identity) *record.Record {
	res := &x.result
	// What a body is said to be, before secrets are taken out of that as well.
	requestType, responseType := x.headers.Get("Content-Type"), x.response.headers.Get("Content-Type")
	redactor := w.describe(x, seen{x.rules, x.facts, who, res.status, res.source, x.headers, x.response.headers, x.answered})
	r := &w.r
	r.Success, r.Outcome = res.success, res.outcome
	r.EndTime = r.Timestamp.Add(x.ended.Sub(x.began))
	r.RequestTrailers, r.ResponseTrailers = x.requestTrailers, x.responseTrailers
	r.Redacted = redactor.Headers(r.RequestTrailers, "request_trailers", r.Redacted)
	r.Redacted = redactor.Headers(r.ResponseTrailers, "response_trailers", r.Redacted)

	x.response.end = res.whole
	refused := func(most Level) string { // why nothing may be kept of a body, else ""
		switch {
		case level > most:
			return record.ReasonLevel
		case x.bodies == BodiesOff:
			return record.ReasonRule
		}
		return ""
	}
	m := message{
		side: x.uploaded(), name: "request_body", headers: r.RequestHeaders, kind: requestType, withheld: refused(Request),
		call: redact.Call{Method: x.method, Path: x.uri}, binary: x.bodies == BodiesBinary, frames: x.response.upgraded,
	}
	r.RequestBody, r.Redacted = m.body(redactor, r.Redacted)
	m.side, m.name, m.headers, m.kind, m.withheld = &x.response.side, "response_body", r.ResponseHeaders, responseType, refused(Full)
	r.ResponseBody, r.Redacted = m.body(redactor, r.Redacted)
	name(r, x.rules, x.facts, redactor)
	return r
}

// name says in r what its call does, as far as r tells by now.
func name(r *record.Record, rules *Rules, facts Facts, redactor *redact.Redactor) {
	if rules.Namer == nil {
		return
	}
	known := naming.Call{Matched: facts.Naming.Matched}
	names := rules.Namer.Placeholders()
	for i, value := range facts.Naming.Values {
		if i == len(names) {
			break // the rules are those of another capture
		}
		known.Values = append(known.Values, judged(redactor, names[i], value))
	}
	rules.Namer.Name(r, known)
}

// judged is the value of one of the server's placeholders without what is secret in it,
// as its name says: a header is judged as one, a cookie as the header that has it, and
// anything else as a field that is called like the last part of the name.
func judged(redactor *redact.Redactor, name, value string) string {
	if value == "" {
		return ""
	}
	header := ""
	if strings.HasPrefix(name, "http.request.cookie.") {
		header = "Cookie"
	}
	for _, prefix := range []string{"http.request.header.", "http.response.header.", "http.reverse_proxy.header."} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			header = rest
		}
	}
	if header == "" {
		return redactor.Field(name[strings.LastIndexByte(name, '.')+1:], value)
	}
	one := record.Headers{{Name: header, Value: value}}
	_ = redactor.Headers(one, "", nil)
	return one[0].Value
}

// describe puts into the worker's record what is known of an exchange but for
// its bodies and how it ended.
func (w *worker) describe(x *Exchange, s seen) *redact.Redactor {
	redactor, redacted := s.rules.Redactor, w.r.Redacted[:0]
	w.r = record.Record{
		EventID: x.ID, Timestamp: x.ID.Time(),
		Source: s.rules.Source, Action: naming.Unknown, Policy: s.rules.Policy,
		Method: x.method, Host: x.host, Protocol: x.protocol, Status: s.status, StatusSource: s.source,
		UserIP: x.client, PeerIP: x.peer,
		RequestHeaders: s.request, ResponseHeaders: s.response,
	}
	r := &w.r
	r.Actor = s.who.Actor

	redacted = redactor.Headers(r.RequestHeaders, "request_headers", redacted)
	redacted = redactor.Headers(r.ResponseHeaders, "response_headers", redacted)
	r.URI, redacted = redactor.URL(x.uri, "uri", redacted)
	r.Query, redacted = redactor.Query(x.query, redacted)
	r.UpstreamURI = likewise(redact.Cut(s.facts.UpstreamURI, MaxURI), x.uri, r.URI)
	s.placeProject(r)
	r.Project, r.ClaimedProject = likewise(r.Project, x.uri, r.URI), likewise(r.ClaimedProject, x.uri, r.URI)
	for _, f := range [...]struct {
		text  *string
		place string
	}{
		{&r.Method, "method"},
		{&r.Host, "host"},
		{&r.UpstreamURI, "upstream_uri"},
		{&r.Project, "project"},
		{&r.ClaimedProject, "claimed_project"},
		{&r.UserID, "user_id"},
		{&r.UserName, "user_name"},
		{&r.UserEmail, "user_email"},
	} {
		if *f.text != "" {
			*f.text, redacted = redactor.URL(*f.text, f.place, redacted)
		}
	}
	r.UserRoles = slices.Clone(r.UserRoles) // the facts may be told again
	for i := range r.UserRoles {
		r.UserRoles[i], redacted = redactor.URL(r.UserRoles[i], "user_roles", redacted)
	}
	// Copied from headers, as they are redacted.
	r.UserAgent = r.RequestHeaders.Get("User-Agent")
	r.RequestID = redact.Cut(requestID(r.ResponseHeaders, r.RequestHeaders), MaxName)
	r.TraceID = traceID(r.RequestHeaders.Get("Traceparent"))
	r.Redacted = redacted
	return redactor
}

// likewise hides in another path the segments that were hidden in uri: the
// component may know a path by another beginning, which no pattern matches.
func likewise(other, uri, hidden string) string {
	if uri == hidden {
		return other
	}
	was, is := strings.Split(uri, "/"), strings.Split(hidden, "/")
	path, query, asked := strings.Cut(other, "?")
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		for j := range min(len(was), len(is)) {
			if was[j] != is[j] && plainSegment(segment) == plainSegment(was[j]) {
				segments[i] = is[j]
			}
		}
	}
	if path = strings.Join(segments, "/"); asked {
		path += "?" + query
	}
	return path
}

// plainSegment is a segment of a path as the component reads it.
func plainSegment(segment string) string {
	if plain, err := url.PathUnescape(segment); err == nil {
		return plain
	}
	return segment
}

// placeProject puts the project where it belongs: that of an identity which somebody
// vouches for is the call's. A name that only the request
// vouches for, and that the component did not let in, or has not judged, is a
// claim, so that strangers cannot write into the log of a tenant. So is one that servers
// read differently, unless it is that of a verified identity in one of the readings.
func (s *seen) placeProject(r *record.Record) {
	vouched := s.who.AuthVerified || s.who.ProjectVerified
	if s.rules.IdentityProject {
		project := redact.Cut(s.who.Project, MaxName)
		if vouched {
			r.Project = project
		} else {
			r.ClaimedProject = project
		}
		return
	}
	project, agreed := s.facts.Project, true
	if several := s.facts.Projects; len(several) > 0 {
		project = s.who.Project
		if agreed = vouched && project != "" && slices.Contains(several, project); !agreed {
			project = cmp.Or(several[len(several)-1], several[0])
		}
	}
	project = redact.Cut(project, MaxName)
	judged := !s.failed && r.StatusSource == "" && r.Status != 0 && r.Status != statusClientLeft
	refused := r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden || r.Status == http.StatusNotFound
	if s.facts.ProjectVerified || judged && !refused && agreed {
		r.Project = project
	} else {
		r.ClaimedProject = project
	}
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
