package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/auditgate/auditgate/capture/identity"
)

// issuer publishes keys, as a test says.
type issuer struct {
	*httptest.Server
	fetches atomic.Int64
	answer  atomic.Pointer[http.HandlerFunc]
}

func newIssuer(t *testing.T) *issuer {
	i := new(issuer)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.fetches.Add(1)
		(*i.answer.Load())(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

// publish has the issuer answer with these keys.
func (i *issuer) publish(keys ...jose.JSONWebKey) {
	i.does(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(jwks(keys...)) })
}

func (i *issuer) does(answer http.HandlerFunc) { i.answer.Store(&answer) }

// clock is moved by hand.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.at.Store(now.UnixNano())
	return c
}

func (c *clock) Now() time.Time           { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) forward(by time.Duration) { c.at.Add(int64(by)) }

// watching returns a verifier of the issuer's keys, whose clock is c.
func (i *issuer) watching(t *testing.T, c *clock) *identity.Verifier {
	keys := identity.NewRemoteKeys(i.URL, c.Now, nil)
	keys.SetTimeout(never)
	return newVerifier(t, func(v *identity.VerifierConfig) {
		v.Remote, v.Now = keys, c.Now
	})
}

// lasting returns a token that is good for weeks.
func lasting(id string, key *ecdsa.PrivateKey) string {
	return sign(`{"alg":"ES256","kid":"`+id+`"}`, fmt.Sprintf(`{"sub":"u1","aud":"auditgate","iss":"https://id.example.com","exp":%d}`, now.Add(1000*time.Hour).Unix()), jwt.SigningMethodES256, key)
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func public(id string, key *ecdsa.PrivateKey) jose.JSONWebKey {
	return jose.JSONWebKey{Key: &key.PublicKey, KeyID: id}
}

func TestRotatedKeysAreFetchedWhenATokenNamesThem(t *testing.T) {
	i, c, one, two := newIssuer(t), newClock(), newKey(), newKey()
	i.publish(public("one", one))
	v := i.watching(t, c)
	good := func(token string) {
		t.Helper()
		if _, _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	good(lasting("one", one))
	i.publish(public("one", one), public("two", two))
	if _, _, err := v.Verify(t.Context(), lasting("two", two)); err == nil {
		t.Error("keys were fetched twice at once")
	}
	c.forward(identity.KeysEvery)
	good(lasting("two", two))
	good(lasting("one", one))
	if n := i.fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}

	// A key that is taken back ends, though nobody asks for another one.
	i.publish(public("two", two))
	c.forward(identity.KeysFreshFor)
	good(lasting("one", one)) // and has them fetched beside
	waitFor(t, "the end of a key that was taken back", func() bool {
		_, _, err := v.Verify(t.Context(), lasting("one", one))
		return err != nil
	})
}

func TestTenThousandUnknownKeyIDsMakeOneFetchIn30Seconds(t *testing.T) {
	i, c, key := newIssuer(t), newClock(), newKey()
	i.publish(public("one", key))
	v := i.watching(t, c)
	flood := func() {
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				for m := range 1250 {
					id := fmt.Sprintf("%d-%d", n, m)
					if _, _, err := v.Verify(t.Context(), unsignedBy(id)); err == nil {
						t.Error("accepted")
					}
				}
			})
		}
		all.Wait()
	}
	flood()
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("%d fetches for 10,000 unknown key ids, want 1", n)
	}
	c.forward(identity.KeysEvery - time.Second)
	flood()
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("%d fetches within %s, want 1", n, identity.KeysEvery)
	}
	c.forward(time.Second)
	flood()
	if n := i.fetches.Load(); n != 2 {
		t.Errorf("%d fetches after %s, want 2", n, identity.KeysEvery)
	}
}

// unsignedBy is a token of that key id whose signature is nothing.
func unsignedBy(id string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"alg":"ES256","kid":"`+id+`"}`)) + "." + b64([]byte(claims(""))) + "." + b64([]byte("nothing"))
}

func TestLastGoodKeysServeThroughAnOutageAndNoLonger(t *testing.T) {
	i, c, key := newIssuer(t), newClock(), newKey()
	i.publish(public("one", key))
	v := i.watching(t, c)
	token := lasting("one", key)
	verify := func() error { _, _, err := v.Verify(t.Context(), token); return err }
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	i.does(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	for c.Now().Before(now.Add(identity.MaxKeysAge - time.Second)) {
		if err := verify(); err != nil {
			t.Fatalf("after %s: %v", c.Now().Sub(now), err)
		}
		c.forward(time.Hour - time.Millisecond)
	}
	c.forward(time.Hour)
	if err := verify(); !errors.Is(err, identity.ErrKeysUnavailable) {
		t.Errorf("keys of %s ago: error is %v", c.Now().Sub(now), err)
	}
	i.publish(public("one", key))
	c.forward(identity.KeysEvery)
	if err := verify(); err != nil {
		t.Errorf("the issuer is back: %v", err)
	}
}

func TestHostileKeySetsAreNotTaken(t *testing.T) {
	key := newKey()
	set := func(keys ...jose.JSONWebKey) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(jwks(keys...)) }
	}
	elsewhere := newIssuer(t)
	elsewhere.publish(public("one", key))
	many := make([]jose.JSONWebKey, 65)
	for i := range many {
		many[i] = public("one", key)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"an error with keys": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write(jwks(public("one", key)))
		},
		"ten mebibytes": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[],"x":"` + strings.Repeat("x", 10<<20) + `"}`))
		},
		"too many keys": set(many...),
		"no keys":       set(),
		"no JSON":       func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"broken off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(jwks(public("one", key)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.does(answer)
			_, _, err := i.watching(t, newClock()).Verify(t.Context(), lasting("one", key))
			if !errors.Is(err, identity.ErrKeysUnavailable) {
				t.Errorf("error is %v", err)
			}
		})
	}
	if n := elsewhere.fetches.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

func TestKeysThatAreTooWeakAreRefusedAndOthersGood(t *testing.T) {
	i, key := newIssuer(t), newKey()
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	i.publish(
		jose.JSONWebKey{Key: &weak.PublicKey, KeyID: "weak"},
		jose.JSONWebKey{Key: &rsa.PublicKey{N: new(big.Int).Exp(big.NewInt(65537), big.NewInt(128), nil), E: 65537}, KeyID: "roca"},
		public("one", key),
	)
	v := i.watching(t, newClock())
	if _, _, err := v.Verify(t.Context(), lasting("one", key)); err != nil {
		t.Error(err)
	}
	if _, _, err := v.Verify(t.Context(), sign(`{"alg":"RS256","kid":"weak"}`, claims(""), jwt.SigningMethodRS256, weak)); err == nil {
		t.Error("a key of 1024 bits was taken")
	}
	if _, _, err := v.Verify(t.Context(), sign(`{"alg":"HS256","kid":"one"}`, claims(""), jwt.SigningMethodHS256, secret)); err == nil {
		t.Error("a secret was taken")
	}
}
