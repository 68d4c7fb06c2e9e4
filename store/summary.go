package store

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/auditgate/auditgate/record"
)

// Facet is a field whose values a summary counts.
type Facet string

// The values of Facet.
const (
	FacetSource     Facet = "source"
	FacetProject    Facet = "project"
	FacetAction     Facet = "action"
	FacetMethod     Facet = "method"
	FacetStatus     Facet = "status"
	FacetSuccess    Facet = "success"
	FacetOutcome    Facet = "outcome"
	FacetUser       Facet = "user" // the name, else the e-mail address, else the id
	FacetUserIP     Facet = "user_ip"
	FacetObjectType Facet = "object_type"
)

// Facets are all of them.
var Facets = []Facet{
	FacetSource, FacetProject, FacetAction, FacetMethod, FacetStatus, FacetSuccess,
	FacetOutcome, FacetUser, FacetUserIP, FacetObjectType,
}

// The bounds of a summary.
const (
	// MaxIntervals is how many counts over time one summary has at most.
	MaxIntervals = 2000
	// MaxTop is how many values of one facet it tells at most.
	MaxTop = 100
	// maxValues is how many different values of one facet are counted one by one.
	maxValues = 10_000
)

// Grouping says what a summary counts beside the whole.
type Grouping struct {
	// Interval is the width of the counts over time, which are aligned to it from
	// the Unix epoch on; 0: none. Where a range would need more than [MaxIntervals],
	// those past that bound, the oldest, are left out.
	Interval time.Duration
	// Facets are the fields whose most frequent values are counted.
	Facets []Facet
	// Top is how many values of each are told, [MaxTop] at most; 0: ten.
	Top int
}

// Summary is counts of records.
type Summary struct {
	Count  uint64
	Times  []TimeCount            // newest first, those with records alone
	Older  uint64                 // records that are older than all of Times
	Facets map[Facet][]ValueCount // most frequent first; of equal ones by value
	Others map[Facet]uint64       // records with a value that is not among those
}

// TimeCount counts the records whose calls began in the interval from Start on.
type TimeCount struct {
	Start     time.Time
	Count, No uint64 // all, and those without success
}

// ValueCount counts the records with one value of a facet. Those without a value
// are not counted.
type ValueCount struct {
	Value string
	Count uint64
}

// FacetValue returns the value of a facet that r has, "" for none.
func FacetValue(f Facet, r *record.Record) string {
	switch f {
	case FacetSource:
		return r.Source
	case FacetProject:
		return r.Project
	case FacetAction:
		return r.Action
	case FacetMethod:
		return r.Method
	case FacetStatus:
		if r.Status != 0 {
			return strconv.Itoa(r.Status)
		}
	case FacetSuccess:
		return string(r.Success)
	case FacetOutcome:
		return string(r.Outcome)
	case FacetUser:
		return cmp.Or(r.UserName, r.UserEmail, r.UserID)
	case FacetUserIP:
		return r.UserIP
	case FacetObjectType:
		if r.Object != nil {
			return r.Object.Type
		}
	}
	return ""
}

// Tally makes a summary of records that it is told of, one by one.
type Tally struct {
	by     Grouping
	count  uint64
	times  map[int64]*TimeCount // by start, in intervals since the epoch
	values []map[string]uint64  // for each facet
	others []uint64             // records with a value that is not in there

	last   *TimeCount // that of the record before, which is mostly that of the next
	lastAt int64      // its start
}

// NewTally returns a tally that has counted nothing.
func NewTally(by Grouping) *Tally {
	t := &Tally{by: by, times: map[int64]*TimeCount{}}
	t.values, t.others = make([]map[string]uint64, len(by.Facets)), make([]uint64, len(by.Facets))
	for i := range t.values {
		t.values[i] = map[string]uint64{}
	}
	return t
}

// Grouping returns what the tally was made with.
func (t *Tally) Grouping() Grouping { return t.by }

// Add counts r.
func (t *Tally) Add(r *record.Record) {
	t.AddTime(r.Timestamp, r.Success == record.SuccessNo)
	for i, f := range t.by.Facets {
		t.AddValue(i, FacetValue(f, r), 1)
	}
}

// AddTime counts a record whose call began at when; no tells that it had no success.
func (t *Tally) AddTime(when time.Time, no bool) {
	t.count++
	if t.by.Interval <= 0 {
		return
	}
	micros, width := when.UnixMicro(), t.by.Interval.Microseconds()
	at := micros / width
	if micros%width < 0 {
		at--
	}
	c := t.last
	if c == nil || t.lastAt != at {
		if c = t.times[at]; c == nil {
			c = &TimeCount{Start: time.UnixMicro(at * width).UTC()}
			t.times[at] = c
			t.forget()
		}
		t.last, t.lastAt = c, at
	}
	c.Count++
	if no {
		c.No++
	}
}

// forget bounds the intervals in memory, by the oldest: newer ones only become more.
func (t *Tally) forget() {
	if len(t.times) <= 2*MaxIntervals {
		return
	}
	starts := slices.Sorted(maps.Keys(t.times))
	for _, start := range starts[:len(starts)-MaxIntervals] {
		delete(t.times, start)
	}
}

// AddValue counts n records with that value of the facet at index i of the
// grouping's.
func (t *Tally) AddValue(i int, value string, n uint64) {
	switch _, known := t.values[i][value]; {
	case value == "":
	case known, len(t.values[i]) < maxValues:
		t.values[i][value] += n
	default:
		t.others[i] += n
	}
}

// Summary returns what was counted.
func (t *Tally) Summary() *Summary {
	s := &Summary{Count: t.count, Facets: map[Facet][]ValueCount{}, Others: map[Facet]uint64{}}
	for _, c := range t.times {
		s.Times = append(s.Times, *c)
	}
	slices.SortFunc(s.Times, func(a, b TimeCount) int { return b.Start.Compare(a.Start) })
	s.Times = s.Times[:min(len(s.Times), MaxIntervals)]
	if t.by.Interval > 0 {
		s.Older = t.count
		for _, c := range s.Times {
			s.Older -= c.Count
		}
	}
	top := t.by.Top
	if top <= 0 {
		top = 10
	}
	for i, f := range t.by.Facets {
		values := []ValueCount{}
		for v, n := range t.values[i] {
			values = append(values, ValueCount{v, n})
		}
		slices.SortFunc(values, func(a, b ValueCount) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
		})
		told := min(len(values), top, MaxTop)
		s.Facets[f], s.Others[f] = values[:told], t.others[i]
		for _, v := range values[told:] {
			s.Others[f] += v.Count
		}
	}
	return s
}
