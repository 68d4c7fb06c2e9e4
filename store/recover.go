package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store/disk"
)

// openJournal reads what earlier runs left, writes the gaps that it finds, and
// begins this run. The calls file is replaced last: until then a start that is
// cut off leaves things so that the next one finds the same gaps, under the same
// ids.
func openJournal(dir string, o JournalOptions) (_ *Journal, err error) {
	if err := checkKeys(dir, o.Keys); err != nil {
		return nil, err
	}
	if err := checkRoom(dir); err != nil {
		return nil, err
	}
	now := o.Now()
	run, runErr := readCalls(dir)
	if runErr != nil && !errors.Is(runErr, fs.ErrNotExist) && !errors.Is(runErr, errFormat) {
		return nil, runErr
	}
	old, err := replayFiles(dir, o.After, since(o.Since, run), o.Keys, o.Log)
	defer func() {
		if err != nil {
			old.close()
		}
	}()
	if err != nil {
		return nil, err
	}
	open, unsettled := old.entries(run)
	gaps := old.gaps(run, runErr, open, unsettled, now)
	if !o.Restored.IsZero() { // calls that were in flight then may have no begin entry
		g := record.Gap{CountUnknown: true, Reason: ReasonRestored}
		gaps = append(gaps, foundGap(record.Self, o.Restored.Add(-announceTime), now, g))
	}

	boot := uuid.New()
	h := header{first: max(old.last, o.After) + 1, begun: now, node: o.Node, boot: boot.String()}
	h.skipped = h.first - 1 - old.last + old.skipped
	file, err := createFile(dir, old.number+1, h, o.FileSize, nil, o.Keys, old.cache)
	if err != nil {
		return nil, err
	}
	defer func() {
		switch {
		case err == nil:
		case file.hasRows():
			file.f.Close()
		default:
			file.discard()
		}
	}()
	c := &committer{
		fileSize: o.FileSize, sync: o.Durability == Fsync, now: o.Now, log: o.Log, keys: o.Keys,
		tail: newTail(old.files, file), figures: newFigures(),
		sealing: make(chan chan error), sealed: make(chan struct{}, 1),
		closing: make(chan struct{}), giveUp: make(chan struct{}), done: make(chan struct{}),
		file: file, next: h.first, lastCommit: now,
	}
	c.queue = newQueue(o.Queue, o.Batch, &c.tail.sequence)
	if err := c.commitFound(gaps, open); err != nil {
		return nil, err
	}
	if c.calls, err = createCalls(dir, boot, now, c.next-1); err != nil {
		return nil, err
	}
	// What was missing before the oldest file is told of now.
	oldest := file
	if len(old.files) > 0 {
		oldest = old.files[0]
	}
	if old.dropped < oldest.first-1 {
		if err := noteDropped(dir, oldest.first-1); err != nil {
			return nil, err
		}
	}
	for _, path := range old.damaged {
		o.Log("setting a damaged journal file aside", disk.Rename(path, path+damagedSuffix))
	}
	for _, f := range old.files {
		if !f.hasRows() {
			if f.unread {
				o.Log("setting a journal file aside that cannot be read", disk.Rename(f.path, f.path+damagedSuffix))
				f.f.Close()
				continue
			}
			f.discard()
		} else if err := f.trim(); err != nil {
			o.Log("giving back the room behind the end of a journal file", err)
		}
	}
	if len(c.tail.list()) > 0 {
		c.tellSealed()
	}
	c.counters = newCounters(c.calls, o.Now, c.queue)
	for _, r := range gaps {
		c.counters.count(r.Gap.Reason, r.Gap.Count)
	}
	c.gapWake = time.AfterFunc(time.Hour, c.queue.wake)
	c.room.Store(c.file.room())
	go c.run()
	return &Journal{dir: dir, queue: c.queue, counters: c.counters, tail: c.tail, committer: c}, nil
}

// startRoom is how many bytes must be free for a start: to find that out costs nothing,
// and to find out later that a file cannot be begun has cost reading all of them.
const startRoom = 64 << 10

// checkRoom returns nil where the volume of dir has room for a start, as far as is known.
func checkRoom(dir string) error {
	v, err := disk.VolumeOf(dir)
	if err != nil || v.Free >= startRoom {
		return err
	}
	return fmt.Errorf("%w: %s are free, a start needs %s", unix.ENOSPC, humanize.IBytes(uint64(v.Free)), humanize.IBytes(startRoom))
}

// since returns what is known of when the records in the journal may have been
// written: after what is kept elsewhere, or else in the last run.
func since(packed time.Time, run *lastRun) time.Time {
	if packed.IsZero() && run != nil {
		return run.begun
	}
	return packed
}

// commitFound writes gap records, but for those that an earlier start has
// written already, and makes begin entries records. It tries once.
func (c *committer) commitFound(gaps []*record.Record, entries []Row) error {
	b := newBatch()
	for _, r := range gaps {
		if _, known := c.tail.view.Load().Find(r.EventID); !known {
			b.addGap(r, nil)
		}
	}
	for _, e := range entries {
		b.addUnfinished(e, nil, c.log)
	}
	if len(b.rows) == 0 {
		return nil
	}
	c.encode(b, c.now())
	err := c.write()
	if err == nil { // with any durability: later starts take it as told
		err = c.file.f.Datasync()
	}
	if err != nil {
		return fmt.Errorf("writing what the last run lost: %w", err)
	}
	c.show(b)
	return nil
}

// entries returns the begin entries that stand without a record. unsettled counts,
// by source, those of the last run that none of its frames has settled, because
// they stand, or because a start that was cut off has made records of them.
func (r *replay) entries(run *lastRun) (open []Row, unsettled map[string]uint64) {
	view, seen := new(View), map[record.ID]bool{}
	for _, f := range r.files {
		view.sealed = append(view.sealed, f.runs...)
	}
	unsettled = map[string]uint64{}
	for rows := range view.runs {
		for _, e := range rows {
			if e.Sequence != 0 || seen[e.ID] {
				continue
			}
			seen[e.ID] = true
			final, _ := view.Find(e.ID)
			if final.Sequence == 0 {
				open = append(open, e)
			} else if final.Boot() == e.Boot() {
				continue
			}
			if run == nil || e.Boot() != run.boot {
				continue
			}
			var source string
			if rec, err := e.Record(false); err == nil {
				source = rec.Source
			}
			if _, ok := run.calls[source]; !ok {
				source = otherName
			}
			unsettled[source]++
		}
	}
	return open, unsettled
}

// told returns how many missing records may be of calls that are told of anyhow.
// stand is of those whose begin entry stands: as many as the last run seems to
// have settled more than it has begun, and all of runs before it, since each start
// makes records of those. open is of those that the last run did not settle: where
// the newest records are missing, so is what they settled.
func (r *replay) told(run *lastRun, entries []Row, unsettled map[string]uint64) (stand, open uint64) {
	for _, e := range entries {
		if run != nil && e.Boot() != run.boot {
			stand++
		}
	}
	if run == nil || run.rebooted {
		return stand, 0
	}
	for source, begun := range run.calls {
		settled := r.settled[run.boot][source]
		if run.closed { // then all were, whatever can still be read
			settled = begun
		}
		if begun > settled {
			open += begun - settled
		}
		if settled += unsettled[source]; settled > begun {
			stand += settled - begun
		}
	}
	return stand, open
}

// gaps returns the gap records of what is missing: run is what the calls file
// says of the last run, and nil where it could not be read because of runErr.
// entries are the begin entries that stand, and unsettled counts calls of it that
// have one; see entries.
func (r *replay) gaps(run *lastRun, runErr error, entries []Row, unsettled map[string]uint64, now time.Time) (gaps []*record.Record) {
	unknown := func(what string) {
		g := record.Gap{CountUnknown: true, Reason: ReasonDamage}
		gaps = append(gaps, foundGap(record.Self, r.stretch(now), now, g, r.last, what))
	}
	for _, path := range r.damaged {
		g := record.Gap{CountUnknown: true, Reason: ReasonDamage}
		gaps = append(gaps, foundGap(record.Self, r.lostSince(now), now, g, r.last, filepath.Base(path)))
	}
	switch {
	case run == nil && (errors.Is(runErr, errFormat) || !r.before.IsZero()):
		r.log("counts of the last run cannot be read", runErr)
		unknown(callsName)
	case run != nil && len(r.files) == 0:
		if kept := min(r.after, r.dropped); run.sequence > kept && len(r.damaged) == 0 {
			r.log("the journal has no files any more", fmt.Errorf("%w: sequences %d to %d", ErrCorrupt, kept+1, run.sequence))
			unknown("files")
		}
		r.last = run.sequence
	case run != nil:
		r.expect(run.sequence+1, now, run.boot)
	}
	told, open := r.told(run, entries, unsettled)
	for _, h := range r.holes {
		g := record.Gap{Count: h.last - h.first + 1, Reason: ReasonDamage}
		if run != nil && h.last == run.sequence {
			told += open
		}
		less := min(g.Count, told)
		g.Count, told = g.Count-less, told-less
		if run != nil && run.rebooted && h.boot == run.boot {
			g.Reason = ReasonPowerCut // the disk had not got all that was written
		}
		start := h.start.Add(-announceTime) // when the calls may have begun
		gaps = append(gaps, foundGap(record.Self, start, h.end, g, h.first, h.last))
	}
	if run == nil || run.closed {
		return gaps
	}
	start := r.written[run.boot]
	if start.IsZero() {
		start = run.begun
	}
	start = start.Add(-announceTime)
	if !run.rebooted && !run.oldest.IsZero() {
		start = run.oldest
	}
	for _, source := range slices.Sorted(maps.Keys(run.calls)) {
		g := record.Gap{CountUnknown: true, Reason: ReasonPowerCut}
		if !run.rebooted {
			begun, settled := run.calls[source], r.settled[run.boot][source]+unsettled[source]
			if begun <= settled {
				continue
			}
			g = record.Gap{Count: begun - settled, Reason: ReasonKilled}
		}
		gaps = append(gaps, foundGap(source, start, now, g, run.boot))
	}
	return gaps
}
