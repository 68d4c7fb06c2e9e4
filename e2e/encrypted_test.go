package e2e_test

import (
	"bytes"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Where the store has a key nothing of a call stands in its files, also after a kill.
// Without the key the gateway does not start and says why; with it all is there.
func TestEncryptedStoreIsClosedToThoseWithoutTheKey(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"say": "planted-answer"}`))
	}))
	defer upstream.Close()
	g := newGateway(t)
	g.write(g.site(upstream.Listener.Addr().String()))
	plain := g.read()
	key := filepath.Join(g.dir, "secret")
	if err := os.WriteFile(key, []byte(strings.Repeat("5a", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := "path " + g.dir + "/store\n"
	encrypted := strings.Replace(plain, path, path+"\t\t\tencryption_key {file."+key+"}\n", 1)
	g.rewrite(encrypted)
	g.start()
	g.bearer = g.token("auditor")
	g.open(t.Context(), http.MethodPost, "/planted-path?planted-query", "planted-id", strings.NewReader(`{"say": "planted-question"}`)).Body.Close()
	g.recordOf("planted-id")

	g.rewrite(plain)
	if err := g.reload(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot change to durability fsync, no encryption key") {
		t.Errorf("a reload without the key: %v, want a refusal", err)
	}
	g.signal(syscall.SIGKILL)
	err := filepath.WalkDir(filepath.Join(g.dir, "store"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte("planted-")) {
			t.Errorf("%s has words of the call", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	out, err := g.command("run", "--config", g.config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "store is encrypted with another key") || !strings.Contains(string(out), "give it as encryption_key") {
		t.Errorf("without the key: %v, want a failure that says what to do:\n%s", err, out)
	}
	g.rewrite(encrypted)
	g.start()
	if r := g.recordOf("planted-id"); r == nil || r.URI != "/planted-path" {
		t.Errorf("with the key: %v", r)
	}
}

// read returns the configuration, and rewrite replaces it.
func (g *gateway) read() string {
	g.t.Helper()
	content, err := os.ReadFile(g.config)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(content)
}

func (g *gateway) rewrite(content string) {
	g.t.Helper()
	if err := os.WriteFile(g.config, []byte(content), 0o600); err != nil {
		g.t.Fatal(err)
	}
}
