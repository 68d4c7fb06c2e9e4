package capture

import (
	"cmp"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// Exchange is a call while it is live. Its methods are called on the request's
// own goroutine.
type Exchange struct {
	// ID names the record that the exchange will become.
	ID record.ID

	pipeline *Pipeline
	ledger   Ledger
	release  func()
	ctx      context.Context
	began    time.Time // with the monotonic clock
	ended    time.Time
	weight   int64 // what the exchange takes of the budget beside its bodies

	method, uri, query, host, protocol string
	peer, client                       string
	headers                            record.Headers
	whole                              http.Header // as it came, where headers are cut; until the end
	tokens                             []string    // whole, which headers may not be
	request                            *requestTap // nil where there is no body
	upload                             side        // where request is nil
	response                           responseTap
	trailer                            http.Header // the request's, which fills when its body ends

	gather func(Ending) Facts
	levels []Choice
	ending Ending
	bodies Bodies
	left   bool // the client had left when the handler returned
	// answered tells that an error route answered in our sight, broken that it
	// panicked. Until the end mu guards answered.
	answered, broken                  bool
	requestTrailers, responseTrailers record.Headers
	result                            result // of all this, at the end

	// mu guards levels and what is below: an exchange that waits for error routes is
	// also ended by its context, and one that is still running is announced. The
	// request's goroutine alone writes levels, rules and facts, and reads them freely.
	mu    sync.Mutex
	rules *Rules
	facts Facts
	// issued is the ID of the token that the answer issued: see teach.
	issued string
	// named are the headers that name the user, whole, where headers are cut and the
	// call has ended: see letGo. Until then whole has them.
	named record.Headers
	stop  func() bool
	phase phase

	// promised tells that the call has a receipt, or may have: it is not lost for want
	// of room.
	promised bool
	refused  bool // for want of a receipt: no handler has seen it

	// sealed tells that the exchange is not announced any more, announced that the
	// ledger has heard of it. announcing guards both, and is held while that happens.
	sealed, announced bool
	announcing        sync.Mutex
	// announcedAs is who made the call as far as was known when it was announced, by
	// which rules. announcing guards both.
	announcedAs identity.Identity
	announcedBy *Rules

	// readsRequest and readsResponse tell that a lesson needs the body, taught that
	// the lessons are over.
	readsRequest, readsResponse, taught bool

	place place // among those that are still running
	link  link  // among those that the ledger does not know
}

type phase byte

const (
	open   phase = iota
	failed       // the handler returned an error; error routes may answer
	done
)

// Begin opens an exchange: the call counts as begun. It replaces r.Body, if
// there is one; the handler must write to [Exchange.Writer].
func (p *Pipeline) Begin(w http.ResponseWriter, r *http.Request, c Call) *Exchange {
	c.Ledger.Begin()
	x := &Exchange{
		pipeline: p, rules: c.Rules, levels: c.Levels, bodies: c.Bodies, gather: c.Facts,
		ledger: c.Ledger, release: c.Release, ctx: r.Context(), trailer: r.Trailer,
		method: redact.Cut(cmp.Or(c.Method, r.Method), MaxName), host: redact.Cut(r.Host, MaxName), protocol: protocolOf(r),
		client: c.ClientIP, peer: hostOnly(r.RemoteAddr),
	}
	var cut bool
	if x.headers, cut = copyHeaders(r.Header); cut {
		x.whole = r.Header.Clone() // handlers may change it
	}
	p.unknown.add(x)
	x.began = time.Now()
	path, query := asSent(r, cmp.Or(c.RequestURI, r.RequestURI))
	x.uri, x.query = redact.Cut(path, MaxURI), redact.Cut(query, MaxURI)
	x.tokens = identity.TokensOf(r.Header)
	x.weight = int64(exchangeSize+len(x.uri)+len(x.query)) + weightOf(x.headers) + linesOf(x.whole)
	for _, token := range x.tokens {
		x.weight += int64(max(0, len(token)-MaxHeaderValue)) // the rest is that of a header
	}
	p.budget.force(x.weight)
	x.upload.budget, x.response.budget = p.budget, p.budget
	if r.Body != nil && r.Body != http.NoBody {
		x.request = &requestTap{ReadCloser: r.Body}
		x.request.budget, x.request.present = p.budget, true
		x.request.expected, x.request.hint = r.ContentLength, hint(r.ContentLength)
		r.Body = x.request
	}
	x.response.ResponseWriter, x.response.exchange = w, x
	x.response.head = r.Method == http.MethodHead
	x.response.tunnel = isExtendedConnect(r)
	up := x.uploaded()
	// Of other streams the answer's type tells; a client has no say in its caps.
	_, up.binary = isStream(contentType(r.Header))
	up.stream = up.binary
	x.attend()
	x.aim()
	p.live.add(x)
	return x
}

// Writer returns the tapped response writer.
func (x *Exchange) Writer() http.ResponseWriter { return &x.response }

// uploaded is the side that sees what the client sends.
func (x *Exchange) uploaded() *side {
	if x.request != nil {
		return &x.request.side
	}
	return &x.upload
}

// Join lets what an inner capture says win over what the exchange began with,
// for what passes from now on. It reports whether it did: one that has ended
// cannot be joined, and one that has failed is only answered, so that a call is
// found under the source that it was made to, whoever answers.
func (x *Exchange) Join(rules *Rules, levels []Choice, bodies Bodies, facts func(Ending) Facts) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.phase != open || x.answered {
		return false
	}
	x.rules, x.levels, x.bodies, x.gather = rules, levels, bodies, facts
	x.attend()
	x.aim()
	return true
}

// Answer taps w, to which an error route is about to write, if the exchange has
// failed and nobody has answered yet; else it reports false. After it comes
// [Exchange.Answered], whatever becomes of the route.
func (x *Exchange) Answer(w http.ResponseWriter) (http.ResponseWriter, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.phase != failed {
		return w, false
	}
	x.phase = open // again: the end of the context ends it no more
	x.stop()
	x.response.ResponseWriter = w
	x.answered = true
	return &x.response, true
}

// Answered ends an exchange after its error route, which may have panicked.
// Where it has written nothing, the status is that of the error.
func (x *Exchange) Answered(panicked bool) {
	x.broken, x.ended = panicked, time.Now()
	if !panicked {
		x.responseTrailers = x.hold(x.response.trailers())
	}
	x.finish()
}

// End ends the exchange when its handler has returned or panicked. After an
// error that nobody has answered, the exchange waits for the error routes,
// until its request's context ends.
func (x *Exchange) End(ending Ending) {
	x.inquire(ending)
	x.ending, x.ended = ending, time.Now()
	x.teachAtEnd()
	x.letGo()
	x.left = x.ctx.Err() != nil
	if x.request != nil && len(x.trailer) > 0 && x.request.whole() {
		trailers, _ := copyHeaders(x.trailer)
		x.requestTrailers = x.hold(trailers)
	}
	if ending.Panic == nil {
		x.responseTrailers = x.hold(x.response.trailers())
	}
	if ending.Err == nil || ending.Panic != nil || x.response.status != 0 {
		x.finish()
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.phase = failed
	x.stop = context.AfterFunc(x.ctx, x.expire)
}

// inquire gathers the facts as they are now.
func (x *Exchange) inquire(ending Ending) {
	if x.gather == nil {
		return
	}
	facts := x.gather(ending)
	x.mu.Lock()
	x.facts = facts
	x.mu.Unlock()
}

// expire ends an exchange whose error was answered out of our sight.
func (x *Exchange) expire() {
	x.mu.Lock()
	waits := x.phase == failed
	if waits {
		x.phase = open
		x.ended = time.Now()
	}
	x.mu.Unlock()
	if waits {
		x.finish()
	}
}

// finish hands the exchange to the workers, unless it is to be forgotten.
func (x *Exchange) finish() {
	x.mu.Lock()
	x.phase = done
	x.mu.Unlock()
	x.uploaded().close()
	x.response.close()
	x.result = x.weigh()
	// Where it was taken to be announced, its seal tells whether that was done.
	if unseen := x.pipeline.live.remove(x); unseen && x.level() == None {
		x.ledger.Forget()
		x.settle()
		return
	}
	x.pipeline.submit(x)
}

// seal keeps an exchange that has ended from being announced any more, and reports
// whether it is to be forgotten: of what was announced there must be a record.
func (x *Exchange) seal() (forget bool) {
	x.announcing.Lock()
	defer x.announcing.Unlock()
	x.sealed = true
	return x.level() == None && !x.announced
}

// settle ends the exchange's hold on memory and on its store.
func (x *Exchange) settle() {
	x.uploaded().release()
	x.response.release()
	x.pipeline.unknown.remove(x)
	x.pipeline.budget.give(x.weight)
	if x.promised {
		x.pipeline.promises.Add(-1)
	}
	if x.release != nil {
		x.release()
	}
}

// String implements fmt.Stringer: whoever prints an exchange gets its id, and
// nothing of what it holds.
func (x *Exchange) String() string { return x.ID.String() }

// exchangeSize is what an exchange takes in memory by itself, in bytes.
const exchangeSize = 1280

// weightOf estimates what a header takes in memory.
func weightOf(headers record.Headers) (n int64) {
	for i := range headers {
		n += int64(len(headers[i].Name) + len(headers[i].Value) + 32)
	}
	return n
}

// linesOf estimates what a copy of a header takes in memory beside the texts, which
// are the server's as long as the call lasts.
func linesOf(h http.Header) (n int64) {
	for _, values := range h {
		n += 64 + 16*int64(len(values))
	}
	return n
}

// hold takes of the budget what headers take that the exchange has come to hold,
// and returns them.
func (x *Exchange) hold(headers record.Headers) record.Headers {
	if len(headers) > 0 {
		n := weightOf(headers)
		x.weight += n
		x.pipeline.budget.force(n)
	}
	return headers
}
