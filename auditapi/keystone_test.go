package auditapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auditgate/auditgate/auditapi"
	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/record"
)

// cloud is a Keystone that knows a few tokens, as far as it tells about them.
type cloud struct {
	*httptest.Server
	questions atomic.Int64
	down      atomic.Bool
}

func newCloud(t *testing.T) *cloud {
	c := new(cloud)
	grants := map[string]string{ // by token: project and roles
		"gAAAAABreader": `"project":{"id":"p1","name":"one"},"roles":[{"id":"r1","name":"reader"}]`,
		"gAAAAABother":  `"project":{"id":"p2","name":"two"},"roles":[{"id":"r1","name":"reader"}]`,
		"gAAAAABadmin":  `"project":{"id":"p1","name":"one"},"roles":[{"id":"r2","name":"admin"},{"id":"r1","name":"reader"}]`,
		"gAAAAABmember": `"project":{"id":"p1","name":"one"},"roles":[{"id":"r3","name":"member"}]`,
		"gAAAAABstar":   `"project":{"id":"*","name":"star"},"roles":[{"id":"r1","name":"reader"}]`,
		"gAAAAABlogin":  `"catalog":[]`, // a login without a scope
		"gAAAAABsystem": `"system":{"all":true},"roles":[{"id":"r1","name":"reader"}]`,
		"gAAAAABroot":   `"system":{"all":true},"roles":[{"id":"r2","name":"admin"}]`,
	}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.questions.Add(1)
		token := r.Header.Get("X-Subject-Token")
		grant, ok := grants[token]
		switch {
		case c.down.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case !ok || r.Header.Get("X-Auth-Token") != token || r.URL.Path != "/v3/auth/tokens":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.Header().Set("X-Subject-Token", token)
			_, _ = fmt.Fprintf(w, `{"token":{"methods":["password"],"user":{"id":"u1","name":"ann"},%s,"issued_at":"2026-11-21T10:00:00.000000Z","expires_at":"2100-01-01T00:00:00.000000Z"}}`, grant)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// serve serves records to whoever has a token of the cloud, or one of ours.
func (c *cloud) serve(t *testing.T, records ...*record.Record) *server {
	return serve(t, opened(t, records...), func(config *auditapi.Config) {
		config.Keystone = identity.NewKeystone(c.URL, nil, nil)
		config.Roles = map[auditapi.Role][]string{auditapi.Auditor: {"reader"}}
		config.RolesClaim = "realm_access.roles" // is that of other tokens
		config.Restrict = []string{"iam"}
		config.Hashes = func([]byte) ([]auditapi.Hash, bool) { return nil, true }
	})
}

// VK-03, VK-05: a token of Keystone's in X-Auth-Token reads the log of its project.
func TestKeystoneTokensReadTheirProject(t *testing.T) {
	srv := newCloud(t).serve(t, calls(24, func(i int, r *record.Record) {
		r.Project = []string{"p1", "p2", "", "*"}[i%4]
		r.Source = []string{"nova", "iam", record.Self}[i%3]
	})...)
	for _, tt := range []struct {
		token, path string
		records     int
		project     string
	}{
		{"gAAAAABreader", "/v1/p1/logs", 2, "p1"},
		{"gAAAAABreader", "/v1/-/logs", 2, "p1"},
		{"gAAAAABother", "/v1/-/logs", 2, "p2"},
		{"gAAAAABstar", "/v1/-/logs", 2, "*"},
		{"gAAAAABadmin", "/v1/-/logs?source=auditgate", 2, "p1"},
	} {
		got := srv.list(tt.path, tt.token)
		if len(got.Logs) != tt.records {
			t.Errorf("%s %s: %d records, want %d", tt.token, tt.path, len(got.Logs), tt.records)
		}
		for _, r := range got.Logs {
			if r.Project != tt.project {
				t.Errorf("%s %s: a record of project %q", tt.token, tt.path, r.Project)
			}
		}
	}
	srv.refuse(404, "not-found", "GET", "/v1/p2/logs", "gAAAAABreader")
	srv.refuse(404, "not-found", "GET", "/v1/p1/logs", "gAAAAABstar")
	srv.refuse(404, "not-found", "GET", "/v1/p1/logs?source=auditgate", "gAAAAABreader")
	srv.refuse(404, "not-found", "GET", "/v1/p1/logs?source=iam", "gAAAAABreader")
	for token, says := range map[string]string{"gAAAAABmember": "role lines", "gAAAAABsystem": "scoped to no project", "gAAAAABlogin": "scoped to no project"} {
		if p := srv.refuse(403, "forbidden", "GET", "/v1/-/logs", token); !strings.Contains(p.Detail, says) {
			t.Errorf("%s: %q", token, p.Detail)
		}
	}
	// The hashes are those of every project.
	for _, token := range []string{"gAAAAABadmin", "gAAAAABroot"} {
		if res, body := srv.post("/v1/hashes", token, `{"secret":"x"}`); res.StatusCode != 403 {
			t.Errorf("%s asks for hashes: %s\n%s", token, res.Status, body)
		}
	}
	_, body := srv.do("GET", "/v1/whoami", "gAAAAABadmin")
	if want := `{"id":"u1","name":"ann","roles":["auditor","admin"],"projects":["p1"],"sources":"*","restricted":true,"expires_at":"2100-01-01T00:00:00Z"}`; strings.TrimSpace(string(body)) != want {
		t.Errorf("whoami is %s\nwant %s", body, want)
	}
	if all := srv.audited(); all[0].UserName != "ann" || all[0].AuthMethod != "keystone" || !all[0].AuthVerified || all[0].Project != "p1" {
		t.Errorf("the record of a listing has %+v of project %q", all[0].Actor, all[0].Project)
	}
}

func TestKeystoneIsAskedAboutItsOwnTokensAlone(t *testing.T) {
	c := newCloud(t)
	srv := c.serve(t, calls(2, nil)...)
	own := token(t, map[string]any{"realm_access": map[string]any{"roles": "reader"}})
	srv.list("/v1/-/logs", own)
	srv.list("/v1/-/logs", "", "Authorization", "Bearer "+own)
	expired := token(t, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})
	srv.refuse(401, "token-invalid", "GET", "/v1/-/logs", expired)
	srv.refuse(401, "token-invalid", "GET", "/v1/-/logs", "", "Authorization", "Bearer gAAAAABreader") // the header says another kind
	srv.refuse(400, "ambiguous-token", "GET", "/v1/-/logs", own, "Authorization", "Bearer gAAAAABreader")
	if n := c.questions.Load(); n != 0 {
		t.Errorf("Keystone was asked %d times about tokens of others", n)
	}
	srv.list("/v1/p1/logs", "gAAAAABreader", "Authorization", "Bearer gAAAAABreader") // both, the same
	for range 3 {
		srv.refuse(401, "token-invalid", "GET", "/v1/-/logs", "gAAAAABnobody")
	}
	if n := c.questions.Load(); n != 2 {
		t.Errorf("%d questions, want 2", n)
	}
	without := serve(t, opened(t), nil)
	without.refuse(401, "token-invalid", "GET", "/v1/-/logs", "gAAAAABreader")
}

func TestKeystoneThatIsAwayRefusesNobody(t *testing.T) {
	c := newCloud(t)
	srv := c.serve(t, calls(1, nil)...)
	srv.list("/v1/p1/logs", "gAAAAABreader")
	c.down.Store(true)
	p := srv.refuse(503, "keys-unavailable", "GET", "/v1/p1/logs", "gAAAAABother")
	if !strings.Contains(p.Detail, "keystone") {
		t.Errorf("detail is %q", p.Detail)
	}
	res, _ := srv.do("GET", "/v1/p1/logs", "gAAAAABother")
	if res.Header.Get("Retry-After") == "" || res.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("headers are %v", res.Header)
	}
	srv.list("/v1/p1/logs", "gAAAAABreader") // is remembered
}

// A marker is good for the token's project alone, though the user is the same.
func TestMarkerOfAnotherScopeIsRefused(t *testing.T) {
	srv := newCloud(t).serve(t, calls(4, func(i int, r *record.Record) { r.Project = []string{"p1", "p2"}[i%2] })...)
	page := srv.list("/v1/-/logs?limit=1", "gAAAAABreader")
	if page.Marker == "" {
		t.Fatal("there is no marker")
	}
	srv.refuse(400, "marker-invalid", "GET", "/v1/-/logs?marker="+page.Marker, "gAAAAABother")
	if next := srv.list("/v1/-/logs?marker="+page.Marker, "gAAAAABadmin"); len(next.Logs) != 1 || next.Logs[0].Project != "p1" {
		t.Errorf("the next page has %d records", len(next.Logs))
	}
}
