package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/auditgate/auditgate/record"
)

// streams are the features that live on time: what each end does waits for what
// the other has got.
func streams() []*feature {
	const event, part = "data: something has happened\n\n", "the beginning"
	fullDuplex := map[string]string{h1.name: "with `enable_full_duplex`; else Caddy does not answer while it waits for the request, with a capture or without"}
	return []*feature{
		{
			name: "events", proof: "server-sent events, each with the client before the next is sent; the call is listed as in progress while it runs",
			client: func(c *cell) {
				req := c.request(http.MethodGet, nil)
				req.Header.Set("Accept", "text/event-stream")
				res := c.send(req)
				if res == nil {
					return
				}
				for range 5 {
					c.receiveSome(res, event)
					c.tell(c.toComponent, "got it")
				}
				c.awaitBegin()
				c.tell(c.toComponent, "end")
				c.receive(res)
			},
			component: func(c *cell, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for range 5 {
					c.sends(w, event)
					c.hear(c.toComponent, "got it")
				}
				c.hear(c.toComponent, "end")
				fmt.Fprint(w, event)
			},
			record: func(c *cell, want *wanted) { want.Response = streamed(c.client.Body) },
		},
		{
			name: "long polling", proof: "an answer that comes long after its request; the call is listed as in progress meanwhile",
			client: func(c *cell) {
				req := c.request(http.MethodGet, nil)
				answered := make(chan struct{})
				go func() { // ends when the poll is answered
					defer close(answered)
					c.roundTrip(req)
				}()
				c.hear(c.toClient, "the poll is here")
				c.awaitBegin()
				c.tell(c.toComponent, "answer")
				<-answered
			},
			component: func(c *cell, w http.ResponseWriter, _ *http.Request) {
				c.tell(c.toClient, "the poll is here")
				c.hear(c.toComponent, "answer")
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintln(w, `{"changed": true}`)
			},
		},
		{
			name: "full duplex", site: duplex, proof: "request and answer at once: each part is answered before the next is sent",
			notes: fullDuplex,
			client: func(c *cell) {
				body, writer := io.Pipe()
				first := make(chan struct{})
				go func() { // ends when the transport has taken the first part
					defer close(first)
					fmt.Fprint(writer, "ping 0\n")
				}()
				res := c.send(c.request(http.MethodPost, body))
				<-first
				if res == nil {
					return
				}
				for i := range 5 {
					c.receiveSome(res, fmt.Sprintf("pong %d\n", i))
					if i < 4 {
						fmt.Fprintf(writer, "ping %d\n", i+1)
					}
				}
				writer.Close()
				c.receive(res)
			},
			component: func(c *cell, w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				for range 5 {
					c.sends(w, strings.Replace(c.readSome(r, len("ping 0\n")), "ping", "pong", 1))
				}
				c.readAll(r)
			},
		},
		{
			name: "upload refused early", site: duplex, proof: "a 413 that comes while most of the body is still with the client",
			notes: fullDuplex,
			client: func(c *cell) {
				body, writer := io.Pipe()
				req := c.request(http.MethodPut, body)
				req.ContentLength = 1 << 20 // more than a server reads for a client that it has refused
				c.sent = bytes.Repeat([]byte("0123456789abcde\n"), 4<<10)
				go func() { // ends when the transport has taken it, or the client gives up
					_, _ = writer.Write(c.sent)
				}()
				if res := c.send(req); res != nil {
					c.receive(res)
				}
				writer.CloseWithError(errors.New("refused"))
			},
			component: func(c *cell, w http.ResponseWriter, r *http.Request) {
				c.readSome(r, 16<<10) // transports hold the last of the 64 KiB back
				w.Header().Set("Connection", "close")
				http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			},
			record: func(_ *cell, want *wanted) { want.Request = cut(nil); want.Request.Size = anySize },
		},
		{
			name: "component dies", proof: "the component breaks off in its answer: so does the gateway, and no earlier",
			client: func(c *cell) {
				res := c.send(c.request(http.MethodGet, nil))
				if res == nil {
					return
				}
				c.receiveSome(res, part)
				c.tell(c.toComponent, "die")
				c.receive(res)
				if c.client.Err == "" {
					c.t.Error("the client took it for a whole answer")
				}
			},
			component: func(c *cell, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				w.Header().Set("Content-Length", "100")
				c.sends(w, part)
				c.hear(c.toComponent, "die")
				panic(http.ErrAbortHandler)
			},
			record: func(c *cell, want *wanted) {
				want.Ending = ending{record.OutcomeUpstreamError, record.SuccessUnknown, http.StatusOK, ""}
				want.Response = cut(c.client.Body)
			},
		},
		{
			name: "client leaves", proof: "the client breaks off in an answer: the component learns of it",
			client: func(c *cell) {
				req := c.request(http.MethodGet, nil)
				ctx, leave := context.WithCancel(req.Context())
				defer leave()
				if res := c.send(req.WithContext(ctx)); res != nil {
					c.receiveSome(res, part)
				}
			},
			component: func(c *cell, w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				c.sends(w, part)
				<-r.Context().Done()
				c.note("the component knows that the client left")
			},
			record: func(c *cell, want *wanted) {
				want.Ending = ending{record.OutcomeAborted, record.SuccessUnknown, http.StatusOK, ""}
				want.Response = cut(c.client.Body)
			},
		},
	}
}

// responses are the features of Caddy's own handlers around a capture.
func responses() []*feature {
	get := func(c *cell) { c.roundTrip(c.request(http.MethodGet, nil)) }
	zipped := func(c *cell) {
		req := c.request(http.MethodGet, nil)
		req.Header.Set("Accept-Encoding", "gzip")
		c.roundTrip(req)
		if c.client.Header.Get("Content-Encoding") != "gzip" {
			c.t.Error("the answer is not encoded")
		}
	}
	answer := bytes.Repeat([]byte("0123456789abcde\n"), 100)
	text := func(_ *cell, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(answer) // the client's side is compared
	}
	sorry := func(c *cell) {
		get(c)
		if c.client.Status != http.StatusTeapot {
			c.t.Errorf("status %d", c.client.Status)
		}
	}
	// Caddy's own answer to the error of a handler is nobody's that could be seen.
	byError := func(_ *cell, want *wanted) { want.Ending.StatusSource = "error" }
	return []*feature{
		{
			name: "retry", site: "retry", proof: "`lb_try`: the component breaks off before its answer, and the call comes to it again; it is one record",
			client: get,
			component: func(c *cell, w http.ResponseWriter, r *http.Request) {
				c.mu.Lock()
				calls := len(c.component)
				c.mu.Unlock()
				if calls == 1 {
					panic(http.ErrAbortHandler)
				}
				text(c, w, r)
			},
		},
		{
			name: "encode inside", site: "inside", proof: "`encode` behind the capture: the record counts and digests the encoded bytes",
			client: zipped, component: text,
		},
		{
			name: "encode outside", site: "outside", proof: "`encode` before the capture: the record is of the bytes that the component sent",
			client: zipped, component: text,
			record: func(_ *cell, want *wanted) { want.Response = bodyOf(answer) },
		},
		{
			name: "request_body", site: "limit", proof: "a body over the limit of `request_body`: 413 by the gateway",
			client: func(c *cell) {
				c.roundTrip(c.request(http.MethodPost, bytes.NewReader(answer)))
				if c.client.Status != http.StatusRequestEntityTooLarge {
					c.t.Errorf("status %d", c.client.Status)
				}
			},
			record: func(c *cell, want *wanted) {
				byError(c, want)
				want.Request = cut(nil) // the header said enough
			},
		},
		{
			name: "handle_errors", site: "error", proof: "an error route without a capture: the record has the status of the error, and says so",
			client: sorry,
			record: func(_ *cell, want *wanted) {
				want.Ending = ending{record.OutcomeUpstreamError, record.SuccessNo, http.StatusBadGateway, "error"}
				want.Response = bodyOf(nil)
			},
		},
		{
			name: "handle_errors, captured", site: "answered", proof: "an error route with a capture: the record has what the client saw",
			client: sorry,
			record: func(_ *cell, want *wanted) { want.Ending.Outcome = record.OutcomeUpstreamError },
		},
		{name: "basic_auth", site: "private", proof: "401 by the gateway", client: get, record: byError},
		{name: "respond", site: "respond", proof: "an answer by the gateway", client: get},
		{name: "redir", site: "redir", proof: "a redirect by the gateway", client: get},
		{
			name: "panic", site: "panic", proof: "a handler of Caddy's panics: the connection, or the stream, breaks off",
			client: func(c *cell) {
				get(c)
				if c.client.Err == "" {
					c.t.Error("the client got an answer")
				}
			},
			record: func(_ *cell, want *wanted) {
				want.Ending = ending{record.OutcomeAborted, record.SuccessUnknown, 0, ""}
			},
		},
	}
}
