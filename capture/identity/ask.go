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
	"sync"
	"time"
)

// The bounds of asking a server about tokens, be it one for introspection or
// Keystone.
const (
	// AskTimeout bounds one question.
	AskTimeout = 5 * time.Second
	// AskRest is how long nothing is asked after the server was away.
	AskRest = 10 * time.Second
	// MaxAnswers is how many answers are remembered.
	MaxAnswers = 10_000
	// MaxQuestions is how many questions are asked of one server at once.
	MaxQuestions = 64
	// maxAnswer is how long an answer may be, in bytes.
	maxAnswer = 1 << 20
)

// asker asks a server about tokens: each token once at a time, no more than
// MaxQuestions at once, and nothing for a while after the server was away. It
// remembers the answers. It may be used from many goroutines.
type asker[A any] struct {
	// question asks about one token, and returns what is to be remembered and until
	// when. Its error is absent where the server cannot be asked at all; another one
	// is about this token alone, which must not keep others from being asked about.
	// Nothing of the token stands in it.
	question func(ctx context.Context, token string) (answer A, until time.Time, err error)
	now      func() time.Time
	// log is told when the server is away, and when it is back; and of answers that
	// are no good, which may be many, not twice within AskRest.
	log         func(msg string, err error)
	gone, again string // what log is told where the server is away, and back

	client  *http.Client
	answers *cache[A] // by token id
	slots   chan struct{}

	// mu guards the rest.
	mu      sync.Mutex
	flights map[string]*flight[A] // by token id
	rest    time.Time             // nothing is asked before
	away    bool
	told    time.Time // when log was last told of an answer that is no good
}

// flight is a question that is being asked.
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
		client: newClient(AskTimeout), answers: newCache[A](MaxAnswers, now),
		slots: make(chan struct{}, MaxQuestions), flights: make(map[string]*flight[A]),
	}
}

// errResting is why nothing is asked now.
var errResting = errors.New("the server was away a moment ago and is left alone")

// resting reports whether nothing is asked now.
func (a *asker[A]) resting() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now().Before(a.rest)
}

// ask returns what is remembered of the token, asks about it, or waits for whoever
// does.
func (a *asker[A]) ask(ctx context.Context, id, token string) (answer A, err error) {
	if answer, ok := a.answers.get(id); ok {
		return answer, nil
	}
	a.mu.Lock()
	if a.now().Before(a.rest) {
		a.mu.Unlock()
		return answer, errResting
	}
	f := a.flights[id]
	first := f == nil
	if first {
		f = &flight[A]{done: make(chan struct{}), err: errors.New("asking about a token ended without an answer")}
		a.flights[id] = f
	}
	a.mu.Unlock()
	if first {
		a.fly(context.WithoutCancel(ctx), f, id, token)
	}
	select {
	case <-f.done:
		return f.answer, f.err
	case <-ctx.Done():
		return answer, ctx.Err()
	}
}

// fly asks for all who wait.
func (a *asker[A]) fly(ctx context.Context, f *flight[A], id, token string) {
	defer func() { // also after a panic: others wait
		a.mu.Lock()
		delete(a.flights, id)
		a.mu.Unlock()
		close(f.done)
	}()
	if answer, ok := a.answers.get(id); ok { // of one who asked just before
		f.answer, f.err = answer, nil
		return
	}
	wait := time.NewTimer(AskTimeout)
	defer wait.Stop()
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-wait.C:
		f.err = fmt.Errorf("as many tokens are asked about as may be at once: %d", MaxQuestions)
		return
	}
	answer, until, err := a.question(ctx, token)
	if err == nil {
		a.answers.put(id, answer, until)
	}
	f.answer, f.err = answer, err
	a.note(err)
}

// note notes how a question went.
func (a *asker[A]) note(err error) {
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

// exchange sends a question and reads the whole answer, which is of any status.
func exchange(client *http.Client, req *http.Request) (r reply, err error) {
	res, err := client.Do(req)
	if err != nil {
		return r, unanswered(err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return r, absent{fmt.Errorf("asking about a token: the server answered %d", res.StatusCode)}
	}
	r = reply{status: res.StatusCode, header: res.Header}
	if r.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1)); err != nil {
		return r, unanswered(err)
	}
	return r, nil
}

// unanswered says why there is no answer: the server cannot be reached or is too slow,
// or it has broken off, which may be because of this token.
func unanswered(err error) error {
	err = fmt.Errorf("asking about a token: %w", err)
	var op *net.OpError
	var slow net.Error
	if errors.As(err, &op) && op.Op == "dial" || errors.As(err, &slow) && slow.Timeout() {
		return absent{err}
	}
	return err
}

// errNoObject is an answer that is no JSON object, or one that two readers could
// understand in two ways.
var errNoObject = errors.New("asking about a token: the answer is no good JSON object")

// decodeAnswer reads an answer into to.
func decodeAnswer(data []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if len(data) > maxAnswer || checkObject(data) != nil || dec.Decode(to) != nil {
		return errNoObject
	}
	return nil
}
