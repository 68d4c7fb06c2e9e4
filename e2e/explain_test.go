package e2e_test

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// explain runs `audit explain` and returns what it prints.
func (g *gateway) explain(args ...string) string {
	g.t.Helper()
	cmd := g.command(append([]string{"audit", "explain"}, args...)...)
	out, err := cmd.Output() // the log is on standard error
	if err != nil {
		g.t.Fatalf("explaining %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestExplainKnowsTheExample(t *testing.T) {
	example, err := filepath.Abs("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	g := newGateway(t)
	got := g.explain("--config", example, "POST", "http://127.0.0.1:8080/v1/demo/orders")
	for _, want := range []string{
		"POST /v1/demo/orders, host 127.0.0.1:8080, is recorded\n", "shop at " + example + ":", "full (default)\n", "demo\n", "http.handlers.reverse_proxy",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
	// As its help has it.
	if got = g.explain("--config", example, "--status", "404", "GET", ":8080/v1/demo/orders/7"); !strings.Contains(got, "host 127.0.0.1:8080, is recorded\n") {
		t.Errorf("a port alone means the site with a capture there, but\n%s", got)
	}
	got = g.explain("--config", example, "GET", "http://127.0.0.1:9600/v1/-/logs")
	if !strings.Contains(got, "is not recorded") {
		t.Errorf("the calls of the audit API are no records of a component, but\n%s", got)
	}
}

func TestExplainForetellsTheRecord(t *testing.T) {
	g := startRuled(t, `TRAFFIC {
	@internal header X-Internal *
	audit_capture outer
	handle_path /api/* {
		audit_capture inner {
			level metadata @internal
			level none on 404
			project path 2
		}
		reverse_proxy COMPONENT
	}
	handle {
		reverse_proxy COMPONENT
	}
}
`)
	for _, x := range []struct {
		call  ruledCall
		level string
	}{
		{ruledCall{name: "outer", target: "/x", status: 200}, "full"},
		{ruledCall{name: "inner", target: "/api/demo/x", status: 200}, "full"},
		{ruledCall{name: "internal", target: "/api/demo/x", status: 404, header: map[string]string{"X-Internal": "1"}}, "metadata"},
	} {
		x.call.method, x.call.answer, x.call.answerType = "GET", "{}", "application/json"
		g.call(x.call)
		r := g.recordOf(x.call.name)
		args := []string{"--config", g.config, "--json", "--status", strconv.Itoa(r.Status), "GET", g.traffic + x.call.target}
		for name, value := range x.call.header {
			args = append(args, "--header", name+": "+value)
		}
		var got struct {
			Recorded bool
			Capture  struct {
				Source, Project, Policy string
				Levels                  []struct{ Level string }
			}
		}
		if err := json.Unmarshal([]byte(g.explain(args...)), &got); err != nil {
			t.Fatal(err)
		}
		c := got.Capture
		project := r.Project + r.ClaimedProject // one of them
		if !got.Recorded || c.Source != r.Source || c.Policy != r.Policy || c.Project != project || c.Levels[0].Level != x.level {
			t.Errorf("%s: explained as %+v; the record has source %s, project %s, policy %s, and the level is %s",
				x.call.name, got, r.Source, project, r.Policy, x.level)
		}
	}
}

func TestLogWarnsOfWhatPassesUnseen(t *testing.T) {
	g := startRuled(t, `TRAFFIC {
	handle /seen {
		audit_capture nova
		reverse_proxy COMPONENT
	}
	handle {
		reverse_proxy COMPONENT
	}
	handle_errors {
		respond "sorry"
	}
}
`)
	for _, want := range []string{"a reverse_proxy stands behind no audit_capture", "handle_errors answers calls without audit_capture"} {
		if n := strings.Count(g.log(), want); n != 1 {
			t.Errorf("the log says %d times %q, want once", n, want)
		}
	}
	if g := startGateway(t, "127.0.0.1:1"); strings.Contains(g.log(), "audit_capture") {
		t.Error("the log warns where every call is seen")
	}
}
