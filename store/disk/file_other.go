//go:build !linux

package disk

import "os"

func preallocate(*os.File, int64) error { return nil }

func datasync(f *os.File) error { return f.Sync() }
