package auditapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/auditgate/auditgate/auditapi"
	"github.com/auditgate/auditgate/record"
)

// pipes listens for connections that hold nothing: what is written waits until
// it is read. Between them and the clock of a bubble, how long a slow client
// takes is the same each time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once // closes closed
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- server
	return client, nil
}

// servePipes serves 20 records, together longer than two buffers, in a bubble.
func servePipes(t *testing.T, writeTimeout time.Duration) *server {
	t.Helper()
	m := &memory{}
	m.put(calls(20, large)...)
	srv := unstarted(t, m, nil)
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	_ = srv.Listener.Close()
	srv.Listener = p
	srv.Config.WriteTimeout = writeTimeout
	srv.Start()
	transport := srv.Client().Transport.(*http.Transport)
	transport.DialContext = p.dial
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
	})
	return srv
}

// begin sends a request and reads nothing of the answer but its header.
func (s *server) begin(path, token string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), "GET", s.URL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", token)
	res, err := s.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != 200 {
		s.t.Fatalf("GET %s: %s", path, res.Status)
	}
	return res
}

// slowly reads some bytes each second.
type slowly struct {
	io.Reader
	bytes int
}

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return io.ReadFull(s.Reader, p[:min(len(p), s.bytes)])
}

func TestSlowButSteadyReaderGetsItsWholePage(t *testing.T) {
	for _, limit := range []int{7, 20} { // one page is held back whole, one is not
		synctest.Test(t, func(t *testing.T) {
			srv := servePipes(t, 0)
			res := srv.begin(fmt.Sprintf("/v1/-/logs?limit=%d", limit), token(t, nil))
			var got answer
			if err := json.NewDecoder(slowly{res.Body, 12_000}).Decode(&got); err != nil || len(got.Logs) != limit || !got.Complete {
				t.Errorf("limit %d: %v, %d records", limit, err, len(got.Logs))
			}
		})
	}
}

func TestReaderThatStandsStillIsDropped(t *testing.T) {
	for _, limit := range []int{7, 20} {
		synctest.Test(t, func(t *testing.T) {
			srv := servePipes(t, 0)
			res := srv.begin(fmt.Sprintf("/v1/-/logs?limit=%d", limit), token(t, nil))
			time.Sleep(time.Hour)
			got := srv.audited()
			if len(got) != 1 || got[0].Outcome != record.OutcomeAborted {
				t.Fatalf("limit %d: after an hour its records are %v", limit, got)
			}
			if n, err := io.Copy(io.Discard, res.Body); err == nil {
				t.Errorf("limit %d: read %d bytes to the end", limit, n)
			}
		})
	}
}

// Who set one knows how long an answer may take; it is neither put off nor
// taken away.
func TestWriteTimeoutOfTheServerIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servePipes(t, 10*time.Second)
		res := srv.begin("/v1/-/logs", token(t, nil))
		time.Sleep(11 * time.Second)
		if n, err := io.Copy(io.Discard, res.Body); err == nil {
			t.Errorf("read %d bytes to the end", n)
		}
	})
}

func TestSlowReadersKeepNobodyElseOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servePipes(t, 0)
		for i := range auditapi.MaxScans {
			srv.begin("/v1/-/logs", token(t, map[string]any{"sub": fmt.Sprint("slow", i/auditapi.MaxCallerListings)}))
		}
		if got := srv.list("/v1/-/logs?limit=1", token(t, nil)); len(got.Logs) != 1 {
			t.Errorf("%d records, want 1", len(got.Logs))
		}
		srv.list("/v1/-/logs", token(t, nil)) // several scans
	})
}

// What they hold is memory, which is bounded as well.
func TestSlowReadersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servePipes(t, 0)
		slow := func(i int) string {
			return token(t, map[string]any{"sub": fmt.Sprint("slow", i/auditapi.MaxCallerListings)})
		}
		for i := range auditapi.MaxListings {
			srv.begin("/v1/-/logs", slow(i))
		}
		srv.refuse(429, "too-many-requests", "GET", "/v1/-/logs", slow(0))
		srv.refuse(503, "busy", "GET", "/v1/-/logs", token(t, nil))
		time.Sleep(time.Hour) // all are dropped
		srv.list("/v1/-/logs", slow(0))
	})
}
