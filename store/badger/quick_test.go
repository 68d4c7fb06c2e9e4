package badger_test

import (
	"os"
	"testing"
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
