package capture

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/auditgate/auditgate/record"
)

// responseTap observes a response while it is written. It changes and delays
// nothing: each call goes to the writer below at once.
type responseTap struct {
	http.ResponseWriter
	side     // its mu guards status and headers as well, which are written once
	exchange *Exchange
	head     bool // the request's method is HEAD: there is no body
	tunnel   bool // an answer of 2xx makes this an upgraded connection
	upgraded bool
	status   int // 0 until there is a final one
	headers  record.Headers
	lesson   record.Headers // what a lesson reads, whole, where headers are cut
	declared int64          // Content-Length, -1 where there is none
	writeErr error          // the client could not be written to
	unsent   []byte         // what it did not take, where that teaches
}

// Unwrap lets http.ResponseController find what the writer below can do.
func (t *responseTap) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// commit takes note of the final status and of the header as it is now.
func (t *responseTap) commit(status int) {
	if t.status != 0 {
		return
	}
	h := t.ResponseWriter.Header()
	headers, cut := copyHeaders(h)
	t.mu.Lock()
	if t.closed { // somebody writes after the end
		t.mu.Unlock()
		return
	}
	t.status, t.headers = status, t.exchange.hold(headers)
	if cut && t.exchange.attentive() {
		t.lesson = t.exchange.forLessons(h)
	}
	t.declared = -1
	if length := headers.Get("Content-Length"); length != "" {
		if n, err := strconv.ParseInt(length, 10, 64); err == nil && n >= 0 {
			t.declared, t.hint = n, hint(n)
		}
	}
	t.present = !t.head && status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
	t.mu.Unlock()
	if t.tunnel && status >= 200 && status < 300 {
		t.upgrade()
		return
	}
	if t.present {
		t.stream, t.binary = isStream(contentType(h))
	}
	if t.stream || len(t.exchange.levels) > 1 {
		t.exchange.aim()
	}
	if t.stream {
		t.exchange.inquire(Ending{})
	}
	if x := t.exchange; x.attentive() && (!t.present || t.declared == 0 || !x.readsResponse) {
		x.teach(status, nil)
	}
}

// WriteHeader implements http.ResponseWriter. Informational responses pass and
// are not the status; 101 is.
func (t *responseTap) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		t.commit(status)
	}
	t.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (t *responseTap) Write(p []byte) (int, error) {
	t.commit(http.StatusOK)
	if x := t.exchange; t.declared >= 0 && t.size+int64(len(p)) >= t.declared && x.attentive() {
		x.teach(t.status, p) // with this the client has all of the answer
	}
	n, err := t.ResponseWriter.Write(p)
	if t.present {
		t.see(p[:n])
	}
	if err != nil {
		t.miss(p[n:])
	}
	t.failed(err)
	return n, err
}

// ReadFrom implements io.ReaderFrom: what passes is observed for as long as it
// matters, then the writer below may take the rest in its own way (sendfile).
func (t *responseTap) ReadFrom(r io.Reader) (total int64, err error) {
	buf := copyBuffers.Get().(*[]byte)
	t.budget.force(copyBuffer)
	defer func() {
		clear(*buf)
		copyBuffers.Put(buf)
		t.budget.give(copyBuffer)
	}()
	for !t.idle() {
		n, readErr := r.Read(*buf)
		if n > 0 {
			var m int
			m, err = t.Write((*buf)[:n])
			total += int64(m)
			if err != nil {
				return total, err
			}
		}
		if readErr == io.EOF {
			return total, nil
		}
		if readErr != nil {
			return total, readErr
		}
	}
	n, err := io.CopyBuffer(t.ResponseWriter, r, *buf)
	t.add(n)
	return total + n, err
}

// FlushError implements what http.ResponseController looks for. A flush sends
// the implicit 200.
func (t *responseTap) FlushError() error {
	t.commit(http.StatusOK)
	err := http.NewResponseController(t.ResponseWriter).Flush()
	t.failed(err)
	return err
}

// Push implements http.Pusher where the writer below does.
func (t *responseTap) Push(target string, opts *http.PushOptions) error {
	if pusher, ok := t.ResponseWriter.(http.Pusher); ok {
		return pusher.Push(target, opts)
	}
	return http.ErrNotSupported
}

// Hijack implements http.Hijacker: the connection is an upgraded one from here,
// and its bytes are counted each way.
func (t *responseTap) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return conn, buffered, err
	}
	t.commit(http.StatusSwitchingProtocols)
	t.upgrade()
	upload := t.exchange.uploaded()
	tapped := tappedConn{conn, upload, &t.side}
	// What the server has already read waits in the buffer, whose next reads
	// must come through the tap as well.
	early, err := buffered.Reader.Peek(buffered.Reader.Buffered())
	if err != nil {
		return conn, buffered, err
	}
	upload.see(early)
	reader := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(early)), &tapped), buffered.Reader.Size())
	if _, err := reader.Peek(len(early)); err != nil {
		return conn, buffered, err
	}
	buffered.Reader = reader
	if half, ok := conn.(halfCloser); ok {
		return &tappedHalfCloser{tapped, half}, buffered, nil
	}
	return &tapped, buffered, nil
}

// upgrade notes that the connection is an upgraded one from here: what passes
// each way is no message any more.
func (t *responseTap) upgrade() {
	t.upgraded = true
	x := t.exchange
	for _, s := range [...]*side{&t.side, x.uploaded()} {
		s.mu.Lock()
		s.present = true
		s.mu.Unlock()
	}
	x.aim()
	x.inquire(Ending{})
}

// trailers returns the fields that went out behind the body: those that the
// Trailer header announced, and those that [http.TrailerPrefix] marks.
func (t *responseTap) trailers() record.Headers {
	if !t.present || t.upgraded {
		return nil
	}
	h := t.ResponseWriter.Header()
	var sent http.Header
	add := func(name string, values []string) {
		if sent == nil {
			sent = make(http.Header)
		}
		sent[name] = values
	}
	for name, values := range h {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			add(name, values)
		}
	}
	for _, f := range t.headers {
		if f.Name != "Trailer" {
			continue
		}
		for name := range strings.SplitSeq(f.Value, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if values := h[name]; len(values) > 0 {
				add(name, values)
			}
		}
	}
	trailers, _ := copyHeaders(sent)
	return trailers
}

// failed takes note of an error of the connection to the client. Errors of the
// handler that writes are none.
func (t *responseTap) failed(err error) {
	if err != nil && t.writeErr == nil && !errors.Is(err, http.ErrBodyNotAllowed) &&
		!errors.Is(err, http.ErrContentLength) && !errors.Is(err, http.ErrNotSupported) {
		t.writeErr = err
	}
}

// tappedConn counts what passes on an upgraded connection.
type tappedConn struct {
	net.Conn
	in, out *side
}

func (c *tappedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in.see(p[:n])
	return n, err
}

func (c *tappedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.out.see(p[:n])
	return n, err
}

type halfCloser interface{ CloseWrite() error }

// tappedHalfCloser is for connections that can be closed one way, which tunnels
// make use of where they can.
type tappedHalfCloser struct {
	tappedConn
	half halfCloser
}

func (c *tappedHalfCloser) CloseWrite() error { return c.half.CloseWrite() }
