package badger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/auditgate/auditgate/store/disk"
)

// memory is what the store knows beyond its segments: the file retention.json.
type memory struct {
	path string

	mu    sync.Mutex // guards what follows, and the file
	known known
	saved known
}

// known is the content of the file.
type known struct {
	// Sequence is the highest that was in a segment that was dropped: numbers go
	// on behind it, also when all segments and the journal are gone.
	Sequence uint64 `json:"sequence"`
	Clock    clock  `json:"clock"`
}

// readMemory reads the file. One that cannot be read costs nothing that segments
// and journal do not say as well, unless they are gone too.
func readMemory(path string, log func(string, error)) (*memory, error) {
	m := &memory{path: path}
	data, err := disk.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &m.known); err != nil {
		log("what retention knew is made anew", damaged(fmt.Errorf("reading %s: %w", path, err)))
		m.known = known{}
	}
	m.saved = m.known
	return m, nil
}

// save writes the file where it says something else. The caller holds mu.
func (m *memory) save() error {
	if m.known == m.saved {
		return nil
	}
	data, err := json.Marshal(&m.known)
	if err != nil {
		return err
	}
	if err := disk.Replace(m.path, append(data, '\n')); err != nil {
		return fmt.Errorf("writing %s: %w", m.path, err)
	}
	m.saved = m.known
	return nil
}

// sequence is the highest that was dropped.
func (m *memory) sequence() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known.Sequence
}

// setSequence notes that segments up to n are dropped.
func (m *memory) setSequence(n uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known.Sequence = max(m.known.Sequence, n)
	return m.save()
}

// clock is the time as retention believes it. A clock that is wrong by a year must
// not cost a year of records, so one that has moved by more than a day since it was
// last seen, in either direction, is believed only after it has gone on from there
// for a day. Until then the earlier of the two times counts.
type clock struct {
	Believed time.Time `json:"believed"`
	Doubted  time.Time `json:"doubted,omitzero"` // what the clock said when it had moved
}

// patience is how far a clock may move at once, and how long it is watched if it
// has moved further.
const patience = 24 * time.Hour

// see notes what the clock says. jumped: it has moved otherwise than time has
// passed since it was seen the last time.
func (c *clock) see(now time.Time, jumped bool) {
	now = now.UTC().Round(0)
	switch {
	case now.Sub(c.Believed).Abs() <= patience:
		*c = clock{Believed: now}
	case c.Doubted.IsZero() || jumped || now.Before(c.Doubted):
		c.Doubted = now
	case now.Sub(c.Doubted) >= patience:
		*c = clock{Believed: now}
	}
}

// time is what records are measured by when the clock says now.
func (c *clock) time(now time.Time) time.Time {
	if c.Believed.Before(now) {
		return c.Believed
	}
	return now
}
