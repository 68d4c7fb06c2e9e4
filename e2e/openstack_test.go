package e2e_test

import (
	"strings"
	"testing"

	"github.com/auditgate/auditgate/record"
)

// VK-02, VK-18, VK-30, CSO-08, CSO-09: with `preset openstack` calls have their actions,
// objects and secrets without a rule; rules of the operator go first; and what tells of
// every user of the cloud is seen by those alone whose tokens name it.
func TestPresetKnowsOpenStack(t *testing.T) {
	g := startRuled(t, `TRAFFIC {
	handle /identity/* {
		audit_capture iam {
			preset openstack
			identity {
				learn {
					on POST /identity/v3/auth/tokens
					token {audit.res.json./access_token}
					user_id {audit.res.json./token/user/id}
					user_name {audit.res.json./token/user/name}
				}
			}
		}
		reverse_proxy COMPONENT
	}
	handle {
		audit_capture images {
			preset openstack glance
			action image.look {
				match GET /v2/images/:image
			}
		}
		reverse_proxy COMPONENT
	}
}
`)
	const login = `{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "ann", "password": "hunter2hunter2"}}}}}`
	const ec2 = `{"credential": {"access": "a-1", "secret": "hunter2hunter2", "user_id": "u-1"}}`
	for _, c := range []ruledCall{
		{name: "login", method: "POST", target: "/identity/v3/auth/tokens", body: login, answer: `{"access_token": "hunter2hunter2", "token": {"user": {"id": "u-1", "name": "ann"}}}`},
		{name: "refused", method: "POST", target: "/identity/v3/auth/tokens", body: login, status: 401, answer: `{"error": {"code": 401}}`},
		{name: "ec2", method: "POST", target: "/identity/v3/users/u-1/credentials/OS-EC2", body: `{"tenant_id": "p-1"}`, answer: ec2, status: 201},
		{name: "blob", method: "GET", target: "/identity/v3/credentials/c-1", answer: `{"credential": {"id": "c-1", "blob": "hunter2hunter2"}}`},
		{name: "create", method: "POST", target: "/v2/images", body: `{"name": "small"}`, answer: `{"id": "i-1"}`, status: 201},
		{name: "look", method: "GET", target: "/v2/images/i-1", answer: `{}`},
		{name: "else", method: "GET", target: "/v2/nothing", answer: `{}`},
	} {
		c.answerType = "application/json"
		if c.body != "" {
			c.bodyType = "application/json"
		}
		if c.name != "login" && c.name != "refused" {
			c.header = map[string]string{"X-Auth-Token": "hunter2hunter2"}
		}
		g.call(c)
	}
	for _, id := range []string{"create", "look", "else"} {
		g.recordOf(id)
	}
	if list := g.all(); len(list) != 3 {
		t.Errorf("a token that names no source sees %d records, want the 3 of source images", len(list))
	}
	g.bearer = g.token("auditor", "iam", "images")
	for id, want := range map[string]struct {
		action, user string
		object       record.Object
	}{
		"login":   {"token.create", "ann", record.Object{Type: "user", ID: "u-1", Name: "ann"}},
		"refused": {"token.create", "", record.Object{Type: "user", Name: "ann"}},
		"ec2":     {"ec2_credential.create", "ann", record.Object{Type: "ec2_credential", ID: "a-1"}},
		"blob":    {"credential.show", "ann", record.Object{Type: "credential", ID: "c-1"}},
		"create":  {"image.create", "ann", record.Object{Type: "image", ID: "i-1", Name: "small"}},
		"look":    {"image.look", "ann", record.Object{}},
		"else":    {"unknown", "ann", record.Object{}},
	} {
		r := g.recordOf(id)
		var object record.Object
		if r.Object != nil {
			object = *r.Object
		}
		if r.Action != want.action || object != want.object || r.UserName != want.user {
			t.Errorf("%s: action %s of %+v by %q, want %+v", id, r.Action, object, r.UserName, want)
		}
		for _, text := range []string{string(r.RequestBody.Content), string(r.ResponseBody.Content)} {
			if strings.Contains(text, "hunter2") {
				t.Errorf("%s: a secret is in %s", id, text)
			}
		}
	}
}
