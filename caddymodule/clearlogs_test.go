package caddymodule_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/caddymodule"
)

func TestEveryLogThatShowsSecretsIsFound(t *testing.T) {
	const (
		quiet   = "log {\noutput discard\n}\n"
		hidden  = "log {\noutput stderr\nformat audit\n}\n"
		plain   = "log {\noutput stderr\n}\n"
		console = "log {\noutput stderr\nformat console\n}\n"
		own     = "Caddy's own log "
		site    = "an access log "
		other   = "a log beside the default one "
	)
	for name, x := range map[string]struct {
		options, sites string
		want           []string
	}{
		"default":              {plain, ":1\n", []string{own + "log default"}},
		"hidden":               {hidden, ":1 {\nlog\n}\n", nil},
		"of a site":            {hidden, ":1 {\n" + console + "}\n", []string{site + "log log0 server srv0"}},
		"of a site, by name":   {quiet, ":1 {\n" + strings.Replace(plain, "log", "log mine", 1) + "}\n", []string{site + "log mine server srv0"}},
		"of one site of three": {hidden, "http://a:1 {\n" + hidden + "}\nhttp://b:1 {\n" + plain + "}\nhttp://c:1 {\nlog\n}\n", []string{site + "log log1 server srv0"}},
		"all":                  {plain, ":1 {\n" + plain + "}\n", []string{own + "log default", site + "log log0 server srv0"}},
		"discarded":            {quiet, ":1 {\n" + quiet + "}\n", nil},
		"another":              {hidden + "log errors {\noutput stderr\ninclude http.log.error\n}\n", ":1\n", []string{other}},
	} {
		t.Run(name, func(t *testing.T) {
			config := adapt(string(caddyfile.Format([]byte("{\nadmin off\nauto_https off\n" + x.options + "}\n" + x.sites))))
			ctx, err := caddy.ProvisionContext(decode(t, config))
			if err != nil {
				t.Fatal(err)
			}
			app, err := ctx.App("auditgate")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range app.(*caddymodule.App).ClearLogs() {
				text, _, _ := strings.Cut(f.Text, "shows")
				got = append(got, text+strings.TrimSpace(fmt.Sprintln(f.With...)))
			}
			if diff := cmp.Diff(x.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, config)
			}
		})
	}
}
