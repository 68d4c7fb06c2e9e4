package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/disk"
)

// closeTimeout bounds how long the end of an engine may take: making records of
// the calls that have ended, committing them, and packing what time allows.
const closeTimeout = 10 * time.Second

// engine is what outlives configurations: the store and the workers that feed
// it. It is open for as long as somebody holds a lease on it: each running
// configuration holds one, and each call while it lives, since Caddy ends
// configurations whose requests still run.
type engine struct {
	key      string // of the store: what is open twice must be one
	options  string // those that cannot change while it is open, in words
	pipeline *capture.Pipeline
	queries  *prometheus.HistogramVec // how long reading took
	turn     *sync.Mutex              // held while the store is open
	log      *slog.Logger

	// opened is closed when the store is open or could not be opened; then
	// store or err is set. full is closed where it could not be opened yet because
	// its disk is full; then why is set.
	opened chan struct{}
	store  store.Store
	err    error
	told   atomic.Bool // err was, to whoever starts the configuration
	full   chan struct{}
	why    error

	// mu guards early, which is nil once the store is open, and abandoned: closing did
	// not wait for that any longer.
	mu        sync.Mutex
	early     map[string]*earlyCalls // by source
	ready     atomic.Bool
	abandoned bool

	retaining sync.Mutex // guards retained, and store until it is open
	retained  []*store.Retention

	closing sync.Once
	closed  chan struct{} // when closing begins
}

// earlyCalls are those of a source that came before the store was open: Caddy may
// start its servers first.
type earlyCalls struct {
	begun int
	lost  map[string]*earlyLoss // by reason
}

type earlyLoss struct {
	count int
	first time.Time // when the first of them began
}

// engines are those that are open, by key. Whoever ranges over it holds up every
// call: take what you need and leave.
var engines = caddy.NewUsagePool()

// unclosed are the engines that have not been closed to the end, leased or not:
// what the process must wait for before it exits.
var unclosed sync.Map // *engine → struct{}

// lease returns the engine of that key, and a function that must be called when
// it is not needed any more; further calls of it do nothing. Where there is no
// such engine one is made, and its store opened in the background.
func lease(key string, start func() *engine) (*engine, func()) {
	e, _, _ := engines.LoadOrNew(key, func() (caddy.Destructor, error) { return start(), nil })
	return e.(*engine), sync.OnceFunc(func() { _, _ = engines.Delete(key) })
}

// turns are held by the engines whose stores are open, one for each key: an
// engine that nobody needs any more may still be closing its store when the next
// one comes to open it.
var turns sync.Map // key → *sync.Mutex

// startEngine makes an engine whose store is being opened.
// Once it is, remember loads what was learned of tokens, and keeps what will be.
func startEngine(key, options string, memory int64, log *slog.Logger, open func() (store.Store, error), remember func(*identity.Book) error) *engine {
	e := &engine{
		key: key, options: options, log: log,
		pipeline: capture.NewPipeline(capture.NewBudget(memory), log),
		queries:  newQueries(),
		opened:   make(chan struct{}),
		full:     make(chan struct{}),
		early:    make(map[string]*earlyCalls),
		closed:   make(chan struct{}),
	}
	turn, _ := turns.LoadOrStore(key, new(sync.Mutex))
	e.turn = turn.(*sync.Mutex)
	e.pipeline.Book().Expect()
	unclosed.Store(e, struct{}{})
	go func() { // ends when the store is open, or when closing begins
		defer close(e.opened)
		defer e.pipeline.Book().Unkept()
		e.turn.Lock()
		s, err := e.open(open)
		if err == nil { // and nobody else has its directory
			if err := remember(e.pipeline.Book()); err != nil {
				log.Error("what was learned about tokens is not there, and will not be kept", slog.Any("error", err))
			}
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.err = err; err != nil {
			e.turn.Unlock()
			return
		}
		for source, calls := range e.early {
			counter := s.Counter(source)
			for range calls.begun {
				counter.Begin()
			}
			for reason, loss := range calls.lost {
				for range loss.count {
					counter.Lose(reason, loss.first)
				}
			}
		}
		e.early = nil
		if e.abandoned { // nobody else closes it, and the next engine waits for its turn
			ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
			defer cancel()
			e.err = errors.Join(errAbandoned, s.Close(ctx))
			e.turn.Unlock()
			return
		}
		e.retaining.Lock()
		if e.store = s; len(e.retained) > 0 { // while the disk was full
			s.SetRetention(*e.retained[len(e.retained)-1])
		}
		e.retaining.Unlock()
		e.ready.Store(true)
		go e.tellOldest() // ends when closing begins
	}()
	return e
}

// errAbandoned says that a store was closed as soon as it was open.
var errAbandoned = errors.New("the store was opened too late: its engine was closed before")

// openAgain is how long a store is left alone that a full disk keeps from being opened.
const openAgain = time.Second

// open opens the store. A full disk is waited out until closing begins: calls pass
// meanwhile, and are counted here.
func (e *engine) open(open func() (store.Store, error)) (store.Store, error) {
	for {
		s, err := open()
		switch {
		case err != nil && !disk.IsFull(err):
			return nil, err
		case err != nil && e.why == nil:
			e.why = err
			close(e.full)
			e.log.Error("the store waits for room on its disk; until then calls pass and are counted, and nothing of them is on record", slog.Any("error", err))
		case err == nil && e.why != nil:
			e.log.Warn("the store has room on its disk and is open")
		}
		if err == nil {
			return s, nil
		}
		select {
		case <-e.closed:
			return nil, err
		case <-time.After(openAgain):
		}
	}
}

// tellOldest tells the store every second since when calls run that it does not know.
func (e *engine) tellOldest() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		e.store.Oldest(e.pipeline.Oldest())
		select {
		case <-e.closed:
			return
		case <-tick.C:
		}
	}
}

// errOpening is why nothing can be read yet.
var errOpening = errors.New("the store is being opened")

// current returns the store if it is open.
func (e *engine) current() (store.Store, error) {
	if e.ready.Load() {
		return e.store, nil
	}
	select {
	case <-e.opened:
		return e.store, e.err
	case <-e.full:
		return nil, e.why
	default:
		return nil, errOpening
	}
}

// add stores a record that is no call.
func (e *engine) add(r *record.Record) {
	s, err := e.current()
	if err == nil {
		_, err = s.Add(r, nil)
	}
	if err != nil {
		e.log.Error("a record of the gateway itself could not be stored",
			slog.String("action", r.Action), slog.Any("error", err))
	}
}

// addLater stores a record that is no call once the store is open.
func (e *engine) addLater(r *record.Record) {
	if e.ready.Load() {
		e.add(r)
		return
	}
	go func() { // ends when the store is open, or closed instead
		<-e.opened
		e.add(r)
	}()
}

// retain lets records be kept for as long as a configuration that starts says,
// until end is called. The newest one counts that has not ended: where a reload
// fails it is the one before again, and at the end the last. A store that is not
// open yet is told when it is.
func (e *engine) retain(r store.Retention) (end func()) {
	e.retaining.Lock()
	defer e.retaining.Unlock()
	e.retained = append(e.retained, &r)
	if e.store != nil {
		e.store.SetRetention(r)
	}
	return sync.OnceFunc(func() {
		e.retaining.Lock()
		defer e.retaining.Unlock()
		e.retained = slices.DeleteFunc(e.retained, func(other *store.Retention) bool { return other == &r })
		if n := len(e.retained); n > 0 && e.store != nil {
			e.store.SetRetention(*e.retained[n-1])
		}
	})
}

// Destruct implements caddy.Destructor. It does not wait: the last lease may be
// that of a call whose worker is to finish before the engine can close.
func (e *engine) Destruct() error {
	go func() { // ends after closeTimeout
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		e.close(ctx)
	}()
	return nil
}

// close makes records of the calls that have ended, and closes the store. Whoever
// comes second waits for the first.
func (e *engine) close(ctx context.Context) {
	e.closing.Do(func() {
		defer unclosed.Delete(e)
		close(e.closed)
		// Calls that cannot become records in time leave the store the time to
		// commit those that have.
		making, cancel := context.WithTimeout(ctx, closeTimeout/5*4)
		defer cancel()
		err := e.pipeline.Close(making)
		select {
		case <-e.opened:
		case <-ctx.Done():
		}
		_, opening := e.current()
		e.mu.Lock()
		e.abandoned = !e.ready.Load()
		e.mu.Unlock()
		switch {
		case !e.abandoned:
			err = errors.Join(err, e.pipeline.Book().Close(making), e.store.Close(ctx))
			e.turn.Unlock()
		default:
			if e.told.Load() {
				opening = nil
			}
			err = errors.Join(err, opening, e.forgotten())
		}
		if err != nil {
			e.log.Error("closing the audit store", slog.Any("error", err))
		}
	})
}

// forgotten says how many calls came to a store that was never open; nil for none.
func (e *engine) forgotten() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, calls := range e.early {
		n += calls.begun
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d calls have passed of which nothing is on record", n)
}

// closeAll closes every engine, also those whose leases are not returned: where
// the grace period has cut off handlers their calls still hold the engine, and
// what has ended must be stored all the same.
func closeAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	var closing sync.WaitGroup
	unclosed.Range(func(e, _ any) bool {
		closing.Go(func() { e.(*engine).close(ctx) })
		return true
	})
	closing.Wait()
}

func init() {
	caddy.OnExit(closeAll)
}

// ledger implements capture.Ledger for one source.
type ledger struct {
	engine  *engine
	source  string
	counter atomic.Pointer[store.Counter]
}

// Begin implements capture.Ledger.
func (l *ledger) Begin() {
	if !l.engine.ready.Load() {
		l.engine.mu.Lock()
		defer l.engine.mu.Unlock()
		if early := l.early(); early != nil {
			early.begun++
			return
		}
	}
	l.count().Begin()
}

// early returns the early calls of this source, nil where the store is open. The
// caller holds the engine's mu.
func (l *ledger) early() *earlyCalls {
	e := l.engine
	if e.early == nil {
		return nil
	}
	if e.early[l.source] == nil {
		e.early[l.source] = &earlyCalls{lost: make(map[string]*earlyLoss)}
	}
	return e.early[l.source]
}

// Settle implements capture.Ledger. It waits while the store is being opened.
func (l *ledger) Settle(r *record.Record) error {
	<-l.engine.opened
	if l.engine.err != nil {
		return fmt.Errorf("the store is not open: %w", l.engine.err)
	}
	_, err := l.engine.store.Add(r, l.count())
	return err
}

// Announce implements capture.Ledger. It never waits: what comes while the store
// is being opened is not taken.
func (l *ledger) Announce(r *record.Record) error {
	s, err := l.engine.current()
	if err == nil {
		_, err = s.Add(r, l.count())
	}
	return err
}

// Receipt implements capture.Ledger. It waits while the store is being opened, but not
// for room on its disk.
func (l *ledger) Receipt(ctx context.Context, r *record.Record) error {
	select {
	case <-l.engine.opened:
	case <-l.engine.full:
	case <-ctx.Done():
	}
	s, err := l.engine.current()
	if err != nil {
		return err
	}
	return s.Receipt(ctx, r, l.count())
}

// Forget implements capture.Ledger. It never waits.
func (l *ledger) Forget() {
	if !l.engine.ready.Load() {
		l.engine.mu.Lock()
		defer l.engine.mu.Unlock()
		if early := l.early(); early != nil {
			early.begun--
			return
		}
	}
	l.count().Forget()
}

// Lose implements capture.Ledger. It never waits.
func (l *ledger) Lose(id record.ID, reason string) {
	if !l.engine.ready.Load() {
		l.engine.mu.Lock()
		defer l.engine.mu.Unlock()
		if early := l.early(); early != nil {
			loss := early.lost[reason]
			if loss == nil {
				loss = &earlyLoss{first: id.Time()}
				early.lost[reason] = loss
			}
			if loss.count++; id.Time().Before(loss.first) {
				loss.first = id.Time()
			}
			return
		}
	}
	l.count().Abandon(id, reason, id.Time())
}

// count returns the store's counter. The store must be open.
func (l *ledger) count() *store.Counter {
	c := l.counter.Load()
	if c == nil {
		c = l.engine.store.Counter(l.source)
		l.counter.Store(c)
	}
	return c
}
