package disk

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Map is the beginning of a file in memory: what is stored there stands in the file,
// whatever becomes of the process.
type Map struct {
	Bytes []byte
	path  string
}

// Map maps the first size bytes of the file, which must be there.
func (f *File) Map(size int) (*Map, error) {
	if err := ask("map", f.f.Name()); err != nil {
		return nil, err
	}
	data, err := unix.Mmap(f.Fd(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: %w", f.f.Name(), err)
	}
	return &Map{data, f.f.Name()}, nil
}

// Sync waits until what was stored is on stable storage.
func (m *Map) Sync() error {
	if err := ask("msync", m.path); err != nil {
		return err
	}
	return unix.Msync(m.Bytes, unix.MS_SYNC)
}

// Unmap ends the mapping of bytes that Map returned. Nobody may use them after that.
func Unmap(data []byte) { _ = unix.Munmap(data) }
