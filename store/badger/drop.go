package badger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/disk"
)

// errDropped says that a segment is kept no longer. Whoever reads goes on as if
// it had never been there.
var errDropped = errors.New("segment was dropped")

// How long a drop waits for its record to be stored, for those to leave who read the
// segment, and for Badger to close. Nothing is packed meanwhile.
const (
	recordTimeout = 30 * time.Second
	leaveTimeout  = 30 * time.Second
	shutTimeout   = 30 * time.Second
)

// dropping says why a segment goes, in its manifest: so that after a crash it goes
// without a second record.
type dropping struct {
	EventID record.ID `json:"event_id"` // of the record
	Why     reason    `json:"why"`
}

// reason is why a segment goes.
type reason struct {
	Reason string `json:"reason"`         // store.DroppedAge or store.DroppedDisk
	Rule   string `json:"rule,omitempty"` // what the configuration says: 30d, 90%
	Found  string `json:"found"`          // and what there was: 31d, 93%
}

// dropped is the detail of a drop's record: its request body. Where nobody knows what
// the segment held, RangeUnknown says so, and what would tell is absent.
type dropped struct {
	Segment       string       `json:"segment"`
	Class         record.Class `json:"class"`
	Reason        string       `json:"reason"`
	Rule          string       `json:"rule,omitempty"`
	Found         string       `json:"found"`
	RangeUnknown  bool         `json:"range_unknown,omitempty"`
	Oldest        time.Time    `json:"oldest,omitzero"`
	Newest        time.Time    `json:"newest,omitzero"`
	FirstSequence uint64       `json:"first_sequence,omitempty"`
	LastSequence  uint64       `json:"last_sequence,omitempty"`
	Count         *int         `json:"count,omitempty"`
	Bytes         int64        `json:"bytes"`
	// Digest is that of the manifest, or, where a segment was packed before there
	// was one, absent.
	Digest string `json:"digest,omitempty"`
}

// drop lets a segment go: its record first, then its directory. Whatever stops it,
// it can be called again, also by a later run.
func (s *Store) drop(ctx context.Context, seg *segment, why reason) error {
	s.packing.Lock()
	defer s.packing.Unlock()
	if !s.mayGo(seg) {
		return fmt.Errorf("segment %s is still needed, or was set aside", seg.name())
	}
	d := seg.bound.Load().Dropping
	again := d != nil && seg.recorded == nil // an earlier run has begun
	if d == nil {
		d = &dropping{record.IDAt(s.options.Now()), why}
	}
	if seg.bound.Load().Dropping == nil && !seg.bound.Load().unknown {
		// A full disk must not keep what would make room from going. The worst
		// that a crash can do then is a second record.
		if err := seg.update(func(m *manifest) { m.Dropping = d }); err != nil && !errors.Is(err, unix.ENOSPC) {
			return err
		}
	}
	if err := s.recordDrop(ctx, seg, d, again); err != nil {
		return err
	}
	bound := seg.bound.Load()
	var healed []record.ID
	if seg.whole.Load() {
		healed = seg.closes()
	}
	if err := s.memory.drop(bound.Last, healed); err != nil && !errors.Is(err, unix.ENOSPC) {
		return err // on a full disk the record, which has a higher one, does as well
	}
	trash := filepath.Join(s.trash(), seg.name()+"."+d.EventID.String())
	var err error
	if seg.aside {
		err = s.segments.removeAside(seg, trash)
	} else {
		err = s.segments.remove(ctx, seg, trash)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.dropped[d.Why.Reason] += uint64(bound.Count)
	s.mu.Unlock()
	s.options.Log(fmt.Sprintf("segment %s was dropped: %s", seg.name(), d.Why.words()), nil)
	return emptyTrash(s.trash())
}

// mayGo reports whether a segment may be dropped now, whatever its age. One of which it
// is not known what it holds, or what gaps it closes, is opened first. What is held will
// be asked for here.
func (s *Store) mayGo(seg *segment) bool {
	if seg.aside { // nothing is packed into it
		return true
	}
	if seg.bound.Load().unknown || seg.isBack() && !seg.whole.Load() {
		// Where it cannot be opened it goes all the same, and that it is unknown is told.
		_ = s.segments.use(seg, func(*database) error { return nil })
	}
	if seg.isGone() { // it was set aside: then it goes from there
		return false
	}
	// What the journal still has of it would be packed into it once more.
	bound := seg.bound.Load()
	return !slices.ContainsFunc(s.journal.Sealed(), func(f *store.Sealed) bool { return bound.unknown || f.First() <= bound.Last })
}

// recordDrop returns once the record of a drop is stored. again: it may be already.
func (s *Store) recordDrop(ctx context.Context, seg *segment, d *dropping, again bool) error {
	if again {
		if _, err := s.Get(ctx, d.EventID); err == nil {
			return nil
		} // where that cannot be found out, two records are better than none
	}
	if seg.recorded == nil {
		c, err := s.journal.Add(d.record(seg), nil)
		if err != nil {
			return fmt.Errorf("recording that segment %s is dropped: %w", seg.name(), err)
		}
		seg.recorded = c
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	if err := seg.recorded.Wait(ctx); err != nil {
		return fmt.Errorf("recording that segment %s is dropped: %w", seg.name(), err)
	}
	return nil
}

// record returns the record of the drop.
func (d *dropping) record(seg *segment) *record.Record {
	m := seg.bound.Load()
	detail := dropped{
		Segment: seg.name(), Class: seg.class(),
		Reason: d.Why.Reason, Rule: d.Why.Rule, Found: d.Why.Found, Bytes: seg.size.Load(),
	}
	what := "Dropped records, nobody knows how many"
	stretch := "of " + seg.name()[:len(time.DateOnly)]
	if m.unknown {
		detail.RangeUnknown = true
	} else {
		detail.Oldest, detail.Newest = seg.span()
		detail.FirstSequence, detail.LastSequence, detail.Count, detail.Digest = m.First, m.Last, &m.Count, m.Digest
		what = fmt.Sprintf("Dropped %d records", m.Count)
		stretch = detail.Oldest.Format(time.RFC3339) + " to " + detail.Newest.Format(time.RFC3339)
	}
	if seg.aside {
		what += " that were set aside as damaged"
	}
	return &record.Record{
		EventID: d.EventID, Timestamp: d.EventID.Time(), EndTime: d.EventID.Time(),
		Source: record.Self, Action: "retention.drop",
		Description: fmt.Sprintf("%s (%s, %s): %s", what, seg.class(), stretch, d.Why.words()),
		Success:     record.SuccessYes, Outcome: record.OutcomeComplete,
		Object:      &record.Object{Type: "segment", ID: seg.name()},
		RequestBody: record.JSONBody(detail),
	}
}

func (r reason) words() string {
	if r.Reason == store.DroppedDisk {
		return fmt.Sprintf("the volume was %s full, past %s the oldest go", r.Found, r.Rule)
	}
	return fmt.Sprintf("the newest is %s old, they are kept for %s", r.Found, r.Rule)
}

// remove takes a segment out of the store: no new use of it begins, those that go
// on end, its Badger is closed, and its directory becomes trash. Then its files can
// go at leisure: a crash leaves no half of it. With an error it is still there.
func (s *segments) remove(ctx context.Context, seg *segment, trash string) error {
	unused := make(chan struct{})
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return store.ErrClosed
	}
	seg.dropped = unused
	if seg.refs == 0 {
		close(unused)
	}
	s.all = slices.DeleteFunc(slices.Clone(s.all), func(other *segment) bool { return other == seg })
	s.mu.Unlock()

	err := s.shutDropped(ctx, seg, unused)
	if err == nil {
		err = disk.Rename(seg.dir, trash)
	}
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		seg.dropped = nil
		if !seg.isGone() {
			s.all = append(slices.Clip(s.all), seg)
		}
		return fmt.Errorf("dropping segment %s: %w", seg.name(), err)
	}
	return errors.Join(disk.SyncDir(s.dir), disk.SyncDir(filepath.Dir(trash)))
}

// shutDropped waits until nobody uses the segment, and closes its Badger. A reader that
// hangs, on a disk that does, must not keep the journal from being packed.
func (s *segments) shutDropped(ctx context.Context, seg *segment, unused <-chan struct{}) error {
	select {
	case <-unused:
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.leave):
		return errStillRead
	}
	done := make(chan error, 1)
	go func() { // ends when Badger is done, also one that is closed for want of use, which may be never
		room := s.room
		seg.mu.Lock()
		if d := seg.database; d != nil && !d.written {
			room = func() error { return nil } // all that it has is in tables, so it writes nothing
		}
		seg.mu.Unlock()
		done <- s.shut(seg, room)
	}()
	select {
	case err := <-done:
		if err != nil && !errors.Is(err, errNoRoom) {
			s.log("closing segment "+seg.name()+", which is dropped", err)
			err = nil
		}
		return err
	case <-time.After(shutTimeout):
		s.log("segment "+seg.name()+" does not close: its room on the disk is free once the process ends", nil)
		return nil
	}
}

var errStillRead = errors.New("somebody who reads it does not come to an end: it is tried again")

// emptyTrash removes what was dropped. What cannot be removed is tried again.
func emptyTrash(dir string) error {
	entries, err := disk.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		err = errors.Join(err, disk.RemoveAll(filepath.Join(dir, e.Name())))
	}
	if err = errors.Join(err, disk.SyncDir(dir)); err != nil {
		return fmt.Errorf("removing what was dropped: %w", err)
	}
	return nil
}
