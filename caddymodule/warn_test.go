package caddymodule_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/caddymodule"
)

// stranger is a handler of a third party that may answer.
type stranger struct{}

func init() {
	caddy.RegisterModule(stranger{})
	httpcaddyfile.RegisterHandlerDirective("stranger", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next() // consume directive name
		return stranger{}, nil
	})
}

func (stranger) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.stranger", New: func() caddy.Module { return new(stranger) }}
}

func (stranger) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

func TestWhatPassesUnseenIsFound(t *testing.T) {
	const (
		proxy   = "a reverse_proxy stands behind no audit_capture"
		errors  = "handle_errors answers calls without audit_capture"
		foreign = "a handler stands before audit_capture"
		general = "an audit_capture for all calls follows one with a matcher"
		rules   = "an audit_capture in handle_errors has rules of its own"
		keys    = "jwks_url is plain http"
		logins  = "nothing is learned from the logins that pass an audit_capture of Keystone"
		tokens  = " is plain http"
	)
	api := func(lines string) string { return ":1 {\naudit_api {\n" + lines + "\n}\n}" }
	identity := func(lines string) string { return ":1 {\naudit_capture a {\nidentity {\n" + lines + "\n}\n}\n}" }
	jwt := func(url string) string { return "jwt {\njwks_url " + url + "\naudience a\n}" }
	for name, x := range map[string]struct {
		sites string
		want  []string
	}{
		"covered":              {":1 {\naudit_capture a\nreverse_proxy h:9\n}", nil},
		"not covered":          {":1 {\nreverse_proxy h:9 i:9\n}", []string{proxy + " srv0 :1 h:9 i:9"}},
		"in two sites":         {":1 {\nreverse_proxy h:9\n}\n:2 {\naudit_capture a\nreverse_proxy h:9\n}", []string{proxy + " srv0 :1 h:9"}},
		"on one server":        {"http://a:1 {\naudit_capture a\nreverse_proxy h:9\n}\nhttp://b:1 {\nreverse_proxy h:8\n}", []string{proxy + " srv0 :1 h:8"}},
		"in one route":         {":1 {\nroute /a/* {\naudit_capture a\nreverse_proxy h:9\n}\nreverse_proxy h:8\n}", []string{proxy + " srv0 :1 h:8"}},
		"in a route it passes": {":1 {\nroute {\nroute /a/* {\naudit_capture a\n}\nreverse_proxy h:8\n}\n}", nil},
		"behind answers":       {":1 {\nroute {\nrespond 200\nreverse_proxy h:8\n}\n}", nil},
		"behind some answers":  {":1 {\nroute {\nrespond /x 200\nreverse_proxy h:8\n}\n}", []string{proxy + " srv0 :1 h:8"}},
		"with a matcher":       {":1 {\naudit_capture /v1/* a\nreverse_proxy h:9\n}", nil},
		"in one handle":        {":1 {\nhandle /a/* {\naudit_capture a\nreverse_proxy h:9\n}\nhandle {\nreverse_proxy h:8\n}\n}", []string{proxy + " srv0 :1 h:8"}},
		"around handles":       {":1 {\naudit_capture a\nhandle /a/* {\nreverse_proxy h:9\n}\nhandle {\nreverse_proxy h:8\n}\n}", nil},
		"after it in route":    {":1 {\nroute {\nreverse_proxy /x h:8\naudit_capture a\nreverse_proxy h:9\n}\n}", []string{proxy + " srv0 :1 h:8"}},
		"php":                  {":1 {\nphp_fastcgi h:9000\n}", []string{proxy + " srv0 :1 h:9000"}},
		"covered php":          {":1 {\naudit_capture a\nphp_fastcgi h:9000\n}", nil},
		"named route":          {"&(up) {\nreverse_proxy h:9\n}\n:1 {\ninvoke up\n}", []string{proxy + " srv0 :1 h:9"}},
		"covered route":        {"&(up) {\nreverse_proxy h:9\n}\n:1 {\naudit_capture a\ninvoke up\n}", nil},
		"capture in a route":   {"&(up) {\naudit_capture a\n}\n:1 {\nroute {\ninvoke up\nreverse_proxy h:9\n}\n}", nil},
		"behind an answer":     {":1 {\nrespond /x 200\nroute {\nreverse_proxy h:9 {\nhandle_response {\nreverse_proxy h:8\n}\n}\n}\n}", []string{proxy + " srv0 :1 h:8", proxy + " srv0 :1 h:9"}},
		"forward auth":         {":1 {\nforward_auth h:9 {\nuri /check\n}\naudit_api\n}", nil},
		"level none":           {":1 {\naudit_capture a {\nlevel none\n}\nreverse_proxy h:9\n}", nil},
		"dynamic":              {":1 {\nreverse_proxy {\ndynamic a h 9\n}\n}", []string{proxy + " srv0 :1 dynamic"}},

		"general last":          {":1 {\naudit_capture /v1/* a\naudit_capture b\nreverse_proxy h:9\n}", []string{general + " srv0 :1 b a"}},
		"sorted so":             {":1 {\naudit_capture b\naudit_capture /v1/* a\nreverse_proxy h:9\n}", []string{general + " srv0 :1 b a"}},
		"general last in route": {":1 {\nroute {\naudit_capture /v1/* a\naudit_capture b\n}\n}", []string{general + " srv0 :1 b a"}},
		"general first":         {":1 {\nroute {\naudit_capture b\naudit_capture /v1/* a\n}\n}", nil},
		"special in a handle":   {":1 {\naudit_capture b\nhandle /v1/* {\naudit_capture a\n}\n}", nil},
		"each its handle":       {":1 {\nhandle /v1/* {\naudit_capture a\n}\nhandle {\naudit_capture b\n}\n}", nil},
		"both special":          {":1 {\naudit_capture /v1/* a\naudit_capture /v2/* b\n}", nil},

		"errors with rules":         {":1 {\naudit_capture a\nreverse_proxy h:9\nhandle_errors {\naudit_capture a {\nredact {\nfields pin\n}\n}\nrespond sorry\n}\n}", []string{rules + " srv0 :1 a"}},
		"errors with fail closed":   {":1 {\naudit_capture a\nreverse_proxy h:9\nhandle_errors {\naudit_capture a {\nfail closed\n}\nrespond 500\n}\n}", []string{rules + " srv0 :1 a"}},
		"errors with a level":       {":1 {\naudit_capture a\nhandle_errors {\naudit_capture a {\nlevel none\n}\n}\n}", []string{rules + " srv0 :1 a"}},
		"errors with a size":        {":1 {\naudit_capture a\nhandle_errors {\naudit_capture a {\nrequest_body 0\n}\n}\n}", []string{rules + " srv0 :1 a"}},
		"errors with a project":     {":1 {\naudit_capture a\nhandle_errors {\naudit_capture a {\nproject path 2\n}\n}\n}", []string{rules + " srv0 :1 a"}},
		"errors alone are captured": {":1 {\nrespond 200\nhandle_errors {\naudit_capture a {\nlevel metadata\n}\n}\n}", nil},

		"errors":                   {":1 {\naudit_capture a\nreverse_proxy h:9\nhandle_errors {\nrespond sorry\n}\n}", []string{errors + " srv0 :1 http.handlers.static_response"}},
		"errors by proxy":          {":1 {\naudit_capture a\nreverse_proxy h:9\nhandle_errors {\nreverse_proxy h:8\n}\n}", []string{errors + " srv0 :1 http.handlers.reverse_proxy"}},
		"covered errors":           {":1 {\naudit_capture a\nreverse_proxy h:9\nhandle_errors {\naudit_capture a\nrespond sorry\n}\n}", nil},
		"errors half covered":      {":1 {\naudit_capture a\nreverse_proxy h:9\nhandle_errors 404 {\naudit_capture a\nrespond sorry\n}\nhandle_errors {\nrespond sorry\n}\n}", []string{errors + " srv0 :1 http.handlers.static_response"}},
		"errors by matchers":       {":1 {\naudit_capture a\nreverse_proxy h:9\nhandle_errors {\naudit_capture a\nrespond /x no\nrespond sorry\n}\n}", nil},
		"errors of two sites":      {"http://a:1 {\naudit_capture a\nreverse_proxy h:9\nhandle_errors {\naudit_capture a\nrespond sorry\n}\n}\nhttp://b:1 {\naudit_capture b\nreverse_proxy h:8\nhandle_errors {\nrespond sorry\n}\n}", []string{errors + " srv0 :1 http.handlers.static_response"}},
		"errors of another site":   {"http://a:1 {\naudit_capture a\nreverse_proxy h:9\n}\nhttp://b:1 {\nrespond 200\nhandle_errors {\nrespond sorry\n}\n}", nil},
		"errors of an API":         {":1 {\naudit_api\nhandle_errors {\nrespond sorry\n}\n}", nil},
		"errors without answer":    {":1 {\naudit_capture a\nreverse_proxy h:9\nhandle_errors {\nheader X-Error 1\n}\n}", nil},
		"proxy in errors":          {":1 {\nrespond 200\nhandle_errors {\nreverse_proxy h:8\n}\n}", []string{proxy + " srv0 :1 h:8"}},
		"stranger":                 {":1 {\nstranger\naudit_capture a\nreverse_proxy h:9\n}", []string{foreign + " srv0 :1 http.handlers.stranger a"}},
		"stranger in the capture":  {":1 {\nroute {\naudit_capture a\nstranger\nreverse_proxy h:9\n}\n}", nil},
		"stranger elsewhere":       {":1 {\nhandle /x {\nstranger\n}\nhandle {\naudit_capture a\nreverse_proxy h:9\n}\n}", nil},
		"keys over http":           {api(jwt("http://id.example/keys")), []string{keys + " srv0 :1 http://id.example/keys"}},
		"keys over https":          {api(jwt("https://id.example/keys")), nil},
		"keys of this machine":     {api(jwt("http://127.0.0.1:8/keys")), nil},
		"keys of this machine too": {api(jwt("http://[::1]:8/keys")), nil},
		"keys by name":             {api(jwt("http://id.localhost/keys")), nil},
		"Keystone over http":       {api("keystone http://10.0.0.1:5000/v3"), []string{"keystone" + tokens + " srv0 :1 http://10.0.0.1:5000/v3"}},
		"Keystone by placeholder":  {api("keystone {$AUDITGATE_NONE:http://k.example}/v3"), []string{"keystone" + tokens + " srv0 :1 http://k.example/v3"}},
		"Keystone over https":      {api("keystone https://k.example"), nil},
		"Keystone on localhost":    {api("keystone http://LocalHost:5000"), nil},
		"keys of callers":          {identity(jwt("http://id.example/keys")), []string{keys + " srv0 :1 http://id.example/keys"}},
		"introspection over http": {
			identity("introspect http://id.example/ask {\nclient_id a\nclient_secret b\n}"),
			[]string{"introspect" + tokens + " srv0 :1 http://id.example/ask"},
		},

		"Keystone":               {":1 {\naudit_capture iam {\npreset openstack\n}\n}", []string{logins + " srv0 :1 iam"}},
		"Keystone by its name":   {":1 {\naudit_capture keystone {\npreset openstack\nidentity {\nlearn {\non POST /x\ntoken {audit.res.json./a}\nuser_id {audit.res.json./b}\n}\n}\n}\n}\n:2 {\naudit_api\n}", nil},
		"Keystone by another":    {":1 {\naudit_capture login {\npreset openstack iam\nidentity {\nlearn {\non POST /x\ntoken {audit.res.json./a}\nuser_id {audit.res.json./b}\n}\n}\n}\n}\n:2 {\naudit_api\n}", []string{"the records of Keystone are seen only with tokens that name their source srv0 :1 login"}},
		"and it is restricted":   {":1 {\naudit_capture login {\npreset openstack iam\nidentity {\nlearn {\non POST /x\ntoken {audit.res.json./a}\nuser_id {audit.res.json./b}\n}\n}\n}\n}\n:2 {\naudit_api {\nrestrict login\n}\n}", nil},
		"Keystone that teaches":  {":1 {\naudit_capture iam {\npreset openstack\nidentity {\nlearn {\non POST /x\ntoken {audit.res.json./a}\nuser_id {audit.res.json./b}\n}\n}\n}\n}", nil},
		"restricted, and there":  {":1 {\naudit_capture billing\n}\n:2 {\naudit_api {\nrestrict billing auditgate\n}\n}", nil},
		"restricted, misspelled": {":1 {\naudit_capture billing\n}\n:2 {\naudit_api {\nrestrict biling\n}\n}", []string{"restrict names a source that no audit_capture has srv1 :2 biling"}},
		"restricted, none":       {":1 {\naudit_capture billing\n}\n:2 {\naudit_api {\nrestrict none\n}\n}", nil},
		"Glance":                 {":1 {\naudit_capture glance {\npreset openstack\n}\n}", nil},

		"Caddy's own": {":1 {\ntracing\nmap {path} {x} {\ndefault 1\n}\nvars a b\nroot * /srv\nlog_append a b\nlog_skip\naudit_capture a\nreverse_proxy h:9\n}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, findings := caddymodule.Survey(provision(t, x.sites))
			var got []string
			for _, f := range findings {
				text, _, _ := strings.Cut(f.Text, ",")
				for i := 1; i < len(f.With); i += 2 {
					text += fmt.Sprint(" ", f.With[i])
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(x.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// In JSON error routes may follow each other as others do.
func TestCaptureBeforeOtherErrorRoutesCoversThem(t *testing.T) {
	const capture, answer = `{"handler": "audit_capture", "source": "a"}`, `{"handler": "static_response"}`
	for routes, want := range map[string]int{
		`{"handle": [` + capture + `]}, {"handle": [` + answer + `]}`: 0,
		`{"handle": [` + answer + `]}, {"handle": [` + capture + `]}`: 1,
	} {
		_, findings := caddymodule.Survey(provisionJSON(t, `{"admin": {"disabled": true}, "logging": {"logs": {"default": {"writer": {"output": "discard"}}}}, "apps": {"http": {"servers": {"s": {
			"routes": [{"handle": [`+capture+`]}], "errors": {"routes": [`+routes+`]}}}}}}`))
		if len(findings) != want {
			t.Errorf("%s: found %v", routes, findings)
		}
	}
}

func TestShippedConfigurationsGetNoWarnings(t *testing.T) {
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	minimal, _, _ := strings.Cut(minimalOf(t, "../README.md"), "\n\n")
	for name, config := range map[string]string{
		"Caddyfile.example": adapt(string(example)), "README.md": adapt(minimal + "\n"), "docs/openstack.md": adapt(openStackPage(t)),
	} {
		captures, findings := caddymodule.Survey(provisionJSON(t, config))
		if len(captures) == 0 || len(findings) > 0 {
			t.Errorf("%s: %d captures and the findings %v, want captures and no finding", name, len(captures), findings)
		}
	}
}

// minimalOf returns the first Caddyfile of a document in Markdown.
func minimalOf(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, from, found := strings.Cut(string(content), "\n    :8080 {\n")
	if !found {
		t.Fatalf("%s has no Caddyfile of a site at :8080", file)
	}
	return strings.ReplaceAll(":8080 {\n"+from, "\n    ", "\n")
}
