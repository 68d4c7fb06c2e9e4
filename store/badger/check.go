package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	dgraph "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// suspicion is why a segment is not opened before another process has shown that
// it can be: a Badger that is damaged may delete its tables without a word, or
// panic where nobody can recover.
type suspicion struct{ why string }

func (s *suspicion) Error() string { return s.why }

func suspect(format string, args ...any) error { return &suspicion{fmt.Sprintf(format, args...)} }

// inspect returns a suspicion where the Badger in dir was not closed in order, or
// is not what it says itself. It reads what Badger reads when it opens the
// directory, changes nothing, and panics for nothing.
func inspect(dir string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = suspect("looking at it went wrong: %v", r)
		}
	}()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	there := make(map[string]bool)
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case logExt:
			info, err := e.Info()
			if err != nil {
				return err
			}
			if info.Size() > 0 {
				return suspect("it was not closed in order")
			}
		case tableExt:
			there[e.Name()] = true
		}
		if e.Name() == keptDir || e.Name() == doneDir {
			return suspect("an earlier attempt to open it was cut off")
		}
	}
	tables, err := readTables(dir)
	if errors.Is(err, os.ErrNotExist) {
		if len(there) == 0 {
			return nil // nothing was in it yet
		}
		return damaged(fmt.Errorf("it has tables and no %s, and Badger would delete them", dgraph.ManifestFilename))
	}
	if err != nil {
		return err
	}
	for name := range there {
		if !tables[name] {
			return suspect("its %s does not name table %s", dgraph.ManifestFilename, name)
		}
	}
	for name := range tables {
		if !there[name] {
			return suspect("table %s is missing", name)
		}
		if err := inspectTable(filepath.Join(dir, name)); err != nil {
			return suspect("table %s: %v", name, err)
		}
	}
	return nil
}

// The endings of Badger's tables, write-ahead logs and value logs.
const (
	tableExt = ".sst"
	logExt   = ".mem"
	valueExt = ".vlog"
)

// readTables returns the names of the tables that Badger's own manifest has.
func readTables(dir string) (map[string]bool, error) {
	f, err := os.Open(filepath.Join(dir, dgraph.ManifestFilename))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, end, err := dgraph.ReplayManifestFile(f, 0, databaseOptions(dir, nil))
	if err != nil {
		return nil, suspect("its %s: %v", dgraph.ManifestFilename, err)
	}
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if info.Size() != end {
		return nil, suspect("its %s is cut off", dgraph.ManifestFilename)
	}
	names := make(map[string]bool, len(m.Tables))
	for id := range m.Tables {
		names[fmt.Sprintf("%06d%s", id, tableExt)] = true
	}
	return names, nil
}

// inspectTable reads of a table what is read when it is opened: its end, which is
// an index with a checksum, and the last block.
func inspectTable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	left := info.Size()
	cut := func(n int64) ([]byte, error) { // off the end of what is left
		if n < 0 || n > left {
			return nil, errors.New("it is cut off, or its end is damaged")
		}
		left -= n
		data := make([]byte, n)
		_, err := f.ReadAt(data, left)
		return data, err
	}
	sized := func() ([]byte, error) { // and their length behind them
		size, err := cut(4)
		if err != nil {
			return nil, err
		}
		return cut(int64(binary.BigEndian.Uint32(size)))
	}
	sum, err := sized()
	if err != nil {
		return err
	}
	index, err := sized()
	if err != nil {
		return err
	}
	if err := checkSum(index, sum); err != nil {
		return err
	}
	root := fb.GetRootAsTableIndex(index, 0)
	var last fb.BlockOffset
	if n := root.OffsetsLength(); n == 0 || !root.Offsets(&last, n-1) {
		return errors.New("its index is empty")
	}
	block := make([]byte, last.Len())
	if _, err := f.ReadAt(block, int64(last.Offset())); err != nil && err != io.EOF {
		return err
	}
	end := len(block) - 4 - int(binary.BigEndian.Uint32(block[len(block)-4:]))
	return checkSum(block[:end], block[end:len(block)-4])
}

func checkSum(data, sum []byte) error {
	want := new(pb.Checksum)
	if err := proto.Unmarshal(sum, want); err != nil {
		return err
	}
	return y.VerifyChecksum(data, want)
}

// isSuspicion reports whether err is one.
func isSuspicion(err error) bool {
	var s *suspicion
	return errors.As(err, &s)
}
