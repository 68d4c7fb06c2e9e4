package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/disk"
)

// usualCall returns a record of the usual size: 3.5 KB with its headers, and
// bodies that never repeat, 1 KiB and 2 KiB of JSON.
func usualCall(rng *rand.Rand) *record.Record {
	r := newCall("nova")
	body := func(size int) (b []byte) {
		b = append(b, `{"servers": [`...)
		for len(b) < size {
			b = fmt.Appendf(b, `{"id": "%016x%016x", "name": "web-%d", "status": "ACTIVE", "size": %d}, `, rng.Uint64(), rng.Uint64(), rng.IntN(1e6), rng.IntN(1e9))
		}
		return append(b[:size-2], "]}"...)
	}
	r.RequestBody.Content, r.ResponseBody.Content = body(1<<10), body(2<<10)
	r.UserID, r.UserName, r.UserIP, r.RequestID = fmt.Sprintf("%032x", rng.Uint64()), "demo", "192.0.2.7", "req-"+record.NewID().String()
	for _, name := range []string{"Accept", "Accept-Encoding", "Content-Length", "User-Agent", "X-Auth-Token", "X-Forwarded-For"} {
		r.RequestHeaders = append(r.RequestHeaders, record.Field{Name: name, Value: fmt.Sprintf("%x", rng.Uint32())})
	}
	return r
}

func usualCalls(n int) []*record.Record {
	rng := rand.New(rand.NewPCG(1, 2))
	list := make([]*record.Record, n)
	for i := range list {
		list[i] = usualCall(rng)
	}
	return list
}

// BenchmarkAdd stores records from many goroutines, each with 64 in flight, and
// drops the files as a packer would.
func BenchmarkAdd(b *testing.B) {
	calls := usualCalls(1024)
	for _, durability := range []store.Durability{store.Fsync, store.OS} {
		b.Run(string(durability), func(b *testing.B) {
			j := open(b, b.TempDir(), store.JournalOptions{Durability: durability})
			stop := make(chan struct{})
			var packer sync.WaitGroup
			packer.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-j.Seals():
						for _, s := range j.Sealed() {
							if err := j.Drop(context.Background(), s); err != nil {
								b.Error(err)
							}
						}
					}
				}
			})
			call := j.Counter("nova")
			b.SetParallelism(16)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				var flight [64]*store.Commit
				for i := 0; pb.Next(); i++ {
					call.Begin()
					r := *calls[i%len(calls)]
					r.EventID = record.NewID()
					if c := flight[i%len(flight)]; c != nil {
						if err := c.Wait(context.Background()); err != nil {
							b.Error(err)
						}
					}
					c, err := j.Add(&r, call)
					for errors.Is(err, store.ErrFull) {
						c, err = j.Add(&r, call)
					}
					flight[i%len(flight)] = c
				}
				for _, c := range flight {
					if c != nil {
						c.Wait(context.Background())
					}
				}
			})
			b.StopTimer()
			close(stop)
			packer.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkCommit stores one record at a time and waits for each, and in turn
// with that does one bare write and sync of as many bytes, into a preallocated
// file too. It reports how many times the bare one the commit takes.
func BenchmarkCommit(b *testing.B) {
	calls := usualCalls(1024)
	j := open(b, b.TempDir(), store.JournalOptions{})
	f, err := disk.OpenFile(filepath.Join(b.TempDir(), "bare"), os.O_RDWR|os.O_CREATE)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Preallocate(64 << 20); err != nil {
		b.Skip(err)
	}
	frame := calls[0].ResponseBody.Content[:2000]
	var commit, bare time.Duration
	var at int64
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		if _, err := f.WriteAt(frame, at); err != nil {
			b.Fatal(err)
		}
		if err := f.Datasync(); err != nil {
			b.Fatal(err)
		}
		bare += time.Since(start)
		at = (at + int64(len(frame))) % (60 << 20)

		r := *calls[i%len(calls)]
		r.EventID = record.NewID()
		start = time.Now()
		keep(b, j, &r, nil)
		commit += time.Since(start)
	}
	b.ReportMetric(float64(commit)/float64(bare), "x-bare")
	b.ReportMetric(float64(commit.Nanoseconds())/float64(b.N), "ns/commit")
}

// BenchmarkRead reads what a listing or a packer reads of 20,000 rows.
func BenchmarkRead(b *testing.B) {
	j := open(b, b.TempDir(), store.JournalOptions{Durability: store.OS})
	var last *store.Commit
	var ids []record.ID
	for _, r := range usualCalls(20_000) {
		c, err := j.Add(r, nil)
		for errors.Is(err, store.ErrFull) {
			if err := last.Wait(b.Context()); err != nil {
				b.Fatal(err)
			}
			c, err = j.Add(r, nil)
		}
		if err != nil {
			b.Fatal(err)
		}
		ids, last = append(ids, r.EventID), c
	}
	if err := last.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Run("newest 100", func(b *testing.B) {
		for b.Loop() {
			n := 0
			for row := range j.View().Scan(record.ID{}, false, record.ID{}) {
				if _, err := row.Record(false); err != nil {
					b.Fatal(err)
				}
				if n++; n == 100 {
					break
				}
			}
		}
	})
	b.Run("all with bodies", func(b *testing.B) {
		for b.Loop() {
			for row := range j.View().Scan(record.ID{}, false, record.ID{}) {
				if _, _, err := row.Bodies(); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/20_000, "ns/row")
	})
	b.Run("one by id", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			row, ok := j.View().Find(ids[i*7919%len(ids)])
			if _, err := row.Record(true); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}
