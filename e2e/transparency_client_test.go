package e2e_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"
)

// protocol is a column of the matrix.
type protocol struct {
	name, title string
	recorded    string // as records name it
	tls         bool
}

var (
	h1  = protocol{"h1", "HTTP/1.1", "HTTP/1.1", false}
	h2  = protocol{"h2", "HTTP/2", "HTTP/2.0", true}
	h2c = protocol{"h2c", "HTTP/2 without TLS", "HTTP/2.0", false}
	h3  = protocol{"h3", "HTTP/3", "HTTP/3.0", true}

	protocols = []protocol{h1, h2, h2c, h3}
)

// clientSeen is an exchange as the client saw it.
type clientSeen struct {
	Informational []string // 1xx, with their fields
	Status        int
	Header        http.Header
	Length        int64    // Content-Length, -1 where there is none
	Encoding      []string // Transfer-Encoding
	Body          []byte   // what it read
	Trailer       http.Header
	Err           string // what ended its waiting, or its reading
}

// roundTripper returns a client of its own for a cell, so that no cell depends
// on what another one did to a connection. It ends with the test.
func (c *cell) roundTripper() http.RoundTripper {
	address := c.address(c.feature.site, c.protocol, c.captured)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	switch c.protocol {
	case h3:
		t := &http3.Transport{
			TLSClientConfig: c.trust.Clone(), DisableCompression: true,
			Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
				return quic.DialAddr(ctx, address, t, q)
			},
		}
		c.t.Cleanup(func() { t.Close() }) // what it says is no matter of the test's
		return t
	default:
		t := &http.Transport{
			DialContext: dial, TLSClientConfig: c.trust.Clone(), DisableCompression: true,
			ExpectContinueTimeout: patience, Protocols: new(http.Protocols),
		}
		t.Protocols.SetHTTP1(c.protocol == h1)
		t.Protocols.SetHTTP2(c.protocol == h2)
		t.Protocols.SetUnencryptedHTTP2(c.protocol == h2c)
		c.t.Cleanup(t.CloseIdleConnections)
		return t
	}
}

// connecter returns a client for extended CONNECT. That of net/http refuses to
// send the field :protocol.
//
//nolint:staticcheck // hence the deprecated transport
func (c *cell) connecter() http.RoundTripper {
	if c.protocol == h3 {
		return c.roundTripper()
	}
	address := c.address(c.feature.site, c.protocol, c.captured)
	t := &http2.Transport{
		TLSClientConfig: c.trust.Clone(), AllowHTTP: true,
		DialTLSContext: func(ctx context.Context, _, _ string, config *tls.Config) (net.Conn, error) {
			if c.protocol.tls {
				return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
			}
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		},
	}
	c.t.Cleanup(t.CloseIdleConnections)
	return t
}

// request returns a request of the client's.
func (c *cell) request(method string, body io.Reader) *http.Request {
	scheme := "http"
	if c.protocol.tls {
		scheme = "https"
	}
	url := fmt.Sprintf("%s://%s/a%%2Fb/c?d=%%65&f", scheme, c.host(c.feature.site, c.protocol, c.captured))
	ctx := httptrace.WithClientTrace(c.t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			said := fmt.Sprint(code, " ", c.steady(http.Header(header)))
			if code == http.StatusContinue {
				// The component's, which the proxy hands on with its fields, and the
				// server's own, when the proxy reads the body, race: one or both come.
				said = "100"
			}
			if !slices.Contains(c.client.Informational, said) || code != http.StatusContinue {
				c.client.Informational = append(c.client.Informational, said)
			}
			if c.informed != nil {
				c.informed()
			}
			return nil
		},
	})
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("X-Request-Id", c.id)
	req.Header.Set("User-Agent", "matrix")
	req.Header["X-Twice"] = []string{"one", "two"}
	if body != nil {
		req.Header.Set("Content-Type", "text/plain")
	}
	return req
}

// send sends a request and takes down the head of the answer, which is nil where
// none came.
func (c *cell) send(req *http.Request) *http.Response {
	res, err := c.roundTripper().RoundTrip(req)
	if err != nil {
		c.client.Err = c.unaddressed(err.Error())
		return nil
	}
	body := res.Body // those who get res may put another one in its place
	c.t.Cleanup(func() { body.Close() })
	if res.Proto != c.protocol.recorded {
		c.t.Errorf("the answer came over %s", res.Proto)
	}
	c.client.Status, c.client.Header = res.StatusCode, res.Header
	c.client.Length, c.client.Encoding = res.ContentLength, res.TransferEncoding
	return res
}

// receive reads an answer to its end.
func (c *cell) receive(res *http.Response) {
	body, err := io.ReadAll(res.Body)
	c.client.Body = append(c.client.Body, body...)
	c.client.Trailer = c.steady(res.Trailer)
	if err != nil {
		c.client.Err = c.unaddressed(err.Error())
	}
	res.Body.Close()
}

// receiveSome reads the part of an answer that must come next.
func (c *cell) receiveSome(res *http.Response, part string) {
	got := make([]byte, len(part))
	n, err := io.ReadFull(res.Body, got)
	if err != nil || string(got) != part {
		c.t.Errorf("the client got %q, %v; want %q", got[:n], err, part)
	}
	c.client.Body = append(c.client.Body, got[:n]...)
}

// roundTrip sends a request and receives its answer.
func (c *cell) roundTrip(req *http.Request) {
	if res := c.send(req); res != nil {
		c.receive(res)
	}
}

// steady returns a header without what differs from call to call.
func (c *cell) steady(h http.Header) http.Header {
	h = h.Clone()
	for _, name := range []string{"Date", "X-Request-Id", "Sec-Websocket-Key", "Sec-WebSocket-Key", "Sec-Websocket-Accept", "Sec-WebSocket-Accept"} {
		if len(h[name]) > 0 {
			h[name] = slices.Repeat([]string{"…"}, len(h[name]))
		}
	}
	for _, values := range h {
		for i := range values {
			values[i] = c.unaddressed(values[i])
		}
	}
	return h
}
