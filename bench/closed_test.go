package bench_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
)

// ledger is that of one source in a store.
type ledger struct {
	*badger.Store
	calls *store.Counter
}

func (l ledger) Begin()  { l.calls.Begin() }
func (l ledger) Forget() { l.calls.Forget() }
func (l ledger) Announce(r *record.Record) error {
	_, err := l.Add(r, l.calls)
	return err
}

func (l ledger) Receipt(ctx context.Context, r *record.Record) error {
	return l.Store.Receipt(ctx, r, l.calls)
}

func (l ledger) Settle(r *record.Record) error {
	_, err := l.Add(r, l.calls)
	return err
}
func (l ledger) Lose(id record.ID, reason string) { l.calls.Abandon(id, reason, id.Time()) }

// BenchmarkFail is a call through a capture into a store, fsync, with `fail open` and
// with `fail closed`, of 1, 32 and 256 clients at once: how long a call takes for its
// client, how much CPU in all, and how many commits there are for it.
func BenchmarkFail(b *testing.B) {
	t := newTraffic()
	request, response := string(t.body(requestSize)), t.body(responseSize)
	for _, clients := range []int{1, 32, 256} {
		for _, mode := range []string{"open", "closed"} {
			b.Run(fmt.Sprintf("%s/%d", mode, clients), func(b *testing.B) {
				s := open(b, store.Fsync)
				l := ledger{s, s.Counter("shop")}
				pipeline := capture.NewPipeline(capture.NewBudget(96<<20), slog.New(slog.DiscardHandler))
				rules := &capture.Rules{Source: "shop", RequestBody: 64 << 10, ResponseBody: 64 << 10, Redactor: newRedactor(b)}
				serve := func() (waited time.Duration) {
					r := httptest.NewRequest(http.MethodPost, "/api/orders?page=7", strings.NewReader(request))
					r.Header = http.Header{
						"Accept": {"application/json"}, "Content-Type": {"application/json"}, "User-Agent": {"shop-client/3.1"},
						"Authorization": {"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyLTAwNDIiLCJleHAiOjE5OTk5OTk5OTl9.c2lnbmF0dXJl"},
					}
					began := time.Now()
					x := pipeline.Begin(&discard{header: make(http.Header)}, r, capture.Call{Rules: rules, Ledger: l})
					if mode == "closed" {
						if err := x.Receipt(context.Background()); err != nil {
							b.Error(err)
						}
					}
					_, _ = io.Copy(io.Discard, r.Body)
					x.Writer().Header().Set("Content-Type", "application/json")
					_, _ = x.Writer().Write(response)
					x.End(capture.Ending{})
					return time.Since(began)
				}
				var running sync.WaitGroup
				waits := make([]time.Duration, clients)
				b.ReportAllocs()
				b.ResetTimer()
				before, commits := cpu(), s.Stats().Commits.Count
				for c := range clients {
					running.Go(func() {
						for range b.N/clients + 1 {
							waits[c] += serve()
							for pipeline.Budget().Used() > 32<<20 { // the client is faster than all workers
								time.Sleep(time.Millisecond)
							}
						}
					})
				}
				running.Wait()
				_ = pipeline.Close(context.Background())
				n := float64(clients * (b.N/clients + 1))
				var all time.Duration
				for _, w := range waits {
					all += w
				}
				b.ReportMetric(float64(all.Microseconds())/n, "µs-latency/call")
				b.ReportMetric(float64((cpu()-before).Microseconds())/n, "µs-cpu/call")
				b.ReportMetric(float64(s.Stats().Commits.Count-commits)/n, "commits/call")
				b.ReportMetric(0, "ns/op")
				if lost := s.Stats().Lost; len(lost) > 0 {
					b.Errorf("lost: %v", lost)
				}
			})
		}
	}
}

// cpu is how much the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
