package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
)

// componentSeen is a call as the component saw it.
type componentSeen struct {
	Request  string // method, target, protocol
	Header   http.Header
	Length   int64    // Content-Length, -1 where there is none
	Encoding []string // Transfer-Encoding
	Body     []byte   // what it read
	Err      string   // what ended its reading
	Trailer  http.Header
}

// startComponent starts the server behind both sides of the matrix. It finds the
// cell that a call is of by its X-Request-Id.
func (m *matrix) startComponent() *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := m.cells.Load(r.Header.Get("X-Request-Id"))
		if !ok || v.(*cell).feature.component == nil {
			m.t.Errorf("a call came that is of no cell: %s %s", r.Method, r.RequestURI)
			return
		}
		c := v.(*cell)
		c.handlers.RLock()
		defer c.handlers.RUnlock()
		c.mu.Lock()
		c.component = append(c.component, componentSeen{
			Request: r.Method + " " + r.RequestURI + " " + r.Proto, Header: c.steady(r.Header), Length: r.ContentLength, Encoding: r.TransferEncoding,
		})
		c.mu.Unlock()
		// A component may answer while the request still comes. It fails where
		// it need not be asked for, over HTTP/2.
		_ = http.NewResponseController(w).EnableFullDuplex()
		c.feature.component(c, w, r)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	m.t.Cleanup(s.Close)
	return s
}

// call is the call that the component is at.
func (c *cell) call(see func(*componentSeen)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	see(&c.component[len(c.component)-1])
}

// readAll reads a request to its end.
func (c *cell) readAll(r *http.Request) {
	body, err := io.ReadAll(r.Body)
	c.call(func(s *componentSeen) {
		s.Body, s.Trailer = append(s.Body, body...), c.steady(r.Trailer)
		if err != nil {
			s.Err = err.Error()
		}
	})
}

// readSome reads the next n bytes of a request.
func (c *cell) readSome(r *http.Request, n int) string {
	body := make([]byte, n)
	n, err := io.ReadFull(r.Body, body)
	if err != nil {
		c.t.Errorf("the component reads %d bytes of what comes next: %v", n, err)
	}
	c.call(func(s *componentSeen) { s.Body = append(s.Body, body[:n]...) })
	return string(body[:n])
}

// sends writes a part of an answer and sends it off.
func (c *cell) sends(w http.ResponseWriter, part string) {
	if _, err := io.WriteString(w, part); err != nil {
		c.t.Errorf("the component writes: %v", err)
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		c.t.Errorf("the component flushes: %v", err)
	}
}
