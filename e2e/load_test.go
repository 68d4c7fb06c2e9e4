package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// component is a server behind the gateway that remembers which calls came.
type component struct {
	*httptest.Server

	mu   sync.Mutex        // guards came
	came map[string]string // the ids of their records, by their request ids
}

// startComponent starts a component that answers POST /items with what it was
// sent, and POST /items/slow the same after a while.
func startComponent(t *testing.T) *component {
	c := &component{came: make(map[string]string)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Header.Get("X-Request-Id")
		c.mu.Lock()
		if c.came[name] != "" {
			t.Errorf("call %s came twice", name)
		}
		c.came[name] = r.Header.Get("X-Audit-Id")
		c.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the gateway broke off
		}
		if r.URL.Path == "/items/slow" {
			time.Sleep(300 * time.Millisecond)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
	}))
	t.Cleanup(c.Close)
	return c
}

// address is that of the component, without a scheme.
func (c *component) address() string { return c.Listener.Addr().String() }

// calls returns what came: the ids of the records, by request id.
func (c *component) calls() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.came)
}

// call is one call of a load, and what became of it.
type call struct {
	requestID string
	again     bool // it failed and was made once more
	err       error
}

// load is clients that make calls.
type load struct {
	stop chan struct{} // closed to end it
	wg   sync.WaitGroup

	mu    sync.Mutex // guards calls
	calls []call
}

// clients counts them, so that each call of a run has a name of its own.
var clients atomic.Int64

// startLoad starts n clients. Each makes one call after the other, one in ten
// of them slow, until the load is stopped or one of its calls fails. With again
// it makes a call that failed once more: a server may close a connection just
// when a client sends on it.
func startLoad(g *gateway, n int, again bool) *load {
	l := &load{stop: make(chan struct{})}
	for range n {
		name := fmt.Sprintf("client-%d", clients.Add(1))
		l.wg.Go(func() { // ends as told above
			for i := 0; ; i++ {
				select {
				case <-l.stop:
					return
				default:
				}
				c := call{requestID: fmt.Sprintf("%s-call-%d", name, i)}
				slow := rand.N(10) == 0
				if c.err = makeCall(g, c.requestID, slow, again); c.err != nil && again {
					c.again = true
					c.err = makeCall(g, c.requestID, slow, again)
				}
				l.mu.Lock()
				l.calls = append(l.calls, c)
				l.mu.Unlock()
				if c.err != nil {
					return
				}
			}
		})
	}
	return l
}

// end lets the clients finish the calls that they are at, and returns all calls.
func (l *load) end() []call {
	close(l.stop)
	l.wg.Wait()
	return l.calls
}

// died waits until each client has met an error, and returns all calls.
func (l *load) died() []call {
	l.wg.Wait()
	return l.calls
}

func makeCall(g *gateway, requestID string, slow, again bool) error {
	url := g.traffic + "/items"
	if slow {
		url += "/slow"
	}
	body := fmt.Sprintf(`{"name": %q, "padding": %q}`, requestID, bytes.Repeat([]byte("p"), 500))
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Request-Id", requestID)
	if again { // then net/http does so too, where it knows that nobody began
		req.Header.Set("Idempotency-Key", requestID)
	}
	res, err := g.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode != http.StatusCreated:
		return fmt.Errorf("status %d: %s", res.StatusCode, answer)
	case string(answer) != body:
		return fmt.Errorf("sent %s and got back %s", body, answer)
	}
	return nil
}

// neverBegan reports whether an error says that nobody took the call.
func neverBegan(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// reader lists the newest records of a time over and over.
type reader struct {
	stop chan struct{}            // closed to end it
	ids  chan map[string]struct{} // gets, at the end, all ids that were listed
}

// startReading starts a reader of what began at from or later. It ends when told
// to, or when the gateway does.
func startReading(g *gateway, from time.Time) *reader {
	r := &reader{make(chan struct{}), make(chan map[string]struct{}, 1)}
	go func() {
		ids := make(map[string]struct{})
		defer func() { r.ids <- ids }()
		for {
			select {
			case <-r.stop:
				return
			default:
			}
			status, body, err := g.ask("/v1/-/logs?limit=50&from=" + rfc3339(from))
			if err != nil || status != http.StatusOK {
				return
			}
			var p page
			if json.Unmarshal(body, &p) != nil {
				return
			}
			for _, record := range p.Logs {
				ids[record.EventID.String()] = struct{}{}
			}
		}
	}()
	return r
}

// end ends the reader and returns the ids of the records that it saw.
func (r *reader) end() map[string]struct{} {
	close(r.stop)
	return <-r.ids
}
