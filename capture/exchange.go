package capture

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// Rules say what is kept of the calls to one source. They are read only.
type Rules struct {
	// Source is the name of the component API.
	Source string
	// RequestBody and ResponseBody are how many bytes are kept of each, 0 to
	// MaxKept.
	RequestBody, ResponseBody int
	// Redactor takes the secrets out.
	Redactor *redact.Redactor
}

// Ledger counts the calls of one source and takes their records.
type Ledger interface {
	// Begin notes that a call has begun. One of the others follows.
	Begin()
	// Settle takes the record of a call, which it does not keep.
	Settle(r *record.Record) error
	// Lose notes that a call, which began at the time given, became no record.
	Lose(reason string, began time.Time)
}

// The reasons for which calls become no record.
const (
	LostQueue    = "queue"    // too many calls wait to become records
	LostMemory   = "memory"   // those that wait take too much memory, without their bodies
	LostStore    = "store"    // the store did not take the record
	LostPanic    = "panic"    // making the record failed
	LostShutdown = "shutdown" // the call ended after the gateway
)

// Facts are what is known of a call beside what its bytes tell. They are
// gathered on the request's own goroutine when the handler has returned.
type Facts struct {
	// Actor is who made the call, where somebody other than the client says so.
	Actor record.Actor
	// Project is whom the call belongs to. ProjectVerified tells that it does
	// not come from the request alone.
	Project         string
	ProjectVerified bool
	// UpstreamURI is path and query as the component got them, where they
	// differ from what the client sent.
	UpstreamURI string
	// Proxied tells, of a call that failed, that it was passed on to a component
	// or should have been.
	Proxied bool
}

// Ending tells how the handler of an exchange returned.
type Ending struct {
	// Err is what the handler returned, Status the status that the error
	// stands for, 0 where it says none.
	Err    error
	Status int
	// Panic is what the handler panicked with.
	Panic any
}

// Exchange is a call while it is live. Its methods are called on the request's
// own goroutine.
type Exchange struct {
	// ID names the record that the exchange will become.
	ID record.ID

	pipeline *Pipeline
	rules    *Rules
	ledger   Ledger
	release  func()
	ctx      context.Context
	began    time.Time // with the monotonic clock

	method, uri, query, host, protocol string
	peer, client                       string
	headers                            record.Headers
	request                            *requestTap // nil where there is no body
	upload                             side        // where request is nil
	response                           responseTap

	facts  Facts
	ending Ending
	left   bool // the client had left when the handler returned
	// answered tells that an error route answered in our sight, broken that it
	// panicked.
	answered, broken bool

	ended  time.Time
	weight int64 // what the exchange takes of the budget beside its bodies

	// phase and stop are guarded by mu: an exchange that waits for error routes
	// is also ended by its context.
	mu    sync.Mutex
	phase phase
	stop  func() bool
}

type phase int

const (
	open   phase = iota
	failed       // the handler returned an error; error routes may answer
	done
)

// Call is what an exchange begins with.
type Call struct {
	Rules  *Rules
	Ledger Ledger
	// Release is called when the call has become a record, or was lost.
	Release func()
	// ClientIP is the client's address as far as trusted proxies tell.
	ClientIP string
	// Method and RequestURI are those that the client sent, where something has
	// changed the request since. Default: those of the request.
	Method, RequestURI string
}

// Begin opens an exchange: the call counts as begun. It replaces r.Body, if
// there is one; the handler must write to [Exchange.Writer].
func (p *Pipeline) Begin(w http.ResponseWriter, r *http.Request, c Call) *Exchange {
	c.Ledger.Begin()
	x := &Exchange{
		ID: record.NewID(), began: time.Now(),
		pipeline: p, rules: c.Rules, ledger: c.Ledger, release: c.Release, ctx: r.Context(),
		method: redact.Cut(cmp.Or(c.Method, r.Method), MaxName), host: redact.Cut(r.Host, MaxName), protocol: r.Proto,
		client: c.ClientIP, peer: hostOnly(r.RemoteAddr), headers: copyHeaders(r.Header),
	}
	path, query := asSent(r, cmp.Or(c.RequestURI, r.RequestURI))
	x.uri, x.query = redact.Cut(path, MaxURI), redact.Cut(query, MaxURI)
	x.weight = weightOf(x)
	p.budget.force(x.weight)
	x.upload = side{budget: p.budget, limit: c.Rules.RequestBody}
	if r.Body != nil && r.Body != http.NoBody {
		x.request = &requestTap{ReadCloser: r.Body}
		x.request.budget, x.request.limit, x.request.present = p.budget, c.Rules.RequestBody, true
		x.request.hint = int(max(0, min(r.ContentLength, int64(c.Rules.RequestBody))))
		x.request.expected = r.ContentLength
		r.Body = x.request
	}
	x.response.ResponseWriter, x.response.head = w, r.Method == http.MethodHead
	x.response.budget, x.response.limit = p.budget, c.Rules.ResponseBody
	x.response.upload = x.uploaded()
	x.response.tunnel = r.Method == http.MethodConnect && r.Header[":protocol"] != nil // RFC 8441, RFC 9220
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

// Join lets the rules of an inner capture win over those that the exchange
// began with, for what passes from now on. It reports whether it did: one that
// has ended cannot be joined, and one that has failed is only answered, so that
// a call is found under the source that it was made to, whoever answers.
func (x *Exchange) Join(rules *Rules) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.phase != open || x.answered {
		return false
	}
	x.rules = rules
	x.uploaded().setLimit(rules.RequestBody)
	x.response.setLimit(rules.ResponseBody)
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
	x.finish()
}

// End ends the exchange when its handler has returned or panicked. After an
// error that nobody has answered, the exchange waits for the error routes,
// until its request's context ends.
func (x *Exchange) End(facts Facts, ending Ending) {
	x.facts, x.ending, x.ended = facts, ending, time.Now()
	x.left = x.ctx.Err() != nil
	if ending.Err == nil || ending.Panic != nil || x.response.status != 0 {
		x.finish()
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.phase = failed
	x.stop = context.AfterFunc(x.ctx, x.expire)
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

// finish hands the exchange to the workers.
func (x *Exchange) finish() {
	x.mu.Lock()
	x.phase = done
	x.mu.Unlock()
	x.uploaded().close()
	x.response.close()
	x.pipeline.submit(x)
}

// settle ends the exchange's hold on memory and on its store.
func (x *Exchange) settle() {
	x.uploaded().release()
	x.response.release()
	x.pipeline.budget.give(x.weight)
	if x.release != nil {
		x.release()
	}
}

// String implements fmt.Stringer: whoever prints an exchange gets its id, and
// nothing of what it holds.
func (x *Exchange) String() string { return x.ID.String() }

// asSent returns path and query in the spelling in which the client sent them.
func asSent(r *http.Request, uri string) (path, query string) {
	path, query, _ = strings.Cut(uri, "?")
	switch {
	case strings.HasPrefix(path, "/"):
	case r.URL.Path != "": // http://host/path
		path = r.URL.EscapedPath()
	case r.Method == http.MethodConnect: // host:port, and nothing before it
		path = path[strings.LastIndexByte(path, '@')+1:]
	case r.URL.Host != "": // http://host
		path = "/"
	}
	return path, query
}

// weightOf estimates what an exchange takes in memory beside its bodies: itself,
// and its header twice, since the answer's is seldom longer.
func weightOf(x *Exchange) int64 {
	n := 2048 + len(x.uri) + len(x.query)
	for _, f := range x.headers {
		n += 2 * (len(f.Name) + len(f.Value) + 32)
	}
	return int64(n)
}

// hostOnly returns an address without its port and zone.
func hostOnly(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		addr = host
	}
	addr, _, _ = strings.Cut(addr, "%")
	return addr
}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}
