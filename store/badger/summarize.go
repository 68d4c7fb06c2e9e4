package badger

import (
	"context"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// Summarize implements [store.Store].
func (s *Store) Summarize(ctx context.Context, q *record.Query, t *store.Tally) error {
	all := *q
	all.Bodies = false
	for r, err := range s.Scan(ctx, &all) {
		if err != nil {
			return err
		}
		t.Add(r)
	}
	return nil
}
