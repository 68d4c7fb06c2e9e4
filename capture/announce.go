package capture

import (
	"context"
	"slices"
	"time"

	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/record"
)

// AnnounceAfter is how long a call runs before it is announced: the ledger then
// gets a record of what is known of it by then, once.
const AnnounceAfter = time.Second

// announceEvery is how often the pipeline looks for calls that are to be
// announced.
const announceEvery = 100 * time.Millisecond

// announceAll announces the calls whose time has come, until the pipeline closes.
func (p *Pipeline) announceAll() {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	var w worker
	for {
		select {
		case <-p.closing:
			return
		case now := <-tick.C:
			for x := p.live.oldest(now); x != nil; x = p.live.oldest(now) {
				p.announce(&w, x)
			}
		}
	}
}

// announce announces one call, unless it is sealed. One that may yet be forgotten
// waits until that is decided.
func (p *Pipeline) announce(w *worker, x *Exchange) {
	x.announcing.Lock()
	defer x.announcing.Unlock()
	if x.sealed || x.announced {
		return
	}
	x.mu.Lock()
	s := seen{rules: x.rules, facts: x.facts, failed: x.answered}
	levels := x.levels
	x.mu.Unlock()
	x.response.mu.Lock()
	s.status, s.response = x.response.status, x.response.headers
	x.response.mu.Unlock()
	defer func() {
		if v := recover(); v != nil {
			p.panicked(w, x.ID, s.rules.Source, v, "announcing a call panicked, its record is to come")
		}
	}()
	level := choose(levels, s.status)
	if s.status == 0 {
		_, level = candidates(levels)
	}
	if level == None {
		p.live.again(x)
		return
	}
	if x.announced = x.ledger.Announce(w.progress(x, s)) == nil; x.announced {
		p.unknown.remove(x)
	}
}

// progress makes the record of a call that goes on: all that is known of it by now,
// but for bodies. It is good until the next one.
func (w *worker) progress(x *Exchange, s seen) *record.Record {
	if s.facts.Project == "" && s.facts.Projects == nil && s.rules.Project != nil {
		s.facts.Project, s.facts.Projects = s.rules.Project(x.uri)
	}
	// The exchange goes on, and a worker will want them as they are.
	s.request, s.response = slices.Clone(x.headers), slices.Clone(s.response)
	s.who, _ = x.who(context.Background(), s.rules, &s.facts, identity.Never)
	x.announcedAs, x.announcedBy = s.who, s.rules
	redactor := w.describe(x, s)
	w.r.Success, w.r.Outcome = record.SuccessUnknown, record.OutcomeInProgress
	w.r.RequestBody = x.uploaded().soFar(s.request)
	w.r.ResponseBody = x.response.soFar(s.response)
	name(&w.r, s.rules, s.facts, redactor)
	return &w.r
}

// soFar is what is known of a body that is still on its way: of its content,
// nothing.
func (s *side) soFar(headers record.Headers) (b record.Body) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.State = record.BodyNone
	if s.present && s.size > 0 {
		b.State, b.Size = record.BodyStreamed, s.size
		b.ContentType, b.Encoding = headers.Get("Content-Type"), headers.Get("Content-Encoding")
	}
	return b
}
