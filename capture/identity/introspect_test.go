package identity_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auditgate/auditgate/capture/identity"
)

// asked is an introspection endpoint.
type asked struct {
	*httptest.Server
	questions atomic.Int64
	down      atomic.Bool
	hold      chan struct{} // answers wait for it
}

func newAsked(t *testing.T) *asked {
	a := &asked{hold: make(chan struct{})}
	close(a.hold)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.questions.Add(1)
		<-a.hold
		id, secret, _ := r.BasicAuth()
		switch token := r.PostFormValue("token"); {
		case a.down.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case id != "gateway" || secret != "s%3A+cret": // RFC 6749: form-encoded before
			w.WriteHeader(http.StatusUnauthorized)
		case token == "ended":
			_, _ = w.Write([]byte(`{"active":false}`))
		case token == "redirect":
			http.Redirect(w, r, a.URL, http.StatusFound)
		case token == "program":
			_, _ = w.Write([]byte(`{"active":true,"client_id":"robot"}`))
		case token == "yes":
			_, _ = w.Write([]byte(`{"active":"yes","sub":"x"}`))
		case token == "twice":
			_, _ = w.Write([]byte(`{"active":false,"active":true,"sub":"x"}`))
		case token == "long":
			_, _ = w.Write([]byte(`{"active":true,"sub":"x","x":"` + strings.Repeat("x", 2<<20) + `"}`))
		default:
			_, _ = fmt.Fprintf(w, `{"active":true,"sub":"u-%s","username":"Ann","email":"ann@example.org","project_id":"p","exp":%d}`, token, now.Add(time.Minute).Unix())
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *asked) method(c *clock, log *[]string) *identity.Introspection {
	return identity.NewIntrospection(identity.IntrospectionConfig{
		URL: a.URL, ClientID: "gateway", ClientSecret: "s: cret", Cache: 5 * time.Minute, Now: c.Now,
		Log: func(msg string, err error) { *log = append(*log, fmt.Sprint(msg, err)) },
	})
}

func evidence(token string) *identity.Evidence {
	return &identity.Evidence{At: now, Tokens: []identity.Token{{Raw: token, ID: "id of " + token}}}
}

func TestIntrospectionNamesWhoHoldsAToken(t *testing.T) {
	a, c, log := newAsked(t), newClock(), []string{}
	i := a.method(c, &log)
	for range 10 {
		who, pending := i.Who(t.Context(), evidence("a"), identity.Wait)
		if pending || who.UserID != "u-a" || who.UserName != "Ann" || who.Project != "p" || who.AuthMethod != "introspect" || !who.AuthVerified || who.TokenID != "id of a" {
			t.Fatalf("got %+v", who)
		}
		if who, _ := i.Who(t.Context(), evidence("ended"), identity.Wait); who.Known() {
			t.Fatalf("a token that has ended: %+v", who)
		}
	}
	if who, _ := i.Who(t.Context(), evidence("program"), identity.Wait); who.UserID != "robot" {
		t.Errorf("a program: %+v", who)
	}
	if n := a.questions.Load(); n != 3 {
		t.Errorf("%d questions, want 3: answers are remembered", n)
	}
	c.forward(time.Minute) // the token's end comes before that of the cache
	i.Who(t.Context(), evidence("a"), identity.Wait)
	i.Who(t.Context(), evidence("ended"), identity.Wait)
	if n := a.questions.Load(); n != 4 {
		t.Errorf("%d questions, want 4", n)
	}
	if len(log) > 0 {
		t.Error(log)
	}
}

func TestAnswersThatAreNoGoodNameNobody(t *testing.T) {
	for _, token := range []string{"redirect", "yes", "twice", "long"} {
		a, log := newAsked(t), []string{}
		who, _ := a.method(newClock(), &log).Who(t.Context(), evidence(token), identity.Wait)
		if who.Known() || len(log) != 1 || strings.Contains(log[0], "cret") {
			t.Errorf("%s: %+v, %v", token, who, log)
		}
	}
}

func TestServerThatFailsIsLeftAlone(t *testing.T) {
	a, c, log := newAsked(t), newClock(), []string{}
	a.down.Store(true)
	i := a.method(c, &log)
	for n := range 100 {
		if who, pending := i.Who(t.Context(), evidence(fmt.Sprint(n)), identity.Wait); pending || who.Known() {
			t.Fatalf("got %+v", who)
		}
	}
	if _, pending := i.Who(t.Context(), evidence("x"), identity.Probe); pending {
		t.Error("a call is to wait for a server that fails")
	}
	if n := a.questions.Load(); n != 1 || len(log) != 1 {
		t.Errorf("%d questions, %v", n, log)
	}
	a.down.Store(false)
	c.forward(identity.AskRest)
	if who, _ := i.Who(t.Context(), evidence("a"), identity.Wait); who.UserID != "u-a" || len(log) != 2 {
		t.Errorf("when it is back: %+v, %v", who, log)
	}
}

func TestOneTokenIsAskedForOnceAtATime(t *testing.T) {
	a, log := newAsked(t), []string{}
	a.hold = make(chan struct{})
	i := a.method(newClock(), &log)
	if _, pending := i.Who(t.Context(), evidence("a"), identity.Probe); !pending {
		t.Error("it was not said that the answer is pending")
	}
	if who, pending := i.Who(t.Context(), evidence("a"), identity.Never); pending || who.Known() {
		t.Errorf("without asking: %+v", who)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if who, _ := i.Who(t.Context(), evidence("a"), identity.Wait); who.UserID != "u-a" {
				t.Errorf("got %+v", who)
			}
		})
	}
	for a.questions.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	close(a.hold)
	all.Wait()
	if n := a.questions.Load(); n != 1 {
		t.Errorf("%d questions, want 1", n)
	}
}
