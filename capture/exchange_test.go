package capture_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/record"
)

func TestCallIsRecordedWhole(t *testing.T) {
	g := newGateway(t, func(w http.ResponseWriter, r *http.Request) error {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Openstack-Request-Id", "req-42")
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"got": %d}`, len(body))
		return nil
	}, nil)
	g.Start()
	res, answer := g.call(t, "POST", "/v2.1/serv%65rs?name=a&token=s3cret", strings.NewReader(`{"server": {"adminPass": "s3cret"}}`),
		"Content-Type", "application/json", "Cookie", "sid=s3cret", "User-Agent", "test/1.0",
		"Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if res.StatusCode != 202 || answer != `{"got": 35}` {
		t.Fatalf("the client got %d %q", res.StatusCode, answer)
	}
	r := g.settled(t)
	for what, pair := range map[string][2]any{
		"source":     {r.Source, "shop"},
		"method":     {r.Method, "POST"},
		"uri":        {r.URI, "/v2.1/serv%65rs"},
		"status":     {r.Status, 202},
		"outcome":    {r.Outcome, record.OutcomeComplete},
		"success":    {r.Success, record.SuccessYes},
		"protocol":   {r.Protocol, "HTTP/1.1"},
		"user agent": {r.UserAgent, "test/1.0"},
		"user ip":    {r.UserIP, "192.0.2.1"},
		"peer ip":    {r.PeerIP, "127.0.0.1"},
		"request id": {r.RequestID, "req-42"},
		"trace id":   {r.TraceID, "4bf92f3577b34da6a3ce929d0e0e4736"},
		"answer":     {string(r.ResponseBody.Content), `{"got": 35}`},
		"state":      {r.RequestBody.State, record.BodyComplete},
		"size":       {r.RequestBody.Size, int64(35)},
		"timestamp":  {r.Timestamp, r.EventID.Time()},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %v, want %v", what, pair[0], pair[1])
		}
	}
	if stored := fmt.Sprintf("%+v %s", r, r.RequestBody.Content); strings.Contains(stored, "s3cret") {
		t.Errorf("a secret is in the record: %s", stored)
	}
	if r.RequestBody.SHA256 != "" || r.RequestBody.HMACSHA256 == "" {
		t.Error("the digest of a redacted body is not keyed")
	}
	sum := sha256.Sum256([]byte(answer))
	if r.ResponseBody.SHA256 != hex.EncodeToString(sum[:]) {
		t.Error("the digest of a whole body is not its SHA-256")
	}
}

// The ways in which handlers write, each of which a wrapper can get wrong.
func TestResponseIsSeenHoweverItIsWritten(t *testing.T) {
	for name, tc := range map[string]struct {
		write  func(w http.ResponseWriter)
		status int
		body   string
	}{
		"write alone":          {func(w http.ResponseWriter) { io.WriteString(w, "hello") }, 200, "hello"},
		"header and write":     {func(w http.ResponseWriter) { w.WriteHeader(201); io.WriteString(w, "hello") }, 201, "hello"},
		"copy":                 {func(w http.ResponseWriter) { io.Copy(w, strings.NewReader("hello")) }, 200, "hello"},
		"copy without WriteTo": {func(w http.ResponseWriter) { io.Copy(w, struct{ io.Reader }{strings.NewReader("hello")}) }, 200, "hello"},
		"flush first": {func(w http.ResponseWriter) {
			_ = http.NewResponseController(w).Flush()
			io.WriteString(w, "hello")
		}, 200, "hello"},
		"early hints": {func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(204) }, 204, ""},
		"nothing":     {func(http.ResponseWriter) {}, 200, ""},
		"header twice": {func(w http.ResponseWriter) {
			w.WriteHeader(404)
			w.WriteHeader(200)
		}, 404, ""},
	} {
		for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
			t.Run(name+" over "+protocol, func(t *testing.T) {
				g := newGateway(t, func(w http.ResponseWriter, _ *http.Request) error { tc.write(w); return nil }, nil)
				if protocol == "HTTP/2.0" {
					g.StartTLS()
				} else {
					g.Start()
				}
				res, body := g.call(t, "GET", "/", nil)
				if res == nil || res.StatusCode != tc.status || body != tc.body {
					t.Fatalf("the client got %v %q", res, body)
				}
				r := g.settled(t)
				if r.Status != tc.status || string(r.ResponseBody.Content) != tc.body || r.Outcome != record.OutcomeComplete {
					t.Errorf("recorded %d %q, %s", r.Status, r.ResponseBody.Content, r.Outcome)
				}
				if r.Protocol != protocol {
					t.Errorf("protocol is %s", r.Protocol)
				}
			})
		}
	}
}

func TestBodiesAreKeptUpToTheirCap(t *testing.T) {
	const limit = 1 << 10
	for _, size := range []int{0, 1, limit - 1, limit, limit + 1, 3 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			g := newGateway(t, func(w http.ResponseWriter, r *http.Request) error {
				w.Header().Set("Content-Type", "text/plain")
				body, err := io.ReadAll(r.Body)
				w.Write(body)
				return err
			}, nil)
			g.Start()
			sent := bytes.Repeat([]byte("a"), size)
			_, back := g.call(t, "POST", "/", bytes.NewReader(sent), "Content-Type", "text/plain")
			if back != string(sent) {
				t.Fatalf("%d bytes came back of %d", len(back), size)
			}
			r := g.settled(t)
			sum := sha256.Sum256(sent)
			for name, b := range map[string]record.Body{"request": r.RequestBody, "response": r.ResponseBody} {
				if b.Size != int64(size) || len(b.Content) != min(size, limit) || b.Kept != int64(min(size, limit)) {
					t.Errorf("%s: %d bytes, %d kept, %d there", name, b.Size, b.Kept, len(b.Content))
				}
				want, keyed := record.BodyComplete, false
				switch {
				case size == 0:
					want = record.BodyNone
				case size > limit:
					want, keyed = record.BodyTruncated, true
				}
				if b.State != want || (want == record.BodyTruncated && b.Reason != record.ReasonCap) {
					t.Errorf("%s: state %s, reason %q, want %s", name, b.State, b.Reason, want)
				}
				if plain := b.SHA256 == hex.EncodeToString(sum[:]); size > 0 && plain == keyed {
					t.Errorf("%s: digest %q, keyed %q", name, b.SHA256, b.HMACSHA256)
				}
			}
		})
	}
}

func TestErrorsAreRecordedAsTheClientSawThem(t *testing.T) {
	fails := func(http.ResponseWriter, *http.Request) error { return errUpstream }
	t.Run("without an error route", func(t *testing.T) {
		g := newGateway(t, fails, nil)
		g.Start()
		g.call(t, "GET", "/", nil)
		r := g.settled(t)
		if r.Status != 502 || r.StatusSource != "error" || r.Outcome != record.OutcomeUpstreamError || r.Success != record.SuccessNo {
			t.Errorf("recorded %d (%s), %s, %s", r.Status, r.StatusSource, r.Outcome, r.Success)
		}
	})
	t.Run("with a captured error route", func(t *testing.T) {
		g := newGateway(t, fails, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, "sorry")
		})
		g.Start()
		g.call(t, "GET", "/", nil)
		r := g.settled(t)
		if r.Status != 418 || r.StatusSource != "" || r.Outcome != record.OutcomeUpstreamError || r.Success != record.SuccessNo || r.ResponseBody.Size != 5 {
			t.Errorf("recorded %d (%s), %s, %d bytes", r.Status, r.StatusSource, r.Outcome, r.ResponseBody.Size)
		}
	})
}

// Nobody writes into a tenant's log while the component is away, whatever the error
// route answers.
func TestProjectOfACallThatFailedIsAClaim(t *testing.T) {
	g := newGateway(t, func(http.ResponseWriter, *http.Request) error { return errUpstream }, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "sorry")
	})
	g.facts.Project = "victim"
	g.Start()
	g.call(t, "GET", "/victim/x", nil)
	if r := g.settled(t); r.Status != 200 || r.Project != "" || r.ClaimedProject != "victim" {
		t.Errorf("status %d, project %q, claimed %q", r.Status, r.Project, r.ClaimedProject)
	}
}

func TestAbortsAreRecordedAsSuch(t *testing.T) {
	partial := func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "partial")
		_ = http.NewResponseController(w).Flush()
	}
	for name, tc := range map[string]struct {
		handle  func(w http.ResponseWriter, r *http.Request) error
		outcome record.Outcome
		status  int
	}{
		"the upstream breaks off": {func(w http.ResponseWriter, _ *http.Request) error {
			partial(w)
			panic(http.ErrAbortHandler)
		}, record.OutcomeUpstreamError, 200},
		"the handler stops short": {func(w http.ResponseWriter, _ *http.Request) error {
			partial(w)
			return nil
		}, record.OutcomeAborted, 200},
		"the handler panics": {func(http.ResponseWriter, *http.Request) error {
			panic(errors.New("a bug that knows s3cret"))
		}, record.OutcomeAborted, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, tc.handle, nil)
			g.Start()
			g.call(t, "GET", "/", nil)
			r := g.settled(t)
			if r.Outcome != tc.outcome || r.Status != tc.status || r.Success != record.SuccessUnknown {
				t.Errorf("recorded %s, %d, %s", r.Outcome, r.Status, r.Success)
			}
			if r.ResponseBody.Size > 0 && (r.ResponseBody.State != record.BodyTruncated || r.ResponseBody.Reason != record.ReasonAborted) {
				t.Errorf("the body is %s, %q", r.ResponseBody.State, r.ResponseBody.Reason)
			}
		})
	}
	t.Run("the client leaves", func(t *testing.T) {
		left := make(chan struct{})
		g := newGateway(t, func(w http.ResponseWriter, r *http.Request) error {
			partial(w)
			<-r.Context().Done()
			close(left)
			panic(http.ErrAbortHandler) // as a proxy does
		}, nil)
		g.Start()
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "GET", g.URL, nil)
		res, err := g.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		res.Body.Close()
		<-left
		if r := g.settled(t); r.Outcome != record.OutcomeAborted || r.Status != 200 {
			t.Errorf("recorded %s, %d", r.Outcome, r.Status)
		}
	})
}

func TestUpgradedConnectionIsCountedEachWay(t *testing.T) {
	g := newGateway(t, func(w http.ResponseWriter, _ *http.Request) error {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return err
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, err := buffered.ReadString('\n')
		if err == nil {
			_, err = io.WriteString(conn, line)
		}
		return err
	}, nil)
	g.Start()
	conn, err := net.Dial("tcp", g.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(conn)
	for line, _ := r.ReadString('\n'); line != "\r\n"; line, _ = r.ReadString('\n') {
	}
	fmt.Fprintf(conn, "hello\n")
	if echo, err := r.ReadString('\n'); echo != "hello\n" {
		t.Fatalf("the echo is %q, %v", echo, err)
	}
	conn.Close()
	got := g.settled(t)
	if got.Outcome != record.OutcomeUpgraded || got.Status != 101 || got.RequestBody.Size != 6 ||
		got.ResponseBody.Size < 6 || len(got.RequestBody.Content) != 0 {
		t.Errorf("recorded %s, %d, %d bytes up, %d down", got.Outcome, got.Status, got.RequestBody.Size, got.ResponseBody.Size)
	}
}

func TestBodyIsNotReadBeforeTheHandlerReadsIt(t *testing.T) {
	g := newGateway(t, func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return nil
	}, nil)
	g.Start()
	conn, err := net.Dial("tcp", g.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
	answer, _ := io.ReadAll(conn)
	if strings.Contains(string(answer), "100 Continue") || !strings.Contains(string(answer), "413") {
		t.Errorf("the answer is %q", answer)
	}
	if r := g.settled(t); r.Status != 413 || r.RequestBody.Size != 0 {
		t.Errorf("recorded %d, %d bytes", r.Status, r.RequestBody.Size)
	}
}

func TestCallThatBecomesNoRecordIsCounted(t *testing.T) {
	g := newGateway(t, func(http.ResponseWriter, *http.Request) error { return nil }, nil)
	g.refuse = errors.New("full")
	g.Start()
	g.call(t, "GET", "/", nil)
	g.Server.Close()
	if err := g.pipeline.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if g.begun != 1 || len(g.lost) != 1 || g.lost[0] != capture.LostStore || g.released != 1 {
		t.Errorf("%d begun, lost %v, %d released", g.begun, g.lost, g.released)
	}
}

func TestBodiesGoFirstWhenMemoryIsUsedUp(t *testing.T) {
	g := newGateway(t, func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.Copy(w, r.Body)
		return err
	}, nil)
	g.pipeline.Budget().SetLimit(4 << 10) // enough for the call, not for a buffer as well
	g.Start()
	g.call(t, "POST", "/", strings.NewReader("hello"))
	r := g.settled(t)
	if r.RequestBody.State != record.BodyWithheld || r.RequestBody.Reason != record.ReasonMemory || r.RequestBody.Size != 5 {
		t.Errorf("the body is %s, %q, %d bytes", r.RequestBody.State, r.RequestBody.Reason, r.RequestBody.Size)
	}
}

func TestCallIsCountedAsLostWhenMemoryIsFarExceeded(t *testing.T) {
	g := newGateway(t, func(http.ResponseWriter, *http.Request) error { return nil }, nil)
	g.pipeline.Budget().SetLimit(1)
	g.Start()
	g.call(t, "GET", "/", nil)
	g.Server.Close()
	if err := g.pipeline.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if g.begun != 1 || len(g.lost) != 1 || g.lost[0] != capture.LostMemory || g.released != 1 {
		t.Errorf("%d begun, lost %v, %d released", g.begun, g.lost, g.released)
	}
	if used := g.pipeline.Budget().Used(); used != 0 {
		t.Errorf("%d bytes of the budget are still taken", used)
	}
}

// The faults of handlers are not those of clients.
func TestHandlersFaultsAreToldFromClientsThatLeave(t *testing.T) {
	for name, tc := range map[string]struct {
		handle  func(w http.ResponseWriter, r *http.Request) error
		outcome record.Outcome
		success record.Success
	}{
		"a body that 204 must not have": {func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusNoContent)
			io.WriteString(w, "text")
			return nil
		}, record.OutcomeComplete, record.SuccessYes},
		"more than was announced": {func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Length", "2")
			io.WriteString(w, "ab")
			io.WriteString(w, "c")
			return nil
		}, record.OutcomeComplete, record.SuccessYes},
		"an error behind the header": {func(w http.ResponseWriter, _ *http.Request) error {
			io.WriteString(w, "part")
			return errUpstream
		}, record.OutcomeUpstreamError, record.SuccessUnknown},
		"a body read to its announced end and no further": {func(_ http.ResponseWriter, r *http.Request) error {
			_, err := io.ReadFull(r.Body, make([]byte, 5))
			return err
		}, record.OutcomeComplete, record.SuccessYes},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, tc.handle, nil)
			g.Start()
			g.call(t, "POST", "/", strings.NewReader("hello"))
			r := g.settled(t)
			if r.Outcome != tc.outcome || r.Success != tc.success {
				t.Errorf("recorded %s, %s", r.Outcome, r.Success)
			}
			if r.RequestBody.Size == 5 && r.RequestBody.Reason == record.ReasonAborted {
				t.Error("the request's body is said to have broken off")
			}
		})
	}
}

// A transport may read a request's body on when the answer came early.
func TestBodyThatIsReadAfterTheEndIsNotSeen(t *testing.T) {
	read := make(chan struct{})
	var body io.Reader
	g := newGateway(t, func(_ http.ResponseWriter, r *http.Request) error {
		body = r.Body
		go func() {
			defer close(read)
			io.Copy(io.Discard, body)
		}()
		return nil
	}, nil)
	g.Start()
	g.call(t, "POST", "/", strings.NewReader(strings.Repeat("a", 100_000)))
	<-read
	g.settled(t) // the race detector looks on
}

func TestExchangePrintsNothingOfWhatItHolds(t *testing.T) {
	var printed string
	g := newGateway(t, func(http.ResponseWriter, *http.Request) error { return nil }, nil)
	g.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := g.pipeline.Begin(w, r, capture.Call{Rules: g.rules, Ledger: g.book, Release: func() { g.mu.Lock(); g.released++; g.mu.Unlock() }})
		printed = fmt.Sprint(x)
		x.End(capture.Ending{})
	})
	g.Start()
	g.call(t, "GET", "/?q=s3cret", nil, "Authorization", "Bearer s3cret")
	if r := g.settled(t); printed != r.EventID.String() {
		t.Errorf("an exchange prints %q", printed)
	}
}

func TestErrorThatNobodyAnswersIsRecordedWhenTheRequestEnds(t *testing.T) {
	release := make(chan struct{})
	g := newGateway(t, func(http.ResponseWriter, *http.Request) error { return errUpstream }, nil)
	g.Config.Handler = func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inner.ServeHTTP(w, r)
			g.mu.Lock()
			early := len(g.records)
			g.mu.Unlock()
			if early != 0 {
				t.Error("recorded before the request has ended")
			}
			close(release)
		})
	}(g.Config.Handler)
	g.Start()
	g.call(t, "GET", "/", nil)
	<-release
	g.settled(t)
}
