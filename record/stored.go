package record

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Stored is what queries ask about of a record in its stored form: slices of
// that, nothing is copied. What has nothing to say is empty.
type Stored struct {
	Announced uint64 // see [AppendAnnounced]
	Status    int

	Source, Project, Action, Success, Method, URI, Query, Outcome []byte
	UserID, UserName, UserEmail, UserIP                           []byte
	RequestID, TraceID, TokenID, JobID                            []byte
	ObjectType, ObjectID, ObjectName                              []byte
	Aliases                                                       [][]byte

	// headers are those and the trailers, both ways, as AppendMeta wrote them.
	headers [4][]byte
}

// Set sets s to what stands in meta, which [AppendAnnounced] and
// [Record.AppendMeta] wrote.
func (s *Stored) Set(meta []byte) error {
	*s = Stored{Aliases: s.Aliases[:0]}
	return EachField(meta, func(n protowire.Number, number uint64, data []byte) error {
		switch n {
		case fieldAnnounced:
			s.Announced = number
		case fieldStatus:
			s.Status = int(number)
		case fieldSource:
			s.Source = data
		case fieldProject:
			s.Project = data
		case fieldAction:
			s.Action = data
		case fieldActionAlias:
			s.Aliases = append(s.Aliases, data)
		case fieldSuccess:
			s.Success = data
		case fieldMethod:
			s.Method = data
		case fieldURI:
			s.URI = data
		case fieldQuery:
			s.Query = data
		case fieldOutcome:
			s.Outcome = data
		case fieldUserID:
			s.UserID = data
		case fieldUserName:
			s.UserName = data
		case fieldUserEmail:
			s.UserEmail = data
		case fieldUserIP:
			s.UserIP = data
		case fieldRequestID:
			s.RequestID = data
		case fieldTraceID:
			s.TraceID = data
		case fieldTokenID:
			s.TokenID = data
		case fieldJobID:
			s.JobID = data
		case fieldObject:
			return EachField(data, func(n protowire.Number, _ uint64, data []byte) error {
				switch n {
				case 1:
					s.ObjectType = data
				case 2:
					s.ObjectID = data
				case 3:
					s.ObjectName = data
				}
				return nil
			})
		case fieldRequestHeaders:
			s.headers[0] = data
		case fieldResponseHeaders:
			s.headers[1] = data
		case fieldRequestTrailers:
			s.headers[2] = data
		case fieldAnswerTrailers:
			s.headers[3] = data
		}
		return nil
	})
}

// EachWord calls do with the same words as [EachWordOf] does of the record with
// these bodies. It ends when do returns false.
func (s *Stored) EachWord(request, response []byte, do func(word []byte) bool) error {
	more := true
	next := func(word []byte) bool { more = do(word); return more }
	each := func(text []byte) {
		if more {
			EachWord(text, next)
		}
	}
	for _, part := range [...][]byte{s.URI, s.Query} {
		each(part)
		if bytes.IndexByte(part, '%') >= 0 {
			each(unescape(string(part)))
		}
	}
	for _, rest := range s.headers {
		for len(rest) > 0 { // names and values in turn
			text, n := protowire.ConsumeBytes(rest)
			if n < 0 {
				return fmt.Errorf("%w: header", errMeta)
			}
			each(text)
			rest = rest[n:]
		}
	}
	each(request)
	each(response)
	return nil
}
