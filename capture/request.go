package capture

import (
	"errors"
	"io"
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
