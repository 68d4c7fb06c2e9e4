package badger

import (
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/auditgate/auditgate/record"
)

// What is known of the values in a segment: the roll-up of its blocks, which
// spares those who seek what is not among them the opening of it.

// valueNames are the columns whose values segments tell, as segment.json calls them.
var valueNames = map[int]string{
	columnSource: "source", columnProject: "project", columnAction: "action",
	columnMethod: "method", columnStatus: "status", columnSuccess: "success",
}

// The bounds of what is told of one column. Past them it is not told.
const (
	maxValues   = 64
	maxValueLen = 256
)

// valueSets gathers the values of records.
type valueSets struct {
	sets    [columnCount]map[string]bool // nil where there are too many, after the first record
	begun   bool
	stored  record.Stored
	scratch []byte
}

func (s *valueSets) add(meta []byte) {
	if !s.begun {
		s.begun = true
		for column := range valueNames {
			s.sets[column] = make(map[string]bool)
		}
	}
	if s.stored.Set(meta) != nil { // whoever reads it is told
		s.sets = [columnCount]map[string]bool{}
	}
	s.scratch = eachValue(&s.stored, s.scratch, func(column int, value []byte) {
		set := s.sets[column]
		if set == nil || set[string(value)] {
			return
		}
		if len(set) == maxValues || len(value) > maxValueLen || !utf8.Valid(value) { // JSON would change it
			s.sets[column] = nil
			return
		}
		set[string(value)] = true
	})
}

// list returns the values for a manifest.
func (s *valueSets) list() map[string][]string {
	all := make(map[string][]string)
	for column, name := range valueNames {
		if s.sets[column] != nil {
			all[name] = slices.Sorted(maps.Keys(s.sets[column]))
		}
	}
	return all
}

// joinValues returns what is known of all records, where a tells of some of them
// and b of the others.
func joinValues(a, b map[string][]string) map[string][]string {
	var all map[string][]string
	for name, values := range a {
		more, known := b[name]
		if !known {
			continue
		}
		values = slices.Concat(values, more)
		slices.Sort(values)
		if values = slices.Compact(values); len(values) <= maxValues {
			if all == nil {
				all = make(map[string][]string)
			}
			all[name] = values
		}
	}
	return all
}

// narrow returns the conditions that are to be asked of the segment's records:
// those that some of them may not meet. none is true where none can meet all.
func (m *manifest) narrow(conditions []condition) (left []condition, none bool) {
	for _, c := range conditions {
		values, known := m.Values[valueNames[c.column]]
		if !known {
			left = append(left, c)
			continue
		}
		met := 0
		for _, value := range values {
			if c.matches(value) {
				met++
			}
		}
		if met == 0 {
			return nil, true
		}
		if met < len(values) {
			left = append(left, c)
		}
	}
	return left, false
}
