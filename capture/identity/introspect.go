package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// MaxIntrospectCache is the longest that an answer may be remembered.
const MaxIntrospectCache = time.Hour

// IntrospectionConfig says whom to ask about tokens (RFC 7662).
type IntrospectionConfig struct {
	URL                    string
	ClientID, ClientSecret string
	// Cache is how long an answer is remembered, yes or no.
	Cache time.Duration
	// Now and Log may be nil. Log is told when asking begins to fail, and when it
	// works again, from many goroutines at once.
	Now func() time.Time
	Log func(msg string, err error)
}

// Introspection asks an authorization server about tokens. It may be used from many
// goroutines.
type Introspection struct {
	config IntrospectionConfig
	asker  *asker[Identity]
}

// NewIntrospection returns who asks.
func NewIntrospection(c IntrospectionConfig) *Introspection {
	i := &Introspection{config: c, asker: newAsker[Identity](c.Now, c.Log,
		"who holds a token cannot be asked: calls are recorded without it", "who holds a token can be asked again")}
	i.asker.question = i.question
	return i
}

// Who is a [Method]. Where the server does not answer nobody is known.
func (i *Introspection) Who(ctx context.Context, e *Evidence, p Patience) (Identity, bool) {
	return byToken(e, func(t Token) (Identity, bool) {
		if len(t.Raw) > MaxTokenLen {
			return Identity{}, false
		}
		if id, ok := i.asker.answers.get(t.ID); ok {
			return id, false
		}
		switch {
		case p == Never || i.asker.mute(t.ID):
			return Identity{}, false
		case p == Probe:
			return Identity{}, true
		}
		id, _ := i.asker.ask(ctx, t.ID, t.Raw) // whose error is told to the log
		return id, false
	})
}

// question asks, and returns who holds the token and until when that is to be
// remembered. Nothing of the token stands in an error.
func (i *Introspection) question(ctx context.Context, token string) (id Identity, until time.Time, err error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.config.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return id, until, errors.New("the address is no good")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(i.config.ClientID), url.QueryEscape(i.config.ClientSecret)) // RFC 6749, section 2.3.1
	res, err := exchange(i.asker.client, req)
	if err != nil {
		return id, until, err
	}
	if res.status != http.StatusOK {
		err := fmt.Errorf("the server answered %d, want 200; redirects are not followed", res.status)
		if misled(res.status) {
			return id, until, absent{error: fmt.Errorf("%w: check the address, and by what the gateway is known there", err)}
		}
		return id, until, err
	}
	var claims jwt.MapClaims
	if err := decodeAnswer(res.body, &claims); err != nil {
		return id, until, err
	}
	active, ok := claims["active"].(bool)
	if !ok {
		return id, until, errors.New("the answer does not say whether it is active")
	}
	now := i.asker.now()
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
