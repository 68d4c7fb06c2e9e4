package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// validate answers what a token is worth, to whoever has it.
func (k *keystone) validate(w http.ResponseWriter, r *http.Request) {
	token := r.Header.Get("X-Subject-Token")
	parts := strings.Split(token, "-") // gAAAAopaque-NAME-NUMBER
	if len(parts) != 3 || r.Header.Get("X-Auth-Token") != token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("X-Subject-Token", token)
	_, _ = fmt.Fprintf(w, `{"token":{"user":{"id":"id-of-%[1]s","name":"%[1]s"},"expires_at":"%[2]s","project":{"id":"p-%[1]s"},"roles":[{"name":"member"}]}}`,
		parts[1], time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z"))
}

// VK-05: who uses the cloud reads the log of their project with the same token, and
// no other log.
func TestUsersReadTheirProjectsLogWithTheirKeystoneToken(t *testing.T) {
	k := newKeystone(t)
	g := learns(t, k, "")
	config, err := os.ReadFile(g.config)
	if err != nil {
		t.Fatal(err)
	}
	g.stop()
	api := "audit_api {\n\t\tkeystone " + k.URL + "\n\t\trole auditor auditor member\n\t}"
	if err := os.WriteFile(g.config, []byte(strings.Replace(string(config), "audit_api", api, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start()
	ann, bob := g.login(t, "ann"), g.login(t, "bob")
	g.as(t, "GET", "/v2.1/servers", "", "X-Auth-Token", ann)
	g.as(t, "GET", "/v2.1/servers", "", "X-Auth-Token", bob)

	asks := func(path, token string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.audit+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Auth-Token", token)
		res, err := g.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var body json.RawMessage
		if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	for _, path := range []string{"/v1/-/logs", "/v1/p-ann/logs"} {
		status, body := asks(path, ann)
		if status != http.StatusOK || !strings.Contains(body, `"user_name":"ann"`) || strings.Contains(body, "bob") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := asks("/v1/p-bob/logs", ann); status != http.StatusNotFound {
		t.Errorf("another project: %d %s", status, body)
	}
	if status, body := asks("/v1/-/logs", "gAAAAnobody"); status != http.StatusUnauthorized {
		t.Errorf("a token of nobody: %d %s", status, body)
	}
	k.Close()
	if status, body := asks("/v1/-/logs", "gAAAAopaque-eve-1"); status != http.StatusServiceUnavailable || !strings.Contains(body, "keys-unavailable") {
		t.Errorf("without Keystone: %d %s", status, body)
	}
	g.get("/v1/-/logs") // with a token of the gateway's own, which goes on working
	if log := g.log(); !strings.Contains(log, "keystone cannot be asked") || strings.Contains(log, ann) {
		t.Error("the log does not say that Keystone is away, or shows a token")
	}
}
