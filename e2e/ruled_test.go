package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// ruled is a component whose answers have the status, the type and the body that
// the request's headers ask for.
func ruled(t *testing.T) string {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", r.Header.Get("Want-Type"))
		status, _ := strconv.Atoi(r.Header.Get("Want-Status")) // 0 where none is wanted
		w.WriteHeader(max(status, http.StatusOK))
		answer, _ := strconv.Unquote(r.Header.Get("Want-Body")) // as call quotes it
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(upstream.Close)
	return upstream.Listener.Addr().String()
}

// ruledCall is a call to such a component.
type ruledCall struct {
	name, method, target string
	header               map[string]string
	body, bodyType       string
	status               int
	answer, answerType   string
}

// call makes the call, named by its request id.
func (g *gateway) call(c ruledCall) {
	g.t.Helper()
	req, err := http.NewRequest(c.method, g.traffic+c.target, strings.NewReader(c.body))
	if err != nil {
		g.t.Fatal(err)
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	for name, value := range map[string]string{
		"X-Request-Id": c.name, "Content-Type": c.bodyType, "Want-Type": c.answerType, "Want-Body": strconv.Quote(c.answer),
		"Want-Status": strconv.Itoa(c.status),
	} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	res, err := g.client.Do(req)
	if err != nil {
		g.t.Fatalf("%s: %v", c.name, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != max(c.status, http.StatusOK) || string(answer) != c.answer {
		g.t.Errorf("%s: the client got %d %q, %v; want %d %q", c.name, res.StatusCode, answer, err, c.status, c.answer)
	}
}

// startRuled starts a gateway with these sites, in which the words TRAFFIC and
// COMPONENT stand for addresses.
func startRuled(t *testing.T, sites string) *gateway {
	t.Helper()
	g := newGateway(t)
	g.write(strings.NewReplacer("TRAFFIC", g.traffic, "COMPONENT", ruled(t)).Replace(sites))
	g.start()
	g.bearer = g.token("auditor")
	return g
}
