package storetest

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// Records makes records as a busy API gives them: about 1 KiB of JSON up and
// 2 KiB down, that never repeat, from a few sources and projects and many users.
// The same seed makes the same records but for their ids.
type Records struct{ rng *rand.Rand }

// NewRecords returns a maker of records.
func NewRecords(seed uint64) *Records { return &Records{rand.New(rand.NewPCG(seed, 0))} }

// Next returns a record of a call that begins now.
func (m *Records) Next() *record.Record { return m.At(record.NewID()) }

// At returns a record of that id.
func (m *Records) At(id record.ID) *record.Record {
	user := "user-" + strconv.Itoa(m.rng.IntN(10_000))
	method := m.pick("GET", "GET", "POST", "PUT", "DELETE")
	status := m.rng.IntN(5)*100 + 100 + m.rng.IntN(5)
	r := &record.Record{
		EventID:   id,
		Timestamp: id.Time(),
		EndTime:   id.Time().Add(time.Duration(m.rng.IntN(200_000)) * time.Microsecond),
		Source:    m.pick("nova", "glance", "keystone"),
		Project:   m.pick("", "alpha", "beta", "gamma"),
		Action:    "unknown",
		Success:   record.SuccessYes,
		Method:    method,
		URI:       fmt.Sprintf("/v2.1/%s/%s/%d", m.pick("servers", "images", "volumes"), m.word(12), m.rng.IntN(1000)),
		Query:     "limit=" + strconv.Itoa(m.rng.IntN(1000)),
		Host:      "api.example.net",
		Protocol:  "HTTP/1.1",
		Status:    status,
		Outcome:   record.OutcomeComplete,
		Actor: record.Actor{
			UserID: user, UserName: "name of " + user, UserEmail: user + "@example.net",
			UserRoles: []string{"member", "reader"}, AuthMethod: "jwt",
		},
		UserIP:    fmt.Sprintf("10.%d.%d.%d", m.rng.IntN(256), m.rng.IntN(256), m.rng.IntN(256)),
		PeerIP:    "127.0.0.1",
		UserAgent: "python-novaclient",
		RequestID: "req-" + m.word(32),
		RequestHeaders: record.Headers{
			{Name: "Accept", Value: "application/json"},
			{Name: "Authorization", Value: "hmac:" + m.word(32)},
			{Name: "Content-Type", Value: "application/json"},
			{Name: "User-Agent", Value: "python-novaclient"},
		},
		ResponseHeaders: record.Headers{
			{Name: "Content-Type", Value: "application/json"},
			{Name: "Date", Value: id.Time().Format(time.RFC1123)},
			{Name: "X-Request-Id", Value: m.word(32)},
		},
		RequestBody:  m.body(1 << 10),
		ResponseBody: m.body(2 << 10),
		Redacted:     []string{"request_headers:Authorization"},
	}
	if m.rng.IntN(3) == 0 { // what a rule has named
		r.Action = m.pick("server.create", "server.delete", "image.upload")
		r.Object = &record.Object{Type: m.pick("server", "image"), ID: m.word(32), Name: "name " + strconv.Itoa(m.rng.IntN(1000))}
		r.JobID, r.TraceID = "job-"+strconv.Itoa(m.rng.IntN(1000)), m.word(32)
		r.TokenID = m.word(32)
		if r.Action == "server.create" {
			r.ActionAliases = []string{"create-vm"}
		}
	}
	if status >= 400 {
		r.Success = record.SuccessNo
	}
	if method == "GET" {
		r.RequestBody = record.Body{}
	}
	return r
}

// Gap returns the record of a gap from id.Time() to end.
func Gap(id record.ID, end time.Time, source string, count uint64) *record.Record {
	return &record.Record{
		EventID: id, Timestamp: id.Time(), EndTime: end, Source: source,
		Success: record.SuccessUnknown, Outcome: record.OutcomeGap,
		Gap: &record.Gap{Count: count, Reason: "full"},
	}
}

func (m *Records) pick(values ...string) string { return values[m.rng.IntN(len(values))] }

func (m *Records) word(n int) string {
	const letters = "0123456789abcdef"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[m.rng.IntN(len(letters))]
	}
	return string(b)
}

// body returns JSON of about n bytes.
func (m *Records) body(n int) record.Body {
	b := append(make([]byte, 0, n+100), '{')
	for len(b) < n {
		b = fmt.Appendf(b, `"%s":{"id":"%s","state":"%s","size":%d},`, m.pick("server", "volume", "port"), m.word(16), m.pick("active", "error"), m.rng.IntN(1e6))
	}
	b[len(b)-1] = '}'
	return record.Body{Content: b, BodyInfo: record.BodyInfo{
		Size: int64(len(b)), Kept: int64(len(b)), SHA256: m.word(64), ContentType: "application/json", State: record.BodyComplete,
	}}
}

// Add adds records that are no counted calls, and returns when all are stored.
func Add(t testing.TB, s store.Store, records ...*record.Record) {
	t.Helper()
	var last *store.Commit
	for _, r := range records {
		last = add(t, s, r)
	}
	if last != nil {
		if err := last.Wait(t.Context()); err != nil {
			t.Fatalf("storing: %v", err)
		}
	}
}

// add adds one record, waiting while too many wait.
func add(t testing.TB, s store.Store, r *record.Record) *store.Commit {
	t.Helper()
	for {
		c, err := s.Add(r, nil)
		if err == nil {
			return c
		}
		if !isFull(err) {
			t.Fatalf("adding record %s: %v", r.EventID, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// equalRecords compares records by what a caller sees: nothing and empty are the same.
var equalRecords = cmp.Options{cmpopts.EquateEmpty()}

// diff says how two records differ; "" where they do not.
func diff(want, got *record.Record) string {
	if reflect.DeepEqual(want, got) { // much faster, and the usual case
		return ""
	}
	return cmp.Diff(want, got, equalRecords)
}

// Diff says how a stored record differs from the one that was added, whose
// place in the store is not known yet.
func Diff(added, stored *record.Record) string {
	want := *added
	want.Timestamp = want.EventID.Time()
	want.Sequence, want.Node, want.Boot = stored.Sequence, stored.Node, stored.Boot
	return diff(&want, stored)
}
