package e2e_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
)

// exchange is a call and its answer, as the two ends make them.
type exchange struct {
	method, target string
	header         http.Header
	body           []byte
	status         int
	answerHeader   http.Header
	answer         []byte

	decoded []byte // the answer without its Content-Encoding, where it has one
}

const kept = 64 << 10 // of each body, by default

func exchanges() map[string]exchange {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(`{"zipped": true}`))
	_ = z.Close()
	binary := make([]byte, 1000)
	for i := range binary {
		binary[i] = byte(i)
	}
	text := func(n int) []byte { return bytes.Repeat([]byte("0123456789abcde\n"), n/16) }
	content := func(kind string) http.Header { return http.Header{"Content-Type": {kind}} }

	return map[string]exchange{
		"json": {
			method: "POST", target: "/v2.1/servers?dry=0&n=%2F", header: content("application/json"),
			body: []byte(`{"server": {"name": "größe", "n": 1.50}}`), status: 202, answerHeader: content("application/json"), answer: []byte(`{"server":{"id":"42"}}` + "\n"),
		},
		"get": {
			method: "GET", target: "/v2.1/servers/a%2Fb/%C3%A9?limit=2", status: 200, answerHeader: content("application/json"), answer: []byte(`[]`),
			header: http.Header{"X-Twice": {"one", "two"}, "Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
		},
		"image": {
			method: "PUT", target: "/images/1/file", header: content("image/png"), body: binary, status: 201, answerHeader: content("image/png"), answer: binary,
		},
		"text":     {method: "PATCH", target: "/notes/1", header: content("text/plain; charset=utf-8"), body: []byte("größer"), status: 200, answerHeader: content("text/plain"), answer: []byte("ok")},
		"form":     {method: "POST", target: "/form", header: content("application/x-www-form-urlencoded"), body: []byte("a=1&b=x+y%21"), status: 303, answerHeader: http.Header{"Location": {"/elsewhere"}}},
		"nothing":  {method: "DELETE", target: "/v2.1/servers/42", status: 204},
		"head":     {method: "HEAD", target: "/v2.1/servers", status: 200, answerHeader: http.Header{"Content-Length": {"1234"}}},
		"options":  {method: "OPTIONS", target: "/v2.1/servers", status: 200, answerHeader: http.Header{"Allow": {"GET, POST"}}},
		"own verb": {method: "PURGE", target: "/cache", status: 200},
		"missing":  {method: "GET", target: "/nowhere", status: 404, answerHeader: content("text/plain"), answer: []byte("no such thing")},
		"broken":   {method: "GET", target: "/broken", status: 500, answerHeader: content("text/plain"), answer: []byte("sorry")},
		"at cap":   {method: "POST", target: "/upload", header: content("text/plain"), body: text(kept), status: 200, answerHeader: content("text/plain"), answer: text(kept)},
		"over cap": {method: "POST", target: "/upload", header: content("text/plain"), body: text(kept + 16), status: 200, answerHeader: content("text/plain"), answer: text(3 * kept)},
		"gzip": {
			method: "GET", target: "/zipped", header: http.Header{"Accept-Encoding": {"gzip"}}, status: 200,
			answerHeader: http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}},
			answer:       zipped.Bytes(), decoded: []byte(`{"zipped": true}`),
		},
	}
}

func TestEveryCallComesBack(t *testing.T) {
	all := exchanges()
	var mu sync.Mutex
	arrived := make(map[string]*http.Request)
	bodies := make(map[string][]byte)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Header.Get("X-Request-Id")
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("%s: the component could not read the request: %v", name, err)
		}
		mu.Lock()
		arrived[name], bodies[name] = r, body
		mu.Unlock()
		for field, values := range all[name].answerHeader {
			w.Header()[field] = values
		}
		w.Header().Set("X-Seen-Id", r.Header.Get("X-Audit-Id"))
		w.WriteHeader(all[name].status)
		_, _ = w.Write(all[name].answer) // a HEAD has none
	}))
	defer upstream.Close()
	g := startGateway(t, upstream.Listener.Addr().String())

	var names, ids []string
	for name, x := range all {
		id := g.exchange(name, x)
		names, ids = append(names, name), append(ids, id)
		mu.Lock()
		r, body := arrived[name], bodies[name]
		mu.Unlock()
		if r == nil || r.Method != x.method || r.RequestURI != x.target || !bytes.Equal(body, x.body) {
			t.Errorf("%s: what came to the component is not what was sent", name)
		}
	}

	wait(t, "all calls are records", func() bool { return len(g.page(nil).Logs) == len(all) })
	p := g.page(nil)
	if p.Marker != "" || !p.Complete || len(p.Gaps) != 0 {
		t.Errorf("marker %q, complete %v, %d gaps: want no marker, complete, none", p.Marker, p.Complete, len(p.Gaps))
	}
	slices.Reverse(ids)
	listed := make([]string, 0, len(ids))
	for _, r := range p.Logs {
		listed = append(listed, r.EventID.String())
	}
	if diff := cmp.Diff(ids, listed); diff != "" {
		t.Errorf("the listing is not newest first (-want +got):\n%s", diff)
	}
	for i, r := range p.Logs {
		name := names[len(names)-1-i]
		t.Run(name, func(t *testing.T) { g.in(t).check(name, all[name], r) })
	}
}

// exchange makes the call, checks the answer, and returns the id of its record.
func (g *gateway) exchange(name string, x exchange) string {
	g.t.Helper()
	req, err := http.NewRequest(x.method, g.traffic+x.target, bytes.NewReader(x.body))
	if err != nil {
		g.t.Fatal(err)
	}
	for field, values := range x.header {
		req.Header[field] = values
	}
	req.Header.Set("X-Request-Id", name)
	req.Header.Set("User-Agent", "HashiCorp Terraform/1.9 gophercloud/2.0.0") // VK-33
	res, err := g.client.Do(req)
	if err != nil {
		g.t.Fatalf("%s: %v", name, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != x.status || !bytes.Equal(answer, x.answer) {
		g.t.Errorf("%s: the client got %d and %d bytes, %v; want %d and %d bytes", name, res.StatusCode, len(answer), err, x.status, len(x.answer))
	}
	return res.Header.Get("X-Seen-Id")
}

// check compares a record with the exchange that it is of.
func (g *gateway) check(name string, x exchange, got *record.Record) {
	t := g.t
	target, _ := url.Parse(x.target)
	want := &record.Record{
		EventID: got.EventID, Timestamp: got.EventID.Time(), Source: "nova", Action: "unknown",
		Success: record.SuccessYes, Method: x.method, URI: target.EscapedPath(), Query: target.RawQuery,
		Host: strings.TrimPrefix(g.traffic, "http://"), Protocol: "HTTP/1.1", Status: x.status, Outcome: record.OutcomeComplete,
		UserIP: "127.0.0.1", PeerIP: "127.0.0.1", UserAgent: "HashiCorp Terraform/1.9 gophercloud/2.0.0", RequestID: name,
	}
	if x.status >= 400 {
		want.Success = record.SuccessNo
	}
	if x.header.Get("Traceparent") != "" {
		want.TraceID = "0af7651916cd43dd8448eb211c80319c"
	}
	plain := *got
	if len(plain.Policy) != 16 {
		t.Errorf("policy %q", plain.Policy)
	}
	if plain.Sequence == 0 || plain.Node == "" || plain.Boot == "" || plain.EndTime.Before(plain.Timestamp) {
		t.Errorf("sequence %d, node %q, boot %q, end %v after %v: want all of them", plain.Sequence, plain.Node, plain.Boot, plain.EndTime, plain.Timestamp)
	}
	plain.Sequence, plain.Node, plain.Boot, plain.Policy, plain.EndTime = 0, "", "", "", want.EndTime
	plain.RequestHeaders, plain.ResponseHeaders = nil, nil
	plain.RequestBody, plain.ResponseBody = record.Body{}, record.Body{}
	if diff := cmp.Diff(want, &plain); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}

	for field, values := range x.header {
		if diff := cmp.Diff(values, fieldsOf(got.RequestHeaders, field)); diff != "" {
			t.Errorf("request header %s (-want +got):\n%s", field, diff)
		}
	}
	for field, values := range x.answerHeader {
		if diff := cmp.Diff(values, fieldsOf(got.ResponseHeaders, field)); diff != "" {
			t.Errorf("response header %s (-want +got):\n%s", field, diff)
		}
	}
	g.checkBody(got, "request_body", &got.RequestBody, x.body, nil)
	g.checkBody(got, "response_body", &got.ResponseBody, x.answer, x.decoded)
}

// checkBody compares a body of a record, and its download, with what passed.
func (g *gateway) checkBody(r *record.Record, which string, got *record.Body, wire, decoded []byte) {
	t := g.t
	t.Helper()
	if len(wire) == 0 {
		if got.Text() != "" || got.Size != 0 || got.State != record.BodyNone {
			t.Errorf("%s is %q, %+v: want none", which, got.Text(), got.BodyInfo)
		}
		return
	}
	digest := sha256.Sum256(wire)
	want := record.BodyInfo{
		Size: int64(len(wire)), Kept: int64(min(len(wire), kept)), SHA256: hex.EncodeToString(digest[:]),
		ContentType: got.ContentType, Encoding: got.Encoding, State: record.BodyComplete,
	}
	content := wire[:want.Kept]
	text := string(content)
	switch {
	case strings.HasPrefix(got.ContentType, "image/"):
		want.State, text = record.BodyBinary, record.BinaryData // VK-29
	case decoded != nil:
		content, text = decoded, string(decoded)
	case len(wire) > kept:
		want.State, want.Reason = record.BodyTruncated, record.ReasonCap
		// What was cut off might be guessed from a digest that has no key.
		want.SHA256, want.HMACSHA256 = "", got.HMACSHA256
		if len(got.HMACSHA256) != 2*sha256.Size {
			t.Errorf("%s_info: the keyed digest is %q", which, got.HMACSHA256)
		}
	}
	if diff := cmp.Diff(want, got.BodyInfo); diff != "" {
		t.Errorf("%s_info (-want +got):\n%s", which, diff)
	}
	if string(got.Content) != text {
		t.Errorf("%s is not the one that passed: %.100q, want %.100q", which, got.Content, text)
	}
	if download := g.get("/v1/-/logs/" + r.EventID.String() + "/" + which); !bytes.Equal(download, content) {
		t.Errorf("the download of %s has %d bytes that are not the %d that passed", which, len(download), len(content))
	}
}

func fieldsOf(h record.Headers, name string) (values []string) {
	for _, f := range h {
		if f.Name == name {
			values = append(values, f.Value)
		}
	}
	return values
}

func TestSecretsAreNotKept(t *testing.T) {
	const canary = "canary-6c1f0e"
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "session="+canary)
		w.Header().Set("X-Subject-Token", canary)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"token": {"access_token": %q}}`, canary)
	}))
	defer upstream.Close()
	g := startGateway(t, upstream.Listener.Addr().String())

	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"4711","name":"Ada","email":"ada@example.com"}`))
	jwt := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + claims + "." + canary
	for i, x := range []exchange{
		{header: http.Header{"Content-Type": {"application/json"}}, body: []byte(`{"user": {"password": "` + canary + `"}, "n": [{"client_secret": "` + canary + `"}]}`)},
		{header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body: []byte("password=" + canary + "&a=1")},
		{header: http.Header{"Content-Type": {"application/json"}}, body: []byte(`{"password": "` + canary)}, // broken
	} {
		req, err := http.NewRequest(http.MethodPost, g.traffic+"/login?token="+canary, bytes.NewReader(x.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = x.header
		req.Header.Set("Authorization", "Bearer "+jwt)
		req.Header.Set("X-Auth-Token", canary)
		req.Header.Set("Cookie", "session="+canary)
		name := fmt.Sprintf("login-%d", i)
		req.Header.Set("X-Request-Id", name)
		res, err := g.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		r := g.recordOf(name)
		if r.UserID != "4711" || r.UserName != "Ada" || r.UserEmail != "ada@example.com" || r.AuthMethod != "jwt" || r.AuthVerified {
			t.Errorf("%s: the actor is %+v, want what the token says, unverified", name, r.Actor)
		}
		if len(r.Redacted) == 0 {
			t.Errorf("%s: nothing says what was redacted", name)
		}
	}
	if bytes.Contains(g.get("/v1/-/logs"), []byte(canary)) {
		t.Error("the API answers a secret")
	}
	g.stop()
	err := filepath.WalkDir(g.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(canary)) {
			t.Errorf("%s has a secret", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
