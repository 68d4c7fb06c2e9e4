package capture

import (
	"context"
	"io"
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
	LostQueue = "queue" // too many calls wait to become records
	LostStore = "store" // the store did not take the record
	LostPanic = "panic" // making the record failed
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
	// UpstreamURI is path and query as the component got them.
	UpstreamURI string
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
	peer, client, agent                string
	headers                            record.Headers
	request                            *requestTap // nil where there is no body
	upload                             side        // where request is nil
	response                           responseTap

	facts  Facts
	ending Ending
	left   bool // the client had left when the handler returned
	ended  time.Time

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
}

// Begin opens an exchange: the call counts as begun. It replaces r.Body, if
// there is one; the handler must write to [Exchange.Writer].
func (p *Pipeline) Begin(w http.ResponseWriter, r *http.Request, c Call) *Exchange {
	c.Ledger.Begin()
	x := &Exchange{
		ID: record.NewID(), began: time.Now(),
		pipeline: p, rules: c.Rules, ledger: c.Ledger, release: c.Release, ctx: r.Context(),
		method: r.Method, query: cut(r.URL.RawQuery, MaxURI), host: r.Host, protocol: r.Proto,
		client: c.ClientIP, agent: r.UserAgent(), headers: copyHeaders(r.Header),
	}
	x.uri = cut(pathAsSent(r), MaxURI)
	x.peer = hostOnly(r.RemoteAddr)
	x.upload = side{budget: p.budget, limit: c.Rules.RequestBody}
	if r.Body != nil && r.Body != http.NoBody {
		x.request = &requestTap{ReadCloser: r.Body}
		x.request.budget, x.request.limit, x.request.present = p.budget, c.Rules.RequestBody, true
		x.request.hint = int(max(0, min(r.ContentLength, int64(c.Rules.RequestBody))))
		x.request.whole = r.ContentLength == 0
		r.Body = x.request
	}
	x.response.ResponseWriter, x.response.head = w, r.Method == http.MethodHead
	x.response.budget, x.response.limit = p.budget, c.Rules.ResponseBody
	x.response.upload = x.uploaded()
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
// began with, for what passes from now on. It reports whether the exchange is
// open: one that has ended cannot be joined.
func (x *Exchange) Join(rules *Rules) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.phase == done {
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
	return &x.response, true
}

// Answered ends an exchange after its error route. Where that has written
// nothing, the status is that of the error.
func (x *Exchange) Answered() {
	x.ended = time.Now()
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
	if x.release != nil {
		x.release()
	}
}

// pathAsSent returns the path in the spelling in which the client sent it.
func pathAsSent(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	if r.URL.Path == "" { // CONNECT host:port, OPTIONS *
		return r.RequestURI
	}
	return r.URL.EscapedPath()
}

// hostOnly returns an address without its port and zone.
func hostOnly(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

// writerOnly hides what else a writer can do.
type writerOnly struct{ io.Writer }

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}
