package auditapi_test

import (
	"encoding/json"
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
)

// VK-14 to VK-33, as far as they say how a record looks: names, "yes" (VK-27),
// bodies as text (VK-28), <BINARY_DATA> (VK-29), "" for an empty body.
func TestRecordsLookAsClientsKnowThem(t *testing.T) {
	r := call(0, func(r *record.Record) {
		r.EventID = must(record.ParseID("019aa60d-2a00-7000-8000-000000000001"))
		r.Timestamp = r.EventID.Time()
		r.EndTime = r.Timestamp.Add(12300 * time.Microsecond)
		r.Action, r.Method, r.URI, r.Query = "unknown", "DELETE", "/infra/container/v1/nodegroups/1", "x=<1>"
		r.UserAgent = "HashiCorp Terraform/1.5 gophercloud/2.0.0"
		r.RequestID = "req-1"
		r.RequestHeaders = record.Headers{{Name: "Accept", Value: "*/*"}}
		r.RequestBody = record.Body{Content: []byte("{\"a\": \"<b>\"}\n"), BodyInfo: record.BodyInfo{Size: 13, Kept: 13, State: record.BodyComplete, ContentType: "application/json"}}
		r.ResponseBody = record.Body{Content: []byte{0, 0xff}, BodyInfo: record.BodyInfo{Size: 2, Kept: 2, State: record.BodyBinary}}
	})
	plain := call(1, func(r *record.Record) {
		r.EventID = must(record.ParseID("019aa60d-2a00-7000-8000-000000000002"))
		r.EndTime = r.EventID.Time().Add(time.Millisecond)
		r.Actor = record.Actor{UserID: "u9"} // VK-31
	})
	m := &memory{}
	m.put(r, plain)
	srv := serve(t, m, nil)
	for file, path := range map[string]string{
		"listing.json": "/v1/p1/logs?pretty",
		"summary.json": "/v1/p1/logs?pretty&view=summary",
		"record.json":  "/v1/p1/logs/019aa60d-2a00-7000-8000-000000000001?pretty",
	} {
		_, got := srv.do("GET", path, token(t, nil))
		golden(t, file, got)
	}
	// The same without spaces.
	_, got := srv.do("GET", "/v1/p1/logs", token(t, nil))
	_, pretty := srv.do("GET", "/v1/p1/logs?pretty", token(t, nil))
	var a, b any
	if json.Unmarshal(got, &a) != nil || json.Unmarshal(pretty, &b) != nil || cmp.Diff(a, b) != "" {
		t.Errorf("pretty is another answer:\n%s", cmp.Diff(a, b))
	}
	if !strings.Contains(string(got), `"request_body":"{\"a\": \"<b>\"}\n"`) || strings.Count(string(got), "\n") != 1 {
		t.Errorf("answer is not as it should be:\n%s", got)
	}
}

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestHEADAnswersAsGETWithoutABody(t *testing.T) {
	srv := serve(t, opened(t, calls(3, nil)...), nil)
	for _, path := range []string{"/v1/p1/logs?limit=2", "/v1/whoami", "/healthz"} {
		get, body := srv.do("GET", path, token(t, nil))
		head, none := srv.do("HEAD", path, token(t, nil))
		if head.StatusCode != 200 || len(none) > 0 || head.ContentLength != int64(len(body)) || (head.Header.Get("Link") == "") != (get.Header.Get("Link") == "") {
			t.Errorf("HEAD %s: %v with %d bytes, Link %q; GET has %d bytes", path, head.Status, len(none), head.Header.Get("Link"), len(body))
		}
	}
}

func TestWhatIsNotServedIsAProblem(t *testing.T) {
	srv := serve(t, opened(t), nil)
	for _, path := range []string{"/", "/v1", "/v2/p1/logs", "/v1//logs", "/v1/p1/logs/../logs", "/v1/p1/logs/x/y", "//v1/p1/logs", "/v1/p1/tail", "/v1//summary", "/v1/p1/summary/x", "/v1/p1/logs//"} {
		srv.refuse(404, "not-found", "GET", path, token(t, nil))
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		for _, path := range []string{"/v1/p1/logs", "/v1/p1/summary", "/v1/p1/logs/019aa60d-2a00-7000-8000-000000000001", "/v1/whoami", "/healthz"} {
			srv.refuse(405, "method-not-allowed", method, path, token(t, nil))
			if res, _ := srv.do(method, path, ""); res.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: Allow is %q", method, path, res.Header.Get("Allow"))
			}
		}
	}
}

func TestProjectsMayHaveAnyName(t *testing.T) {
	const name = "a/b c%2Fд?"
	srv := serve(t, opened(t, calls(1, func(_ int, r *record.Record) { r.Project = name })...), nil)
	if got := srv.list("/v1/"+url.PathEscape(name)+"/logs", token(t, map[string]any{"projects": []string{name}})); len(got.Logs) != 1 {
		t.Errorf("%d records, want 1", len(got.Logs))
	}
}
