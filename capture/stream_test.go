package capture_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/record"
)

// What a stream keeps is bounded by a cap of its own, and its state says so.
func TestStreamsKeepTheirBeginning(t *testing.T) {
	const limit = 100
	long := strings.Repeat("data: tick\n\n", 50)
	for name, tc := range map[string]struct {
		contentType, body string
		bodies            capture.Bodies
		level             capture.Level
		state             record.BodyState
		reason            string
		kept              int
	}{
		"events":                 {"text/event-stream", long, 0, 0, record.BodyStreamed, record.ReasonCap, limit},
		"with parameters":        {"Text/Event-Stream; charset=utf-8", long, 0, 0, record.BodyStreamed, record.ReasonCap, limit},
		"after a space":          {" text/event-stream", long, 0, 0, record.BodyStreamed, record.ReasonCap, limit},
		"gRPC after a space":     {" application/grpc", "\x00\xff", 0, 0, record.BodyWithheld, record.ReasonType, 0},
		"few events":             {"text/event-stream", "data: 1\n\n", 0, 0, record.BodyStreamed, "", 9},
		"gRPC":                   {"application/grpc+proto", "\x00\x00\x00\x00\x01\xff", 0, 0, record.BodyWithheld, record.ReasonType, 0},
		"gRPC where binary is":   {"application/grpc", "\x00\x00\x00\x00\x01\xff", capture.BodiesBinary, 0, record.BodyStreamed, "", 6},
		"events without a level": {"text/event-stream", long, 0, capture.Metadata, record.BodyWithheld, record.ReasonLevel, 0},
		"events without bodies":  {"text/event-stream", long, capture.BodiesOff, 0, record.BodyWithheld, record.ReasonRule, 0},
		"no stream":              {"text/plain", long, 0, 0, record.BodyComplete, "", len(long)},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(w http.ResponseWriter, r *http.Request) error {
				w.Header().Set("Content-Type", tc.contentType)
				_, err := io.Copy(w, strings.NewReader(tc.body))
				return err
			}, nil)
			g.rules.StreamBody, g.bodies, g.levels = limit, tc.bodies, []capture.Choice{{Level: tc.level}}
			g.Start()
			g.call(t, "GET", "/", nil)
			b := g.settled(t).ResponseBody
			if b.State != tc.state || b.Reason != tc.reason || b.Kept != int64(tc.kept) || b.Size != int64(len(tc.body)) {
				t.Errorf("recorded %+v, want %s, %q, %d kept of %d", b.BodyInfo, tc.state, tc.reason, tc.kept, len(tc.body))
			}
			if string(b.Content) != tc.body[:tc.kept] {
				t.Errorf("recorded %q", b.Content)
			}
			sum := sha256Of(tc.body)
			if whole := tc.kept == len(tc.body); whole != (b.SHA256 == hex.EncodeToString(sum[:])) {
				t.Errorf("the digest is %q, keyed %q", b.SHA256, b.HMACSHA256)
			}
		})
	}
}

// A request that was read to its end before a stream answers it is a message like
// any other; one that goes on beside it is a stream itself.
func TestRequestOfAStreamIsOneWhereItGoesOn(t *testing.T) {
	const limit = 100
	sent := strings.Repeat("a", 500)
	for name, tc := range map[string]struct {
		early bool
		state record.BodyState
		kept  int64
	}{
		"read before": {false, record.BodyComplete, 500},
		"read beside": {true, record.BodyStreamed, limit},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(w http.ResponseWriter, r *http.Request) (err error) {
				w.Header().Set("Content-Type", "text/event-stream")
				read := func() { _, err = io.Copy(io.Discard, r.Body) }
				if !tc.early {
					read()
				}
				_ = http.NewResponseController(w).Flush()
				if tc.early {
					read()
				}
				return err
			}, nil)
			g.rules.StreamBody = limit
			g.StartTLS()
			g.call(t, "POST", "/", io.MultiReader(strings.NewReader(sent)), "Content-Type", "text/plain")
			if b := g.settled(t).RequestBody; b.State != tc.state || b.Kept != tc.kept || b.Size != 500 {
				t.Errorf("recorded %+v", b.BodyInfo)
			}
		})
	}
}

// What a client says of its request does not make it keep less.
func TestRequestIsNoStreamByItsType(t *testing.T) {
	for _, contentType := range []string{"text/event-stream", "multipart/x-mixed-replace; boundary=b"} {
		g := newGateway(t, func(_ http.ResponseWriter, r *http.Request) error {
			_, err := io.Copy(io.Discard, r.Body)
			return err
		}, nil)
		g.rules.StreamBody = 4
		g.Start()
		g.call(t, "POST", "/", strings.NewReader(strings.Repeat("a", 100)), "Content-Type", contentType)
		if b := g.settled(t).RequestBody; b.State == record.BodyStreamed || b.Reason == record.ReasonCap {
			t.Errorf("%s: recorded %+v", contentType, b.BodyInfo)
		}
	}
}

// lost is a response writer whose client has gone.
type lost struct{ sink }

func (lost) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// However an upgraded connection ends: somebody has to go first.
func TestUpgradeThatTheClientEndsIsASuccess(t *testing.T) {
	p, redactor := newPipeline(t)
	b, done := new(book), make(chan struct{})
	r := httptest.NewRequest("CONNECT", "/chat", nil)
	r.Header[":protocol"] = []string{"websocket"}
	x := p.Begin(lost{sink{http.Header{}}}, r, capture.Call{
		Rules: &capture.Rules{Source: "shop", Redactor: redactor}, Ledger: b, Release: func() { close(done) },
	})
	x.Writer().WriteHeader(http.StatusOK)
	io.WriteString(x.Writer(), "\x81\x02hi")
	x.End(capture.Ending{})
	<-done
	if r := b.records[0]; r.Outcome != record.OutcomeUpgraded || r.Success != record.SuccessYes {
		t.Errorf("recorded %s, %s", r.Outcome, r.Success)
	}
}

// A gRPC call streams from its first byte, whatever the answer.
func TestRequestOfGRPCIsAStream(t *testing.T) {
	message := "\x00\x00\x00\x01\x00" + strings.Repeat("\x80", 256)
	for bodies, want := range map[capture.Bodies]record.BodyInfo{
		capture.BodiesDefault: {State: record.BodyWithheld, Reason: record.ReasonType},
		capture.BodiesBinary:  {State: record.BodyStreamed, Reason: record.ReasonCap, Kept: 100},
	} {
		g := newGateway(t, func(w http.ResponseWriter, r *http.Request) error {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
			return nil
		}, nil)
		g.rules.StreamBody, g.bodies = 100, bodies
		g.StartTLS()
		g.call(t, "POST", "/shop.Cart/Add", strings.NewReader(message), "Content-Type", "application/grpc")
		b := g.settled(t).RequestBody
		if b.State != want.State || b.Reason != want.Reason || b.Kept != want.Kept || b.Size != int64(len(message)) {
			t.Errorf("%v: recorded %+v", bodies, b.BodyInfo)
		}
	}
}

func TestUpgradedConnectionKeepsRawBytesOnlyWhenAsked(t *testing.T) {
	for name, want := range map[string]struct {
		bodies capture.Bodies
		limit  int
		state  record.BodyState
		reason string
		up     string
	}{
		"by default":     {capture.BodiesDefault, 4, record.BodyWithheld, record.ReasonType, ""},
		"with binary":    {capture.BodiesBinary, 4, record.BodyStreamed, record.ReasonCap, "\x81\x02hi"},
		"as a whole":     {capture.BodiesBinary, 1 << 10, record.BodyStreamed, "", "\x81\x02hi\n"},
		"without bodies": {capture.BodiesOff, 4, record.BodyWithheld, record.ReasonRule, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(w http.ResponseWriter, _ *http.Request) error {
				conn, buffered, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return err
				}
				defer conn.Close()
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
				_, err = buffered.ReadString('\n')
				return err
			}, nil)
			g.rules.StreamBody, g.bodies = want.limit, want.bodies
			g.Start()
			conn, err := net.Dial("tcp", g.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\nContent-Encoding: gzip\r\n\r\n")
			answer := bufio.NewReader(conn)
			for line, err := answer.ReadString('\n'); line != "\r\n" && err == nil; line, err = answer.ReadString('\n') {
			}
			io.WriteString(conn, "\x81\x02hi\n")
			io.Copy(io.Discard, answer)
			r := g.settled(t)
			if b := r.RequestBody; b.State != want.state || b.Reason != want.reason || string(b.Content) != want.up || b.Size != 5 {
				t.Errorf("recorded up: %+v, %q", b.BodyInfo, b.Content)
			}
			if b := r.ResponseBody; b.State != want.state || b.Size == 0 {
				t.Errorf("recorded down: %+v, %q", b.BodyInfo, b.Content)
			}
		})
	}
}
