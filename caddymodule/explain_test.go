package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/auditgate/auditgate/caddymodule"
)

// explain runs the command on a Caddyfile and returns what it prints, or the text
// of its error.
func explain(t *testing.T, sites string, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "Caddyfile")
	options := "{\nadmin off\nauto_https off\n}\n"
	if err := os.WriteFile(file, caddyfile.Format([]byte(options+sites)), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := caddymodule.ExplainCommand()
	cmd.SetArgs(append([]string{"--config", file}, args...))
	cmd.SetOut(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	if err := cmd.Execute(); err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(out.String(), filepath.Dir(file)+"/", "")
}

// rich is a Caddyfile with some of everything; its first line is the sixth of the
// file.
const rich = `:8080 {
	@health path /health
	@doubt expression int({http.request.header.N}) == 1
	@internal header X-Internal *
	audit_capture nova {
		level none @health on 2xx
		level metadata @internal
		level request on 404 5xx
		project path 2
		redact {
			headers X-Pin
			fields one_time_code
			pointer /server/note
			keep /token on POST /v3/auth/tokens
			path /reset/:secret
			values jwt card
			mode mask
			body off /files/*
			body on /images/*
		}
	}
	handle_path /strict/* {
		audit_capture strict {
			fail closed
		}
		route {
			audit_capture lax
			respond 200
		}
	}
	handle_path /api/* {
		audit_capture inner {
			level metadata /v1/*
		}
		reverse_proxy 127.0.0.1:1
	}
	vars /flagged kind flagged
	@flagged vars kind flagged
	route @flagged {
		audit_capture flagged
		respond 200
	}
	handle /early {
		respond 200
	}
	handle /doubt {
		respond @doubt 200
	}
	handle /quiet* {
		audit_capture quiet {
			level none /quiet
		}
		respond 200
	}
}
http://open.example:8081 {
	reverse_proxy 127.0.0.1:2
}
http://closed.example:8081 {
	audit_capture closed {
		level none
	}
	reverse_proxy 127.0.0.1:3
}
`

func TestExplainSaysWhichLineDecides(t *testing.T) {
	for name, x := range map[string]struct {
		args []string
		want []string // lines
	}{
		"several levels": {[]string{"GET", ":8080/health"}, []string{
			"GET /health, host localhost:8080, is recorded", "capture nova at Caddyfile:9",
			"level none on 2xx (Caddyfile:10)", "level request on 404 5xx (Caddyfile:12)", "level full (default)",
		}},
		"a status": {[]string{"--status", "204", "GET", ":8080/health"}, []string{
			"GET /health, host localhost:8080, is not recorded", "level none on 2xx (Caddyfile:10)",
		}},
		"a path that is read in two ways": {[]string{"GET", ":8080/x%2f..%2fhealth"}, []string{
			"GET /x%2f..%2fhealth, host localhost:8080, is recorded", "level request on 404 5xx (Caddyfile:12)", "level full (default)",
		}},
		"open":   {[]string{"GET", ":8080/x"}, []string{"fail open: the call goes on, and what is lost is counted"}},
		"closed": {[]string{"GET", ":8080/strict/x"}, []string{"capture lax at Caddyfile:31", "fail closed: without a receipt that is stored the answer is 503"}},
		"a header": {[]string{"-H", "X-Internal: 1", "-H", "Host: a.example", "GET", "http://localhost:8080/x/demo"}, []string{
			"GET /x/demo, host a.example, is recorded", "level metadata (Caddyfile:11)", "bodies none", "project demo",
		}},
		"redaction": {[]string{"--status", "200", "POST", ":8080/v3/auth/tokens"}, []string{
			"redaction mask for the default names, and what is added here; found by its look: jwt pem card", "headers X-Pin", "fields one_time_code", "pointers /server/note",
			"keep /token on POST /v3/auth/tokens", "bodies up to 64 KiB of the request, 64 KiB of the answer, 8.0 KiB of each direction of a stream",
		}},
		"a secret in the path": {[]string{"GET", ":8080/reset/1"}, []string{"paths /reset/:secret"}},
		"no body":              {[]string{"GET", ":8080/files/1"}, []string{"bodies none: body off (Caddyfile:22)"}},
		"binary": {[]string{"--status", "500", "GET", ":8080/images/1"}, []string{
			"bodies up to 64 KiB of the request, 8.0 KiB of that of a stream; binary too: body on (Caddyfile:23)",
		}},
		"identity": {[]string{"GET", ":8080/x"}, []string{"identity caddy, then mtls, then learned, then claims (unverified)"}},
		"innermost": {[]string{"GET", ":8080/api/v1/x"}, []string{
			"capture inner at Caddyfile:36", "level metadata (Caddyfile:37)", "inside nova at Caddyfile:9, whose rules do not hold",
			"ends http.handlers.reverse_proxy at apps/http/servers/srv0/routes/6/handle/0/routes/1/handle/1",
		}},
		"a variable":    {[]string{"GET", ":8080/flagged"}, []string{"capture flagged at Caddyfile:44"}},
		"before it":     {[]string{"GET", ":8080/early"}, []string{"capture nova at Caddyfile:9"}},
		"none, inside":  {[]string{"GET", ":8080/quiet"}, []string{"GET /quiet, host localhost:8080, is not recorded", "level none (Caddyfile:55)"}},
		"not covered":   {[]string{"GET", "http://open.example:8081/x"}, []string{"GET /x, host open.example:8081, is not recorded: no audit_capture is on its way"}},
		"none":          {[]string{"GET", "closed.example:8081/x"}, []string{"GET /x, host closed.example:8081, is not recorded", "capture closed at Caddyfile:64"}},
		"a port alone":  {[]string{"GET", ":8081/x"}, []string{"GET /x, host closed.example:8081, is not recorded", "capture closed at Caddyfile:64"}},
		"no such site":  {[]string{"GET", "http://other.example:8081/x"}, []string{"GET /x, host other.example:8081, is not recorded: no site of this server serves the host"}},
		"no server":     {[]string{"GET", ":9/"}, []string{"no server of the configuration listens on localhost port 9"}},
		"which site":    {[]string{"GET", "/x"}, []string{"2 sites have an audit_capture (localhost:8080, closed.example:8081): name the one that is meant, as in http://host:port/x"}},
		"a bad status":  {[]string{"--status", "99", "GET", ":8080/"}, []string{`status "99": want that of one answer, 100 to 599`}},
		"a class":       {[]string{"--status", "4xx", "GET", ":8080/"}, []string{`status "4xx": want that of one answer, 100 to 599`}},
		"no URI":        {[]string{"GET"}, []string{"want a method and a URI, as in `GET http://127.0.0.1:8080/v1/demo/orders`, and not [\"GET\"]"}},
		"small letters": {[]string{"get", ":8080/other"}, []string{"GET /other, host localhost:8080, is recorded"}},
		"a bad header":  {[]string{"--header", "X", "GET", ":8080/"}, []string{`header "X": want 'Name: value'`}},
		"a bad method":  {[]string{"G T", ":8080/"}, []string{`net/http: invalid method "G T"`}},
		"a bad matcher": {[]string{"--header", "N: x", "GET", ":8080/doubt"}, []string{"matching apps/http/servers/srv0/routes/3/handle/0/routes/0: type conversion error from 'string' to 'int'"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := explain(t, rich, x.args...)
			lines := make(map[string]bool) // with single spaces
			for line := range strings.Lines(got) {
				lines[strings.Join(strings.Fields(line), " ")] = true
			}
			for _, want := range x.want {
				if !lines[want] {
					t.Errorf("there is no line %q in\n%s", want, got)
				}
			}
		})
	}
}

func TestExplainPrintsJSONForPrograms(t *testing.T) {
	var got struct {
		Method, Host string
		Recorded     bool
		Capture      struct {
			Source string
			Lines  []string
			Levels []struct {
				Level    string
				Statuses []string
			}
			Policy    string
			Redaction struct{ Mode string }
		}
	}
	text := explain(t, rich, "--json", "GET", ":8080/health")
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	c := got.Capture
	if got.Method != "GET" || !got.Recorded || c.Source != "nova" || len(c.Levels) != 3 || c.Levels[0].Level != "none" ||
		c.Levels[0].Statuses[0] != "2xx" || len(c.Policy) != 16 || c.Redaction.Mode != "mask" || c.Lines[0] != "Caddyfile:9" {
		t.Errorf("got %s", text)
	}
}

func TestExplainTakesAPathWhereOneSiteCaptures(t *testing.T) {
	for _, errors := range []string{"", "handle_errors {\naudit_capture nova\nrespond sorry\n}\n"} {
		got := explain(t, "http://a.example:8081 {\naudit_capture nova\n"+errors+"}\n:8082 {\nrespond 200\n}\n", "GET", "/x")
		if !strings.HasPrefix(got, "GET /x, host a.example:8081, is recorded") {
			t.Errorf("got\n%s", got)
		}
	}
}

func TestExplainSaysNothingOfBodiesOfWhatIsNotRecorded(t *testing.T) {
	got := explain(t, ":8081 {\naudit_capture nova {\nlevel none on 4xx\nlevel none\n}\n}\n", "GET", "/x")
	if !strings.Contains(got, "is not recorded") || strings.Contains(got, "bodies") {
		t.Errorf("got\n%s", got)
	}
}

func TestExplainTellsWhatThePresetKnows(t *testing.T) {
	got := explain(t, ":8081 {\naudit_capture iam {\npreset openstack\n}\n}\n", "POST", "/identity/v3/auth/tokens")
	for _, want := range []string{"preset       openstack: iam\n", "action       token.create\n", "keep       /token on POST /*/v3/auth/tokens\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("want %q in\n%s", want, got)
		}
	}
}

func TestExplainSaysWhoIsAskedAboutTheCaller(t *testing.T) {
	site := `:8081 {
		audit_capture iam {
			identity {
				header X-User-Id X-User-Email
				jwt {
					jwks_url https://id.example.org/keys
					audience a
				}
				introspect https://id.example.org/ask {
					client_id gateway
					client_secret s3cret
				}
				learned
				learn {
					on POST /v3/auth/tokens
					token {audit.res.header.X-Subject-Token}
					user_id {audit.res.json./token/user/id}
				}
			}
		}
		respond 200
	}
	`
	const identity = "identity     header X-User-Id, then jwt by https://id.example.org/keys, then introspect at https://id.example.org/ask, then learned\n"
	const learn = "learn        from its answer, if that is a 2xx\n"
	for method, learns := range map[string]bool{"POST": true, "GET": false} {
		got := explain(t, site, method, ":8081/v3/auth/tokens")
		if !strings.Contains(got, identity) || strings.Contains(got, learn) != learns || strings.Contains(got, "s3cret") {
			t.Errorf("%s:\n%s", method, got)
		}
	}
}
