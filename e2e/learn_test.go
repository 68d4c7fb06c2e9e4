package e2e_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
)

// keystone is a component that logs users in, and answers everything else.
type keystone struct {
	*httptest.Server
	mu     sync.Mutex
	tokens int
}

func newKeystone(t *testing.T) *keystone {
	k := new(keystone)
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Header.Get("X-Login")
		switch {
		case r.Method == http.MethodPost && r.URL.Path == "/v3/auth/tokens" && name == "":
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodPost && r.URL.Path == "/v3/auth/tokens":
			k.mu.Lock()
			k.tokens++
			n := k.tokens
			w.Header().Set("X-Subject-Token", fmt.Sprintf("gAAAAopaque-%s-%d", name, k.tokens))
			k.mu.Unlock()
			body := []byte(fmt.Sprintf(`{"token":{"user":{"id":"id-of-%[1]s","name":"%[1]s"},"expires_at":"%[2]s","project":{"id":"p-%[1]s"},"roles":[{"name":"member"}],"catalog":["%[3]s"]}}`,
				name, time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z"), strings.Repeat("x", 5000)))
			if r.Header.Get("Accept-Encoding") == "gzip" {
				var packed bytes.Buffer
				z := gzip.NewWriter(&packed)
				_, _ = z.Write(body)
				_ = z.Close()
				body = packed.Bytes()
				w.Header().Set("Content-Encoding", "gzip")
			}
			if n%2 == 0 { // every other answer says how long it is
				w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			}
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write(body)
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		case r.Method == http.MethodGet && r.URL.Path == "/v3/auth/tokens":
			k.validate(w, r)
		case strings.HasPrefix(r.URL.Path, "/v3/users/"):
			id := strings.TrimPrefix(r.URL.Path, "/v3/users/")
			_, _ = fmt.Fprintf(w, `{"user":{"id":"%s","email":"%s@example.org"}}`, id, id)
		}
	}))
	t.Cleanup(k.Close)
	return k
}

// learns is a gateway whose capture of logins teaches another capture.
func learns(t *testing.T, k *keystone, more string) *gateway {
	g := newGateway(t)
	g.write(fmt.Sprintf(`%s {
	handle /v3/* {
		audit_capture iam {
			%s
			identity {
				learn {
					on POST /v3/auth/tokens
					token {audit.res.header.X-Subject-Token}
					user_id {audit.res.json./token/user/id}
					user_name {audit.res.json./token/user/name}
					user_roles {audit.res.json./token/roles/*/name}
					project {audit.res.json./token/project/id}
					expires {audit.res.json./token/expires_at}
				}
				learn {
					on GET /v3/users/:id
					user_id {audit.res.json./user/id}
					user_email {audit.res.json./user/email}
				}
				learn {
					on DELETE /v3/auth/tokens
					forget {audit.req.header.X-Subject-Token}
				}
			}
		}
		reverse_proxy %s
	}
	handle {
		audit_capture nova
		reverse_proxy %s
	}
}
`, g.traffic, more, k.URL, k.URL))
	g.start()
	g.bearer = g.token("auditor", "*", "iam")
	return g
}

// login logs in and returns the token.
func (g *gateway) login(t *testing.T, name string, header ...string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.traffic+"/v3/auth/tokens", strings.NewReader(`{"auth":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Login", name)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := g.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("logging in: %s", res.Status)
	}
	return res.Header.Get("X-Subject-Token")
}

func isAnn(t *testing.T, what string, r *record.Record) {
	t.Helper()
	if r.UserID != "id-of-ann" || r.UserName != "ann" || r.AuthMethod != "learned" || !r.AuthVerified || r.Project != "p-ann" || len(r.UserRoles) != 1 {
		t.Errorf("%s: %+v, project %q", what, r.Actor, r.Project)
	}
}

func TestTheCallAfterTheLoginIsNamed(t *testing.T) {
	k := newKeystone(t)
	g := learns(t, k, "")
	for range 20 {
		isAnn(t, "the next call", g.as(t, "GET", "/v2.1/servers", "", "X-Auth-Token", g.login(t, "ann")))
	}
	isAnn(t, "after a packed answer", g.as(t, "GET", "/", "", "Authorization", "Bearer "+g.login(t, "ann", "Accept-Encoding", "gzip")))
	other := g.login(t, "bob")
	if r := g.as(t, "GET", "/", "", "X-Auth-Token", other); r.UserName != "bob" || r.Project != "p-bob" {
		t.Errorf("another user: %+v", r.Actor)
	}
	if r := g.as(t, "GET", "/", "", "X-Auth-Token", "gAAAAopaque-ann-0"); r.Known() || r.TokenID == "" || r.Project != "" {
		t.Errorf("a token of nobody: %+v", r.Actor)
	}

	token := g.login(t, "ann")
	before := g.as(t, "GET", "/", "", "X-Auth-Token", token)
	g.as(t, "GET", "/v3/users/id-of-ann", "", "X-Auth-Token", token)
	after := g.as(t, "GET", "/", "", "X-Auth-Token", token)
	if before.UserEmail != "" || after.UserEmail != "id-of-ann@example.org" {
		t.Errorf("e-mail before %q, after %q", before.UserEmail, after.UserEmail)
	}
	if again := g.recordOf(before.RequestID); again.UserEmail != "" {
		t.Error("an earlier record was changed")
	}
	g.as(t, "DELETE", "/v3/auth/tokens", "", "X-Auth-Token", other, "X-Subject-Token", token)
	if r := g.as(t, "GET", "/", "", "X-Auth-Token", token); r.Known() || r.TokenID != after.TokenID {
		t.Errorf("after the token was revoked: %+v, before %+v", r.Actor, after.Actor)
	}
}

// Neither a reload nor a restart, nor the end of the component, nor that of the
// process without a word, takes what was learned.
func TestWhatWasLearnedSurvives(t *testing.T) {
	k := newKeystone(t)
	g := learns(t, k, "")
	token := g.login(t, "ann")
	id := g.as(t, "GET", "/", "", "X-Auth-Token", token).TokenID
	if err := g.reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	isAnn(t, "after a reload", g.as(t, "GET", "/", "", "X-Auth-Token", token))
	g.stop()
	g.start()
	isAnn(t, "after a restart", g.as(t, "GET", "/", "", "X-Auth-Token", token))

	second := g.login(t, "ann")
	g.as(t, "GET", "/", "", "X-Auth-Token", second) // whose record took longer than writing down the token
	g.signal(syscall.SIGKILL)
	g.start()
	isAnn(t, "after kill -9", g.as(t, "GET", "/", "", "X-Auth-Token", second))

	k.Server.Close()
	if r := g.as(t, "GET", "/", "", "X-Auth-Token", token); r.Status != http.StatusBadGateway || r.TokenID != id || r.UserName != "ann" {
		t.Errorf("when the component has gone: %d %+v", r.Status, r.Actor)
	}
	g.stop()
	for _, secret := range []string{token, second} {
		if err := filepath.WalkDir(g.dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || path == g.logFile() { // Caddy's own, which is not of the format audit here
				return err
			}
			content, err := os.ReadFile(path)
			if err == nil && bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s holds a token", path)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// The body of a login that is not to be kept teaches all the same, and is not kept.
func TestLoginsWhoseBodiesAreNotKeptTeach(t *testing.T) {
	for _, rule := range []string{"level metadata", "response_body 0", "redact {\n\t\t\t\tbody off\n\t\t\t}", "level none on 2xx", "level request"} {
		k := newKeystone(t)
		g := learns(t, k, rule)
		token := g.login(t, "ann")
		isAnn(t, rule, g.as(t, "GET", "/", "", "X-Auth-Token", token))
		for _, r := range g.all() {
			if body := string(r.ResponseBody.Content); r.Source == "iam" && body != "" {
				t.Errorf("%s: the answer to the login was kept: %.80q", rule, body)
			}
		}
	}
}
