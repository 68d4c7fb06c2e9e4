package auditapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/auditapi"
)

// hashing is an API with two redaction keys; it notes the values that it was
// asked for.
func hashing(t *testing.T, complete bool) (*server, func() []string) {
	var mu sync.Mutex // guards asked
	var asked []string
	srv := serve(t, opened(t), func(c *auditapi.Config) {
		c.Hashes = func(value []byte) ([]auditapi.Hash, bool) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, string(value))
			rotated := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
			return []auditapi.Hash{
				{Key: "0b", Current: true, Since: rotated, Value: "hmac:new"},
				{Key: "0a", Until: rotated, Value: "hmac:old"},
			}, complete
		}
	})
	return srv, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return asked
	}
}

// post sends a body and returns the answer.
func (s *server) post(path, token, body string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPost, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", token)
	res, err := s.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, string(answer)
}

func TestHashesOfAValueAreToldUnderEveryKey(t *testing.T) {
	admin := token(t, map[string]any{"roles": "admin"})
	for _, complete := range []bool{true, false} {
		srv, asked := hashing(t, complete)
		res, body := srv.post("/v1/hashes", admin, `{"secret": "pässw\u006frd \ud83d\ude00"}`)
		want := fmt.Sprintf(`{"hashes":[{"key":"0b","current":true,"since":"2026-11-22T10:00:00Z","value":"hmac:new"},`+
			`{"key":"0a","current":false,"until":"2026-11-22T10:00:00Z","value":"hmac:old"}],"complete":%v}`+"\n", complete)
		if res.StatusCode != 200 || body != want {
			t.Errorf("%s\n%s\nwant\n%s", res.Status, body, want)
		}
		if diff := cmp.Diff([]string{"pässword 😀"}, asked()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestHashesAreForAdminsAlone(t *testing.T) {
	srv, asked := hashing(t, true)
	for name, roles := range map[string]any{"auditor": "auditor", "ingest": "ingest", "nobody": nil} {
		res, body := srv.post("/v1/hashes", token(t, map[string]any{"roles": roles}), `{"secret":"x"}`)
		if res.StatusCode != 403 || !strings.Contains(body, "2026:forbidden") {
			t.Errorf("%s: %s\n%s", name, res.Status, body)
		}
	}
	// A hash is the same in every project's records.
	for name, projects := range map[string]any{"one project": []string{"p1"}, "none": nil} {
		res, body := srv.post("/v1/hashes", token(t, map[string]any{"roles": "admin", "projects": projects}), `{"secret":"x"}`)
		if res.StatusCode != 403 || !strings.Contains(body, "every project") {
			t.Errorf("an admin of %s: %s\n%s", name, res.Status, body)
		}
	}
	if res, body := srv.post("/v1/hashes", "", `{"secret":"x"}`); res.StatusCode != 401 {
		t.Errorf("no token: %s\n%s", res.Status, body)
	}
	if len(asked()) != 0 {
		t.Errorf("asked for %q", asked())
	}
	srv.refuse(405, "method-not-allowed", "GET", "/v1/hashes", token(t, map[string]any{"roles": "admin"}))
	without := serve(t, opened(t), nil)
	if res, _ := without.post("/v1/hashes", token(t, map[string]any{"roles": "admin"}), `{"secret":"x"}`); res.StatusCode != 404 {
		t.Errorf("an API that knows no hashes: %s", res.Status)
	}
}

func TestValueOfAHashGoesNowhere(t *testing.T) {
	const canary = "c4nary-value"
	srv, _ := hashing(t, true)
	for i, tt := range []struct {
		path, body string
		status     int
		problem    string
	}{
		{"/v1/hashes", `{"secret":"` + canary + `"}`, 200, ""},
		{"/v1/hashes", canary, 400, "invalid-body"},
		{"/v1/hashes", ``, 400, "invalid-body"},
		{"/v1/hashes", `null`, 400, "invalid-body"},
		{"/v1/hashes", `{}`, 400, "invalid-body"},
		{"/v1/hashes", `{"secret":null}`, 400, "invalid-body"},
		{"/v1/hashes", `{"secret":""}`, 400, "invalid-body"},
		{"/v1/hashes", `{"secret":12345}`, 400, "invalid-body"},
		{"/v1/hashes", `{"` + canary + `":"x"}`, 400, "invalid-body"},
		{"/v1/hashes", `{"secret":"x","` + canary + `":1}`, 400, "invalid-body"},
		{"/v1/hashes", `{"secret":"` + canary + `"} {}`, 400, "invalid-body"},
		{"/v1/hashes", `{"secret":"` + canary + "\xff" + `"}`, 400, "invalid-body"},
		{"/v1/hashes?value=" + canary, `{"secret":"x"}`, 400, "invalid-parameter"},
		{"/v1/hashes", `{"secret":"` + strings.Repeat(canary, auditapi.MaxHashValue/len(canary)+1) + `"}`, 413, "too-large"},
		{"/v1/hashes", `{"secret":"` + strings.Repeat(canary, 100000) + `"}`, 413, "too-large"},
	} {
		// One caller each: none is refused for asking too often.
		res, body := srv.post(tt.path, token(t, map[string]any{"roles": "admin", "sub": fmt.Sprint("u", i)}), tt.body)
		if res.StatusCode != tt.status || tt.problem != "" && !strings.Contains(body, "2026:"+tt.problem) {
			t.Errorf("%.60s: %s\n%s\nwant %d, %s", tt.body, res.Status, body, tt.status, tt.problem)
		}
		if strings.Contains(body, "c4nary") || strings.Contains(body, "12345") {
			t.Errorf("%.60s: the answer has the value:\n%s", tt.body, body)
		}
	}
	srv.Close() // its records are whole when the requests have ended
	for _, r := range srv.records {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if r.Action != "hash.lookup" || r.Source != "auditgate" || r.UserID == "" || strings.Contains(string(text), "c4nary") || strings.Contains(string(text), "hmac:") {
			t.Errorf("a record is %s", text)
		}
	}
	if len(srv.records) != 15 {
		t.Errorf("%d records, want one a request", len(srv.records))
	}
}

func TestHashesAreToldNowAndThenOnly(t *testing.T) {
	srv, asked := hashing(t, true)
	for _, who := range []string{"u1", "u2"} { // u1 does not stand in the way of u2
		caller := token(t, map[string]any{"roles": "admin", "sub": who})
		told := 0
		res, body := srv.post("/v1/hashes", caller, `{"secret":"x"}`)
		for ; res.StatusCode == 200 && told < 10*auditapi.CallerHashes; told++ {
			res, body = srv.post("/v1/hashes", caller, `{"secret":"x"}`)
		}
		if after := res.Header.Get("Retry-After"); res.StatusCode != 429 || !strings.Contains(body, "2026:too-many-requests") || after == "" || after == "0" {
			t.Errorf("%s: %s, Retry-After %q\n%s", who, res.Status, after, body)
		}
		if told < auditapi.CallerHashes {
			t.Errorf("%s was told %d times, want %d", who, told, auditapi.CallerHashes)
		}
	}
	if n := len(asked()); n < 2*auditapi.CallerHashes {
		t.Errorf("told %d times", n)
	}
}

// A gateway that loads another configuration has another API.
func TestHashLimitsOutliveAnAPI(t *testing.T) {
	limits := auditapi.NewHashLimits()
	admin := token(t, map[string]any{"roles": "admin"})
	s := opened(t)
	ask := func() int {
		srv := serve(t, s, func(c *auditapi.Config) {
			c.Hashes = func([]byte) ([]auditapi.Hash, bool) { return nil, true }
			c.HashLimits = limits
		})
		res, _ := srv.post("/v1/hashes", admin, `{"secret":"x"}`)
		return res.StatusCode
	}
	for range 10 * auditapi.CallerHashes {
		if ask() == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("a caller is told every time")
}

func TestHashLimitsHoldForAllAndForget(t *testing.T) {
	l := auditapi.NewHashLimits()
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	took := 0
	for i := range 1000 {
		if l.Take([32]byte{byte(i), byte(i >> 8)}, now) == 0 {
			took++
		}
	}
	if took != auditapi.AllHashes || l.Callers() != auditapi.AllHashes {
		t.Errorf("%d were told, %d are remembered, want %d", took, l.Callers(), auditapi.AllHashes)
	}
	if wait := l.Take([32]byte{1}, now.Add(auditapi.AllHashesEvery)); wait != 0 {
		t.Errorf("one has to wait for %s", wait)
	}
	if wait := l.Take([32]byte{2}, now.Add(auditapi.AllHashesEvery)); wait != auditapi.AllHashesEvery {
		t.Errorf("the next has to wait for %s", wait)
	}
	l.Take([32]byte{1}, now.Add(time.Hour))
	if l.Callers() != 1 {
		t.Errorf("%d callers are remembered after an hour, want 1", l.Callers())
	}
}
