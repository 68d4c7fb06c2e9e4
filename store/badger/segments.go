package badger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/disk"
)

var classes = []record.Class{record.ClassWrites, record.ClassReads, record.ClassControl}

// segments are all segments of a store. A few are open.
type segments struct {
	dir  string
	keys *store.Keyring
	keep int          // how many stay open for the next reader
	room func() error // says why not, where the disk has too little
	log  func(string, error)
	// leave is how long a drop waits for readers. Guarded by the store's packing lock.
	leave time.Duration

	damage     *damage
	quarantine quarantine

	uses sync.WaitGroup // of databases

	heads headCache

	// mu guards what follows, and refs, leases and used of every segment. Whoever
	// needs a segment's mu as well takes that first.
	mu     sync.Mutex
	all    []*segment // not changed, but replaced
	opened []*segment
	closed bool
	clock  uint64 // of uses
}

// readSegments finds the segments below dir, and those that were set aside.
func readSegments(dir string, keys *store.Keyring, keep int, room func() error, log func(string, error)) (*segments, error) {
	s := &segments{
		dir: dir, keys: keys, keep: keep, room: room, log: log, leave: leaveTimeout, damage: newDamage(log),
		quarantine: quarantine{dir: filepath.Join(filepath.Dir(dir), quarantineDir)},
	}
	if err := s.quarantine.read(s.damage); err != nil {
		return nil, err
	}
	entries, err := disk.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		seg, err := readSegment(filepath.Join(dir, e.Name()), keys)
		if errors.Is(err, errNoSegment) {
			log("passing over what is not the store's", err)
			continue
		}
		if err == nil && seg != nil {
			err = seg.checkKeys()
		}
		if err != nil {
			return nil, err
		}
		if seg != nil {
			s.all = append(s.all, seg)
		}
	}
	return s, nil
}

// list returns all segments as of now.
func (s *segments) list() []*segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

// last returns the highest sequence that may be in a segment.
func (s *segments) last() (last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range slices.Concat(s.all, s.quarantine.all) {
		last = max(last, seg.bound.Load().Last)
	}
	return last
}

// need reports whether a segment, also one that was set aside, has entries that are
// sealed with that key, or may have: of one whose manifest is unknown nobody knows.
func (s *segments) need(id store.KeyID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(slices.Concat(s.all, s.quarantine.all), func(seg *segment) bool {
		bound := seg.bound.Load()
		return bound.unknown || slices.Contains(bound.Keys, id)
	})
}

// newest returns when the newest call of a segment may have begun, also of one that was
// set aside: its records were made, whoever can read them. Zero where nobody knows.
func (s *segments) newest() (t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range slices.Concat(s.all, s.quarantine.all) {
		if bound := seg.bound.Load(); !bound.unknown && bound.Newest.Time().After(t) {
			t = bound.Newest.Time()
		}
	}
	return t
}

// make returns the segment of a day and class, with a manifest that covers at
// least what bound says.
func (s *segments) make(day time.Time, class record.Class, bound *manifest) (*segment, error) {
	name := segmentName(day, class)
	for _, seg := range s.list() {
		if seg.name() == name {
			if seg.bound.Load().Dropping != nil {
				return nil, fmt.Errorf("segment %s is about to be dropped", name)
			}
			if seg.bound.Load().unknown {
				if err := s.use(seg, func(*database) error { return nil }); err != nil {
					return nil, err
				}
			}
			return seg, seg.update(func(m *manifest) { m.seal(s.keys.ID()); m.widen(bound) })
		}
	}
	seg := &segment{dir: filepath.Join(s.dir, name), keys: s.keys}
	seg.bound.Store(new(manifest))
	err := disk.Mkdir(seg.dir)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("making segment: %w", err)
	}
	empty := err == nil
	if err := seg.update(func(m *manifest) { m.seal(s.keys.ID()); m.widen(bound); m.Directories = empty }); err != nil {
		return nil, err
	}
	if err := disk.SyncDir(s.dir); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(slices.Clip(s.all), seg)
	return seg, nil
}

// use calls do with the segment's database, opened if need be. It stays open at
// least until do returns.
func (s *segments) use(seg *segment, do func(*database) error) (err error) {
	d, release, err := s.acquire(seg)
	if err != nil {
		return err
	}
	defer release()
	defer recoverDamage(&err)
	return do(d)
}

// acquire returns the segment's database, opened if need be. It stays open at
// least until release is called. The error is errDropped where it is dropped.
func (s *segments) acquire(seg *segment) (d *database, release func(), err error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, nil, store.ErrClosed
	}
	if seg.dropped != nil {
		s.mu.Unlock()
		return nil, nil, errDropped
	}
	seg.refs++
	s.uses.Add(1)
	s.mu.Unlock()
	release = func() { s.release(seg) }
	if d, err = s.open(seg); err != nil {
		release()
		return nil, nil, err
	}
	return d, release, nil
}

func (s *segments) open(seg *segment) (*database, error) {
	seg.mu.Lock()
	defer seg.mu.Unlock()
	if seg.database != nil {
		return seg.database, nil
	}
	if seg.isGone() {
		return nil, damaged(fmt.Errorf("segment %s was set aside", seg.name()))
	}
	if err := s.tryOpen(seg); err != nil {
		return nil, fmt.Errorf("opening segment %s: %w", seg.name(), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, seg)
	return seg.database, nil
}

// tryOpen opens a segment, or sets it aside where it is damaged. The caller holds
// its mu.
func (s *segments) tryOpen(seg *segment) error {
	err := s.room() // to open a Badger is to write
	lost := 0
	if err == nil {
		lost, err = seg.open(s.log)
		if full := s.room(); err != nil && full != nil {
			err = full // which looks like anything
		}
		if lost > 0 {
			s.damage.tell(seg.gap(lost, "part", seg.name()), fmt.Sprintf("%d records of segment %s are not found any more, the rest is served", lost, seg.name()), errLost)
		}
	}
	if errors.Is(err, store.ErrCorrupt) {
		s.setAside(seg, err)
		return err
	}
	if err == nil && lost == 0 {
		if !seg.whole.Load() && seg.isBack() {
			what := fmt.Sprintf("segment %s is back from quarantine, and the gap of its %d records is closed", seg.name(), seg.bound.Load().Count)
			if len(seg.closes()) == 0 {
				what = fmt.Sprintf("segment %s is back from quarantine, but its gap stays: it had no %s that tells whether all is there", seg.name(), manifestFile)
			}
			s.log(what, nil)
		}
		seg.whole.Store(true)
	}
	s.damage.setAway(seg, err)
	return err
}

var errLost = errors.New("what is on disk is not what was written: bring the directory back from a copy, or go on without them")

// isClosed reports whether the segments are being closed.
func (s *segments) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// lease keeps a segment that is open from being closed for want of use until
// unlease is called, though not from being closed for good: whoever comes back
// to a segment again and again does not find it closed by others who do.
func (s *segments) lease(seg *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.leases++
}

func (s *segments) unlease(seg *segment) {
	s.mu.Lock()
	seg.leases--
	s.mu.Unlock()
	s.closeIdle()
}

// release ends a use.
func (s *segments) release(seg *segment) {
	s.mu.Lock()
	seg.refs--
	if seg.refs == 0 && seg.dropped != nil {
		close(seg.dropped)
	}
	s.clock++
	seg.used = s.clock
	s.mu.Unlock()
	s.closeIdle()
	s.uses.Done()
}

// closeIdle closes segments that nobody uses or leases while more are open than
// may be, the one first that was used the longest ago.
func (s *segments) closeIdle() {
	s.mu.Lock()
	var idle []*segment
	if more := len(s.opened) - s.keep; more > 0 {
		for _, seg := range s.opened {
			if seg.refs == 0 && seg.leases == 0 {
				idle = append(idle, seg)
			}
		}
		slices.SortFunc(idle, func(a, b *segment) int { return cmp.Compare(a.used, b.used) })
		idle = idle[:min(len(idle), more)]
	}
	s.mu.Unlock()
	for _, seg := range idle {
		if err := s.shut(seg, s.room); err != nil && !errors.Is(err, errNoRoom) { // then it stays open
			s.log("closing segment "+seg.name(), err)
		}
	}
}

// shut closes a segment's database unless somebody uses it.
func (s *segments) shut(seg *segment, room func() error) error {
	seg.mu.Lock()
	defer seg.mu.Unlock()
	s.mu.Lock()
	busy := seg.refs > 0
	s.mu.Unlock()
	if busy || seg.database == nil {
		return nil
	}
	// To close a Badger is to write, too. What it holds is in its write-ahead
	// log, so to leave it open is safe, and to die of a full disk is not.
	if err := room(); err != nil {
		return err
	}
	s.mu.Lock()
	s.opened = slices.DeleteFunc(s.opened, func(other *segment) bool { return other == seg })
	s.mu.Unlock()
	err := seg.database.Close()
	seg.database = nil
	return err
}

// close refuses new uses, waits for those that are going on, and closes all
// segments. Where ctx ends first it returns ctx's error, and a goroutine goes on
// in the background until Badger is done, which may be never.
func (s *segments) close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		s.uses.Wait()
		var errs []error
		for _, seg := range s.list() {
			errs = append(errs, s.shut(seg, s.room))
		}
		done <- errors.Join(errs...)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("closing segments: %w", ctx.Err())
	}
}
