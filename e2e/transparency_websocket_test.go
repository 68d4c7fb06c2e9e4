package e2e_test

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/coder/websocket"

	"github.com/auditgate/auditgate/record"
)

func webSocketFeature() *feature {
	return &feature{
		name: "WebSocket", proof: "messages there and back, one by one, listed as in progress meanwhile. HTTP/1.1: an upgrade; HTTP/2 and 3: extended CONNECT (RFC 8441, RFC 9220)",
		notes:  map[string]string{h2.name: "with `GODEBUG=http2xconnect=1`, without which Go's server has no extended CONNECT", h2c.name: "as over HTTP/2"},
		client: (*cell).webSocket,
		component: func(c *cell, w http.ResponseWriter, r *http.Request) {
			conn, err := websocket.Accept(w, r, nil)
			if err != nil {
				c.t.Errorf("the component accepts: %v", err)
				return
			}
			defer conn.CloseNow()
			for {
				kind, message, err := conn.Read(r.Context())
				if err != nil {
					c.note(fmt.Sprint("the component's connection ended with ", websocket.CloseStatus(err)))
					return
				}
				if err := conn.Write(r.Context(), kind, message); err != nil {
					c.t.Errorf("the component echoes: %v", err)
					return
				}
			}
		},
		record: func(c *cell, want *wanted) {
			want.Ending.Outcome = record.OutcomeUpgraded
			want.Request, want.Response = withheld(c.sent), withheld(c.client.Body)
		},
	}
}

// webSocket exchanges messages on a WebSocket, and ends it.
func (c *cell) webSocket() {
	tunnel := &tunnel{cell: c}
	conn, _, err := websocket.Dial(c.t.Context(), c.request(http.MethodGet, nil).URL.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: tunnel}, HTTPHeader: c.request(http.MethodGet, nil).Header,
	})
	if err != nil {
		c.t.Errorf("opening a WebSocket: %v", err)
		return
	}
	defer conn.CloseNow()
	for i := range 5 {
		message := fmt.Sprint("message ", i)
		if err := conn.Write(c.t.Context(), websocket.MessageText, []byte(message)); err != nil {
			c.t.Errorf("sending %s: %v", message, err)
		}
		_, echo, err := conn.Read(c.t.Context())
		if err != nil || string(echo) != message {
			c.t.Errorf("%s came back as %q, %v", message, echo, err)
		}
	}
	c.awaitBegin()
	if err := conn.Close(websocket.StatusNormalClosure, "enough"); err != nil {
		c.t.Errorf("closing: %v", err)
	}
	tunnel.mu.Lock()
	defer tunnel.mu.Unlock()
	c.client.Body, c.sent = tunnel.in, tunnel.out
}

// tunnel opens the connection of a WebSocket over any protocol, and keeps the
// bytes that pass. The client of the library only knows HTTP/1.1: for the other
// protocols its handshake is translated.
type tunnel struct {
	*cell
	io.Reader
	io.WriteCloser

	mu      sync.Mutex // guards in, out
	in, out []byte
}

var errNoTunnel = errors.New("the answer's body cannot be written to")

func (t *tunnel) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.protocol == h1 {
		res := t.send(req)
		if res == nil {
			return nil, errors.New(t.client.Err)
		}
		body, ok := res.Body.(io.ReadWriteCloser)
		if !ok {
			return nil, errNoTunnel
		}
		t.Reader, t.WriteCloser = body, body
		res.Body = t
		return res, nil
	}
	key := req.Header.Get("Sec-WebSocket-Key")
	body, writer := io.Pipe()
	req = t.request(http.MethodConnect, body)
	req.Header.Del("Content-Type")
	req.Header.Set("Sec-WebSocket-Version", "13")
	if t.protocol == h3 {
		req.Proto = "websocket"
	} else {
		req.Header[":protocol"] = []string{"websocket"}
	}
	res, err := t.connecter().RoundTrip(req)
	if err != nil {
		return nil, err
	}
	t.client.Status, t.client.Header = res.StatusCode, res.Header.Clone()
	t.Reader, t.WriteCloser = res.Body, writer
	if res.StatusCode == http.StatusOK {
		accept := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		res.StatusCode = http.StatusSwitchingProtocols
		res.Header.Set("Connection", "Upgrade")
		res.Header.Set("Upgrade", "websocket")
		res.Header.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(accept[:]))
	}
	res.Body = t
	return res, nil
}

func (t *tunnel) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.in = append(t.in, p[:n]...)
	return n, err
}

func (t *tunnel) Write(p []byte) (int, error) {
	n, err := t.WriteCloser.Write(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = append(t.out, p[:n]...)
	return n, err
}
