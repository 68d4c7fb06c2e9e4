package store

import (
	"bytes"
	"encoding/binary"
	"io"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

// Snapshot is all that a journal had committed at one moment: files that can be copied
// while the journal goes on, and that a journal can be opened with.
type Snapshot struct {
	// Sequence is that of the newest record in it, and First that of the oldest which its
	// files may have: one more where they have none.
	First, Sequence uint64
	// Node and Boot wrote it.
	Node, Boot string
	// Taken is when.
	Taken time.Time

	files []snapshotFile
}

type snapshotFile struct {
	file *file
	end  int64
}

// Snapshot returns what is committed now. Its files can be read until the journal is
// closed, also those that are dropped meanwhile: their room is free when the snapshot is.
func (j *Journal) Snapshot() *Snapshot {
	s := j.tail.snapshot()
	s.Taken = j.committer.now()
	return s
}

func (t *tail) snapshot() *Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &Snapshot{Sequence: t.sequence.Load(), Node: t.active.node, Boot: t.active.boot}
	for _, sealed := range t.sealed {
		s.files = append(s.files, snapshotFile{sealed.file, sealed.file.end})
	}
	if t.active.hasRows() || t.active.skipped > 0 {
		s.files = append(s.files, snapshotFile{t.active, t.end})
	}
	s.First = s.Sequence + 1
	if len(s.files) > 0 {
		s.First = s.files[0].file.first
	}
	return s
}

// Each calls do with each file of the snapshot: its name, its size, and its content as
// it was when the snapshot was taken.
func (s *Snapshot) Each(do func(name string, size int64, content io.Reader) error) error {
	for _, f := range s.files {
		if err := do(filepath.Base(f.file.path), f.end, io.NewSectionReader(f.file.f, 0, f.end)); err != nil {
			return err
		}
	}
	return do(callsName, callsSize, bytes.NewReader(s.calls()))
}

// calls is a calls file of a run that was closed then: what was in flight is in the gap
// that a restored journal begins with.
func (s *Snapshot) calls() []byte {
	boot, _ := uuid.Parse(s.Boot)
	data := newCalls(boot, s.Taken, s.Sequence)
	binary.NativeEndian.PutUint32(data[52:], 1)
	return data
}
