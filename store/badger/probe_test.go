package badger_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store/badger"
	faulty "github.com/auditgate/auditgate/store/disk"
	"github.com/auditgate/auditgate/store/storetest"
)

// packedAndKilled is a store with one segment that was not closed in order.
func packedAndKilled(t *testing.T, n int) (dir string) {
	t.Helper()
	live, dir := quickDir(t)+"/live", quickDir(t)+"/killed"
	s := openRoomy(t, live)
	s.StopPacker()
	maker := storetest.NewRecords(9)
	var records []*record.Record
	for range n {
		r := maker.Next()
		r.Method = "POST"
		records = append(records, r)
	}
	storetest.Add(t, s, records...)
	storetest.Pack(t, s)
	copyDir(t, live, dir)
	storetest.Close(t, s)
	return dir
}

// A process that dies while it tries a segment that an earlier death left open loses
// nothing of it, wherever that comes.
func TestDeathWhileASegmentIsProbedLosesNothing(t *testing.T) {
	const n = 50
	dir := packedAndKilled(t, n)
	var images []string
	var mu sync.Mutex // guards images, seen and released
	seen, released := 0, false
	faulty.Inject(func(op, path string) error {
		if !strings.HasPrefix(path, filepath.Join(dir, "segments")) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		released = released || op == "rename" && filepath.Base(path) == "kept.done"
		// Every rename and removal, where what is kept is let go, and some of the rest.
		if seen++; op != "rename" && op != "remove" && seen%stride(10) != 0 {
			return nil
		}
		image := fmt.Sprintf("%s/%d %s", quickDir(t), seen, op)
		if err := copyStill(dir, image, func() uint64 { return 0 }); err != nil {
			t.Error(err)
		}
		images = append(images, image)
		return nil
	})
	check := func(name, dir string) {
		s := openRoomy(t, dir)
		s.StopPacker() // nobody else writes while images are made
		if got := len(storetest.List(t, s, record.Query{Scope: storetest.Everything})); got != n {
			t.Errorf("%s: %d records are listed, want %d", name, got, n)
		}
		if err := s.Health(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if gaps, err := s.Gaps(t.Context(), time.Time{}, time.Time{}, 10); err != nil || len(gaps) > 0 {
			t.Errorf("%s: gaps %v %v", name, gaps, err)
		}
		storetest.Close(t, s)
	}
	check("without a death", dir)
	faulty.Inject(nil)
	if !released {
		t.Fatal("the segment was not probed, or what is kept never let go")
	}
	t.Logf("%d operations, %d deaths", seen, len(images))
	for _, image := range images {
		check(filepath.Base(image), image)
	}
}

// A file of the journal whose packing was cut off is damaged before it is packed
// again: what its segment was made ready for does not count as packed.
func TestHolesOfAFileThatWasHalfPackedAreTold(t *testing.T) {
	const n = 40
	live := quickDir(t) + "/live"
	s := openRoomy(t, live)
	s.StopPacker()
	maker := storetest.NewRecords(5)
	for range n { // each is a frame
		storetest.Add(t, s, maker.Next())
	}
	faulty.Inject(func(op, path string) error { // behind the segment's manifest, before Badger
		if strings.HasPrefix(path, filepath.Join(live, "segments")) && op == "readdir" {
			return syscall.EIO
		}
		return nil
	})
	err := s.Pack(t.Context())
	faulty.Inject(nil)
	if !errors.Is(err, syscall.EIO) {
		t.Fatalf("packing: %v", err)
	}
	once := copyOf(t, live)
	storetest.Close(t, s)

	twice := copyOf(t, once) // another run has added a record, and was killed
	s, err = badger.OpenWithRoom(badger.Options{Path: twice}, func() error { return badger.ErrNoRoom })
	if err != nil {
		t.Fatal(err)
	}
	storetest.Add(t, s, maker.Next())
	again := copyOf(t, twice)
	storetest.Close(t, s)

	for dir, added := range map[string]int{once: n, again: n + 1} {
		for _, last := range []int{1, n / 2} {
			t.Run(fmt.Sprintf("%d records, frame %d from the end", added, last), func(t *testing.T) {
				dir := copyOf(t, dir)
				flipFrame(t, dir, last)
				s := openRoomy(t, dir)
				gaps, err := s.Gaps(t.Context(), time.Time{}, time.Time{}, 10)
				if err != nil {
					t.Fatal(err)
				}
				listed, told := 0, uint64(0)
				for _, r := range storetest.List(t, s, record.Query{Scope: storetest.Everything}) {
					if r.Gap == nil {
						listed++
					}
				}
				for _, g := range gaps {
					told += g.Gap.Count
				}
				if listed != added-1 || told != 1 {
					t.Errorf("of %d records %d are listed, and %d are told to be lost", added, listed, told)
				}
				if err := s.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// flipFrame damages a frame, counted from the end, of the oldest journal file of the
// store in dir.
func flipFrame(t *testing.T, dir string, last int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "journal", "*.journal"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	mark := data[8:16] // of this file, in each frame; see store/format.go
	for range last {
		end := bytes.LastIndex(data, mark)
		if end < 512 { // in a header
			t.Fatal("there are not so many frames")
		}
		data = data[:end]
	}
	if err := flip(files[0], int64(len(data)+60)); err != nil {
		t.Fatal(err)
	}
}
