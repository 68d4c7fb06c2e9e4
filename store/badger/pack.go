package badger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// packRetry is how long packing waits after it failed: for room on the disk,
// mostly. The journal keeps the records meanwhile.
const packRetry = 5 * time.Second

// bodyTries is how often in a row packing may fail before it goes on without bodies
// that the disk does not give: a bad sector must not stop it for ever.
const bodyTries = 20

// Pack moves everything committed so far from the journal into blocks, and
// returns when it is done, or with ctx's error. What was not moved stays in the
// journal. A store packs by itself; this is for whoever cannot wait.
func (s *Store) Pack(ctx context.Context) error {
	if err := s.journal.Seal(); err != nil {
		return fmt.Errorf("sealing the journal: %w", err)
	}
	return s.packSealed(ctx)
}

// packer packs journal files as they are sealed. Open starts it, and Close ends
// it by ending ctx.
func (s *Store) packer(ctx context.Context) {
	tick := time.NewTicker(s.options.PackAfter)
	defer tick.Stop()
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.journal.Seals():
		case <-retry:
		case <-tick.C:
			// It is packed when it is announced by Seals.
			if err := s.journal.Seal(); err != nil {
				s.options.Log("sealing the journal", err)
			}
			continue
		}
		retry = nil
		if s.packSealed(ctx) != nil {
			retry = time.After(packRetry)
		}
	}
}

// packSealed packs all files that are sealed, the oldest first, up to the first
// that fails.
func (s *Store) packSealed(ctx context.Context) (err error) {
	s.packing.Lock()
	defer s.packing.Unlock()
	for _, f := range s.journal.Sealed() {
		if err = s.pack(ctx, f); err != nil {
			err = fmt.Errorf("packing records %d to %d: %w", f.First(), f.Last(), err)
			break
		}
	}
	if ctx.Err() == nil {
		s.notePacking(err)
		if s.packFailures++; err == nil {
			s.packFailures = 0
		}
	}
	return err
}

// notePacking keeps err for Health, and says what is new about it.
func (s *Store) notePacking(err error) {
	s.mu.Lock()
	before := s.packError
	s.packError = err
	s.mu.Unlock()
	switch {
	case err == nil && before != nil:
		s.options.Log("packing goes on", nil)
	case errors.Is(err, errNoRoom):
		if !errors.Is(before, errNoRoom) {
			s.options.Log("packing waits, the journal keeps the records", err)
		}
	case err != nil && (before == nil || before.Error() != err.Error()):
		s.options.Log("packing failed, the journal keeps the records", err)
	}
}

// pack moves one journal file into blocks. Whatever stops it, it can be called
// again, and then writes the same entries.
func (s *Store) pack(ctx context.Context, f *store.Sealed) error {
	// First: where a manifest says that a segment may have a record, the journal does
	// not miss it.
	if err := f.Sync(); err != nil {
		return err
	}
	view := f.View()
	targets, err := planTargets(view)
	if err != nil {
		return err
	}
	defer func() {
		for _, t := range targets {
			t.close()
		}
	}()
	for _, t := range targets {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.open(s, f); err != nil {
			return err
		}
	}
	for row := range view.Scan(record.ID{}, false, record.ID{}) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := targets.of(row).add(row); err != nil {
			return fmt.Errorf("record %s: %w", row.ID, err)
		}
	}
	for _, t := range targets {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.finish(); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.journal.Drop(ctx, f)
}

// target is what one journal file brings to one segment.
type target struct {
	class  record.Class
	day    time.Time
	bound  manifest
	values valueSets
	gaps   map[record.ID]time.Time // and when the stretch of each ends
	blocks []block                 // that were put, and count once they are flushed

	// What follows is set by open.
	unread   func(record.ID, error) // told of bodies that are lost
	tries    func() int             // how often packing has failed in a row
	segment  *segment
	database *database
	release  func()
	writer   *writer
	builder  *builder
}

type targets []*target

// of returns the target of a row.
func (ts targets) of(row store.Row) *target {
	// A row that cannot be read counts as a write: those are kept longest. Who
	// reads it is told.
	class, _ := record.ClassOf(row.Meta)
	for _, t := range ts {
		if t.class == class {
			return t
		}
	}
	return nil
}

// planTargets finds what the rows of one file go to. It depends on them alone.
func planTargets(view *store.View) (ts targets, err error) {
	gaps := make(map[record.ID]time.Time)
	for _, row := range view.Gaps() {
		r, err := row.Record(false)
		if err != nil {
			return nil, err
		}
		gaps[r.EventID] = gapEnd(r)
	}
	var day time.Time
	for row := range view.Scan(record.ID{}, false, record.ID{}) {
		if day.IsZero() {
			day = row.ID.Time()
		}
		t := ts.of(row)
		if t == nil {
			class, _ := record.ClassOf(row.Meta)
			t = &target{class: class, day: day, gaps: gaps}
			ts = append(ts, t)
		}
		t.bound.widen(&manifest{
			Oldest: row.ID, Newest: row.ID, First: row.Sequence, Last: row.Sequence, GapsUntil: gaps[row.ID],
		})
		t.values.add(row.Meta)
	}
	for _, t := range ts {
		t.bound.Values = t.values.list()
	}
	return ts, nil
}

// open makes the segment ready for the blocks to come. What they need is
// promised before they are there, so that a reader misses nothing.
func (t *target) open(s *Store, f *store.Sealed) (err error) {
	if err = s.room(); err != nil {
		return err
	}
	t.unread, t.tries = s.tellBodies, func() int { return s.packFailures }
	for tries := 0; ; tries++ {
		if t.segment, err = s.segments.make(t.day, t.class, &t.bound); err == nil {
			t.database, t.release, err = s.segments.acquire(t.segment)
		}
		if err == nil {
			break
		}
		// One that is damaged was set aside: the next one is new.
		if tries > 0 || !errors.Is(err, store.ErrCorrupt) {
			return err
		}
	}
	t.database.written = true
	t.writer = newWriter(t.database, s.room)
	t.builder = &builder{
		node: f.Node(), boot: f.Boot(),
		put:  t.writer.put,
		done: func(b block) { t.blocks = append(t.blocks, b) },
	}
	return nil
}

func (t *target) add(row store.Row) error {
	request, response, err := row.Bodies()
	meta := row.Meta
	if errors.Is(err, store.ErrCorrupt) && (!isOfDisk(err) || t.tries() > bodyTries) { // it goes on without them
		t.unread(row.ID, err)
		var r *record.Record
		if r, err = row.Record(false); err == nil {
			withhold(r)
			meta = r.AppendMeta(record.AppendAnnounced(nil, record.Announced(row.Meta)))
		}
	}
	if err != nil {
		return err
	}
	return t.builder.add(&input{row.ID, row.Sequence, meta, request, response, t.gaps[row.ID]})
}

// finish makes the blocks durable, and then known.
func (t *target) finish() error {
	if err := t.builder.finish(); err != nil {
		return err
	}
	if err := t.writer.flush(); err != nil {
		return err
	}
	t.database.add(t.blocks)
	blocks := *t.database.blocks.Load()
	return errors.Join(
		t.segment.noteValueLogs(),
		t.segment.update(func(m *manifest) { m.Count, m.Digest = countRecords(blocks), digestBlocks(blocks) }),
		t.segment.measure())
}

func (t *target) close() {
	if t.database != nil {
		t.writer.close()
		t.release()
	}
}
