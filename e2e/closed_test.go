package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
)

// closedSite is that of most tests, with `fail closed`.
func (g *gateway) closedSite(upstream string) string {
	return strings.Replace(g.site(upstream), "audit_capture nova", "audit_capture nova {\n\t\tfail closed\n\t}", 1)
}

func TestReceiptIsOnRecordWhenTheComponentIsCalled(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer upstream.Close()
	g := newGateway(t)
	g.write(g.closedSite(upstream.Listener.Addr().String()))
	g.start()
	g.bearer = g.token("auditor")
	done := make(chan struct{})
	go func() { // ends with the call
		defer close(done)
		res, err := g.send(t.Context(), http.MethodGet, "/?token=s3cret-canary", "held", nil)
		if err != nil {
			t.Error(err)
			return
		}
		res.Body.Close()
	}()
	<-arrived
	status, body, err := g.ask("/v1/-/logs?request_id=held")
	if err != nil || status != http.StatusOK || !strings.Contains(string(body), `"outcome":"in_progress"`) || strings.Contains(string(body), "s3cret-canary") {
		t.Errorf("while the component is at it: %d %s, %v", status, body, err)
	}
	close(release)
	<-done
	if r := g.recordOf("held"); r.Status != http.StatusOK || r.Outcome != record.OutcomeComplete {
		t.Errorf("at the end: status %d, %s", r.Status, r.Outcome)
	}
}

func TestKillUnderClosedLosesNoCallThatTheComponentSaw(t *testing.T) {
	c := startComponent(t)
	g := newGateway(t)
	g.write(g.closedSite(c.address()))
	g.start()
	g.bearer = g.token("auditor")
	for range loops() {
		from := time.Now().Add(-time.Millisecond)
		load := startLoad(g, 16, false)
		aWhile()
		g.signal(syscall.SIGKILL)
		calls := load.died()
		g.start()

		records, came := byID(t, g.list(url.Values{"from": {rfc3339(from)}, "limit": {"1000"}})), c.calls()
		unfinished, seen, unseen := 0, 0, uint64(0)
		for _, call := range calls {
			id, did := came[call.requestID]
			if !did {
				unseen++
				continue
			}
			seen++
			switch r := records[id]; {
			case r == nil:
				t.Errorf("the component saw call %s, and there is no record of it", call.requestID)
			case r.Outcome == record.OutcomeUnfinished:
				unfinished++
			case r.RequestID != call.requestID:
				t.Errorf("the record of %s is of %s", call.requestID, r.RequestID)
			}
		}
		if gap := g.missing(from); gap > unseen {
			t.Errorf("the gap counts %d calls, and only %d never came to the component", gap, unseen)
		}
		t.Logf("the component saw %d calls, %d of them unfinished", seen, unfinished)
	}
}
