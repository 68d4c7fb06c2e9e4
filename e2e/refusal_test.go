package e2e_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// refused runs a command of the program that must fail, and whose complaint
// must have all of words.
func (g *gateway) refused(t *testing.T, words []string, args ...string) {
	t.Helper()
	cmd := g.command(args...)
	cmd.WaitDelay = time.Second
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	out, err := cmd.CombinedOutput()
	if !timer.Stop() {
		t.Fatalf("%v goes on instead of failing:\n%s", args, out)
	}
	if err == nil {
		t.Fatalf("%v went well, want a complaint with %q:\n%s", args, words, out)
	}
	for _, word := range words {
		if !strings.Contains(string(out), word) {
			t.Errorf("%v complains without saying %q:\n%s", args, word, out)
		}
	}
}

func TestLockedStoreIsRefused(t *testing.T) {
	g := startGateway(t, freeAddress(t))
	second := *g // the same store, on other ports
	second.traffic, second.audit = "http://"+freeAddress(t), "http://"+freeAddress(t)
	second.config = filepath.Join(g.dir, "Second")
	second.write(second.site(freeAddress(t)))
	second.refused(t, []string{g.dir + "/store", "in use by another process"}, "run", "--config", second.config, "--adapter", "caddyfile")
	g.get("/v1/-/logs") // the first goes on
}

func TestUnusableStoreIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, g *gateway)
		words []string
	}{
		"store is a file": {
			func(t *testing.T, g *gateway) { writeFile(t, g.dir+"/store", "") },
			[]string{"/store", "not a directory", "move it away, or use another path"},
		},
		"store of a later format": {
			func(t *testing.T, g *gateway) { writeFile(t, g.dir+"/store/format", "auditgate store 99\n") },
			[]string{"/store", "format", "auditgate store 99"},
		},
		"keys is a file": {
			func(t *testing.T, g *gateway) { writeFile(t, g.dir+"/keys", "") },
			[]string{"/keys", "not a directory"},
		},
		"keys open to others": {
			func(t *testing.T, g *gateway) {
				writeFile(t, g.dir+"/keys/signing.pem", "")
				if err := os.Chmod(g.dir+"/keys", 0o755); err != nil {
					t.Fatal(err)
				}
			},
			[]string{"/keys", "chmod 700"},
		},
		"damaged keys": {
			func(t *testing.T, g *gateway) {
				g.start() // makes the keys
				g.stop()
				files, err := filepath.Glob(g.dir + "/keys/*")
				if err != nil || len(files) == 0 {
					t.Fatalf("there are no keys: %v", err)
				}
				for _, f := range files {
					writeFile(t, f, "spoiled")
				}
			},
			[]string{"/keys/", "damaged"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t)
			g.write(g.site(freeAddress(t)))
			c.spoil(t, g)
			g.refused(t, c.words, "run", "--config", g.config)
		})
	}
	t.Run("store without permission", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("nothing is forbidden to root")
		}
		g := newGateway(t)
		g.write(g.site(freeAddress(t)))
		if err := os.Mkdir(g.dir+"/store", 0o000); err != nil {
			t.Fatal(err)
		}
		g.refused(t, []string{g.dir + "/store", "permission denied"}, "run", "--config", g.config)
	})
}

func TestBadConfigurationIsRefusedWithItsLine(t *testing.T) {
	for name, c := range map[string]struct {
		global, capture, api string
		words                []string
	}{
		"unknown option":             {global: "durabilty fsync", words: []string{"Caddyfile:3", "durabilty"}},
		"unknown durability":         {global: "durability always", words: []string{"Caddyfile:3", "always", "fsync"}},
		"durability twice":           {global: "durability os\n\tdurability os", words: []string{"Caddyfile:4", "durability"}},
		"unknown store":              {global: "store postgres", words: []string{"postgres"}},
		"size that is none":          {global: "memory lots", words: []string{"Caddyfile:3", "lots"}},
		"too little memory":          {global: "memory 1KiB", words: []string{"Caddyfile:3", "memory"}},
		"keys in the store":          {global: "store badger {\n\tpath /tmp/s\n\t}\n\tkeys /tmp/s/keys", words: []string{"/tmp/s/keys"}},
		"no source":                  {capture: "audit_capture", words: []string{"Caddyfile:8"}},
		"source of the gateway":      {capture: "audit_capture auditgate", words: []string{"Caddyfile:8", "auditgate"}},
		"two sources":                {capture: "audit_capture nova cinder", words: []string{"Caddyfile:8"}},
		"unknown word of capture":    {capture: "audit_capture nova {\n\tbodies all\n\t}", words: []string{"Caddyfile:9", "bodies"}},
		"cap above the highest":      {capture: "audit_capture nova {\n\trequest_body 17MiB\n\t}", words: []string{"request_body", "16 MiB"}},
		"project that holds back":    {capture: "audit_capture nova {\n\tproject {http.request.body}\n\t}", words: []string{"{http.request.body}"}},
		"segment that is no number":  {capture: "audit_capture nova {\n\tproject path one\n\t}", words: []string{"Caddyfile:9", "one"}},
		"secret that is too short":   {api: "jwt {\n\thmac_secret short\n\taudience a\n\t}", words: []string{"jwt", "hmac_secret has", "32"}},
		"no audience":                {api: "jwt {\n\thmac_secret " + strings.Repeat("x", 40) + "\n\t}", words: []string{"audience"}},
		"public key that is missing": {api: "jwt {\n\tpublic_key /nowhere.pem\n\taudience a\n\t}", words: []string{"public_key", "/nowhere.pem"}},
		"no key":                     {api: "jwt {\n\taudience a\n\t}", words: []string{"jwt", "want one of jwks_url"}},
		"unknown algorithm":          {api: "jwt {\n\thmac_secret " + strings.Repeat("x", 40) + "\n\taudience a\n\talgorithms none\n\t}", words: []string{"none"}},
		"unknown role":               {api: "role king arthur", words: []string{"king", "auditor"}},
		"marker that never ends":     {api: "marker_ttl 1000h", words: []string{"marker_ttl"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t)
			if c.capture == "" {
				c.capture = "audit_capture nova"
			}
			if c.api != "" {
				c.api = " {\n\t" + c.api + "\n\t}"
			}
			writeFile(t, g.config, fmt.Sprintf("{\nauditgate {\n\t%s\n}\n}\n\n:8080 {\n%s\n}\n:9600 {\n\taudit_api%s\n}\n", c.global, c.capture, c.api))
			g.refused(t, c.words, "validate", "--config", g.config)
		})
	}
}

func TestValidateTouchesNothing(t *testing.T) {
	g := newGateway(t)
	g.write(g.site(freeAddress(t)))
	for _, verb := range []string{"validate", "adapt"} {
		if out, err := g.command(verb, "--config", g.config).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", verb, err, out)
		}
	}
	for _, name := range []string{"store", "keys", "data/caddy/auditgate", "data/caddy/auditgate-keys"} {
		if _, err := os.Stat(filepath.Join(g.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
	g.start()
	if out, err := g.command("validate", "--config", g.config).CombinedOutput(); err != nil {
		t.Errorf("validate beside a running gateway: %v\n%s", err, out)
	}
}

func TestModulesAreThere(t *testing.T) {
	out, err := newGateway(t).command("list-modules").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := strings.Fields(string(out))
	for _, want := range []string{"auditgate", "auditgate.stores.badger", "http.handlers.audit_capture", "http.handlers.audit_api", "caddy.logging.encoders.audit"} {
		found := false
		for _, m := range modules {
			found = found || m == want
		}
		if !found {
			t.Errorf("the program has no module %s", want)
		}
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
