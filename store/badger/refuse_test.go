package badger_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/auditgate/auditgate/store/badger"
	faulty "github.com/auditgate/auditgate/store/disk"
)

// Whoever cannot open the store is told what to do.
func TestStoreThatCannotBeOpenedSaysWhatToDo(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		unix.EACCES: "run as its owner", unix.EROFS: "StateDirectory", unix.ENOTDIR: "move it away", unix.ENOSPC: "make room on its volume",
	} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			faulty.Inject(func(string, string) error { return errno })
			defer faulty.Inject(nil)
			s, err := badger.Open(badger.Options{Path: filepath.Join(t.TempDir(), "store")})
			if err == nil {
				_ = s.Close(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
}
