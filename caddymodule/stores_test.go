package caddymodule_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/auditgate/auditgate/caddymodule"
)

// The key stands in a file; where it is missing or no key, provisioning says so
// and tells nothing of it.
func TestEncryptionKeyOfFileIsCheckedAtProvision(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	try := func() error {
		config := adapt("{\n\tadmin off\n\tauditgate {\n\t\tstore badger {\n\t\t\tpath " + dir + "/store\n\t\t\tencryption_key {file." + path + "}\n\t\t}\n\t}\n}\n")
		ctx, err := caddy.ProvisionContext(decode(t, config))
		if err == nil {
			_, err = ctx.App("auditgate")
		}
		return err
	}
	for _, c := range []struct{ content, want string }{
		{"", "it is empty"},
		{"a secret that is no key\n", "neither hexadecimal nor base64"},
		{strings.Repeat("0f", 20), "key has 20 bytes, want 16, 24 or 32"},
		{strings.Repeat("0f", 32) + "\n", ""},
	} {
		if c.content != "" {
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := try()
		if (err == nil) != (c.want == "") || err != nil &&
			(!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "{file."+path+"}") || c.content != "" && strings.Contains(err.Error(), strings.TrimSpace(c.content))) {
			t.Errorf("%q: %v, want %q", c.content, err, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "store")); err == nil {
		t.Error("the store was made")
	}
}

// Whether the servers of the configuration have started first, and a call has come to
// the store by then, or only the start has.
func TestStoreThatCannotBeOpenedIsToldOnce(t *testing.T) {
	for name, first := range map[string]bool{"a call first": true, "the app first": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			log := filepath.Join(dir, "log")
			if err := os.WriteFile(filepath.Join(dir, "store"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, err := caddy.ProvisionContext(decode(t, adapt(fmt.Sprintf(`{
	admin off
	auto_https off
	log {
		output file %[1]s/log
	}
	auditgate {
		store badger {
			path %[1]s/store
		}
		keys %[1]s/keys
	}
}
:8080 {
	audit_capture nova
}
`, dir))))
			if err != nil {
				t.Fatal(err)
			}
			loaded, err := ctx.App("auditgate")
			if err != nil {
				t.Fatal(err)
			}
			app := loaded.(*caddymodule.App)
			var started error
			if first {
				servers, err := ctx.App("http")
				if err != nil {
					t.Fatal(err)
				}
				captures, _ := caddymodule.Survey(servers.(*caddyhttp.App))
				next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
					started = app.Start()
					return nil
				})
				if err := captures[0].ServeHTTP(httptest.NewRecorder(), request("GET", "/"), next); err != nil {
					t.Fatal(err)
				}
			} else {
				started = app.Start()
			}
			caddymodule.CloseAll(t.Context())
			text, errLog := os.ReadFile(log)
			if errLog != nil && !os.IsNotExist(errLog) {
				t.Fatal(errLog)
			}
			const words = "opening store"
			if started == nil || strings.Count(started.Error(), words) != 1 || strings.Contains(string(text), words) {
				t.Errorf("the start says %v, and the log:\n%s", started, text)
			}
		})
	}
}
