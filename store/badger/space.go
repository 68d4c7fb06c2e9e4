package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/auditgate/auditgate/store/disk"
)

// reserve is how many bytes must be free before Badger is allowed to write: it
// writes through sparse mapped files, where a full disk is no error but a
// SIGBUS that ends the process. What it can write before it is asked again are
// its memory tables, each once as a log and once as a table, and a compaction.
const reserve = (memTables+1)*memTable*2 + 64<<20

// errNoRoom says that the disk has less than reserve.
var errNoRoom = errors.New("too little room on the disk")

// room returns nil if Badger may write below path.
func room(path string) error {
	v, err := disk.VolumeOf(path)
	if err != nil {
		return err
	}
	if v.Free < reserve {
		return fmt.Errorf("%w: %s are free, %s must be", errNoRoom, humanize.IBytes(uint64(v.Free)), humanize.IBytes(reserve))
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
