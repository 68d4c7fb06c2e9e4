package naming_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/capture/naming"
	"github.com/auditgate/auditgate/capture/redact"
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
					if strings.HasPrefix(rule.Key, "?") {
						r.Query = "x=1&" + rule.Key[1:] + "=y"
					} else if rule.Key != "" {
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

// The files in testdata say of calls what they are: see iam.calls. Calls are named
// when their secrets are gone: of what is called s3cret nothing is left.
func TestOpenStackCallsAreNamed(t *testing.T) {
	services, _ := naming.OpenStackServices()
	for _, service := range services {
		t.Run(service, func(t *testing.T) {
			p, n := openStack(t, service)
			hide := hider(t, p)
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
				call, header, _ := strings.Cut(call, " ^ ")
				method, uri, _ := strings.Cut(strings.TrimSpace(call), " ")
				uri, query, _ := strings.Cut(strings.TrimSpace(uri), "?")
				r := &record.Record{Method: method, URI: uri, Query: query, RequestBody: body(request), ResponseBody: body(response)}
				if name, value, ok := strings.Cut(header, ": "); ok {
					r.RequestHeaders = record.Headers{{Name: name, Value: value}}
					r.ResponseHeaders = record.Headers{{Name: name, Value: value}}
				}
				hide(r)
				if left := fmt.Sprintf("%s %s %s %s %s %s", r.URI, r.Query, r.RequestHeaders, r.ResponseHeaders, r.RequestBody.Content, r.ResponseBody.Content); strings.Contains(left, "s3cret") {
					t.Errorf("%s\nhas a secret left: %s", call, left)
				}
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

// hider returns what takes the secrets out of calls, as those are said that p knows.
func hider(t *testing.T, p *naming.Preset) func(*record.Record) {
	t.Helper()
	o := redact.Options{Key: make([]byte, redact.KeySize), Headers: p.Headers, Fields: p.Fields, Pointers: p.Pointers, Paths: p.Paths}
	for _, k := range p.Keep {
		o.Keep = append(o.Keep, redact.Keep{Pointer: k.Pointer, Method: k.Method, Path: k.Path})
	}
	redactor, err := redact.New(o)
	if err != nil {
		t.Fatal(err)
	}
	withheld := mustNew(t, naming.Rule{Name: "withheld", Matches: append(p.Withheld, naming.Match{Path: "/of/no/call"})})
	return func(r *record.Record) {
		call := redact.Call{Method: r.Method, Path: r.URI}
		off := withheld.Find(r, 0) >= 0
		for side, b := range map[string]*record.Body{"request_body": &r.RequestBody, "response_body": &r.ResponseBody} {
			kind := "application/json"
			if !strings.HasPrefix(string(b.Content), "{") && !strings.HasPrefix(string(b.Content), "[") {
				kind = "text/plain"
			}
			if off {
				b.Content = nil
			}
			b.Content = redactor.Body(redact.Body{ContentType: kind, Content: b.Content, Side: side, Call: call}).Content
		}
		redactor.Headers(r.RequestHeaders, "request_headers", nil)
		redactor.Headers(r.ResponseHeaders, "response_headers", nil)
		r.URI, _ = redactor.URL(r.URI, "uri", nil)
		r.Query, _ = redactor.Query(r.Query, nil)
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

// VK-30: the words of a cloud's own action log find the calls of servers.
func TestServersAreFoundByTheWordsOfTheCloud(t *testing.T) {
	p, _ := openStack(t, "nova")
	created, acted := 0, 0
	for _, rule := range p.Rules {
		m := rule.Matches[0]
		switch {
		case m.Method == "POST" && m.Path == "/v2.1/servers":
			created++
			if !slices.Contains(rule.Aliases, "create-vm") {
				t.Errorf("%s has no alias create-vm: %q", rule.Name, rule.Aliases)
			}
		case m.Path == "/v2.1/servers/:server/action":
			acted++
			if !slices.Contains(rule.Aliases, "vm-action") {
				t.Errorf("%s {%s} has no alias vm-action: %q", rule.Name, rule.Key, rule.Aliases)
			}
		}
	}
	if created != 1 || acted < 40 {
		t.Errorf("%d lines create servers, %d act on them", created, acted)
	}
}

// One capture may stand in front of all services.
func TestAllOfOpenStackFitsOneCapture(t *testing.T) {
	services, _ := naming.OpenStackServices()
	p, _ := openStack(t, services...)
	hider(t, p)
	t.Logf("of %d each: %d pointers, %d exceptions, %d paths", redact.MaxRules, len(p.Pointers), len(p.Keep), len(p.Paths))
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

// docs/openstack.md promises no service that is not known.
func TestServicesOfThePageAreKnown(t *testing.T) {
	page, err := os.ReadFile("../../docs/openstack.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| source | service |\n|---|---|\n")
	table, _, found := strings.Cut(table, "\n\n")
	if !found {
		t.Fatal("docs/openstack.md has no table of services as it was")
	}
	known, _ := naming.OpenStackServices()
	for row := range strings.Lines(table) {
		if source := strings.Split(row, "`")[1]; !slices.Contains(known, source) {
			t.Errorf("%s is in docs/openstack.md, known are %q", source, known)
		}
	}
}
