package badger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/disk"
)

// Store is the embedded store. It implements [store.Store].
type Store struct {
	options  Options
	root     *root
	journal  *store.Journal
	segments *segments
	memory   *memory
	damage   *damage
	room     func() error // says why not, where Badger may not write
	volume   func() (disk.Volume, error)

	stop       func() // packer and keeper
	packerDone chan struct{}
	keeperDone chan struct{}
	packing    sync.Mutex // held by whoever packs, or drops a segment; guards packFailures

	// sweeping is held by whoever sweeps. It guards the retention that counts, what
	// the clock said last, when that was by the time that passes, and whether the
	// ids have run ahead of it.
	sweeping     sync.Mutex
	retention    store.Retention
	seen, seenAt time.Time
	ahead        bool

	packFailures int            // in a row
	work         sync.WaitGroup // of what else Open started; done before packerDone is

	closing    sync.Once
	closed     atomic.Bool
	closeError error // of the first Close

	mu        sync.Mutex // guards what follows
	packError error      // why the last attempt to pack failed

	wanted     store.Retention   // as SetRetention said last
	wantedAt   time.Time         // and when
	sweepError error             // why the last sweep failed
	dropped    map[string]uint64 // records, by reason
	overfull   bool              // and nothing more may go
}

var _ store.Store = (*Store)(nil)

// Open opens the store in o.Path, making it where it is missing. What a crash
// left is put right. An error wraps [store.ErrLocked] where another process has
// the store open, [store.ErrKey] where a key is missing, and [store.ErrCorrupt] where
// it is damaged; [disk.IsFull] tells of a full disk. It says what to do.
func Open(o Options) (*Store, error) {
	o, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	s, err := open(o, func() error { return room(o.Path) })
	switch {
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w: let user %d read and write all of it (`chown -R %[2]d %s`), run as its owner, or use another path",
			err, os.Getuid(), o.Path)
	case errors.Is(err, unix.EROFS):
		err = fmt.Errorf("%w: let this process write there (where systemd protects the system, with StateDirectory or ReadWritePaths), or use another path", err)
	case errors.Is(err, unix.ENOTDIR):
		err = fmt.Errorf("%w: a file stands where a directory is to be: move it away, or use another path", err)
	case disk.IsFull(err):
		err = fmt.Errorf("%w: make room on its volume, and let it have some 100 MiB to go on with", err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening store %s: %w", o.Path, err)
	}
	return s, nil
}

func open(o Options, room func() error) (*Store, error) {
	root, err := openRoot(o.Path, o.Log)
	if err != nil {
		return nil, err
	}
	segments, err := readSegments(filepath.Join(o.Path, segmentsDir), o.Keys, o.OpenSegments, room, o.Log)
	if err != nil {
		return nil, errors.Join(err, root.close())
	}
	restored, err := root.restored()
	if err != nil {
		return nil, errors.Join(err, root.close())
	}
	memory, err := readMemory(filepath.Join(o.Path, retentionFile), o.Log)
	if err != nil {
		return nil, errors.Join(err, root.close())
	}
	journal, err := store.OpenJournal(filepath.Join(o.Path, journalDir), store.JournalOptions{
		Durability: o.Durability,
		FileSize:   o.JournalFile,
		Queue:      o.Queue,
		Node:       root.node,
		After:      max(segments.last(), memory.get().Sequence),
		Keys:       o.Keys,
		Since:      segments.newest(),
		Restored:   restored,
		Log:        o.Log,
		Now:        o.Now,
	})
	if err != nil {
		return nil, errors.Join(err, root.close())
	}
	if !restored.IsZero() {
		if err := root.forgetRestored(); err != nil { // then the next start writes the same gap
			o.Log("noting that the store was opened after a restore", err)
		}
	}
	for _, id := range o.Keys.Old() {
		if !segments.need(id) && !journal.Needs(id) {
			o.Log("encryption key "+id.String()+" is needed by nothing any more: it can be left out", nil)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Store{
		options: o, root: root, journal: journal, segments: segments, damage: segments.damage, memory: memory, room: room,
		volume: func() (disk.Volume, error) { return disk.VolumeOf(o.Path) },
		stop:   stop, packerDone: make(chan struct{}), keeperDone: make(chan struct{}),
		retention: o.Retention, wanted: o.Retention, dropped: make(map[string]uint64),
	}
	s.work.Go(func() { s.storeDamage(ctx) })
	s.work.Go(func() { s.inspectAll(ctx) })
	go func() {
		defer close(s.packerDone)
		s.packer(ctx)
		s.work.Wait()
	}()
	go func() {
		defer close(s.keeperDone)
		s.keeper(ctx)
	}()
	return s, nil
}

func (s *Store) trash() string { return filepath.Join(s.options.Path, trashDir) }

// Counter implements [store.Store].
func (s *Store) Counter(source string) *store.Counter { return s.journal.Counter(source) }

// Add implements [store.Store]. For a begin entry whose call is older than what was
// packed last it reads a block, to see whether the record is there already.
func (s *Store) Add(r *record.Record, call *store.Counter) (*store.Commit, error) {
	if r.Outcome == record.OutcomeInProgress {
		switch late, err := s.findPacked(context.Background(), r.EventID); {
		case late != nil:
			return nil, fmt.Errorf("adding begin entry %s: its record is stored", r.EventID)
		case !errors.Is(err, store.ErrNotFound) && !s.pass(err):
			return nil, fmt.Errorf("adding begin entry %s: %w", r.EventID, err)
		}
	}
	return s.journal.Add(r, call)
}

// Receipt implements [store.Store].
func (s *Store) Receipt(ctx context.Context, r *record.Record, call *store.Counter) error {
	return s.journal.Receipt(ctx, r, call)
}

// Oldest implements [store.Store].
func (s *Store) Oldest(t time.Time) { s.journal.Oldest(t) }

// Sequence implements [store.Store].
func (s *Store) Sequence() uint64 { return s.journal.Sequence() }

// Health implements [store.Store]. Packing that waits for room on the disk is no
// illness: the journal keeps the records, and says itself when it cannot.
func (s *Store) Health() error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	if err := s.journal.Health(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.packError
	if errors.Is(err, errNoRoom) {
		err = nil
	}
	return errors.Join(err, s.segments.health(), s.damage.health())
}

// inspectAll looks at all segments, so that damage is known before somebody reads
// them. Open starts it, and Close ends it by ending ctx.
func (s *Store) inspectAll(ctx context.Context) {
	for _, seg := range s.segments.list() {
		if ctx.Err() != nil {
			return
		}
		if inspect(seg.dir) == nil && !seg.bound.Load().unknown && !seg.isBack() {
			continue
		}
		// What is wrong is told, or will be when it is tried again.
		_ = s.segments.use(seg, func(*database) error { return nil })
	}
}

// Stats implements [store.Store].
func (s *Store) Stats() store.Stats {
	st := s.journal.Stats()
	for _, seg := range s.segments.asides() {
		st.Bytes += seg.size.Load()
	}
	for _, seg := range s.segments.list() {
		st.Bytes += seg.size.Load()
		bound := seg.bound.Load()
		if oldest := bound.Oldest.Time(); !bound.unknown && (st.Oldest.IsZero() || oldest.Before(st.Oldest)) {
			st.Oldest = oldest
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Dropped, st.Overfull = maps.Clone(s.dropped), s.overfull
	return st
}

// Close implements [store.Store]. Scans that go on end with [store.ErrClosed].
// A second Close returns what the first did.
func (s *Store) Close(ctx context.Context) error {
	s.closing.Do(func() { s.closeError = s.close(ctx) })
	return s.closeError
}

func (s *Store) close(ctx context.Context) error {
	s.stop()
	for _, done := range []chan struct{}{s.keeperDone, s.packerDone} {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	if ctx.Err() == nil {
		s.packLast(ctx)
	}
	s.closed.Store(true)
	// Each is closed whatever became of the one before.
	err := errors.Join(s.journal.Close(ctx), s.segments.close(ctx))
	// Where ctx ended first somebody may still be at work: then the lock stays
	// until the process ends.
	if ended := ctx.Err(); ended == nil || !errors.Is(err, ended) {
		err = errors.Join(err, s.root.close())
	}
	if err != nil {
		return fmt.Errorf("closing store %s: %w", s.options.Path, err)
	}
	return nil
}

// packLast packs for three quarters of the time that ctx leaves, so that there
// is some to close in. What it does not come to is packed after the next Open.
func (s *Store) packLast(ctx context.Context) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)*3/4)
		defer cancel()
	}
	_ = s.Pack(ctx) // what is wrong has been logged
}
