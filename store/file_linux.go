package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// preallocate sets size bytes of disk aside for f, so that a later write does
// not find the disk full and a sync has no new length to store.
func preallocate(f *os.File, size int64) error {
	return unix.Fallocate(int(f.Fd()), 0, 0, size)
}

// datasync waits until what was written to f is on stable storage.
func datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}

// machineBoot names this run of the operating system: "" where that is not to
// be had.
func machineBoot() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(id)
}
