package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// open opens a journal that is closed when the test ends.
func open(t testing.TB, dir string, o store.JournalOptions) *store.Journal {
	t.Helper()
	if o.Log == nil {
		o.Log = func(msg string, err error) { t.Logf("journal: %s: %v", msg, err) }
	}
	j, err := store.OpenJournal(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close(context.Background()) })
	return j
}

func shut(t testing.TB, j *store.Journal) {
	t.Helper()
	if err := j.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// newCall returns the record of a call that begins now, with bodies of its own.
func newCall(source string) *record.Record {
	id := record.NewID()
	r := &record.Record{
		EventID: id, Timestamp: id.Time(), EndTime: id.Time().Add(time.Millisecond), Source: source,
		Method: "POST", URI: "/v2.1/servers", Status: 202, Success: record.SuccessYes, Outcome: record.OutcomeComplete,
		RequestHeaders: record.Headers{{Name: "Content-Type", Value: "application/json"}},
	}
	r.RequestBody = record.Body{Content: fmt.Appendf(nil, `{"server": {"name": %q}}`, id), BodyInfo: record.BodyInfo{State: record.BodyComplete, Size: 60, Kept: 60}}
	r.ResponseBody = record.Body{Content: fmt.Appendf(nil, `{"server": {"id": %q}}`, record.NewID()), BodyInfo: record.BodyInfo{State: record.BodyComplete, Size: 58, Kept: 58}}
	return r
}

// keep adds a record and waits for its commit.
func keep(t testing.TB, j *store.Journal, r *record.Record, call *store.Counter) {
	t.Helper()
	c, err := j.Add(r, call)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// records decodes all rows of a view, newest first, and checks their order.
func records(t testing.TB, v *store.View) (list []*record.Record) {
	t.Helper()
	for row := range v.Scan(record.ID{}, false, record.ID{}) {
		r, err := row.Record(true)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(list); n > 0 && list[n-1].EventID.Compare(r.EventID) <= 0 {
			t.Fatalf("%s comes after %s", r.EventID, list[n-1].EventID)
		}
		list = append(list, r)
	}
	return list
}

// tally is what a journal knows of the calls of one source.
type tally struct {
	records int
	gaps    map[string]uint64 // counts by reason
	unknown []string          // reasons of gaps of unknown count
}

func (c tally) total() uint64 {
	n := uint64(c.records)
	for _, count := range c.gaps {
		n += count
	}
	return n
}

func count(t testing.TB, v *store.View, source string) tally {
	t.Helper()
	c := tally{gaps: map[string]uint64{}}
	gaps := 0
	for row := range v.Scan(record.ID{}, false, record.ID{}) {
		r, err := row.Record(false)
		if err != nil {
			t.Fatal(err)
		}
		if r.Gap != nil {
			gaps++
		}
		switch {
		case r.Source != source:
		case r.Gap == nil:
			c.records++
		case r.Gap.CountUnknown:
			c.unknown = append(c.unknown, r.Gap.Reason)
		default:
			c.gaps[r.Gap.Reason] += r.Gap.Count
		}
	}
	if n := len(v.Gaps()); n != gaps {
		t.Errorf("Gaps has %d rows, want the %d that a scan finds", n, gaps)
	}
	return c
}

// checkSequences checks that the rows have the sequences 1 to n, each once.
func checkSequences(t testing.TB, v *store.View, n uint64) {
	t.Helper()
	var seen []uint64
	for row := range v.Scan(record.ID{}, false, record.ID{}) {
		seen = append(seen, row.Sequence)
	}
	slices.Sort(seen)
	for i, s := range seen {
		if s != uint64(i+1) {
			t.Fatalf("sequence %d at place %d", s, i+1)
		}
	}
	if uint64(len(seen)) != n {
		t.Fatalf("%d sequences, want %d", len(seen), n)
	}
}

func TestRecordComesBackWhole(t *testing.T) {
	j := open(t, t.TempDir(), store.JournalOptions{Node: "node-7"})
	binary := newCall("glance")
	binary.RequestBody.Content = []byte{0, 1, 2, 0xff}
	bare := newCall("nova")
	bare.RequestBody, bare.ResponseBody = record.Body{}, record.Body{}
	large := newCall("glance")
	large.ResponseBody.Content = []byte(strings.Repeat("0123456789abcdef", 1<<20))
	for i, r := range []*record.Record{newCall("nova"), binary, bare, large} {
		keep(t, j, r, nil)
		row, ok := j.View().Find(r.EventID)
		if !ok {
			t.Fatalf("record %d is not found", i)
		}
		got, err := row.Record(true)
		if err != nil {
			t.Fatal(err)
		}
		if got.Boot == "" {
			t.Errorf("record %d names no boot", i)
		}
		want := *r
		want.Sequence, want.Node, want.Boot = uint64(i+1), "node-7", got.Boot
		if diff := cmp.Diff(&want, got, cmp.Comparer(bytes.Equal)); diff != "" {
			t.Errorf("record %d (-want +got):\n%s", i, diff)
		}
		if bare, err := row.Record(false); err != nil || bare.RequestBody.Content != nil || bare.RequestBody.Size != r.RequestBody.Size {
			t.Errorf("record %d without bodies: %v, %v", i, bare.RequestBody, err)
		}
	}
	if _, ok := j.View().Find(record.NewID()); ok {
		t.Error("an id is found that was never added")
	}
}

func TestSequenceHasNoHolesOverReopen(t *testing.T) {
	dir := t.TempDir()
	var want []*record.Record
	for run := range 4 {
		j := open(t, dir, store.JournalOptions{FileSize: 4096})
		if j.Sequence() != uint64(len(want)) {
			t.Fatalf("run %d begins after sequence %d, want %d", run, j.Sequence(), len(want))
		}
		for range 20 {
			want = append(want, newCall("nova"))
			keep(t, j, want[len(want)-1], nil)
		}
		checkSequences(t, j.View(), uint64(len(want)))
		shut(t, j)
	}
	j := open(t, dir, store.JournalOptions{})
	got := records(t, j.View())
	slices.Reverse(got)
	for i := range got {
		want[i].Sequence, want[i].Boot = uint64(i+1), got[i].Boot
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	shut(t, j)
}

func TestClosedJournalRefusesAndKeepsItsViews(t *testing.T) {
	j := open(t, t.TempDir(), store.JournalOptions{})
	keep(t, j, newCall("nova"), nil)
	call := j.Counter("nova")
	shut(t, j)
	if _, err := j.Add(newCall("nova"), nil); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Add: %v, want ErrClosed", err)
	}
	if err := j.Seal(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Seal: %v, want ErrClosed", err)
	}
	if err := j.Close(t.Context()); err != nil {
		t.Errorf("closing again: %v", err)
	}
	call.Begin() // must not fault
	call.Lose("late", time.Now())
	for row := range j.View().Scan(record.ID{}, false, record.ID{}) {
		if _, err := row.Record(false); err != nil {
			t.Errorf("reading metadata: %v", err)
		}
		if _, err := row.Record(true); !errors.Is(err, store.ErrClosed) {
			t.Errorf("reading bodies: %v, want ErrClosed", err)
		}
	}
}

func TestRecordsThatCannotBeKeptAreRefused(t *testing.T) {
	j := open(t, t.TempDir(), store.JournalOptions{})
	if _, err := j.Add(&record.Record{}, nil); err == nil {
		t.Error("a record without an id was taken")
	}
	r := newCall("glance")
	r.RequestBody.Content = make([]byte, store.MaxRecord)
	if _, err := j.Add(r, nil); err == nil {
		t.Error("a record past MaxRecord was taken")
	}
}

func TestRecordLargerThanQueueBatchAndFileIsStored(t *testing.T) {
	j := open(t, t.TempDir(), store.JournalOptions{Queue: 1024, Batch: 512, FileSize: 2048})
	for range 3 {
		r := newCall("glance")
		r.RequestBody.Content = slices.Repeat(r.RequestBody.Content, 1000)
		keep(t, j, r, nil)
		row, _ := j.View().Find(r.EventID)
		if request, _, err := row.Bodies(); err != nil || string(request) != string(r.RequestBody.Content) {
			t.Errorf("body of %d bytes comes back as %d, %v", len(r.RequestBody.Content), len(request), err)
		}
	}
}

func TestViewIsASnapshotWhileWritersGoOn(t *testing.T) {
	j := open(t, t.TempDir(), store.JournalOptions{FileSize: 64 << 10, Durability: store.OS})
	const writers, each = 8, 250
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				c, err := j.Add(newCall("nova"), nil)
				if err != nil {
					t.Error(err)
					return
				}
				if err := c.Wait(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for going := true; going; {
		select {
		case <-done:
			going = false
		default:
		}
		before := j.Sequence()
		v := j.View()
		n := v.Len()
		if uint64(n) < before {
			t.Fatalf("view has %d rows after sequence %d was committed", n, before)
		}
		checkSequences(t, v, uint64(n))
		if len(records(t, v)) != n || v.Len() != n {
			t.Fatal("the view changed while it was read")
		}
	}
	checkSequences(t, j.View(), writers*each)
}

func TestScanKeepsToItsRange(t *testing.T) {
	j := open(t, t.TempDir(), store.JournalOptions{FileSize: 2048})
	var ids []record.ID
	for range 50 {
		r := newCall("nova")
		keep(t, j, r, nil)
		ids = append(ids, r.EventID)
	}
	for _, c := range []struct {
		from, below int // below < 0: no bound
	}{{0, -1}, {0, 0}, {10, -1}, {10, 11}, {20, 40}, {49, -1}} {
		var below record.ID
		if c.below >= 0 {
			below = ids[c.below]
		}
		var got []record.ID
		for row := range j.View().Scan(below, c.below >= 0, ids[c.from]) {
			got = append(got, row.ID)
		}
		end := c.below
		if end < 0 {
			end = len(ids)
		}
		want := slices.Clone(ids[min(c.from, end):end])
		slices.Reverse(want)
		if !slices.Equal(want, got) {
			t.Errorf("from %d below %d: got %v, want %v", c.from, c.below, got, want)
		}
	}
}

func TestSameIDIsOneRow(t *testing.T) {
	j := open(t, t.TempDir(), store.JournalOptions{})
	r := newCall("nova")
	keep(t, j, r, nil)
	r.Status = 500
	keep(t, j, r, nil)
	list := records(t, j.View())
	if len(list) != 1 || list[0].Status == 500 {
		t.Fatalf("got %d records, want the one committed first", len(list))
	}
	if row, _ := j.View().Find(r.EventID); row.Sequence != 1 {
		t.Errorf("Find returns sequence %d, want 1", row.Sequence)
	}
}

func TestSealedFilesAreDroppedInOrderAndStayReadableInViews(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{FileSize: 1 << 20, Node: "n"})
	if err := j.Seal(); err != nil || len(j.Sealed()) != 0 {
		t.Fatalf("sealing an empty file: %v, %d sealed", err, len(j.Sealed()))
	}
	for range 3 {
		for range 10 {
			keep(t, j, newCall("nova"), nil)
		}
		if err := j.Seal(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-j.Seals():
		default:
			t.Fatal("Seals has no value after a file was sealed")
		}
	}
	sealed := j.Sealed()
	if len(sealed) != 3 {
		t.Fatalf("%d files are sealed, want 3", len(sealed))
	}
	for i, s := range sealed {
		if s.First() != uint64(10*i+1) || s.Last() != uint64(10*i+10) || s.View().Len() != 10 || s.Node() != "n" || s.Boot() == "" {
			t.Errorf("file %d: %d to %d, %d rows, node %q, boot %q", i, s.First(), s.Last(), s.View().Len(), s.Node(), s.Boot())
		}
	}
	if err := j.Drop(t.Context(), sealed[1]); err == nil {
		t.Error("a file was dropped before an older one")
	}
	view := j.View()
	size := j.Stats().Bytes
	if err := j.Drop(t.Context(), sealed[0]); err != nil {
		t.Fatal(err)
	}
	if got := j.Stats().Bytes; got >= size {
		t.Errorf("%d bytes on disk after dropping, %d before", got, size)
	}
	if got := len(records(t, view)); got != 30 {
		t.Errorf("the view taken before has %d records, want 30", got)
	}
	if got := j.View().Len(); got != 20 {
		t.Errorf("the view taken after has %d rows, want 20", got)
	}
	for _, s := range sealed[1:] {
		if err := j.Drop(context.Background(), s); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, j)
	j = open(t, dir, store.JournalOptions{})
	if j.View().Len() != 0 || j.Sequence() != 30 {
		t.Errorf("%d rows after sequence %d, want none after 30", j.View().Len(), j.Sequence())
	}
}

func TestFileBeginsAnewAtItsSize(t *testing.T) {
	j := open(t, t.TempDir(), store.JournalOptions{FileSize: 8 << 10})
	for range 200 {
		keep(t, j, newCall("nova"), nil)
	}
	if len(j.Sealed()) < 3 {
		t.Fatalf("%d files are sealed", len(j.Sealed()))
	}
	checkSequences(t, j.View(), 200)
}

func TestSequenceGoesOnAfterWhatIsKeptElsewhere(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{})
	keep(t, j, newCall("nova"), nil)
	shut(t, j)
	for run := range 2 { // the second sees a jump in the sequence, which is no damage
		j = open(t, dir, store.JournalOptions{After: 41})
		keep(t, j, newCall("nova"), nil)
		if j.Sequence() != uint64(42+run) || len(j.View().Gaps()) > 0 {
			t.Errorf("sequence is %d, want %d; %d gaps, want none", j.Sequence(), 42+run, len(j.View().Gaps()))
		}
		shut(t, j)
	}
}

func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j := open(t, dir, store.JournalOptions{})
	keep(t, j, newCall("nova"), nil)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenSaysWhatIsInTheWay(t *testing.T) {
	if _, err := store.OpenJournal(t.TempDir(), store.JournalOptions{Durability: "maybe"}); err == nil || !strings.Contains(err.Error(), `"maybe"`) {
		t.Errorf("bad durability: %v", err)
	}
	if _, err := store.OpenJournal(t.TempDir(), store.JournalOptions{Node: strings.Repeat("n", 65)}); err == nil {
		t.Error("a node name of 65 bytes was taken")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenJournal(file, store.JournalOptions{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file for a directory: %v", err)
	}
}
