package disk

import "fmt"

// Volume is what an unprivileged process may fill of a file system, in bytes: as
// df says it.
type Volume struct{ Total, Free int64 }

// VolumeOf looks at the volume of path.
func VolumeOf(path string) (Volume, error) {
	err := ask("statfs", path)
	var v Volume
	if err == nil {
		v, err = statfs(path)
	}
	if err != nil {
		return Volume{}, fmt.Errorf("looking at free space: %w", err)
	}
	return v, nil
}

// Percent is how full the volume is, 0 where it has no size.
func (v Volume) Percent() float64 {
	if v.Total <= 0 {
		return 0
	}
	return 100 * float64(v.Total-v.Free) / float64(v.Total)
}
