package disk

import "os"

// File is an open file.
type File struct{ f *os.File }

// OpenFile is os.OpenFile; a file that it makes is its owner's alone.
func OpenFile(path string, flag int) (*File, error) {
	op := "open"
	if flag&os.O_CREATE != 0 {
		op = "create"
	}
	if err := ask(op, path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return &File{f}, nil
}

// Name returns the path that the file was opened with.
func (f *File) Name() string { return f.f.Name() }

// Fd returns the descriptor of the file.
func (f *File) Fd() int { return int(f.f.Fd()) }

// Size returns how long the file is.
func (f *File) Size() (int64, error) {
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, at int64) (int, error) {
	if err := ask("read", f.f.Name()); err != nil {
		return 0, err
	}
	return f.f.ReadAt(p, at)
}

// WriteAt implements io.WriterAt.
func (f *File) WriteAt(p []byte, at int64) (int, error) {
	if err := ask("write", f.f.Name()); err != nil {
		n, _ := f.f.WriteAt(p[:len(p)/2], at)
		return n, err
	}
	return f.f.WriteAt(p, at)
}

// Truncate gives the file a length.
func (f *File) Truncate(size int64) error {
	if err := ask("truncate", f.f.Name()); err != nil {
		return err
	}
	return f.f.Truncate(size)
}

// Preallocate sets size bytes of disk aside for the file, so that a later write
// does not find the disk full and a sync has no new length to store.
func (f *File) Preallocate(size int64) error {
	if err := ask("preallocate", f.f.Name()); err != nil {
		return err
	}
	return preallocate(f.f, size)
}

// Sync waits until the file is on stable storage.
func (f *File) Sync() error {
	if err := ask("sync", f.f.Name()); err != nil {
		return err
	}
	return f.f.Sync()
}

// Datasync waits until what was written to the file is on stable storage.
func (f *File) Datasync() error {
	if err := ask("datasync", f.f.Name()); err != nil {
		return err
	}
	return datasync(f.f)
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }
