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
		err = errors.Join(db.walk(), db.Close())
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
// store.ErrCorrupt where that shows that it is damaged. What Badger changes stays in
// keptDir until it is known that nothing was lost; orphans says whether Badger has removed
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

// keptDir has the tables of a segment, and copies of what else Badger changes when it
// opens them, while it is not known whether that loses something: Badger's manifest
// and its write-ahead logs. Once it is known, doneDir is its name while it is removed,
// so that a half of it is never put back.
const (
	keptDir = "kept"
	doneDir = "kept.done"
)

// keep puts a second name to every table, and copies the rest. orphans says whether
// there are tables that Badger will remove.
func keep(dir string) (orphans bool, err error) {
	if err := restore(dir); err != nil { // an earlier attempt was cut off
		return false, err
	}
	kept := filepath.Join(dir, keptDir)
	if err := disk.Mkdir(kept); err != nil {
		return false, err
	}
	known, _ := readTables(dir)
	entries, err := disk.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		from, to := filepath.Join(dir, e.Name()), filepath.Join(kept, e.Name())
		switch {
		case filepath.Ext(e.Name()) == tableExt:
			orphans = orphans || !known[e.Name()]
			err = disk.Link(from, to)
		case filepath.Ext(e.Name()) == logExt || e.Name() == dgraph.ManifestFilename:
			var data []byte
			if data, err = disk.ReadFile(from); err == nil {
				err = disk.Replace(to, data)
			}
		}
		if err != nil {
			return false, err
		}
	}
	return orphans, errors.Join(disk.SyncDir(kept), disk.SyncDir(dir))
}

// restore puts back what keep has kept.
func restore(dir string) error {
	if err := disk.RemoveAll(filepath.Join(dir, doneDir)); err != nil {
		return err
	}
	kept := filepath.Join(dir, keptDir)
	entries, err := disk.ReadDir(kept)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) == disk.Unfinished { // half a copy; Badger had not begun
			continue
		}
		if err := disk.Rename(filepath.Join(kept, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return errors.Join(disk.SyncDir(dir), disk.RemoveAll(kept))
}

// release lets go of what keep has kept, at once, whatever comes between.
func release(dir string) error {
	done := filepath.Join(dir, doneDir)
	if err := disk.Rename(filepath.Join(dir, keptDir), done); err != nil {
		return err
	}
	return errors.Join(disk.SyncDir(dir), disk.RemoveAll(done))
}
