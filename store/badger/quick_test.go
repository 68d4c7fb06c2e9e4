package badger_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/auditgate/auditgate/store/badger"
)

// quickDir returns a directory in memory, where there is one, for what is not about
// durability.
func quickDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "store")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// openRoomy opens a store for which there is always room, however full the disk of
// these tests is.
func openRoomy(t testing.TB, dir string) *badger.Store {
	t.Helper()
	s, err := badger.OpenWithRoom(badger.Options{Path: dir}, func() error { return nil })
	if err != nil {
		t.Fatalf("opening %s: %v", filepath.Base(dir), err)
	}
	return s
}
