package record

import (
	"bytes"
	"encoding/json"
	"time"
)

// Self is the source of the records that Auditgate writes about itself: what
// was read of it, which tokens it refused, which configurations it loaded.
const Self = "auditgate"

// MaxSourceLen is the longest name of a source, in bytes.
const MaxSourceLen = 48

// Success tells whether a call did what was asked. Users of cloud action logs
// know it as a word and not as a boolean.
type Success string

// The values of Success.
const (
	SuccessYes     Success = "yes"
	SuccessNo      Success = "no"      // a status of 400 or above
	SuccessUnknown Success = "unknown" // aborted, unfinished, or no status was seen
)

// Outcome tells how a call ended.
type Outcome string

// The values of Outcome.
const (
	OutcomeComplete      Outcome = "complete"
	OutcomeAborted       Outcome = "aborted"        // the client left, or the handler panicked
	OutcomeUpstreamError Outcome = "upstream_error" // the component could not be reached or broke off
	OutcomeUpgraded      Outcome = "upgraded"       // a WebSocket or another protocol, now ended
	OutcomeInProgress    Outcome = "in_progress"
	OutcomeUnfinished    Outcome = "unfinished" // was in progress when the gateway died
	OutcomeGap           Outcome = "gap"        // a stretch whose calls could not be recorded
)

// Record is a call as stored, redacted and final. Its JSON is what the API
// answers. A field with nothing to say is absent there, but for the two
// bodies, which are then "".
type Record struct {
	// EventID names the record; Timestamp is its time.
	EventID ID `json:"event_id"`
	// Sequence is the order of commit on its node: from 1, without holes.
	// The store sets it.
	Sequence uint64 `json:"sequence,omitempty"`
	// Node is the store that took the record and Boot the run of the gateway,
	// both random. The store sets them.
	Node string `json:"node,omitempty"`
	Boot string `json:"boot,omitempty"`

	// Timestamp is when the call began: EventID.Time(). EndTime is when it
	// ended. UTC, to the microsecond.
	Timestamp time.Time `json:"timestamp"`
	EndTime   time.Time `json:"end_time,omitzero"`

	// Source is the component API that was called, Project the tenant that the
	// call belongs to. ClaimedProject stands instead where nothing vouches for
	// the project.
	Source         string `json:"source"`
	Project        string `json:"project,omitempty"`
	ClaimedProject string `json:"claimed_project,omitempty"`

	// Action is what the call does, "unknown" where no rule names it; ActionAliases
	// are other words for that.
	Action        string   `json:"action,omitempty"`
	ActionAliases []string `json:"action_aliases,omitempty"`
	Description   string   `json:"description,omitempty"`
	Success       Success  `json:"success,omitempty"`

	Method string `json:"method,omitempty"`
	// URI is the path as the client sent it, escaped as it was; Query what
	// followed the question mark, redacted. UpstreamURI is path and query as
	// the component got them, where they differ.
	URI         string `json:"uri,omitempty"`
	Query       string `json:"query,omitempty"`
	UpstreamURI string `json:"upstream_uri,omitempty"`
	Host        string `json:"host,omitempty"`
	Protocol    string `json:"protocol,omitempty"` // as HTTP/2.0

	// Status is what the client got, 0 where it got none. StatusSource is
	// "error" where the status is that of an error whose answer was not seen, and
	// "refused" where the gateway answered for want of a receipt (`fail closed`).
	Status       int     `json:"status,omitempty"`
	StatusSource string  `json:"status_source,omitempty"`
	Outcome      Outcome `json:"outcome"`

	Actor

	// UserIP is the client's address, as far as trusted proxies tell; PeerIP
	// is the other end of the connection.
	UserIP    string `json:"user_ip,omitempty"`
	PeerIP    string `json:"peer_ip,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	// RequestID is the component's own name for the call, else the client's.
	RequestID string `json:"request_id,omitempty"`
	// TraceID is that of a W3C traceparent, 32 hexadecimal digits.
	TraceID string `json:"trace_id,omitempty"`

	Object *Object `json:"object,omitempty"`

	// JobID names the asynchronous operation that the call began or asked for, and
	// Trigger what caused it.
	JobID   string `json:"job_id,omitempty"`
	Trigger string `json:"trigger,omitempty"`

	RequestHeaders  Headers `json:"request_headers,omitempty"`
	ResponseHeaders Headers `json:"response_headers,omitempty"`

	// Trailers are fields that came behind a body.
	RequestTrailers  Headers `json:"request_trailers,omitempty"`
	ResponseTrailers Headers `json:"response_trailers,omitempty"`

	RequestBody  Body `json:"-"` // see MarshalJSON
	ResponseBody Body `json:"-"`

	// Redacted names each place where a secret stood: "request_headers:Cookie",
	// "query:token", "request_body:/server/adminPass".
	Redacted []string `json:"redacted,omitempty"`

	// Policy names the rules that decided what was kept: a hash of them, in
	// hexadecimal, the same for the same rules.
	Policy string `json:"policy,omitempty"`

	// Gap is set where Outcome is OutcomeGap. The stretch is Timestamp to EndTime.
	Gap *Gap `json:"gap,omitempty"`
}

// Actor is who made the call, as far as the gateway knows.
type Actor struct {
	UserID    string   `json:"user_id,omitempty"`
	UserName  string   `json:"user_name,omitempty"`
	UserEmail string   `json:"user_email,omitempty"`
	UserRoles []string `json:"user_roles,omitempty"`
	// AuthMethod is how the actor is known: "caddy", "mtls", "jwt". AuthVerified
	// tells whether somebody checked: without it this is the client's word.
	AuthMethod   string `json:"auth_method,omitempty"`
	AuthVerified bool   `json:"auth_verified,omitempty"`
	// TokenID is the keyed hash of the token that came with the call, the same for
	// the same token.
	TokenID string `json:"token_id,omitempty"`
}

// Known reports whether anything is known of the actor.
func (a *Actor) Known() bool { return a.UserID != "" || a.UserName != "" || a.UserEmail != "" }

// Object is what a call acts on.
type Object struct {
	Type string `json:"type,omitempty"`
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// Gap says what is known of calls that were not recorded.
type Gap struct {
	// Count is how many calls are missing. Unknown, after a power cut, it is
	// absent, and CountUnknown is true.
	Count        uint64 `json:"count,omitempty"`
	CountUnknown bool   `json:"count_unknown,omitempty"`
	Reason       string `json:"reason"`
}

// Duration is how long the call took; 0 while it is in progress.
func (r *Record) Duration() time.Duration {
	if r.EndTime.IsZero() {
		return 0
	}
	return r.EndTime.Sub(r.Timestamp)
}

// MarshalJSON writes the record as the API answers it: see the package's
// description of fields, and "duration_ms", which is derived.
func (r *Record) MarshalJSON() ([]byte, error) {
	type plain Record // without this method
	var millis *float64
	var verified *bool // said of everybody who is known, also where it is no
	if r.AuthMethod != "" {
		verified = &r.AuthVerified
	}
	if !r.EndTime.IsZero() {
		ms := float64(r.Duration().Microseconds()) / 1000
		millis = &ms
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // whoever puts JSON into HTML asks the outer encoder
	err := enc.Encode(struct {
		*plain
		Verified     *bool     `json:"auth_verified,omitempty"`
		Millis       *float64  `json:"duration_ms,omitempty"`
		RequestBody  string    `json:"request_body"`
		ResponseBody string    `json:"response_body"`
		RequestInfo  *BodyInfo `json:"request_body_info,omitempty"`
		ResponseInfo *BodyInfo `json:"response_body_info,omitempty"`
	}{
		(*plain)(r), verified, millis, r.RequestBody.Text(), r.ResponseBody.Text(),
		r.RequestBody.info(), r.ResponseBody.info(),
	})
	return out.Bytes(), err
}

// UnmarshalJSON reads what MarshalJSON wrote. Bodies come back as text: what
// was binary is its placeholder.
func (r *Record) UnmarshalJSON(data []byte) error {
	type plain Record
	wire := struct {
		*plain
		RequestBody  string   `json:"request_body"`
		ResponseBody string   `json:"response_body"`
		RequestInfo  BodyInfo `json:"request_body_info"`
		ResponseInfo BodyInfo `json:"response_body_info"`
	}{plain: (*plain)(r)}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	r.RequestBody = Body{Content: []byte(wire.RequestBody), BodyInfo: wire.RequestInfo}
	r.ResponseBody = Body{Content: []byte(wire.ResponseBody), BodyInfo: wire.ResponseInfo}
	return nil
}
