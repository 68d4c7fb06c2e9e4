package badger_test

import (
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// A segment is opened by its directories, whatever was packed in between, and by its
// heads where some have none: of before there were any.
func TestDirectoriesSayWhatHeadsSay(t *testing.T) {
	dir := t.TempDir()
	maker, start := storetest.NewRecords(5), time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	added := 0
	fill := func() {
		s := opener(badger.Options{})(t, dir)
		for range 2 {
			var records []*record.Record
			for range 1100 {
				records = append(records, maker.At(record.IDAt(start.Add(time.Duration(added)*time.Second))))
				added++
			}
			storetest.Add(t, s, records...)
			if err := s.(*badger.Store).Pack(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		storetest.Close(t, s)
	}
	fill()
	if n, err := badger.CompareDirectories(dir); err != nil || n < added {
		t.Errorf("%d of %d records: %v", n, added, err)
	}
	if n, err := badger.RemoveDirectories(dir); err != nil || n == 0 {
		t.Fatalf("%d directories removed, %v", n, err)
	}
	fill() // which adds some for the new blocks
	if _, err := badger.CompareDirectories(dir); err == nil {
		t.Error("directories that do not know all blocks are enough")
	}
	if err := badger.ForgetCounts(dir); err != nil { // however many the directories know
		t.Fatal(err)
	}
	s := opener(badger.Options{})(t, dir)
	defer s.Close(t.Context())
	if all := storetest.Verify(t, s); len(all) < added {
		t.Errorf("%d of %d records are there", len(all), added)
	}
}
