package auditapi_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/auditgate/auditgate/auditapi"
)

// Those that wait get an answer that says when to come back; those that run
// are finished, and make room.
func TestListingsAndSummariesAtOnceAreBounded(t *testing.T) {
	m := &memory{entered: make(chan struct{}), release: make(chan struct{})}
	m.put(calls(3, nil)...)
	srv := serve(t, m, nil)

	var running sync.WaitGroup
	start := func(caller, path string) {
		running.Go(func() {
			if res, body := srv.do("GET", path, token(t, map[string]any{"sub": caller})); res.StatusCode != 200 {
				t.Errorf("%s: %s\n%s", caller, res.Status, body)
			}
		})
		<-m.entered
	}
	for i := range auditapi.MaxScans {
		start(fmt.Sprintf("u%d", i/auditapi.MaxCallerListings), []string{"/v1/-/logs", "/v1/-/summary"}[i%2])
	}
	for caller, want := range map[string]string{"u0": "too-many-requests", "u9": "busy"} {
		status := map[string]int{"too-many-requests": 429, "busy": 503}[want]
		tok := token(t, map[string]any{"sub": caller})
		srv.refuse(status, want, "GET", "/v1/-/logs", tok)
		srv.refuse(status, want, "GET", "/v1/-/summary", tok)
	}
	// What reads one record, or none, is not held up.
	if res, _ := srv.do("GET", "/v1/-/logs/"+m.snapshot()[0].EventID.String(), token(t, map[string]any{"sub": "u0"})); res.StatusCode != 200 {
		t.Errorf("a look-up beside the listings: %s", res.Status)
	}
	for range auditapi.MaxScans {
		m.release <- struct{}{}
	}
	running.Wait()
	start("u0", "/v1/-/logs")
	start("u0", "/v1/-/summary")
	m.release <- struct{}{}
	m.release <- struct{}{}
	running.Wait()
}
