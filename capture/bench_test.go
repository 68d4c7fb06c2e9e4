package capture_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/record"
)

// void is a ledger that keeps nothing.
type void struct{}

func (void) Begin()                                        {}
func (void) Receipt(context.Context, *record.Record) error { return nil }
func (void) Announce(*record.Record) error                 { return nil }
func (void) Settle(*record.Record) error                   { return nil }
func (void) Lose(record.ID, string)                        {}
func (void) Forget()                                       {}

// usual is a call such as there are many.
func usual() (*http.Request, http.Header) {
	r := httptest.NewRequest("POST", "/v2.1/servers", strings.NewReader(strings.Repeat("a", 1024)))
	r.Header = http.Header{
		"Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "Authorization": {"Bearer " + strings.Repeat("x", 300)},
		"Content-Length": {"1024"}, "Content-Type": {"application/json"}, "User-Agent": {"test/1.0"},
		"X-Request-Id": {"req-1"}, "Connection": {"keep-alive"},
	}
	return r, http.Header{
		"Content-Type": {"application/json"}, "Content-Length": {"2048"}, "Date": {"Sat, 21 Nov 2026 10:00:00 GMT"},
		"Server": {"nova"}, "X-Openstack-Request-Id": {"req-2"},
	}
}

// What a call's own goroutine does for us, one whose record is forgotten, so that
// no worker is measured.
func BenchmarkExchange(b *testing.B) {
	p, redactor := newPipeline(b)
	rules := &capture.Rules{Source: "shop", RequestBody: 64 << 10, ResponseBody: 64 << 10, StreamBody: 8 << 10, Redactor: redactor}
	var none capture.Statuses
	if err := none.Add("2xx"); err != nil {
		b.Fatal(err)
	}
	call := capture.Call{Rules: rules, Ledger: void{}, Levels: []capture.Choice{{Level: capture.None, On: none}, {}}}
	answer := []byte(strings.Repeat("b", 2048))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 32<<10)
		r, header := usual()
		sent := strings.NewReader(strings.Repeat("a", 1024))
		for pb.Next() {
			sent.Seek(0, io.SeekStart)
			r.Body = io.NopCloser(sent)
			x := p.Begin(sink{header}, r, call)
			for _, err := r.Body.Read(buf); err == nil; _, err = r.Body.Read(buf) {
			}
			x.Writer().Write(answer)
			x.End(capture.Ending{})
		}
	})
}

// What the tap of a response costs, by the length of the body and how it comes.
func BenchmarkTap(b *testing.B) {
	for name, size := range map[string]int{"2KiB": 2 << 10, "32KiB": 32 << 10, "1MiB": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			p, redactor := newPipeline(b)
			rules := &capture.Rules{Source: "shop", ResponseBody: 64 << 10, Redactor: redactor}
			var none capture.Statuses
			if err := none.Add("5xx"); err != nil {
				b.Fatal(err)
			}
			call := capture.Call{Rules: rules, Ledger: void{}, Levels: []capture.Choice{{}, {Level: capture.None, On: none}}}
			r := httptest.NewRequest("GET", "/", nil)
			w := sink{http.Header{"Content-Type": {"text/plain"}}}
			chunk := make([]byte, 4<<10)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				x := p.Begin(w, r, call)
				for left := size; left > 0; left -= len(chunk) {
					x.Writer().Write(chunk[:min(left, len(chunk))])
				}
				x.End(capture.Ending{})
			}
		})
	}
}

// What an open event stream holds in memory: reported as bytes, beside its time.
func BenchmarkOpenStream(b *testing.B) {
	p, redactor := newPipeline(b)
	rules := &capture.Rules{Source: "shop", RequestBody: 64 << 10, ResponseBody: 64 << 10, StreamBody: 8 << 10, Redactor: redactor}
	const streams = 10_000
	event := []byte("data: " + strings.Repeat("x", 94) + "\n\n")
	for b.Loop() {
		r, header := usual()
		r.Body = nil
		header.Set("Content-Type", "text/event-stream")
		before := heap()
		open := make([]*capture.Exchange, streams)
		for i := range open {
			open[i] = p.Begin(sink{header}, r, capture.Call{Rules: rules, Ledger: void{}})
			for range 100 { // past what is kept
				open[i].Writer().Write(event)
			}
		}
		taken := p.Budget().Used()
		b.ReportMetric(float64(heap()-before)/streams, "heap-B/stream")
		b.ReportMetric(float64(taken)/streams, "budget-B/stream")
		for _, x := range open {
			x.End(capture.Ending{})
		}
		for p.Budget().Used() > 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
