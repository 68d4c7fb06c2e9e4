package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// reserve is how many bytes must be free before Badger is allowed to write: it
// writes through sparse mapped files, where a full disk is no error but a
// SIGBUS that ends the process. What it can write before it is asked again are
// its memory tables, each once as a log and once as a table, and a compaction.
const reserve = (memTables+1)*memTable*2 + 64<<20

// errNoRoom says that the disk has less than reserve.
var errNoRoom = errors.New("too little room on the disk")

// volume is what an unprivileged process may fill of a file system, in bytes: as
// df says it.
type volume struct{ total, free int64 }

func (v volume) percent() float64 {
	if v.total <= 0 {
		return 0
	}
	return 100 * float64(v.total-v.free) / float64(v.total)
}

// volumeOf looks at the volume of path.
func volumeOf(path string) (volume, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return volume{}, fmt.Errorf("looking at free space: %w", err)
	}
	used := int64(st.Blocks) - int64(st.Bfree)
	return volume{(used + int64(st.Bavail)) * int64(st.Bsize), int64(st.Bavail) * int64(st.Bsize)}, nil
}

// room returns nil if Badger may write below path.
func room(path string) error {
	v, err := volumeOf(path)
	if err != nil {
		return err
	}
	if v.free < reserve {
		return fmt.Errorf("%w: %s are free, %s must be", errNoRoom, humanize.IBytes(uint64(v.free)), humanize.IBytes(reserve))
	}
	return nil
}

// diskUsage returns how many bytes of disk the files below dir take. Sparse
// files count as what is in them.
func diskUsage(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil // Badger removes files meanwhile
		}
		total += st.Blocks * 512
		return err
	})
	return total, err
}
