package badger_test

import (
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// All checksums are right, and still a row cannot be read: what stands before it in its
// sub-block is served, and what is lost is a gap, whoever comes to it first.
func TestDamagedRowIsAGap(t *testing.T) {
	t.Parallel()
	for name, whole := range map[string]bool{"its length": false, "its metadata": true} {
		dir := t.TempDir()
		s := openRoomy(t, dir)
		maker, start := storetest.NewRecords(7), time.Now()
		var records []*record.Record
		for i := range 40 {
			r := maker.At(record.IDAt(start.Add(time.Duration(i) * time.Microsecond)))
			r.Method = "POST"
			records = append(records, r)
		}
		storetest.Add(t, s, records...)
		storetest.Close(t, s)
		if _, err := badger.StripIndexes(dir); err != nil { // so that summaries look at records, too
			t.Fatal(err)
		}
		lost, err := badger.DamageRows(dir, 3, whole)
		if err != nil || lost == 0 {
			t.Fatalf("%d rows are damaged, %v", lost, err)
		}
		want := uint64(len(records) - lost)
		all := record.Query{Scope: storetest.Everything}
		summary := func(s *badger.Store) {
			t.Helper()
			tally := store.NewTally(store.Grouping{})
			if err := s.Summarize(t.Context(), &all, tally); err != nil || tally.Summary().Count != want {
				t.Errorf("%s: a summary counts %d, %v; want %d", name, tally.Summary().Count, err, want)
			}
		}
		list := func(s *badger.Store) {
			t.Helper()
			var n uint64
			for _, err := range s.Scan(t.Context(), &all) {
				if err != nil {
					t.Errorf("%s: listing: %v", name, err)
					break
				}
				n++
			}
			if n != want {
				t.Errorf("%s: %d are listed, want %d", name, n, want)
			}
		}
		for _, look := range []func(*badger.Store){summary, list} {
			s := openRoomy(t, dir)
			s.StopPacker() // so that the gap is not stored
			look(s)
			gaps, err := s.Gaps(t.Context(), time.Time{}, time.Time{}, 10)
			if err != nil || len(gaps) != 1 || gaps[0].Gap.Count != uint64(lost) {
				t.Errorf("%s: gaps %v, %v; want one of %d records", name, gaps, err, lost)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}
