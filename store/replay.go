package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auditgate/auditgate/store/disk"
)

// replay is what the files of earlier runs hold, read when a journal is opened.
//
// A file ends with its last good frame. What stands behind that was never
// acknowledged, or it is missing in the sequence: every hole there is damage,
// and nothing else is, since files are dropped oldest first, and say what was skipped
// before them. A file that stands was perhaps kept elsewhere, and perhaps half of it:
// what is missing in it is told of once too often rather than never.
type replay struct {
	log   func(string, error)
	keys  *Keyring
	cache *frameCache

	files   []*file   // those that could be read, oldest first
	damaged []string  // paths of those that could not
	number  uint64    // the greatest of any file
	after   uint64    // sequences up to this one may be kept elsewhere
	dropped uint64    // and those up to this one were in files that are gone; see droppedName
	since   time.Time // what is not kept elsewhere is later; zero: unknown
	last    uint64    // sequence of the newest row
	skipped uint64    // how many up to last the journal never had; see header
	before  time.Time // when that was written
	holes   []hole
	settled map[string]map[string]uint64 // by boot and source
	written map[string]time.Time         // when each boot wrote its last records

	buf, raw []byte
}

// hole is sequences that are missing, from first to last, the stretch in which they
// were committed, and the run that wrote what stands behind them.
type hole struct {
	first, last uint64
	start, end  time.Time
	boot        string
}

// replayFiles reads all journal files in dir.
func replayFiles(dir string, after uint64, since time.Time, keys *Keyring, log func(string, error)) (*replay, error) {
	r := &replay{
		log: log, keys: keys, cache: newFrameCache(), after: after, dropped: dropped(dir), since: since,
		settled: map[string]map[string]uint64{}, written: map[string]time.Time{},
	}
	entries, err := disk.ReadDir(dir)
	if err != nil {
		return r, err
	}
	for _, e := range entries { // by name, so by number
		name, ok := strings.CutSuffix(e.Name(), fileSuffix)
		number, err := strconv.ParseUint(name, 10, 64)
		if !ok || err != nil {
			continue
		}
		r.number = max(r.number, number)
		path := filepath.Join(dir, e.Name())
		f, err := openFile(path, number, r.keys)
		switch {
		case err == nil:
			f.cache = r.cache
			r.files = append(r.files, f)
		case errors.Is(err, errUnborn): // a start was cut off
			err = disk.Remove(path)
		case errors.Is(err, errFormat):
			r.log("journal file cannot be read", fmt.Errorf("%w: %s: %w", ErrCorrupt, path, err))
			r.damaged, err = append(r.damaged, path), nil
		}
		if err != nil {
			return r, err
		}
	}
	for i, f := range r.files {
		if i == 0 { // where files before it are missing that were not dropped, it shows
			r.last = min(f.first-1, r.dropped)
		}
		r.expect(f.first-f.skipped, f.begun, f.boot)
		if f.first > r.last+1 {
			r.last, r.skipped = f.first-1, f.skipped
		}
		if i == 0 && len(r.holes) > 0 {
			r.holes[0].start = r.lostSince(f.begun)
		}
		end := uint64(math.MaxUint64)
		if i+1 < len(r.files) {
			end = r.files[i+1].first // that file has it again, and there it was acknowledged
		}
		if err := r.read(f, end); err != nil {
			return r, fmt.Errorf("reading %s: %w", f.path, err)
		}
	}
	r.buf, r.raw = nil, nil
	return r, nil
}

// close closes the files, where they are not to be used.
func (r *replay) close() {
	for _, f := range r.files {
		f.f.Close()
	}
}

// stretch returns where a stretch begins that ends at end: when the last records
// were written, or else when the oldest file was begun.
func (r *replay) stretch(end time.Time) time.Time {
	switch {
	case !r.before.IsZero():
		return r.before
	case len(r.files) > 0:
		return r.files[0].begun
	}
	return r.lostSince(end)
}

// lostSince returns where a stretch begins that ends at end, of files that are lost.
func (r *replay) lostSince(end time.Time) time.Time {
	if r.since.IsZero() || r.since.After(end) {
		return end
	}
	return r.since
}

// expect notes a hole where the record after the last one is not that of
// sequence, which boot wrote at now.
func (r *replay) expect(sequence uint64, now time.Time, boot string) {
	h := hole{r.last + 1, sequence - 1, r.stretch(now), now, boot}
	if h.first > h.last {
		return
	}
	r.last, r.skipped = h.last, 0
	r.holes = append(r.holes, h)
	r.log("records are missing from the journal", fmt.Errorf("%w: sequences %d to %d", ErrCorrupt, h.first, h.last))
}

// read reads all good frames of f up to the sequence end.
func (r *replay) read(f *file, end uint64) error {
	size, err := f.f.Size()
	if err != nil {
		return err
	}
	var rows []Row
	var bad int64 // where damaged bytes began; 0 for nowhere
	f.end, f.last = firstFrame, f.first-1
	for at := int64(firstFrame); at >= 0 && at+frameHead <= size; {
		h, settled, raw, err := r.frame(f, at, size)
		if err != nil {
			if bad == 0 {
				bad = at
			}
			at = r.search(f, at+1)
			continue
		}
		if bad != 0 {
			r.log("skipping damaged bytes of the journal", fmt.Errorf("%w: %s, bytes %d to %d", ErrCorrupt, f.path, bad, at-1))
			bad = 0
		}
		where := &frame{f, at, int(h.size())}
		more, moreGaps, next := where.rows(rows, f.gaps, h.first, raw)
		if next > end { // not acknowledged, and written again
			break
		}
		at += h.size()
		f.end = at
		r.settle(f.boot, settled)
		if h.records == 0 {
			if r.written[f.boot].IsZero() { // what was written before is packed
				r.written[f.boot] = h.written
			}
			continue
		}
		r.expect(h.first, h.written, f.boot)
		rows, f.gaps = more, moreGaps
		f.last = max(f.last, next-1)
		r.last, r.skipped = max(r.last, next-1), 0
		r.before, r.written[f.boot] = h.written, h.written
	}
	if len(rows) > 0 {
		slices.SortFunc(rows, compareRows)
		f.runs = [][]Row{rows}
	}
	return nil
}

// frame reads the frame of f that stands at at.
func (r *replay) frame(f *file, at, size int64) (h frameHeader, settled, raw []byte, err error) {
	var head [frameHead]byte
	if _, err := f.readAt(head[:], at); err != nil {
		return h, nil, nil, err
	}
	if !h.parse(head[:], f.mark, f.sealer != nil) || h.size() > size-at || h.first < f.first {
		return h, nil, nil, errFormat
	}
	r.buf = slices.Grow(r.buf[:0], int(h.size()))[:h.size()]
	if _, err := f.readAt(r.buf, at); err != nil {
		return h, nil, nil, err
	}
	if h, settled, raw, err = openFrame(r.buf, f.mark, f.sealer, r.raw); raw != nil {
		r.raw = raw
	}
	return h, settled, raw, err
}

// readAt is tryRead for the start: where the disk never answers, the file is unread.
// It may be readable elsewhere.
func (f *file) readAt(p []byte, at int64) (n int, err error) {
	if n, err = f.tryRead(p, at); err != nil && err != io.EOF {
		f.unread = true
	}
	return n, err
}

// tryRead reads as the file's ReadAt, and again where the disk fails once.
func (f *file) tryRead(p []byte, at int64) (n int, err error) {
	for range readTries {
		if n, err = f.f.ReadAt(p, at); err == nil || err == io.EOF || errors.Is(err, os.ErrClosed) {
			return n, err
		}
	}
	return n, err
}

const readTries = 3

// search returns where the file's mark stands next, from at on; -1 for nowhere.
func (r *replay) search(f *file, at int64) int64 {
	r.buf = slices.Grow(r.buf[:0], 256<<10)
	buf := r.buf[:256<<10]
	for {
		n, err := f.readAt(buf, at)
		if i := bytes.Index(buf[:n], f.mark[:]); i >= 0 {
			return at + int64(i)
		}
		if err != nil {
			if err != io.EOF {
				r.log("skipping the unreadable rest of a journal file", fmt.Errorf("%w: %w", ErrCorrupt, err))
			}
			return -1
		}
		at += int64(n - len(f.mark) + 1)
	}
}

// settle takes over the counts of a frame, which only ever grow.
func (r *replay) settle(boot string, settled []byte) {
	counts := r.settled[boot]
	if counts == nil {
		counts = map[string]uint64{}
		r.settled[boot] = counts
	}
	_ = eachSettled(settled, func(source string, count uint64) {
		counts[source] = max(counts[source], count)
	})
}

// checkKeys refuses, with an error that wraps ErrKey, journal files in dir that none of
// the keys opens. It looks at headers alone, and changes nothing.
func checkKeys(dir string, keys *Keyring) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+fileSuffix))
	if err != nil {
		return err
	}
	for _, path := range paths {
		f, err := openFile(path, 0, keys)
		if err == nil {
			err = f.f.Close()
		}
		if errors.Is(err, ErrKey) {
			return err
		}
	}
	return nil // what else is wrong is found when they are read
}

// openFile opens a file of an earlier run. An error wraps errFormat where the
// file could be read and is none.
func openFile(path string, number uint64, keys *Keyring) (_ *file, err error) {
	f := &file{number: number, path: path}
	if f.f, err = disk.OpenFile(path, os.O_RDWR); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.f.Close()
		}
	}()
	head := make([]byte, firstFrame)
	n, err := f.readAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if isZero(head[:n]) {
		return nil, errUnborn
	}
	if err := f.header.parse(head[:n]); err != nil {
		return nil, err
	}
	f.sealer = f.header.sealer(keys)
	return f, keys.Check(f.header.key, path)
}
