package naming_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/auditgate/auditgate/capture/naming"
	"github.com/auditgate/auditgate/record"
)

const zoo = `# The zoo service
service zoo animals
name /{noun}/name /title

root /
version.list    GET   /
root /v2 /v2/:project
secret field    roar
secret header   X-Key X-Lock
secret pointer  /lion/den
secret path     /cages/:secret/door
keep /token /keys  on POST /tickets
lion.list       GET   /lions
lion.list       GET   /lions/detail   # of all
lion.create     POST  /lions          alias adopt-lion adopt object none object lion "{audit.res.json./lion/id}"
lion.show       GET   /lions/:lion
lion.feed       POST  /lions/:lion/action {feed}  alias lion-action
    description "Feed {audit.path.lion}"
lion.action     POST  /lions/:lion/action         alias lion-action
cub.list        GET   /lions/:lion/cubs
cub.create      POST,PUT  /lions/:lion/cubs       object kitten
picture.show    GET   /lions/:lion/picture        body off
`

func TestPresetIsReadLineByLine(t *testing.T) {
	p, err := naming.ReadPreset("zoo.rules", zoo)
	if err != nil {
		t.Fatal(err)
	}
	want := &naming.Preset{Headers: []string{"X-Key", "X-Lock"}, Fields: []string{"roar"}, Pointers: []string{"/lion/den"}}
	if diff := cmp.Diff(want, p, cmpopts.IgnoreFields(naming.Preset{}, "Rules", "Keep", "Withheld", "Paths")); diff != "" {
		t.Error(diff)
	}
	if want := []string{
		"/v2/cages/:secret/door", "/v2/:project/cages/:secret/door", "/*/v2/cages/:secret/door", "/*/v2/:project/cages/:secret/door",
		"/*/*/v2/cages/:secret/door", "/*/*/v2/:project/cages/:secret/door",
	}; cmp.Diff(want, p.Paths) != "" {
		t.Error(cmp.Diff(want, p.Paths))
	}
	if len(p.Keep) != 12 || p.Keep[1].Pointer != "/keys" || p.Keep[1].Path != "/v2/tickets" || p.Keep[1].Method != "POST" {
		t.Errorf("kept: %+v", p.Keep)
	}
	if len(p.Withheld) != 6 || p.Withheld[0].Path != "/v2/lions/:lion/picture" {
		t.Errorf("withheld: %+v", p.Withheld)
	}
	n := mustNew(t, p.Rules...)
	for _, test := range []struct{ call, request, response, want string }{
		{"GET /", "", "", "version.list"},
		{"GET /animals/", "", "", "version.list"},
		{"GET /others", "", "", "unknown"},
		{"GET /v2/lions", "", "", "lion.list"},
		{"GET /v2/p1/lions/detail", "", "", "lion.list"},
		{"GET /some/zoo/v2/p1/lions/leo", "", `{"title":"Leo"}`, "lion.show lion leo Leo"},
		{"GET /far/away/is/the/zoo/v2/lions", "", "", "unknown"},
		{"GET /v2/lions/leo", `{"lion":{"name":"Rex"}}`, `{"lion":{"name":"Leo"}}`, "lion.show lion leo Leo"},
		{"GET /v2/lions/lions", "", "", "lion.show lion lions "}, // and not the list of a project
		{"POST /v2/lions", "", `{"lion":{"id":7}}`, "lion.create lion 7 "},
		{"POST /v2/lions/leo/action", `{"feed":{"meat":2}}`, "", "lion.feed lion leo "},
		{"POST /v2/lions/leo/action", `{"pet":{"feed":2}}`, "", "lion.action lion leo "},
		{"GET /v2/lions/leo/cubs", "", "", "cub.list lion leo "},
		{"PUT /v2/lions/leo/cubs", `{"title":"Mia"}`, `{"cub":{"id":1}}`, "cub.create kitten 1 Mia"},
	} {
		method, uri, _ := strings.Cut(test.call, " ")
		r := &record.Record{Method: method, URI: uri, RequestBody: body(test.request), ResponseBody: body(test.response)}
		n.Name(r, naming.Call{})
		got := r.Action
		if o := r.Object; o != nil {
			got += " " + o.Type + " " + o.ID + " " + o.Name
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.call, got, test.want)
		}
		if r.Action == "lion.feed" && (r.Description != "Feed leo" || r.ActionAliases[0] != "lion-action") {
			t.Errorf("%+v", r)
		}
	}
}

// Whoever writes the path of a call has no say in whether its body is kept.
func TestWithheldCallsAreFoundHoweverTheirPathIsWritten(t *testing.T) {
	n := mustNew(t, naming.Rule{Name: "withheld", Matches: []naming.Match{{Method: "GET", Path: "/v2/lions/:lion/picture"}, {Method: "GET", Path: "/v2/:project/lions/*"}}})
	for path, want := range map[string]bool{
		"/v2/lions/leo/picture":                   true,
		"/v2/lions/leo/picture/":                  true,
		"//v2///lions/leo//picture":               true,
		"/v2/lions/leo/./picture":                 true,
		"/v2/lions/leo/x/../picture":              true,
		"/v2/lions/leo/x/%2e%2e/picture":          true,
		"/v2/lions/leo%2Fpicture":                 true,
		"/v2%2flions%2fleo%2fpicture":             true,
		"/v2/lions/leo%2f..%2fmia/picture":        true,
		"/a/b/c/d/v2/lions/leo/picture":           true,
		"/a/b/c/d/v2/p1/lions/leo/x/y":            true,
		"/v2/v2/lions/leo/picture":                true,
		"/v2/p1/lions":                            true, // a last /* is nothing as well
		"/v2/lions/leo":                           false,
		"/v2/lions/leo/picture/..":                false,
		"/v2/lions/leo/pictures":                  false,
		"/":                                       false,
		"/" + strings.Repeat("v2/", 5000) + "x":   false,
		"/v2/tigers/x%2f..%2f..%2flions%2fa%2fb":  false,
		"/v2/p1/tigers/x%2f..%2f..%2flions%2fleo": true,
	} {
		if got := n.Covers("GET", path); got != want {
			t.Errorf("%.60s: %t", path, got)
		}
		if n.Covers("PUT", path) {
			t.Errorf("%.60s by another method", path)
		}
	}
}

func TestBadPresetSaysWhatIsWrong(t *testing.T) {
	for line, want := range map[string]string{
		"lion.show GET":                       "x.rules:1: lion.show: want an action, methods and a path",
		"\nlion.show GET /lions sing":         `x.rules:2: lion.show: "sing" is not known here`,
		"lion.show GET /lions alias":          "want `alias <word…>`",
		"lion.show GET /lions body on":        "want `alias <word…>`",
		`lion.show GET /lions description "a`: "a quote is not closed",
		"secret lion x":                       "secret lion: want header, field, pointer or path",
		"keep /token POST /x":                 "keep: want JSON pointers",
		"root":                                "root: want something behind it",
	} {
		if _, err := naming.ReadPreset("x.rules", line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}
