// Package disk has the file operations of a local store: those of package os, and
// what a store needs beyond them. Everything that a store does to its files goes
// through here, but for what Badger does to its own, so that a test can let any
// one of these operations fail, or take long; see [Inject].
package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// IsFull reports whether err says that a volume has no room left, or none for this user.
func IsFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// fault is what Inject was given.
var fault atomic.Pointer[func(op, path string) error]

// Inject has before asked before each operation, in the goroutine that wants it: an
// error becomes that of the operation, which is then not done; of a write the first
// half is done. before may also take its time. nil ends it. It is for tests alone,
// and for one of them at a time; those that run beside it are told apart by the path.
func Inject(before func(op, path string) error) {
	if before == nil {
		fault.Store(nil)
		return
	}
	fault.Store(&before)
}

// ask asks what was injected, and names the operation in its error.
func ask(op, path string) error {
	before := fault.Load()
	if before == nil {
		return nil
	}
	if err := (*before)(op, path); err != nil {
		return &fs.PathError{Op: op, Path: path, Err: err}
	}
	return nil
}

// ReadFile is os.ReadFile.
func ReadFile(path string) ([]byte, error) {
	if err := ask("read", path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// ReadDir is os.ReadDir.
func ReadDir(path string) ([]os.DirEntry, error) {
	if err := ask("readdir", path); err != nil {
		return nil, err
	}
	return os.ReadDir(path)
}

// Mkdir makes a directory for its owner alone.
func Mkdir(path string) error {
	if err := ask("mkdir", path); err != nil {
		return err
	}
	return os.Mkdir(path, 0o700)
}

// MkdirAll makes a directory for its owner alone, and those above it that are
// missing.
func MkdirAll(path string) error {
	if err := ask("mkdir", path); err != nil {
		return err
	}
	return os.MkdirAll(path, 0o700)
}

// Remove is os.Remove.
func Remove(path string) error {
	if err := ask("remove", path); err != nil {
		return err
	}
	return os.Remove(path)
}

// RemoveAll is os.RemoveAll.
func RemoveAll(path string) error {
	if err := ask("remove", path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// Rename is os.Rename.
func Rename(from, to string) error {
	if err := ask("rename", to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// Link gives a file a second name, on the same volume.
func Link(from, to string) error {
	if err := ask("link", to); err != nil {
		return err
	}
	return os.Link(from, to)
}

// SyncDir waits until the names in a directory are on stable storage.
func SyncDir(path string) error {
	if err := ask("syncdir", path); err != nil {
		return err
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Unfinished is the ending of a file that [Replace] has not finished.
const Unfinished = ".new"

// Replace writes a file for its owner alone, so that after a crash it is the old
// one or the new, which is on stable storage when Replace returns. A crash, or an
// error, may leave a file of that name and the ending [Unfinished].
func Replace(path string, data []byte) error {
	temporary := path + Unfinished
	f, err := OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := Rename(temporary, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}
