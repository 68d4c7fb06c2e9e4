package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A call holds the store of its configuration while it lives. When the last one
// ends the store closes, and can be opened again.
func TestReloadToAnotherStoreAndBackKeepsBoth(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			arrived <- struct{}{}
			<-release
		}
	}))
	defer upstream.Close()
	g := startGateway(t, upstream.Listener.Addr().String())
	first, err := os.ReadFile(g.config)
	if err != nil {
		t.Fatal(err)
	}
	configure := func(content string) {
		t.Helper()
		if err := os.WriteFile(g.config, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := g.reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}

	var held sync.WaitGroup
	held.Go(func() { g.open(t.Context(), http.MethodGet, "/held", "held", nil).Body.Close() })
	<-arrived
	configure(strings.Replace(string(first), g.dir+"/store", g.dir+"/other", 1))
	g.open(t.Context(), http.MethodGet, "/", "elsewhere", nil).Body.Close()
	g.recordOf("elsewhere")
	close(release)
	held.Wait()
	configure(string(first))
	g.recordOf("held")
	g.open(t.Context(), http.MethodGet, "/", "back", nil).Body.Close()
	g.recordOf("back")
}

// Calls that have just ended wait for workers; the exit waits for them.
func TestSIGTERMWithManyCallsEndingLosesNothing(t *testing.T) {
	const calls = 300
	var arrived sync.WaitGroup
	arrived.Add(calls)
	release := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived.Done()
		<-release
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"items":[` + strings.Repeat(`{"password":"x"},`, 1000) + `1]}`))
	}))
	defer upstream.Close()
	g := startGateway(t, upstream.Listener.Addr().String())
	var clients sync.WaitGroup
	for range calls {
		clients.Go(func() {
			res, err := g.send(t.Context(), http.MethodGet, "/", "", nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			_, _ = io.Copy(io.Discard, res.Body)
		})
	}
	arrived.Wait()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	close(release)
	<-g.dead
	clients.Wait()
	g.start()
	logs := g.all()
	if n := g.missing(time.Time{}); n != 0 || len(logs) != calls {
		t.Errorf("%d records and gaps of %d calls, want %d records", len(logs), n, calls)
	}
}
