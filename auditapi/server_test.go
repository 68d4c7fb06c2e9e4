package auditapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/auditgate/auditgate/auditapi"
	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

// token returns a signed token; claims are added to good ones, and nil takes
// one away.
func token(t testing.TB, claims map[string]any) string {
	t.Helper()
	all := jwt.MapClaims{
		"sub": "u1", "name": "Ann", "email": "ann@example.com", "aud": "auditgate", "iss": "https://id.example.com",
		"exp": time.Now().Add(time.Hour).Unix(), "roles": []string{"auditor"}, "projects": "*",
	}
	for name, value := range claims {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, all).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// server is an API before a store, served over HTTP.
type server struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex // guards records
	records []record.Record
}

func serve(t *testing.T, s store.Store, change func(*auditapi.Config)) *server {
	t.Helper()
	srv := unstarted(t, s, change)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

func unstarted(t *testing.T, s store.Store, change func(*auditapi.Config)) *server {
	t.Helper()
	srv := &server{t: t}
	config := goodConfig(s)
	config.Audit = func(r *record.Record) {
		srv.mu.Lock()
		defer srv.mu.Unlock()
		srv.records = append(srv.records, *r)
	}
	if change != nil {
		change(&config)
	}
	api, err := auditapi.New(config)
	if err != nil {
		t.Fatal(err)
	}
	srv.Server = httptest.NewUnstartedServer(api)
	return srv
}

func goodConfig(s store.Store) auditapi.Config {
	return auditapi.Config{
		Store:     func() (store.Store, error) { return s, nil },
		Verifier:  must(identity.NewVerifier(identity.VerifierConfig{HMACSecret: secret, Audience: []string{"auditgate"}})),
		MarkerKey: secret,
	}
}

// audited returns the records that the API wrote of itself.
func (s *server) audited() []record.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records)
}

// do sends a request with a token; headers are pairs of name and value.
func (s *server) do(method, path, token string, headers ...string) (*http.Response, []byte) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("X-Auth-Token", token) // VK-05
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Add(pair[0], pair[1])
	}
	res, err := s.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("%s %s: reading the answer: %v", method, path, err)
	}
	return res, body
}

// answer is a page of a listing.
type answer struct {
	Logs     []*record.Record `json:"logs"`
	Marker   string           `json:"marker"`
	Complete bool             `json:"complete"`
	Gaps     []*record.Record `json:"gaps"`
}

func (s *server) list(path, token string, headers ...string) answer {
	s.t.Helper()
	res, body := s.do("GET", path, token, headers...)
	if res.StatusCode != 200 {
		s.t.Fatalf("GET %s: %s\n%s", path, res.Status, body)
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		s.t.Fatalf("GET %s: %v\n%s", path, err, body)
	}
	if (a.Marker != "") != strings.Contains(res.Header.Get("Link"), "marker="+a.Marker) {
		s.t.Errorf("GET %s: marker %q, Link %q", path, a.Marker, res.Header.Get("Link"))
	}
	return a
}

// problem is an error of the API.
type problem struct {
	Type, Title, Detail, State, Reason string
	Status                             int
	Errors                             []struct{ Parameter, Detail string }
	Gaps                               []*record.Record
}

// refuse sends a request that must fail with that problem.
func (s *server) refuse(status int, name, method, path, token string, headers ...string) problem {
	s.t.Helper()
	res, body := s.do(method, path, token, headers...)
	var p problem
	if err := json.Unmarshal(body, &p); err != nil {
		s.t.Fatalf("%s %.200s: %s: %v\n%.300s", method, path, res.Status, err, body)
	}
	if res.StatusCode != status || p.Status != status || p.Type != "tag:auditgate.github.io,2026:"+name ||
		res.Header.Get("Content-Type") != "application/problem+json" || p.Title == "" {
		s.t.Errorf("%s %.200s: %s, %+v, want %d and a problem %s", method, path, res.Status, p, status, name)
	}
	for _, h := range []string{"Cache-Control", "X-Content-Type-Options", "Content-Security-Policy"} {
		if res.Header.Get(h) == "" {
			s.t.Errorf("%s %.200s: no %s", method, path, h)
		}
	}
	return p
}

// call returns a finished call that began a moment before the one before it.
func call(n int, change func(*record.Record)) *record.Record {
	began := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
	r := &record.Record{
		EventID: record.IDAt(began), Timestamp: began, EndTime: began.Add(12 * time.Millisecond),
		Source: "nova", Project: "p1", Action: "unknown", Success: record.SuccessYes,
		Method: "GET", URI: "/v2.1/servers", Status: 200, Outcome: record.OutcomeComplete,
		Actor: record.Actor{UserID: "u9", UserName: "Bob", UserEmail: "bob@example.com", AuthMethod: "jwt"},
	}
	if change != nil {
		change(r)
	}
	return r
}

func ids(records []*record.Record) []string {
	list := make([]string, len(records))
	for i, r := range records {
		list[i] = r.EventID.String()
	}
	return list
}
