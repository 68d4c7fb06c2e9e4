package badger

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/disk"
)

// What stands below the path of a store; see the package's description.
const (
	lockFile      = "lock"
	formatFile    = "format"
	nodeFile      = "node"
	retentionFile = "retention.json"
	journalDir    = "journal"
	segmentsDir   = "segments"
	trashDir      = "trash"

	format = "auditgate store 1\n"
)

// root is the directory of a store, locked.
type root struct {
	path string
	node string
	lock *disk.File
	log  func(string, error)
}

// openRoot makes the directory where it is missing, locks it, and checks that
// what is in it is a store of this format.
func openRoot(path string, log func(string, error)) (*root, error) {
	if err := disk.MkdirAll(path); err != nil {
		return nil, fmt.Errorf("making the directory: %w", err)
	}
	lock, err := lockRoot(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(path + restoring); err == nil {
		log("beside the store is "+path+restoring+", where a backup is being restored, or was until that was broken off: nothing of it is here; remove it, and restore to another place or once the store is out of the way", nil)
	}
	r := &root{path: path, lock: lock, log: log}
	if err := r.read(); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *root) close() error { return r.lock.Close() }

func (r *root) read() error {
	if err := r.readFormat(); err != nil {
		return err
	}
	node, err := disk.ReadFile(filepath.Join(r.path, nodeFile))
	if err == nil && !nodeName.MatchString(strings.TrimSpace(string(node))) {
		r.log("the store gets a new name, under which it writes from now on",
			damaged(fmt.Errorf("file %s holds %.40q, want 16 hexadecimal digits", nodeFile, node)))
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		node = fmt.Appendf(nil, "%s\n", randomName())
		err = disk.Replace(filepath.Join(r.path, nodeFile), node)
	}
	if err != nil {
		return err
	}
	r.node = strings.TrimSpace(string(node))
	for _, dir := range []string{segmentsDir, trashDir} {
		if err := disk.Mkdir(filepath.Join(r.path, dir)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return disk.SyncDir(r.path)
}

func (r *root) readFormat() error {
	name := filepath.Join(r.path, formatFile)
	found, err := disk.ReadFile(name)
	if err == nil && string(found) != format && formatLine.Match(found) {
		return fmt.Errorf("file %s says %.40q, and this program reads %q alone: use the version that wrote it, or another path",
			formatFile, strings.TrimSpace(string(found)), strings.TrimSpace(format))
	}
	switch {
	case string(found) == format || err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err == nil:
		err = fmt.Errorf("it holds %.40q", found)
	}
	// What else is here has versions of its own.
	for _, dir := range []string{journalDir, segmentsDir} {
		if _, there := os.Lstat(filepath.Join(r.path, dir)); there == nil {
			r.log("file "+formatFile+" is written anew", damaged(err))
			break
		}
	}
	return disk.Replace(name, []byte(format))
}

// lockRoot takes the lock that keeps a second process out, for as long as the
// file is open.
func lockRoot(path string) (*disk.File, error) {
	lock, err := disk.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(lock.Fd(), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.NewSectionReader(lock, 0, 20)) // for the message alone
		lock.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking %s: %w", lockFile, err)
		}
		return nil, fmt.Errorf("%w (pid %s): stop that one first, or use another path", store.ErrLocked, strings.TrimSpace(string(holder)))
	}
	pid := fmt.Appendf(nil, "%d\n", os.Getpid())
	if _, err = lock.WriteAt(pid, 0); err == nil { // first, so that a full disk takes no room away
		err = lock.Truncate(int64(len(pid)))
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

var formatLine = regexp.MustCompile(`^auditgate store [0-9]+\n$`)

var nodeName = regexp.MustCompile(`^[0-9a-f]{16}$`)

func randomName() string {
	b := make([]byte, 8)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
