package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
)

// What many open calls cost in memory above the same program without a capture.
// The sizes that count are those of -long without -race; else the tests only
// show that it works.

func TestOpenStreamsAreCheap(t *testing.T) {
	n := 200
	if *long {
		n = 10_000
	}
	without, with := openStreams(t, n, false), openStreams(t, n, true)
	each := (with - without) / int64(n)
	t.Logf("%d open event streams: %d MiB without a capture, %d MiB with, %d bytes each", n, without>>20, with>>20, each)
	if *long && !raceDetector() && each >= 24<<10 {
		t.Errorf("a stream costs %d bytes, want less than 24 KiB", each)
	}
}

func TestManyUploadsAreCheap(t *testing.T) {
	n := 50
	if *long {
		n = 1000
	}
	without, with := openUploads(t, n, false), openUploads(t, n, true)
	t.Logf("%d uploads of 1 GiB, all open: %d MiB without a capture, %d MiB with, at most", n, without>>20, with>>20)
	if *long && !raceDetector() && with-without >= 256<<20 {
		t.Errorf("the uploads cost %d MiB, want less than 256", (with-without)>>20)
	}
}

// openStreams opens n event streams, each of which has had more events than are
// kept, and returns by how much the gateway's memory has grown then. With a
// capture each of them is in progress, and a record with totals at its end.
func openStreams(t *testing.T, n int, captured bool) (growth int64) {
	event := append(append([]byte("data: "), bytes.Repeat([]byte("0123456789abcdef"), 63)...), "\n\n"...)
	const events = 9 // of 1 KiB
	end := make(chan struct{})
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range events {
			_, _ = w.Write(event) // the client tells what is missing
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	// Many streams on few connections: a process has only so many files.
	upstream.Config.Protocols = new(http.Protocols)
	upstream.Config.Protocols.SetUnencryptedHTTP2(true)
	upstream.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 2 * n}
	upstream.Start()
	defer upstream.Close()
	g := newGateway(t)
	g.write(manySite(g, captured, "h2c://"+upstream.Listener.Addr().String()))
	g.start()
	g.bearer = g.token("auditor")
	before := g.anonymous()

	var open, closed sync.WaitGroup
	open.Add(n)
	for i := range n {
		closed.Go(func() { // ends with its stream
			res, err := g.send(t.Context(), http.MethodGet, "/events", fmt.Sprint("stream-", i), nil)
			if err != nil {
				t.Error(err)
				open.Done()
				return
			}
			defer res.Body.Close()
			if _, err := io.CopyN(io.Discard, res.Body, int64(events*len(event))); err != nil {
				t.Errorf("stream %d: %v", i, err)
			}
			open.Done()
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				t.Errorf("the end of stream %d: %v", i, err)
			}
		})
	}
	open.Wait()
	if captured {
		g.awaitOutcome(n, record.OutcomeInProgress)
	}
	growth = g.anonymous() - before
	close(end)
	closed.Wait()
	if captured {
		for _, r := range g.awaitOutcome(n, record.OutcomeComplete) {
			if b := r.ResponseBody; b.Size != int64(events*len(event)) || b.State != record.BodyStreamed || b.Kept != 8<<10 {
				t.Fatalf("%s: the record says %+v", r.RequestID, b.BodyInfo)
			}
		}
	}
	return growth
}

// openUploads opens n uploads of 1 GiB, lets some of each flow, holds them all,
// and returns by how much the gateway's memory had grown at most. Then the
// clients leave.
func openUploads(t *testing.T, n int, captured bool) (growth int64) {
	flows := 256 << 10 // of each
	if *long {
		flows = 2 << 20
	}
	var came atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Body.Read(buf)
			came.Add(int64(n))
			if err != nil {
				return // the client has left
			}
		}
	}))
	defer upstream.Close()
	g := newGateway(t)
	g.write(manySite(g, captured, upstream.Listener.Addr().String()))
	g.start()
	g.bearer = g.token("auditor")
	before := g.anonymous()
	peak, stop, stopped := before, make(chan struct{}), make(chan struct{})
	go func() { // ends when all have sent what flows
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				peak = max(peak, g.anonymous())
			}
		}
	}()

	leave := make(chan struct{})
	var sent, gone sync.WaitGroup
	sent.Add(n)
	for i := range n {
		gone.Go(func() { // ends when the client leaves
			told := sync.OnceFunc(sent.Done)
			defer told()
			body := io.MultiReader(&slowly{Reader: io.LimitReader(pattern{}, int64(flows))}, readerFunc(func([]byte) (int, error) {
				told()
				<-leave
				return 0, errors.New("leaving")
			}))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, g.traffic+"/upload", body)
			if err != nil {
				t.Error(err)
				return
			}
			req.ContentLength = 1 << 30
			req.Header.Set("X-Request-Id", fmt.Sprint("upload-", i))
			req.Header.Set("Content-Type", "text/plain")
			if res, err := g.client.Do(req); err == nil {
				res.Body.Close()
				t.Errorf("upload %d got an answer, %s", i, res.Status)
			}
		})
	}
	sent.Wait()
	if captured {
		g.awaitOutcome(n, record.OutcomeInProgress)
	}
	close(stop)
	<-stopped
	t.Logf("%d MiB have come to the component, of %d GiB announced", came.Load()>>20, n)
	close(leave)
	gone.Wait()
	if captured {
		for _, r := range g.awaitOutcome(n, record.OutcomeAborted) {
			if b := r.RequestBody; b.Size != int64(flows) || b.State != record.BodyTruncated {
				t.Fatalf("%s: the record says %+v", r.RequestID, b.BodyInfo)
			}
		}
	}
	return peak - before
}

// slowly is a body that comes in pieces, with pauses: a client with a limit on
// its rate.
type slowly struct{ io.Reader }

func (s *slowly) Read(p []byte) (int, error) {
	time.Sleep(50 * time.Millisecond)
	return s.Reader.Read(p[:min(len(p), 16<<10)])
}

func manySite(g *gateway, captured bool, upstream string) string {
	capture := ""
	if captured {
		capture = "audit_capture nova {\n\t\tstream_body 8KiB\n\t}"
	}
	return fmt.Sprintf("%s {\n\t%s\n\treverse_proxy %s\n}\n", g.traffic, capture, upstream)
}

// awaitOutcome waits until there are n records, all with that outcome.
func (g *gateway) awaitOutcome(n int, outcome record.Outcome) (logs []*record.Record) {
	g.t.Helper()
	wait(g.t, fmt.Sprint(n, " calls are ", outcome), func() bool {
		logs = g.list(url.Values{"limit": {"1000"}, "view": {"summary"}})
		for _, r := range logs {
			if r.Outcome != outcome {
				return false
			}
		}
		return len(logs) == n
	})
	return logs
}
