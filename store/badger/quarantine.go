package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store/disk"
)

// quarantineDir has the segments that were set aside: damaged, as they were found,
// for whoever can bring them back. Each is <name of the segment>.<number>.
const quarantineDir = "quarantine"

// quarantine are the segments that were set aside.
type quarantine struct {
	dir string
	all []*segment // guarded by segments.mu; not changed, but replaced
}

// read finds what earlier runs have set aside, and tells of it, whatever becomes of
// reading it: only what is no segment is passed over.
func (q *quarantine) read(d *damage) error {
	entries, err := disk.ReadDir(q.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		seg, err := readSegment(filepath.Join(q.dir, e.Name()), nil)
		if errors.Is(err, errNoSegment) {
			d.log("passing over what is not the store's", err)
			continue
		}
		if seg == nil { // nothing was in it
			continue
		}
		if err != nil {
			d.log("looking at what is set aside in "+seg.dir, err)
		}
		seg.aside = true
		q.all = append(q.all, seg)
		d.tell(seg.lostGap(seg.name()), "a damaged segment is set aside in "+seg.dir, errSetAside)
	}
	return nil
}

var errSetAside = errors.New("its records cannot be read: put a sound copy of it, under this name, into the directory segments while the gateway is stopped, or move it out of the store")

// lostGap is the gap of a segment that was set aside under that name.
func (s *segment) lostGap(name string) *record.Record {
	return s.gap(s.bound.Load().Count, "segment", name)
}

// setAside takes a damaged segment out of service: nobody finds it any more, its
// directory stands in quarantine, and what it had is told of. The caller holds the
// segment's mu.
func (s *segments) setAside(seg *segment, why error) {
	seg.gone.Store(true)
	to, err := s.quarantine.move(seg)
	if err != nil {
		// It is out of service for this run. The next one finds it where it is.
		s.log("setting the damaged segment "+seg.name()+" aside", err)
	}
	aside := &segment{dir: to, aside: true}
	aside.bound.Store(seg.bound.Load())
	aside.size.Store(seg.size.Load())
	s.damage.setAway(seg, nil)
	s.damage.tell(seg.lostGap(aside.name()), "segment "+seg.name()+" is damaged and was set aside in "+to, fmt.Errorf("%w: %w", errSetAside, why))
	// Only now: whoever finds it in the list before that waits for its mu.
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(slices.Clone(s.all), func(other *segment) bool { return other == seg })
	s.quarantine.all = append(slices.Clip(s.quarantine.all), aside)
}

// asides are the segments that were set aside and are still there.
func (s *segments) asides() (there []*segment) {
	s.mu.Lock()
	all := s.quarantine.all
	s.mu.Unlock()
	for _, seg := range all {
		if _, err := os.Lstat(seg.dir); err == nil {
			there = append(there, seg)
		}
	}
	return there
}

// removeAside lets go of a segment that was set aside: its directory becomes trash.
func (s *segments) removeAside(seg *segment, trash string) error {
	if err := disk.Rename(seg.dir, trash); err != nil {
		return fmt.Errorf("dropping %s: %w", seg.dir, err)
	}
	s.mu.Lock()
	s.quarantine.all = slices.DeleteFunc(slices.Clone(s.quarantine.all), func(other *segment) bool { return other == seg })
	s.mu.Unlock()
	return errors.Join(disk.SyncDir(s.quarantine.dir), disk.SyncDir(filepath.Dir(trash)))
}

// healed are the gaps of segments that are back from quarantine, whole.
func (s *segments) healed() (healed []record.ID) {
	for _, seg := range s.list() {
		if seg.whole.Load() {
			healed = append(healed, seg.closes()...)
		}
	}
	return healed
}

// closes are the gaps that the segment closes if all is there that it counts: of when it
// was set aside, each under the name that it had then. None where it does not know what
// it had: since it was set aside its manifest was made anew.
func (s *segment) closes() (gaps []record.ID) {
	for name, anew := s.name(), s.bound.Load().Anew; len(name) > max(len(s.place()), len(anew)); name = strings.TrimSuffix(name, filepath.Ext(name)) {
		gaps = append(gaps, s.lostGap(name).EventID)
	}
	return gaps
}

// isBack reports whether the segment was brought back from quarantine.
func (s *segment) isBack() bool { return s.name() != s.place() }

// move moves a segment's directory here and returns where it is now, with an error too:
// once it is moved that is here, even if the disk does not have it yet.
func (q *quarantine) move(seg *segment) (to string, err error) {
	if err := disk.Mkdir(q.dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return seg.dir, err
	}
	for n := 1; ; n++ {
		to = filepath.Join(q.dir, fmt.Sprintf("%s.%d", seg.name(), n))
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err := disk.Rename(seg.dir, to); err != nil {
		return seg.dir, err
	}
	return to, errors.Join(disk.SyncDir(q.dir), disk.SyncDir(filepath.Dir(seg.dir)))
}

// health says which segments are set aside, as long as they are there.
func (s *segments) health() error {
	var errs []error
	for _, seg := range s.asides() {
		errs = append(errs, fmt.Errorf("segment %s is damaged: %w", seg.dir, errSetAside))
	}
	return errors.Join(errs...)
}
