package badger

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	dgraph "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/ristretto/v2/z"
	"google.golang.org/protobuf/proto"

	"github.com/auditgate/auditgate/store/disk"
)

// mendManifest makes Badger's MANIFEST anew where it cannot be read and all tables are
// sound. It says which tables there are and on which level; all that are there may be:
// keys are never deleted, and those that are written twice have the same values. The
// error is why it cannot be made anew, and nothing was changed then.
func mendManifest(dir string) (mended bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = damaged(fmt.Errorf("looking at its tables went wrong: %v", r))
		}
	}()
	if _, err := readTables(dir); err == nil || !isSuspicion(err) && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*"+tableExt))
	if err != nil || len(paths) == 0 {
		return false, err // it stands in its write-ahead log, if anything does
	}
	var tables []*tableRange
	for _, path := range paths {
		t, err := rangeOf(path)
		if err != nil {
			return false, damaged(fmt.Errorf("table %s: %w", filepath.Base(path), err))
		}
		tables = append(tables, t)
	}
	set := new(pb.ManifestChangeSet)
	for level, tables := range levels(tables) {
		for _, t := range tables {
			set.Changes = append(set.Changes, &pb.ManifestChange{
				Id: t.id, Op: pb.ManifestChange_CREATE, Level: uint32(level), Compression: uint32(options.None),
			})
		}
	}
	changes, err := proto.Marshal(set)
	if err != nil {
		return false, err
	}
	// The format of Badger's manifests, version 8: a magic number, and sets of changes,
	// each with its length and checksum.
	data := binary.BigEndian.AppendUint16(append([]byte("Bdgr"), 0, 0), 8)
	data = binary.BigEndian.AppendUint32(data, uint32(len(changes)))
	data = binary.BigEndian.AppendUint32(data, crc32.Checksum(changes, castagnoli))
	return true, disk.Replace(filepath.Join(dir, dgraph.ManifestFilename), append(data, changes...))
}

// tableRange is the keys from and to which a table has some.
type tableRange struct {
	id                uint64
	smallest, biggest []byte
}

// rangeOf reads the range of a table that looks sound.
func rangeOf(path string) (*tableRange, error) {
	if err := inspectTable(path); err != nil {
		return nil, err
	}
	f, err := z.OpenMmapFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	t, err := table.OpenTable(f, table.Options{ReadOnly: true, BlockSize: tableBlock})
	if err != nil {
		return nil, err
	}
	r := &tableRange{t.ID(), bytes.Clone(t.Smallest()), bytes.Clone(t.Biggest())}
	return r, t.Close(-1)
}

// levels shares out tables to Badger's levels. On the first they may overlap, and those
// that were not merged yet do, since each has directories and blocks; on each of the
// others no two do.
func levels(tables []*tableRange) [][]*tableRange {
	levels := make([][]*tableRange, dgraph.DefaultOptions("").MaxLevels)
	slices.SortFunc(tables, func(a, b *tableRange) int {
		return cmp.Or(bytes.Compare(a.smallest, b.smallest), cmp.Compare(a.id, b.id))
	})
	for _, t := range tables {
		to := 0
		if t.smallest[0] == t.biggest[0] {
			for to = len(levels) - 1; to > 0; to-- {
				if n := len(levels[to]); n == 0 || bytes.Compare(levels[to][n-1].biggest, t.smallest) < 0 {
					break
				}
			}
		}
		levels[to] = append(levels[to], t)
	}
	return levels
}
