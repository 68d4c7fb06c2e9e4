package storetest

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// forget takes out of the twin what the store has dropped, which must be old enough,
// and into it what that says of it.
func (m *model) forget() {
	m.t.Helper()
	there := map[record.ID]bool{}
	for _, r := range List(m.t, m.s, record.Query{Scope: Everything, Bodies: true}) {
		there[r.EventID] = true
		if r.Source == record.Self && r.Action == "retention.drop" {
			m.calls[r.EventID] = r
		}
	}
	for id, r := range m.calls {
		if there[id] {
			continue
		}
		class, err := record.ClassOf(r.AppendMeta(nil))
		if err != nil {
			m.t.Fatal(err)
		}
		if keep := m.keep.Of(class); keep == 0 || time.Since(id.Time()) < keep {
			m.t.Errorf("record %s of %v is gone, and is to be kept for %v", id, id.Time(), keep)
		}
		m.dropped[id] = true
		delete(m.calls, id)
	}
}

// split returns what is no gap, and how many calls are in those that are.
func split(all []*record.Record) (calls []*record.Record, lost uint64) {
	for _, r := range all {
		if r.Gap == nil {
			calls = append(calls, r)
		} else {
			lost += r.Gap.Count
		}
	}
	return calls, lost
}

// checkGaps reads everything, and checks how many calls are in gaps: all that were
// lost, where the store has just been opened.
func (m *model) checkGaps(all bool) []*record.Record {
	m.t.Helper()
	calls, lost := split(Verify(m.t, m.s))
	if lost > m.lost || all && lost != m.lost {
		m.t.Errorf("%d calls are in gaps, %d were lost", lost, m.lost)
	}
	return calls
}

// check compares everything.
func (m *model) check() {
	got := m.checkGaps(false)
	if diff := cmp.Diff(m.find(&record.Query{Scope: Everything}), idsOf(got), equalRecords); diff != "" {
		m.t.Errorf("the twin (-) has others than the store (+):\n%s", diff)
		return
	}
	for _, r := range got {
		if diff := Diff(m.calls[r.EventID], r); diff != "" {
			m.t.Errorf("record %s is another in the twin (-) than in the store (+):\n%s", r.EventID, diff)
		}
	}
}

// find returns the ids of what the twin has for q, newest first.
func (m *model) find(q *record.Query) []record.ID {
	var found []*record.Record
	for _, r := range m.calls {
		if q.Match(r) && q.MatchWords(r) {
			found = append(found, r)
		}
	}
	return newestFirst(found)
}

// some returns a random call of the twin, nil where there is none.
func (m *model) some() *record.Record {
	if len(m.calls) == 0 {
		return nil
	}
	all := m.find(&record.Query{Scope: Everything})
	return m.calls[all[m.rng.IntN(len(all))]]
}

// ask returns a random query that a random call answers, but for UpTo.
func (m *model) ask() (q record.Query, name string) {
	q = record.Query{Scope: Everything, Bodies: m.rng.IntN(4) == 0}
	r := m.some()
	for n := m.rng.IntN(4); n > 0 && r != nil; n-- {
		c := conditions[m.rng.IntN(len(conditions))]
		c.narrow(&q, m.rng, r)
		name += c.name + ", "
	}
	q.UpTo = 0
	return q, name
}

func (m *model) query() {
	q, name := m.ask()
	want := m.find(&q)
	got, _ := split(List(m.t, m.s, q))
	if diff := cmp.Diff(want, idsOf(got), equalRecords); diff != "" {
		m.t.Errorf("%squery %+v: the twin (-) has others than the store (+):\n%s", name, q, diff)
	}
	for _, r := range got {
		want := *m.calls[r.EventID]
		if !q.Bodies {
			want.RequestBody.Content, want.ResponseBody.Content = nil, nil
		}
		if diff := Diff(&want, r); diff != "" {
			m.t.Errorf("%squery %+v: record %s (-twin +store):\n%s", name, q, r.EventID, diff)
		}
	}
}

func (m *model) summarize() {
	q, name := m.ask()
	q.UpTo = max(1, m.s.Sequence()) // a gap may come any time
	by := store.Grouping{Interval: time.Hour, Facets: store.Facets, Top: 1 + m.rng.IntN(20)}
	want := store.NewTally(by)
	for _, r := range List(m.t, m.s, q) {
		want.Add(r)
	}
	if diff := cmp.Diff(want.Summary(), summary(m.t, m.s, q, by)); diff != "" {
		m.t.Errorf("%squery %+v: what is listed (-) is summarized otherwise (+):\n%s", name, q, diff)
	}
}

func (m *model) get() {
	if r := m.some(); r != nil {
		finds(m.t, m.s, r)
	}
	if r, err := m.s.Get(m.t.Context(), record.NewID()); err == nil {
		m.t.Errorf("%s is found, and nobody has added it", r.EventID)
	}
}

// snapshot pins a listing, or reads one again that was pinned some time ago.
func (m *model) snapshot() {
	if len(m.pins) < 5 || m.rng.IntN(4) == 0 {
		p := pin{sequence: m.s.Sequence()}
		if p.sequence == 0 {
			return
		}
		p.ids = idsOf(List(m.t, m.s, record.Query{Scope: Everything, UpTo: p.sequence}))
		m.pins = append(m.pins[len(m.pins)/5:], p)
		return
	}
	p := m.pins[m.rng.IntN(len(m.pins))]
	got := idsOf(List(m.t, m.s, record.Query{Scope: Everything, UpTo: p.sequence}))
	p.ids = slices.DeleteFunc(slices.Clone(p.ids), func(id record.ID) bool { return m.dropped[id] })
	got = slices.DeleteFunc(got, func(id record.ID) bool { // entries that came before the next record did
		at, stream := m.announced[id]
		return stream && at == p.sequence && !slices.Contains(p.ids, id)
	})
	if diff := cmp.Diff(p.ids, got, equalRecords); diff != "" {
		m.t.Errorf("the listing pinned at %d (-) has become (+):\n%s", p.sequence, diff)
	}
}

// Patience returns a context that ends when it has been asked n times whether it
// has.
func Patience(ctx context.Context, n int64) context.Context {
	p := &patience{Context: ctx}
	p.left.Store(n)
	return p
}

type patience struct {
	context.Context
	left atomic.Int64
}

func (p *patience) Err() error {
	if p.left.Add(-1) < 0 {
		return context.Canceled
	}
	return p.Context.Err()
}
