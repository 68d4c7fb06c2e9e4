package badger_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// part is one part of a backup.
type part struct {
	name    string
	content []byte
}

// save makes a backup. between is called before each part.
func save(t *testing.T, s store.Store, between func(n int)) (parts []part, b *badger.Backup) {
	t.Helper()
	b, err := s.(*badger.Store).Backup(t.Context(), func(name string, size int64, content io.Reader) error {
		between(len(parts))
		data, err := io.ReadAll(content)
		if int64(len(data)) != size {
			t.Errorf("%s has %d bytes, said to have %d", name, len(data), size)
		}
		parts = append(parts, part{name, data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return parts, b
}

func restore(t *testing.T, dir string, parts []part, b *badger.Backup) {
	t.Helper()
	r, err := badger.NewRestore(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if err := r.Put(p.name, bytes.NewReader(p.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Finish(b); err != nil {
		t.Fatal(err)
	}
}

// While writers go on and the store packs, a backup has all records up to its sequence
// and none after, sealed where they were. What is restored is a store of another name
// that goes on from there, and says once that something may be missing.
func TestBackupWhileRecordsComeHasAllUpToItsMoment(t *testing.T) {
	for name, keys := range map[string]*store.Keyring{"plain": nil, "encrypted": ring(t, 1)} {
		t.Run(name, func(t *testing.T) {
			options := badger.Options{Keys: keys, Durability: store.OS, OpenSegments: 2}
			s := opener(options)(t, t.TempDir())
			maker := storetest.NewRecords(1)
			add := func(n int) {
				for range n {
					storetest.Add(t, s, maker.Next(), maker.At(record.IDAt(goldenDays[0])))
				}
			}
			add(30)
			storetest.Pack(t, s)
			add(30)
			entry := storetest.Entry(maker.Next())
			storetest.Add(t, s, entry)
			var writing sync.WaitGroup
			parts, b := save(t, s, func(n int) {
				if n%2 == 1 {
					writing.Go(func() { _ = s.(*badger.Store).Pack(context.Background()) })
				}
				storetest.Add(t, s, storetest.NewRecords(uint64(n)).Next())
			})
			writing.Wait()
			if b.Records != b.Sequence || b.Segments == 0 {
				t.Errorf("the backup is said to have %d records, and blocks of %d segments, up to sequence %d", b.Records, b.Segments, b.Sequence)
			}
			var want []*record.Record
			for _, r := range storetest.Verify(t, s) {
				if r.Sequence <= b.Sequence {
					want = append(want, r)
				}
			}
			storetest.Close(t, s)

			dir := filepath.Join(t.TempDir(), "restored")
			restore(t, dir, parts, b)
			s = opener(options)(t, dir)
			all := storetest.Verify(t, s)
			for _, w := range want {
				i := slices.IndexFunc(all, func(r *record.Record) bool { return r.EventID == w.EventID })
				if i < 0 {
					t.Errorf("record %s, sequence %d of %d, is missing", w.EventID, w.Sequence, b.Sequence)
					continue
				}
				if w.Sequence == 0 {
					w.Outcome, w.Sequence, w.Boot, w.Node = record.OutcomeUnfinished, all[i].Sequence, all[i].Boot, all[i].Node
				}
				if diff := storetest.Diff(w, all[i]); diff != "" || w.Node != all[i].Node || w.Sequence != all[i].Sequence {
					t.Errorf("record %s of %s, sequence %d, is of %s, %d:\n%s", w.EventID, w.Node, w.Sequence, all[i].Node, all[i].Sequence, diff)
				}
			}
			var after []*record.Record
			for _, r := range all {
				if r.Sequence > b.Sequence {
					after = append(after, r)
				}
				if (r.Node == b.Node) != (r.Sequence <= b.Sequence) {
					t.Errorf("sequence %d is of %s; the backup is of %s up to %d", r.Sequence, r.Node, b.Node, b.Sequence)
				}
			}
			slices.SortFunc(after, func(a, b *record.Record) int { return strings.Compare(string(a.Outcome), string(b.Outcome)) })
			if len(after) != 2 || after[0].Gap == nil || after[0].Gap.Reason != store.ReasonRestored || !after[0].Gap.CountUnknown || after[1].EventID != entry.EventID {
				t.Errorf("beyond the backup there are %+v, want a gap and the call that was in flight", after)
			}
			storetest.Add(t, s, maker.Next())
			storetest.Close(t, s)
			s = opener(options)(t, dir)
			if again := storetest.Verify(t, s); len(again) != len(all)+1 {
				t.Errorf("%d records after another start, want %d", len(again), len(all)+1)
			}
			storetest.Close(t, s)
		})
	}
}

func TestRestoreIsWholeOrNotThere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "something"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := badger.NewRestore(dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("into a directory that is not empty: %v", err)
	}
	place := filepath.Join(dir, "store")
	r, err := badger.NewRestore(place)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := badger.NewRestore(place); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("while another goes on: %v", err)
	}
	for _, name := range []string{
		"../lock", "lock", "journal/../../x", "segments/2026-11-26.writes/../../x", "segments/x/segment.json",
		"journal/1.journal", "segments/2026-11-26.writes/000001.sst",
	} {
		if err := r.Put(name, strings.NewReader("x")); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := r.Put("segments/2026-11-26.writes/"+strings.Repeat("62", 25), strings.NewReader("no entries")); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a block of nonsense: %v", err)
	}
	if err := r.Abandon(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v is left, %v", entries, err)
	}
}

// The file that was being written when the backup began is packed while it goes on, and
// again where it is restored, where it ends earlier.
func TestRestoredStoreCountsEachRecordOnce(t *testing.T) {
	dir := t.TempDir()
	s := opener(badger.Options{})(t, dir)
	maker := storetest.NewRecords(5)
	add := func(n int) {
		var records []*record.Record
		for range n {
			records = append(records, maker.Next())
		}
		storetest.Add(t, s, records...)
	}
	add(1500)
	parts, b := save(t, s, func(n int) {
		if n == 0 {
			add(1300)
			storetest.Pack(t, s)
		}
	})
	storetest.Close(t, s)
	to := filepath.Join(t.TempDir(), "store")
	restore(t, to, parts, b)
	s = opener(badger.Options{})(t, to)
	defer s.Close(t.Context())
	for range 2 {
		listed := 0
		for _, err := range s.Scan(t.Context(), &record.Query{Scope: storetest.Everything}) {
			if err != nil {
				t.Fatal(err)
			}
			listed++
		}
		tally := store.NewTally(store.Grouping{})
		if err := s.Summarize(t.Context(), &record.Query{Scope: storetest.Everything}, tally); err != nil {
			t.Fatal(err)
		}
		if counted := int(tally.Summary().Count); counted != listed || listed < 1500 {
			t.Errorf("%d records are counted, %d listed, of 1500", counted, listed)
		}
		storetest.Pack(t, s)
	}
}
