package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/record"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// Calls through a real gateway are found again by what is known of them, and a
// summary counts what a listing lists.
func TestCallsAreFoundAndCounted(t *testing.T) {
	component := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusConflict)
		}
		_, _ = io.WriteString(w, `{"state": "Königlich", "path": "C:\\new"}`)
	}))
	defer component.Close()
	g := newGateway(t)
	g.write(g.site(component.Listener.Addr().String()))
	g.replace("\taudit_capture nova\n", `	audit_capture nova {
		action server.list {
			match GET /v2.1/servers
			alias vm.all
		}
		action server.delete {
			match DELETE /v2.1/servers/:id
			object server {audit.path.id}
		}
	}
`)
	g.start()
	g.bearer = g.token("auditor")
	for _, c := range []struct{ id, method, target, body string }{
		{"one", http.MethodGet, "/v2.1/servers?name=bl%C3%BCte", ""},
		{"two", http.MethodPost, "/v2.1/servers", "the needle, and \\hay"},
		{"three", http.MethodDelete, "/v2.1/servers/3", ""},
	} {
		req, err := http.NewRequest(c.method, g.traffic+c.target, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Request-Id", c.id)
		req.Header.Set("Content-Type", "text/plain")
		if c.id == "two" {
			req.Header.Set("Traceparent", traceparent)
		}
		res, err := g.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		g.recordOf(c.id)
	}
	for query, want := range map[string]string{
		"":                    "three two one",
		"q=needle":            "two",
		"q=NEEDLE%20servers":  "two",
		"q=%5Chay":            "two",
		"q=needl":             "",
		"q=bl%C3%BCte":        "one",
		"q=k%C3%B6niglich":    "three two one",
		"q=C:%5Cnew+three":    "three", // its request id stands in a header
		"q=needle&status=409": "",
		"trace_id=0af7651916cd43dd8448eb211c80319c":   "two",
		"user_ip=127.0.0.1":                           "three two one",
		"user_ip=127.0.0.0/8&method=DELETE":           "three",
		"user_ip=2001:db8::/32":                       "",
		"action=unknown":                              "two",
		"action=server.":                              "three one",
		"action=server":                               "",
		"action=vm.all":                               "one",
		"action=vm.all&action=server.delete&object=3": "three",
		"object=3":                                    "three",
		"job_id=x":                                    "",
		"token_id=x":                                  "",
		"success=no&uri=/v2.1/*/3&view=summary":       "three",
		"method=POST&method=DELETE&action=server":     "",
	} {
		var p page
		if err := json.Unmarshal(g.get("/v1/-/logs?"+query), &p); err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, r := range p.Logs {
			found = append(found, r.RequestID)
		}
		if got := strings.Join(found, " "); got != want {
			t.Errorf("%s finds %q, want %q", query, got, want)
		}
		var counted struct {
			Count     int
			Intervals []struct{ Count, Failed int }
			Facets    map[string][]struct {
				Value string
				Count int
			}
			Complete bool
		}
		query = strings.TrimSuffix(query, "&view=summary")
		if err := json.Unmarshal(g.get("/v1/-/summary?interval=day&facets=method,status&"+query), &counted); err != nil {
			t.Fatal(err)
		}
		perDay, failed, deletes := 0, 0, 0
		for _, day := range counted.Intervals {
			perDay, failed = perDay+day.Count, failed+day.Failed
		}
		for _, m := range counted.Facets["method"] {
			if m.Value == http.MethodDelete {
				deletes = m.Count
			}
		}
		if counted.Count != len(found) || perDay != len(found) || failed != strings.Count(want, "three") || deletes != failed || !counted.Complete {
			t.Errorf("%s counts %+v, want %d", query, counted, len(found))
		}
	}

	// What was asked is on record, but not the words.
	words := "needle of " + strings.Repeat("haystack ", 3)
	g.get("/v1/-/logs?limit=7&token_id=hmac:0123456789abcdef0123456789abcdef&job_id=job-1&q=" + url.QueryEscape(words))
	g.get("/v1/-/summary?user_ip=10.1.2.3%2F8&interval=1h&q=" + url.QueryEscape(words))
	g.bearer = g.token("admin")
	var asked []*record.Record
	wait(t, "both questions are records", func() bool {
		asked = slices.DeleteFunc(g.list(url.Values{"source": {record.Self}, "action": {"log."}}), func(r *record.Record) bool {
			return !strings.Contains(r.Query, "haystack") && !strings.Contains(r.Query, "job-1") && !strings.Contains(r.Query, "10.0.0.0")
		})
		return len(asked) == 2
	})
	hash := url.QueryEscape(g.hashes(words)[0])
	for i, want := range []string{
		"log.summary interval=1h&q=" + hash + "&user_ip=10.0.0.0%2F8",
		"log.list job_id=job-1&q=" + hash + "&token_id=hmac%3A0123456789abcdef0123456789abcdef&limit=7",
	} {
		if got := asked[i].Action + " " + asked[i].Query; got != want {
			t.Errorf("asked was %s\nwant %s", got, want)
		}
	}
	if metrics := g.metrics(); !strings.Contains(string(metrics), `auditgate_query_duration_seconds_count{kind="log.summary"}`) {
		t.Error("the metrics do not tell how long summaries took")
	}
}
