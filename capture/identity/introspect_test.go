package identity_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
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
	down      atomic.Int64  // what all are answered with, where it is not 0
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
		case a.down.Load() != 0:
			w.WriteHeader(int(a.down.Load()))
		case id != "gateway" || secret != "s%3A+cret": // RFC 6749: form-encoded before
			w.WriteHeader(http.StatusUnauthorized)
		case token == "ended":
			_, _ = w.Write([]byte(`{"active":false}`))
		case strings.Contains(token, "/etc/passwd"): // as a filter before it does
			w.WriteHeader(http.StatusForbidden)
		case strings.HasPrefix(token, "status-"):
			status, _ := strconv.Atoi(token[len("status-"):][:3])
			w.WriteHeader(status)
		case token == "breaks":
			panic(http.ErrAbortHandler)
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

// holding has answers wait until release, or the end of the test.
func (a *asked) holding(t *testing.T) (release func()) {
	hold := make(chan struct{})
	a.hold, release = hold, sync.OnceFunc(func() { close(hold) })
	t.Cleanup(release)
	return release
}

// never is how long a question may take where a test waits for its answer, however
// busy the machine is.
const never = 24 * time.Hour

func (a *asked) method(c *clock, log *[]string) *identity.Introspection {
	i := identity.NewIntrospection(identity.IntrospectionConfig{
		URL: a.URL, ClientID: "gateway", ClientSecret: "s: cret", Cache: 5 * time.Minute, Now: c.Now, Log: into(log),
	})
	i.SetTimeout(never)
	return i
}

// into returns a log that is kept in lines, which are to be read when nobody asks.
func into(lines *[]string) func(string, error) {
	var mu sync.Mutex
	return func(msg string, err error) {
		mu.Lock()
		defer mu.Unlock()
		*lines = append(*lines, fmt.Sprint(msg, " ", err))
	}
}

// waitFor waits until something has come to pass: for a minute at most, so that a test
// which waits in vain says for what.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 60_000 {
		if done() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("waited in vain for ", what)
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

// A server that answers nobody is away: that is found out with the first token, and by
// one that nobody holds.
func TestServerThatFailsIsLeftAlone(t *testing.T) {
	for _, status := range []int64{307, 401, 403, 404, 429, 502, 503, 504} {
		a, c, log := newAsked(t), newClock(), []string{}
		a.down.Store(status)
		i := a.method(c, &log)
		for n := range 100 {
			if who, pending := i.Who(t.Context(), evidence(fmt.Sprint(n)), identity.Wait); pending || who.Known() {
				t.Fatalf("%d: got %+v", status, who)
			}
		}
		if _, pending := i.Who(t.Context(), evidence("x"), identity.Probe); pending {
			t.Errorf("%d: a call is to wait for a server that fails", status)
		}
		if n := a.questions.Load(); n != 2 || len(log) != 1 {
			t.Errorf("%d: %d questions, %v", status, n, log)
		}
		a.down.Store(0)
		c.forward(identity.AskRest)
		if who, _ := i.Who(t.Context(), evidence("a"), identity.Wait); who.UserID != "u-a" || len(log) != 2 {
			t.Errorf("%d: when it is back: %+v, %v", status, who, log)
		}
	}
}

func TestOneTokenIsAskedForOnceAtATime(t *testing.T) {
	a, log := newAsked(t), []string{}
	release := a.holding(t)
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
	waitFor(t, "a question", func() bool { return a.questions.Load() > 0 })
	release()
	all.Wait()
	if n := a.questions.Load(); n != 1 {
		t.Errorf("%d questions, want 1", n)
	}
}

// Whoever sends a token has no say in whether others are known.
func TestWhatOneTokenBringsAboutCostsOthersNothing(t *testing.T) {
	long := strings.Repeat("x", 2<<10)
	for token, questions := range map[string]int64{
		"status-400": 1, "status-405": 1, "status-413": 1, "status-414": 1, "status-431": 1, "status-500": 1,
		"breaks": 1, "yes": 1, "twice": 1, "long": 1,
		// Where it looks as if the server were away, it is asked whether it is.
		"status-307": 2, "status-401": 2, "status-403": 2, "status-404": 2, "status-403' or 1=1--": 2, "status-404-" + long: 2,
		"status-429": 2, "status-502": 2, "status-503": 2, "status-504": 2, "status-502-" + long: 2, "../../../etc/passwd": 2,
	} {
		a, c, log := newAsked(t), newClock(), []string{}
		i := a.method(c, &log)
		for range 3 {
			if who, pending := i.Who(t.Context(), evidence(token), identity.Wait); pending || who.Known() {
				t.Errorf("%.20s: %+v", token, who)
			}
		}
		if _, pending := i.Who(t.Context(), evidence(token), identity.Probe); pending || a.questions.Load() != questions || len(log) != 1 {
			t.Errorf("%.20s: pending %t after %d questions, %v", token, pending, a.questions.Load(), log)
		}
		if who, _ := i.Who(t.Context(), evidence("a"), identity.Wait); who.UserID != "u-a" {
			t.Errorf("%.20s: of another token is known: %+v", token, who)
		}
		c.forward(identity.AskRest)
		if _, pending := i.Who(t.Context(), evidence(token), identity.Probe); !pending {
			t.Errorf("%.20s: is not asked about again", token)
		}
	}
}

// A server whose certificate is no good has not seen the token.
func TestServerThatNobodyCanSpeakToIsLeftAlone(t *testing.T) {
	questions := 0
	a := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { questions++ }))
	a.Config.ErrorLog = log.New(io.Discard, "", 0)
	a.StartTLS()
	defer a.Close()
	var told []string
	i := identity.NewIntrospection(identity.IntrospectionConfig{URL: a.URL, Now: newClock().Now, Log: func(msg string, err error) { told = append(told, fmt.Sprint(msg, err)) }})
	for n := range 3 {
		i.Who(t.Context(), evidence(fmt.Sprint(n)), identity.Wait)
	}
	if _, pending := i.Who(t.Context(), evidence("x"), identity.Probe); pending || questions > 0 || len(told) != 1 {
		t.Errorf("pending %t after %d questions, %q", pending, questions, told)
	}
}

// Whoever asks waits as long as they want to, though others wait on.
func TestWhoeverAsksMayLeave(t *testing.T) {
	a, log := newAsked(t), []string{}
	release := a.holding(t)
	i := a.method(newClock(), &log)
	ctx, leave := context.WithCancel(t.Context())
	first := make(chan struct{})
	go func() {
		defer close(first)
		if who, _ := i.Who(ctx, evidence("a"), identity.Wait); who.Known() {
			t.Errorf("who has left got %+v", who)
		}
	}()
	waitFor(t, "a question", func() bool { return a.questions.Load() > 0 })
	second := make(chan identity.Identity)
	go func() {
		who, _ := i.Who(t.Context(), evidence("a"), identity.Wait)
		second <- who
	}()
	leave()
	<-first // while the question goes on
	release()
	if who := <-second; who.UserID != "u-a" || a.questions.Load() != 1 {
		t.Errorf("got %+v after %d questions", who, a.questions.Load())
	}
}

// However many tokens come, no more are asked about at once; the others wait, and may
// leave.
func TestQuestionsAtOnceAreBounded(t *testing.T) {
	a, log := newAsked(t), []string{}
	release := a.holding(t)
	i := a.method(newClock(), &log)
	var all sync.WaitGroup
	known := new(atomic.Int64)
	for n := range 2 * identity.MaxQuestions {
		all.Go(func() {
			if who, _ := i.Who(t.Context(), evidence(fmt.Sprint(n)), identity.Wait); who.Known() {
				known.Add(1)
			}
		})
	}
	waitFor(t, "as many questions as may be", func() bool { return a.questions.Load() >= identity.MaxQuestions })
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if who, _ := i.Who(ctx, evidence("late"), identity.Wait); who.Known() || a.questions.Load() != identity.MaxQuestions {
		t.Errorf("%d questions at once, got %+v", a.questions.Load(), who)
	}
	release()
	all.Wait()
	if known.Load() != 2*identity.MaxQuestions {
		t.Errorf("%d tokens are known, of %d", known.Load(), 2*identity.MaxQuestions)
	}
}
