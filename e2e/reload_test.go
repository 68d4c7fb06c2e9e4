package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
)

func TestReloadUnderLoadLosesNothing(t *testing.T) {
	c := startComponent(t)
	streams := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; i < int(*reloadFor/(100*time.Millisecond))+10; i++ {
			fmt.Fprintf(w, "data: %d\n\n", i)
			if err := http.NewResponseController(w).Flush(); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		fmt.Fprint(w, "data: end\n\n")
	}))
	defer streams.Close()

	// Caddy opens a TCP socket anew when it reloads, and connections that wait at
	// the old one are reset with it. A socket in the file system it keeps.
	g := newGateway(t)
	socket := g.dir + "/socket"
	g.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if "http://"+address == g.traffic {
			network, address = "unix", socket
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	g.write(fmt.Sprintf(`%s {
	bind unix/%s
	audit_capture nova
	reverse_proxy /events %s
	reverse_proxy %s {
		header_up X-Audit-Id {audit.event_id}
	}
}
`, g.traffic, socket, streams.Listener.Addr(), c.address()))
	g.start()
	g.bearer = g.token("auditor")

	stream := make(chan string, 1) // gets the last line of the stream
	go func() {                    // ends with the stream
		var last string
		defer func() { stream <- last }()
		req, err := http.NewRequest(http.MethodGet, g.traffic+"/events", nil)
		if err != nil {
			return
		}
		req.Header.Set("X-Request-Id", "stream")
		res, err := g.client.Do(req)
		if err != nil {
			return
		}
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if line := lines.Text(); line != "" {
				last = line
			}
		}
	}()
	load := startLoad(g, 8, true)
	reloads := 0
	for end := time.Now().Add(*reloadFor); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err := g.reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		reloads++
	}
	calls := load.end()
	if last := <-stream; last != "data: end" {
		t.Errorf("the stream ended with %q, want all of it", last)
	}
	g.recordOf("stream")

	came := c.calls()
	var records map[string]*record.Record
	wait(t, "each call is a record", func() bool {
		records = byID(t, g.all())
		for _, id := range came {
			if records[id] == nil {
				return false
			}
		}
		return true
	})
	again := 0
	for _, call := range calls {
		if call.again {
			again++
		}
		if call.err != nil {
			t.Errorf("call %s failed: %v", call.requestID, call.err)
			continue
		}
		if r := records[came[call.requestID]]; r == nil || r.RequestID != call.requestID {
			t.Errorf("call %s came to the component as %q, whose record is %v", call.requestID, came[call.requestID], r)
		}
	}
	if n := g.missing(time.Time{}); n != 0 {
		t.Errorf("gaps count %d calls, want none", n)
	}
	// With or without a capture, a server that shuts down closes a connection now
	// and then on which a call is about to come.
	t.Logf("%d reloads, %d calls, %d of them made again", reloads, len(calls), again)
	if again > 3+len(calls)/1000 {
		t.Errorf("%d of %d calls were made again", again, len(calls))
	}
}
