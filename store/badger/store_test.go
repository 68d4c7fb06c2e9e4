package badger_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// opener opens stores with these options but for the path.
func opener(o badger.Options) storetest.Open {
	return func(t *testing.T, dir string) store.Store {
		t.Helper()
		o := o
		o.Path = dir
		o.Log = func(msg string, err error) { t.Logf("%s: %v", msg, err) }
		s, err := badger.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func TestStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, opener(badger.Options{}))
}

// Everything that has a bound runs into it, and everything is sealed.
func TestTightEncryptedStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, opener(badger.Options{
		Keys:         ring(t, 1, 2),
		Durability:   store.OS,
		JournalFile:  256 << 10,
		ScanRecords:  150,
		ScanBytes:    1 << 20,
		OpenSegments: 3,
	}))
}

// Rows that are packed while a scan goes on come out of the journal and out of
// their block.
func TestScanInterruptedAmongPackedRowsYieldsNoneTwice(t *testing.T) {
	s := opener(badger.Options{ScanRecords: 3})(t, t.TempDir())
	maker := storetest.NewRecords(1)
	var want []record.ID
	for i := range 3 {
		r := maker.Next()
		r.Method = "POST"
		storetest.Add(t, s, r)
		if i == 0 {
			storetest.Pack(t, s) // so that there is a segment
		}
		want = append([]record.ID{r.EventID}, want...)
	}
	var got []record.ID
	q := record.Query{Scope: storetest.Everything}
	for interrupted := true; interrupted; {
		interrupted = false
		for r, err := range s.Scan(t.Context(), &q) {
			var stopped *store.InterruptedError
			if errors.As(err, &stopped) {
				q.Before, interrupted = stopped.At, true
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r.EventID)
			storetest.Pack(t, s)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	storetest.Close(t, s)
}
