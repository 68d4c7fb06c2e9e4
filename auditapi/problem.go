package auditapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/auditgate/auditgate/record"
)

// problemBase and a name are the type of a problem: a tag (RFC 4151), which
// stays the same wherever its description moves.
const problemBase = "tag:auditgate.github.io,2026:"

// kind is a type of problem: its name, status and title are always the same,
// and callers may branch on them.
type kind struct {
	name   string
	status int
	title  string
}

// All types of problems. The names are kept.
var (
	invalidParameter = &kind{"invalid-parameter", 400, "A parameter is not valid"} // errors names each
	invalidBody      = &kind{"invalid-body", 400, "The body of the request is not valid"}
	markerInvalid    = &kind{"marker-invalid", 400, "The marker is not good here"}
	ambiguousToken   = &kind{"ambiguous-token", 400, "Two different tokens were sent"}
	tokenMissing     = &kind{"token-missing", 401, "A token is needed"}
	tokenInvalid     = &kind{"token-invalid", 401, "The token is not accepted"}
	forbidden        = &kind{"forbidden", 403, "The token does not allow this"}
	notFound         = &kind{"not-found", 404, "There is no such thing"}    // gaps, of a record that may have been lost
	bodyNotKept      = &kind{"body-not-kept", 404, "The body was not kept"} // state and reason say why
	methodNotAllowed = &kind{"method-not-allowed", 405, "The method is not allowed"}
	markerExpired    = &kind{"marker-expired", 410, "The marker has expired"}
	tooLarge         = &kind{"too-large", 413, "The request is too large"}
	tooManyRequests  = &kind{"too-many-requests", 429, "Too many requests"}
	internal         = &kind{"internal", 500, "The records could not be read"}
	busy             = &kind{"busy", 503, "Too many queries run"}
	keysUnavailable  = &kind{"keys-unavailable", 503, "Tokens cannot be checked now"}
	unavailable      = &kind{"unavailable", 503, "The store cannot be used now"}
)

// problemError is an error as a caller sees it.
type problemError struct {
	kind   *kind
	detail string
	errors []parameterError // of invalidParameter
	state  string           // of bodyNotKept, as in the record
	reason string
	gaps   []*record.Record  // of notFound: those of the time that was asked for
	header map[string]string // further headers of the answer
}

// parameterError says what is wrong with one parameter, and what would be right.
type parameterError struct {
	Parameter string `json:"parameter"`
	Detail    string `json:"detail"`
}

// because returns a problem of the kind with its detail.
func (k *kind) because(format string, args ...any) *problemError {
	return &problemError{kind: k, detail: fmt.Sprintf(format, args...)}
}

// with adds a header to the answer.
func (p *problemError) with(name, value string) *problemError {
	p.header = map[string]string{name: value}
	return p
}

func (p *problemError) Error() string { return p.kind.name + ": " + p.detail }

// retryAfter is what callers are told to wait, in seconds, where it is worth
// trying again.
const retryAfter = "1"

// write answers r with the problem.
func (p *problemError) write(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(struct {
		Type   string           `json:"type"`
		Title  string           `json:"title"`
		Status int              `json:"status"`
		Detail string           `json:"detail,omitempty"`
		Errors []parameterError `json:"errors,omitempty"`
		State  string           `json:"state,omitempty"`
		Reason string           `json:"reason,omitempty"`
		Gaps   []*record.Record `json:"gaps,omitempty"`
	}{problemBase + p.kind.name, p.kind.title, p.kind.status, p.detail, p.errors, p.state, p.reason, p.gaps})
	if err != nil {
		panic(err) // strings, numbers and records can always be written
	}
	if pretty, err := readPretty(r.URL.Query()); err == nil && pretty {
		body = indent(body)
	}
	for name, value := range p.header {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(p.kind.status)
	_, _ = w.Write(append(body, '\n')) // who left does not read it
}
