package badger_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// refused opens a store that cannot be opened, and returns why.
func refused(t *testing.T, o badger.Options) error {
	t.Helper()
	s, err := badger.Open(o)
	if err == nil {
		s.Close(t.Context())
		t.Fatal("the store was opened")
	}
	return err
}

func wantWords(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestSecondOpenerIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := opener(badger.Options{})(t, dir)
	err := refused(t, badger.Options{Path: dir})
	if !errors.Is(err, store.ErrLocked) {
		t.Errorf("error %v is not ErrLocked", err)
	}
	wantWords(t, err, dir, fmt.Sprint(os.Getpid()), "another path")
	storetest.Close(t, s)
	storetest.Close(t, opener(badger.Options{})(t, dir)) // the lock went with the store
}

func TestUnknownFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	storetest.Close(t, opener(badger.Options{})(t, dir))
	if err := os.WriteFile(filepath.Join(dir, "format"), []byte("auditgate store 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantWords(t, refused(t, badger.Options{Path: dir}), dir, "auditgate store 2", "auditgate store 1", "use the version that wrote it")
}

func TestPathThatCannotBeAStoreIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantWords(t, refused(t, badger.Options{Path: file}), file, "not a directory")
	wantWords(t, refused(t, badger.Options{}), "no path")
	wantWords(t, refused(t, badger.Options{Path: file, Durability: "paper"}), "paper", "fsync", "os")
	wantWords(t, refused(t, badger.Options{Path: file, Queue: -1}), "queue", "-1")
}

func TestUnreadableStoreIsRefused(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := t.TempDir()
	storetest.Close(t, opener(badger.Options{})(t, dir))
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	wantWords(t, refused(t, badger.Options{Path: dir}), dir, "permission denied")
}

// packedSegment makes a store with one segment, and returns its directory.
func packedSegment(t *testing.T, dir string) string {
	t.Helper()
	s := opener(badger.Options{})(t, dir)
	r := storetest.NewRecords(1).Next()
	r.Method = "POST"
	storetest.Add(t, s, r)
	storetest.Close(t, s)
	return filepath.Join(dir, "segments", r.Timestamp.Format(time.DateOnly)+".writes")
}

// spoil damages a segment so that it is set aside.
func spoil(t *testing.T, seg string) {
	t.Helper()
	if err := cut(one(seg, "*.sst"), 0); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedSegmentIsSetAsideAsItWas(t *testing.T) {
	dir := t.TempDir()
	seg := packedSegment(t, dir)
	spoil(t, seg)
	s := opener(badger.Options{})(t, dir)
	for _, err := range s.Scan(t.Context(), &record.Query{Scope: storetest.Everything}) {
		if err != nil {
			t.Errorf("listing the rest: %v", err)
		}
	}
	aside := filepath.Join(dir, "quarantine", filepath.Base(seg)+".1")
	end := func() { // without looking for what is gone
		t.Helper()
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	wantHealth := func() {
		t.Helper()
		if err := s.Health(); err == nil {
			t.Error("Health says nothing")
		} else {
			wantWords(t, err, aside, "sound copy", "segments")
		}
	}
	wantHealth()
	if tables, _ := filepath.Glob(filepath.Join(aside, "*.sst")); len(tables) == 0 {
		t.Error("the tables are gone")
	}
	wantGap := func() {
		t.Helper()
		gaps, err := s.Gaps(t.Context(), time.Time{}, time.Time{}, 10)
		if err != nil || len(gaps) != 1 || gaps[0].Gap.Count != 1 || gaps[0].Gap.Reason != store.ReasonDamage {
			t.Errorf("gaps are %v, %v, want one of one record", gaps, err)
		}
	}
	wantGap()
	// What comes on the same day goes to a new segment.
	r := storetest.NewRecords(2).Next()
	r.Method = "POST"
	storetest.Add(t, s, r)
	storetest.Pack(t, s)
	for range 2 {
		end()
		s = opener(badger.Options{})(t, dir)
		wantGap()
		wantHealth()
	}
	if got, err := s.Get(t.Context(), r.EventID); err != nil {
		t.Errorf("the new record: %v", err)
	} else if diff := storetest.Diff(r, got); diff != "" {
		t.Error(diff)
	}
	if err := os.RemoveAll(aside); err != nil {
		t.Fatal(err)
	}
	if err := s.Health(); err != nil {
		t.Errorf("with the segment moved away Health says %v", err)
	}
	end()
}

func TestMissingTableIsNoticed(t *testing.T) {
	dir := t.TempDir()
	seg := packedSegment(t, dir)
	// An empty Badger in place of the one that has a record.
	for _, pattern := range []string{"*.sst", "*.vlog", "*.mem", "MANIFEST", "KEYREGISTRY", "DISCARD"} {
		names, _ := filepath.Glob(filepath.Join(seg, pattern))
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := opener(badger.Options{})(t, dir)
	defer s.Close(t.Context())
	for _, err := range s.Scan(t.Context(), &record.Query{Scope: storetest.Everything}) {
		if err != nil {
			t.Error(err)
		}
	}
	gaps, err := s.Gaps(t.Context(), time.Time{}, time.Time{}, 10)
	if err != nil || len(gaps) != 1 || gaps[0].Gap.Count != 1 || gaps[0].Gap.Reason != store.ReasonDamage {
		t.Errorf("gaps are %v, %v, want one of one record", gaps, err)
	}
}

func TestEmptyFilesOfACrashAreNoObstacle(t *testing.T) {
	dir := t.TempDir()
	seg := packedSegment(t, dir)
	for _, name := range []string{"00009.mem", "000009.vlog", "segment.json.new"} {
		if err := os.WriteFile(filepath.Join(seg, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "segments", "2020-01-01.reads"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := opener(badger.Options{})(t, dir)
	if n := len(storetest.Verify(t, s)); n != 1 {
		t.Errorf("%d records are listed, want 1", n)
	}
	storetest.Close(t, s)
}

// The keys and the layout of format 1. Stores are out there: what changes this
// test changes the format.
func TestLayoutIsFormat1(t *testing.T) {
	dir := t.TempDir()
	s := opener(badger.Options{})(t, dir)
	id := func(text string) record.ID {
		id, err := record.ParseID(text)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	write, read := storetest.NewRecords(1).At(id("019abcde-0000-7000-8000-000000000001")), storetest.NewRecords(1).At(id("019abcde-0001-7000-8000-000000000002"))
	write.Method, read.Method = "DELETE", "OPTIONS"
	gap := storetest.Gap(id("019abcd0-0000-7000-8000-000000000003"), write.Timestamp, "nova", 1)
	storetest.Add(t, s, write)
	storetest.Add(t, s, read)
	storetest.Add(t, s, gap)
	storetest.Close(t, s)

	segments, err := badger.Entries(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string][]string)
	for name, entries := range segments {
		for _, e := range entries {
			got[name] = append(got[name], fmt.Sprintf("%x", e.Key))
		}
	}
	if diff := cmp.Diff(map[string][]string{
		"2025-11-25.writes": {
			"61" + "fe654321ffff8fff7ffffffffffffffe" + "0000000000000001",
			"62" + "fe654321ffff8fff7ffffffffffffffe" + "0000000000000001" + "0000000000",
			"62" + "fe654321ffff8fff7ffffffffffffffe" + "0000000000000001" + "0100000000",
			"62" + "fe654321ffff8fff7ffffffffffffffe" + "0000000000000001" + "0200000000",
			"62" + "fe654321ffff8fff7ffffffffffffffe" + "0000000000000001" + "0300000000",
			"62" + "fe654321ffff8fff7ffffffffffffffe" + "0000000000000001" + "0300010000",
			"62" + "fe654321ffff8fff7ffffffffffffffe" + "0000000000000001" + "0300020000",
			"62" + "fe654321ffff8fff7ffffffffffffffe" + "0000000000000001" + "0300030000",
			"62" + "fe654321ffff8fff7ffffffffffffffe" + "0000000000000001" + "0300040000",
			"62" + "fe654321ffff8fff7ffffffffffffffe" + "0000000000000001" + "0400000000",
		},
		"2025-11-25.reads": {
			"61" + "fe654321fffe8fff7ffffffffffffffd" + "0000000000000002",
			"62" + "fe654321fffe8fff7ffffffffffffffd" + "0000000000000002" + "0000000000",
			"62" + "fe654321fffe8fff7ffffffffffffffd" + "0000000000000002" + "0100000000",
			"62" + "fe654321fffe8fff7ffffffffffffffd" + "0000000000000002" + "0200000000",
			"62" + "fe654321fffe8fff7ffffffffffffffd" + "0000000000000002" + "0300000000",
			"62" + "fe654321fffe8fff7ffffffffffffffd" + "0000000000000002" + "0300010000",
			"62" + "fe654321fffe8fff7ffffffffffffffd" + "0000000000000002" + "0300020000",
			"62" + "fe654321fffe8fff7ffffffffffffffd" + "0000000000000002" + "0300030000",
			"62" + "fe654321fffe8fff7ffffffffffffffd" + "0000000000000002" + "0300040000",
			"62" + "fe654321fffe8fff7ffffffffffffffd" + "0000000000000002" + "0400000000",
		},
		"2025-11-25.control": {
			"61" + "fe65432fffff8fff7ffffffffffffffc" + "0000000000000003",
			"62" + "fe65432fffff8fff7ffffffffffffffc" + "0000000000000003" + "0000000000",
			"62" + "fe65432fffff8fff7ffffffffffffffc" + "0000000000000003" + "0100000000",
			"62" + "fe65432fffff8fff7ffffffffffffffc" + "0000000000000003" + "0300000000",
			"62" + "fe65432fffff8fff7ffffffffffffffc" + "0000000000000003" + "0300010000",
			"62" + "fe65432fffff8fff7ffffffffffffffc" + "0000000000000003" + "0300020000",
			"62" + "fe65432fffff8fff7ffffffffffffffc" + "0000000000000003" + "0300030000",
			"62" + "fe65432fffff8fff7ffffffffffffffc" + "0000000000000003" + "0300040000",
			"62" + "fe65432fffff8fff7ffffffffffffffc" + "0000000000000003" + "0400000000",
		},
	}, got); diff != "" {
		t.Errorf("the keys are others (-want +got):\n%s", diff)
	}
	manifest, err := os.ReadFile(filepath.Join(dir, "segments", "2025-11-25.control", "segment.json"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"oldest":"019abcd0-0000-7000-8000-000000000003","newest":"019abcd0-0000-7000-8000-000000000003","first":3,"last":3,"count":1,"gaps_until":"2025-11-25T21:14:16.96Z","digest":"…",` +
		`"values":{"action":["\u0000"],"method":[""],"project":[""],"source":["nova"],"status":["0"],"success":["unknown"]},"directories":true,"value_log":1,"crc32c":"…"}`
	manifest = regexp.MustCompile(`"[0-9a-f]{8}"}`).ReplaceAll(manifest, []byte(`"…"}`))
	manifest = regexp.MustCompile("[0-9a-f]{64}").ReplaceAll(manifest, []byte("…")) // node and boot are in it
	if diff := cmp.Diff(want+"\n", string(manifest)); diff != "" {
		t.Errorf("segment.json is another (-want +got):\n%s", diff)
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	packedSegment(t, dir)
	for _, path := range []string{dir, filepath.Join(dir, "journal"), filepath.Join(dir, "segments")} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v, want 0700", path, info.Mode().Perm())
		}
	}
}
