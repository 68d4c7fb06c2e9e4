package bench_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
)

// The bodies of goals: a request of 1 KiB and an answer of 2 KiB, JSON.
const requestSize, responseSize = 1 << 10, 2 << 10

// traffic makes bodies whose ids and words are drawn anew each time.
type traffic struct{ *rand.Rand }

func newTraffic() traffic { return traffic{rand.New(rand.NewPCG(1, 2))} }

func (t traffic) body(size int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{"request_id":"%016x%016x","items":[`, t.Uint64(), t.Uint64())
	for b.Len() < size-160 {
		fmt.Fprintf(&b, `{"id":"%08x-%04x","customer":"user %d","email":"u%d@example.com","total":%d.%02d,"state":"paid","at":"2026-11-%02dT10:00:00Z"},`,
			t.Uint32(), t.Uint32()&0xffff, t.IntN(10000), t.IntN(10000), t.IntN(5000), t.IntN(100), 1+t.IntN(28))
	}
	fmt.Fprintf(&b, `{}],"pad":"`)
	for b.Len() < size-2 {
		fmt.Fprintf(&b, "%x", t.Uint64()&15)
	}
	return append([]byte(b.String()), `"}`...)
}

// bearer is a JWT of one of 10,000 users, its signature nobody's.
func (t traffic) user() string { return fmt.Sprintf("user-%05d", t.IntN(10000)) }

// record is a call as the pipeline hands it to a store.
func (t traffic) record(r *record.Record) {
	id := record.NewID()
	*r = record.Record{
		EventID: id, Timestamp: id.Time(), EndTime: id.Time(), Source: "shop", Project: "p1", Action: "unknown",
		Success: record.SuccessYes, Method: http.MethodPost, URI: fmt.Sprintf("/api/orders/%012x", t.Uint64()>>16), Query: "page=7",
		Host: "127.0.0.1", Protocol: "HTTP/1.1", Status: 200, Outcome: record.OutcomeComplete,
		Actor:  record.Actor{UserID: t.user(), AuthMethod: "jwt"},
		UserIP: "127.0.0.1", PeerIP: "127.0.0.1", UserAgent: "shop-client/3.1", RequestID: fmt.Sprintf("%016x%016x", t.Uint64(), t.Uint64()),
		RequestHeaders: record.Headers{
			{Name: "Accept", Value: "application/json"},
			{Name: "Authorization", Value: fmt.Sprintf("hmac:%016x%016x", t.Uint64(), t.Uint64())},
			{Name: "Content-Type", Value: "application/json"},
			{Name: "User-Agent", Value: "shop-client/3.1"},
		},
		ResponseHeaders: record.Headers{{Name: "Content-Type", Value: "application/json"}, {Name: "Content-Length", Value: "2048"}},
		Redacted:        []string{"request_headers:Authorization"},
	}
	for _, side := range []struct {
		body *record.Body
		size int
	}{{&r.RequestBody, requestSize}, {&r.ResponseBody, responseSize}} {
		side.body.Content = t.body(side.size)
		n := int64(len(side.body.Content))
		side.body.BodyInfo = record.BodyInfo{
			Size: n, Kept: n, ContentType: "application/json", State: record.BodyComplete,
			SHA256: fmt.Sprintf("%016x%016x%016x%016x", t.Uint64(), t.Uint64(), t.Uint64(), t.Uint64()),
		}
	}
}

// records are made before the clock runs, and used in turn.
func records(n int) []*record.Record {
	t := newTraffic()
	all := make([]*record.Record, n)
	for i := range all {
		all[i] = new(record.Record)
		t.record(all[i])
	}
	return all
}

// again gives a record that was used a new id, which is its place in the store.
func again(r *record.Record) *record.Record {
	r.EventID = record.NewID()
	r.Timestamp = r.EventID.Time()
	r.EndTime = r.Timestamp
	return r
}

func newRedactor(b *testing.B) *redact.Redactor {
	b.Helper()
	r, err := redact.New(redact.Options{Key: make([]byte, 32)})
	if err != nil {
		b.Fatal(err)
	}
	return r
}

type nowhere struct{}

func (nowhere) Begin()                                        {}
func (nowhere) Receipt(context.Context, *record.Record) error { return nil }
func (nowhere) Announce(*record.Record) error                 { return nil }
func (nowhere) Settle(*record.Record) error                   { return nil }
func (nowhere) Lose(record.ID, string)                        {}
func (nowhere) Forget()                                       {}

// BenchmarkTap is a handler alone, and the same with a capture around it, up to
// the finished record: taps, identity, redaction, digests.
func BenchmarkTap(b *testing.B) {
	t := newTraffic()
	request, response := string(t.body(requestSize)), t.body(responseSize)
	handler := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(response)
	}
	serve := func(b *testing.B, handle http.HandlerFunc) {
		b.ReportAllocs()
		for b.Loop() {
			r := httptest.NewRequest(http.MethodPost, "/api/orders?page=7", strings.NewReader(request))
			r.Header = http.Header{
				"Accept": {"application/json"}, "Content-Type": {"application/json"}, "User-Agent": {"shop-client/3.1"},
				"Authorization": {"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyLTAwNDIiLCJleHAiOjE5OTk5OTk5OTl9.c2lnbmF0dXJl"},
			}
			handle(&discard{header: make(http.Header)}, r)
		}
	}
	b.Run("bare", func(b *testing.B) { serve(b, handler) })
	b.Run("captured", func(b *testing.B) {
		pipeline := capture.NewPipeline(capture.NewBudget(1<<30), slog.New(slog.DiscardHandler))
		rules := &capture.Rules{Source: "shop", RequestBody: 64 << 10, ResponseBody: 64 << 10, Redactor: newRedactor(b)}
		done := make(chan struct{}, 1)
		serve(b, func(w http.ResponseWriter, r *http.Request) {
			x := pipeline.Begin(w, r, capture.Call{Rules: rules, Ledger: nowhere{}, Release: func() { done <- struct{}{} }})
			handler(x.Writer(), r)
			x.End(capture.Ending{})
			<-done
		})
		_ = pipeline.Close(context.Background())
	})
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkRedaction looks for secrets in the two bodies of a call.
func BenchmarkRedaction(b *testing.B) {
	t := newTraffic()
	redactor := newRedactor(b)
	for _, c := range []struct {
		name string
		body []byte
	}{
		{"request", t.body(requestSize)},
		{"response", t.body(responseSize)},
		{"secret", []byte(strings.Replace(string(t.body(responseSize)), `"pad"`, `"password"`, 1))},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			for b.Loop() {
				redactor.Body(redact.Body{ContentType: "application/json", Content: c.body, Side: "request_body"})
			}
		})
	}
}

func open(b *testing.B, d store.Durability) *badger.Store {
	b.Helper()
	s, err := badger.Open(badger.Options{Path: b.TempDir(), Durability: d, Log: func(msg string, err error) { b.Log(msg, err) }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// fill stores n records and waits for the last.
func fill(b *testing.B, s store.Store, from []*record.Record, n int) {
	b.Helper()
	var last *store.Commit
	for i := 0; i < n; {
		c, err := s.Add(again(from[i%len(from)]), nil)
		if err != nil { // full: what waits goes first
			if last != nil {
				_ = last.Wait(context.Background())
			}
			continue
		}
		last = c
		i++
	}
	if err := last.Wait(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCommit stores records, as many at a time as come: until the last one
// is stored.
func BenchmarkCommit(b *testing.B) {
	for _, d := range []store.Durability{store.Fsync, store.OS} {
		b.Run(string(d), func(b *testing.B) {
			s := open(b, d)
			all := records(2048)
			b.ReportAllocs()
			b.ResetTimer()
			fill(b, s, all, b.N)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

const packed = 50_000

// BenchmarkPacking packs records from the journal into blocks.
func BenchmarkPacking(b *testing.B) {
	all := records(8192)
	var n int
	for b.Loop() {
		b.StopTimer()
		s := open(b, store.OS)
		fill(b, s, all, packed)
		b.StartTimer()
		if err := s.Pack(context.Background()); err != nil {
			b.Fatal(err)
		}
		n += packed
		b.StopTimer()
		_ = s.Close(context.Background())
		b.StartTimer()
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(n), "ns/record")
}

// BenchmarkListing reads back: the newest 100 with and without bodies, from the
// journal and from blocks, one by its id, and all of one user.
func BenchmarkListing(b *testing.B) {
	everything := record.Scope{AllProjects: true, AllSources: true}
	all := records(8192)
	for _, place := range []string{"journal", "blocks"} {
		s := open(b, store.OS)
		fill(b, s, all, packed)
		if place == "blocks" {
			if err := s.Pack(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		page := func(b *testing.B, q record.Query, limit int) (n int) {
			for b.Loop() {
				n = 0
				for _, err := range s.Scan(context.Background(), &q) {
					if err != nil {
						b.Fatal(err)
					}
					if n++; n == limit {
						break
					}
				}
			}
			return n
		}
		b.Run(place+"/newest 100", func(b *testing.B) { page(b, record.Query{Scope: everything, Bodies: true}, 100) })
		b.Run(place+"/newest 100 without bodies", func(b *testing.B) { page(b, record.Query{Scope: everything}, 100) })
		b.Run(place+"/all of one user", func(b *testing.B) {
			b.ReportMetric(float64(page(b, record.Query{Scope: everything, Users: []string{all[0].UserID}}, packed)), "records")
		})
		b.Run(place+"/by id", func(b *testing.B) {
			id := all[0].EventID
			for b.Loop() {
				if _, err := s.Get(context.Background(), id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
