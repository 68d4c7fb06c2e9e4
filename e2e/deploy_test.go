package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The configuration in docs/deploy.md is valid and has nothing to warn of, and its unit
// is one.
func TestDeploymentIsAsDescribed(t *testing.T) {
	page, err := os.ReadFile("../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	unit, err := os.ReadFile("../docs/auditgate.service")
	if err != nil {
		t.Fatal(err)
	}
	g := newGateway(t)
	_, config, _ := strings.Cut(string(page), "```caddyfile\n")
	config, _, _ = strings.Cut(config, "```\n")
	g.rewrite(config)
	out, err := g.command("validate", "--config", g.config).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Valid configuration") || strings.Contains(string(out), "WARN") || strings.Contains(string(out), "not formatted") {
		t.Errorf("validating it: %v\n%s", err, out)
	}

	const closing = 10 * time.Second // that of the store
	grace, stop := seconds(t, config, `grace_period (\w+)`), seconds(t, string(unit), `TimeoutStopSec=(\w+)`)
	if stop < grace+closing+5*time.Second {
		t.Errorf("systemd kills after %v what may take %v and %v", stop, grace, closing)
	}
	for _, line := range regexp.MustCompile(`/(?:run|var/lib|etc)/auditgate\b`).FindAllString(config, -1) {
		dir := map[string]string{"/run/auditgate": "RuntimeDirectory=auditgate", "/var/lib/auditgate": "StateDirectory=auditgate", "/etc/auditgate": "/etc/auditgate/Caddyfile"}[line]
		if !strings.Contains(string(unit), dir) {
			t.Errorf("the unit does not have %s", dir)
		}
	}

	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze")
	}
	file := filepath.Join(g.dir, "auditgate.service")
	writeFile(t, file, strings.ReplaceAll(string(unit), "/usr/local/bin/auditgate", g.program))
	// It looks at the machine's units too, and may complain about those.
	out, err = exec.Command(analyze, "verify", "--man=no", file).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "auditgate") {
			t.Errorf("systemd-analyze verify: %v: %s", err, line)
		}
	}
}

func seconds(t *testing.T, text, expr string) time.Duration {
	t.Helper()
	found := regexp.MustCompile(expr).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("there is no %s", expr)
	}
	d, err := time.ParseDuration(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return d
}
