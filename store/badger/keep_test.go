package badger_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// fakeClock is a clock that a test sets.
type fakeClock struct{ now atomic.Pointer[time.Time] }

func newClock() *fakeClock {
	c := new(fakeClock)
	c.set(time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC))
	return c
}

func (c *fakeClock) set(t time.Time)         { c.now.Store(&t) }
func (c *fakeClock) get() time.Time          { return *c.now.Load() }
func (c *fakeClock) ago(days int) time.Time  { return c.get().AddDate(0, 0, -days) }
func (c *fakeClock) forward(d time.Duration) { c.set(c.get().Add(d)) }

// usual is the retention of the documentation, but for the disk.
var usual = store.Retention{Writes: 400 * store.Day, Reads: 30 * store.Day}

// kept is a store whose clock the test sets, and what it has said.
type kept struct {
	*badger.Store
	clock *fakeClock
	maker *storetest.Records
	ids   *record.IDs

	mu   sync.Mutex // guards said
	said []string
}

// openKept opens a store that sweeps once, and then only when it is told to.
func openKept(t *testing.T, dir string, clock *fakeClock, r store.Retention) *kept {
	t.Helper()
	k := &kept{clock: clock, maker: storetest.NewRecords(1), ids: record.NewIDs(clock.get)}
	s, err := badger.Open(badger.Options{
		Path: dir, Retention: r, Now: clock.get, Durability: store.OS,
		Log: func(msg string, err error) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.said = append(k.said, fmt.Sprint(msg, " ", err))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.StopPacker()
	k.Store = s
	return k
}

func (k *kept) logged(words string) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, line := range k.said {
		n += strings.Count(line, words)
	}
	return n
}

// add stores a record of a class that began days ago, packed.
func (k *kept) add(t *testing.T, class record.Class, days int) record.ID {
	t.Helper()
	r := k.maker.At(record.IDAt(k.clock.ago(days)))
	switch class {
	case record.ClassReads:
		r.Method = "GET"
	case record.ClassWrites:
		r.Method = "POST"
	case record.ClassControl:
		r.Source = record.Self
	}
	storetest.Add(t, k.Store, r)
	storetest.Pack(t, k.Store)
	return r.EventID
}

func (k *kept) sweep(t *testing.T) {
	t.Helper()
	if err := k.Sweep(t.Context()); err != nil {
		t.Error("sweeping:", err)
	}
}

// end closes a store whose records and drops do not add up yet, or any more.
func (k *kept) end(t *testing.T) {
	t.Helper()
	if err := k.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// split lists all records, those of drops apart.
func (k *kept) split(t *testing.T) (ids []record.ID, drops []*record.Record) {
	t.Helper()
	for _, r := range storetest.List(t, k.Store, record.Query{Scope: storetest.Everything, Bodies: true}) {
		if r.Action == "retention.drop" {
			drops = append(drops, r)
		} else {
			ids = append(ids, r.EventID)
		}
	}
	return ids, drops
}

func (k *kept) want(t *testing.T, drops int, ids ...record.ID) {
	t.Helper()
	slices.SortFunc(ids, func(a, b record.ID) int { return b.Compare(a) })
	got, dropped := k.split(t)
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if len(dropped) != drops {
		t.Errorf("%d drops are recorded, want %d", len(dropped), drops)
		for _, r := range dropped {
			t.Logf("%s: %s", r.EventID, r.RequestBody.Content)
		}
	}
}

func TestEachClassIsKeptForItsTime(t *testing.T) {
	t.Parallel()
	k := openKept(t, t.TempDir(), newClock(), usual)
	k.add(t, record.ClassReads, 31)
	k.add(t, record.ClassReads, 399)
	k.add(t, record.ClassWrites, 401)
	k.add(t, record.ClassControl, 401)
	want := []record.ID{
		k.add(t, record.ClassReads, 0), k.add(t, record.ClassReads, 29),
		k.add(t, record.ClassWrites, 0), k.add(t, record.ClassWrites, 31), k.add(t, record.ClassWrites, 399),
		k.add(t, record.ClassControl, 31), k.add(t, record.ClassControl, 399),
	}
	k.sweep(t)
	k.want(t, 4, want...)
	k.sweep(t)
	k.want(t, 4, want...)
	if st := k.Stats(); st.Dropped[store.DroppedAge] != 4 || !st.Oldest.Equal(k.clock.ago(399)) {
		t.Errorf("%v records are dropped and the oldest is of %s, want 4, and %s", st.Dropped, st.Oldest, k.clock.ago(399))
	}
	storetest.Close(t, k.Store)
}

func TestControlRecordsStayAsLongAsOthers(t *testing.T) {
	t.Parallel()
	long := 800 * store.Day
	k := openKept(t, t.TempDir(), newClock(), store.Retention{Writes: long, Reads: store.Day})
	want := k.add(t, record.ClassControl, 799)
	k.add(t, record.ClassControl, 801)
	k.sweep(t)
	k.want(t, 1, want)
	k.SetRetention(store.Retention{Writes: store.Day, Reads: store.Day})
	k.sweep(t)
	k.want(t, 2)
	storetest.Close(t, k.Store)
}

func TestRetentionOfNothingKeepsEverything(t *testing.T) {
	t.Parallel()
	k := openKept(t, t.TempDir(), newClock(), store.Retention{})
	want := []record.ID{k.add(t, record.ClassReads, 5000), k.add(t, record.ClassControl, 5000)}
	k.sweep(t)
	k.want(t, 0, want...)
	storetest.Close(t, k.Store)
}

func TestRetentionRunsAtStart(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	k := openKept(t, dir, clock, store.Retention{})
	k.add(t, record.ClassReads, 31)
	want := k.add(t, record.ClassWrites, 31)
	storetest.Close(t, k.Store)
	s := opener(badger.Options{Now: clock.get, Retention: usual})(t, dir)
	k.Store = s.(*badger.Store)
	for drops := 0; drops == 0; time.Sleep(time.Millisecond) {
		_, list := k.split(t)
		drops = len(list)
	}
	for k.Stats().Dropped[store.DroppedAge] == 0 {
		time.Sleep(time.Millisecond)
	}
	k.want(t, 1, want)
	storetest.Close(t, s)
}

// usage is what the files below dir take, as du says.
func usage(t *testing.T, dir string) int64 {
	t.Helper()
	n, err := badger.DiskUsage(dir)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDroppedSegmentFreesItsSpaceAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := openKept(t, dir, newClock(), usual)
	var reads []*record.Record
	for range 1000 {
		r := k.maker.At(record.IDAt(k.clock.ago(31)))
		r.Method = "GET"
		reads = append(reads, r)
	}
	storetest.Add(t, k.Store, reads...) // what is not committed yet would be packed later, elsewhere
	storetest.Pack(t, k.Store)
	want := k.add(t, record.ClassWrites, 1)
	k.split(t) // so that its files are open
	size, before, stats := usage(t, filepath.Join(dir, "segments", k.clock.ago(31).Format(time.DateOnly)+".reads")), usage(t, dir), k.Stats()
	if size < 512<<10 {
		t.Fatalf("the segment takes %d bytes only", size)
	}
	k.sweep(t)
	k.want(t, 1, want)
	if freed := before - usage(t, dir); freed < size*9/10 {
		t.Errorf("%d bytes are free of %d", freed, size)
	}
	if freed := stats.Bytes - k.Stats().Bytes; freed < size*9/10 {
		t.Errorf("the figures have %d bytes less, want about %d", freed, size)
	}
	if open := openFiles(t, dir); len(open) > 0 {
		t.Errorf("files that are gone are still open: %v", open)
	}
	storetest.Close(t, k.Store)
}

// openFiles lists what this process has open or mapped below dir that has no name
// any more, but for journal files, which the garbage collector closes.
func openFiles(t *testing.T, dir string) (gone []string) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip(err)
	}
	lines := strings.Split(string(maps), "\n")
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	for _, fd := range fds {
		name, _ := os.Readlink(filepath.Join("/proc/self/fd", fd.Name()))
		lines = append(lines, name)
	}
	for _, line := range lines {
		if strings.Contains(line, dir) && strings.HasSuffix(line, "(deleted)") && !strings.Contains(line, "/journal/") {
			gone = append(gone, line)
		}
	}
	return gone
}

func TestDropIsRecordedWithItsDigest(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	k := openKept(t, dir, clock, store.Retention{})
	first, last := k.add(t, record.ClassReads, 31), k.add(t, record.ClassReads, 31)
	k.add(t, record.ClassWrites, 31)
	storetest.Close(t, k.Store)
	name := clock.ago(31).Format(time.DateOnly) + ".reads"
	entries, err := badger.Entries(dir)
	if err != nil {
		t.Fatal(err)
	}
	digest := digestByHand(entries[name])
	k = openKept(t, dir, clock, usual)
	k.sweep(t)
	_, drops := k.split(t)
	if len(drops) != 1 {
		t.Fatalf("%d drops are recorded, want 1", len(drops))
	}
	r := drops[0]
	if r.Source != record.Self || r.Success != record.SuccessYes || r.Object == nil || r.Object.ID != name || !r.Timestamp.Equal(clock.get()) {
		t.Errorf("the drop's record is %+v", r)
	}
	var got map[string]any
	if err := json.Unmarshal(r.RequestBody.Content, &got); err != nil {
		t.Fatal(err)
	}
	if bytes, _ := got["bytes"].(float64); bytes <= 0 {
		t.Errorf("it took %v bytes", got["bytes"])
	}
	delete(got, "bytes")
	oldest, newest := first.Time(), last.Time()
	if newest.Before(oldest) {
		oldest, newest = newest, oldest
	}
	want := map[string]any{
		"segment": name, "class": "reads", "reason": "age", "rule": "30d", "found": "31d",
		"oldest": oldest.Format(time.RFC3339Nano), "newest": newest.Format(time.RFC3339Nano),
		"first_sequence": 1.0, "last_sequence": 2.0, "count": 2.0, "digest": digest,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("detail (-want +got):\n%s", diff)
	}
	storetest.Close(t, k.Store)
}

// digestByHand computes what the package's description says of entries in the
// order of their keys.
func digestByHand(entries []badger.Entry) string {
	all, content := sha256.New(), sha256.New()
	var head badger.Entry
	end := func() {
		if head.Key == nil {
			return
		}
		if !strings.Contains(string(head.Value), string(content.Sum(nil))) {
			panic("the head does not have the digest of the content")
		}
		sum := sha256.Sum256(append(slices.Clone(head.Key[:25]), head.Value...))
		all.Write(sum[:])
		content.Reset()
	}
	for _, e := range entries {
		if len(e.Key) == 25 { // a directory
			continue
		}
		if e.Key[25] == 0 {
			end()
			head = e
		} else if e.Key[25] <= 2 { // metadata and bodies
			content.Write(e.Value)
		}
	}
	end()
	return hex.EncodeToString(all.Sum(nil))
}

func TestScanGoesOnOverWhatIsDropped(t *testing.T) {
	t.Parallel()
	for _, bodies := range []bool{false, true} {
		k := openKept(t, t.TempDir(), newClock(), usual)
		var want, gone []record.ID
		for range 3 {
			want = append(want, k.add(t, record.ClassWrites, 1))
			gone = append(gone, k.add(t, record.ClassReads, 31))
		}
		want = append(want, k.add(t, record.ClassWrites, 60))
		gone = append(gone, k.add(t, record.ClassReads, 62))
		var got []record.ID
		for r, err := range k.Scan(t.Context(), &record.Query{Scope: storetest.Everything, Bodies: bodies}) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, r.EventID); r.EventID.Compare(want[0]) < 0 && slices.Contains(gone, r.EventID) {
				k.sweep(t) // in the midst of what goes
			}
		}
		got = slices.DeleteFunc(got, func(id record.ID) bool { return slices.Contains(gone, id) })
		slices.SortFunc(want, func(a, b record.ID) int { return b.Compare(a) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("bodies %v: what is kept (-want +got):\n%s", bodies, diff)
		}
		for _, id := range gone {
			if _, err := k.Get(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a record that was dropped is looked up: %v", err)
			}
		}
		storetest.Close(t, k.Store)
	}
}

func TestReadersAndPackingDoNotMindDrops(t *testing.T) {
	t.Parallel()
	k := openKept(t, t.TempDir(), newClock(), usual)
	var stop atomic.Bool
	var others sync.WaitGroup
	others.Go(func() {
		for !stop.Load() {
			k.split(t)
			if _, err := k.Gaps(t.Context(), time.Time{}, time.Time{}, 10); err != nil {
				t.Error(err)
			}
			k.Stats()
		}
	})
	var want []record.ID
	const rounds = 4
	for range rounds {
		k.add(t, record.ClassReads, 31)
		k.add(t, record.ClassReads, 45)
		want = append(want, k.add(t, record.ClassWrites, 0))
		others.Go(func() { storetest.Pack(t, k.Store) })
		k.sweep(t)
	}
	stop.Store(true)
	others.Wait()
	k.want(t, 2*rounds, want...)
	storetest.Close(t, k.Store)
}

func TestDropThatACrashCutShortIsFinishedAndRecordedOnce(t *testing.T) {
	t.Parallel()
	base, clock := t.TempDir(), newClock()
	k := openKept(t, base, clock, store.Retention{})
	k.add(t, record.ClassReads, 31)
	want := k.add(t, record.ClassWrites, 31)
	storetest.Close(t, k.Store)
	name := clock.ago(31).Format(time.DateOnly) + ".reads"
	for _, crash := range []struct {
		name string
		drop func(t *testing.T, k *kept, trash string)
	}{
		{"before its record", func(t *testing.T, k *kept, _ string) {
			if err := k.BeginDrop(name); err != nil {
				t.Fatal(err)
			}
		}},
		{"behind its record", func(t *testing.T, k *kept, trash string) {
			// So that the segment cannot be moved there.
			if err := errors.Join(os.Remove(trash), os.WriteFile(trash, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			k.SetRetention(usual)
			for range 2 {
				if err := k.Sweep(t.Context()); err == nil {
					t.Error("the segment was dropped though it cannot be moved")
				}
			}
			if ids, drops := k.split(t); len(ids) != 2 || len(drops) != 1 {
				t.Errorf("%d records and %d drops are listed, want 2 and 1", len(ids), len(drops))
			}
			if err := os.Remove(trash); err != nil {
				t.Fatal(err)
			}
		}},
		{"behind its directory's new name", func(t *testing.T, k *kept, trash string) {
			k.SetRetention(usual)
			k.sweep(t)
			half := filepath.Join(trash, name+".x")
			if err := errors.Join(os.Mkdir(half, 0o700), os.WriteFile(filepath.Join(half, "000001.sst"), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(crash.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			trash := filepath.Join(dir, "trash")
			copyDir(t, base, dir)
			k := openKept(t, dir, clock, store.Retention{})
			crash.drop(t, k, trash)
			k.end(t)
			for range 2 {
				k = openKept(t, dir, clock, usual)
				k.sweep(t)
				k.want(t, 1, want)
				if left, err := os.ReadDir(trash); err != nil || len(left) != 0 {
					t.Errorf("%d directories are left of what was dropped, %v", len(left), err)
				}
				storetest.Close(t, k.Store)
			}
		})
	}
}

func TestSequenceGoesOnWhereAllIsGone(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	k := openKept(t, dir, clock, usual)
	for range 9 {
		k.add(t, record.ClassReads, 31)
	}
	k.sweep(t)
	k.want(t, 1)
	storetest.Close(t, k.Store)
	for _, name := range []string{"segments", "journal"} { // the drop's record too
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	k = openKept(t, dir, clock, usual)
	id := k.add(t, record.ClassWrites, 0)
	r, err := k.Get(t.Context(), id)
	if err != nil || r.Sequence <= 9 {
		t.Errorf("after 9 records that were dropped the next has sequence %d, %v", r.Sequence, err)
	}
	k.end(t) // it has lost what it had
}

// A journal file whose packing was cut short is packed again into the same segment.
func TestSegmentStaysWhileTheJournalHasItsRecords(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	k := openKept(t, dir, clock, usual)
	r := k.maker.At(record.IDAt(clock.ago(31)))
	r.Method = "GET"
	storetest.Add(t, k.Store, r)
	if err := k.SealJournal(); err != nil {
		t.Fatal(err)
	}
	snapshot := filepath.Join(t.TempDir(), "sealed")
	copyDir(t, dir, snapshot)
	storetest.Pack(t, k.Store)
	storetest.Close(t, k.Store)
	// The journal as before, the segments as after.
	if err := os.RemoveAll(filepath.Join(dir, "journal")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "journal"), os.DirFS(filepath.Join(snapshot, "journal"))); err != nil {
		t.Fatal(err)
	}
	k = openKept(t, dir, clock, usual)
	if !k.HasSealed() {
		t.Skip("packed again before it could be asked to drop")
	}
	k.sweep(t)
	k.want(t, 0, r.EventID)
	storetest.Pack(t, k.Store)
	k.sweep(t)
	k.want(t, 1)
	storetest.Close(t, k.Store)
}

func wantText(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not have %q", text, w)
		}
	}
}
