package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What start-up would warn of is told before, wherever the log of the configuration goes,
// and nothing is opened or made for it.
func TestValidateTellsWarnings(t *testing.T) {
	g := newGateway(t)
	g.write(fmt.Sprintf("%s {\nreverse_proxy 127.0.0.1:9\n}\nhttp://%s {\naudit_api {\nrestrict keystoen\n}\n}\n", g.traffic, freeAddress(t)))
	g.insert("log {\noutput file " + g.dir + "/elsewhere\n}")
	validate := func() (out, complaint string, err error) {
		cmd := g.command("validate", "--config", g.config, "--adapter", "caddyfile")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err = cmd.Run()
		return stdout.String(), stderr.String(), err
	}
	out, told, err := validate()
	if err != nil || !strings.Contains(out, "Valid configuration") {
		t.Errorf("validate: %v\n%s%s", err, out, told)
	}
	for _, want := range []string{
		`level=WARN msg="a reverse_proxy stands behind no audit_capture`, "upstreams=127.0.0.1:9",
		"restrict names a source that no audit_capture has", "source=keystoen", "Caddy's own log shows the headers",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("there is no %q in\n%s", want, told)
		}
	}
	for _, dir := range []string{"store", "keys"} {
		if _, err := os.Stat(filepath.Join(g.dir, dir)); err == nil {
			t.Errorf("validating has made %s", dir)
		}
	}

	g.replace("restrict keystoen", "jwt {\npublic_key /nowhere\naudience a\n}") // the app is there by then
	if out, told, err := validate(); err == nil || strings.Contains(told, "level=WARN") {
		t.Errorf("a configuration that is not valid: %v\n%s%s", err, out, told)
	}
	g.write(g.site("127.0.0.1:9"))
	g.insert("log {\nformat audit\n}")
	if out, told, err := validate(); err != nil || strings.Contains(told, "level=WARN") {
		t.Errorf("a configuration with nothing to warn of: %v\n%s%s", err, out, told)
	}
}
