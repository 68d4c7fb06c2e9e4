package badger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/disk"
)

// How often the keeper looks: at the volume, and at the age of segments.
const (
	volumeInterval = time.Minute
	ageInterval    = time.Hour
)

// keeper lets go of what has been kept for long enough: at once, and then again
// and again. Open starts it, and Close ends it by ending ctx.
func (s *Store) keeper(ctx context.Context) {
	tick := time.NewTicker(volumeInterval)
	defer tick.Stop()
	var swept time.Time
	for {
		age := s.applyRetention(volumeInterval) || swept.IsZero() || time.Since(swept) >= ageInterval
		if age {
			swept = time.Now()
		}
		s.noteSweep(ctx, s.sweep(ctx, age))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// SetRetention implements [store.Store]. It takes effect once it has stood for a
// minute: a configuration that is taken back at once costs no record.
func (s *Store) SetRetention(r store.Retention) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted, s.wantedAt = r, time.Now()
}

// applyRetention lets what SetRetention said count if it has stood for so long, and
// reports whether that is new.
func (s *Store) applyRetention(stood time.Duration) (changed bool) {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wanted == s.retention || time.Since(s.wantedAt) < stood {
		return false
	}
	s.retention = s.wanted
	return true
}

// Sweep lets go of what retention does not keep, and returns when it is gone. A
// store sweeps by itself; this is for whoever cannot wait.
func (s *Store) Sweep(ctx context.Context) error {
	s.applyRetention(0)
	err := s.sweep(ctx, true)
	s.noteSweep(ctx, err)
	return err
}

// noteSweep says what is new about err.
func (s *Store) noteSweep(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	before := s.sweepError
	s.sweepError = err
	s.mu.Unlock()
	if err != nil && (before == nil || before.Error() != err.Error()) {
		s.options.Log("what is kept no longer could not be dropped", err)
	}
}

// sweep drops what is due: by age where that is asked for, and by the fullness of
// the volume. One segment that cannot go does not keep the others.
func (s *Store) sweep(ctx context.Context, age bool) error {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	now, err := s.lookAtClock(age)
	errs := []error{err, emptyTrash(s.trash())}
	r := s.retention
	for _, seg := range s.byAge() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if d := seg.bound.Load().Dropping; d != nil { // it was begun
			errs = append(errs, s.drop(ctx, seg, d.Why))
			continue
		}
		keep, old := r.Of(seg.class()), now.Sub(seg.newest())
		if age && keep > 0 && old > keep && s.mayGo(seg) {
			old = now.Sub(seg.newest()) // which may be known only now
			errs = append(errs, s.drop(ctx, seg, reason{store.DroppedAge, store.Days(keep), store.Days(old.Truncate(time.Minute))}))
		}
	}
	return errors.Join(append(errs, s.sweepVolume(ctx, now, r))...)
}

// byAge returns the segments, those set aside too, the one first whose newest record
// is the oldest.
func (s *Store) byAge() []*segment {
	all := slices.Concat(s.segments.list(), s.segments.asides())
	slices.SortFunc(all, func(a, b *segment) int {
		return cmp.Or(a.newest().Compare(b.newest()), cmp.Compare(a.name(), b.name()))
	})
	return all
}

// sweepVolume drops the oldest segments while the volume is fuller than it may be.
func (s *Store) sweepVolume(ctx context.Context, now time.Time, r store.Retention) error {
	if r.Disk == 0 || r.Disk == store.MaxDisk {
		s.noteVolume(0, r.Disk)
		return nil
	}
	v, err := s.volume()
	if err != nil {
		return err
	}
	classes := []record.Class{record.ClassReads}
	if r.DiskWrites {
		classes = append(classes, record.ClassWrites)
	}
	var errs []error
	for _, class := range classes {
		for _, seg := range s.byAge() {
			if v.Percent() <= float64(r.Disk) {
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if seg.class() != class || now.Sub(seg.newest()) <= store.DiskSpares || !s.mayGo(seg) {
				continue
			}
			why := reason{store.DroppedDisk, fmt.Sprintf("%d%%", r.Disk), fmt.Sprintf("%.1f%%", v.Percent())}
			if err := s.drop(ctx, seg, why); err != nil {
				errs = append(errs, err)
				continue
			}
			// Some file systems free room later than they say so.
			freed := disk.Volume{Total: v.Total, Free: v.Free + seg.size.Load()}
			if v, err = s.volume(); err != nil {
				return err
			}
			v.Free = max(v.Free, freed.Free)
		}
	}
	s.noteVolume(v.Percent(), r.Disk)
	return errors.Join(errs...)
}

// noteVolume says it once where the volume is fuller than it may be and nothing
// more may go, and once when that has ended.
func (s *Store) noteVolume(percent float64, most int) {
	over := percent > float64(most)
	s.mu.Lock()
	before := s.overfull
	s.overfull = over
	s.mu.Unlock()
	switch {
	case over && !before:
		s.options.Log(fmt.Sprintf("the volume is %.1f%% full, more than the %d%% of `disk`, and nothing more may be dropped: make room, or keep less", percent, most), nil)
	case before && !over:
		s.options.Log("the volume is no fuller than `disk` allows", nil)
	}
}

// lookAtClock returns the time that records are measured by. save: also for the
// next start.
func (s *Store) lookAtClock(save bool) (time.Time, error) {
	m := s.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	now, real := s.options.Now(), time.Now()
	if m.known.Clock.Believed.IsZero() {
		m.known.Clock.Believed = cmp.Or(s.newest(), now).UTC().Round(0)
	}
	passed := real.Sub(s.seenAt)
	jumped := !s.seenAt.IsZero() && (now.Round(0).Sub(s.seen.Round(0))-passed).Abs() > patience
	s.seen, s.seenAt = now, real
	before := m.known.Clock
	m.known.Clock.see(now, jumped)
	c := m.known.Clock
	switch {
	case !c.Doubted.IsZero() && c.Doubted != before.Doubted:
		s.options.Log(fmt.Sprintf("the clock says %s, and said %s when it was last seen: nothing is dropped on its word before it has gone on from there for a day",
			c.Doubted.Format(time.RFC3339), c.Believed.Format(time.RFC3339)), nil)
		save = true
	case c.Doubted.IsZero() && !before.Doubted.IsZero():
		s.options.Log("retention goes by the clock again", nil)
		save = true
	}
	s.noteIDs(now)
	if !save {
		return c.time(now), nil
	}
	return c.time(now), m.save()
}

// behind is how far the clock may be behind the newest record before that is said.
const behind = time.Minute

// noteIDs says once that ids have run ahead of the clock, and once that they have not.
func (s *Store) noteIDs(now time.Time) {
	ahead := s.newest().Sub(now)
	over := ahead > behind
	if over && !s.ahead {
		s.options.Log(fmt.Sprintf("the clock is %s behind the newest record: new records bear the time of that one until it has caught up; where it was wrong before, restart the gateway",
			ahead.Truncate(time.Second)), nil)
	}
	s.ahead = over
}

// newest returns when the newest record began, also one that was set aside; zero where
// there is none.
func (s *Store) newest() time.Time {
	t := s.segments.newest()
	for row := range s.journal.View().Scan(record.ID{}, false, record.ID{}) {
		if row.ID.Time().After(t) {
			return row.ID.Time()
		}
		break
	}
	return t
}
