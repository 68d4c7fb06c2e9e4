package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// With durability os the disk may have the newer of two files, and the older not.
func TestHolesOfAPowerCutAreToldOnceAndWithTheirTime(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{Durability: store.OS})
	var lost []*record.Record
	for range 3 {
		for range 5 {
			r := newCall("nova")
			keep(t, j, r, nil)
			lost = append(lost, r)
		}
		if err := j.Seal(); err != nil {
			t.Fatal(err)
		}
	}
	cut := snapshot(t, dir)
	files, err := filepath.Glob(filepath.Join(cut, "*.journal"))
	if err != nil || len(files) != 4 {
		t.Fatal(files, err)
	}
	for _, file := range files[:3] { // whose names and headers were synced, and nothing else
		if err := os.Truncate(file, store.FirstFrame); err != nil {
			t.Fatal(err)
		}
	}
	restartMachine(t, cut)
	for range 2 { // what the first start finds, the second does not find again
		j := open(t, cut, store.JournalOptions{})
		if got := count(t, j.View(), record.Self); got.gaps[store.ReasonPowerCut] != 15 || len(got.gaps)+len(got.unknown) != 1 {
			t.Errorf("%+v, want 15 missing after a power cut", got)
		}
		for _, r := range lost {
			told := false
			for _, row := range j.View().Gaps() {
				g, err := row.Record(false)
				if err != nil {
					t.Fatal(err)
				}
				told = told || g.Source == record.Self && !r.Timestamp.Before(g.Timestamp) && !r.Timestamp.After(g.EndTime)
			}
			if !told {
				t.Errorf("%s, which is missing, began at %v: no gap has that time", r.EventID, r.Timestamp)
			}
		}
		shut(t, j)
	}
}

// restartMachine makes the calls file in dir that of another run of the machine.
func restartMachine(t *testing.T, dir string) {
	t.Helper()
	name := filepath.Join(dir, "calls")
	calls, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	calls[24] ^= 1
	store.SignCalls(calls)
	write(t, name, calls)
}
