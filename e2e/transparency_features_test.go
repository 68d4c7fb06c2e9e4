package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// messages are the features of single messages: what HTTP's heads, bodies and
// trailers can be.
func messages() []*feature {
	const text = "some text, größer than ASCII\n"
	return []*feature{
		{
			name: "plain", site: "default", proof: "a JSON body and a JSON answer, each with its Content-Length, and repeated fields",
			client: func(c *cell) {
				req := c.request(http.MethodPost, strings.NewReader(`{"name": "größe", "n": 1.50}`))
				req.Header.Set("Content-Type", "application/json")
				c.roundTrip(req)
			},
			component: func(c *cell, w http.ResponseWriter, r *http.Request) {
				c.readAll(r)
				w.Header()["X-Twice"] = []string{"three", "four"}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusAccepted)
				fmt.Fprintln(w, `{"id": 42}`)
			},
		},
		{
			name: "chunked", proof: "bodies without a length: each part arrives before the next is sent, both ways",
			client: func(c *cell) {
				body, writer := io.Pipe()
				go func() { // ends when the component has the first part
					fmt.Fprint(writer, text)
					c.hear(c.toClient, "the first part is here")
					fmt.Fprint(writer, text)
					writer.Close()
				}()
				res := c.send(c.request(http.MethodPut, body))
				if res == nil {
					return
				}
				c.receiveSome(res, text)
				c.tell(c.toComponent, "the first part is there")
				c.receive(res)
			},
			component: func(c *cell, w http.ResponseWriter, r *http.Request) {
				c.readSome(r, len(text))
				c.tell(c.toClient, "the first part is here")
				c.readAll(r)
				w.Header().Set("Content-Type", "text/plain")
				c.sends(w, text)
				c.hear(c.toComponent, "the first part is there")
				c.sends(w, text)
			},
		},
		{
			name: "expect", site: "expect", proof: "`Expect: 100-continue`: over HTTP/1.1 no byte of the body is asked for before the component reads it",
			notes: map[string]string{
				h2.name: "Caddy asks for the body itself, before the component does: so it is without a capture", h2c.name: "as over HTTP/2",
				h3.name: "the client (quic-go) does not wait to be asked",
			},
			client: func(c *cell) {
				body := &asked{Reader: strings.NewReader(text)}
				req := c.request(http.MethodPost, body)
				req.ContentLength = int64(len(text))
				req.Header.Set("Expect", "100-continue")
				heard := make(chan struct{})
				go func() { // ends when the component has heard
					defer close(heard)
					c.hear(c.toClient, "the head is here")
					if c.protocol == h1 && body.yes.Load() {
						c.t.Error("the body was asked for before the component read it")
					}
					c.tell(c.toComponent, "go on")
				}()
				c.roundTrip(req)
				<-heard
				if c.protocol != h3 && len(c.client.Informational) == 0 {
					c.t.Error("the client was not asked for its body")
				}
			},
			component: func(c *cell, w http.ResponseWriter, r *http.Request) {
				c.tell(c.toClient, "the head is here")
				c.hear(c.toComponent, "go on")
				c.readAll(r)
				w.WriteHeader(http.StatusCreated)
			},
		},
		{
			name: "early hints", proof: "a 103 with its fields is with the client before the component goes on",
			client: func(c *cell) {
				c.informed = func() { c.tell(c.toComponent, "a hint is there") }
				c.roundTrip(c.request(http.MethodGet, nil))
				if len(c.client.Informational) != 1 {
					c.t.Errorf("the client got %q", c.client.Informational)
				}
			},
			component: func(c *cell, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Link", "</style.css>; rel=preload")
				w.WriteHeader(http.StatusEarlyHints)
				c.hear(c.toComponent, "a hint is there")
				fmt.Fprint(w, text)
			},
		},
		{
			name: "trailers", proof: "fields behind the body, both ways, those of the answer announced and not",
			notes: map[string]string{h3.name: "those of the answer alone: with quic-go Caddy does not see those of a request, and so the record has none"},
			client: func(c *cell) {
				req := c.request(http.MethodPost, nil)
				req.Trailer = http.Header{"X-Sum": nil}
				req.Body = io.NopCloser(io.MultiReader(strings.NewReader(text), atEnd(func() { req.Trailer.Set("X-Sum", "17") })))
				req.ContentLength = -1
				req.Header.Set("Content-Type", "text/plain")
				req.Header.Set("Te", "trailers")
				c.roundTrip(req)
				if len(c.client.Trailer) == 0 {
					c.t.Error("the client got no trailers")
				}
			},
			component: func(c *cell, w http.ResponseWriter, r *http.Request) {
				c.readAll(r)
				w.Header().Set("Content-Type", "text/plain")
				w.Header().Set("Trailer", "X-Sum")
				c.sends(w, text)
				w.Header().Set("X-Sum", "18")
				w.Header().Set(http.TrailerPrefix+"X-Late", "19")
			},
		},
		{
			name: "HEAD", site: "default", proof: "the fields of an answer whose body is not sent",
			client: func(c *cell) { c.roundTrip(c.request(http.MethodHead, nil)) },
			component: func(_ *cell, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "1234")
				w.Header().Set("Content-Type", "text/plain")
			},
		},
		{
			name: "204", site: "default", proof: "no content",
			client:    func(c *cell) { c.roundTrip(c.request(http.MethodDelete, nil)) },
			component: func(_ *cell, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		},
		{
			name: "304", site: "default", proof: "not modified: the fields of an answer that the client has",
			client: func(c *cell) {
				req := c.request(http.MethodGet, nil)
				req.Header.Set("If-None-Match", `"v1"`)
				c.roundTrip(req)
			},
			component: serveContent,
		},
		{
			name: "range", site: "default", proof: "206 with Content-Range",
			client: func(c *cell) {
				req := c.request(http.MethodGet, nil)
				req.Header.Set("Range", "bytes=100-299")
				c.roundTrip(req)
				if c.client.Status != http.StatusPartialContent {
					c.t.Errorf("status %d", c.client.Status)
				}
			},
			component: serveContent,
		},
	}
}

func serveContent(_ *cell, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Etag", `"v1"`)
	http.ServeContent(w, r, "content.txt", time.Unix(1e9, 0), bytes.NewReader(bytes.Repeat([]byte("0123456789"), 100)))
}

// asked is a body that knows whether anybody wanted it.
type asked struct {
	io.Reader
	yes atomic.Bool
}

func (a *asked) Read(p []byte) (int, error) {
	a.yes.Store(true)
	return a.Reader.Read(p)
}

// atEnd is an empty body: do is called when it is read.
func atEnd(do func()) io.Reader {
	return readerFunc(func([]byte) (int, error) {
		do()
		return 0, io.EOF
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
