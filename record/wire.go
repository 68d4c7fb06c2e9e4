package record

import (
	"errors"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The stored form of a record is a protobuf message without a schema file:
// numbered fields, so that a reader skips what a later version has added. A
// number is never used again for another meaning. EventID, Sequence, Node and
// Boot stand beside the message, in the store's own framing, and the contents
// of the bodies apart from it, so that a listing without bodies reads none.
const (
	fieldEndMicros       protowire.Number = 1 // since Timestamp
	fieldSource          protowire.Number = 2
	fieldProject         protowire.Number = 3
	fieldClaimedProject  protowire.Number = 4
	fieldAction          protowire.Number = 5
	fieldDescription     protowire.Number = 6
	fieldSuccess         protowire.Number = 7
	fieldMethod          protowire.Number = 8
	fieldURI             protowire.Number = 9
	fieldQuery           protowire.Number = 10
	fieldUpstreamURI     protowire.Number = 11
	fieldHost            protowire.Number = 12
	fieldProtocol        protowire.Number = 13
	fieldStatus          protowire.Number = 14
	fieldStatusSource    protowire.Number = 15
	fieldOutcome         protowire.Number = 16
	fieldUserID          protowire.Number = 17
	fieldUserName        protowire.Number = 18
	fieldUserEmail       protowire.Number = 19
	fieldUserRole        protowire.Number = 20 // repeated
	fieldAuthMethod      protowire.Number = 21
	fieldAuthVerified    protowire.Number = 22
	fieldUserIP          protowire.Number = 23
	fieldPeerIP          protowire.Number = 24
	fieldUserAgent       protowire.Number = 25
	fieldRequestID       protowire.Number = 26
	fieldTraceID         protowire.Number = 27
	fieldObject          protowire.Number = 28 // message: 1 type, 2 id, 3 name
	fieldRequestHeaders  protowire.Number = 29 // names and values in turn, each behind its length
	fieldResponseHeaders protowire.Number = 30
	fieldRequestBody     protowire.Number = 31 // message: BodyInfo
	fieldResponseBody    protowire.Number = 32
	fieldRedacted        protowire.Number = 33 // repeated
	fieldGap             protowire.Number = 34 // message: 1 count, 2 unknown, 3 reason
	fieldPolicy          protowire.Number = 35
	fieldRequestTrailers protowire.Number = 36 // as headers
	fieldAnswerTrailers  protowire.Number = 37
	fieldActionAlias     protowire.Number = 39 // repeated
	fieldTokenID         protowire.Number = 40
	fieldJobID           protowire.Number = 41
	fieldTrigger         protowire.Number = 42
	fieldAnnounced       protowire.Number = 38 // stands first, and is no part of a Record; see AppendAnnounced
)

// errMeta is what every malformed stored form comes to.
var errMeta = errors.New("malformed record")

// AppendMeta appends the stored form of r to dst: all of it but EventID (and
// with it Timestamp), Sequence, Node, Boot and the contents of the bodies.
func (r *Record) AppendMeta(dst []byte) []byte {
	if !r.EndTime.IsZero() {
		dst = appendInt(dst, fieldEndMicros, uint64(max(r.EndTime.Sub(r.Timestamp).Microseconds(), 0))+1)
	}
	for _, f := range r.stringFields() {
		dst = appendString(dst, f.number, *f.value)
	}
	dst = appendInt(dst, fieldStatus, uint64(r.Status))
	for _, alias := range r.ActionAliases {
		dst = appendString(dst, fieldActionAlias, alias)
	}
	for _, role := range r.UserRoles {
		dst = appendString(dst, fieldUserRole, role)
	}
	if r.AuthVerified {
		dst = appendInt(dst, fieldAuthVerified, 1)
	}
	if o := r.Object; o != nil {
		dst = appendMessage(dst, fieldObject, func(dst []byte) []byte {
			dst = appendString(dst, 1, o.Type)
			dst = appendString(dst, 2, o.ID)
			return appendString(dst, 3, o.Name)
		})
	}
	dst = appendHeaders(dst, fieldRequestHeaders, r.RequestHeaders)
	dst = appendHeaders(dst, fieldResponseHeaders, r.ResponseHeaders)
	dst = appendHeaders(dst, fieldRequestTrailers, r.RequestTrailers)
	dst = appendHeaders(dst, fieldAnswerTrailers, r.ResponseTrailers)
	dst = appendBody(dst, fieldRequestBody, &r.RequestBody.BodyInfo)
	dst = appendBody(dst, fieldResponseBody, &r.ResponseBody.BodyInfo)
	for _, place := range r.Redacted {
		dst = appendString(dst, fieldRedacted, place)
	}
	if g := r.Gap; g != nil {
		dst = appendMessage(dst, fieldGap, func(dst []byte) []byte {
			dst = appendInt(dst, 1, g.Count)
			if g.CountUnknown {
				dst = appendInt(dst, 2, 1)
			}
			return appendString(dst, 3, g.Reason)
		})
	}
	return dst
}

// SetMeta sets r to what AppendMeta wrote of a record named id. What r held
// before is gone. Nothing of meta is kept.
func (r *Record) SetMeta(id ID, meta []byte) error {
	*r = Record{EventID: id, Timestamp: id.Time()}
	var lasted uint64
	strings := r.stringFields()
	err := EachField(meta, func(n protowire.Number, number uint64, data []byte) error {
		switch n {
		case fieldEndMicros:
			lasted = number
		case fieldStatus:
			r.Status = int(number)
		case fieldAuthVerified:
			r.AuthVerified = number != 0
		case fieldActionAlias:
			r.ActionAliases = append(r.ActionAliases, string(data))
		case fieldUserRole:
			r.UserRoles = append(r.UserRoles, string(data))
		case fieldRedacted:
			r.Redacted = append(r.Redacted, string(data))
		case fieldObject:
			r.Object = new(Object)
			return r.Object.set(data)
		case fieldGap:
			r.Gap = new(Gap)
			return r.Gap.set(data)
		case fieldRequestHeaders:
			return r.RequestHeaders.set(data)
		case fieldResponseHeaders:
			return r.ResponseHeaders.set(data)
		case fieldRequestTrailers:
			return r.RequestTrailers.set(data)
		case fieldAnswerTrailers:
			return r.ResponseTrailers.set(data)
		case fieldRequestBody:
			return r.RequestBody.set(data)
		case fieldResponseBody:
			return r.ResponseBody.set(data)
		default:
			for _, f := range strings {
				if f.number == n {
					*f.value = string(data)
					break
				}
			}
		}
		return nil
	})
	if lasted > 0 {
		r.EndTime = r.Timestamp.Add(time.Duration(lasted-1) * time.Microsecond)
	}
	return err
}

type stringField struct {
	number protowire.Number
	value  *string
}

// stringFields pairs each plain text field with its number, for writing and
// for reading.
func (r *Record) stringFields() [27]stringField {
	return [...]stringField{
		{fieldSource, &r.Source},
		{fieldProject, &r.Project},
		{fieldClaimedProject, &r.ClaimedProject},
		{fieldAction, &r.Action},
		{fieldDescription, &r.Description},
		{fieldSuccess, (*string)(&r.Success)},
		{fieldMethod, &r.Method},
		{fieldURI, &r.URI},
		{fieldQuery, &r.Query},
		{fieldUpstreamURI, &r.UpstreamURI},
		{fieldHost, &r.Host},
		{fieldProtocol, &r.Protocol},
		{fieldStatusSource, &r.StatusSource},
		{fieldOutcome, (*string)(&r.Outcome)},
		{fieldUserID, &r.UserID},
		{fieldUserName, &r.UserName},
		{fieldUserEmail, &r.UserEmail},
		{fieldAuthMethod, &r.AuthMethod},
		{fieldUserIP, &r.UserIP},
		{fieldPeerIP, &r.PeerIP},
		{fieldUserAgent, &r.UserAgent},
		{fieldRequestID, &r.RequestID},
		{fieldTraceID, &r.TraceID},
		{fieldPolicy, &r.Policy},
		{fieldTokenID, &r.TokenID},
		{fieldJobID, &r.JobID},
		{fieldTrigger, &r.Trigger},
	}
}
