package auditapi_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// memory is a store for what a real one does seldom: it breaks off, runs out of
// its budget, or waits.
type memory struct {
	mu      sync.Mutex // guards records
	records []*record.Record

	fail    error                      // of every call
	failAt  func(*record.Record) error // of a scan, before it yields the record
	budget  int                        // records that one scan looks at; 0: all
	entered chan struct{}              // a scan says that it has begun
	release chan struct{}              // and waits for this
}

func (m *memory) put(records ...*record.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range records {
		c := *r
		c.Timestamp = c.EventID.Time()
		c.Sequence = uint64(len(m.records) + 1)
		m.records = append(m.records, &c)
	}
}

func (m *memory) snapshot() []*record.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Clone(m.records)
	slices.SortFunc(all, func(a, b *record.Record) int { return b.EventID.Compare(a.EventID) })
	return all
}

func (m *memory) Scan(ctx context.Context, q *record.Query) iter.Seq2[*record.Record, error] {
	return func(yield func(*record.Record, error) bool) {
		if m.entered != nil {
			m.entered <- struct{}{}
			<-m.release
		}
		looked := 0
		for _, r := range m.snapshot() {
			if upper, ok := q.Upper(); ok && r.EventID.Compare(upper) >= 0 {
				continue
			}
			if m.budget > 0 && looked == m.budget {
				// A scan may stop between two records: at the ID after this one.
				yield(nil, &store.InterruptedError{At: after(r.EventID)})
				return
			}
			looked++
			if err := errors.Join(m.fail, ctx.Err()); err != nil {
				yield(nil, err)
				return
			}
			if m.failAt != nil {
				if err := m.failAt(r); err != nil {
					yield(nil, err)
					return
				}
			}
			if !q.Match(r) || !q.MatchWords(r) {
				continue
			}
			c := *r
			if !q.Bodies {
				c.RequestBody.Content, c.ResponseBody.Content = nil, nil
			}
			if !yield(&c, nil) {
				return
			}
		}
	}
}

func (m *memory) Summarize(ctx context.Context, q *record.Query, t *store.Tally) error {
	for r, err := range m.Scan(ctx, q) {
		if err != nil {
			return err
		}
		t.Add(r)
	}
	return nil
}

func after(id record.ID) record.ID {
	for i := len(id) - 1; ; i-- {
		if id[i]++; id[i] != 0 {
			return id
		}
	}
}

func (m *memory) Get(_ context.Context, id record.ID) (*record.Record, error) {
	if m.fail != nil {
		return nil, m.fail
	}
	for _, r := range m.snapshot() {
		if r.EventID == id {
			c := *r
			return &c, nil
		}
	}
	return nil, store.ErrNotFound
}

func (m *memory) Gaps(_ context.Context, from, to time.Time, limit int) ([]*record.Record, error) {
	if m.fail != nil {
		return nil, m.fail
	}
	var gaps []*record.Record
	for _, r := range slices.Backward(m.snapshot()) {
		if r.Outcome == record.OutcomeGap && (to.IsZero() || r.Timestamp.Before(to)) && !r.EndTime.Before(from) && len(gaps) < limit {
			gaps = append(gaps, r)
		}
	}
	return gaps, nil
}

func (m *memory) Sequence() uint64              { m.mu.Lock(); defer m.mu.Unlock(); return uint64(len(m.records)) }
func (m *memory) Health() error                 { return m.fail }
func (m *memory) Stats() store.Stats            { return store.Stats{} }
func (m *memory) SetRetention(store.Retention)  {}
func (m *memory) Close(context.Context) error   { return nil }
func (m *memory) Counter(string) *store.Counter { return nil }
func (m *memory) Add(r *record.Record, _ *store.Counter) (*store.Commit, error) {
	m.put(r)
	return nil, nil
}

func (m *memory) Receipt(_ context.Context, r *record.Record, _ *store.Counter) error {
	m.put(r)
	return nil
}
func (m *memory) Oldest(time.Time) {}

var _ store.Store = (*memory)(nil)
