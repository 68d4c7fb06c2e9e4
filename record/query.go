package record

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Query asks for records, newest first. Its zero value asks for all.
// A list matches a record that has any of its values; an empty list any
// record.
type Query struct {
	From time.Time // inclusive; zero: no bound
	To   time.Time // exclusive; zero: no bound

	Sources   []string
	Users     []string // an id, a name or an e-mail address
	Methods   []string
	Statuses  []StatusRange
	Success   Success
	URI       Pattern
	Actions   []string     // a name or an alias; one that ends in "." is a prefix
	Object    string       // its id or its name
	UserIP    netip.Prefix // the zero Prefix: any
	RequestID string
	JobID     string
	TraceID   string
	TokenID   string
	// Words must all stand somewhere in URI, query, headers or bodies, whole, as
	// [EachWord] finds them. See MatchWords.
	Words []string

	// Scope is what the caller may see.
	Scope Scope

	// Before, where it is set, asks for what is older than the record of that ID.
	Before ID
	// UpTo, where it is not 0, pins the listing: records with a greater
	// sequence are left out, so that pages read one after the other are one
	// snapshot.
	UpTo uint64
	// Bodies asks for the content of bodies as well. What is known of a body
	// comes with every record.
	Bodies bool
}

// StatusRange is a range of status codes, both ends included: 404 to 404, or
// 400 to 499 for "4xx".
type StatusRange struct{ Min, Max int }

// Scope is what a caller may see. Its zero value sees nothing.
type Scope struct {
	// AllProjects sees every project and records without one.
	AllProjects bool
	Projects    []string
	// AllSources sees every source that is not in Except.
	AllSources bool
	Sources    []string
	Except     []string // sources hidden although AllSources
}

// Includes reports whether the scope covers r.
func (s *Scope) Includes(r *Record) bool {
	if !s.AllProjects && (r.Project == "" || !slices.Contains(s.Projects, r.Project)) {
		return false
	}
	return s.IncludesSource(r.Source)
}

// IncludesSource reports whether the scope covers the named source.
func (s *Scope) IncludesSource(source string) bool {
	if slices.Contains(s.Sources, source) {
		return true
	}
	return s.AllSources && !slices.Contains(s.Except, source)
}

// Match reports whether r is asked for as far as can be told without the contents
// of its bodies: every condition holds but that of Words, the range, the scope,
// Before and UpTo among them.
func (q *Query) Match(r *Record) bool {
	switch {
	case q.UpTo != 0 && r.Sequence > q.UpTo,
		!q.Before.IsZero() && r.EventID.Compare(q.Before) >= 0,
		!q.From.IsZero() && r.Timestamp.Before(q.From),
		!q.To.IsZero() && !r.Timestamp.Before(q.To),
		!q.Scope.Includes(r),
		len(q.Sources) > 0 && !slices.Contains(q.Sources, r.Source),
		len(q.Methods) > 0 && !slices.Contains(q.Methods, r.Method),
		q.Success != "" && r.Success != q.Success,
		q.RequestID != "" && r.RequestID != q.RequestID,
		q.JobID != "" && r.JobID != q.JobID,
		q.TraceID != "" && r.TraceID != q.TraceID,
		q.TokenID != "" && r.TokenID != q.TokenID,
		q.Object != "" && (r.Object == nil || r.Object.ID != q.Object && r.Object.Name != q.Object),
		!q.matchAction(r),
		!q.matchIP(r.UserIP),
		!q.URI.Match(r.URI):
		return false
	}
	if len(q.Statuses) > 0 && !slices.ContainsFunc(q.Statuses, func(s StatusRange) bool {
		return s.Min <= r.Status && r.Status <= s.Max
	}) {
		return false
	}
	return len(q.Users) == 0 || slices.ContainsFunc(q.Users, func(u string) bool {
		return u == r.UserID || u == r.UserName || u == r.UserEmail
	})
}

func (q *Query) matchAction(r *Record) bool {
	return len(q.Actions) == 0 || slices.ContainsFunc(q.Actions, func(a string) bool {
		return matchName(a, r.Action) || slices.ContainsFunc(r.ActionAliases, func(alias string) bool { return matchName(a, alias) })
	})
}

// matchName reports whether name is the one asked for, or begins with it where
// that ends in a dot.
func matchName(asked, name string) bool {
	return name == asked || strings.HasSuffix(asked, ".") && strings.HasPrefix(name, asked)
}

func (q *Query) matchIP(ip string) bool {
	if !q.UserIP.IsValid() {
		return true
	}
	addr, err := netip.ParseAddr(ip)
	return err == nil && q.UserIP.Contains(addr.Unmap().WithZone(""))
}

// Upper returns the ID below which all asked-for records lie, and whether
// there is such a bound.
func (q *Query) Upper() (ID, bool) {
	id, bounded := q.Before, !q.Before.IsZero()
	if !q.To.IsZero() {
		if to := FirstID(q.To); !bounded || to.Compare(id) < 0 {
			id, bounded = to, true
		}
	}
	return id, bounded
}

// Lower returns the ID at or above which all asked-for records lie; the zero
// ID where there is no such bound.
func (q *Query) Lower() ID {
	if q.From.IsZero() {
		return ID{}
	}
	return FirstID(q.From)
}

// Pattern matches a path: always a prefix, in which "*" is any run of
// characters. The zero Pattern matches everything.
type Pattern struct{ parts []string }

// ParsePattern returns the pattern that s writes.
func ParsePattern(s string) Pattern {
	if s == "" {
		return Pattern{}
	}
	return Pattern{strings.Split(s, "*")}
}

// IsZero reports whether the pattern matches everything.
func (p Pattern) IsZero() bool { return len(p.parts) == 0 }

// Match reports whether the pattern matches the beginning of s.
func (p Pattern) Match(s string) bool {
	for i, part := range p.parts {
		if i == 0 {
			if !strings.HasPrefix(s, part) {
				return false
			}
			s = s[len(part):]
			continue
		}
		at := strings.Index(s, part) // the leftmost is right: what follows only gets longer
		if at < 0 {
			return false
		}
		s = s[at+len(part):]
	}
	return true
}
