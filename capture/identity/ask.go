package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
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
	// maxAnswer is how long an answer may be, in bytes.
	maxAnswer = 1 << 20
)

// asker asks a server about tokens: each token once at a time, no more than
// MaxQuestions at once, and nothing for a while after the server was away. What one
// token brings about costs others nothing. It remembers the answers. It may be used
// from many goroutines.
type asker[A any] struct {
	// question asks about one token, and returns what is to be remembered and until
	// when. Its error is absent where the server cannot be asked at all; another one
	// is about this token alone, which must not keep others from being asked about.
	// Nothing of the token stands in it.
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
	rest    time.Time             // nothing is asked before
	away    bool
	told    time.Time // when log was last told of an answer that is no good
}

// flight is a question that is being asked, on a goroutine of its own, which ends
// within AskTimeout.
type flight[A any] struct {
	done   chan struct{}
	answer A // once done is closed
	err    error
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
	f, err := a.board(id, token, false)
	if f == nil && err == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.timeout)
		defer cancel()
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
			a.note(id, f.err)
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
	ctx, cancel := context.WithTimeout(context.Background(), a.timeout)
	defer cancel()
	answer, until, err := a.question(ctx, token)
	if err == nil {
		a.answers.put(id, answer, until)
	} else {
		err = asking(err)
	}
	f.answer, f.err = answer, err
	a.note(id, err)
}

// asking says what an error is about. A secret would be taken out of the log behind
// the word token.
func asking(err error) error { return fmt.Errorf("asking whose token it is: %w", err) }

// note notes how a question about a token went.
func (a *asker[A]) note(id string, err error) {
	var away absent
	isAway := errors.As(err, &away)
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

// absent is an error of a server that cannot be asked, whatever the token.
type absent struct{ error }

func (a absent) Unwrap() error { return a.error }

// reply is what a server has said.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// exchange sends a question about a token and reads the whole answer. The server is
// absent where no connection can be had, it is too slow, or its status tells of nothing
// that the token brings about. Where it breaks off, or says 500, that may be because of
// this token.
func exchange(client *http.Client, req *http.Request, token string) (r reply, err error) {
	var connected atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) },               // again, where an idle one was dead
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }, // with TLS
	}))
	unanswered := func(err error) error {
		var slow net.Error
		if !connected.Load() || errors.As(err, &slow) && slow.Timeout() {
			return absent{err}
		}
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return r, unanswered(err)
	}
	defer res.Body.Close()
	if status := res.StatusCode; status == http.StatusTooManyRequests || status > http.StatusInternalServerError && ordinary(token) {
		return r, absent{fmt.Errorf("the server answered %d", status)}
	}
	r = reply{status: res.StatusCode, header: res.Header}
	if r.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1)); err != nil {
		return r, unanswered(err)
	}
	return r, nil
}

// misled reports whether a status says that the question itself was not let in, or has
// come to the wrong place.
func misled(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound ||
		status >= 300 && status < 400
}

// ordinary reports whether a token is one that nobody between here and the server
// stumbles over: filters look for odd signs, and the room for a header may be 4 KiB, in
// which Keystone gets it twice.
func ordinary(token string) bool { return len(token) <= 1<<10 && isToken68(token) }

// errNoObject is an answer that is no JSON object, or one that two readers could
// understand in two ways.
var errNoObject = errors.New("the answer is no good JSON object")

// decodeAnswer reads an answer into to.
func decodeAnswer(data []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if len(data) > maxAnswer || checkObject(data) != nil || dec.Decode(to) != nil {
		return errNoObject
	}
	return nil
}
