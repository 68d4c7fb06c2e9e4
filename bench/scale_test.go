package bench_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

var (
	scaleDir     = flag.String("scale", "", "where TestScale makes its stores, and finds those that it has made")
	scaleRecords = flag.Int("records", 100_000, "how many records they have")
	scaleRate    = flag.Int("rate", 5000, "how many calls a second those records are of")
)

// needle stands in one body, in the middle of the records.
const needle = "7d9f3c1e-52aa-4b6f-9e0d-8c1b2a3f4e5d"

// TestScale measures queries of a store of so many records, made if it is not
// there, and prints a table. It asserts no time.
func TestScale(t *testing.T) {
	if *scaleDir == "" {
		t.Skip("want -scale")
	}
	sc := &scale{T: t, dir: filepath.Join(*scaleDir, fmt.Sprintf("%d-at-%d", *scaleRecords, *scaleRate))}
	if _, err := os.Stat(filepath.Join(sc.dir, "made")); err != nil {
		sc.make()
	}
	sc.open()
	middle := sc.one(record.Query{Words: record.Words(needle), Bodies: true})
	if middle == nil {
		t.Fatal("the needle is not found")
	}
	var segments, bytes int64
	_ = filepath.WalkDir(filepath.Join(sc.dir, "store", "segments"), func(_ string, e fs.DirEntry, err error) error {
		if info, err := e.Info(); err == nil && !e.IsDir() {
			bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		} else if err == nil {
			segments++
		}
		return nil
	})
	fmt.Printf("%d records at %d a second, %d segments, %d bytes on disk a record\n\n", *scaleRecords, *scaleRate, segments-1, bytes/int64(*scaleRecords))
	fmt.Println("| query | found | cold | warm | full scan over warm |\n|---|---|---|---|---|")

	full := sc.measure("all, without bodies", 1, 0, sc.scan(record.Query{}, -1))
	whole := sc.measure("all, with bodies", 1, 0, sc.scan(record.Query{Bodies: true}, -1))
	sc.measure("newest 100, with bodies", 20, whole, sc.scan(record.Query{Bodies: true}, 100))
	sc.measure("newest 100, without bodies", 20, full, sc.scan(record.Query{}, 100))
	sc.measure("newest 100, without bodies, but of one source", 20, full, sc.scan(record.Query{Scope: record.Scope{AllProjects: true, AllSources: true, Except: []string{record.Self}}}, 100))
	sc.measure("100 in the middle, with bodies", 20, whole, sc.scan(record.Query{Bodies: true, Before: middle.EventID}, 100))
	sc.measure("one by its id, whole", 50, whole, func() int {
		if _, err := sc.store.Get(t.Context(), middle.EventID); err != nil {
			t.Fatal(err)
		}
		return 1
	})
	user := record.Query{Users: []string{middle.UserName}}
	sc.measure("one user of 10,000, all calls, without bodies", 10, full, sc.scan(user, -1))
	sc.measure("one user of 10,000, newest 20, without bodies", 10, full, sc.scan(user, 20))
	user.Bodies = true
	sc.measure("one user of 10,000, all calls, with bodies", 10, whole, sc.scan(user, -1))
	sc.measure("a user that is nobody", 10, full, sc.scan(record.Query{Users: []string{"nobody"}}, -1))
	sc.measure("one request id", 10, full, sc.scan(record.Query{RequestID: middle.RequestID}, -1))
	uuid := sc.measure("a UUID in one body (`q`)", 10, whole, sc.scan(record.Query{Words: record.Words(needle)}, -1))
	sc.measure("a word in one body (`q`)", 10, whole, sc.scan(record.Query{Words: []string{"9e0d"}}, -1))
	sc.measure("a word in every body (`q`), newest 100", 5, whole, sc.scan(record.Query{Words: []string{"state"}}, 100))
	sc.measure("two words, never together (`q`)", 1, whole, sc.scan(record.Query{Words: []string{"servers", "volumes"}}, -1))
	sc.measure("one path", 5, full, sc.scan(record.Query{URI: record.ParsePattern(middle.URI)}, -1))
	sc.measure("one client address", 5, full, sc.scan(record.Query{UserIP: prefix(middle.UserIP)}, -1))
	sc.measure("a source that there is not", 5, full, sc.scan(record.Query{Sources: []string{"cinder"}}, -1))
	sc.measure("a status that there is not", 5, full, sc.scan(record.Query{Statuses: []record.StatusRange{{Min: 599, Max: 599}}}, -1))
	sc.measure("summary: an hour an interval, all facets", 3, full, sc.summary(record.Query{}, store.Facets...))
	sc.measure("summary: an hour an interval, no facets", 3, full, sc.summary(record.Query{}))
	sc.measure("summary: of one user, all facets", 3, full, sc.summary(record.Query{Users: []string{middle.UserName}}, store.Facets...))
	sc.measure("summary: of status 4xx, method and source", 3, full, sc.summary(record.Query{Statuses: []record.StatusRange{{Min: 400, Max: 499}}}, store.FacetMethod, store.FacetSource))
	sc.close()

	plain := filepath.Join(sc.dir, "records.ndjson.zst")
	var greps []time.Duration
	for range 2 { // the second finds the file in memory
		start := time.Now()
		out, err := exec.Command("sh", "-c", "zstdcat '"+plain+"' | grep -c "+needle).CombinedOutput()
		if err != nil {
			t.Fatalf("zstdcat | grep: %v: %s", err, out)
		}
		greps = append(greps, time.Since(start))
	}
	grep := slices.Min(greps)
	fmt.Printf("\n`zstdcat | grep` for the UUID: %v, %.0f times the query\n", grep.Round(time.Millisecond), float64(grep)/float64(uuid))
}

type scale struct {
	*testing.T
	dir   string
	store *badger.Store
}

func (sc *scale) open() {
	s, err := badger.Open(badger.Options{Path: filepath.Join(sc.dir, "store"), Durability: store.OS, ScanTime: time.Hour})
	if err != nil {
		sc.Fatal(err)
	}
	sc.store = s
}

func (sc *scale) close() {
	if err := sc.store.Close(context.Background()); err != nil {
		sc.Fatal(err)
	}
}

// make fills a store with records of simulated times, and a file with the same as
// lines of JSON, compressed.
func (sc *scale) make() {
	if err := errors.Join(os.RemoveAll(sc.dir), os.MkdirAll(sc.dir, 0o700)); err != nil {
		sc.Fatal(err)
	}
	file, err := os.Create(filepath.Join(sc.dir, "records.ndjson.zst"))
	if err != nil {
		sc.Fatal(err)
	}
	compressed, err := zstd.NewWriter(file, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		sc.Fatal(err)
	}
	lines := bufio.NewWriterSize(compressed, 1<<20)
	out := json.NewEncoder(lines)
	sc.open()
	maker, start := storetest.NewRecords(1), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var batch []*record.Record
	begun, packing := time.Now(), time.Duration(0)
	for i := range *scaleRecords {
		r := maker.At(record.IDAt(start.Add(time.Duration(i) * time.Second / time.Duration(*scaleRate))))
		if i == *scaleRecords/2 {
			r.ResponseBody.Content = []byte(`{"server":{"id":"` + needle + `"}}`)
		}
		if batch = append(batch, r); len(batch) == 1000 || i == *scaleRecords-1 {
			storetest.Add(sc, sc.store, batch...)
			batch = batch[:0]
		}
		if err := out.Encode(r); err != nil {
			sc.Fatal(err)
		}
		// As a gateway does: when the journal file is full, or ten minutes old.
		if every := min(30_000, 600**scaleRate); i%every == every-1 || i == *scaleRecords-1 {
			before := time.Now()
			if err := sc.store.Pack(context.Background()); err != nil {
				sc.Fatal(err)
			}
			packing += time.Since(before)
		}
	}
	sc.close()
	if err := errors.Join(lines.Flush(), compressed.Close(), file.Close(), os.WriteFile(filepath.Join(sc.dir, "made"), nil, 0o600)); err != nil {
		sc.Fatal(err)
	}
	fmt.Printf("made in %v, of it packing %v\n", time.Since(begun).Round(time.Second), packing.Round(time.Second))
}

// measure prints a line: cold is the first time after the store was opened, with
// none of its files in memory; warm the median of some more. It returns warm.
func (sc *scale) measure(name string, times int, full time.Duration, do func() int) time.Duration {
	sc.close()
	forget(sc, filepath.Join(sc.dir, "store"))
	sc.open()
	start := time.Now()
	found := do()
	cold := time.Since(start)
	var all []time.Duration
	for range times {
		start := time.Now()
		do()
		all = append(all, time.Since(start))
	}
	slices.Sort(all)
	warm, ratio := all[len(all)/2], ""
	if full > 0 {
		ratio = fmt.Sprintf("%.0f", float64(full)/float64(warm))
	}
	fmt.Printf("| %s | %d | %s | %s | %s |\n", name, found, short(cold), short(warm), ratio)
	return warm
}

func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// forget drops what the kernel has in memory of the files below dir.
func forget(sc *scale, dir string) {
	unix.Sync()
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close())
	}); err != nil {
		sc.Fatal(err)
	}
}

// scan returns a function that reads up to limit records, whatever the budget of
// one scan, and returns how many there were.
func (sc *scale) scan(q record.Query, limit int) func() int {
	return func() (n int) {
		sc.each(q, func(*record.Record) bool { n++; return n != limit })
		return n
	}
}

func (sc *scale) one(q record.Query) (found *record.Record) {
	sc.each(q, func(r *record.Record) bool { found = r; return false })
	return found
}

func (sc *scale) each(q record.Query, do func(*record.Record) bool) {
	if !q.Scope.AllSources {
		q.Scope = storetest.Everything
	}
	for {
		var stopped *store.InterruptedError
		for r, err := range sc.store.Scan(context.Background(), &q) {
			switch {
			case errors.As(err, &stopped):
				q.Before = stopped.At
			case err != nil:
				sc.Fatal(err)
			case !do(r):
				return
			}
		}
		if stopped == nil {
			return
		}
	}
}

func (sc *scale) summary(q record.Query, facets ...store.Facet) func() int {
	q.Scope = storetest.Everything
	return func() int {
		q, tally := q, store.NewTally(store.Grouping{Interval: time.Hour, Facets: facets})
		for {
			var stopped *store.InterruptedError
			err := sc.store.Summarize(context.Background(), &q, tally)
			if !errors.As(err, &stopped) {
				if err != nil {
					sc.Fatal(err)
				}
				return int(tally.Summary().Count)
			}
			q.Before = stopped.At
		}
	}
}

func prefix(ip string) netip.Prefix {
	addr := netip.MustParseAddr(ip)
	return netip.PrefixFrom(addr, addr.BitLen())
}
