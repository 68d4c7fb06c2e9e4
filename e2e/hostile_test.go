package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/auditgate/auditgate/record"
)

// No hostile token reads the log, and none names who made a call; all of them are on
// record with a token id. That the good ones do both shows that nothing else is wrong
// with these.
func TestHostileTokensReadNothingAndNameNobody(t *testing.T) {
	var lured atomic.Int64 // who asked where a token says that keys are
	lure := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { lured.Add(1) }))
	t.Cleanup(lure.Close)
	component := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(component.Close)

	i := newForge(t)
	g := newGateway(t)
	api := "http://" + freeAddress(t)
	jwt := fmt.Sprintf("jwt {\n\t\t\tjwks_file %s\n\t\t\taudience audit\n\t\t\tissuer https://id.example.org\n\t\t\trequire amr mfa\n\t\t}", i.writeKeys(g.dir))
	g.write(fmt.Sprintf(`%s {
	audit_capture nova {
		identity {
			%s
		}
	}
	reverse_proxy %s
}
%s {
	audit_api {
		%s
	}
}
`, g.traffic, jwt, component.URL, api, jwt))
	g.start()
	g.bearer = g.token("auditor")

	// send sends a token one way or the other, and returns status and answer.
	send := func(to, id, token string, way int) (int, []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Correlation-Id", id)
		if way%2 == 0 {
			req.Header.Set("Authorization", "Bearer "+token)
		} else {
			req.Header.Set("X-Auth-Token", token)
		}
		res, err := g.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var body json.RawMessage
		_ = json.NewDecoder(res.Body).Decode(&body) // the component answers nothing
		return res.StatusCode, body
	}
	good, hostile := i.good(), i.hostile(lure.URL)
	for n, token := range good {
		if status, body := send(api+"/v1/-/logs", "", token, n); status != http.StatusOK {
			t.Errorf("good token %d: %d %s", n, status, body)
		}
		send(g.traffic, "good-"+strconv.Itoa(n), token, n)
	}
	for n, h := range hostile {
		status, body := send(api+"/v1/-/logs", "", h.token, n)
		var p struct{ Type, Detail string }
		if err := json.Unmarshal(body, &p); err != nil {
			t.Errorf("%s: %d %s: %v", h.name, status, body, err)
		}
		if status != http.StatusUnauthorized || !strings.HasSuffix(p.Type, ":token-invalid") || !strings.Contains(p.Detail, h.says) {
			t.Errorf("%s: %d %+v, want 401 that says %q", h.name, status, p, h.says)
		}
		if status, _ := send(g.traffic, "hostile-"+strconv.Itoa(n), h.token, n); status != http.StatusOK {
			t.Errorf("%s: the call was answered with %d", h.name, status)
		}
	}

	var calls []*record.Record
	wait(t, "all calls are records", func() bool {
		calls = g.list(url.Values{"source": {"nova"}, "limit": {"1000"}})
		return len(calls) == len(good)+len(hostile) && !slices.ContainsFunc(calls, func(r *record.Record) bool { return r.Outcome == record.OutcomeInProgress })
	})
	for _, r := range calls {
		kind, number, _ := strings.Cut(r.RequestHeaders.Get("X-Correlation-Id"), "-")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case kind == "good" && (r.UserID != "dora" || !r.AuthVerified || r.Project != "p1"):
			t.Errorf("good token %d: %+v of project %q", n, r.Actor, r.Project)
		case kind == "hostile" && (r.Known() || r.AuthVerified || r.AuthMethod != "" || r.Project != "" || r.TokenID == ""):
			t.Errorf("%s: %+v of project %q", hostile[n].name, r.Actor, r.Project)
		}
	}
	if n := lured.Load(); n != 0 {
		t.Errorf("%d fetches of what tokens name", n)
	}
	if len(hostile) < 60 {
		t.Errorf("%d hostile tokens, want 60", len(hostile))
	}
	t.Logf("%d hostile tokens", len(hostile))
}
