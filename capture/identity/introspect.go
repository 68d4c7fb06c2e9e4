package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The bounds of asking an introspection endpoint.
const (
	// IntrospectTimeout bounds one question.
	IntrospectTimeout = 5 * time.Second
	// IntrospectRest is how long nothing is asked after a question has failed.
	IntrospectRest = 10 * time.Second
	// MaxIntrospected is how many answers are remembered.
	MaxIntrospected = 10_000
	// MaxIntrospectCache is the longest that an answer may be remembered.
	MaxIntrospectCache = time.Hour
	// maxIntrospection is how long an answer may be.
	maxIntrospection = 1 << 20
)

// IntrospectionConfig says whom to ask about tokens (RFC 7662).
type IntrospectionConfig struct {
	URL                    string
	ClientID, ClientSecret string
	// Cache is how long an answer is remembered, yes or no.
	Cache time.Duration
	// Now and Log may be nil. Log is told when asking begins to fail, and when it
	// works again.
	Now func() time.Time
	Log func(msg string, err error)
}

// Introspection asks an authorization server about tokens. It may be used from many
// goroutines.
type Introspection struct {
	config IntrospectionConfig
	client *http.Client
	cache  *cache[Identity]

	// mu guards the rest.
	mu      sync.Mutex
	flights map[string]*flight // by token id
	rest    time.Time          // nothing is asked before
	failing bool
}

// flight is a question that is being asked.
type flight struct {
	done chan struct{}
	id   Identity // once done is closed
}

// NewIntrospection returns who asks.
func NewIntrospection(c IntrospectionConfig) *Introspection {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = func(string, error) {}
	}
	return &Introspection{
		config: c, client: newClient(IntrospectTimeout), cache: newCache[Identity](MaxIntrospected, c.Now),
		flights: make(map[string]*flight),
	}
}

// Who is a [Method]. Where the server does not answer nobody is known.
func (i *Introspection) Who(ctx context.Context, e *Evidence, p Patience) (Identity, bool) {
	return byToken(e, func(t Token) (Identity, bool) {
		if len(t.Raw) > MaxTokenLen {
			return Identity{}, false
		}
		if id, ok := i.cache.get(t.ID); ok {
			return id, false
		}
		switch {
		case p == Never || i.resting():
			return Identity{}, false
		case p == Probe:
			return Identity{}, true
		}
		return i.ask(ctx, t), false
	})
}

// resting reports whether nothing is asked now.
func (i *Introspection) resting() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.config.Now().Before(i.rest)
}

// ask asks about a token, or waits for whoever does.
func (i *Introspection) ask(ctx context.Context, t Token) Identity {
	i.mu.Lock()
	f := i.flights[t.ID]
	first := f == nil
	if first {
		f = &flight{done: make(chan struct{})}
		i.flights[t.ID] = f
	}
	i.mu.Unlock()
	if !first {
		select {
		case <-f.done:
			return f.id
		case <-ctx.Done():
			return Identity{}
		}
	}
	id, until, err := i.question(context.WithoutCancel(ctx), t.Raw)
	if err == nil {
		i.cache.put(t.ID, id, until)
	}
	i.mu.Lock()
	f.id = id
	delete(i.flights, t.ID)
	if err != nil {
		i.rest = i.config.Now().Add(IntrospectRest)
	}
	began, ended := err != nil && !i.failing, err == nil && i.failing
	i.failing = err != nil
	i.mu.Unlock()
	close(f.done)
	switch {
	case began:
		i.config.Log("who holds a token cannot be asked: calls are recorded without it", err)
	case ended:
		i.config.Log("who holds a token can be asked again", nil)
	}
	return id
}

// question asks, and returns who holds the token and until when that is to be
// remembered. Nothing of the token stands in an error.
func (i *Introspection) question(ctx context.Context, token string) (id Identity, until time.Time, err error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.config.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return id, until, errors.New("asking about a token: the address is no good")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(i.config.ClientID), url.QueryEscape(i.config.ClientSecret)) // RFC 6749, section 2.3.1
	res, err := i.client.Do(req)
	if err != nil {
		return id, until, fmt.Errorf("asking about a token: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return id, until, fmt.Errorf("asking about a token: the server answered %d, want 200; redirects are not followed", res.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxIntrospection+1))
	if err != nil {
		return id, until, fmt.Errorf("asking about a token: %w", err)
	}
	var claims jwt.MapClaims
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if len(data) > maxIntrospection || checkObject(data) != nil || dec.Decode(&claims) != nil {
		return id, until, errors.New("asking about a token: the answer is no good JSON object")
	}
	active, ok := claims["active"].(bool)
	if !ok {
		return id, until, errors.New("asking about a token: the answer does not say whether it is active")
	}
	now := i.config.Now()
	until = now.Add(i.config.Cache)
	if _, ends := claims["exp"]; ends && checkTimes(claims) == nil {
		if end := expiry(claims); end.Before(until) {
			until = end
		}
	}
	if !active {
		return id, now.Add(i.config.Cache), nil
	}
	id = Identity{Actor: actorOf(claims), Project: projectOf(claims)}
	id.AuthMethod = "introspect"
	text := func(name string) string { s, _ := claims[name].(string); return clean(s) }
	if id.UserName == "" {
		id.UserName = text("username")
	}
	if !id.Known() { // a program that speaks for itself
		id.UserID = text("client_id")
	}
	return id, until, nil
}
