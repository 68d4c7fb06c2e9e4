package caddymodule_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
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
