package badger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/auditgate/auditgate/record"
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
	// Healed are the gaps of segments that came back from quarantine whole and were
	// dropped after that, the oldest first. The slice is not changed, but replaced.
	Healed []record.ID `json:"healed,omitempty"`
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
	if reflect.DeepEqual(m.known, m.saved) {
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

func (m *memory) get() known {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known
}

// maxHealed bounds the gaps that are remembered as closed. Past it the oldest are told
// again.
const maxHealed = 1000

// drop notes that a segment up to the sequence last is dropped, and which gaps it has
// closed.
func (m *memory) drop(last uint64, healed []record.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known.Sequence = max(m.known.Sequence, last)
	if len(healed) > 0 {
		all := slices.Concat(m.known.Healed, healed)
		slices.SortFunc(all, record.ID.Compare)
		all = slices.Compact(all)
		m.known.Healed = all[max(0, len(all)-maxHealed):]
	}
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
