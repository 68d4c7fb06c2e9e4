package naming_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/capture/naming"
	"github.com/auditgate/auditgate/record"
)

func openStack(t testing.TB, services ...string) (*naming.Preset, *naming.Namer) {
	t.Helper()
	p, err := naming.OpenStack(services...)
	if err != nil {
		t.Fatal(err)
	}
	n, err := naming.New(p.Rules)
	if err != nil {
		t.Fatal(err)
	}
	return p, n
}

// Each line of each file names the calls that it is written for: no line before it
// takes them away, below none of the roots.
func TestEachLineOfOpenStackNamesItsCalls(t *testing.T) {
	services, _ := naming.OpenStackServices()
	for _, service := range services {
		t.Run(service, func(t *testing.T) {
			p, n := openStack(t, service)
			matches := 0
			for i, rule := range p.Rules {
				for _, m := range rule.Matches {
					matches++
					r := &record.Record{Method: m.Method, URI: callOf(m.Path)}
					if rule.Key != "" {
						r.RequestBody = body(`{"` + rule.Key + `": {}}`)
					}
					if got := n.Find(r, 0); got < 0 || got != i && p.Rules[got].Name != rule.Name {
						t.Errorf("%s %s is not %s: of rule %d", m.Method, m.Path, rule.Name, got)
					}
				}
			}
			if matches == 0 {
				t.Error("no calls are named")
			}
			t.Logf("%d lines, %d shapes of calls", len(p.Rules), matches)
		})
	}
}

// callOf is a path of a shape.
func callOf(shape string) string {
	parts := strings.Split(shape, "/")
	for i, part := range parts {
		if part == "*" || strings.HasPrefix(part, ":") {
			parts[i] = "x-" + strings.Trim(part, ":*")
		}
	}
	return strings.Join(parts, "/")
}

// The files in testdata say of calls what they are: see iam.calls.
func TestOpenStackCallsAreNamed(t *testing.T) {
	services, _ := naming.OpenStackServices()
	for _, service := range services {
		t.Run(service, func(t *testing.T) {
			_, n := openStack(t, service)
			content, err := os.ReadFile(filepath.Join("testdata/openstack", service+".calls"))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(content)) {
				line = strings.TrimSpace(line)
				if line == "" || line[0] == '#' {
					continue
				}
				call, want, ok := strings.Cut(line, " = ")
				if !ok {
					t.Fatalf("%q: want a call, and behind = what it is", line)
				}
				call, response, _ := strings.Cut(call, " < ")
				call, request, _ := strings.Cut(call, " > ")
				method, uri, _ := strings.Cut(strings.TrimSpace(call), " ")
				uri, query, _ := strings.Cut(strings.TrimSpace(uri), "?")
				r := &record.Record{Method: method, URI: uri, Query: query, RequestBody: body(request), ResponseBody: body(response)}
				n.Name(r, naming.Call{})
				got := r.Action
				if o := r.Object; o != nil {
					got += " " + o.Type + " " + orQuotes(o.ID)
					if o.Name != "" {
						got += " " + o.Name
					}
				}
				if want = strings.Join(strings.Fields(want), " "); got != want {
					t.Errorf("%s\ngot  %s\nwant %s", call, got, want)
				}
			}
		})
	}
}

func orQuotes(text string) string {
	if text == "" {
		return `""`
	}
	return text
}

func TestOpenStackServicesHaveManyNames(t *testing.T) {
	for name, want := range map[string]string{"iam": "iam", "keystone": "iam", "identity": "iam", "image": "glance"} {
		if got, ok := naming.OpenStackSource(name); got != want || !ok {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, err := naming.OpenStack("glance", "billing"); err == nil || !strings.Contains(err.Error(), `"billing" is no service of OpenStack`) {
		t.Errorf("%v", err)
	}
}

// Of two services that know a call the one named first wins.
func TestServicesAreAskedInOrder(t *testing.T) {
	for _, test := range []struct {
		services []string
		want     string
	}{{[]string{"iam", "glance"}, "token.create"}, {[]string{"glance", "iam"}, "token.create"}} {
		_, n := openStack(t, test.services...)
		for call, want := range map[string]string{"POST /v3/auth/tokens": test.want, "GET /v2/images": "image.list", "GET /image/v2/images": "image.list"} {
			method, uri, _ := strings.Cut(call, " ")
			r := &record.Record{Method: method, URI: uri}
			if n.Name(r, naming.Call{}); r.Action != want {
				t.Errorf("%q: %s is %s, want %s", test.services, call, r.Action, want)
			}
		}
	}
}

// The cost of naming a call does not grow with the number of lines.
func BenchmarkNameByOpenStack(b *testing.B) {
	services, _ := naming.OpenStackServices()
	_, n := openStack(b, services...)
	for name, r := range map[string]*record.Record{
		"list":    {Method: "GET", URI: "/v2/images"},
		"show":    {Method: "GET", URI: "/v3/users/0123456789abcdef0123456789abcdef", ResponseBody: body(`{"user": {"id": "1", "name": "zoe", "enabled": true}}`)},
		"action":  {Method: "POST", URI: "/v2.1/servers/0123/action", RequestBody: body(`{"reboot": {"type": "SOFT"}}`)},
		"unknown": {Method: "GET", URI: "/v9/what/is/this"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n.Name(r, naming.Call{})
			}
		})
	}
}
