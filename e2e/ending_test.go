package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
)

func TestSIGTERMWithCallsInFlightLosesNothing(t *testing.T) {
	c := startComponent(t)
	g := startGateway(t, c.address())
	for range loops() {
		from := time.Now().Add(-time.Millisecond)
		load, reader := startLoad(g, 16, false), startReading(g, from)
		aWhile()
		g.stop()
		calls, listed := load.died(), reader.end()
		g.start()

		logs := g.since(from)
		records, came := byID(t, logs), c.calls()
		answered := 0
		for _, call := range calls {
			id, did := came[call.requestID]
			if !did {
				continue // it came too late, and the client knows
			}
			answered++
			if call.err != nil {
				t.Errorf("call %s was in flight and failed: %v", call.requestID, call.err)
			}
			if records[id] == nil {
				t.Errorf("call %s is no record", call.requestID)
			}
		}
		for id := range listed {
			if records[id] == nil {
				t.Errorf("record %s was listed and is gone", id)
			}
		}
		if n := g.missing(from); n != 0 {
			t.Errorf("gaps count %d calls, want none", n)
		}
		t.Logf("%d calls, %d of them seen in listings before the end", answered, len(listed))
	}
}

func TestKillLosesNothingAcknowledgedAndGapIsExact(t *testing.T) {
	c := startComponent(t)
	g := startGateway(t, c.address())
	exact := 0
	for range loops() {
		from := time.Now().Add(-time.Millisecond)
		load, reader := startLoad(g, 16, false), startReading(g, from)
		aWhile()
		g.signal(syscall.SIGKILL)
		calls, listed := load.died(), reader.end()
		g.start()

		logs := g.since(from)
		records, came := byID(t, logs), c.calls()
		for id := range listed {
			if records[id] == nil {
				t.Errorf("record %s was listed and is gone", id)
			}
		}
		// Calls that came to the component have begun. Of those that the client
		// was at when the gateway died, and that never came to the component,
		// nobody outside can tell.
		var lost, unclear uint64
		var began []time.Time // of those that were lost
		for _, call := range calls {
			switch id, did := came[call.requestID]; {
			case did && records[id] == nil:
				lost++
				if id, err := record.ParseID(id); err == nil {
					began = append(began, id.Time())
				}
			case !did && !neverBegan(call.err):
				unclear++
			}
		}
		for _, r := range g.page(url.Values{"from": {rfc3339(from)}}).Gaps {
			for _, at := range began {
				if at.Before(r.Timestamp) || at.After(r.EndTime) {
					t.Errorf("a call that was lost began at %v, the gap is from %v to %v", at, r.Timestamp, r.EndTime)
				}
			}
		}
		gap := g.missing(from)
		if gap < lost || gap > lost+unclear {
			t.Errorf("the gap counts %d calls, want %d and at most %d more", gap, lost, unclear)
		}
		if gap == lost {
			exact++
		}
		if p := g.page(url.Values{"from": {rfc3339(from)}}); gap > 0 && (p.Complete || len(p.Gaps) == 0) {
			t.Errorf("a listing over a gap says complete %v and names %d gaps", p.Complete, len(p.Gaps))
		}
		t.Logf("%d calls, %d seen in listings, %d lost, gap of %d, %d unclear", len(calls), len(listed), lost, gap, unclear)
	}
	t.Logf("gap = lost in %d of %d", exact, loops())
}

func TestGapAfterKillCountsTheCallsInFlight(t *testing.T) {
	const calls = 12
	arrived := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			arrived <- struct{}{}
			<-r.Context().Done()
		}
	}))
	defer upstream.Close()
	g := startGateway(t, upstream.Listener.Addr().String())
	for i := range 5 {
		name := fmt.Sprint("answered-", i)
		g.open(t.Context(), http.MethodGet, "/", name, nil).Body.Close()
		g.recordOf(name)
	}
	var held sync.WaitGroup
	for i := range calls {
		held.Go(func() { g.abandon(t.Context(), http.MethodGet, "/held", fmt.Sprint("held-", i), nil) })
	}
	for range calls {
		<-arrived
	}
	g.signal(syscall.SIGKILL)
	held.Wait()
	until := time.Now()
	g.start()

	var gaps []*record.Record
	unfinished := uint64(0) // those that took longer than a second to get here
	for _, r := range g.all() {
		switch r.Outcome {
		case record.OutcomeGap:
			gaps = append(gaps, r)
		case record.OutcomeUnfinished:
			unfinished++
		}
	}
	if len(gaps) != 1 {
		t.Fatalf("there are %d gaps, want one", len(gaps))
	}
	gap := gaps[0]
	if gap.Source != "nova" || gap.Gap == nil || gap.Gap.Count+unfinished != calls || gap.Success != record.SuccessUnknown {
		t.Errorf("source %s, gap %+v, success %s: want nova, %d calls less %d, unknown", gap.Source, gap.Gap, gap.Success, calls, unfinished)
	}
	if gap.Timestamp.After(until) || gap.EndTime.Before(until.Truncate(time.Microsecond)) {
		t.Errorf("the gap is from %v to %v, and the gateway was killed before %v", gap.Timestamp, gap.EndTime, until)
	}
}

// since returns the records of calls, and the gaps, that began at from or later.
func (g *gateway) since(from time.Time) []*record.Record {
	g.t.Helper()
	return g.list(url.Values{"from": {rfc3339(from)}, "limit": {"1000"}})
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// aWhile lets the load run until some moment that nobody chose.
func aWhile() { time.Sleep(200*time.Millisecond + rand.N(600*time.Millisecond)) }
