package storetest

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// Kill ends the store in dir as the death of its process would, and returns the
// directory in which what that left is to be opened.
type Kill func(t *testing.T, s store.Store, dir string) string

// Model lets stores live, one after the other, until it is time to end. In each
// life random things happen to the store and to a twin in memory, and what the
// store says is compared with the twin. The seed makes the same things happen,
// but for what depends on time.
//
// open opens stores with the retention given; one that has a method Sweep(ctx) error,
// which drops what is old, is told to now and then.
func Model(t *testing.T, open Open, kill Kill, keep store.Retention, seed uint64, until time.Time) {
	t.Helper()
	lives, steps, dropped := 0, 0, 0
	for ; (time.Now().Before(until) || lives == 0) && !t.Failed(); lives++ {
		rng := rand.New(rand.NewPCG(seed, uint64(lives)))
		m := &model{
			t: t, open: open, kill: kill, keep: keep, rng: rng, maker: NewRecords(rng.Uint64()), dir: quickDir(t),
			calls: map[record.ID]*record.Record{}, announced: map[record.ID]uint64{}, dropped: map[record.ID]bool{},
		}
		m.s = open(t, m.dir)
		for n := 50 + rng.IntN(400); n > 0 && !t.Failed() && (steps < 20 || time.Now().Before(until)); n-- {
			m.step()
			steps++
		}
		m.reopen()
		Close(t, m.s)
		_ = os.RemoveAll(m.dir)
		dropped += len(m.dropped)
	}
	t.Logf("seed %d: %d lives of %d steps, %d records dropped", seed, lives, steps, dropped)
}

// quickDir returns a directory in memory, where there is one: the model is not about
// durability.
func quickDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "auditgate-model-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// model is a store and its twin.
type model struct {
	t     *testing.T
	open  Open
	kill  Kill
	keep  store.Retention
	rng   *rand.Rand
	maker *Records
	dir   string
	s     store.Store

	calls     map[record.ID]*record.Record // what is listed of each
	announced map[record.ID]uint64         // the newest sequence when its entry was added
	live      []*record.Record             // the records to be of calls with an entry
	silent    []*record.Record             // the same of calls without one
	lost      uint64                       // calls that are to be in gaps
	dropped   map[record.ID]bool
	pins      []pin
}

// pin is a listing as it was.
type pin struct {
	sequence uint64
	ids      []record.ID
}

func (m *model) step() {
	switch what := m.rng.IntN(100); {
	case what < 26:
		m.add()
	case what < 36:
		m.begin()
	case what < 46:
		m.end()
	case what < 50:
		m.breakOff()
	case what < 58:
		m.pack()
	case what < 61:
		m.reopen()
	case what < 63:
		m.die()
	case what < 65:
		m.sweep()
	case what < 76:
		m.query()
	case what < 82:
		m.summarize()
	case what < 90:
		m.get()
	case what < 96:
		m.snapshot()
	default:
		m.check()
	}
}

// next returns a record of a call that began now, or a while ago, or days ago.
func (m *model) next() *record.Record {
	ago := time.Duration(0)
	switch m.rng.IntN(20) {
	case 0, 1, 2, 3, 4, 5:
		ago = time.Duration(m.rng.Int64N(int64(time.Minute)))
	case 6:
		ago = time.Duration(m.rng.Int64N(int64(36 * time.Hour)))
	}
	r := m.maker.At(record.IDAt(time.Now().Add(-ago)))
	if m.rng.IntN(20) == 0 {
		r.Source = record.Self
	}
	return r
}

// put adds a record of a call that has begun, and says when it is stored.
func (m *model) put(r *record.Record) *store.Commit {
	m.t.Helper()
	c, err := m.s.Add(r, m.s.Counter(r.Source))
	if err != nil {
		m.t.Fatalf("adding record %s: %v", r.EventID, err)
	}
	return c
}

func (m *model) wait(c *store.Commit) {
	m.t.Helper()
	if err := c.Wait(m.t.Context()); err != nil {
		m.t.Fatalf("storing: %v", err)
	}
}

func (m *model) add() {
	var commits []*store.Commit
	for range 1 + m.rng.IntN(12) {
		r := m.next()
		m.s.Counter(r.Source).Begin()
		commits = append(commits, m.put(r))
		m.calls[r.EventID] = r
	}
	for _, c := range commits {
		m.wait(c)
	}
}

func (m *model) begin() {
	r := m.next()
	m.s.Counter(r.Source).Begin()
	if m.rng.IntN(4) == 0 {
		m.silent = append(m.silent, r)
		return
	}
	e := Entry(r)
	m.calls[r.EventID], m.announced[r.EventID] = e, m.s.Sequence()
	m.live = append(m.live, r)
	m.wait(m.put(e))
}

// take takes a random call off a list of those that go on.
func (m *model) take(list *[]*record.Record) *record.Record {
	if len(*list) == 0 {
		return nil
	}
	i := m.rng.IntN(len(*list))
	r := (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return r
}

func (m *model) end() {
	for _, list := range []*[]*record.Record{&m.live, &m.silent} {
		if r := m.take(list); r != nil {
			m.wait(m.put(r))
			m.calls[r.EventID] = r
		}
	}
}

// breakOff lets calls end that become no records.
func (m *model) breakOff() {
	switch m.rng.IntN(3) {
	case 0: // its entry is its record
		if r := m.take(&m.live); r != nil {
			m.s.Counter(r.Source).Abandon(r.EventID, "broken", r.Timestamp)
			m.calls[r.EventID] = unfinished(m.calls[r.EventID])
			m.settle(r.EventID)
		}
	case 1:
		if r := m.take(&m.silent); r != nil {
			m.s.Counter(r.Source).Abandon(r.EventID, "broken", r.Timestamp)
			m.lost++
		}
	case 2:
		if r := m.take(&m.silent); r != nil {
			m.s.Counter(r.Source).Forget()
		}
	}
}

// settle waits until the entry of id is a record.
func (m *model) settle(id record.ID) {
	m.t.Helper()
	for {
		r, err := m.s.Get(m.t.Context(), id)
		if err != nil {
			m.t.Fatalf("getting %s, which was announced: %v", id, err)
		}
		if r.Outcome != record.OutcomeInProgress {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// pack packs all, or breaks off after some steps.
func (m *model) pack() {
	p, ok := m.s.(packer)
	if !ok {
		return
	}
	ctx := m.t.Context()
	if m.rng.IntN(2) == 0 {
		ctx = Patience(ctx, m.rng.Int64N(40))
	}
	if err := p.Pack(ctx); err != nil && ctx.Err() == nil {
		m.t.Errorf("packing: %v", err)
	}
}

// over is the end of calls that go on, when the store or its process ends.
func (m *model) over() {
	for _, r := range m.live {
		m.calls[r.EventID] = unfinished(m.calls[r.EventID])
	}
	m.lost += uint64(len(m.silent))
	m.live, m.silent = nil, nil
}

func (m *model) reopen() {
	m.over()
	Close(m.t, m.s)
	m.s = m.open(m.t, m.dir)
	m.forget()
	m.checkGaps(true)
}

// die kills the store while records come.
func (m *model) die() {
	var coming []*record.Record
	for range m.rng.IntN(5) {
		r := m.next()
		m.s.Counter(r.Source).Begin()
		m.put(r)
		coming = append(coming, r)
	}
	m.dir = m.kill(m.t, m.s, m.dir)
	m.over()
	m.s = m.open(m.t, m.dir)
	for _, r := range coming {
		if _, err := m.s.Get(m.t.Context(), r.EventID); err == nil {
			m.calls[r.EventID] = r
		} else {
			m.lost++
		}
	}
	m.forget()
	m.checkGaps(true)
}

// sweep lets the store drop what is old, and sees to it that there is something.
func (m *model) sweep() {
	s, ok := m.s.(interface{ Sweep(context.Context) error })
	if !ok {
		return
	}
	if m.rng.IntN(2) == 0 {
		Pack(m.t, m.s) // so that the old ones are packed together
		for range 1 + m.rng.IntN(10) {
			r := m.maker.At(record.IDAt(time.Now().Add(-time.Duration(float64(72*time.Hour) * (1 + m.rng.Float64())))))
			m.s.Counter(r.Source).Begin()
			m.wait(m.put(r))
			m.calls[r.EventID] = r
		}
		Pack(m.t, m.s)
	}
	if err := s.Sweep(m.t.Context()); err != nil {
		m.t.Errorf("sweeping: %v", err)
	}
	m.forget()
}
