package auditapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// The bounds of the intervals of a summary.
const (
	MinInterval = time.Second
	MaxInterval = 366 * day
)

// summary is an answer to GET /v1/{project}/summary.
type summary struct {
	Count     uint64     `json:"count"`
	Intervals []interval `json:"intervals"` // newest first
	// Older counts the records that are older than all of the intervals, of which
	// there are no more than [store.MaxIntervals].
	Older  uint64                  `json:"older,omitempty"`
	Facets map[store.Facet][]value `json:"facets"`
	// Others counts, for each facet, the records with a value that is not told.
	Others map[store.Facet]uint64 `json:"others"`
	// CountedFrom is set where the budget ran out: nothing before it is counted.
	// The same question with it as `to` counts the rest, without counting twice.
	CountedFrom time.Time        `json:"counted_from,omitzero"`
	Complete    bool             `json:"complete"`
	Gaps        []*record.Record `json:"gaps"`
}

// interval counts the calls that began in one interval.
type interval struct {
	Start  time.Time `json:"start"`
	Count  uint64    `json:"count"`
	Failed uint64    `json:"failed"`
}

// value counts the records with one value of a facet.
type value struct {
	Value string `json:"value"`
	Count uint64 `json:"count"`
}

// summarize answers GET /v1/{project}/summary.
func (a *API) summarize(x *exchange) error {
	asked, scope, err := a.question(x, summaries)
	if err != nil {
		return err
	}
	if err := a.checkIntervals(asked); err != nil {
		return err
	}
	x.asked = a.redactQuery(asked.canonical)
	q, err := x.caller.narrow(asked.query, scope)
	if err != nil {
		return err
	}
	answer, err := a.count(x, &q, asked.by)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(answer); err != nil {
		return err
	}
	x.json(out.Bytes(), asked.pretty)
	return nil
}

// checkIntervals refuses a range with more intervals than are told. Where it has
// no beginning nothing is known of that.
func (a *API) checkIntervals(asked *question) error {
	from, to, width := asked.query.From, asked.query.To, asked.by.Interval
	if width == 0 || from.IsZero() {
		return nil
	}
	if to.IsZero() {
		to = a.config.Now()
	}
	// There are no records from before 1970.
	first, end := max(from.UnixMicro(), 0), max(to.UnixMicro(), 1)
	n := (end-1)/width.Microseconds() - first/width.Microseconds() + 1
	if n <= store.MaxIntervals {
		return nil
	}
	least := time.Duration((end-first)/(store.MaxIntervals-1)/1e6+1) * time.Second
	return parameterProblem([]parameterError{{"interval", fmt.Sprintf(
		"%s is too short: there are %d from %s to %s, want %d at most, which are %s each", duration(width), n,
		from.Format(time.RFC3339), to.UTC().Format(time.RFC3339), store.MaxIntervals, duration(least))}})
}

// count waits for its turn and counts the records of q.
func (a *API) count(x *exchange, q *record.Query, by store.Grouping) (*summary, error) {
	ctx := x.r.Context()
	turn, err := a.gate.enter(ctx, x.caller.key)
	if err != nil {
		return nil, err
	}
	defer turn.leave()
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	q.UpTo = max(s.Sequence(), 1) // as in a listing
	tally := store.NewTally(by)
	answer := &summary{Intervals: []interval{}, Facets: map[store.Facet][]value{}}
	if answer.CountedFrom, err = tallyUp(ctx, s, *q, tally); err != nil {
		return nil, fmt.Errorf("counting records: %w", err)
	}
	gaps, incomplete, err := visibleGaps(ctx, s, q) // after it: what was found missing meanwhile is one
	if err != nil {
		return nil, err
	}
	answer.Gaps, answer.Complete = gaps, !incomplete && answer.CountedFrom.IsZero()
	answer.tell(tally.Summary())
	return answer, nil
}

// tallyUp counts the records of q, and returns the time from which on they are
// counted where the budget ran out before its beginning.
func tallyUp(ctx context.Context, s store.Store, q record.Query, tally *store.Tally) (from time.Time, err error) {
	for {
		err = s.Summarize(ctx, &q, tally)
		var interrupted *store.InterruptedError
		if !errors.As(err, &interrupted) {
			return from, err
		}
		// The caller goes on with a time, so what is left of this moment, a
		// microsecond, is counted as well.
		if at := interrupted.At.Time(); at.After(q.From) {
			q.From, from = at, at
		}
		q.Before = interrupted.At
	}
}

// tell takes over what was counted.
func (a *summary) tell(counted *store.Summary) {
	a.Count, a.Older, a.Others = counted.Count, counted.Older, counted.Others
	for _, t := range counted.Times {
		a.Intervals = append(a.Intervals, interval{t.Start, t.Count, t.No})
	}
	for facet, values := range counted.Facets {
		list := make([]value, len(values))
		for i, v := range values {
			list[i] = value{v.Value, v.Count}
		}
		a.Facets[facet] = list
	}
}
