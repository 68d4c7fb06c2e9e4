package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/auditgate/auditgate/record"
)

func TestEventsArriveOneByOne(t *testing.T) {
	const events = 50
	received := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range events {
			fmt.Fprintf(w, "data: %d\n\n", i)
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Errorf("flushing event %d: %v", i, err)
				return
			}
			select { // the next event is sent when the client has this one
			case <-received:
			case <-r.Context().Done():
				return
			case <-time.After(patience):
				t.Errorf("event %d did not arrive before the next was sent", i)
				return
			}
		}
	}))
	defer upstream.Close()
	g := startGateway(t, upstream.Listener.Addr().String())

	res := g.open(t.Context(), http.MethodGet, "/events", "events", nil)
	defer res.Body.Close()
	var size int64
	n := 0
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		size += int64(len(lines.Bytes())) + 1
		if lines.Text() == "" {
			continue
		}
		if want := fmt.Sprintf("data: %d", n); lines.Text() != want {
			t.Fatalf("got %q, want %q", lines.Text(), want)
		}
		n++
		received <- struct{}{}
	}
	if n != events {
		t.Fatalf("%d events arrived, want %d", n, events)
	}
	r := g.recordOf("events")
	if r.Outcome != record.OutcomeComplete || r.Status != http.StatusOK || r.ResponseBody.Size != size {
		t.Errorf("record: %s, status %d, %d bytes: want complete, 200, %d", r.Outcome, r.Status, r.ResponseBody.Size, size)
	}
	if !strings.HasPrefix(r.ResponseBody.Text(), "data: 0\n\ndata: 1\n\n") {
		t.Errorf("record: the body is %.100q", r.ResponseBody.Text())
	}
}

func TestWebSocketEchoes(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Errorf("accepting: %v", err)
			return
		}
		defer conn.CloseNow()
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil {
				return // the client has closed
			}
			if err := conn.Write(r.Context(), kind, message); err != nil {
				t.Errorf("echoing: %v", err)
				return
			}
		}
	}))
	defer upstream.Close()
	g := startGateway(t, upstream.Listener.Addr().String())

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(g.traffic, "http")+"/echo", &websocket.DialOptions{
		HTTPHeader: http.Header{"X-Request-Id": {"echo"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	var size int64
	for i := range 100 {
		message := bytes.Repeat([]byte{'a' + byte(i%26)}, i*100)
		size += int64(len(message))
		if err := conn.Write(ctx, websocket.MessageBinary, message); err != nil {
			t.Fatalf("sending message %d: %v", i, err)
		}
		_, echo, err := conn.Read(ctx)
		if err != nil || !bytes.Equal(echo, message) {
			t.Fatalf("message %d came back as %d bytes, %v; want %d", i, len(echo), err, len(message))
		}
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("closing: %v", err)
	}

	r := g.recordOf("echo")
	if r.Outcome != record.OutcomeUpgraded || r.Status != http.StatusSwitchingProtocols {
		t.Errorf("record: %s, status %d: want upgraded, 101", r.Outcome, r.Status)
	}
	// Frames have heads, and those of a client a mask: a little more than the messages.
	for name, got := range map[string]int64{"request": r.RequestBody.Size, "response": r.ResponseBody.Size} {
		if got < size || got > size+100*20 {
			t.Errorf("record: %d bytes of %s, want those of the messages, %d, and of their frames", got, name, size)
		}
	}
}

func TestGibibyteUpAndDownKeepsMemoryFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	const gibibyte, warmup = 1 << 30, 64 << 20
	const room = 64 << 20 // for the gateway to grow
	came := make(chan int64, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body) // the test checks n
		if r.Method == http.MethodPut {
			came <- n
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.Copy(w, io.LimitReader(pattern{}, size(r))) // likewise, at the client
	}))
	defer upstream.Close()
	g := startGateway(t, upstream.Listener.Addr().String())

	up := func(id string, n int64) {
		res := g.open(t.Context(), http.MethodPut, "/up", id, io.LimitReader(pattern{}, n))
		defer res.Body.Close()
		if got := <-came; got != n {
			t.Errorf("%d bytes came to the component, want %d", got, n)
		}
	}
	down := func(id string, n int64) {
		res := g.open(t.Context(), http.MethodGet, fmt.Sprintf("/down?size=%d", n), id, nil)
		defer res.Body.Close()
		if got, err := io.Copy(io.Discard, res.Body); got != n || err != nil {
			t.Errorf("%d bytes came to the client, %v; want %d", got, err, n)
		}
	}
	up("warm up", warmup)
	down("warm down", warmup)

	before := g.anonymous()
	peak := before
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // ends with the two transfers
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
	up("up", gibibyte)
	down("down", gibibyte)
	close(stop)
	<-stopped
	t.Logf("memory: %d MiB before, %d MiB at most", before>>20, peak>>20)
	if before == 0 || peak-before > room {
		t.Errorf("memory grew from %d MiB by %d MiB, want at most %d", before>>20, (peak-before)>>20, room>>20)
	}
	for id, which := range map[string]func(*record.Record) *record.Body{
		"up":   func(r *record.Record) *record.Body { return &r.RequestBody },
		"down": func(r *record.Record) *record.Body { return &r.ResponseBody },
	} {
		b := which(g.recordOf(id))
		if b.Size != gibibyte || b.Kept != kept || b.State != record.BodyTruncated || b.Reason != record.ReasonCap || !b.Partial {
			t.Errorf("%s: the record says %+v", id, b.BodyInfo)
		}
	}
}

// pattern is text without an end.
type pattern struct{}

var block = bytes.Repeat([]byte("all work and no play makes Jack a dull boy\n"), 1000)

func (pattern) Read(p []byte) (int, error) { return copy(p, block), nil }

// size is how much a request asks for.
func size(r *http.Request) (n int64) {
	_, _ = fmt.Sscan(r.URL.Query().Get("size"), &n)
	return n
}

// open makes a call and returns its answer, whose body is not read yet.
func (g *gateway) open(ctx context.Context, method, target, requestID string, body io.Reader) *http.Response {
	g.t.Helper()
	res, err := g.send(ctx, method, target, requestID, body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res
}

// abandon makes a call that ends with ctx, before its answer.
func (g *gateway) abandon(ctx context.Context, method, target, requestID string, body io.Reader) {
	g.t.Helper()
	res, err := g.send(ctx, method, target, requestID, body)
	if err == nil {
		defer res.Body.Close()
		g.t.Errorf("got an answer, %s, before leaving", res.Status)
	}
}

func (g *gateway) send(ctx context.Context, method, target, requestID string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, g.traffic+target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Request-Id", requestID)
	if body != nil {
		req.Header.Set("Content-Type", "text/plain")
	}
	return g.client.Do(req)
}
