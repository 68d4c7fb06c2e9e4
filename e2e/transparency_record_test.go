package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/auditgate/auditgate/record"
)

// wanted is what the record of a cell has to say.
type wanted struct {
	Ending            ending
	Protocol          string
	Request, Response wantedBody
	RequestTrailers   http.Header
	ResponseTrailers  http.Header
}

// wantedBody is a body as it was on the wire.
type wantedBody struct {
	State  record.BodyState
	Reason string
	Size   int64
	Digest string // hexadecimal; of a body whose digest is keyed, "keyed"
}

const keyed = "keyed"

// anySize is that of a request of which the gateway saw at least what the
// component read, and at most what the client sent.
const anySize = -1

// bodyOf is what is wanted of a body that was kept whole.
func bodyOf(wire []byte) wantedBody {
	if len(wire) == 0 {
		return wantedBody{State: record.BodyNone}
	}
	digest := sha256.Sum256(wire)
	return wantedBody{State: record.BodyComplete, Size: int64(len(wire)), Digest: hex.EncodeToString(digest[:])}
}

// cut is what is wanted of a body that broke off after wire.
func cut(wire []byte) wantedBody {
	return wantedBody{record.BodyTruncated, record.ReasonAborted, int64(len(wire)), keyed}
}

// withheld is what is wanted of wire where it is binary that nobody could search
// for secrets.
func withheld(wire []byte) wantedBody {
	return wantedBody{record.BodyWithheld, record.ReasonType, int64(len(wire)), keyed}
}

// streamed is what is wanted of the body of a stream of text.
func streamed(wire []byte) wantedBody {
	b := bodyOf(wire)
	b.State = record.BodyStreamed
	return b
}

// checkRecord waits for the record of the exchange and compares it with what the
// ends saw.
func (c *cell) checkRecord() {
	t := c.t
	want := wanted{
		Ending:   ending{record.OutcomeComplete, record.SuccessYes, c.client.Status, ""},
		Protocol: c.protocol.recorded, Response: bodyOf(c.client.Body), Request: bodyOf(nil),
		ResponseTrailers: c.client.Trailer,
	}
	if n := len(c.component); n > 0 {
		last := c.component[n-1]
		want.Request, want.RequestTrailers = bodyOf(last.Body), maps.Clone(last.Trailer)
		maps.DeleteFunc(want.RequestTrailers, func(_ string, values []string) bool { return len(values) == 0 }) // announced, and did not come
	}
	if c.client.Status >= http.StatusBadRequest {
		want.Ending.Success = record.SuccessNo
	}
	if c.feature.record != nil {
		c.feature.record(c, &want)
	}

	g := c.gateway.in(t)
	var r *record.Record
	wait(t, "the call has ended for its record too", func() bool {
		r = g.recordOf(c.id)
		return r.Outcome != record.OutcomeInProgress
	})
	got := wanted{
		Ending: endingOf(r), Protocol: r.Protocol,
		Request: recordedBody(&r.RequestBody), Response: recordedBody(&r.ResponseBody),
		RequestTrailers: headerOf(r.RequestTrailers), ResponseTrailers: headerOf(r.ResponseTrailers),
	}
	if want.Request.Size == anySize {
		want.Request.Size = got.Request.Size
		if read, sent := len(c.component[0].Body), len(c.sent); got.Request.Size < int64(read) || got.Request.Size > int64(sent) {
			t.Errorf("the record has a request of %d bytes, of %d sent and %d read", got.Request.Size, sent, read)
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the record is not what was seen (-want +got):\n%s", diff)
	}
	if c.begun != "" && c.begun != r.EventID.String() {
		t.Errorf("the call began as %s and its record is %s", c.begun, r.EventID)
	}
}

func recordedBody(b *record.Body) wantedBody {
	got := wantedBody{b.State, b.Reason, b.Size, b.SHA256}
	if b.SHA256 == "" && len(b.HMACSHA256) == 2*sha256.Size {
		got.Digest = keyed
	}
	return got
}

func headerOf(fields record.Headers) http.Header {
	h := make(http.Header)
	for _, f := range fields {
		h.Add(f.Name, f.Value)
	}
	return h
}

// checkCount checks, when all cells are done, that each exchange under a capture
// is one record, and that there is no other.
func (m *matrix) checkCount() {
	logs := m.gateway.list(url.Values{"limit": {"1000"}, "view": {"summary"}})
	calls := make(map[string]int)
	for _, r := range logs {
		calls[r.RequestID]++
	}
	for id, n := range calls {
		if n != 1 {
			m.t.Errorf("the call %q is %d records", id, n)
		}
	}
	if want := int(m.count.Load()); len(calls) != want || len(logs) != want {
		m.t.Errorf("there are %d records of %d calls, want one of each of %d", len(logs), len(calls), want)
	}
}
