package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/auditgate/auditgate/caddymodule"
)

var update = flag.Bool("update", false, "write what is adapted into the golden files")

const separator = "\n----------\n"

// Each file of testdata/adapt is a Caddyfile, a line of dashes, and what comes
// of it: JSON, or the text of an error.
func TestCaddyfileAdaptsAsInTheGoldenFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(content), separator)
			got := adapt(input + "\n")
			if *update {
				err := os.WriteFile(file, []byte(input+separator+got+"\n"), 0o644)
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != strings.TrimSpace(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// adapt returns indented JSON, or the text of the error.
func adapt(input string) string {
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	raw, warnings, err := adapter.Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error()
	}
	for _, w := range warnings {
		return "warning: " + w.String()
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "\t"); err != nil {
		return err.Error()
	}
	return out.String()
}

// openStackPage returns the Caddyfile of docs/openstack.md.
func openStackPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/openstack.md")
	if err != nil {
		t.Fatal(err)
	}
	_, config, _ := strings.Cut(string(page), "```caddyfile\n")
	config, _, found := strings.Cut(config, "```")
	if !found || strings.Count(config, "preset openstack") != 2 {
		t.Fatal("docs/openstack.md has no configuration as it was")
	}
	return config
}

func TestCaddyfileForOpenStackAdapts(t *testing.T) {
	config := openStackPage(t)
	if formatted := string(caddyfile.Format([]byte(config))); config != formatted {
		t.Errorf("want it formatted:\n%s", formatted)
	}
	if got := adapt(config); !strings.HasPrefix(got, "{") {
		t.Error(got)
	}
}

// Not golden files: the services that are known grow.
func TestUnknownServiceIsAnErrorWithItsLine(t *testing.T) {
	for lines, want := range map[string]string{
		"cloud {\npreset openstack\n}":                  `preset openstack: no service is known by the name of the source, "cloud": say which it is, as in`,
		"cloud {\npreset openstack keystone billing\n}": `preset openstack: no service is known as "billing": want some of [`,
	} {
		got := adapt(":80 {\naudit_capture " + lines + "\n}\n")
		if !strings.HasPrefix(got, "parsing caddyfile tokens for 'audit_capture': "+want) || !strings.Contains(got, `"glance"`) || !strings.HasSuffix(got, ", at Caddyfile:3") {
			t.Error(got)
		}
	}
}
