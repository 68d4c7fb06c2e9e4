package badger_test

import (
	"testing"

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

// Everything that has a bound runs into it.
func TestTightStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, opener(badger.Options{
		Durability:   store.OS,
		JournalFile:  256 << 10,
		ScanRecords:  150,
		OpenSegments: 3,
	}))
}
