package badger_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	faulty "github.com/auditgate/auditgate/store/disk"
	"github.com/auditgate/auditgate/store/storetest"
)

var long = flag.Bool("long", false, "fail every operation of the disk, and damage every place, instead of a few")

// stride returns step, 1 for a long run.
func stride(step int) int {
	if *long {
		return 1
	}
	return step
}

// faults fails operations below a directory.
type faults struct {
	dir   string
	nth   int64 // the first that fails, from 1
	after bool  // and all after it
	err   error
	seen  atomic.Int64
	hit   atomic.Pointer[string] // the first that failed
}

func (f *faults) before(op, path string) error {
	if !strings.HasPrefix(path, f.dir) {
		return nil
	}
	n := f.seen.Add(1)
	if n < f.nth || n > f.nth && !f.after {
		return nil
	}
	what := op + strings.TrimPrefix(path, f.dir)
	f.hit.CompareAndSwap(nil, &what)
	return f.err
}

// story is what one run of the sweep did.
type story struct {
	dir   string
	maker *storetest.Records
	begun uint64
	acked map[record.ID]*record.Record
	said  []string
}

// patience bounds how long the story waits for what may never come.
func (s *story) patience(f *faults) (context.Context, context.CancelFunc) {
	if f.after && f.hit.Load() != nil {
		return context.WithTimeout(context.Background(), 50*time.Millisecond)
	}
	return context.WithTimeout(context.Background(), time.Minute)
}

func (s *story) open() (*badger.Store, *store.Counter, error) {
	o, err := badger.OpenWithRoom(badger.Options{Path: s.dir, JournalFile: 16 << 10}, func() error { return nil })
	if err != nil {
		return nil, nil, err
	}
	o.StopPacker()
	return o, o.Counter(source), nil
}

// call adds the record of a call, with a begin entry before it, and waits.
func (s *story) call(f *faults, o *badger.Store, calls *store.Counter, entry bool) {
	r := s.maker.Next()
	r.Source = source
	calls.Begin()
	s.begun++
	if entry {
		_, _ = o.Add(storetest.Entry(r), calls)
	}
	c, err := o.Add(r, calls)
	if err != nil {
		calls.Abandon(r.EventID, "test", time.Now())
		return
	}
	ctx, cancel := s.patience(f)
	defer cancel()
	if c.Wait(ctx) == nil {
		s.acked[r.EventID] = r
	} else if ctx.Err() != nil && !f.after {
		s.said = append(s.said, "a record is not stored, although the disk works again")
	}
}

// run opens a store twice, and each time adds, packs and closes.
func (s *story) run(f *faults) {
	for range 2 {
		o, calls, err := s.open()
		if err != nil {
			continue
		}
		for range 2 {
			for i := range 3 {
				s.call(f, o, calls, i == 0)
			}
			calls.Begin()
			calls.Lose("test", time.Now())
			stream := storetest.Entry(s.maker.Next())
			stream.Source = source
			calls.Begin()
			s.begun += 2
			if _, err := o.Add(stream, calls); err != nil {
				calls.Abandon(stream.EventID, "test", time.Now())
			}
			ctx, cancel := s.patience(f)
			_ = o.Pack(ctx)
			cancel()
		}
		ctx, cancel := s.patience(f)
		_ = o.Close(ctx)
		cancel()
		o.Settle()
	}
}

// check opens the store without faults and looks for what the story says.
func (s *story) check(t *testing.T, name string) {
	t.Helper()
	for _, said := range s.said {
		t.Errorf("%s: %s", name, said)
	}
	o, err := badger.Open(badger.Options{Path: s.dir})
	if err != nil {
		t.Fatalf("%s: the next start fails: %v", name, err)
	}
	defer storetest.Close(t, o)
	found, told := map[record.ID]*record.Record{}, uint64(0)
	for _, r := range storetest.Verify(t, o) {
		found[r.EventID] = r
		switch {
		case r.Gap != nil && r.Source == source:
			told += r.Gap.Count
		case r.Source == source:
			told++
		}
	}
	if told != s.begun {
		t.Errorf("%s: %d calls have begun, %d are in the books", name, s.begun, told)
	}
	for id, r := range s.acked {
		if got := found[id]; got == nil {
			t.Errorf("%s: record %s was acknowledged and is gone", name, id)
		} else if diff := storetest.Diff(r, got); diff != "" {
			t.Errorf("%s: record %s is another (-added +stored):\n%s", name, id, diff)
		}
	}
}

// Each operation of ours on the disk fails once: once alone, and once with all that
// come after it.
func TestNoOperationThatFailsLosesARecord(t *testing.T) {
	for _, mode := range []struct {
		name  string
		after bool
		err   error
	}{
		{"once with EIO", false, syscall.EIO},
		{"from then on with ENOSPC", true, syscall.ENOSPC},
		{"once with ENOSPC", false, syscall.ENOSPC},
		{"from then on with EIO", true, syscall.EIO},
	} {
		if !*long && !mode.after && errors.Is(mode.err, syscall.ENOSPC) || !*long && mode.after && errors.Is(mode.err, syscall.EIO) {
			continue
		}
		t.Run(mode.name, func(t *testing.T) {
			hits := map[string]int{}
			step := 41
			if testing.Short() {
				step = 83
			}
			for n := int64(1); ; n += int64(stride(step)) {
				f := &faults{dir: quickDir(t), nth: n, after: mode.after, err: mode.err}
				s := &story{dir: f.dir, maker: storetest.NewRecords(uint64(n)), acked: map[record.ID]*record.Record{}}
				watch := time.AfterFunc(3*time.Minute, func() {
					buf := make([]byte, 1<<20)
					panic(fmt.Sprintf("operation %d failed, and something hangs:\n%s", n, buf[:runtime.Stack(buf, true)]))
				})
				faulty.Inject(f.before)
				s.run(f)
				faulty.Inject(nil)
				watch.Stop()
				if f.hit.Load() == nil {
					t.Logf("%d operations, of these failed: %v", f.seen.Load(), hits)
					s.check(t, "without a fault")
					return
				}
				op, _, _ := strings.Cut(*f.hit.Load(), "/")
				hits[op]++
				s.check(t, fmt.Sprintf("operation %d (%s)", n, *f.hit.Load()))
			}
		})
	}
}
