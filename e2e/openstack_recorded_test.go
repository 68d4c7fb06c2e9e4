package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/auditgate/auditgate/record"
)

// recorded is an exchange with a service: see testdata/openstack.
type recorded struct {
	Source          string
	Method, Path    string
	RequestHeaders  [][2]string `json:"request_headers"`
	RequestBody     []byte      `json:"request_body"`
	Status          int
	ResponseHeaders [][2]string `json:"response_headers"`
	ResponseBody    []byte      `json:"response_body"`
}

// expected is what a log should say of a call.
type expected struct {
	Step, Method, URI string
	Status            int
	UserName          string `json:"user_name"`
	RequestID         string `json:"request_id"`
	Key               bool
}

const recordings = "testdata/openstack/keystone-glance"

func lines[T any](t *testing.T, text []byte) (all []T) {
	t.Helper()
	for line := range bytes.Lines(text) {
		var one T
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

// recordedCalls returns the recording. Its tokens end in another century.
func recordedCalls(t *testing.T) (all []recorded) {
	t.Helper()
	f, err := os.Open(recordings + ".jsonl.zst")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	text, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	all = lines[recorded](t, text)
	for i := range all {
		all[i].ResponseBody = bytes.ReplaceAll(all[i].ResponseBody, []byte(`"expires_at": "20`), []byte(`"expires_at": "29`))
	}
	return all
}

// replay is a component that answers what was recorded of the call that is made.
type replay struct {
	*httptest.Server
	now atomic.Pointer[recorded]
}

func newReplay(t *testing.T) *replay {
	p := new(replay)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := p.now.Load()
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != c.Method || r.RequestURI != c.Path || !bytes.Equal(body, c.RequestBody) {
			t.Errorf("the component got %s %s with %d bytes, %v; the client sent %s %s with %d", r.Method, r.RequestURI, len(body), err, c.Method, c.Path, len(c.RequestBody))
		}
		for _, h := range c.ResponseHeaders {
			if !strings.EqualFold(h[0], "Content-Length") && !strings.EqualFold(h[0], "Transfer-Encoding") && !strings.EqualFold(h[0], "Connection") {
				w.Header()[h[0]] = append(w.Header()[h[0]], h[1])
			}
		}
		w.WriteHeader(c.Status)
		_, _ = w.Write(c.ResponseBody)
	}))
	t.Cleanup(p.Close)
	return p
}

// openStackSites is the configuration in docs/openstack.md, but for its global options
// and the log's site, with other addresses.
func (g *gateway) openStackSites(t *testing.T, replace ...string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/openstack.md")
	if err != nil {
		t.Fatal(err)
	}
	_, config, _ := strings.Cut(string(page), "```caddyfile\n")
	config, _, found := strings.Cut(config, "\n```")
	_, sites, _ := strings.Cut(config, "\n}\n")
	sites, _, log := strings.Cut(sites, "# The log")
	if !found || !log {
		t.Fatal("docs/openstack.md has no configuration as it was")
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(sites, replace[i]) {
			t.Fatalf("docs/openstack.md has no %s", replace[i])
		}
	}
	return strings.NewReplacer(replace...).Replace(sites)
}

// The configuration of docs/openstack.md, before services that answer what real ones
// did: each call has its user, action and object, and no secret is kept.
func TestRecordedOpenStackIsInTheLog(t *testing.T) {
	calls := recordedCalls(t)
	p, g := newReplay(t), newGateway(t)
	images := "http://" + freeAddress(t)
	upstream := p.Listener.Addr().String()
	g.write(g.openStackSites(t, "http://:5000", g.traffic, "http://:9292", images, "127.0.0.1:15000", upstream, "127.0.0.1:19292", upstream))
	g.start()
	for i := range calls {
		p.now.Store(&calls[i])
		g.again(map[string]string{"keystone": g.traffic, "glance": images}[calls[i].Source], &calls[i])
	}
	g.bearer = g.token("auditor", "iam", "glance")
	var logs []*record.Record
	wait(t, "all calls are records", func() bool {
		logs = g.all()
		return len(logs) >= len(calls)
	})
	if len(logs) != len(calls) {
		t.Errorf("%d calls are %d records", len(calls), len(logs))
	}
	slices.Reverse(logs) // oldest first, as they were made
	for i, r := range logs {
		if c := &calls[i]; r.Method != c.Method || r.Status != c.Status || withQuery(r) != c.Path {
			t.Errorf("call %d is %s %s %d, its record %s %s %d", i, c.Method, c.Path, c.Status, r.Method, withQuery(r), r.Status)
		}
		if user := loggedIn(&calls[i]); user != "" && r.UserName != user {
			t.Errorf("the login of %s is by %q", user, r.UserName)
		}
		if r.Action == "unknown" {
			t.Errorf("%s %s is unknown", r.Method, r.URI)
		}
	}
	compareRecorded(t, logs)
	nothingSecret(t, g, calls)
}

// loggedIn is who has got a token by a call.
func loggedIn(c *recorded) string {
	var answer struct {
		Token struct{ User struct{ Name string } }
	}
	if c.Method == http.MethodPost && c.Path == "/v3/auth/tokens" && c.Status == http.StatusCreated {
		_ = json.Unmarshal(c.ResponseBody, &answer) // where it fails nobody is found
	}
	return answer.Token.User.Name
}

// again makes a call as it was recorded.
func (g *gateway) again(site string, c *recorded) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), c.Method, site+c.Path, bytes.NewReader(c.RequestBody))
	if err != nil {
		g.t.Fatal(err)
	}
	for _, h := range c.RequestHeaders {
		switch strings.ToLower(h[0]) {
		case "host":
			req.Host = h[1]
		case "transfer-encoding":
			req.ContentLength = -1
			req.Body = io.NopCloser(req.Body)
		case "content-length", "connection":
		default:
			req.Header[h[0]] = append(req.Header[h[0]], h[1])
		}
	}
	res, err := g.client.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != c.Status || !bytes.Equal(body, c.ResponseBody) {
		g.t.Errorf("%s %s: the client got %d and %d bytes, %v; want %d and %d", c.Method, c.Path, res.StatusCode, len(body), err, c.Status, len(c.ResponseBody))
	}
}

func withQuery(r *record.Record) string {
	if r.Query != "" {
		return r.URI + "?" + r.Query
	}
	return r.URI
}

// thing is in a path that names one: 32 hexadecimal digits, or a UUID.
var thing = regexp.MustCompile(`/[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}(/|$)`)

// compareRecorded compares records, oldest first, with what the client says it did.
func compareRecorded(t *testing.T, logs []*record.Record) {
	t.Helper()
	text, err := os.ReadFile(recordings + ".expected.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	left := slices.Clone(logs)
	all := lines[expected](t, text)
	for _, e := range all {
		find := func(more func(*record.Record) bool) int {
			return slices.IndexFunc(left, func(r *record.Record) bool {
				return r.Method == e.Method && withQuery(r) == e.URI && r.Status == e.Status && more(r)
			})
		}
		at := find(func(r *record.Record) bool { return r.RequestID == e.RequestID })
		if e.RequestID == "" { // services log in too, in between
			at = find(func(r *record.Record) bool { return r.UserName == e.UserName })
		}
		if at < 0 {
			t.Errorf("%s: there is no record of %s %s %d %s", e.Step, e.Method, e.URI, e.Status, e.RequestID)
			continue
		}
		r := left[at]
		left = slices.Delete(left, at, at+1)
		if r.UserName != e.UserName || r.UserName != "" && (!r.AuthVerified || r.TokenID == "" || r.Project == "") {
			t.Errorf("%s: %s %s is by %q (%+v, project %q), want %q", e.Step, e.Method, e.URI, r.UserName, r.Actor, r.Project, e.UserName)
		}
		if e.Key && e.Status < 400 && thing.MatchString(r.URI) && (r.Object == nil || r.Object.ID == "") {
			t.Errorf("%s: %s %s has no object", e.Step, e.Method, e.URI)
		}
	}
	if len(all) < 100 {
		t.Errorf("only %d calls are expected", len(all))
	}
	for _, r := range left { // what the client does not log, and calls between services
		if r.RequestHeaders.Get("X-Auth-Token") != "" && r.UserName == "" {
			t.Errorf("%s %s had a token, and is nobody's", r.Method, withQuery(r))
		}
	}
}

// nothingSecret searches all that the gateway shows and keeps for the secrets of the
// recorded calls, and their tokens.
func nothingSecret(t *testing.T, g *gateway, calls []recorded) {
	t.Helper()
	text, err := os.ReadFile(recordings + ".secrets.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, secret := range strings.Fields(string(text)) {
		known[secret] = true
	}
	token := regexp.MustCompile(`gAAAAA[\w-]{20,}`)
	for i := range calls {
		for _, headers := range [][][2]string{calls[i].RequestHeaders, calls[i].ResponseHeaders} {
			for _, h := range headers {
				for _, found := range token.FindAllString(h[1], -1) {
					known[found] = true
				}
			}
		}
	}
	open := &plant{position: "an e-mail address", open: true, text: "temp@example.org", tells: []string{"temp@example.org"}, least: 16}
	plants := []*plant{open}
	for secret := range known {
		plants = append(plants, &plant{position: secret, text: secret, tells: []string{secret}, least: min(len(secret), 20)})
	}
	s := newSearch(plants)
	g.bearer = g.token("admin", "iam", "glance", "auditgate") // who also sees what the gateway says of itself
	for _, query := range []url.Values{{"limit": {"1000"}}, {"limit": {"1000"}, "source": {"auditgate"}}} {
		answer := g.get("/v1/-/logs?" + query.Encode())
		s.in("the log", answer)
		if bytes.Contains(answer, []byte("gAAAAA")) {
			t.Error("the log has the beginning of a token")
		}
	}
	g.stop()
	s.files(t, "stopped", g.dir)
	for p, places := range s.found {
		if !p.open {
			t.Errorf("%s is in %v", p.text, places)
		}
	}
	if len(known) < 40 || s.found[open] == nil || len(s.found[open]) < 2 {
		t.Errorf("the search proves nothing: %d secrets, found is %v", len(known), s.found[open])
	}
}
