package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	dgraph "github.com/dgraph-io/badger/v4"

	"github.com/auditgate/auditgate/store/disk"
)

// A segment that is suspect is opened in another process first, which may panic
// without harm: this program again, with the variable probeVariable set to the
// segment's directory. It is told apart in init, so it works in whatever program
// this package is linked into. Where no process can be started, the segment is
// opened here, and the log says so.
const probeVariable = "AUDITGATE_PROBE_SEGMENT"

// What the process answers with. 2 is what a panic of Go exits with, and 1 a fatal
// error of Badger's.
const (
	probeDamaged = 3 // the directory is at fault
	probeFailed  = 4 // something else is
)

// probeTime bounds how long it may take: to replay write-ahead logs of some
// megabytes, and to find all blocks.
const probeTime = 2 * time.Minute

func init() {
	if dir := os.Getenv(probeVariable); dir != "" {
		os.Exit(answerProbe(dir))
	}
}

// answerProbe opens the Badger in dir, goes through its keys, and closes it in order.
func answerProbe(dir string) int {
	var warnings []string
	db, err := openDatabase(dir, func(_ string, err error) { warnings = append(warnings, err.Error()) })
	if err == nil {
		err = errors.Join((&database{DB: db}).walk(), db.Close())
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, strings.Join(append(warnings, err.Error()), "\n"))
	if !isDamage(err) {
		return probeFailed
	}
	return probeDamaged
}

// isDamage reports whether an error of opening a Badger is about what is in its
// files, and not about the machine.
func isDamage(err error) bool {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no == syscall.ENOENT || no == syscall.EINVAL // of a table: it is missing, or has no length
	}
	return !strings.Contains(err.Error(), "directory lock")
}

// probe has another process open the Badger in dir. The error wraps
// store.ErrCorrupt where that shows that it is damaged. The tables stay in keptDir
// until it is known that nothing was lost; orphans says whether Badger has removed
// some.
func probe(dir string, log func(string, error)) (orphans bool, err error) {
	if orphans, err = keep(dir); err != nil {
		return false, fmt.Errorf("keeping its tables: %w", err)
	}
	err = runProbe(dir)
	if errors.Is(err, errUnprobed) && !orphans { // most are sound
		log("segment "+filepath.Base(dir)+" was not closed in order, and is opened all the same", err)
		err = nil
	}
	if err != nil {
		return false, errors.Join(err, restore(dir))
	}
	return orphans, nil
}

// walk goes through all keys.
func (d *database) walk() (err error) {
	defer recoverDamage(&err)
	return d.DB.View(func(t *dgraph.Txn) error {
		it := t.NewIterator(dgraph.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
		}
		return nil
	})
}

// errUnprobed says that no process could be started.
var errUnprobed = errors.New("no process can be started that tries it first")

func runProbe(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	program := "/proc/self/exe" // this very program, whatever has replaced its file
	if _, err := os.Stat(program); err != nil {
		if program, err = os.Executable(); err != nil {
			return fmt.Errorf("%w: %w", errUnprobed, err)
		}
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), probeVariable+"="+dir)
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &exit):
		return fmt.Errorf("%w: %w", errUnprobed, err)
	case ctx.Err() != nil:
		return fmt.Errorf("probing it took longer than %v", probeTime)
	case exit.ExitCode() < 0 || exit.ExitCode() == probeFailed: // killed, or hindered
		return fmt.Errorf("probing it: %w: %s", err, firstLines(said.String()))
	}
	return damaged(fmt.Errorf("a process that opened it said: %s", firstLines(said.String())))
}

// firstLines returns the beginning of what a process said: of a panic, why.
func firstLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	text = strings.Join(lines[:min(len(lines), 3)], " ")
	return text[:min(len(text), 300)]
}

// keptDir has the tables of a segment, and its Badger's manifest, while the segment
// is probed.
const keptDir = "kept"

// keep puts a second name to every table, and copies Badger's manifest. orphans
// says whether there are tables that Badger will remove.
func keep(dir string) (orphans bool, err error) {
	if err := restore(dir); err != nil { // an earlier attempt was cut off
		return false, err
	}
	kept := filepath.Join(dir, keptDir)
	if err := disk.Mkdir(kept); err != nil {
		return false, err
	}
	known, _ := readTables(dir)
	names, err := filepath.Glob(filepath.Join(dir, "*"+tableExt))
	if err != nil {
		return false, err
	}
	for _, name := range names {
		orphans = orphans || !known[filepath.Base(name)]
		if err := disk.Link(name, filepath.Join(kept, filepath.Base(name))); err != nil {
			return false, err
		}
	}
	data, err := disk.ReadFile(filepath.Join(dir, dgraph.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return orphans, nil
	}
	if err == nil {
		err = disk.Replace(filepath.Join(kept, dgraph.ManifestFilename), data)
	}
	return orphans, err
}

// restore puts back what keep has kept.
func restore(dir string) error {
	kept := filepath.Join(dir, keptDir)
	entries, err := disk.ReadDir(kept)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := disk.Rename(filepath.Join(kept, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return errors.Join(disk.RemoveAll(kept), disk.SyncDir(dir))
}
