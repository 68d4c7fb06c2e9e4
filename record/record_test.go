package record_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
)

// full is a record with every field set.
func full() *record.Record {
	id, _ := record.ParseID("019aa5d5-0180-7abc-8123-456789abcdef")
	return &record.Record{
		EventID: id, Timestamp: id.Time(), EndTime: id.Time().Add(12345 * time.Microsecond),
		Source: "nova", Project: "p1", ClaimedProject: "p2", Action: "server.create", ActionAliases: []string{"create-vm", "boot"}, Description: "Create server a",
		Success: record.SuccessYes, Method: "POST", URI: "/v2.1/servers", Query: "x=1", UpstreamURI: "/servers?x=1",
		Host: "nova.example", Protocol: "HTTP/2.0", Status: 202, StatusSource: "error", Outcome: record.OutcomeComplete,
		Actor: record.Actor{
			UserID: "u1", UserName: "Zoë", UserEmail: "zoe@example.org", UserRoles: []string{"member", "reader"},
			AuthMethod: "mtls", AuthVerified: true, TokenID: "7f00",
		},
		UserIP: "192.0.2.1", PeerIP: "127.0.0.1", UserAgent: "curl/8", RequestID: "req-1", TraceID: "4bf92f3577b34da6a3ce929d0e0e4736",
		Object: &record.Object{Type: "server", ID: "s1", Name: "a"},
		JobID:  "j1", Trigger: "api",
		RequestHeaders:  record.Headers{{Name: "Accept", Value: "a"}, {Name: "Accept", Value: "b"}, {Name: "Empty"}},
		ResponseHeaders: record.Headers{{Name: "Server", Value: "x"}},
		RequestTrailers: record.Headers{{Name: "Checksum", Value: "1"}}, ResponseTrailers: record.Headers{{Name: "Grpc-Status", Value: "0"}},
		Policy: "4be2",
		RequestBody: record.Body{Content: []byte(`{"a": "<b>"}`), BodyInfo: record.BodyInfo{
			Size: 12, Kept: 12, HMACSHA256: "00", Partial: true, ContentType: "application/json", Encoding: "gzip",
			State: record.BodyTruncated, Reason: record.ReasonCap,
		}},
		ResponseBody: record.Body{Content: []byte{0xff, 0}, BodyInfo: record.BodyInfo{Size: 2, Kept: 2, SHA256: "ff", State: record.BodyBinary}},
		Redacted:     []string{"query:token", "request_body:/a/b"},
		Gap:          &record.Gap{Count: 7, CountUnknown: true, Reason: "killed"},
	}
}

// A field that is added to Record and forgotten in the stored form fails here,
// since full must then be extended: see TestFullRecordLeavesNothingOut.
func TestStoredFormHoldsEverything(t *testing.T) {
	want := full()
	var got record.Record
	if err := got.SetMeta(want.EventID, want.AppendMeta(nil)); err != nil {
		t.Fatal(err)
	}
	got.RequestBody.Content, got.ResponseBody.Content = want.RequestBody.Content, want.ResponseBody.Content
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Error(diff)
	}
}

func TestFullRecordLeavesNothingOut(t *testing.T) {
	r := full()
	r.Sequence, r.Node, r.Boot = 1, "n", "b"
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	// Every field of the JSON that Record can write.
	for _, name := range []string{
		"event_id", "sequence", "node", "boot", "timestamp", "end_time", "duration_ms", "source", "project", "claimed_project",
		"action", "description", "success", "method", "uri", "query", "upstream_uri", "host", "protocol", "status",
		"status_source", "outcome", "user_id", "user_name", "user_email", "user_roles", "auth_method", "auth_verified",
		"user_ip", "peer_ip", "user_agent", "request_id", "trace_id", "object", "request_headers", "response_headers",
		"request_body", "response_body", "request_body_info", "response_body_info", "redacted", "gap", "policy", "request_trailers", "response_trailers",
		"action_aliases", "token_id", "job_id", "trigger",
	} {
		if _, ok := fields[name]; !ok {
			t.Errorf("%s is missing", name)
		}
		delete(fields, name)
	}
	for name := range fields {
		t.Errorf("%s is not expected: is it in full, and in the stored form?", name)
	}
}

func TestJSONReadsBack(t *testing.T) {
	want := full()
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got record.Record
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	want.ResponseBody.Content = []byte(record.BinaryData)
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Error(diff)
	}
}

// VK-14 … VK-32: what users of cloud action logs parse.
func TestEmptyRecordHasEmptyBodiesAndNoOtherEmptyFields(t *testing.T) {
	id, _ := record.ParseID("019aa5d5-0180-7000-8123-456789abcdef")
	raw, err := json.Marshal(&record.Record{EventID: id, Timestamp: id.Time(), Source: "nova", Outcome: record.OutcomeUnfinished})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"event_id":"019aa5d5-0180-7000-8123-456789abcdef","timestamp":%q,"source":"nova",`+
		`"outcome":"unfinished","request_body":"","response_body":""}`, id.Time().Format(time.RFC3339Nano))
	if string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
}

func TestActorWhomNobodyCheckedIsMarked(t *testing.T) {
	for _, verified := range []bool{true, false} {
		r := &record.Record{Actor: record.Actor{UserID: "u", AuthMethod: "jwt", AuthVerified: verified}}
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`"auth_verified":%v`, verified); !bytes.Contains(raw, []byte(want)) {
			t.Errorf("want %s in %s", want, raw)
		}
	}
}

// VK-28, VK-29.
func TestBodiesAreTextOrSayThatTheyAreNot(t *testing.T) {
	for content, want := range map[string]string{
		"":           "",
		`{"a": "b"}`: `{"a": "b"}`,
		"caf\u00e9":  "caf\u00e9",
		"\xff\xfe":   record.BinaryData,
	} {
		if got := (&record.Body{Content: []byte(content)}).Text(); got != want {
			t.Errorf("text of %q is %q, want %q", content, got, want)
		}
	}
}

func TestIDsRiseAndCarryTheirTime(t *testing.T) {
	var last record.ID
	for range 10_000 {
		before := time.Now().Truncate(time.Microsecond)
		id := record.NewID()
		if id.Compare(last) <= 0 {
			t.Fatalf("%s does not come after %s", id, last)
		}
		// A microsecond for what is rounded, and the steps that ids of one
		// moment take.
		if id.Time().Before(before.Add(-time.Microsecond)) {
			t.Fatalf("%s says %s, it was made after %s", id, id.Time(), before)
		}
		last = id
	}
}

func TestFirstIDIsTheBoundOfItsMicrosecond(t *testing.T) {
	start := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	for micro := range 5000 {
		at := start.Add(time.Duration(micro) * time.Microsecond)
		first := record.FirstID(at)
		if !first.Time().Equal(at) {
			t.Fatalf("the first id of %s says %s", at, first.Time())
		}
		previous := record.FirstID(at.Add(-time.Microsecond))
		if previous.Compare(first) >= 0 {
			t.Fatalf("the first ids of %s and the microsecond before are out of order", at)
		}
		if id := record.IDAt(at); !id.Time().Equal(at) || id.Compare(first) < 0 {
			t.Fatalf("an id of %s says %s", at, id.Time())
		}
	}
}

func TestParseIDRefusesWhatIsNoUUIDv7(t *testing.T) {
	for _, s := range []string{
		"", "x", "019aa5d501807abc8123456789abcdef", "{019aa5d5-0180-7abc-8123-456789abcdef}",
		"019aa5d5-0180-4abc-8123-456789abcdef", "019aa5d5-0180-7abc-0123-456789abcdef", "019aa5d5-0180-7abc-8123-456789abcdeg",
	} {
		if id, err := record.ParseID(s); err == nil {
			t.Errorf("%q is read as %s", s, id)
		}
	}
}

func TestPatternIsAPrefixWithRuns(t *testing.T) {
	for _, tc := range []struct {
		pattern, path string
		want          bool
	}{
		{"", "/anything", true},
		{"/v2", "/v2.1/servers", true},
		{"/v2/", "/v2.1/servers", false},
		{"/v2*/servers", "/v2.1/servers/1", true},
		{"/v2*/servers/*/action", "/v2.1/servers/1/action", true},
		{"/v2*/servers/*/action", "/v2.1/servers/1/actio", false},
		{"*action", "/v2.1/servers/1/action", true},
		{"/a*", "/b/a", false},
		{"*", "", true},
		{"/a**b", "/a/x/b", true},
	} {
		if got := record.ParsePattern(tc.pattern).Match(tc.path); got != tc.want {
			t.Errorf("%q matches %q: %v, want %v", tc.pattern, tc.path, got, tc.want)
		}
	}
}

func TestScopeHidesWhatIsNotListed(t *testing.T) {
	with := func(project, source string) *record.Record { return &record.Record{Project: project, Source: source} }
	for name, tc := range map[string]struct {
		scope record.Scope
		sees  []*record.Record
		not   []*record.Record
	}{
		"nothing":     {record.Scope{}, nil, []*record.Record{with("", "nova"), with("p", "nova")}},
		"all":         {record.Scope{AllProjects: true, AllSources: true}, []*record.Record{with("", "nova"), with("p", "iam")}, nil},
		"one project": {record.Scope{Projects: []string{"p"}, AllSources: true}, []*record.Record{with("p", "nova")}, []*record.Record{with("", "nova"), with("q", "nova")}},
		"an empty project is no project": {
			record.Scope{Projects: []string{""}, AllSources: true}, nil, []*record.Record{with("", "nova")},
		},
		"restricted": {
			record.Scope{AllProjects: true, AllSources: true, Except: []string{"iam"}},
			[]*record.Record{with("p", "nova")},
			[]*record.Record{with("p", "iam")},
		},
		"one source": {record.Scope{AllProjects: true, Sources: []string{"nova"}}, []*record.Record{with("p", "nova")}, []*record.Record{with("p", "iam")}},
	} {
		for _, r := range tc.sees {
			if !tc.scope.Includes(r) {
				t.Errorf("%s: %s of project %q is hidden", name, r.Source, r.Project)
			}
		}
		for _, r := range tc.not {
			if tc.scope.Includes(r) {
				t.Errorf("%s: %s of project %q is seen", name, r.Source, r.Project)
			}
		}
	}
}

func FuzzSetMeta(f *testing.F) {
	f.Add(full().AppendMeta(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, meta []byte) {
		var r record.Record
		id := record.FirstID(time.Unix(1_800_000_000, 0))
		if r.SetMeta(id, meta) != nil {
			return
		}
		var again record.Record
		first := r.AppendMeta(nil)
		if err := again.SetMeta(id, first); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, again.AppendMeta(nil)) {
			t.Error("what was read is written in another form the second time")
		}
	})
}
