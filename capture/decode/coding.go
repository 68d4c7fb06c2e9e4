package decode

import (
	"bufio"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// coding opens readers of one content coding. They are large, so they are used
// again.
type coding struct {
	pool sync.Pool
	// reset makes a reader of in: the one given, or a new one where it is nil.
	reset func(old any, in io.Reader) (io.Reader, error)
}

// codings are those that are known, by their names in Content-Encoding.
var codings = map[string]*coding{
	"gzip": gzipCoding, "x-gzip": gzipCoding,
	"deflate": {reset: resetDeflate},
	"br":      {reset: resetBrotli},
	"zstd":    {reset: resetZstd},
}

var gzipCoding = &coding{reset: resetGzip}

func (c *coding) open(in io.Reader) (io.Reader, error) { return c.reset(c.pool.Get(), in) }

func (c *coding) close(r io.Reader) {
	if d, ok := r.(*zstd.Decoder); ok {
		_ = d.Reset(nil) // it would keep the body
	}
	c.pool.Put(r)
}

func resetGzip(old any, in io.Reader) (io.Reader, error) {
	if r, ok := old.(*gzip.Reader); ok {
		return r, r.Reset(in)
	}
	return gzip.NewReader(in)
}

// zlibReader tells readers of zlib in the pool from those of deflate alone, whose
// methods are the same.
type zlibReader struct{ io.ReadCloser }

// resetDeflate reads what RFC 9110 calls deflate, which is zlib, and what some
// send instead, which is deflate alone. A zlib header is a multiple of 31 whose
// low half byte is 8; deflate alone hardly ever begins so.
func resetDeflate(old any, in io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(in)
	head, err := buffered.Peek(2)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // nobody knows which it is
	}
	if err != nil {
		return nil, err
	}
	if head[0]&0x0f != 8 || (int(head[0])<<8|int(head[1]))%31 != 0 {
		return flate.NewReader(buffered), nil
	}
	if r, ok := old.(zlibReader); ok {
		return r, r.ReadCloser.(zlib.Resetter).Reset(buffered, nil)
	}
	r, err := zlib.NewReader(buffered)
	return zlibReader{r}, err
}

func resetBrotli(old any, in io.Reader) (io.Reader, error) {
	if r, ok := old.(*brotli.Reader); ok {
		return r, r.Reset(in)
	}
	return brotli.NewReader(in), nil
}

func resetZstd(old any, in io.Reader) (io.Reader, error) {
	if r, ok := old.(*zstd.Decoder); ok {
		return r, r.Reset(in)
	}
	return zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
}
