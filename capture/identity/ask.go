package identity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// The bounds of asking a server about tokens, be it one for introspection or
// Keystone.
const (
	// AskTimeout bounds one question.
	AskTimeout = 5 * time.Second
	// AskRest is how long nothing is asked after the server was away, and how long a
	// token is not asked about again of which there was no good answer.
	AskRest = 10 * time.Second
	// MaxAnswers is how many answers are remembered.
	MaxAnswers = 10_000
	// maxFailures is of how many tokens it is remembered that there was none.
	maxFailures = 1000
	// MaxQuestions is how many questions are asked of one server at once.
	MaxQuestions = 64
)

// asker asks a server about tokens: each token once at a time, no more than
// MaxQuestions at once, and nothing for a while after the server was away. What one
// token brings about costs others nothing: where an answer looks as if the server were
// away, it is asked about a token that nobody holds, and is away only if it has no
// answer about that either. It remembers the answers. It may be used from many
// goroutines.
type asker[A any] struct {
	// question asks about one token, and returns what is to be remembered and until
	// when. Its error is absent where it may be that the server cannot be asked at all;
	// another one is about this token alone, which must not keep others from being
	// asked about. Nothing of the token stands in it.
	question func(ctx context.Context, token string) (answer A, until time.Time, err error)
	now      func() time.Time
	// log is told when the server is away, and when it is back; and of answers that
	// are no good, which may be many, not twice within AskRest. It may be called from
	// many goroutines at once.
	log         func(msg string, err error)
	gone, again string // what log is told where the server is away, and back

	timeout  time.Duration // of one question: AskTimeout
	client   *http.Client  // whose questions end with their context
	answers  *cache[A]     // by token id
	failures *cache[error] // likewise: there was no good answer about this token
	slots    chan struct{} // one for each flight

	// mu guards the rest.
	mu      sync.Mutex
	flights map[string]*flight[A] // by token id
	probe   *probe                // nil where none is under way
	rest    time.Time             // nothing is asked before
	away    bool
	told    time.Time // when log was last told of an answer that is no good
}

// flight is a question that is being asked, on a goroutine of its own, which ends
// within AskTimeout, or twice that where the server has to be probed.
type flight[A any] struct {
	done   chan struct{}
	answer A // once done is closed
	err    error
}

// probe is a question about a token that nobody holds.
type probe struct {
	done chan struct{}
	away bool // once done is closed
}

func newAsker[A any](now func() time.Time, log func(string, error), gone, again string) *asker[A] {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = func(string, error) {}
	}
	return &asker[A]{
		now: now, log: log, gone: gone, again: again,
		timeout: AskTimeout, client: newClient(0), answers: newCache[A](MaxAnswers, now), failures: newCache[error](maxFailures, now),
		slots: make(chan struct{}, MaxQuestions), flights: make(map[string]*flight[A]),
	}
}

// errResting is why nothing is asked now.
var errResting = errors.New("the server was away a moment ago and is left alone")

// mute reports whether there is no asking about a token now.
func (a *asker[A]) mute(id string) bool {
	if _, failed := a.failures.get(id); failed {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now().Before(a.rest)
}

// ask returns what is remembered of the token, asks about it, or waits for whoever
// does, as long as ctx lets it and AskTimeout at most: also where there is no place
// for a question.
func (a *asker[A]) ask(ctx context.Context, id, token string) (answer A, err error) {
	if answer, ok := a.answers.get(id); ok {
		return answer, nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	f, err := a.board(id, token, false)
	if f == nil && err == nil {
		select {
		case a.slots <- struct{}{}:
			f, err = a.board(id, token, true)
		case <-ctx.Done():
			err = fmt.Errorf("as many tokens are asked about as may be at once, %d: %w", MaxQuestions, ctx.Err())
		}
	}
	if err != nil {
		return answer, err
	}
	select {
	case <-f.done:
		return f.answer, f.err
	case <-ctx.Done():
		return answer, ctx.Err()
	}
}

// board returns the flight for a token, which it sends off where there is none and
// the caller has a slot, or gets one at once. Without a slot it returns nil.
func (a *asker[A]) board(id, token string, slot bool) (*flight[A], error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, err := a.flights[id], error(nil)
	if f == nil {
		if a.now().Before(a.rest) {
			err = errResting
		} else if failure, failed := a.failures.get(id); failed {
			err = failure
		}
	}
	switch {
	case f != nil || err != nil:
		if slot {
			<-a.slots
		}
		return f, err
	case !slot:
		select {
		case a.slots <- struct{}{}:
		default:
			return nil, nil
		}
	}
	f = &flight[A]{done: make(chan struct{})}
	a.flights[id] = f
	go a.fly(f, id, token)
	return f, nil
}

// fly asks for all who wait.
func (a *asker[A]) fly(f *flight[A], id, token string) {
	defer func() {
		if v := recover(); v != nil {
			f.err = asking(fmt.Errorf("a panic of type %T", v)) // whose value may hold it
			a.note(id, f.err, false)
		}
		a.mu.Lock()
		delete(a.flights, id)
		a.mu.Unlock()
		<-a.slots
		close(f.done)
	}()
	if answer, ok := a.answers.get(id); ok { // of one who asked just before
		f.answer = answer
		return
	}
	answer, until, err := a.put(token)
	if err == nil {
		a.answers.put(id, answer, until)
	} else {
		err = asking(err)
	}
	f.answer, f.err = answer, err
	a.note(id, err, a.isAway(err))
}

// put puts a question.
func (a *asker[A]) put(token string) (A, time.Time, error) {
	ctx, cancel := context.WithTimeout(context.Background(), a.timeout)
	defer cancel()
	return a.question(ctx, token)
}

// isAway reports whether an error is that of a server which is away, and not what a
// token has brought about: filters between here and the server stumble over odd ones.
func (a *asker[A]) isAway(err error) bool {
	var away absent
	if !errors.As(err, &away) || away.unseen {
		return away.unseen
	}
	a.mu.Lock()
	p := a.probe
	switch {
	case p != nil: // whose answer is good for all who come meanwhile
		a.mu.Unlock()
		<-p.done
		return p.away
	case a.now().Before(a.rest): // it was found out a moment ago
		a.mu.Unlock()
		return true
	}
	p = &probe{done: make(chan struct{})}
	a.probe = p
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		if a.probe = nil; p.away {
			a.rest = a.now().Add(AskRest)
		}
		a.mu.Unlock()
		close(p.done)
	}()
	_, _, err = a.put(rand.Text())
	p.away = errors.As(err, &away)
	return p.away
}

// asking says what an error is about. A secret would be taken out of the log behind
// the word token.
func asking(err error) error { return fmt.Errorf("asking whose token it is: %w", err) }

// note notes how a question about a token went.
func (a *asker[A]) note(id string, err error, isAway bool) {
	a.mu.Lock()
	now := a.now()
	began, ended := isAway && !a.away, err == nil && a.away
	bad := err != nil && !isAway && now.Sub(a.told) >= AskRest
	if isAway {
		a.rest = now.Add(AskRest)
	}
	if bad {
		a.told = now
	}
	if err != nil && !isAway {
		a.failures.put(id, err, now.Add(AskRest))
	}
	a.away = isAway || a.away && err != nil
	a.mu.Unlock()
	switch {
	case began:
		a.log(a.gone, err)
	case ended:
		a.log(a.again, nil)
	case bad:
		a.log("nothing is known of a token, since the answer about it is no good", err)
	}
}
