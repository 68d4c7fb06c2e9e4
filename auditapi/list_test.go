package auditapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/auditapi"
	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
)

// opened returns a real store that has the records.
func opened(t *testing.T, records ...*record.Record) store.Store {
	t.Helper()
	s, err := badger.Open(badger.Options{Path: t.TempDir(), Durability: store.OS})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	add(t, s, records...)
	return s
}

func add(t *testing.T, s store.Store, records ...*record.Record) {
	t.Helper()
	for _, r := range records {
		commit, err := s.Add(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r == records[len(records)-1] {
			if err := commit.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// calls returns n records, newest last.
func calls(n int, change func(i int, r *record.Record)) []*record.Record {
	list := make([]*record.Record, n)
	for i := range list {
		list[i] = call(i, func(r *record.Record) {
			if change != nil {
				change(i, r)
			}
		})
	}
	return list
}

// VK-12: newest first; VK-10, VK-12: page on with the marker until there is none.
func TestPagesAreASnapshotWhileWritersGoOn(t *testing.T) {
	const before = 250
	s := opened(t, calls(before, nil)...)
	srv := serve(t, s, nil)
	want := ids(srv.list("/v1/p1/logs?limit=1000", token(t, nil)).Logs)
	if len(want) != before || !slices.IsSortedFunc(want, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Fatalf("%d records, want %d in order", len(want), before)
	}

	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				// Some are older than what was there, so that they fall into the
				// pages that are still to come.
				if _, err := s.Add(call(i%before, nil), nil); err != nil && !errors.Is(err, store.ErrFull) {
					t.Error(err)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	defer writers.Wait()
	defer stop()
	for _, limit := range []int{1, 7, 100} {
		first := srv.list(fmt.Sprintf("/v1/p1/logs?limit=%d&to=2026-11-21T12:00:00Z", limit), token(t, nil))
		pinned := first.Logs
		for page := first; page.Marker != ""; {
			// Sent alone the marker goes on with its query, and with its limit.
			if page = srv.list("/v1/p1/logs?marker="+page.Marker, token(t, nil)); len(page.Logs) > limit {
				t.Fatalf("page of %d records, want %d", len(page.Logs), limit)
			}
			if page.Marker != "" && len(page.Logs) != limit {
				t.Fatalf("page of %d records with a marker, want %d", len(page.Logs), limit)
			}
			pinned = append(pinned, page.Logs...)
		}
		got := ids(pinned)
		if !slices.IsSortedFunc(got, func(a, b string) int { return strings.Compare(b, a) }) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("limit %d: not strictly ordered", limit)
		}
		newest := uint64(0)
		for _, r := range pinned {
			newest = max(newest, r.Sequence)
		}
		if uint64(len(pinned)) != newest {
			t.Errorf("limit %d: %d records up to sequence %d", limit, len(pinned), newest)
		}
		for _, id := range want {
			if !slices.Contains(got, id) {
				t.Errorf("limit %d: record %s is missing", limit, id)
			}
		}
	}
}

func TestFiltersReachTheStore(t *testing.T) {
	records := calls(12, func(i int, r *record.Record) {
		r.Source = []string{"nova", "cinder", "glance"}[i%3]
		r.Method = []string{"GET", "POST"}[i%2]
		r.Status = []int{200, 404, 503, 202}[i%4]
		if r.Status >= 400 {
			r.Success = record.SuccessNo
		}
		r.UserID = fmt.Sprintf("u%d", i%5)
		r.URI = fmt.Sprintf("/v2.1/servers/%d/action", i)
		r.RequestID = fmt.Sprintf("req-%d", i) // VK-24
		r.Action = []string{"server.create", "server.delete", "serverless.run", "unknown"}[i%4]
		if i%4 == 0 {
			r.ActionAliases = []string{"create-vm", "vm.new"}
		}
		r.Object = &record.Object{Type: "server", ID: fmt.Sprintf("id-%d", i), Name: fmt.Sprintf("web %d", i%5)}
		r.UserIP = []string{"10.0.0.1", "10.0.7.1", "::ffff:10.0.0.2", "2001:db8::1", ""}[i%5]
		r.JobID, r.TraceID, r.TokenID = fmt.Sprintf("job-%d", i/2), fmt.Sprintf("%032x", i), fmt.Sprintf("hmac:%032x", i%3)
		r.RequestHeaders = record.Headers{{Name: "X-Region", Value: "Nord_" + strconv.Itoa(i%2)}}
		r.RequestBody = record.Body{Content: fmt.Appendf(nil, `{"name": "größe%d", "path": "C:\\new\nline"}`, i), BodyInfo: record.BodyInfo{State: record.BodyComplete}}
	})
	srv := serve(t, opened(t, records...), nil)
	for query, want := range map[string]func(i int, r *record.Record) bool{
		"":                          func(int, *record.Record) bool { return true },
		"source=nova":               func(_ int, r *record.Record) bool { return r.Source == "nova" },
		"source=nova&source=glance": func(_ int, r *record.Record) bool { return r.Source != "cinder" },
		"method=post":               func(_ int, r *record.Record) bool { return r.Method == "POST" },
		"status=404&status=5xx":     func(_ int, r *record.Record) bool { return r.Status >= 400 },
		"success=no":                func(_ int, r *record.Record) bool { return r.Success == record.SuccessNo },
		"user=u3":                   func(_ int, r *record.Record) bool { return r.UserID == "u3" },
		"user=bob@example.com":      func(int, *record.Record) bool { return true },
		"user=Bob&user=u3":          func(int, *record.Record) bool { return true },
		"uri=/v2.1/servers/1":       func(i int, _ *record.Record) bool { return i == 1 || i == 10 || i == 11 },
		"uri=/v2.1/*/3/":            func(i int, _ *record.Record) bool { return i == 3 },
		"request_id=req-4":          func(i int, _ *record.Record) bool { return i == 4 },
		"from=2026-11-21T10:00:03Z": func(i int, _ *record.Record) bool { return i >= 3 },
		"to=2026-11-21T10:00:03Z":   func(i int, _ *record.Record) bool { return i < 3 },
		"from=2026-11-21T10:00:03Z&to=2026-11-21T10:00:05.5Z&status=2xx": func(i int, r *record.Record) bool { return i >= 3 && i <= 5 && r.Status < 300 },
		"action=server.create":                  func(i int, _ *record.Record) bool { return i%4 == 0 },
		"action=create-vm&action=server.delete": func(i int, _ *record.Record) bool { return i%4 <= 1 },
		"action=server.":                        func(i int, _ *record.Record) bool { return i%4 <= 1 },
		"action=vm.":                            func(i int, _ *record.Record) bool { return i%4 == 0 },
		"action=server":                         func(int, *record.Record) bool { return false },
		"action=Server.create":                  func(int, *record.Record) bool { return false },
		"object=id-3":                           func(i int, _ *record.Record) bool { return i == 3 },
		"object=web+3":                          func(i int, _ *record.Record) bool { return i%5 == 3 },
		"object=web":                            func(int, *record.Record) bool { return false },
		"user_ip=10.0.0.1":                      func(i int, _ *record.Record) bool { return i%5 == 0 },
		"user_ip=10.0.0.2":                      func(i int, _ *record.Record) bool { return i%5 == 2 },
		"user_ip=10.0.0.77/24":                  func(i int, _ *record.Record) bool { return i%5 == 0 || i%5 == 2 },
		"user_ip=0.0.0.0/0":                     func(i int, _ *record.Record) bool { return i%5 < 3 },
		"user_ip=::ffff:10.0.7.1":               func(i int, _ *record.Record) bool { return i%5 == 1 },
		"user_ip=2001:db8::/64":                 func(i int, _ *record.Record) bool { return i%5 == 3 },
		"job_id=job-2":                          func(i int, _ *record.Record) bool { return i/2 == 2 },
		"trace_id=00000000000000000000000000000007&job_id=job-3":     func(i int, _ *record.Record) bool { return i == 7 },
		"token_id=hmac:00000000000000000000000000000001&user_ip=::0": func(int, *record.Record) bool { return false },
		"token_id=hmac:00000000000000000000000000000001":             func(i int, _ *record.Record) bool { return i%3 == 1 },
		"q=servers":             func(int, *record.Record) bool { return true },
		"q=server":              func(int, *record.Record) bool { return false }, // a word is whole
		"q=GRÖSSE3":             func(int, *record.Record) bool { return false },
		"q=GRÖßE3":              func(i int, _ *record.Record) bool { return i == 3 },
		"q=nord_1+x-region":     func(i int, _ *record.Record) bool { return i%2 == 1 },
		"q=name+nord_0+größe3":  func(int, *record.Record) bool { return false },
		"q=C:%5Cnew+line":       func(int, *record.Record) bool { return true },
		"q=größe4&view=summary": func(i int, _ *record.Record) bool { return i == 4 },
		"source=keystone":       func(int, *record.Record) bool { return false },
	} {
		var expected []string
		for i, r := range slices.Backward(records) {
			if want(i, r) {
				expected = append(expected, r.EventID.String())
			}
		}
		if diff := cmp.Diff(expected, ids(srv.list("/v1/p1/logs?"+query, token(t, nil)).Logs), cmp.Transformer("empty", func(s []string) string { return strings.Join(s, "\n") })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

func TestLimitHasItsDefaultAndItsMost(t *testing.T) {
	srv := serve(t, opened(t, calls(1005, nil)...), nil)
	for query, want := range map[string]int{"": 100, "limit=": 100, "limit=3": 3, "limit=1000": 1000, "limit=5000": 1000} { // VK-09
		if got := len(srv.list("/v1/-/logs?"+query, token(t, nil)).Logs); got != want {
			t.Errorf("%q: %d records, want %d", query, got, want)
		}
	}
	if got := len(srv.list("/v1/-/logs", token(t, nil), "Limit", "7").Logs); got != 7 { // VK-11
		t.Errorf("limit as a header: %d records, want 7", got)
	}
}

func TestLinkLeadsToTheNextPageBehindAPrefix(t *testing.T) {
	srv := serve(t, opened(t, calls(3, nil)...), func(c *auditapi.Config) {
		c.OriginalPath = func(r *http.Request) string { return "/auditlogs" + r.URL.EscapedPath() }
	})
	res, _ := srv.do("GET", "/v1/p1/logs?limit=2&pretty", token(t, nil))
	link := res.Header.Get("Link")
	target, rel, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	path, ok := strings.CutPrefix(target, "/auditlogs")
	if !ok || rel != `; rel="next"` {
		t.Fatalf("Link is %q", link)
	}
	res, body := srv.do("GET", path, token(t, nil))
	var last answer
	if err := json.Unmarshal(body, &last); err != nil || len(last.Logs) != 1 || res.Header.Get("Link") != "" || last.Marker != "" {
		t.Errorf("last page: %v, %d records, Link %q", err, len(last.Logs), res.Header.Get("Link"))
	}
	if !strings.Contains(string(body), "\n      \"event_id\": ") {
		t.Errorf("the next page of a pretty one is not pretty:\n%s", body)
	}
}

// Two slashes would begin the name of a host (RFC 3986, section 4.2).
func TestLinkNeverLeadsToAnotherHost(t *testing.T) {
	srv := serve(t, opened(t, calls(3, nil)...), func(c *auditapi.Config) {
		c.OriginalPath = func(r *http.Request) string { return "//auditlogs" + r.URL.EscapedPath() }
	})
	res, _ := srv.do("GET", "/v1/p1/logs?limit=2", token(t, nil))
	if link := res.Header.Get("Link"); !strings.HasPrefix(link, "</auditlogs/v1/p1/logs?") {
		t.Errorf("Link is %q", link)
	}
}

func TestStreamIsListedBeforeTheFirstRecord(t *testing.T) {
	s := opened(t)
	var streams []string
	for range 3 {
		r := &record.Record{EventID: record.NewID(), Source: "nova", Project: "p1", Outcome: record.OutcomeInProgress}
		add(t, s, r)
		streams = append([]string{r.EventID.String()}, streams...)
	}
	srv := serve(t, s, nil)
	first := srv.list("/v1/p1/logs?limit=2", token(t, nil))
	for range 3 { // of calls that began before, and that the pin leaves out but for the first
		add(t, s, &record.Record{EventID: record.IDAt(time.Now().Add(-time.Hour)), Source: "nova", Project: "p1", Outcome: record.OutcomeComplete})
	}
	second := srv.list("/v1/p1/logs?limit=10&marker="+first.Marker, token(t, nil))
	if got := append(ids(first.Logs), ids(second.Logs)...); len(got) > 4 || !slices.Equal(got[:3], streams) {
		t.Errorf("%v are listed, want %v and at most one more", got, streams)
	}
}

func TestEmptyStoreAnswersAnEmptyCompleteList(t *testing.T) {
	srv := serve(t, opened(t), nil)
	for path, want := range map[string]string{
		"/v1/-/logs":         `{"logs":[],"complete":true,"gaps":[]}` + "\n",
		"/v1/p1/logs/":       `{"logs":[],"complete":true,"gaps":[]}` + "\n", // a slash at the end is as none
		"/v1/p1/logs?pretty": "{\n  \"logs\": [],\n  \"complete\": true,\n  \"gaps\": []\n}\n",
	} {
		if _, body := srv.do("GET", path, token(t, nil)); string(body) != want {
			t.Errorf("GET %s: %q, want %q", path, body, want)
		}
	}
}
