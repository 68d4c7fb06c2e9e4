package auditapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/auditgate/auditgate/auditapi"
	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
)

// large gives a record a body that eight of do not fit into what is held back.
func large(_ int, r *record.Record) {
	r.ResponseBody = record.Body{
		Content:  bytes.Repeat([]byte(r.EventID.String()), auditapi.PageBuffer/8/36+1),
		BodyInfo: record.BodyInfo{Size: auditapi.PageBuffer / 8, Kept: auditapi.PageBuffer / 8, State: record.BodyComplete},
	}
}

// A page of any size has its Link in the header and its marker in the body,
// and they agree.
func TestLongPagesAreWholeAndTellTheNext(t *testing.T) {
	records := calls(20, large)
	srv := serve(t, opened(t, records...), nil)
	slices.Reverse(records)
	for _, limit := range []int{7, 8, 9, 19, 20, 100} {
		var got []*record.Record
		for path := fmt.Sprintf("/v1/p1/logs?limit=%d", limit); path != ""; {
			page := srv.list(path, token(t, nil))
			got = append(got, page.Logs...)
			path = ""
			if page.Marker != "" {
				path = "/v1/p1/logs?marker=" + page.Marker
				if len(page.Logs) != limit {
					t.Fatalf("limit %d: a page of %d records with a marker", limit, len(page.Logs))
				}
			}
		}
		if len(got) != len(records) {
			t.Fatalf("limit %d: %d records, want %d", limit, len(got), len(records))
		}
		for i, r := range records {
			if got[i].EventID != r.EventID || !bytes.Equal(got[i].ResponseBody.Content, r.ResponseBody.Content) {
				t.Errorf("limit %d: record %d is not as it was stored", limit, i)
			}
		}
	}
	if got := srv.list("/v1/p1/logs?view=summary", token(t, nil)); len(got.Logs) != 20 || len(got.Logs[0].ResponseBody.Content) > 0 {
		t.Errorf("summary: %d records", len(got.Logs))
	}
	_, pretty := srv.do("GET", "/v1/p1/logs?pretty", token(t, nil))
	if !strings.HasSuffix(string(pretty), "\n    }\n  ],\n  \"complete\": true,\n  \"gaps\": []\n}\n") {
		t.Errorf("a long pretty page ends in %q", pretty[len(pretty)-80:])
	}
}

// An answer that cannot be finished is broken off: what has arrived of it can
// be taken for the whole neither by its length nor as JSON.
func TestErrorBehindTheBeginningBreaksTheAnswerOff(t *testing.T) {
	m := &memory{}
	m.put(calls(40, large)...)
	oldest := m.snapshot()[30].EventID
	scans := 0
	m.failAt = func(r *record.Record) error {
		if r.EventID == m.snapshot()[0].EventID {
			scans++
		}
		if r.EventID == oldest && r.ResponseBody.Size > 0 && scans > 0 {
			if scans++; scans > 2 { // the look ahead is good, and what follows it is not
				return store.ErrCorrupt
			}
		}
		return nil
	}
	srv := serve(t, m, nil)
	r, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/v1/p1/logs?limit=35", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", token(t, nil))
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if res.StatusCode != 200 || err == nil || len(body) < auditapi.PageBuffer || bytes.HasSuffix(body, []byte("}\n")) {
		t.Errorf("%s, %d bytes, error %v; want an answer that breaks off", res.Status, len(body), err)
	}
	waitFor(t, func() bool { return len(srv.audited()) == 1 })
	if got := srv.audited()[0]; got.Outcome != record.OutcomeAborted || got.Success != record.SuccessUnknown || got.Status != 200 {
		t.Errorf("its record says %s, %s, %d", got.Outcome, got.Success, got.Status)
	}
}

// waitFor waits for what happens after an answer was read.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for !done() {
		if t.Context().Err() != nil {
			t.Fatal("test ended")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestErrorBeforeTheBeginningIsAProblem(t *testing.T) {
	m := &memory{}
	m.put(calls(3, nil)...)
	var logged error
	srv := serve(t, m, func(c *auditapi.Config) { c.Log = func(_ string, err error) { logged = err } })
	for _, tt := range []struct {
		err    error
		status int
		name   string
	}{
		{store.ErrClosed, 503, "unavailable"},
		{fmt.Errorf("block 7: %w", store.ErrCorrupt), 500, "internal"},
		{errors.New("reading /var/lib/x: input/output error"), 500, "internal"},
	} {
		for _, path := range []string{"/v1/p1/logs", "/v1/p1/logs/" + m.snapshot()[0].EventID.String()} {
			m.fail, logged = tt.err, nil
			p := srv.refuse(tt.status, tt.name, "GET", path, token(t, nil))
			if strings.Contains(p.Detail, "/var") || tt.status == 500 && !errors.Is(logged, tt.err) {
				t.Errorf("%v: detail is %q, logged %v", tt.err, p.Detail, logged)
			}
		}
	}
}

// A scan that runs out of its budget gives what it found, and goes on.
func TestInterruptedScansGoOnWithoutLoss(t *testing.T) {
	for _, change := range []func(int, *record.Record){nil, large} {
		m := &memory{budget: 11}
		records := calls(60, change)
		for i, r := range records {
			if i%3 > 0 {
				r.Project = "p2"
			}
		}
		m.put(records...)
		srv := serve(t, m, nil)
		var got []string
		pages := 0
		for path := "/v1/p1/logs?limit=10"; path != ""; pages++ {
			page := srv.list(path, token(t, nil))
			got = append(got, ids(page.Logs)...)
			path = ""
			if page.Marker != "" {
				path = "/v1/p1/logs?marker=" + page.Marker
			}
			if page.Complete && page.Marker != "" && len(page.Logs) < 10 {
				t.Error("a page that was cut short says that it is complete")
			}
		}
		m.budget = 0
		if want := ids(srv.list("/v1/p1/logs", token(t, nil)).Logs); !slices.Equal(got, want) || pages < 5 {
			t.Errorf("%d records in %d pages, want %d", len(got), pages, len(want))
		}
	}
}

func gap(n int, source string) *record.Record {
	return call(n, func(r *record.Record) {
		r.Source, r.Project, r.Outcome, r.Success = source, "", record.OutcomeGap, record.SuccessUnknown
		r.EndTime = r.Timestamp.Add(10 * time.Second)
		r.Gap = &record.Gap{Count: 3, Reason: "killed"}
	})
}

func TestGapsAreToldWhateverTheFilters(t *testing.T) {
	nova, iam, lost := gap(100, "nova"), gap(150, "iam"), gap(200, record.Self)
	lost.Gap.Reason = store.ReasonDamage // what cannot be read any more, of whatever source
	srv := serve(t, opened(t, append(calls(20, nil), nova, iam, lost)...), func(c *auditapi.Config) { c.Restrict = []string{"iam"} })
	tenant := map[string]any{"projects": []string{"p1"}}
	for _, tt := range []struct {
		name, query string
		claims      map[string]any
		want        string // their sources
	}{
		{"all", "", nil, "nova auditgate"},
		{"another source asked for", "?source=cinder&status=404", nil, "nova auditgate"},
		{"every filter", "?user=x&method=GET&uri=/x&action=x&object=x&success=no&user_ip=10.0.0.1&request_id=x&job_id=x&trace_id=x&token_id=x&q=x", tenant, "nova auditgate"},
		{"a tenant", "", tenant, "nova auditgate"},
		{"before", "?to=2026-11-21T10:01:40Z", nil, ""},
		{"into it", "?to=2026-11-21T10:01:41Z", nil, "nova"},
		{"out of it", "?from=2026-11-21T10:01:45Z", nil, "nova auditgate"},
		{"after", "?from=2026-11-21T10:02:00Z", nil, "auditgate"},
		{"after all", "?from=2026-11-21T10:04:00Z", nil, ""},
		{"not of a source that is seen", "", map[string]any{"sources": []string{"cinder"}}, "auditgate"},
		{"of a source that is restricted", "", map[string]any{"sources": []string{"iam"}}, "iam auditgate"},
		{"an admin asks for the own ones", "?source=auditgate", map[string]any{"roles": "admin"}, "nova auditgate"},
	} {
		for _, path := range []string{"logs", "summary"} {
			var got answer // a summary has these fields too
			res, body := srv.do("GET", "/v1/-/"+path+tt.query, token(t, tt.claims))
			if err := json.Unmarshal(body, &got); err != nil || res.StatusCode != 200 {
				t.Fatalf("%s, %s: %s\n%s", tt.name, path, res.Status, body)
			}
			var sources []string
			for _, g := range got.Gaps {
				sources = append(sources, g.Source)
				if g.Gap == nil || g.Gap.Count != 3 {
					t.Errorf("%s, %s: gap is %+v", tt.name, path, g)
				}
			}
			if strings.Join(sources, " ") != tt.want || got.Complete != (tt.want == "") {
				t.Errorf("%s, %s: gaps of %q, complete %v, want %q", tt.name, path, sources, got.Complete, tt.want)
			}
		}
	}
	if got := srv.list("/v1/-/logs?limit=1", token(t, tenant)); len(got.Gaps) != 2 || got.Complete {
		t.Errorf("a page that ends before them: %d gaps, complete %v", len(got.Gaps), got.Complete)
	}
}

// What becomes a gap while a page or a summary is made is told with it.
func TestGapThatIsFoundWhileReadingIsTold(t *testing.T) {
	for _, path := range []string{"logs", "logs?limit=15", "summary"} {
		m := &memory{}
		m.put(calls(20, large)...)
		m.failAt = func(r *record.Record) error {
			if r.Timestamp.Second() == 5 && len(m.snapshot()) == 20 {
				m.put(gap(0, record.Self))
			}
			return nil
		}
		var got answer
		srv := serve(t, m, nil)
		if _, body := srv.do("GET", "/v1/-/"+path, token(t, nil)); json.Unmarshal(body, &got) != nil || len(got.Gaps) != 1 || got.Complete {
			t.Errorf("%s: %d gaps, complete %v", path, len(got.Gaps), got.Complete)
		}
	}
}

func TestManyGapsAreBounded(t *testing.T) {
	m := &memory{}
	for i := range 150 {
		m.put(gap(i, "nova"))
	}
	srv := serve(t, m, nil)
	if got := srv.list("/v1/-/logs?limit=1", token(t, nil)); len(got.Gaps) != 100 || got.Complete {
		t.Errorf("%d gaps, complete %v", len(got.Gaps), got.Complete)
	}
	if got := srv.list("/v1/-/logs?limit=1", token(t, map[string]any{"sources": []string{"cinder"}})); len(got.Gaps) != 0 || got.Complete {
		t.Errorf("too many to tell: %d gaps, complete %v", len(got.Gaps), got.Complete)
	}
}

// A page of the newest 100 calls of 1 KiB up and 2 KiB down, with and without
// their bodies.
func BenchmarkListing(b *testing.B) {
	s, err := badger.Open(badger.Options{Path: b.TempDir(), Durability: store.OS})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	var commit *store.Commit
	for i := range 1000 {
		commit, err = s.Add(call(i, func(r *record.Record) {
			r.RequestHeaders = record.Headers{{Name: "Accept", Value: "*/*"}, {Name: "Content-Type", Value: "application/json"}}
			r.RequestBody = record.Body{Content: bytes.Repeat([]byte(`{"a":"b"}`), 113), BodyInfo: record.BodyInfo{State: record.BodyComplete}}
			r.ResponseBody = record.Body{Content: bytes.Repeat([]byte(`{"a":"b"}`), 227), BodyInfo: record.BodyInfo{State: record.BodyComplete}}
		}), nil)
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := commit.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
	api, err := auditapi.New(goodConfig(s))
	if err != nil {
		b.Fatal(err)
	}
	for _, view := range []string{"full", "summary"} {
		b.Run(view, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/v1/p1/logs?view="+view, nil)
			r.Header.Set("X-Auth-Token", token(b, nil))
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				api.ServeHTTP(w, r)
				if w.Code != 200 || w.Header().Get("Link") == "" {
					b.Fatal(w.Code)
				}
				b.SetBytes(int64(w.Body.Len()))
			}
		})
	}
}
