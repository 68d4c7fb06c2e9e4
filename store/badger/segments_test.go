package badger_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

func TestFewSegmentsStayOpen(t *testing.T) {
	const days, perDay, keep = 5, 20, 2
	dir := t.TempDir()
	opened, err := badger.Open(badger.Options{Path: dir, OpenSegments: keep})
	if err != nil {
		t.Fatal(err)
	}
	maker, now := storetest.NewRecords(1), time.Now()
	for day := range days {
		for range perDay {
			r := maker.At(record.IDAt(now.AddDate(0, 0, day-days)))
			r.Method = "PUT"
			storetest.Add(t, opened, r)
		}
		storetest.Pack(t, opened)
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			if n := len(storetest.Verify(t, opened)); n != days*perDay {
				t.Errorf("%d records are listed, want %d", n, days*perDay)
			}
		})
	}
	readers.Wait()
	if n := opened.OpenSegments(); n > keep {
		t.Errorf("%d segments are open, want %d at most", n, keep)
	}
	storetest.Close(t, opened)
}

func TestFullDiskMakesPackingWait(t *testing.T) {
	var full atomic.Bool
	var mu sync.Mutex
	var said []string
	s, err := badger.OpenWithRoom(badger.Options{
		Path: t.TempDir(),
		Log: func(msg string, err error) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, fmt.Sprint(msg, ": ", err))
		},
	}, func() error {
		if full.Load() {
			return badger.ErrNoRoom
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	maker := storetest.NewRecords(1)
	add := func() {
		for range 10 {
			storetest.Add(t, s, maker.Next())
		}
	}
	add()
	storetest.Pack(t, s)
	full.Store(true)
	for range 3 {
		add()
		if err := s.Pack(t.Context()); !errors.Is(err, badger.ErrNoRoom) {
			t.Fatalf("packing on a full disk: %v, want that there is no room", err)
		}
	}
	if err := s.Health(); err != nil {
		t.Errorf("a store whose packing waits is not ill, but Health says: %v", err)
	}
	if n := len(storetest.Verify(t, s)); n != 40 {
		t.Errorf("%d records are listed, want 40", n)
	}
	full.Store(false)
	storetest.Pack(t, s)
	if n := len(storetest.Verify(t, s)); n != 40 {
		t.Errorf("%d records are listed once there is room, want 40", n)
	}
	storetest.Close(t, s)
	mu.Lock()
	defer mu.Unlock()
	if n := strings.Count(strings.Join(said, "\n"), "packing waits"); n != 1 {
		t.Errorf("it was said %d times that packing waits, want once:\n%s", n, strings.Join(said, "\n"))
	}
}

func TestRealDiskHasRoomOrSaysWhatIsMissing(t *testing.T) {
	s := opener(badger.Options{})(t, t.TempDir())
	storetest.Add(t, s, storetest.NewRecords(1).Next())
	if err := s.(*badger.Store).Pack(t.Context()); err != nil {
		wantWords(t, err, "MiB")
	}
	storetest.Close(t, s)
}

func TestNodeStaysAndBootChanges(t *testing.T) {
	dir := t.TempDir()
	maker := storetest.NewRecords(1)
	for range 3 {
		s := opener(badger.Options{})(t, dir)
		storetest.Add(t, s, maker.Next())
		storetest.Close(t, s)
	}
	s := opener(badger.Options{})(t, dir)
	nodes, boots := make(map[string]bool), make(map[string]bool)
	for _, r := range storetest.Verify(t, s) {
		nodes[r.Node], boots[r.Boot] = true, true
	}
	storetest.Close(t, s)
	if len(nodes) != 1 || len(boots) != 3 {
		t.Errorf("three runs have %d nodes and %d boots, want 1 and 3", len(nodes), len(boots))
	}
}

func FuzzBlock(f *testing.F) {
	f.Add([]byte("\x0a\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x01\x18\x01\x3a\x04\x08\x20\x10\x20"), []byte("0123456789abcdef\x02\x01m\x01\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, head, metadata []byte) { badger.CheckBlock(head, metadata) })
}

// What it says decides which segments are opened at all.
func TestChangedByteOfSegmentFileIsNoticed(t *testing.T) {
	dir := t.TempDir()
	packedSegment(t, dir)
	paths, err := filepath.Glob(filepath.Join(dir, "segments", "*", "segment.json"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	data, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	sound, err := badger.ReadManifest(data)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(data, []byte(`,"crc32c"`))
	if old, err := badger.ReadManifest(append(data[:at:at], "}\n"...)); err != nil || old != sound {
		t.Errorf("without a checksum, as of earlier versions: %s %v, want %s", old, err, sound)
	}
	for i := range data {
		for bit := range 8 {
			changed := bytes.Clone(data)
			changed[i] ^= 1 << bit
			if got, err := badger.ReadManifest(changed); err == nil && got != sound {
				t.Errorf("byte %d, bit %d: it is believed to be %s, was %s", i, bit, got, sound)
			}
		}
	}
	for i := range data {
		if got, err := badger.ReadManifest(data[:i]); err == nil && got != sound {
			t.Errorf("cut to %d bytes: it is believed to be %s, was %s", i, got, sound)
		}
	}
}
