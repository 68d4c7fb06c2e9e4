package store_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// begin returns the begin entry of the call whose record is to be r.
func begin(r *record.Record) *record.Record {
	e := *r
	e.Outcome, e.Success, e.EndTime, e.Status = record.OutcomeInProgress, record.SuccessUnknown, time.Time{}, 0
	e.ResponseBody = record.Body{}
	return &e
}

// outcomes counts the records of a view by their outcome, gaps by their count.
func outcomes(t testing.TB, v *store.View) map[record.Outcome]uint64 {
	t.Helper()
	n := map[record.Outcome]uint64{}
	for _, r := range records(t, v) {
		if r.Gap != nil {
			n[r.Outcome] += r.Gap.Count
		} else {
			n[r.Outcome]++
		}
	}
	return n
}

func TestBeginEntryIsSupersededByItsRecord(t *testing.T) {
	j := open(t, t.TempDir(), store.JournalOptions{})
	call := j.Counter("nova")
	keep(t, j, newCall("nova"), nil)
	r := newCall("nova")
	call.Begin()
	keep(t, j, begin(r), call)
	row, ok := j.View().Find(r.EventID)
	if !ok || row.Sequence != 0 || j.Sequence() != 1 {
		t.Fatalf("found %v, sequence %d of %d, want 0 of 1", ok, row.Sequence, j.Sequence())
	}
	if store.VisibleAt(0, row.Sequence, row.Meta) || !store.VisibleAt(1, row.Sequence, row.Meta) {
		t.Error("the begin entry is not seen from the sequence on at which it came")
	}
	before := j.View()
	keep(t, j, newCall("nova"), nil)
	keep(t, j, r, call)
	row, _ = j.View().Find(r.EventID)
	if row.Sequence != 3 || len(records(t, j.View())) != 3 {
		t.Errorf("sequence %d of %d records, want 3 of 3", row.Sequence, len(records(t, j.View())))
	}
	if store.VisibleAt(0, row.Sequence, row.Meta) || !store.VisibleAt(1, row.Sequence, row.Meta) {
		t.Error("the record is not seen where its begin entry was")
	}
	if got := outcomes(t, before); got[record.OutcomeInProgress] != 1 {
		t.Errorf("a view that was taken before has %v", got)
	}
	if got := j.Stats(); got.Stored != 3 || got.Waiting != 0 {
		t.Errorf("stats: %+v, want 3 stored", got)
	}
}

func TestBeginEntryOutlivesItsFile(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{Durability: store.OS})
	r, ended := newCall("nova"), newCall("nova")
	entry := begin(r)
	keep(t, j, entry, nil)
	keep(t, j, begin(ended), nil)
	before := j.View()
	for range 3 {
		keep(t, j, newCall("nova"), nil)
		if err := j.Seal(); err != nil {
			t.Fatal(err)
		}
		keep(t, j, ended, nil) // the first time, and it changes nothing later
		for _, s := range j.Sealed() {
			for row := range s.View().Scan(record.ID{}, false, record.ID{}) {
				if row.Sequence == 0 {
					t.Error("a begin entry is to be packed")
				}
			}
			if err := j.Drop(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		row, ok := j.View().Find(r.EventID)
		if !ok || row.Sequence != 0 {
			t.Fatalf("after its file went: found %v, sequence %d", ok, row.Sequence)
		}
		got, err := row.Record(true)
		if err != nil || string(got.RequestBody.Content) != string(entry.RequestBody.Content) || record.Announced(row.Meta) != 1 {
			t.Errorf("after its file went: %+v, %v, announced before %d", got, err, record.Announced(row.Meta))
		}
	}
	if got := records(t, before); len(got) != 2 || len(got[1].RequestBody.Content) == 0 {
		t.Errorf("a view that was taken before has %d entries, want 2", len(got))
	}
	keep(t, j, r, nil)
	if err := j.Seal(); err != nil {
		t.Fatal(err)
	}
	for _, s := range j.Sealed() {
		if err := j.Drop(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if n := j.View().Len(); n != 0 {
		t.Errorf("%d rows stay behind when all have ended", n)
	}
	keep(t, j, begin(newCall("nova")), nil)
	if err := j.Seal(); err != nil || len(j.Sealed()) != 0 {
		t.Errorf("a file of begin entries alone was sealed: %v", err)
	}
}

func TestKilledStreamsAreExact(t *testing.T) {
	dir := t.TempDir()
	var begun uint64
	var acknowledged []string
	for loop := range *loops {
		acknowledged = append(acknowledged, kill(t, dir, "streams", 100+(loop*377)%1500)...)
		n, err := store.Begun(dir, "nova")
		if err != nil {
			t.Fatal(err)
		}
		begun += n
		crashed := snapshot(t, dir)
		calls, err := os.ReadFile(filepath.Join(dir, "calls"))
		if err != nil {
			t.Fatal(err)
		}
		j := open(t, dir, store.JournalOptions{})
		got := outcomes(t, j.View())
		if total := got[record.OutcomeComplete] + got[record.OutcomeUnfinished] + got[record.OutcomeGap]; total != begun || got[record.OutcomeInProgress] != 0 {
			t.Fatalf("loop %d: %d calls have begun, %d are in the books: %v", loop, begun, total, got)
		}
		for _, text := range acknowledged {
			if id, err := record.ParseID(text); err == nil {
				if row, ok := j.View().Find(id); !ok || row.Sequence == 0 {
					t.Fatalf("loop %d: %s was acknowledged and is gone", loop, id)
				}
			}
		}
		checkSequences(t, j.View(), j.Sequence())
		shut(t, j)

		// The start itself is cut off at some byte of what it writes, and is done again.
		name, data := newest(t, dir)
		cut := store.FirstFrame + (len(data)-store.FirstFrame)*loop/(*loops)
		write(t, filepath.Join(crashed, name), data[:cut])
		write(t, filepath.Join(crashed, "calls"), calls)
		j = open(t, crashed, store.JournalOptions{})
		again := outcomes(t, j.View())
		if total := again[record.OutcomeComplete] + again[record.OutcomeUnfinished] + again[record.OutcomeGap]; total != begun {
			t.Fatalf("loop %d, start cut off at %d of %d: %d calls have begun, %d are in the books: %v, first %v", loop, cut, len(data), begun, total, again, got)
		}
		checkSequences(t, j.View(), j.Sequence())
		shut(t, j)
	}
	t.Logf("%d kills: %d calls begun", *loops, begun)
}

func TestEntriesAtCloseBecomeUnfinished(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{})
	call := j.Counter("nova")
	for i := range 10 {
		call.Begin()
		if i < 6 {
			keep(t, j, begin(newCall("nova")), call)
		}
	}
	late := newCall("nova")
	call.Begin()
	keep(t, j, begin(late), call)
	shut(t, j)
	if _, err := j.Add(late, call); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Add after Close: %v", err)
	}
	call.Abandon(late.EventID, "store", time.Now())
	for range 2 {
		j = open(t, dir, store.JournalOptions{})
		got, gaps := outcomes(t, j.View()), count(t, j.View(), "nova").gaps
		if got[record.OutcomeUnfinished] != 7 || gaps[store.ReasonShutdown] != 4 || len(gaps) != 1 {
			t.Errorf("%v, gaps %v; want 7 unfinished and 4 in flight", got, gaps)
		}
		shut(t, j)
	}
}

func TestAbandonedEntryIsNotLost(t *testing.T) {
	j := open(t, t.TempDir(), store.JournalOptions{Queue: 16 << 10})
	call := j.Counter("nova")
	var refused uint64
	for refused < 20 { // what cannot be added at its end
		r := newCall("nova")
		call.Begin()
		if _, err := j.Add(begin(r), call); err != nil {
			call.Abandon(r.EventID, "test", time.Now())
			continue
		}
		if _, err := j.Add(r, call); err != nil {
			call.Abandon(r.EventID, "test", time.Now())
			refused++
		}
	}
	waitFor(t, "what was abandoned is a record", func() bool {
		got := outcomes(t, j.View())
		return got[record.OutcomeUnfinished] == refused && got[record.OutcomeInProgress] == 0
	})
	shut(t, j)
	if lost := j.Stats().Lost; lost[store.ReasonShutdown] != 0 {
		t.Errorf("lost: %v, want every call in the books before Close", lost)
	}
	checkSequences(t, j.View(), j.Sequence())
}

func TestBeginEntriesAreBounded(t *testing.T) {
	dir := quickDir(t)
	j := open(t, dir, store.JournalOptions{Durability: store.OS, Queue: 1 << 30})
	bare := func() *record.Record {
		id := record.NewID()
		return &record.Record{EventID: id, Source: "nova", Outcome: record.OutcomeInProgress}
	}
	var last *record.Record
	for range store.MaxEntries {
		last = bare()
		if _, err := j.Add(last, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.Add(bare(), nil); !errors.Is(err, store.ErrFull) {
		t.Errorf("past the bound: %v, want ErrFull", err)
	}
	keep(t, j, newCall("nova"), nil)
	end := *last
	end.Outcome = record.OutcomeComplete
	keep(t, j, &end, nil)
	keep(t, j, bare(), nil)
	if err := j.Seal(); err != nil {
		t.Fatal(err)
	}
	for _, s := range j.Sealed() {
		if err := j.Drop(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(records(t, j.View())); n != store.MaxEntries {
		t.Errorf("%d begin entries outlive their file, want %d", n, store.MaxEntries)
	}
	large := func() *record.Record {
		r := bare()
		r.URI = string(make([]byte, store.MaxEntryBytes/2+1))
		return r
	}
	shut(t, j)
	j = open(t, dir, store.JournalOptions{Durability: store.OS, Queue: 1 << 30})
	if got := outcomes(t, j.View())[record.OutcomeUnfinished]; got != store.MaxEntries {
		t.Errorf("%d are unfinished, want %d", got, store.MaxEntries)
	}
	keep(t, j, large(), nil)
	if _, err := j.Add(large(), nil); !errors.Is(err, store.ErrFull) {
		t.Errorf("past the bytes: %v, want ErrFull", err)
	}
}

func TestDamageOfBeginEntriesIsNoDamageOfOthers(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{Durability: store.OS, FileSize: 16 << 10})
	call := j.Counter("nova")
	var calls []*record.Record
	for range 3 {
		r := newCall("nova")
		calls = append(calls, r)
		call.Begin()
		keep(t, j, begin(r), call)
	}
	keep(t, j, calls[0], call)
	keep(t, j, calls[1], call)
	crashed := snapshot(t, dir)
	sweepEntries(t, crashed)
	open(t, crashed, quick)
	sweepEntries(t, snapshot(t, crashed)) // now it is the record of the entry that is damaged
}

// sweepEntries flips bits of the newest file in dir, whose journal was killed when
// 3 calls had begun. Each is told of once, however often it is started after that.
func sweepEntries(t *testing.T, dir string) {
	t.Helper()
	name, data := newest(t, dir)
	end := len(bytes.TrimRight(data, "\x00"))
	for at := store.FirstFrame; at < end; at += 5 {
		flipped := snapshot(t, dir)
		broken := slices.Clone(data)
		broken[at] ^= 1 << (at % 8)
		write(t, filepath.Join(flipped, name), broken)
		for range 2 {
			j := open(t, flipped, quick)
			got := outcomes(t, j.View())
			total := got[record.OutcomeComplete] + got[record.OutcomeUnfinished] + got[record.OutcomeGap]
			if total != 3 || got[record.OutcomeInProgress] != 0 {
				t.Fatalf("byte %d of %d: 3 calls have begun, %d are in the books: %v", at, end, total, got)
			}
			shut(t, j)
		}
		os.RemoveAll(flipped)
	}
}

func TestEntriesLargerThanAFileAreCopiedOncePerFile(t *testing.T) {
	const size = 16 << 10
	j := open(t, quickDir(t), store.JournalOptions{Durability: store.OS, FileSize: size})
	for range 60 { // far more than a file has room for, and no compressing it
		r := begin(newCall("nova"))
		r.RequestBody.Content = make([]byte, 1<<10)
		rand.Read(r.RequestBody.Content)
		keep(t, j, r, nil)
	}
	drops := 0
	drop := func() {
		for sealed := j.Sealed(); len(sealed) > 0; sealed = j.Sealed() {
			if drops++; drops > 30 {
				t.Fatal("files of begin entries are dropped for ever, and others made of them")
			}
			if err := j.Drop(t.Context(), sealed[0]); err != nil {
				t.Fatal(err)
			}
		}
	}
	drop()
	for range 64 { // up to 8 to a file
		r := newCall("nova")
		r.RequestBody.Content = make([]byte, 1<<10)
		rand.Read(r.RequestBody.Content)
		keep(t, j, r, nil)
		drop()
	}
	if drops == 0 || drops > 64/4 {
		t.Errorf("%d files were dropped, want one for each %d bytes of records", drops, size)
	}
	if got := outcomes(t, j.View())[record.OutcomeInProgress]; got != 60 {
		t.Errorf("%d begin entries stand, want 60", got)
	}
}

// testdata/format1.journal was written by the last program of format 1: three
// records and a gap.
func TestOlderFormatIsRead(t *testing.T) {
	dir := t.TempDir()
	data, err := os.ReadFile("testdata/format1.journal")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "0000000000000001.journal"), data)
	for range 2 {
		j := open(t, dir, store.JournalOptions{})
		var got []string
		for _, r := range records(t, j.View()) {
			if r.Source == "nova" {
				got = append(got, fmt.Sprint(r.Sequence, " ", r.Node, " ", r.Outcome, " ", r.URI, string(r.RequestBody.Content), string(r.ResponseBody.Content)))
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff([]string{
			`1 0123456789abcdef complete /v2.1/servers{"server":{}}{"id":"a"}`,
			`2 0123456789abcdef complete /v2.1/servers{"server":{}}{"id":"b"}`,
			`3 0123456789abcdef complete /v2.1/servers{"server":{}}{"id":"c"}`,
			`4 0123456789abcdef gap `,
		}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		keep(t, j, begin(newCall("keystone")), nil)
		shut(t, j)
	}
}

// BenchmarkEntries measures what 10,000 begin entries that stand take: bytes of
// memory each, and the time to copy all of them to the next file.
func BenchmarkEntries(b *testing.B) {
	const n = 10_000
	j := open(b, b.TempDir(), store.JournalOptions{Durability: store.OS})
	calls := usualCalls(100)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	var last *store.Commit
	for i := range n {
		r := begin(calls[i%len(calls)])
		r.EventID, r.RequestBody.Content = record.NewID(), nil
		var err error
		if last, err = j.Add(r, nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := last.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
	each := float64(heap()-before) / n
	for b.Loop() {
		keep(b, j, newCall("nova"), nil)
		if err := j.Seal(); err != nil {
			b.Fatal(err)
		}
		if err := j.Drop(b.Context(), j.Sealed()[0]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(each, "B/entry")
}
