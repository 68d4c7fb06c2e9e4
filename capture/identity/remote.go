package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The bounds of fetching keys.
const (
	// KeysEvery is the least time between two fetches, whatever tokens come: one
	// that names an unknown key has the keys fetched at once, if none were of late.
	KeysEvery = 30 * time.Second
	// KeysFreshFor is how long keys are used before they are fetched anew beside
	// their use, so that a key which is taken back ends.
	KeysFreshFor = 10 * time.Minute
	// MaxKeysAge is how long the last good keys are used where no newer ones can
	// be had.
	MaxKeysAge = 24 * time.Hour
	// KeysTimeout bounds one fetch.
	KeysTimeout = 5 * time.Second
)

// ErrKeysUnavailable is why a token could not be judged: its issuer's keys cannot be
// had.
var ErrKeysUnavailable error = unavailable("the keys of the issuer cannot be had now: try again later")

// unavailable is an error that says nothing of the token.
type unavailable string

func (u unavailable) Error() string { return string(u) }

// Unavailable tells callers who do not know this package that the token is not to
// blame.
func (unavailable) Unavailable() bool { return true }

// errPending is why a token could not be judged without waiting.
var errPending = errors.New("the answer has to be waited for")

// RemoteKeys are the keys that an issuer publishes as a JSON Web Key Set (RFC
// 7517) under a URL. They are fetched when the first token comes, and follow what
// is published there. It may be used from many goroutines.
type RemoteKeys struct {
	url    string
	client *http.Client
	now    func() time.Time
	log    func(msg string, err error)

	// mu guards the rest.
	mu      sync.Mutex
	set     keySet
	good    time.Time     // when set was fetched
	tried   time.Time     // when the last fetch began
	flight  chan struct{} // closed when the fetch that runs is over; nil where none does
	failing bool
}

// NewRemoteKeys returns the keys under url. now and log may be nil; log is told
// when fetching begins to fail, and when it works again.
func NewRemoteKeys(url string, now func() time.Time, log func(msg string, err error)) *RemoteKeys {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = func(string, error) {}
	}
	return &RemoteKeys{url: url, client: newClient(KeysTimeout), now: now, log: log}
}

// newClient returns a client that follows no redirects: who is asked is up to the
// configuration alone.
func newClient(timeout time.Duration) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.MaxConnsPerHost = 16, 64
	transport.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{
		Timeout: timeout, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// keys implements keySource.
func (k *RemoteKeys) keys(ctx context.Context, id, algorithm string, p Patience) ([]jwt.VerificationKey, error) {
	for {
		k.mu.Lock()
		now := k.now()
		usable := k.set != nil && now.Sub(k.good) < MaxKeysAge
		var found []jwt.VerificationKey
		if usable {
			found = k.set.find(id, algorithm)
		}
		due := k.tried.IsZero() || now.Sub(k.tried) >= KeysEvery
		if k.flight == nil && due && (len(found) == 0 || now.Sub(k.good) >= KeysFreshFor) {
			k.tried, k.flight = now, make(chan struct{})
			go k.fetch(k.flight) // ends within KeysTimeout
		}
		flight := k.flight
		k.mu.Unlock()
		switch {
		case len(found) > 0:
			return found, nil
		case flight == nil && usable:
			return nil, nil
		case flight == nil || p == Never:
			return nil, ErrKeysUnavailable
		case p == Probe:
			return nil, errPending
		}
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, ErrKeysUnavailable
		}
	}
}

// fetch fetches the keys, and closes flight.
func (k *RemoteKeys) fetch(flight chan struct{}) {
	set, passed, err := k.get()
	k.mu.Lock()
	if err == nil {
		k.set, k.good = set, k.tried
	}
	k.flight = nil
	began, ended := err != nil && !k.failing, err == nil && k.failing
	k.failing = err != nil
	k.mu.Unlock()
	close(flight)
	switch {
	case began:
		k.log("the keys of tokens cannot be fetched; the last good ones are used for at most "+MaxKeysAge.String(), err)
	case ended:
		k.log("the keys of tokens are fetched again", nil)
	}
	if passed != nil {
		k.log("a key of tokens is passed over", passed)
	}
}

// get returns the keys that are published now. A key that is no good is passed
// over, and costs the others nothing.
func (k *RemoteKeys) get() (set keySet, passed, err error) {
	req, err := http.NewRequest(http.MethodGet, k.url, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("asking for keys: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := k.client.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("fetching keys: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("fetching keys: the issuer answered %d, want 200; redirects are not followed", res.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxJWKSLen+1))
	if err != nil {
		return nil, nil, fmt.Errorf("fetching keys: %w", err)
	}
	set, err = eachKey(data, func(_ int, err error) error { passed = cmp.Or(passed, err); return nil })
	return set, passed, err
}
