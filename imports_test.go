package auditgate_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/auditgate/auditgate"
	badger = "github.com/dgraph-io/badger/v4"
	caddy  = "github.com/caddyserver/caddy/v2"
)

// rules says, for each package, which packages of ours it may import. Names are
// below the module, and "." is its root; "x/..." is x and all below it, and on
// the left all that have no rule that says more. What has no rule may import
// nothing of ours. Tests are free: they use real parts.
var rules = map[string][]string{
	"record":          {},
	"capture":         {"record", "capture/..."},
	"capture/...":     {"record", "capture/uripath"},
	"capture/uripath": {},
	"store":           {"record", "store/disk"},
	"store/...":       {"record", "store", "store/disk"},
	"store/disk":      {},
	"job":             {"record"},
	"auditapi":        {"record", "store", "job", "auditapi/..."},
	"auditapi/...":    {"record", "store", "job"},
	"caddymodule":     {"record", "capture/...", "store/...", "job", "auditapi/..."},
	".":               {"caddymodule"},
	"cmd/auditgate":   {".", "caddymodule"},
}

var (
	mayImportBadger = []string{"store/badger"}
	mayNeedCaddy    = []string{"caddymodule", ".", "cmd/auditgate"}
)

type listed struct {
	ImportPath string
	Imports    []string // of the package itself
	Deps       []string // of all that it needs
}

func TestImportsKeepTheRules(t *testing.T) {
	for _, p := range list(t) {
		name := below(p.ImportPath, module)
		allowed := rules[ruleFor(name)]
		for _, imported := range p.Imports {
			if own := below(imported, module); own != "" && !slices.ContainsFunc(allowed, func(a string) bool { return fits(a, own) }) {
				t.Errorf("%s imports %s, and may import %q of ours", name, own, allowed)
			}
			if below(imported, badger) != "" && !slices.Contains(mayImportBadger, name) {
				t.Errorf("%s imports %s: only %q may", name, imported, mayImportBadger)
			}
		}
		needsCaddy := slices.ContainsFunc(p.Deps, func(needed string) bool { return below(needed, caddy) != "" })
		if needsCaddy && !slices.Contains(mayNeedCaddy, name) {
			t.Errorf("%s needs Caddy: only %q may", name, mayNeedCaddy)
		}
	}
}

// ruleFor returns the rule that says most about the package.
func ruleFor(name string) string {
	if _, ok := rules[name]; ok {
		return name
	}
	var best string
	for rule := range rules {
		if fits(rule, name) && len(rule) > len(best) {
			best = rule
		}
	}
	return best
}

func fits(rule, name string) bool {
	if root, ok := strings.CutSuffix(rule, "/..."); ok {
		return name == root || strings.HasPrefix(name, root+"/")
	}
	return name == rule
}

// below returns the name of a package below root, "." for root itself and ""
// for what is elsewhere.
func below(path, root string) string {
	if path == root {
		return "."
	}
	name, ok := strings.CutPrefix(path, root+"/")
	if !ok {
		return ""
	}
	return name
}

// list returns all packages of the module, without their tests.
func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-buildvcs=false", "-json=ImportPath,Imports,Deps", "./...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%v: %v\n%s", cmd, err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var packages []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatalf("reading what %v prints: %v", cmd, err)
		}
		packages = append(packages, p)
	}
}
