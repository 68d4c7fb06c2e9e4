package capture

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/auditgate/auditgate/record"
)

// MaxWaiting is how many exchanges that have ended may wait to become records.
// What they hold in memory is bounded by the [Budget] besides.
const MaxWaiting = 16384

// Pipeline makes records of exchanges, on workers of its own, so that no call
// waits for it.
type Pipeline struct {
	budget *Budget
	log    *slog.Logger
	queue  chan *Exchange
	// workers are started by NewPipeline and end when Close closes the queue.
	workers sync.WaitGroup
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

// NewPipeline starts a pipeline: a worker for each processor that Go uses.
func NewPipeline(budget *Budget, log *slog.Logger) *Pipeline {
	p := &Pipeline{budget: budget, log: log, queue: make(chan *Exchange, MaxWaiting)}
	for range runtime.GOMAXPROCS(0) {
		p.workers.Go(func() {
			var w worker
			for x := range p.queue {
				p.settle(&w, x)
			}
		})
	}
	return p
}

// Budget returns the pipeline's memory budget.
func (p *Pipeline) Budget() *Budget { return p.budget }

// submit hands an exchange to the workers. It never waits: a queue that is full
// loses the call to the count.
func (p *Pipeline) submit(x *Exchange) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	reason := LostShutdown
	switch {
	case p.closed:
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
	x.ledger.Lose(reason, x.ID.Time())
	x.settle()
}

// settle makes the record of an exchange. A panic loses that one record to the
// count, and says of what type it was: its value may hold a secret.
func (p *Pipeline) settle(w *worker, x *Exchange) {
	defer x.settle()
	defer func() {
		if v := recover(); v != nil {
			*w = worker{}
			x.ledger.Lose(LostPanic, x.ID.Time())
			p.log.Error("making a record panicked, the call is counted as lost",
				slog.String("event_id", x.ID.String()), slog.String("source", x.rules.Source), slog.Any("type", typeName(v)))
		}
	}()
	r := w.record(x)
	if err := x.ledger.Settle(r); err != nil {
		x.ledger.Lose(LostStore, x.ID.Time())
		return
	}
	p.count(r)
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
