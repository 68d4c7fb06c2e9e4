package store

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// freeSpace returns how many bytes an unprivileged process can still write to the
// volume of path.
func freeSpace(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, fmt.Errorf("looking at free space: %w", err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
