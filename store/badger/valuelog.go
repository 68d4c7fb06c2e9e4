package badger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/auditgate/auditgate/store/disk"
)

// Longer values stand in value logs of Badger's: files with a number for a name, a
// header, and entries with a checksum each, to which tables point by number and place.

// valueHeader is the length of the header: which of Badger's keys encrypts the file,
// and there are none; and twelve bytes for those.
const valueHeader = 20

// newestValueLog returns the highest number of a value log in dir, 0 where there is none.
func newestValueLog(dir string) (newest int, err error) {
	entries, err := disk.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), valueExt); ok {
			if n, err := strconv.Atoi(name); err == nil {
				newest = max(newest, n)
			}
		}
	}
	return newest, nil
}

// noteValueLogs notes in the manifest which value logs there are.
func (s *segment) noteValueLogs() error {
	newest, err := newestValueLog(s.dir)
	if err != nil {
		return err
	}
	return s.update(func(m *manifest) { m.ValueLog = max(m.ValueLog, newest) })
}

// reserveValueLogs keeps the number of the newest value log from being used again, where
// that file is missing: what points to it must not come to point to other values.
func (s *segment) reserveValueLogs(log func(string, error)) error {
	newest, err := newestValueLog(s.dir)
	last := s.bound.Load().ValueLog
	if err != nil || newest >= last {
		return err
	}
	path := valueLogPath(s.dir, last)
	log("bodies of segment "+s.name()+" are lost", fmt.Errorf("%w: its file %s is missing", errLost, filepath.Base(path)))
	return disk.Replace(path, make([]byte, valueHeader))
}

func valueLogPath(dir string, number int) string {
	return filepath.Join(dir, fmt.Sprintf("%06d%s", number, valueExt))
}

// endValueLogs puts an empty value log behind those that have something. Badger reads
// the newest when it opens, and cuts it off at the first entry that it does not
// believe: all behind a flipped byte would go.
func endValueLogs(dir string) error {
	newest, err := newestValueLog(dir)
	if err != nil || newest == 0 {
		return err
	}
	info, err := os.Stat(valueLogPath(dir, newest))
	if err != nil || info.Size() <= valueHeader {
		return err
	}
	return disk.Replace(valueLogPath(dir, newest+1), make([]byte, valueHeader))
}

// mendHeader makes the header of a value log what it was.
func mendHeader(path string) error {
	f, err := disk.OpenFile(path, os.O_RDWR)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, valueHeader), 0)
	return errors.Join(err, f.Sync(), f.Close())
}
