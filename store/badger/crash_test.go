package badger_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

var loops = flag.Int("loops", 3, "how often processes are killed")

// source is that of all calls of the process that is killed.
const source = "nova"

// begun returns how many calls the process that was killed had begun: the first
// slot of the calls file.
func begun(t *testing.T, dir string) uint64 {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "journal", "calls"))
	if err != nil {
		t.Fatal(err)
	}
	return binary.NativeEndian.Uint64(data[128:])
}

func TestKilledWhilePackingLosesNothing(t *testing.T) {
	var dir string
	var stored map[record.ID]bool
	var calls, allCalls, allStored uint64
	for loop := range *loops {
		if loop%20 == 0 { // all is read after each kill
			dir, stored, calls = t.TempDir(), make(map[record.ID]bool), 0
		}
		w := startWriter(t, dir, store.OS, nil)
		go func() {
			// Not before a segment is open, however slow the machine is.
			for len(writeAheadLogs(t, dir)) == 0 {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
			w.child.Process.Kill()
		}()
		w.listen()
		maps.Copy(stored, w.stored)

		n := begun(t, dir)
		calls, allCalls, allStored = calls+n, allCalls+n, allStored+uint64(len(w.stored))
		s := opener(badger.Options{})(t, dir)
		found := make(map[record.ID]bool)
		told := make(map[record.Outcome]uint64)
		for _, r := range storetest.Verify(t, s) {
			found[r.EventID] = true
			if r.Gap != nil {
				told[r.Outcome] += r.Gap.Count
			} else {
				told[r.Outcome]++
			}
		}
		if n := told[record.OutcomeComplete] + told[record.OutcomeUnfinished] + told[record.OutcomeGap]; n != calls || told[record.OutcomeInProgress] != 0 {
			t.Errorf("loop %d: %d calls have begun, %d are in the books: %v", loop, calls, n, told)
		}
		for id := range stored {
			if !found[id] {
				t.Errorf("loop %d: record %s was stored and is gone", loop, id)
			}
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d kills: %d calls begun, %d records acknowledged, none lost", *loops, allCalls, allStored)
}

// writeAheadLogs lists those of all segments that are open, or were when their
// process was killed.
func writeAheadLogs(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "segments", "*", "*.mem"))
	if err != nil {
		t.Error(err)
	}
	return names
}

func TestPackingStoppedAnywhereIsTakenUpAgain(t *testing.T) {
	base := t.TempDir()
	var full atomic.Bool
	full.Store(true) // so that nothing is packed before it is asked for
	openPaused := func(dir string) *badger.Store {
		t.Helper()
		s, err := badger.OpenWithRoom(badger.Options{Path: dir, JournalFile: 64 << 10}, func() error {
			if full.Load() {
				return badger.ErrNoRoom
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		s.StopPacker()
		return s
	}
	s := openPaused(base)
	maker := storetest.NewRecords(1)
	var records []*record.Record
	for _, ago := range []time.Duration{time.Hour, time.Second, 0} { // two blocks
		r := maker.At(record.IDAt(time.Now().Add(-ago)))
		r.Method = "POST"
		records = append(records, r)
	}
	records = append(records, storetest.Gap(record.IDAt(time.Now().Add(-time.Minute)), time.Now(), "nova", 3))
	storetest.Add(t, s, records...)
	if err := s.SealJournal(); err != nil {
		t.Fatal(err)
	}
	snapshot := filepath.Join(t.TempDir(), "sealed")
	copyDir(t, base, snapshot)
	storetest.Close(t, s)

	var want map[string][]badger.Entry // of packing that was not stopped
	for steps := int64(1 << 30); ; steps++ {
		full.Store(true)
		dir := filepath.Join(t.TempDir(), "stopped")
		copyDir(t, snapshot, dir)
		s := openPaused(dir)
		full.Store(false)
		err := s.PackUntil(storetest.Patience(t.Context(), steps))
		crashed := filepath.Join(t.TempDir(), "crashed")
		copyDir(t, dir, crashed) // as the kernel would keep it
		storetest.Close(t, s)

		s = openPaused(crashed)
		if n := len(storetest.Verify(t, s)); n != len(records) {
			t.Errorf("stopped after %d steps: %d records are listed, want %d", steps, n, len(records))
		}
		storetest.Pack(t, s)
		if n := len(storetest.Verify(t, s)); n != len(records) {
			t.Errorf("stopped after %d steps and packed again: %d records are listed, want %d", steps, n, len(records))
		}
		storetest.Close(t, s)
		got, readErr := badger.Entries(crashed)
		if readErr != nil {
			t.Fatal(readErr)
		}
		if want == nil {
			want, steps = got, -1
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("stopped after %d steps: the entries are others (-want +got):\n%s", steps, diff)
		}
		if err == nil {
			t.Logf("packing has %d steps", steps)
			return
		}
	}
}

var hole = make([]byte, 64<<10)

// copyDir copies the files below from, as they are now, also those of a live store.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	if err := copyStill(from, to, func() uint64 { return 0 }); err != nil {
		t.Fatal(err)
	}
}

// copyTries is how often a live store is copied until nobody has written meanwhile.
const copyTries = 100

// copyStill copies the files below from as a death would leave them: again where they,
// or what state returns, have changed meanwhile. What was renamed might be there twice
// then, or not at all.
func copyStill(from, to string, state func() uint64) error {
	for range copyTries {
		before, was := tree(from), state()
		err := copyTree(from, to)
		if err == nil && state() == was && tree(from) == before {
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.RemoveAll(to); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("copying %s: somebody wrote meanwhile, %d times in a row", from, copyTries)
}

// tree tells what is below dir: it is the same as long as nobody writes.
func tree(dir string) string {
	var all strings.Builder
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil {
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				fmt.Fprintln(&all, path, info.Size(), info.ModTime())
			}
		}
		return err
	})
	return all.String()
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, path[len(from):])
		if e.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		return copyFile(path, target)
	})
}

// copyFile copies a file. Badger's are mostly holes, and stay so.
func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	defer dst.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	piece := make([]byte, len(hole))
	for at := int64(0); at < info.Size(); {
		if at, err = src.Seek(at, unix.SEEK_DATA); errors.Is(err, unix.ENXIO) {
			break
		} else if err != nil {
			return err
		}
		n, err := src.ReadAt(piece, at)
		if err != nil && err != io.EOF {
			return err
		}
		if !bytes.Equal(piece[:n], hole[:n]) {
			if _, err := dst.WriteAt(piece[:n], at); err != nil {
				return err
			}
		}
		if at += int64(n); err == io.EOF {
			break
		}
	}
	return dst.Truncate(info.Size())
}
