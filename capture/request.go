package capture

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
)

// requestTap observes a request's body while the component reads it. It never
// reads on its own, so that "Expect: 100-continue" is answered when the
// component wants the body and not before.
type requestTap struct {
	io.ReadCloser
	side
}

// Read implements io.Reader.
func (t *requestTap) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	t.see(p[:n])
	if errors.Is(err, io.EOF) {
		t.finish()
	}
	return n, err
}

// isExtendedConnect tells the request that opens a WebSocket or the like over
// HTTP/2 (RFC 8441) and HTTP/3 (RFC 9220). Its :protocol stands in the header
// over HTTP/2; quic-go puts it in place of the version of HTTP.
func isExtendedConnect(r *http.Request) bool {
	return r.Method == http.MethodConnect &&
		(r.Header[":protocol"] != nil || r.ProtoMajor == 3 && !strings.HasPrefix(r.Proto, "HTTP/"))
}

// protocolOf returns the version of HTTP, as HTTP/2.0.
func protocolOf(r *http.Request) string {
	if r.ProtoMajor == 3 {
		return "HTTP/3.0"
	}
	return r.Proto
}

// asSent returns path and query in the spelling in which the client sent them. To what is
// sent without a slash before it, as in `GET http:a/b`, and is passed on as a/b, one is
// added: it is a path to whoever reads it, and has the secrets of one.
func asSent(r *http.Request, uri string) (path, query string) {
	path, query, _ = strings.Cut(uri, "?")
	switch {
	case strings.HasPrefix(path, "/"):
	case r.URL.Opaque != "":
		path = "/" + r.URL.Opaque
	case r.URL.Path != "": // http://host/path
		path = r.URL.EscapedPath()
	case r.Method == http.MethodConnect: // host:port, and nothing before it
		path = path[strings.LastIndexByte(path, '@')+1:]
	case r.URL.Host != "": // http://host
		path = "/"
	}
	return path, query
}

// hostOnly returns an address without its port and zone.
func hostOnly(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		addr = host
	}
	addr, _, _ = strings.Cut(addr, "%")
	return addr
}
