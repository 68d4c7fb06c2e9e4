package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
)

// What Caddy's own directives do around a capture, and what the record says.
func TestRecordIsRightAmongCaddysDirectives(t *testing.T) {
	c := startComponent(t)
	g := newGateway(t)
	g.write(fmt.Sprintf(`%s {
	audit_capture front {
		project path 2
	}
	handle_path /api/* {
		audit_capture api
		reverse_proxy %s
	}
	handle /old/* {
		rewrite * /items?from=old
		reverse_proxy %s
	}
	handle /maintenance {
		error "closed" 503
	}
	handle /empty {
		respond "text" 204
	}
	handle /print {
		respond "{http.vars.auditgate.exchange}"
	}
	handle /moved {
		redir * /elsewhere
	}
	handle /private* {
		basic_auth {
			alice $2a$14$iBjA.EE775cgbzS1Y6/0zeGY/YH4zAg5LPrLULRliEx5QLJp5Pu7G
		}
		respond "hello"
	}
	handle {
		respond "hello"
	}
}
`, g.traffic, c.address(), c.address()))
	g.start()
	g.bearer = g.token("auditor")

	for name, tc := range map[string]struct {
		target, header string
		want           func(*record.Record) bool
	}{
		"a stripped prefix": {"/api/v1/x?a=b", "", func(r *record.Record) bool {
			return r.Source == "api" && r.URI == "/api/v1/x" && r.Query == "a=b" && r.UpstreamURI == "/v1/x?a=b"
		}},
		"a rewritten path": {"/old/x", "", func(r *record.Record) bool {
			return r.Source == "front" && r.URI == "/old/x" && r.UpstreamURI == "/items?from=old"
		}},
		"an error of the gateway's own": {"/maintenance", "", func(r *record.Record) bool {
			return r.Outcome == record.OutcomeComplete && r.Status == 503 && r.StatusSource == "error" && r.Success == record.SuccessNo
		}},
		"a body that is not allowed": {"/empty", "", func(r *record.Record) bool {
			return r.Outcome == record.OutcomeComplete && r.Status == 204 && r.Success == record.SuccessYes
		}},
		"a redirect":                           {"/moved", "", func(r *record.Record) bool { return r.Status == 302 }},
		"nobody":                               {"/private", "", func(r *record.Record) bool { return r.Status == 401 && r.UserID == "" }},
		"a project as the component reads it":  {"/v1/%64emo/orders", "", func(r *record.Record) bool { return r.Project == "demo" }},
		"a project as some components read it": {"/v1/demo%2Forders/x", "", func(r *record.Record) bool { return r.Project == "" && r.ClaimedProject == "demo" }},
		"a project that was refused":           {"/private/../private", "", func(r *record.Record) bool { return r.Project == "" || r.Status == 200 }},
		"a secret in a fragment":               {"/cb#access_token=s3cretFRAGMENT", "", nil},
		"a secret in the user agent":           {"/", "User-Agent: http://u:s3cretAGENT@h/?token=s3cretAGENT2", nil},
		"a secret in the request id":           {"/", "X-Request-Id: token=s3cretID", nil},
		"a variable that is printed":           {"/print", "Authorization: Bearer s3cretTOKEN", nil},
	} {
		t.Run(name, func(t *testing.T) {
			id := strings.ReplaceAll(name, " ", "-")
			headers := "X-Correlation-Id: " + id
			if tc.header != "" {
				headers += "\r\n" + tc.header
			}
			status, body := g.raw(t, tc.target, headers)
			r := g.withHeader(t, "X-Correlation-Id", id)
			if text := fmt.Sprintf("%+v", r); strings.Contains(text, "s3cret") || strings.Contains(body, "s3cret") {
				t.Errorf("a secret is kept, or answered: %s %s", body, text)
			}
			if tc.want != nil && !tc.want(r) {
				t.Errorf("the client got %s, the record is %+v", status, r)
			}
		})
	}
}

// withHeader waits for the record of a call that had that header.
func (g *gateway) withHeader(t *testing.T, name, value string) *record.Record {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for _, r := range g.all() {
			if r.RequestHeaders.Get(name) == value && r.Outcome != record.OutcomeInProgress {
				return r
			}
		}
	}
	t.Fatalf("there is no record with %s: %s", name, value)
	return nil
}

// raw sends a request target as it is and returns status line and body.
func (g *gateway) raw(t *testing.T, target, headers string) (status, body string) {
	t.Helper()
	host := strings.TrimPrefix(g.traffic, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n\r\n", target, host, headers)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.Status, string(content)
}

// A call is found under the source that it was made to, whoever answers its
// error: else the failures of a restricted source would be seen by everybody.
func TestErrorRouteAnswersUnderTheSourceOfTheCall(t *testing.T) {
	g := newGateway(t)
	g.write(g.traffic + ` {
	audit_capture front
	handle /vault/* {
		audit_capture vault
		error "sealed" 403
	}
	handle_errors {
		audit_capture front
		respond "no entry: {err.status_code}" 418
	}
}
`)
	g.start()
	g.bearer = g.token("auditor")
	g.raw(t, "/vault/x", "X-Correlation-Id: sealed")
	r := g.withHeader(t, "X-Correlation-Id", "sealed")
	if r.Source != "vault" || r.Status != 418 || r.StatusSource != "" || string(r.ResponseBody.Content) != "no entry: 403" {
		t.Errorf("the record is %+v", r)
	}
}

// Caddy passes `GET http:a/b` on as `GET a/b`, which matchers do not see, and some
// components read as /a/b: so does the record, with what is secret there.
func TestPathWithoutASlashIsReadAsOne(t *testing.T) {
	lines := make(chan string, 4)
	component, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer component.Close()
	go func() {
		for {
			conn, err := component.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(conn).ReadString('\n')
			lines <- line
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\nConnection: close\r\n\r\npayload")
			conn.Close()
		}
	}()
	g := newGateway(t)
	g.write(fmt.Sprintf(`%s {
	@admin path /admin/*
	@vault path /vault/*
	audit_capture barbican {
		preset openstack barbican
		level full @admin
		level full /v1/*
		level full @vault
		level full /reset/*
		level none
		redact {
			path /reset/:secret
			body off @vault
		}
	}
	reverse_proxy %s
}
`, g.traffic, component.Addr()))
	g.start()
	g.bearer = g.token("auditor")
	for path, kept := range map[string]bool{"v1/secrets/1/payload": false, "vault/x": false, "admin/x": true, "reset/s3cretPATH": true} {
		status, _ := g.raw(t, "http:"+path, "X-Correlation-Id: "+path[:5])
		line := "nothing"
		select {
		case line = <-lines: // before the answer
		default:
		}
		if !strings.HasPrefix(line, "GET "+path+" ") || !strings.HasPrefix(status, "200") {
			t.Errorf("%s: the client got %s, the component %q", path, status, line)
		}
		r := g.withHeader(t, "X-Correlation-Id", path[:5])
		if got := string(r.ResponseBody.Content) == "payload"; got != kept || strings.Contains(r.URI, "s3cret") || !strings.HasPrefix(r.URI, "/"+path[:5]) {
			t.Errorf("%s: the record is %+v", path, r)
		}
	}
}
