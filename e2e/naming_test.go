package e2e_test

import (
	"strings"
	"testing"

	"github.com/auditgate/auditgate/record"
)

// VK-18, VK-30, CSO-08 to CSO-10: what a call does, to what, and in which words.
func TestActionsNameCalls(t *testing.T) {
	g := startRuled(t, `TRAFFIC {
	@removes method DELETE
	audit_capture nova {
		action server.create {
			match POST /v2.1/servers
			alias create-vm
			object server {audit.res.json./server/id} {audit.req.json./server/name}
			description "Create server {audit.req.json./server/name} with {audit.req.json./server/adminPass} as {http.request.header.Authorization} on {http.request.host}"
			success {audit.res.json./ok} true
		}
		action server.show {
			match GET /v2.1/servers/:server
			object server {audit.path.server}
		}
		action some.delete {
			match @removes
			object {audit.path.2} {audit.path.3}
		}
	}
	rewrite * /elsewhere{uri}
	reverse_proxy COMPONENT
}
`)
	for _, c := range []ruledCall{
		{
			name: "create", method: "POST", target: "/v2.1/servers", body: `{"server": {"name": "web 1", "adminPass": "hunter2hunter2"}}`,
			answer: `{"server": {"id": "s-1"}, "ok": false}`, header: map[string]string{"Authorization": "Bearer hunter2hunter2"},
		},
		{name: "show", method: "GET", target: "/v2.1/servers/s%2D1", answer: `{}`},
		{name: "delete", method: "DELETE", target: "/v2.1/servers/s-2", answer: `{}`},
		{name: "list", method: "GET", target: "/v2.1/servers", answer: `{}`},
	} {
		c.bodyType, c.answerType = "application/json", "application/json"
		if c.body == "" {
			c.bodyType = ""
		}
		g.call(c)
	}
	for id, want := range map[string]struct {
		action string
		object record.Object
	}{
		"create": {"server.create", record.Object{Type: "server", ID: "s-1", Name: "web 1"}},
		"show":   {"server.show", record.Object{Type: "server", ID: "s-1"}},
		"delete": {"some.delete", record.Object{Type: "servers", ID: "s-2"}},
		"list":   {"unknown", record.Object{}},
	} {
		r := g.recordOf(id)
		var object record.Object
		if r.Object != nil {
			object = *r.Object
		}
		if r.Action != want.action || object != want.object {
			t.Errorf("%s: action %s of %+v, want %s of %+v", id, r.Action, object, want.action, want.object)
		}
	}
	r := g.recordOf("create")
	if r.Success != record.SuccessNo {
		t.Errorf("success is %s, want no: the answer says so", r.Success)
	}
	if !strings.HasPrefix(r.Description, "Create server web 1 with hmac:") || !strings.HasSuffix(r.Description, " on "+r.Host[:strings.LastIndexByte(r.Host, ':')]) ||
		strings.Contains(r.Description, "hunter2") {
		t.Errorf("description %q", r.Description)
	}
}
