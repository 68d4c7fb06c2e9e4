package auditapi_test

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/auditapi"
	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

func TestBodiesAreAttachmentsThatNothingRuns(t *testing.T) {
	html := "<script>alert(document.domain)</script>"
	tests := []struct {
		name string
		body record.Body
		kind string // of the answer
		file string // its end
	}{
		{"text", record.Body{Content: []byte(html), BodyInfo: record.BodyInfo{State: record.BodyComplete, ContentType: "text/html"}}, "text/plain; charset=utf-8", ".txt"},
		{"SVG", record.Body{Content: []byte("<svg onload=alert(1)>"), BodyInfo: record.BodyInfo{State: record.BodyComplete, ContentType: "image/svg+xml"}}, "text/plain; charset=utf-8", ".txt"},
		{"binary", record.Body{Content: []byte("%PDF-1.7\x00\xff"), BodyInfo: record.BodyInfo{State: record.BodyBinary, ContentType: "application/pdf"}}, "application/octet-stream", ".bin"},
		{"text that is no UTF-8", record.Body{Content: []byte("\xe4\xf6"), BodyInfo: record.BodyInfo{State: record.BodyComplete}}, "application/octet-stream", ".bin"},
		{"cut", record.Body{Content: []byte("be"), BodyInfo: record.BodyInfo{State: record.BodyTruncated, Reason: record.ReasonCap}}, "text/plain; charset=utf-8", ".truncated.txt"},
		{"of a stream", record.Body{Content: []byte("data: 1\n\n"), BodyInfo: record.BodyInfo{State: record.BodyStreamed}}, "text/plain; charset=utf-8", ".streamed.txt"},
		{"empty", record.Body{BodyInfo: record.BodyInfo{State: record.BodyComplete}}, "text/plain; charset=utf-8", ".txt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := call(0, func(r *record.Record) { r.RequestBody, r.ResponseBody = tt.body, tt.body })
			srv := serve(t, opened(t, r), nil)
			for _, which := range []string{"request_body", "response_body"} {
				res, got := srv.do("GET", "/v1/p1/logs/"+r.EventID.String()+"/"+which, token(t, nil))
				if res.StatusCode != 200 || string(got) != string(tt.body.Content) || res.Header.Get("Content-Type") != tt.kind {
					t.Errorf("%s: %s, %s, %q", which, res.Status, res.Header.Get("Content-Type"), got)
				}
				how, params, err := mime.ParseMediaType(res.Header.Get("Content-Disposition"))
				if want := r.EventID.String() + "-" + which + tt.file; err != nil || how != "attachment" || params["filename"] != want {
					t.Errorf("Content-Disposition is %q, want an attachment %s", res.Header.Get("Content-Disposition"), want)
				}
				for name, want := range map[string]string{
					"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'", "Cache-Control": "no-store",
				} {
					if got := res.Header.Get(name); got != want {
						t.Errorf("%s is %q, want %q", name, got, want)
					}
				}
			}
		})
	}
}

func TestBodiesThatWereNotKeptSayWhy(t *testing.T) {
	r := call(0, func(r *record.Record) {
		r.RequestBody.State = record.BodyNone
		r.ResponseBody = record.Body{BodyInfo: record.BodyInfo{Size: 5, State: record.BodyWithheld, Reason: record.ReasonUnparsable}}
	})
	srv := serve(t, opened(t, r), nil)
	path := "/v1/p1/logs/" + r.EventID.String()
	if p := srv.refuse(404, "body-not-kept", "GET", path+"/request_body", token(t, nil)); p.State != "none" {
		t.Errorf("problem is %+v", p)
	}
	if p := srv.refuse(404, "body-not-kept", "GET", path+"/response_body", token(t, nil)); p.State != "withheld" || p.Reason != "unparsable" || !strings.Contains(p.Detail, "unparsable") {
		t.Errorf("problem is %+v", p)
	}
}

func TestBodiesOfCallsThatHaveNotEndedSayWhy(t *testing.T) {
	for outcome, want := range map[record.Outcome]string{
		record.OutcomeInProgress: "still in progress", record.OutcomeUnfinished: "the gateway died before the call ended",
	} {
		m := &memory{}
		r := call(0, func(r *record.Record) {
			r.Outcome = outcome
			r.RequestBody.State = record.BodyNone // so far
			r.ResponseBody = record.Body{BodyInfo: record.BodyInfo{Size: 5, State: record.BodyStreamed}}
		})
		m.put(r)
		srv := serve(t, m, nil)
		for which, state := range map[string]record.BodyState{"request_body": record.BodyNone, "response_body": record.BodyStreamed} {
			p := srv.refuse(404, "body-not-kept", "GET", "/v1/p1/logs/"+r.EventID.String()+"/"+which, token(t, nil))
			if !strings.Contains(p.Detail, want) || p.State != string(state) {
				t.Errorf("%s of a call that is %s: %+v, want %q and the state %s", which, outcome, p, want, state)
			}
		}
	}
}

func TestHealthIsKnownFromTheHealthOfOthers(t *testing.T) {
	m := &memory{}
	srv := serve(t, m, nil)
	if res, content := srv.do("GET", "/healthz", ""); !auditapi.IsHealth(res.StatusCode, res.Header, content) {
		t.Errorf("%s %s is not known", res.Status, content)
	}
	if res, content := srv.do("GET", "/elsewhere/healthz", ""); auditapi.IsHealth(res.StatusCode, res.Header, content) {
		t.Errorf("%s %s is taken for health", res.Status, content)
	}
	m.fail = errors.New("the disk is full")
	if res, content := srv.do("GET", "/healthz", ""); !auditapi.IsHealth(res.StatusCode, res.Header, content) {
		t.Errorf("%s %s is not known", res.Status, content)
	}
	for status, content := range map[int]string{200: "{\"status\":\"ok\"}\n", 503: "Service Unavailable", 302: ""} {
		if auditapi.IsHealth(status, http.Header{}, []byte(content)) {
			t.Errorf("%d %s is taken for health", status, content)
		}
	}
}

// A record that is not there may be one that was lost.
func TestLookUpTellsOfGapsAtItsTime(t *testing.T) {
	in, hidden, out := call(105, nil), call(106, func(r *record.Record) { r.Project = "p2" }), call(300, nil)
	srv := serve(t, opened(t, gap(100, "nova"), gap(101, "cinder"), hidden), nil)
	tenant := token(t, map[string]any{"projects": []string{"p1"}, "sources": "nova"})
	for id, want := range map[record.ID]int{in.EventID: 1, hidden.EventID: 1, out.EventID: 0} {
		for _, suffix := range []string{"", "/request_body"} {
			p := srv.refuse(404, "not-found", "GET", "/v1/p1/logs/"+id.String()+suffix, tenant)
			if len(p.Gaps) != want || strings.Contains(p.Detail, "; records of its time are missing") != (want > 0) {
				t.Errorf("%s%s: %d gaps, want %d; %s", id, suffix, len(p.Gaps), want, p.Detail)
			}
		}
	}
}

func TestIdsThatAreNoneAreNamed(t *testing.T) {
	srv := serve(t, opened(t), nil)
	for _, id := range []string{"1", "019aa60d2a0070008000000000000001", "c56a4180-65aa-42ec-a945-5fd21dec0538", "%00", strings.Repeat("x", 5000)} {
		if p := srv.refuse(400, "invalid-parameter", "GET", "/v1/-/logs/"+id, token(t, nil)); len(p.Errors) != 1 || p.Errors[0].Parameter != "event_id" {
			t.Errorf("%.40s: %+v", id, p)
		}
	}
	srv.refuse(400, "invalid-parameter", "GET", "/v1/-/logs/"+record.NewID().String()+"?limit=1", token(t, nil))
}

func TestHealthSaysWhyNot(t *testing.T) {
	m := &memory{}
	var notReady error
	srv := serve(t, m, func(c *auditapi.Config) {
		c.Store = func() (store.Store, error) { return m, notReady }
	})
	if res, body := srv.do("GET", "/healthz?probe=1", ""); res.StatusCode != 200 || string(body) != "{\"status\":\"ok\"}\n" {
		t.Errorf("%s: %s", res.Status, body)
	}
	m.fail = errors.New("the disk is full")
	if p := srv.refuse(503, "unavailable", "GET", "/healthz", ""); p.Detail != "the disk is full" {
		t.Errorf("detail is %q", p.Detail)
	}
	m.fail, notReady = nil, errors.New("the store is being opened")
	if p := srv.refuse(503, "unavailable", "GET", "/healthz", ""); p.Detail != notReady.Error() {
		t.Errorf("detail is %q", p.Detail)
	}
	for _, path := range []string{"/v1/-/logs", "/v1/-/logs/" + record.NewID().String()} {
		if p := srv.refuse(503, "unavailable", "GET", path, token(t, nil)); p.Detail != notReady.Error() {
			t.Errorf("detail is %q", p.Detail)
		}
		if res, _ := srv.do("GET", path, token(t, nil)); res.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	srv.do("GET", "/v1/whoami", token(t, nil)) // needs no store
}

// Every request that shows something, or was refused, is a record; the token
// is in none of them.
func TestEveryRequestIsARecord(t *testing.T) {
	r := call(0, func(r *record.Record) { r.RequestBody.State = record.BodyNone })
	srv := serve(t, opened(t, append(calls(3, nil), r)...), func(c *auditapi.Config) {
		c.OriginalPath = func(r *http.Request) string { return "/auditlogs" + r.URL.EscapedPath() }
		c.ClientIP = func(*http.Request) string { return "203.0.113.7" }
	})
	good, tenant := token(t, nil), token(t, map[string]any{"projects": []string{"p1"}})
	marker := srv.list("/v1/p1/logs?source=nova&limit=1", good).Marker
	id := r.EventID.String()
	requests := []struct {
		method, path, token string
		want                record.Record
	}{
		{"GET", "/v1/p1/logs?source=nova&limit=1&marker=" + marker, good, record.Record{Action: "log.list", Project: "p1", URI: "/auditlogs/v1/p1/logs", Query: "source=nova&limit=1", Status: 200}},
		{"GET", "/v1/p1/logs?limit=2&marker=" + marker, good, record.Record{Action: "log.list", Project: "p1", URI: "/auditlogs/v1/p1/logs", Query: "source=nova&limit=2", Status: 200}},
		{"HEAD", "/v1/-/logs", good, record.Record{Action: "log.list", URI: "/auditlogs/v1/-/logs", Query: "limit=100", Status: 200}},
		{"GET", "/v1/-/logs?access_token=" + good, good, record.Record{Action: "log.list", URI: "/auditlogs/v1/-/logs", Status: 400}},
		{"GET", "/v1/p2/logs", tenant, record.Record{Action: "log.list", ClaimedProject: "p2", URI: "/auditlogs/v1/p2/logs", Status: 404}},
		{"GET", "/v1/p1/logs/" + id, tenant, record.Record{Action: "log.read", Project: "p1", URI: "/auditlogs/v1/p1/logs/" + id, Status: 200}},
		{"GET", "/v1/p1/logs/" + id + "/request_body", tenant, record.Record{Action: "body.read", Project: "p1", URI: "/auditlogs/v1/p1/logs/" + id + "/request_body", Status: 404}},
		{"GET", "/v1/whoami", good, record.Record{Action: "whoami.read", URI: "/auditlogs/v1/whoami", Status: 200}},
		{"GET", "/v1/p1/logs?user=u1", good[:len(good)-2], record.Record{Action: "token.refused", ClaimedProject: "p1", URI: "/auditlogs/v1/p1/logs", Status: 401}},
		{"GET", "/v1/whoami", "", record.Record{Action: "token.refused", URI: "/auditlogs/v1/whoami", Status: 401}},
	}
	waitFor(t, func() bool { return len(srv.audited()) == 1 })
	for i, tt := range requests {
		srv.do(tt.method, tt.path, tt.token, "User-Agent", "curl/8", "X-Request-Id", "req-1")
		waitFor(t, func() bool { return len(srv.audited()) == i+2 })
		got := srv.audited()[i+1]
		want := tt.want
		want.EventID, want.Timestamp, want.EndTime = got.EventID, got.EventID.Time(), got.EndTime
		want.Source, want.Method, want.Host, want.Protocol = record.Self, tt.method, got.Host, "HTTP/1.1"
		want.Outcome, want.Success = record.OutcomeComplete, record.SuccessYes
		if want.Status >= 400 {
			want.Success = record.SuccessNo
		}
		want.UserIP, want.PeerIP, want.UserAgent, want.RequestID = "203.0.113.7", "127.0.0.1", "curl/8", "req-1"
		if want.Action != "token.refused" {
			want.Actor = record.Actor{UserID: "u1", UserName: "Ann", UserEmail: "ann@example.com", UserRoles: []string{"auditor"}, AuthMethod: "jwt", AuthVerified: true}
		}
		if a, b := must(want.MarshalJSON()), must(got.MarshalJSON()); string(a) != string(b) {
			t.Errorf("%s %.60s: record is\n%s\nwant\n%s", tt.method, tt.path, b, a)
		}
		if text := string(must(got.MarshalJSON())); got.EndTime.Before(got.Timestamp) || strings.Contains(text, "eyJ") || strings.Contains(text, marker[:16]) {
			t.Errorf("%s %.60s: record is %s", tt.method, tt.path, text)
		}
	}
	// Probes, and what is not served, are none.
	srv.do("GET", "/healthz", "")
	srv.do("GET", "/v2/nothing", good)
	srv.do("POST", "/v1/p1/logs", good)
	if got := len(srv.audited()); got != len(requests)+1 {
		t.Errorf("%d records, want %d", got, len(requests)+1)
	}
}

func TestRecordsOfRequestsHaveNoSecrets(t *testing.T) {
	srv := serve(t, opened(t), func(c *auditapi.Config) {
		c.OriginalPath = func(r *http.Request) string { return "/auditlogs" + r.URL.EscapedPath() }
		c.Redact = func(name, value string) string {
			return strings.ReplaceAll(value, "CANARY", "<"+name+">")
		}
	})
	agent := strings.Repeat("x", 508) + "CANARY" // it is not cut before it is found
	srv.do("GET", "/v1/CANARY/logs?uri=/x%3Ftoken%3DCANARY&request_id=http://u:CANARY@h/&user=a&user=CANARY&q=one+CANARY&object=CANARY&limit=7", token(t, nil),
		"X-Request-Id", "token=CANARY", "User-Agent", agent)
	srv.do("GET", "/v1/CANARY/logs", "no token", "X-Request-Id", "CANARY", "User-Agent", "http://u:CANARY@h/")
	waitFor(t, func() bool { return len(srv.audited()) == 2 })
	known, refused := srv.audited()[0], srv.audited()[1]
	for _, tt := range []struct{ name, got, want string }{
		{"URI", known.URI, "/auditlogs/v1/<uri>/logs"},
		{"query", known.Query, "object=%3Cobject%3E&q=one+%3Cq%3E&request_id=http%3A%2F%2Fu%3A%3Crequest_id%3E%40h%2F&uri=%2Fx%3Ftoken%3D%3Curi%3E&user=%3Cuser%3E&user=a&limit=7"},
		{"request id", known.RequestID, "token=<request_id>"},
		{"user agent", known.UserAgent, agent[:508] + "<use"},
		{"project", known.Project, "<project>"},
		{"URI", refused.URI, "/auditlogs/v1/<uri>/logs"},
		{"request id", refused.RequestID, "<request_id>"},
		{"user agent", refused.UserAgent, "http://u:<user_agent>@h/"},
		{"claimed project", refused.ClaimedProject, "<project>"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s is %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestRecordsOfRequestsAreBounded(t *testing.T) {
	srv := serve(t, opened(t), nil)
	long := strings.Repeat("ä", 3000)
	srv.do("GET", "/v1/"+strings.Repeat("p", 5000)+"/logs", token(t, nil), "User-Agent", long, "X-Request-Id", long, "Host", "x")
	srv.do("GET", "/v1/-/logs?uri=/"+strings.Repeat("%26", 1000), token(t, nil))
	waitFor(t, func() bool { return len(srv.audited()) == 2 })
	for _, r := range srv.audited() {
		if text := must(r.MarshalJSON()); len(text) > 8<<10 {
			t.Errorf("record has %d bytes", len(text))
		}
	}
}

func TestRecordSaysThatTheClientLeft(t *testing.T) {
	m := &memory{}
	m.put(calls(100, large)...)
	srv := serve(t, m, nil)
	r, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/v1/p1/logs", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", token(t, nil))
	client := &http.Client{Transport: &http.Transport{}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, res.Body, auditapi.PageBuffer/2); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close() // in the middle
	waitFor(t, func() bool { return len(srv.audited()) == 1 })
	if got := srv.audited()[0]; got.Outcome != record.OutcomeAborted || got.Success != record.SuccessUnknown {
		t.Errorf("record says %s, %s", got.Outcome, got.Success)
	}
}
