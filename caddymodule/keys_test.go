package caddymodule_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditgate/auditgate/caddymodule"
)

func TestKeysAreMadeOnceAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	all := make([]*caddymodule.Keys, 8)
	var group sync.WaitGroup
	for i := range all {
		group.Go(func() {
			k, err := caddymodule.LoadKeys(dir)
			if err != nil {
				t.Error(err)
				return
			}
			all[i] = k
		})
	}
	group.Wait()
	for _, k := range all {
		if k == nil || !bytes.Equal(k.Redaction(), all[0].Redaction()) {
			t.Fatal("those who made keys at once have different ones")
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("the directory holds %v, %v: want two keys and no temporary files", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
}

func TestBadKeysAreRefusedWithWordsAndNeverReplaced(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"a short redaction key": {func(t *testing.T, dir string) { write(t, dir, "redaction.key", "00ff\n") }, "want 64 hexadecimal digits"},
		"no digits":             {func(t *testing.T, dir string) { write(t, dir, "redaction.key", "secret\n") }, "want 64 hexadecimal digits"},
		"an empty signing key":  {func(t *testing.T, dir string) { write(t, dir, "signing.pem", "") }, "want an Ed25519 private key"},
		"open to others": {func(t *testing.T, dir string) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}, "chmod 700"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "keys")
			if _, err := caddymodule.LoadKeys(dir); err != nil {
				t.Fatal(err)
			}
			tc.spoil(t, dir)
			before := read(t, dir)
			if _, err := caddymodule.LoadKeys(dir); err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("the error is %v, want the place and %q", err, tc.want)
			}
			if read(t, dir) != before {
				t.Error("the keys on disk have changed")
			}
		})
	}
}

func TestTokensAreMadeWithinBounds(t *testing.T) {
	k, err := caddymodule.LoadKeys(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"*"}
	if _, err := k.Token("auditor", all, nil, time.Hour); err != nil {
		t.Error(err)
	}
	for name, try := range map[string]func() (string, error){
		"role":    func() (string, error) { return k.Token("king", all, nil, time.Hour) },
		"ttl":     func() (string, error) { return k.Token("auditor", all, nil, 1000*time.Hour) },
		"project": func() (string, error) { return k.Token("auditor", nil, nil, time.Hour) },
	} {
		if _, err := try(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a bad %s: %v", name, err)
		}
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range []string{"redaction.key", "signing.pem"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	return all.String()
}

// Keys outlive the configuration that had them first, and its log.
func TestPooledKeysTellTheNewestLogThatIsOpen(t *testing.T) {
	var keys caddymodule.PooledKeys
	var told []string
	log := func(name string) func(string, error) {
		return func(msg string, _ error) { told = append(told, name+": "+msg) }
	}
	tell := func(msg string) { keys.Tell(msg, nil) }
	tell("nobody listens")
	first := keys.Hold(log("first"))
	tell("1")
	second := keys.Hold(log("second"))
	tell("2")
	first()
	tell("3")
	failed := keys.Hold(log("failed")) // a configuration that could not be loaded
	failed()
	failed()
	tell("4")
	second()
	tell("nobody listens")
	if got, want := strings.Join(told, ", "), "first: 1, second: 2, second: 3, second: 4"; got != want {
		t.Errorf("told: %s; want %s", got, want)
	}
}
