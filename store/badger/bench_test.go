package badger_test

import (
	"context"
	"flag"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

var benchRecords = flag.Int("records", 20_000, "how many records the benchmarks of reading have before them")

// BenchmarkPack packs journal files of records with about 1 KiB and 2 KiB of
// JSON that never repeats. It reports the processor time and the disk that one
// record takes, closed and compacted as Badger left it.
func BenchmarkPack(b *testing.B) {
	dir := b.TempDir()
	s := openPaused(b, badger.Options{Path: dir})
	maker := storetest.NewRecords(1)
	const each = 5000
	var used time.Duration
	for b.Loop() {
		b.StopTimer()
		for range each {
			addOne(b, s, maker.Next())
		}
		if err := s.SealJournal(); err != nil {
			b.Fatal(err)
		}
		before := processorTime(b)
		b.StartTimer()
		if err := s.Pack(b.Context()); err != nil {
			b.Fatal(err)
		}
		used += processorTime(b) - before
	}
	n := float64(b.N * each)
	storetest.Verify(b, s)
	if err := s.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(used.Microseconds())/n, "cpu-µs/record")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/n, "µs/record")
	b.ReportMetric(float64(onDisk(b, filepath.Join(dir, "segments")))/n, "disk-B/record")
}

// BenchmarkRead reads from a store whose records are all packed.
func BenchmarkRead(b *testing.B) {
	s := openPaused(b, badger.Options{Path: b.TempDir()})
	defer s.Close(context.Background())
	maker := storetest.NewRecords(1)
	ids := make([]record.ID, *benchRecords)
	for i := range ids {
		r := maker.Next()
		ids[i] = r.EventID
		addOne(b, s, r)
		if i%5000 == 4999 {
			if err := s.Pack(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := s.Pack(b.Context()); err != nil {
		b.Fatal(err)
	}
	scan := func(b *testing.B, q record.Query, limit int) (n int) {
		q.Scope = storetest.Everything
		for _, err := range s.Scan(b.Context(), &q) {
			if err != nil {
				b.Fatal(err)
			}
			if n++; n == limit {
				break
			}
		}
		return n
	}
	b.Run("newest 100", func(b *testing.B) {
		for b.Loop() {
			scan(b, record.Query{Bodies: true}, 100)
		}
	})
	b.Run("newest 100 without bodies", func(b *testing.B) {
		for b.Loop() {
			scan(b, record.Query{}, 100)
		}
	})
	b.Run("100 in the middle", func(b *testing.B) {
		for b.Loop() {
			scan(b, record.Query{Bodies: true, Before: ids[len(ids)/2]}, 100)
		}
	})
	b.Run("get", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := s.Get(b.Context(), ids[i*7919%len(ids)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("one user of 10000", func(b *testing.B) {
		for b.Loop() {
			scan(b, record.Query{Users: []string{"user-77"}}, -1)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ids)), "ns/record")
	})
	b.Run("all without bodies", func(b *testing.B) {
		for b.Loop() {
			if n := scan(b, record.Query{}, -1); n != len(ids) {
				b.Fatalf("%d records are listed, want %d", n, len(ids))
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ids)), "ns/record")
	})
}

// openPaused opens a store that packs when it is told to.
func openPaused(b *testing.B, o badger.Options) *badger.Store {
	b.Helper()
	s, err := badger.Open(o)
	if err != nil {
		b.Fatal(err)
	}
	s.StopPacker()
	return s
}

func addOne(b *testing.B, s *badger.Store, r *record.Record) {
	for {
		if _, err := s.Add(r, nil); err == nil {
			return
		}
		time.Sleep(time.Millisecond) // too many wait
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func onDisk(b *testing.B, dir string) (total int64) {
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		total += info.Sys().(*syscall.Stat_t).Blocks * 512
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return total
}

// BenchmarkSealing stores and packs the same records plain and sealed, in turns, and
// reports what a record costs sealed over what it costs plain: of the processor, and of
// the time until it is stored, with durability os.
func BenchmarkSealing(b *testing.B) {
	const each = 5000
	var used, took [2]time.Duration
	stores := [2]*badger.Store{
		openPaused(b, badger.Options{Path: b.TempDir(), Durability: store.OS}),
		openPaused(b, badger.Options{Path: b.TempDir(), Durability: store.OS, Keys: ring(b, 1)}),
	}
	maker, records := storetest.NewRecords(1), make([]*record.Record, each)
	for n := 0; b.Loop(); n++ {
		for i := range records {
			records[i] = maker.Next()
		}
		for turn := range stores {
			which := (turn + n) % 2
			s := stores[which]
			began, before := time.Now(), processorTime(b)
			for _, r := range records {
				addOne(b, s, r)
			}
			if err := s.SealJournal(); err != nil { // all is committed
				b.Fatal(err)
			}
			took[which] += time.Since(began)
			if err := s.Pack(b.Context()); err != nil {
				b.Fatal(err)
			}
			used[which] += processorTime(b) - before
		}
	}
	total := float64(b.N * each)
	b.ReportMetric(float64(used[1])/float64(used[0]), "cpu-ratio")
	b.ReportMetric(float64(took[0])/float64(took[1]), "rate-ratio")
	b.ReportMetric(float64(used[0].Microseconds())/total, "plain-cpu-µs/record")
	b.ReportMetric(float64(used[1].Microseconds())/total, "sealed-cpu-µs/record")
	b.ReportMetric(total/took[0].Seconds(), "plain-records/s")
	b.ReportMetric(total/took[1].Seconds(), "sealed-records/s")
	for _, s := range stores {
		if err := s.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
