package auditapi

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// maxGaps is how many gaps an answer names; where there are more, it is not
// complete all the same.
const maxGaps = 100

// list answers GET /v1/{project}/logs.
func (a *API) list(x *exchange) error {
	asked, scope, err := a.question(x, listings)
	if err != nil {
		return err
	}
	place := marker{caller: x.caller.key, project: x.project, query: asked.canonical, limit: DefaultLimit}
	if asked.marker != "" {
		if asked, err = a.goOn(&place, asked); err != nil {
			return err
		}
	}
	if asked.limit > 0 {
		place.limit = asked.limit
	}
	x.asked = strings.TrimPrefix(fmt.Sprintf("%s&limit=%d", a.redactQuery(asked.canonical), place.limit), "&")
	q, err := x.caller.narrow(asked.query, scope)
	if err != nil {
		return err
	}

	turn, err := a.gate.enter(x.r.Context(), x.caller.key)
	if err != nil {
		return err
	}
	defer turn.leave()
	s, err := a.store()
	if err != nil {
		return err
	}
	p := &page{a: a, x: x, asked: asked, place: place, turn: turn}
	if p.place.upTo == 0 {
		// Before the first record there may be calls in progress, and 0 would pin nothing.
		p.place.upTo = max(s.Sequence(), 1)
	}
	q.UpTo, q.Before = p.place.upTo, p.place.before
	return p.write(s, q)
}

// question reads what x asks for, and how much of the store its caller may see of
// the project.
func (a *API) question(x *exchange, kind asking) (*question, record.Scope, error) {
	scope, err := a.see(x.caller, x.project)
	if err != nil {
		return nil, scope, err
	}
	x.seen = true
	q, err := readQuestion(kind, x.query, x.r.Header)
	return q, scope, err
}

// goOn opens the marker of l into place and returns the listing that it goes
// on with.
func (a *API) goOn(place *marker, l *question) (*question, error) {
	m, err := a.markers.open(l.marker)
	switch {
	case err != nil:
		return nil, markerInvalid.because("%s", err)
	case m.caller != place.caller:
		return nil, markerInvalid.because("the marker was given to another caller")
	case m.project != place.project:
		return nil, markerInvalid.because("the marker belongs to the project %q", m.project)
	case l.filtered && m.query == "" && l.canonical != "":
		return nil, markerInvalid.because("the marker belongs to a query without filters: send it alone, or without them")
	case l.filtered && m.query != l.canonical:
		return nil, markerInvalid.because("the marker belongs to another query, %q: send it alone, or with the same parameters", cut(m.query, maxDetail))
	case a.config.Now().Unix() >= m.expires:
		return nil, markerExpired.because("the marker was good until %s: begin again without it", time.Unix(m.expires, 0).UTC().Format(time.RFC3339))
	}
	values, err := url.ParseQuery(m.query)
	if err != nil {
		return nil, markerInvalid.because("%s", errMarker)
	}
	next, err := readQuestion(listings, values, nil)
	if err != nil {
		return nil, err
	}
	next.limit, next.pretty = l.limit, l.pretty
	*place = *m
	return next, nil
}

// redactQuery returns a canonical query with the secrets taken out of its values.
func (a *API) redactQuery(canonical string) string {
	values, err := url.ParseQuery(canonical)
	if err != nil { // it was written by Encode
		return ""
	}
	for name, list := range values {
		for i, value := range list {
			list[i] = a.config.Redact(name, value)
		}
	}
	return values.Encode()
}

// visibleGaps returns the gaps in the range of q, whatever its filters, that
// the caller may know of, and whether there are any or too many to tell. A gap of
// the gateway's own source is what of any source cannot be read any more: damage,
// or what a power cut took.
func visibleGaps(ctx context.Context, s store.Store, q *record.Query) (gaps []*record.Record, any bool, err error) {
	all, err := s.Gaps(ctx, q.From, q.To, maxGaps+1)
	if err != nil {
		return nil, false, fmt.Errorf("reading gaps: %w", err)
	}
	more := len(all) > maxGaps
	gaps = []*record.Record{}
	for _, g := range all[:min(len(all), maxGaps)] {
		if g.Source == "" || g.Source == record.Self || q.Scope.IncludesSource(g.Source) {
			gaps = append(gaps, g)
		}
	}
	return gaps, more || len(gaps) > 0, nil
}

// reach is how far a scan has come.
type reach struct {
	count   int
	last    record.ID // the next page has what is older; zero: nothing was read
	more    bool      // there is a next page
	stopped bool      // by the store's budget
}

// scan reads up to limit records of q and finds out whether there are more. It
// ends early, with more unknown, when each returns false.
func scan(ctx context.Context, s store.Store, q *record.Query, limit int, each func(*record.Record) bool) (reach, error) {
	at := reach{last: q.Before}
	for r, err := range s.Scan(ctx, q) {
		var interrupted *store.InterruptedError
		if errors.As(err, &interrupted) {
			at.last, at.more, at.stopped = interrupted.At, true, true
			return at, nil
		}
		if err != nil {
			return at, fmt.Errorf("reading records: %w", err)
		}
		if at.count == limit {
			at.more = true
			return at, nil
		}
		at.count++
		at.last = r.EventID
		if !each(r) {
			return at, nil
		}
	}
	return at, nil
}
