package store

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/auditgate/auditgate/store/disk"
)

// droppedName is a file beside those of the journal: the sequence up to which
// files were dropped, and their holes told of, as a decimal number: one less than that
// with which the next file begins. What is missing behind it was not dropped, but lost.
const droppedName = "dropped"

// noteDropped says that all up to the sequence last is about to be dropped, or told of.
func noteDropped(dir string, last uint64) error {
	return disk.Replace(filepath.Join(dir, droppedName), fmt.Appendf(nil, "%d\n", last))
}

// dropped returns what noteDropped has said last; the greatest number where that is
// not to be had.
func dropped(dir string) uint64 {
	data, err := disk.ReadFile(filepath.Join(dir, droppedName))
	if err != nil {
		return math.MaxUint64
	}
	last, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	if err != nil || !strings.HasSuffix(string(data), "\n") {
		return math.MaxUint64
	}
	return last
}
