package badger_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// writes returns so many records of one class, with bodies of one length.
func writes(maker *storetest.Records, n int) (records []*record.Record) {
	for range n {
		r := maker.Next()
		r.Method = "POST"
		records = append(records, r)
	}
	return records
}

// packedWrites adds and packs records in a store that is opened for it, and returns
// the value logs that have something.
func packedWrites(t *testing.T, dir string, records []*record.Record) (logs []string) {
	t.Helper()
	s := openRoomy(t, dir)
	storetest.Add(t, s, records...)
	storetest.Pack(t, s)
	storetest.Close(t, s)
	names, err := filepath.Glob(filepath.Join(dir, "segments", "*.writes", "*.vlog"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil {
			t.Fatal(err)
		} else if info.Size() > 20 { // the header
			logs = append(logs, name)
		}
	}
	if len(logs) == 0 {
		t.Fatal("no value log has anything")
	}
	return logs
}

// lost counts the records whose bodies are lost. One that has others than were added
// fails the test.
func lost(t *testing.T, s *badger.Store, added []*record.Record) (n int) {
	t.Helper()
	listed := storetest.List(t, s, record.Query{Scope: storetest.Everything, Bodies: true})
	for _, r := range added {
		at := slices.IndexFunc(listed, func(other *record.Record) bool { return other.EventID == r.EventID })
		if at < 0 {
			t.Fatalf("record %s is not listed", r.EventID)
		}
		if got := listed[at]; got.ResponseBody.State == record.BodyWithheld && len(got.ResponseBody.Content) == 0 {
			n++
		} else if diff := storetest.Diff(r, got); diff != "" {
			t.Fatal(diff)
		}
	}
	return n
}

func gapsOf(t *testing.T, s *badger.Store) []*record.Record {
	t.Helper()
	gaps, err := s.Gaps(t.Context(), time.Time{}, time.Time{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	return gaps
}

func TestRecordsAreListedWithoutTheirValueLogs(t *testing.T) {
	dir := quickDir(t)
	records := writes(storetest.NewRecords(1), 300)
	for _, log := range packedWrites(t, dir, records) {
		if err := os.Remove(log); err != nil {
			t.Fatal(err)
		}
	}
	s := openRoomy(t, dir)
	defer storetest.Close(t, s)
	if n := len(storetest.List(t, s, record.Query{Scope: storetest.Everything})); n != len(records) {
		t.Errorf("%d records are listed, want %d", n, len(records))
	}
	if gaps := gapsOf(t, s); len(gaps) > 0 {
		t.Errorf("a listing without bodies has looked for them: %v", gaps)
	}
	// The filters stand there, too.
	if n := len(storetest.List(t, s, record.Query{Scope: storetest.Everything, RequestID: records[9].RequestID})); n != 1 {
		t.Errorf("%d records have the request's id, want 1", n)
	}
	if n := lost(t, s, records); n < len(records)*9/10 { // the last, short sub-block stands in a table
		t.Errorf("the bodies of %d records of %d are lost", n, len(records))
	}
	if gaps := gapsOf(t, s); len(gaps) == 0 {
		t.Error("the bodies that are lost are no gap")
	}
}

// What is written next would stand where the lost values stood: records of one length
// make sub-blocks of one length.
func TestNumberOfAMissingValueLogIsNotUsedAgain(t *testing.T) {
	dir := quickDir(t)
	maker := storetest.NewRecords(1)
	records := writes(maker, 300)
	logs := packedWrites(t, dir, records)
	missing := logs[len(logs)-1]
	if err := os.Remove(missing); err != nil {
		t.Fatal(err)
	}
	if more := packedWrites(t, dir, writes(maker, 300)); slices.Contains(more, missing) {
		t.Errorf("%s was written once more", filepath.Base(missing))
	}
	s := openRoomy(t, dir)
	defer storetest.Close(t, s)
	if n := lost(t, s, records); n < len(records)*9/10 { // the last, short sub-block stands in a table
		t.Errorf("the bodies of %d records of %d are lost", n, len(records))
	}
}

// Badger cuts its newest value log off at what it does not believe.
func TestFlippedByteOfAValueLogCostsItsOwnBodiesAlone(t *testing.T) {
	dir := quickDir(t)
	records := writes(storetest.NewRecords(1), 1500)
	if err := flip(packedWrites(t, dir, records)[0], 30_000); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := openRoomy(t, dir)
		if n := lost(t, s, records); n == 0 || n > 100 {
			t.Errorf("a byte costs the bodies of %d records of %d", n, len(records))
		}
		storetest.Close(t, s)
	}
}

// badgerSays is how Badger tells that it could not sync a value log, and nobody but its
// logger.
const badgerSays = "Error while curlf sync: %v\n"

func TestUnsyncedValueLogIsAnError(t *testing.T) {
	if err := badger.FlushWhileBadgerLogs(t.TempDir(), "anything else: %v", syscall.EIO); err != nil {
		t.Error(err)
	}
	if err := badger.FlushWhileBadgerLogs(t.TempDir(), badgerSays, syscall.EIO); err == nil {
		t.Error("what was not synced counts as stored")
	}
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/dgraph-io/badger/v4").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "value.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), strings.TrimSpace(badgerSays)) {
		t.Error("this Badger says it in other words: see whether logger still hears them")
	}
}
