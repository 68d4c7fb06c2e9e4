package caddymodule_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/auditgate/auditgate/caddymodule"
)

func load(t *testing.T, dir string) *caddymodule.Keys {
	t.Helper()
	k, err := caddymodule.LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOldKeysStillTellTheirHashes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	start := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	var want []string // what stood for the value, newest first
	for i := range 4 {
		k := load(t, dir)
		hashes, complete := k.Hashes([]byte("hunter2"))
		if !complete || len(hashes) != i+1 {
			t.Fatalf("%d rotations: %d hashes, complete %v", i, len(hashes), complete)
		}
		var got []string
		for n, h := range hashes {
			got = append(got, h.Value)
			if h.Current != (n == 0) || h.Current != h.Until.IsZero() || (n == i) != h.Since.IsZero() || n > 0 && !h.Until.Equal(hashes[n-1].Since) {
				t.Errorf("%d rotations: hash %d is %+v", i, n, h)
			}
		}
		if !slices.Equal(got[1:], want) || slices.Contains(want, got[0]) {
			t.Errorf("%d rotations: hashes %q, before %q", i, got, want)
		}
		want = got
		// The clock stands still, and goes back.
		kept, err := caddymodule.RotateKey(dir, start.Add(-time.Duration(i/2)*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the old key %s: %v, %v", kept, info, err)
		}
	}
}

func TestRotationLeavesTokensAndMarkersGood(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	before := load(t, dir)
	if _, err := caddymodule.RotateKey(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	after := load(t, dir)
	if bytes.Equal(before.Redaction(), after.Redaction()) {
		t.Error("the redaction key is the same")
	}
	if !bytes.Equal(before.Marker(), after.Marker()) || !bytes.Equal(before.Public(), after.Public()) {
		t.Error("the keys of markers and tokens have changed")
	}
}

// A rotation that was broken off has given the current key a second name.
func TestRotationThatWasBrokenOffIsNoRotation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	load(t, dir)
	if err := os.Link(filepath.Join(dir, "redaction.key"), filepath.Join(dir, "redaction-20260101T000000Z.key")); err != nil {
		t.Fatal(err)
	}
	k := load(t, dir)
	if hashes, complete := k.Hashes([]byte("x")); len(hashes) != 1 || !complete || !hashes[0].Since.IsZero() {
		t.Errorf("hashes are %+v, complete %v", hashes, complete)
	}
	if _, err := caddymodule.RotateKey(dir, time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	k = load(t, dir)
	if hashes, complete := k.Hashes([]byte("x")); len(hashes) != 2 || !complete || !hashes[1].Since.IsZero() || hashes[1].Until.Month() != time.February {
		t.Errorf("hashes are %+v, complete %v", hashes, complete)
	}
}

func TestDamagedOldKeyCostsItsHashesAndNotTheStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	load(t, dir)
	write(t, dir, "redaction-20260101T000000Z.key", "spoiled\n")
	write(t, dir, "redaction-20260102T000000Z.key", strings.Repeat("ab", 32)+"\n")
	write(t, dir, "redaction-of-somebody.key", "no key of ours")
	if err := os.Mkdir(filepath.Join(dir, "redaction-20260103T000000Z.key"), 0o700); err != nil {
		t.Fatal(err)
	}
	k := load(t, dir)
	if hashes, complete := k.Hashes([]byte("x")); len(hashes) != 2 || complete {
		t.Errorf("hashes are %+v, complete %v", hashes, complete)
	}
	unread := k.Unread()
	if len(unread) != 2 || !strings.Contains(unread[0].Error(), "redaction-20260101T000000Z.key: want 64 hexadecimal digits") || strings.Contains(unread[0].Error(), "spoiled") {
		t.Errorf("unread are %q", unread)
	}
	for i := range caddymodule.MaxOldKeys {
		write(t, dir, fmt.Sprintf("redaction-20250101T%02d%02d00Z.key", i/60, i%60), fmt.Sprintf("%064x\n", i))
	}
	k = load(t, dir)
	if hashes, complete := k.Hashes([]byte("x")); len(hashes) != 1+caddymodule.MaxOldKeys || complete {
		t.Errorf("there are %d hashes, complete %v", len(hashes), complete)
	}
}

func TestDamagedKeyIsNotRotated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	load(t, dir)
	write(t, dir, "redaction.key", "spoiled")
	if _, err := caddymodule.RotateKey(dir, time.Now()); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("the error is %v", err)
	}
}

// The directory in which TestKeyIsThereWheneverARotationIsKilled has its child
// rotate keys.
const rotateIn = "AUDITGATE_TEST_ROTATE_IN"

func TestKeyIsThereWheneverARotationIsKilled(t *testing.T) {
	if dir := os.Getenv(rotateIn); dir != "" {
		for range caddymodule.MaxOldKeys / 10 { // or old ones are too many to be loaded
			fmt.Printf("key %x\n", load(t, dir).Redaction())
			if _, err := caddymodule.RotateKey(dir, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour) // to be killed
	}
	dir := filepath.Join(t.TempDir(), "keys")
	load(t, dir)
	seen := map[string]bool{}
	for range 10 {
		child := exec.Command(os.Args[0], "-test.run=^TestKeyIsThereWheneverARotationIsKilled$")
		child.Env = append(os.Environ(), rotateIn+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Minute, func() { _ = child.Process.Kill() })
		lines := bufio.NewScanner(out)
		for n := 0; n < 3 && lines.Scan(); n++ {
			seen[lines.Text()] = true
		}
		_ = child.Process.Kill()
		for lines.Scan() {
			seen[lines.Text()] = true
		}
		_ = child.Wait() // it was killed
		timer.Stop()

		k := load(t, dir)
		have := map[string]bool{fmt.Sprintf("key %x", k.Redaction()): true}
		for _, old := range k.OldKeys() {
			have[fmt.Sprintf("key %x", old)] = true
		}
		for key := range seen {
			if len(key) == len("key ")+64 && !have[key] {
				t.Fatalf("a key is gone after a kill")
			}
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d keys were seen", len(seen))
	}
}

func TestRotationsAtOnceLoseNoKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	load(t, dir)
	var rotated atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 8 {
				if _, err := caddymodule.RotateKey(dir, time.Now()); err == nil {
					rotated.Add(1)
				} else if !strings.Contains(err.Error(), "another rotation") {
					t.Error(err)
				}
			}
		})
		group.Go(func() { // a start
			if _, err := caddymodule.LoadKeys(dir); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if old := load(t, dir).OldKeys(); len(old) != int(rotated.Load()) || len(old) == 0 {
		t.Errorf("there are %d old keys after %d rotations", len(old), rotated.Load())
	}
}

func TestNewKeyBelongsToTheOwnerOfTheOldOne(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := filepath.Join(t.TempDir(), "keys")
	load(t, dir)
	current := filepath.Join(dir, "redaction.key")
	if err := os.Chown(current, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := caddymodule.RotateKey(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(current)
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != 12345 || info.Mode().Perm() != 0o600 {
		t.Errorf("the new key: %+v, %v", info, err)
	}
}

func TestLinkIsNotRotated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	before := load(t, dir)
	current, elsewhere := filepath.Join(dir, "redaction.key"), filepath.Join(t.TempDir(), "key")
	if err := errors.Join(os.Rename(current, elsewhere), os.Symlink(elsewhere, current)); err != nil {
		t.Fatal(err)
	}
	if _, err := caddymodule.RotateKey(dir, time.Now()); err == nil || !strings.Contains(err.Error(), "is a link") {
		t.Errorf("the error is %v", err)
	}
	if after := load(t, dir); !bytes.Equal(before.Redaction(), after.Redaction()) || len(after.OldKeys()) != 0 {
		t.Error("the keys have changed")
	}
}
