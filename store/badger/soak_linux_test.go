package badger_test

import (
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

var (
	soakFor  = flag.Duration("soak-for", 0, "how long a store is under load while its memory, files and disk are watched; 0: not at all")
	soakDays = flag.Float64("soak-days", 12, "how many days go by for the store meanwhile")
)

// soak is a store under load for which time goes by faster.
type soak struct {
	t     *testing.T
	s     store.Store
	start time.Time
	speed float64 // how much faster
	done  chan struct{}
	added atomic.Int64
}

// now is the time of the calls.
func (k *soak) now() time.Time {
	return k.start.Add(time.Duration(float64(time.Since(k.start)) * k.speed))
}

func (k *soak) over() bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

// write has calls of which each is stored before the next one begins. A few go on
// for long, a few are lost.
func (k *soak) write(seed uint64) {
	maker, rng := storetest.NewRecords(seed), rand.New(rand.NewPCG(seed, 1))
	for !k.over() {
		r := maker.At(record.IDAt(k.now()))
		call := k.s.Counter(r.Source)
		call.Begin()
		what := rng.IntN(1000)
		if what < 20 {
			if c, err := k.s.Add(storetest.Entry(r), call); err == nil {
				_ = c.Wait(k.t.Context())
			}
		}
		if what < 5 {
			call.Abandon(r.EventID, "soak", r.Timestamp)
			continue
		}
		c, err := k.s.Add(r, call)
		if errors.Is(err, store.ErrFull) {
			call.Abandon(r.EventID, "full", r.Timestamp)
			time.Sleep(time.Millisecond)
			continue
		}
		if err == nil {
			err = c.Wait(k.t.Context())
		}
		if err != nil {
			k.t.Errorf("storing: %v", err)
			return
		}
		k.added.Add(1)
	}
}

// read lists, looks up, searches and counts, a little of everything a second.
func (k *soak) read(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	for !k.over() {
		now := k.now()
		q := record.Query{Scope: storetest.Everything, Bodies: rng.IntN(2) == 0}
		switch rng.IntN(4) {
		case 0: // the newest
		case 1: // of some other time
			q.To = now.Add(-time.Duration(rng.Float64() * float64(now.Sub(k.start))))
		case 2: // of one user, of whom there may be few
			q.From, q.Users = now.Add(-time.Hour), []string{"user-" + strconv.Itoa(rng.IntN(10_000))}
		case 3:
			q.From = now.Add(-10 * time.Minute)
			t := store.NewTally(store.Grouping{Interval: time.Minute, Facets: store.Facets})
			if err := k.s.Summarize(k.t.Context(), &q, t); err != nil && !errors.Is(err, store.ErrBudget) {
				k.t.Errorf("summarizing: %v", err)
			}
		}
		found := 0
		for r, err := range k.s.Scan(k.t.Context(), &q) {
			if errors.Is(err, store.ErrBudget) {
				break
			}
			if err != nil {
				k.t.Errorf("listing: %v", err)
				return
			}
			if found == 0 {
				if _, err := k.s.Get(k.t.Context(), r.EventID); err != nil {
					k.t.Errorf("getting %s: %v", r.EventID, err)
				}
			}
			if found++; found == 100 {
				break
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// sweep lets go of what is old, as the store does by itself where time goes by
// more slowly.
func (k *soak) sweep() {
	for !k.over() {
		time.Sleep(time.Second)
		if err := k.s.(*badger.Store).Sweep(k.t.Context()); err != nil {
			k.t.Errorf("dropping: %v", err)
		}
	}
}

// sample is what a process takes.
type sample struct {
	records, kept               int64
	memory, disk                int64
	files, goroutines, segments int
}

var anonymous = regexp.MustCompile(`RssAnon:\s+(\d+) kB`)

func (k *soak) sample() (m sample) {
	status, err := os.ReadFile("/proc/self/status")
	if match := anonymous.FindSubmatch(status); err == nil && match != nil {
		kib, _ := strconv.ParseInt(string(match[1]), 10, 64)
		m.memory = kib << 10
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil || m.memory == 0 {
		k.t.Fatalf("reading what this process takes: %v", err)
	}
	m.files, m.goroutines = len(files), runtime.NumGoroutine()
	stats := k.s.Stats()
	m.records, m.disk = k.added.Load(), stats.Bytes
	m.kept = m.records
	for _, n := range stats.Dropped {
		m.kept -= int64(n)
	}
	m.segments = k.s.(*badger.Store).OpenSegments()
	return m
}

// most returns the greatest of what was sampled, of each kind.
func most(samples []sample) (m sample) {
	for _, s := range samples {
		m.memory, m.files, m.goroutines = max(m.memory, s.memory), max(m.files, s.files), max(m.goroutines, s.goroutines)
	}
	return m
}

// each returns how much disk a record took that was kept.
func each(samples []sample) int64 {
	var disk, kept int64
	for _, s := range samples {
		disk, kept = disk+s.disk, kept+s.kept
	}
	return disk / max(1, kept)
}

func TestLongLoadLeavesMemoryFilesAndDiskFlat(t *testing.T) {
	if *soakFor == 0 {
		t.Skip("NOT TESTED: takes long; -soak-for 15m")
	}
	k := &soak{t: t, start: time.Now(), speed: *soakDays * float64(store.Day) / float64(*soakFor), done: make(chan struct{})}
	k.s = opener(badger.Options{JournalFile: 16 << 20, Now: k.now, Retention: store.Retention{Writes: 3 * store.Day, Reads: 2 * store.Day}})(t, t.TempDir())
	var busy sync.WaitGroup
	for i := range uint64(32) {
		busy.Go(func() { k.write(i) })
	}
	busy.Go(func() { k.read(100) })
	busy.Go(k.sweep)
	const rows = 30
	t.Logf("%6s %9s %9s %9s %6s %11s %9s %9s %14s", "days", "records", "kept", "RssAnon", "files", "goroutines", "segments", "disk", "bytes a record")
	var samples []sample
	for i := range rows {
		var row sample // the most of some moments: what was freed is no leak
		for range 10 {
			time.Sleep(*soakFor / rows / 10)
			m := k.sample()
			row = most([]sample{row, m})
			row.records, row.kept, row.disk, row.segments = m.records, m.kept, m.disk, m.segments
		}
		samples = append(samples, row)
		t.Logf("%6.1f %9d %9d %9s %6d %11d %9d %9s %14d", k.now().Sub(k.start).Hours()/24, row.records, row.kept, humanize.IBytes(uint64(row.memory)),
			row.files, row.goroutines, row.segments, humanize.IBytes(uint64(row.disk)), row.disk/max(1, row.kept))
		if i == rows-1 {
			close(k.done)
		}
	}
	busy.Wait()
	// After the first third nothing grows any more.
	before, after := most(samples[rows/3:2*rows/3]), most(samples[2*rows/3:])
	if after.memory > before.memory+before.memory/5 || after.files > before.files+20 || after.goroutines > before.goroutines+20 {
		t.Errorf("the last third of the time takes more than the one before: %+v, before %+v", after, before)
	}
	if a, b := each(samples[rows/3:2*rows/3]), each(samples[2*rows/3:]); b > a+a/5 {
		t.Errorf("a record that is kept takes %d bytes of disk, before %d", b, a)
	}
	if last := samples[rows-1]; last.kept > last.records/2 {
		t.Errorf("%d of %d records are kept, of so many days", last.kept, last.records)
	}
	if err := k.s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
