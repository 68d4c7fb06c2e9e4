package capture

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/record"
)

// MaxWaiting is how many exchanges that have ended may wait to become records.
// What they hold in memory is bounded by the [Budget] besides.
const MaxWaiting = 16384

// Pipeline makes records of exchanges, on workers of its own, so that no call
// waits for it.
type Pipeline struct {
	budget *Budget
	book   *identity.Book
	log    *slog.Logger
	live   live
	// unknown are the exchanges that would be lost without a trace.
	unknown unknown
	queue   chan *Exchange
	// promised is the queue of exchanges with a receipt, and promises counts them
	// from the receipt to the record: there are never more than have room.
	promised chan *Exchange
	promises atomic.Int64
	refusals sync.Map // source → *atomic.Uint64
	// workers are started by NewPipeline and end when Close closes the queue, and
	// closing.
	workers sync.WaitGroup
	closing chan struct{}
	asking  chan struct{} // a place for each call that waits for the network
	// mu guards closed, and with it the queue against being closed while
	// somebody submits.
	mu     sync.RWMutex
	closed bool

	outcomes sync.Map // outcomeKey → *atomic.Uint64
}

type outcomeKey struct {
	source  string
	outcome record.Outcome
}

// NewPipeline starts a pipeline: a worker for each processor that Go uses, and
// one that announces calls which take long.
func NewPipeline(budget *Budget, log *slog.Logger) *Pipeline {
	p := &Pipeline{
		budget: budget, book: identity.NewBook(nil), log: log,
		queue: make(chan *Exchange, MaxWaiting), promised: make(chan *Exchange, MaxPromised), closing: make(chan struct{}), asking: make(chan struct{}, MaxAsking),
	}
	p.workers.Go(p.announceAll)
	for range runtime.GOMAXPROCS(0) {
		p.workers.Go(p.work)
	}
	return p
}

// work makes records until both queues are closed.
func (p *Pipeline) work() {
	var w worker
	queue, promised := p.queue, p.promised
	for queue != nil || promised != nil {
		select {
		case x, more := <-queue:
			if more {
				p.settle(&w, x)
			} else {
				queue = nil
			}
		case x, more := <-promised:
			if more {
				p.settle(&w, x)
			} else {
				promised = nil
			}
		}
	}
}

// Budget returns the pipeline's memory budget.
func (p *Pipeline) Budget() *Budget { return p.budget }

// Book returns what calls have taught of who holds which token.
func (p *Pipeline) Book() *identity.Book { return p.book }

// submit hands an exchange to the workers. It does not wait for them: a queue that
// is full loses the call to the count, unless it is to be forgotten.
func (p *Pipeline) submit(x *Exchange) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	reason := LostShutdown
	switch {
	case p.closed:
	case x.promised:
		p.promised <- x // there is room
		return
	case p.budget.exhausted():
		reason = LostMemory
	default:
		select {
		case p.queue <- x:
			return
		default:
			reason = LostQueue
		}
	}
	if x.seal() {
		x.ledger.Forget()
	} else {
		x.ledger.Lose(x.ID, reason)
	}
	x.settle()
}

// settle makes the record of an exchange, unless it is to be forgotten. Where the
// network has to be asked first, another goroutine waits for that.
func (p *Pipeline) settle(w *worker, x *Exchange) {
	if x.seal() {
		x.ledger.Forget()
		x.settle()
		return
	}
	if p.complete(context.Background(), w, x, identity.Probe) {
		return
	}
	select {
	case p.asking <- struct{}{}:
		p.workers.Go(func() { // ends when those who are asked have answered, or their time is up
			defer func() { <-p.asking }()
			ctx, cancel := context.WithTimeout(context.Background(), identity.AskTimeout)
			defer cancel()
			p.complete(ctx, new(worker), x, identity.Wait)
		})
	default:
		p.complete(context.Background(), w, x, identity.Never)
	}
}

// complete makes the record of an exchange that is sealed. It reports false where it
// has done nothing, since the network would have to be asked.
func (p *Pipeline) complete(ctx context.Context, w *worker, x *Exchange, patience identity.Patience) (made bool) {
	made = true
	defer func() {
		if v := recover(); v != nil {
			p.panicked(w, x.ID, x.rules.Source, v, "making a record panicked, the call is counted as lost")
			x.ledger.Lose(x.ID, LostPanic)
		}
		if made {
			x.settle()
		}
	}()
	who, pending := x.who(ctx, x.rules, &x.facts, patience)
	if pending {
		made = false
		return made
	}
	if as := x.announcedAs; !who.AuthVerified && !who.Disputed && as.AuthVerified && x.announcedBy == x.rules {
		who = as // the token has ended since, and the call began before
	}
	r := w.record(x, min(x.level(), Metadata), who) // None: an inner capture came after it was announced
	err := x.ledger.Settle(r)
	if err != nil && x.promised { // room is set aside for less
		err = x.settleLess(r)
	}
	if err != nil {
		x.ledger.Lose(x.ID, LostStore)
		return made
	}
	p.count(r)
	return made
}

// panicked logs of what type a panic was, and never its value, which may hold a
// secret. What the worker was at is thrown away.
func (p *Pipeline) panicked(w *worker, id record.ID, source string, v any, message string) {
	*w = worker{}
	p.log.Error(message, slog.String("event_id", id.String()), slog.String("source", source), slog.String("type", typeName(v)))
}

func (p *Pipeline) count(r *record.Record) {
	key := outcomeKey{r.Source, r.Outcome}
	n, ok := p.outcomes.Load(key)
	if !ok {
		n, _ = p.outcomes.LoadOrStore(key, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}

// Outcomes calls do with how many calls of each source ended in each way.
func (p *Pipeline) Outcomes(do func(source string, outcome record.Outcome, n uint64)) {
	p.outcomes.Range(func(key, n any) bool {
		k := key.(outcomeKey)
		do(k.source, k.outcome, n.(*atomic.Uint64).Load())
		return true
	})
}

// Close waits, until ctx ends, for the exchanges that have been handed over.
// Calls that end later are lost to the count.
func (p *Pipeline) Close(ctx context.Context) error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.queue)
		close(p.promised)
		close(p.closing)
	}
	p.mu.Unlock()
	idle := make(chan struct{})
	go func() { // ends with the workers
		p.workers.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
