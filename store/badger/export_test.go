package badger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	dgraph "github.com/dgraph-io/badger/v4"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/disk"
)

// ErrNoRoom says that the disk has too little room for Badger to write.
var ErrNoRoom = errNoRoom

// OpenWithRoom opens a store that asks room whether the disk has enough.
func OpenWithRoom(o Options, room func() error) (*Store, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	return open(o, room)
}

// OpenSegments returns how many segments are open now.
func (s *Store) OpenSegments() int {
	s.segments.mu.Lock()
	defer s.segments.mu.Unlock()
	return len(s.segments.opened)
}

// SealJournal ends the journal file that is being written.
func (s *Store) SealJournal() error { return s.journal.Seal() }

// Segments returns how many there are of a class.
func (s *Store) Segments(c record.Class) (n int) {
	for _, seg := range s.segments.list() {
		if seg.class() == c {
			n++
		}
	}
	return n
}

// HasSealed reports whether there are files to pack.
func (s *Store) HasSealed() bool { return len(s.journal.Sealed()) > 0 }

// StopPacker leaves packing to Pack.
func (s *Store) StopPacker() {
	s.stop()
	<-s.packerDone
	<-s.keeperDone
}

// SetVolume makes the store believe that its volume has total bytes, and what free
// says is free.
func (s *Store) SetVolume(total int64, free func() int64) {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	s.volume = func() (disk.Volume, error) { return disk.Volume{Total: total, Free: free()}, nil }
}

// BeginDrop does what is done of a drop before its record is stored.
func (s *Store) BeginDrop(name string) error {
	s.packing.Lock()
	defer s.packing.Unlock()
	for _, seg := range s.segments.list() {
		if seg.name() == name {
			return seg.update(func(m *manifest) {
				m.Dropping = &dropping{record.IDAt(s.options.Now()), reason{store.DroppedAge, "30d", "31d"}}
			})
		}
	}
	return store.ErrNotFound
}

// DiskUsage returns what the files below dir take.
func DiskUsage(dir string) (int64, error) { return diskUsage(dir) }

// VolumePercent returns how full the volume of path is.
func VolumePercent(path string) (float64, error) {
	v, err := disk.VolumeOf(path)
	return v.Percent(), err
}

// Clock is the time as retention believes it.
type Clock struct{ clock clock }

// NewClock returns one that believes t.
func NewClock(t time.Time) *Clock { return &Clock{clock{Believed: t}} }

// See notes what the clock says, and returns the time that records are measured by.
func (c *Clock) See(now time.Time, jumped bool) time.Time {
	c.clock.see(now, jumped)
	return c.clock.time(now)
}

// PackUntil packs what is sealed, until ctx ends.
func (s *Store) PackUntil(ctx context.Context) error { return s.packSealed(ctx) }

// Entry is one entry of a Badger.
type Entry struct{ Key, Value []byte }

// Entries returns what is in the segments, by the name of each. Nobody may have
// the store open.
func Entries(path string) (map[string][]Entry, error) {
	segments, err := readSegments(filepath.Join(path, segmentsDir), nil, 1, func() error { return nil }, func(string, error) {})
	if err != nil {
		return nil, err
	}
	all := make(map[string][]Entry)
	for _, seg := range segments.list() {
		if err := segments.use(seg, func(d *database) error {
			return d.View(func(txn *txn) error {
				it := txn.NewIterator(dgraph.DefaultIteratorOptions)
				defer it.Close()
				for it.Rewind(); it.Valid(); it.Next() {
					value, err := it.Item().ValueCopy(nil)
					if err != nil {
						return err
					}
					all[seg.name()] = append(all[seg.name()], Entry{it.Item().KeyCopy(nil), value})
				}
				return nil
			})
		}); err != nil {
			return nil, err
		}
	}
	return all, segments.close(context.Background())
}

// CheckBlock reads head and a sub-block of metadata as they come from a disk
// that may say anything.
func CheckBlock(headData, metadata []byte) {
	h, err := parseHead(headNewest, 1, headData)
	_, _ = parseDirectory(nil, metadata)
	if err == nil {
		for i := range h.metadata {
			(&blockReader{head: h}).find(h.metadata[i].newest)
		}
	}
	for p, err := range rowsOf(metadata) {
		if err == nil {
			p.bodies.cut(metadata)
		}
	}
	_ = eachUnit(metadata, func(unit int, filter []byte) { hasBits(filter, 77, wordProbes) })
	if r, err := newColumnsReader(metadata, h.count); err == nil {
		_, _ = r.places(headNewest)
	}
	if r, err := newColumnsReader(metadata, h.count); err == nil {
		if c, err := r.column(); err == nil {
			for _, value := range c.values {
				setColumn(new(record.Record), columnUser, value)
			}
		}
	}
}

// StripIndexes leaves of the blocks what stores had before there were columns and
// filters. Nobody may have the store open.
func StripIndexes(path string) (stripped int, err error) {
	if _, err := RemoveDirectories(path); err != nil {
		return 0, err
	}
	err = eachDatabase(path, func(seg *segment, d *database) error {
		if err := seg.update(func(m *manifest) { m.Values = nil }); err != nil {
			return err
		}
		return d.Update(func(txn *dgraph.Txn) error {
			it := txn.NewIterator(dgraph.DefaultIteratorOptions)
			defer it.Close()
			for it.Rewind(); it.Valid(); it.Next() {
				key := it.Item().KeyCopy(nil)
				newest, first, kind, _ := parseKey(key)
				switch kind {
				case kindColumns, kindFilters:
					stripped++
					if err := txn.Delete(key); err != nil {
						return err
					}
				case kindHead:
					data, err := it.Item().ValueCopy(nil)
					if err != nil {
						return err
					}
					h, err := parseHead(newest, first, data)
					if err != nil {
						return err
					}
					h.columns, h.filters, h.unit = [entryCount]entrySize{}, group{}, 0
					for i := range h.metadata {
						h.metadata[i].records = 0
					}
					if err := txn.Set(key, h.append(nil)); err != nil {
						return err
					}
				}
			}
			return nil
		})
	})
	return stripped, err
}

// PassedFilters puts words and names into the filters of units, as many each as
// said, and returns how many of as many others pass for being in one.
func PassedFilters(units, words, names int) (missed, passedWords, passedNames int, err error) {
	var b filterBuilder
	for u := range units {
		for i := range words {
			b.words.add(wordToken(fmt.Appendf(nil, "word %d of %d", i, u)))
		}
		for i := range names {
			b.names.add(nameToken(ofUser, fmt.Appendf(nil, "name %d of %d", i, u)))
		}
		b.endUnit()
	}
	count := b.pageCount()
	pages := make([][]byte, count)
	if err := b.flush(func(page int, data []byte) error { pages[page] = data; return nil }); err != nil {
		return 0, 0, 0, err
	}
	has := func(token uint64, probes, in int) (found bool) {
		err = errors.Join(err, eachUnit(pages[pageOf(token, count)], func(unit int, filter []byte) {
			found = found || unit == in && hasBits(filter, token, probes)
		}))
		return found
	}
	for u := range units {
		for i := range words {
			if !has(wordToken(fmt.Appendf(nil, "word %d of %d", i, u)), wordProbes, u) {
				missed++
			}
			if has(wordToken(fmt.Appendf(nil, "other %d of %d", i, u)), wordProbes, u) {
				passedWords++
			}
		}
		for i := range names {
			if !has(nameToken(ofUser, fmt.Appendf(nil, "name %d of %d", i, u)), nameWeight*wordProbes, u) {
				missed++
			}
			if has(nameToken(ofTrace, fmt.Appendf(nil, "name %d of %d", i, u)), nameWeight*wordProbes, u) {
				passedNames++
			}
		}
	}
	return missed, passedWords, passedNames, err
}

var headNewest = record.ID{0xff, 15: 0xff}

// Settle waits until a store whose Close has given up does nothing any more, and
// lets go of its lock.
func (s *Store) Settle() {
	_ = s.journal.Close(context.Background())
	_ = s.segments.close(context.Background())
	_ = s.root.close()
}

// Levels shares out tables of these ranges to levels. It returns their numbers.
func Levels(ranges [][2][]byte) (numbers [][]int) {
	var tables []*tableRange
	for i, r := range ranges {
		tables = append(tables, &tableRange{uint64(i), r[0], r[1]})
	}
	for _, level := range levels(tables) {
		var all []int
		for _, t := range level {
			all = append(all, int(t.id))
		}
		numbers = append(numbers, all)
	}
	return numbers
}

// TellLosses tells of so many losses, a minute each, the first in the minute of start,
// where no more than most are told one by one.
func (s *Store) TellLosses(start time.Time, n, most int) {
	s.damage.most = most
	for i := range n {
		at := start.Add(time.Duration(i) * time.Minute)
		s.damage.tell(store.DamageGap(at, at.Add(time.Minute), record.Gap{Count: 1}, i), "a loss of a test", store.ErrCorrupt)
	}
}

// FlushWhileBadgerLogs writes an entry to a new Badger in dir, which logs an error
// meanwhile.
func FlushWhileBadgerLogs(dir, format string, args ...any) error {
	d, err := openDatabase(dir, func(string, error) {})
	if err != nil {
		return err
	}
	w := newWriter(d, func() error { d.Opts().Logger.Errorf(format, args...); return nil })
	defer w.close()
	return errors.Join(w.put([]byte("key"), []byte("value")), w.flush(), d.Close())
}

// ChangeEntries changes the values of all entries of sub-blocks, as somebody without
// the key could. Nobody may have the store open.
func ChangeEntries(path string, change func(value []byte)) error {
	dirs, err := filepath.Glob(filepath.Join(path, segmentsDir, "*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		db, err := openDatabase(dir, func(string, error) {})
		if err != nil {
			return err
		}
		err = db.Update(func(txn *dgraph.Txn) error {
			it := txn.NewIterator(dgraph.DefaultIteratorOptions)
			defer it.Close()
			for it.Rewind(); it.Valid(); it.Next() {
				if _, _, kind, _ := parseKey(it.Item().Key()); kind == kindHead {
					continue
				}
				value, err := it.Item().ValueCopy(nil)
				if err != nil {
					return err
				}
				change(value)
				if err := txn.SetEntry(dgraph.NewEntry(it.Item().KeyCopy(nil), value).WithMeta(it.Item().UserMeta())); err != nil {
					return err
				}
			}
			return nil
		})
		if err := errors.Join(err, db.Close()); err != nil {
			return err
		}
	}
	return nil
}

// ReadManifest reads a segment.json, and returns it as it is written without its checksum.
func ReadManifest(data []byte) (string, error) {
	m, err := parseManifest(data)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(m)
	return string(text), err
}

// CompareDirectories returns how many records the directories of all segments tell of,
// and an error where they do not say of a block what its head says, or where one is
// opened by anything else. Nobody may have the store open.
func CompareDirectories(path string) (records int, err error) {
	err = eachDatabase(path, func(seg *segment, d *database) error {
		listed, ok := d.readDirectories(seg.bound.Load().Count)
		heads, unread, err := d.findBlocks()
		if err != nil || unread > 0 || !ok || !slices.Equal(listed, heads) {
			return fmt.Errorf("%s: %d blocks in directories, enough: %t; %d heads and %d that cannot be read, %w", seg.name(), len(listed), ok, len(heads), unread, err)
		}
		records += countRecords(listed)
		return nil
	})
	return records, err
}

// RemoveDirectories leaves what stores had before there were directories. Nobody may
// have the store open.
func RemoveDirectories(path string) (removed int, err error) {
	err = eachDatabase(path, func(seg *segment, d *database) error {
		if err := seg.update(func(m *manifest) { m.Directories = false }); err != nil {
			return err
		}
		return d.Update(func(txn *dgraph.Txn) error {
			it := txn.NewIterator(dgraph.IteratorOptions{Prefix: []byte{directoryPrefix}})
			defer it.Close()
			for it.Rewind(); it.Valid(); it.Next() {
				removed++
				if err := txn.Delete(it.Item().KeyCopy(nil)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return removed, err
}

// ForgetCounts leaves of the manifests what a crash leaves before the first block of a
// file was counted. Nobody may have the store open.
func ForgetCounts(path string) error {
	return eachDatabase(path, func(seg *segment, _ *database) error {
		return seg.update(func(m *manifest) { m.Count, m.Digest = 0, "" })
	})
}

func eachDatabase(path string, do func(*segment, *database) error) error {
	segments, err := readSegments(filepath.Join(path, segmentsDir), nil, 1, func() error { return nil }, func(string, error) {})
	if err != nil {
		return err
	}
	for _, seg := range segments.list() {
		if err := segments.use(seg, func(d *database) error { return do(seg, d) }); err != nil {
			return errors.Join(err, segments.close(context.Background()))
		}
	}
	return segments.close(context.Background())
}

// DamageBodies changes a byte of every sub-block of bodies. Nobody may have the store
// open.
func DamageBodies(path string) error {
	return eachDatabase(path, func(_ *segment, d *database) error {
		return d.Update(func(txn *dgraph.Txn) error {
			it := txn.NewIterator(dgraph.IteratorOptions{Prefix: []byte{blockPrefix}})
			defer it.Close()
			for it.Rewind(); it.Valid(); it.Next() {
				if _, _, kind, _ := parseKey(it.Item().Key()); kind != kindBodies {
					continue
				}
				value, err := it.Item().ValueCopy(nil)
				if err != nil {
					return err
				}
				value[len(value)/2] ^= 0xff
				if err := txn.Set(it.Item().KeyCopy(nil), value); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// SetLeaveTimeout sets how long a drop waits for readers.
func (s *Store) SetLeaveTimeout(d time.Duration) {
	s.packing.Lock()
	defer s.packing.Unlock()
	s.segments.leave = d
}

// Hold reads a segment until leave is called.
func (s *Store) Hold(t testing.TB, name string) (leave func()) {
	t.Helper()
	for _, seg := range s.segments.list() {
		if seg.name() == name {
			_, leave, err := s.segments.acquire(seg)
			if err != nil {
				t.Fatal(err)
			}
			return leave
		}
	}
	t.Fatal("no segment ", name)
	return nil
}

// DamageRows damages one row of each sub-block of metadata, whose checksums are made
// anew: its metadata, or how long it is. It returns how many cannot be read then. Nobody
// may have the store open.
func DamageRows(path string, number int, metadata bool) (lost int, err error) {
	err = eachDatabase(path, func(_ *segment, d *database) error {
		return d.Update(func(txn *dgraph.Txn) error {
			it := txn.NewIterator(dgraph.IteratorOptions{Prefix: []byte{blockPrefix}})
			defer it.Close()
			for it.Rewind(); it.Valid(); it.Next() {
				if _, _, kind, _ := parseKey(it.Item().Key()); kind != kindMetadata {
					continue
				}
				frame, err := it.Item().ValueCopy(nil)
				if err != nil {
					return err
				}
				raw, err := decoder().DecodeAll(frame, nil)
				if err != nil {
					return err
				}
				at, i := 0, 0
				for r := (rows{rest: raw}); len(r.rest) > 0; i++ {
					row, _, err := r.next()
					if err != nil {
						return err
					}
					if i < number {
						at = len(raw) - len(r.rest)
					} else if !metadata || i == number {
						lost++
					}
					if i == number && metadata {
						for j := range row.meta {
							row.meta[j] = 0xff
						}
					}
				}
				if i > number && !metadata {
					for j := range 10 { // more than a number can have
						raw[at+len(record.ID{})+j] = 0xff
					}
				}
				if err := txn.Set(it.Item().KeyCopy(nil), encoder().EncodeAll(raw, nil)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return lost, err
}
