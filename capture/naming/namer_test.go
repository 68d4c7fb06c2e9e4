package naming_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/capture/naming"
	"github.com/auditgate/auditgate/record"
)

func body(text string) record.Body {
	return record.Body{Content: []byte(text), BodyInfo: record.BodyInfo{State: record.BodyComplete, ContentType: "application/json"}}
}

func mustNew(t *testing.T, rules ...naming.Rule) *naming.Namer {
	t.Helper()
	n, err := naming.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func match(line string) []naming.Match {
	method, path, _ := strings.Cut(line, " ")
	return []naming.Match{{Method: method, Path: path}}
}

// VK-18, VK-30, CSO-08, CSO-09, CSO-10: action, alias, object and description.
func TestRuleNamesCallObjectAndDescription(t *testing.T) {
	n := mustNew(t, naming.Rule{
		Name: "server.create", Matches: match("POST /v2.1/servers"), Aliases: []string{"create-vm"},
		Objects:     []naming.Object{{Type: "server", ID: "{audit.res.json./server/id}", Name: "{audit.req.json./server/name}"}},
		Description: "Create server {audit.req.json./server/name} by {audit.user_name} ({http.request.host})",
	})
	r := &record.Record{
		Method: "POST", URI: "/v2.1/servers", Status: 202, Success: record.SuccessYes, Actor: record.Actor{UserName: "zoe"},
		RequestBody: body(`{"server": {"name": "a\u0062", "size": 3}}`), ResponseBody: body(`{"server":{"id":"s-1","links":[{"x":1}]}}`),
	}
	if diff := cmp.Diff([]string{"http.request.host"}, n.Placeholders()); diff != "" {
		t.Error(diff)
	}
	n.Name(r, naming.Call{Values: []string{"api.example"}})
	want := &record.Record{
		Action: "server.create", ActionAliases: []string{"create-vm"}, Description: "Create server ab by zoe (api.example)",
		Object: &record.Object{Type: "server", ID: "s-1", Name: "ab"},
	}
	got := &record.Record{Action: r.Action, ActionAliases: r.ActionAliases, Description: r.Description, Object: r.Object}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFirstRuleThatMatchesWins(t *testing.T) {
	n := mustNew(t,
		naming.Rule{Name: "guarded", Matches: match("* /servers/*"), Matcher: 1},
		naming.Rule{Name: "reboot", Matches: match("POST /servers/:id/action"), Key: "reboot"},
		naming.Rule{Name: "detail", Matches: match("GET /servers/detail")},
		naming.Rule{Name: "show", Matches: match("GET /servers/:id")},
		naming.Rule{Name: "below", Matches: match("* /servers/:id/*")},
		naming.Rule{Name: "list", Matches: match("GET /servers")},
		naming.Rule{Name: "star", Matches: match("GET /*/images")},
	)
	for _, test := range []struct {
		method, uri, request string
		matched              uint64
		want                 string
	}{
		{"POST", "/servers/7/action", `{"reboot": {"type": "HARD"}}`, 0, "reboot"},
		{"POST", "/servers/7/action", `{"os-start": null}`, 0, "below"},
		{"POST", "/servers/7/action", `{"os-start": null}`, 1, "guarded"},
		{"GET", "/servers/detail", "", 0, "detail"},
		{"GET", "/servers/d%65tail", "", 0, "detail"},
		{"GET", "/servers/7", "", 0, "show"},
		{"GET", "/servers/7/", "", 0, "show"},
		{"DELETE", "/servers/7", "", 0, "below"}, // the rest may be nothing
		{"GET", "/servers/7/ips/private", "", 0, "below"},
		{"GET", "/servers", "", 0, "list"},
		{"GET", "/v2/images", "", 0, "star"},
		{"GET", "/v2/x/images", "", 0, naming.Unknown},
		{"PUT", "/servers", "", 0, naming.Unknown},
		{"GET", "", "", 0, naming.Unknown},
		{"GET", "/" + strings.Repeat("a/", 5000), "", 0, naming.Unknown},
	} {
		r := &record.Record{Method: test.method, URI: test.uri, RequestBody: body(test.request)}
		n.Name(r, naming.Call{Matched: test.matched})
		if r.Action != test.want {
			t.Errorf("%s %.40s %s: %s, want %s", test.method, test.uri, test.request, r.Action, test.want)
		}
	}
}

// A path is read as servers do. They do not agree on coded slashes: a call that is another
// one to each of them has no name, and what they read differently of it no value.
func TestPathsAreReadInEachWay(t *testing.T) {
	rule := func(name, of string) naming.Rule {
		return naming.Rule{Name: name, Matches: match(of), Objects: []naming.Object{{Type: "server", ID: "{audit.path.id}", Name: "{audit.path.2}"}}}
	}
	n := mustNew(t,
		naming.Rule{Name: "list", Matches: match("GET /servers")}, rule("show", "GET /servers/:id"),
		rule("delete", "DELETE /servers/:id"), rule("delete", "DELETE /servers/:id/force"), rule("detach", "DELETE /servers/:id/ports/:port"),
		rule("tag", "PUT /servers/:id/*"),
	)
	for _, test := range []struct{ method, uri, want string }{
		{"GET", "//servers", "list"},
		{"GET", "/servers//", "list"},
		{"GET", "/x/../servers/./", "list"},
		{"GET", "/%2e/servers", "list"},
		{"GET", "//servers//7", "show 7 7"},
		{"GET", "/servers/x/%2e%2e/7", "show 7 7"},
		{"GET", "/servers%2F7", "show 7 7"},       // only to those to which it is a slash
		{"GET", "/servers/a%2Fb", "show a/b a/b"}, // only to the others
		{"GET", "/servers/7%2F", "show"},
		{"DELETE", "/servers/7%2Fports%2F8", naming.Unknown},
		{"DELETE", "/servers/x%2f..%2f7", "delete"},
		{"DELETE", "/servers/7%2fforce", "delete 7/force 7/force"},
		{"PUT", "/servers/7/a%2Fb", "tag 7 7"},
		{"OPTIONS", "*", naming.Unknown},
	} {
		r := &record.Record{Method: test.method, URI: test.uri}
		n.Name(r, naming.Call{})
		got := r.Action
		if r.Object != nil {
			got += " " + r.Object.ID + " " + r.Object.Name
		}
		if got != test.want {
			t.Errorf("%s %s: %s, want %s", test.method, test.uri, got, test.want)
		}
	}
	every := mustNew(t, naming.Rule{Name: "every"})
	for _, uri := range []string{"*", "/", "/a%2Fb", "h:443"} {
		r := &record.Record{Method: "OPTIONS", URI: uri}
		if every.Name(r, naming.Call{}); r.Action != "every" {
			t.Errorf("a rule for every call makes %s %s", uri, r.Action)
		}
	}
	for _, path := range []string{"GET /a/../b", "GET /./a"} {
		if _, err := naming.New([]naming.Rule{{Name: "x", Matches: match(path)}}); err == nil {
			t.Errorf("the pattern %s is taken, which no path is", path)
		}
	}
}

// What was cut off, or never there, yields nothing, and never half of a value.
func TestPointersReadWhatIsThere(t *testing.T) {
	for _, test := range []struct {
		pointer, body string
		state         record.BodyState
		want          string
	}{
		{"/a/b", `{"a":{"b":"x"}}`, record.BodyComplete, "x"},
		{"/a/1/b", `{"a":[0,{"b":true}]}`, record.BodyComplete, "true"},
		{"/a~1b/~0", `{"a/b":{"~":1.50}}`, record.BodyComplete, "1.50"},
		{"/a b", `{"a b":"x"}`, record.BodyComplete, "x"},
		{"/}", `{"}":"x"}`, record.BodyComplete, "x"},
		{"", `{"a":1}`, record.BodyComplete, `{"a":1}`},
		{"/a", `{"a":{"b": [1]}}`, record.BodyComplete, `{"b": [1]}`},
		{"/a", `{"a":null}`, record.BodyComplete, ""},
		{"/a", `{"b":1}`, record.BodyComplete, ""},
		{"/a", `{"a":1,"a":2}`, record.BodyComplete, "2"},
		{"/\u00e9", `{"\u00e9":"x"}`, record.BodyComplete, "x"},
		{"/a", `{"a":"x","b":"cut of`, record.BodyTruncated, "x"},
		{"/b", `{"a":"x","b":"cut of`, record.BodyTruncated, ""},
		{"/b", `{"a":"x","b":123`, record.BodyTruncated, ""},
		{"/b/c", `{"b":{"c":1`, record.BodyTruncated, ""},
		{"/b", `{"b":{"c":1`, record.BodyTruncated, ""},
		{"/a", `not json`, record.BodyComplete, ""},
		{"/a", "", record.BodyNone, ""},
		{"/a/b/c", `{"a":"x"}`, record.BodyComplete, ""},
	} {
		n := mustNew(t, naming.Rule{Name: "x", Description: "{audit.res.json." + strings.ReplaceAll(test.pointer, "}", `\}`) + "}"})
		r := &record.Record{Method: "GET", URI: "/", ResponseBody: body(test.body)}
		r.ResponseBody.State = test.state
		n.Name(r, naming.Call{})
		if r.Description != test.want {
			t.Errorf("%s in %s: %q, want %q", test.pointer, test.body, r.Description, test.want)
		}
	}
}

func TestPlaceholdersReadPathFormHeadersAndFields(t *testing.T) {
	n := mustNew(t, naming.Rule{
		Name: "x", Matches: []naming.Match{{Method: "POST", Path: "/sites/:site/:what"}, {Method: "POST", Path: "/old/:what"}},
		Objects:     []naming.Object{{Type: "{audit.path.what}", ID: "{audit.path.2}", Name: "{audit.req.form.name}"}},
		Description: "{audit.path.site}|{audit.req.header.x-who}|{audit.res.header.Location}|{audit.status}|{audit.action}|{audit.path.9}",
	})
	r := &record.Record{
		Method: "POST", URI: "/sites/a%2Fb/door", Status: 201,
		RequestHeaders:  record.Headers{{Name: "X-Who", Value: "me"}},
		ResponseHeaders: record.Headers{{Name: "Location", Value: "/x"}},
		RequestBody: record.Body{Content: []byte("a=1&name=two+words"), BodyInfo: record.BodyInfo{
			State: record.BodyComplete, ContentType: "application/x-www-form-urlencoded; charset=utf-8",
		}},
	}
	n.Name(r, naming.Call{})
	if diff := cmp.Diff(&record.Object{Type: "door", ID: "a/b", Name: "two words"}, r.Object); diff != "" {
		t.Error(diff)
	}
	if want := "a/b|me|/x|201|x|"; r.Description != want {
		t.Errorf("description %q, want %q", r.Description, want)
	}
	r.RequestBody.State = record.BodyTruncated
	n.Name(r, naming.Call{})
	if r.Object.Name != "" {
		t.Errorf("a form's last value, which may be cut, is told: %q", r.Object.Name)
	}
}

func TestTailOfAReferenceIsItsID(t *testing.T) {
	n := mustNew(t, naming.Rule{Name: "x", Objects: []naming.Object{{Type: "x", ID: "{audit.tail.res.json./ref}", Name: "{audit.tail.res.header.Location}"}}})
	for ref, want := range map[string]string{"https://b:9311/v1/secrets/s1": "s1", "/v1/secrets/s1/": "s1", "s1": "s1", "/": ""} {
		r := &record.Record{ResponseBody: body(`{"ref":"` + ref + `"}`), ResponseHeaders: record.Headers{{Name: "Location", Value: "/a/b"}}}
		n.Name(r, naming.Call{})
		if diff := cmp.Diff(&record.Object{Type: "x", ID: want, Name: "b"}, r.Object); diff != "" {
			t.Errorf("%s: %s", ref, diff)
		}
	}
}

func TestRestOfThePathIsRead(t *testing.T) {
	n := mustNew(t, naming.Rule{Name: "x", Matches: match("GET /a/:b/*"), Objects: []naming.Object{{Type: "x", ID: "{audit.path.*}", Name: "{audit.path.b}"}}})
	for uri, want := range map[string]string{"/a/b": "", "/a/b/c": "c", "/a/b/c/d%2Fe/f": "c/d/e/f"} {
		r := &record.Record{Method: "GET", URI: uri}
		n.Name(r, naming.Call{})
		if diff := cmp.Diff(&record.Object{Type: "x", ID: want, Name: "b"}, r.Object); diff != "" {
			t.Errorf("%s: %s", uri, diff)
		}
	}
	if _, err := naming.New([]naming.Rule{{Name: "x", Matches: match("GET /a/:b"), Description: "{audit.path.*}"}}); err == nil {
		t.Error("a rule without a rest may name it")
	}
}

func TestSuccessIsJudgedByTheAnswer(t *testing.T) {
	n := mustNew(t, naming.Rule{Name: "x", Success: "{audit.res.json./ok}", Want: "true"})
	for answer, want := range map[string]record.Success{
		`{"ok":true}`: record.SuccessYes, `{"ok":"true"}`: record.SuccessYes, `{"ok":false}`: record.SuccessNo,
		`{"ok":null}`: record.SuccessUnknown, `{}`: record.SuccessUnknown,
	} {
		for _, before := range []record.Success{record.SuccessYes, record.SuccessNo, record.SuccessUnknown} {
			r := &record.Record{Method: "GET", URI: "/", Success: before, ResponseBody: body(answer)}
			n.Name(r, naming.Call{})
			if before == record.SuccessYes && r.Success != want || before != record.SuccessYes && r.Success != before {
				t.Errorf("%s: %s became %s, want %s", answer, before, r.Success, want)
			}
		}
	}
}

func TestBadRulesSayWhatIsWrong(t *testing.T) {
	for want, rule := range map[string]naming.Rule{
		"no name of an action":                {Name: "a b"},
		"ends in a dot":                       {Name: "server."},
		"audit.tail.<one of these>":           {Name: "x", Description: "{audit.tail.nothing}"},
		"begins with /":                       {Name: "x", Matches: match("GET servers")},
		"`:name` or `*`":                      {Name: "x", Matches: match("GET /a{id}")},
		`"id" stands there twice`:             {Name: "x", Matches: match("GET /:id/:id")},
		"is no method":                        {Name: "x", Matches: match("get /x")},
		"has a segment :site":                 {Name: "x", Matches: match("GET /:id"), Description: "{audit.path.site}"},
		"want {audit.req.json.":               {Name: "x", Description: "{audit.req.cookie.x}"},
		"is not closed":                       {Name: "x", Description: "{audit.status"},
		"would hold the body back":            {Name: "x", Description: "{http.request.body}"},
		"is no JSON pointer":                  {Name: "x", Description: "{audit.req.json.a}"},
		"written as ~0":                       {Name: "x", Description: "{audit.req.json./~2}"},
		"a field of the record as in":         {Name: "x", Description: "{audit.nothing}"},
		"the value that means success, as in": {Name: "x", Success: "{audit.status}"},
	} {
		if _, err := naming.New([]naming.Rule{rule}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", rule, err, want)
		}
	}
}

func TestLongValuesAreCut(t *testing.T) {
	n := mustNew(t, naming.Rule{Name: "x", Description: "{audit.res.json./a}"})
	r := &record.Record{Method: "GET", URI: "/", ResponseBody: body(`{"a":"` + strings.Repeat("é", 5000) + `"}`)}
	n.Name(r, naming.Call{})
	if len(r.Description) != 1024 {
		t.Errorf("description of %d bytes", len(r.Description))
	}
}

func FuzzName(f *testing.F) {
	n, err := naming.New([]naming.Rule{
		{Name: "a", Matches: match("POST /:x/*"), Key: "k"},
		{
			Name: "b", Objects: []naming.Object{{Type: "t", ID: "{audit.req.json./a/0/b}", Name: "{audit.req.form.a}"}},
			Description: "{audit.req.json.}{audit.res.json./a}{audit.res.json./a/b}",
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("/a/b", []byte(`{"k":{"a":[{"b":1}]}}`), []byte(`{"a":{"b":"\ud800"}}`), true)
	f.Fuzz(func(t *testing.T, uri string, request, response []byte, whole bool) {
		r := &record.Record{Method: "POST", URI: uri, RequestBody: body(string(request)), ResponseBody: body(string(response))}
		if !whole {
			r.RequestBody.State = record.BodyTruncated
		}
		n.Name(r, naming.Call{})
		if r.Action == naming.Unknown {
			t.Error("the last rule names every call")
		}
	})
}
