package badger

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/auditgate/auditgate/record"
)

// plan is how the indexes of blocks answer a query: filters first, which tell of
// units, then columns, which tell of records. What both let through is decoded and
// judged by the query itself.
type plan struct {
	clauses    []clause
	conditions []condition
	// exact: the conditions, with the range and the pinned sequence, are all that
	// the query asks for.
	exact bool
}

// clause is tokens of which a record that matches has one.
type clause struct {
	tokens []uint64
	probes int
}

// condition is the part of a query that one column decides.
type condition struct {
	column int
	query  record.Query
}

// everything is the scope of a query that is about one column alone.
var everything = record.Scope{AllProjects: true, AllSources: true}

func newPlan(q *record.Query) *plan {
	p := &plan{exact: true}
	name := func(of byte, names ...string) {
		c := clause{probes: nameWeight * wordProbes}
		for _, n := range names {
			if n == "" { // stands in no filter
				return
			}
			c.tokens = append(c.tokens, nameToken(of, []byte(n)))
		}
		p.clauses = append(p.clauses, c)
	}
	for of, id := range [...]string{
		ofRequest: q.RequestID, ofTrace: q.TraceID, ofToken: q.TokenID, ofJob: q.JobID, ofObject: q.Object,
	} {
		if id != "" {
			name(byte(of), id)
			p.exact = false
		}
	}
	if len(q.Users) > 0 {
		name(ofUser, q.Users...)
	}
	words := slices.Clone(q.Words) // the longest first: it is the rarest
	slices.SortStableFunc(words, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, word := range words {
		p.clauses = append(p.clauses, clause{[]uint64{wordToken([]byte(word))}, wordProbes})
		p.exact = false
	}

	about := func(column int, asked bool, part record.Query) {
		if asked {
			p.conditions = append(p.conditions, condition{column, part})
		}
	}
	source := everything
	source.AllSources, source.Sources, source.Except = q.Scope.AllSources, q.Scope.Sources, q.Scope.Except
	about(columnSource, len(q.Sources) > 0 || !q.Scope.AllSources || len(q.Scope.Except) > 0, record.Query{Scope: source, Sources: q.Sources})
	project := everything
	project.AllProjects, project.Projects = q.Scope.AllProjects, q.Scope.Projects
	about(columnProject, !q.Scope.AllProjects, record.Query{Scope: project})
	about(columnAction, len(q.Actions) > 0, record.Query{Scope: everything, Actions: q.Actions})
	about(columnMethod, len(q.Methods) > 0, record.Query{Scope: everything, Methods: q.Methods})
	about(columnStatus, len(q.Statuses) > 0, record.Query{Scope: everything, Statuses: q.Statuses})
	about(columnSuccess, q.Success != "", record.Query{Scope: everything, Success: q.Success})
	about(columnAddress, q.UserIP.IsValid(), record.Query{Scope: everything, UserIP: q.UserIP})
	about(columnUser, len(q.Users) > 0, record.Query{Scope: everything, Users: q.Users})
	about(columnURI, !q.URI.IsZero(), record.Query{Scope: everything, URI: q.URI})
	return p
}

// matches reports whether a record with that value in the column, and with whatever
// else, is asked for as far as the condition goes.
func (c *condition) matches(value string) bool {
	var r record.Record
	setColumn(&r, c.column, value)
	return c.query.Match(&r)
}

// setColumn sets what a column tells of a record.
func setColumn(r *record.Record, column int, value string) {
	switch column {
	case columnSource:
		r.Source = value
	case columnProject:
		r.Project = value
	case columnAction:
		if names := parts(value); len(names) > 0 {
			r.Action, r.ActionAliases = names[0], names[1:]
		}
	case columnMethod:
		r.Method = value
	case columnStatus:
		r.Status, _ = strconv.Atoi(value)
	case columnSuccess:
		r.Success = record.Success(value)
	case columnOutcome:
		r.Outcome = record.Outcome(value)
	case columnObjectType:
		r.Object = &record.Object{Type: value}
	case columnUser:
		if names := parts(value); len(names) == 3 {
			r.UserID, r.UserName, r.UserEmail = names[0], names[1], names[2]
		}
	case columnAddress:
		r.UserIP = value
	case columnURI:
		r.URI = value
	}
}
