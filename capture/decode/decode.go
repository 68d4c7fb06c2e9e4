// Package decode undoes content codings (RFC 9110, section 8.4.1), and then
// charsets, so that a body can be searched for what must not be kept, and read.
//
// What comes in may be hostile, or cut short. So everything is bounded: the
// output by the caller, by [MaxRatio] and by [MaxGrowth], the number of codings,
// what one coding may hand to the next, and the windows that readers keep in
// memory. Time is linear in what comes in and what may come out. Readers are
// used again; each keeps no more than its window: 32 KiB for gzip and deflate,
// 8 MiB for zstd, the 16 MiB of RFC 7932 for brotli.
package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// MaxCodings is how many codings a body may have, one around the other.
	MaxCodings = 3
	// MaxRatio is how much longer than its wire bytes a body may become. Deflate
	// alone reaches 1,032.
	MaxRatio = 200
)

const (
	// maxWindow is how far a zstd frame may refer back, in bytes: what RFC 9659
	// allows on the web.
	maxWindow = 8 << 20
	// maxInner is how much longer than its own bytes the inner one of two codings
	// may be, and readAhead how many bytes more: what is compressed hardly
	// compresses again. It bounds the time, which codings take by what they
	// read: one of blocks without content has 300 ns a byte.
	maxInner  = 2
	readAhead = 64 << 10
	// maxIdle is how often a reader may return nothing at once.
	maxIdle = 100
)

var (
	// ErrUnknown says that a coding is not known, or that there are more than
	// [MaxCodings].
	ErrUnknown = errors.New("unknown content coding")
	// ErrCorrupt says that a body is not in the coding that it is said to be in.
	ErrCorrupt = errors.New("corrupt content coding")
)

// Body undoes the codings that encoding, the value of a Content-Encoding
// header, names in the order in which they were applied. Those known are
// identity, gzip, deflate (also without the zlib header that it should have), br
// and zstd.
//
// plain is the beginning of the body, limit bytes at most, and complete tells
// whether it is all of it. wire may be cut anywhere; that and the bounds are no
// errors. Of a cut zstd frame only whole blocks can be read, of up to 128 KiB.
// With an error, [ErrUnknown] or [ErrCorrupt], plain is nil. Without a coding it
// is part of wire itself.
func Body(encoding string, wire []byte, limit int) (plain []byte, complete bool, err error) {
	names, err := parse(encoding)
	if err != nil {
		return nil, false, err
	}
	if limit = max(limit, 0); len(names) == 0 || len(wire) == 0 {
		return wire[:min(len(wire), limit)], len(wire) <= limit, nil
	}
	limit = min(limit, MaxRatio*len(wire))
	var sources [MaxCodings]source
	last, bound := io.Reader(bytes.NewReader(wire)), len(wire)
	for i := len(names) - 1; i >= 0 && err == nil; i-- {
		in := &sources[i]
		*in = source{last, bound}
		// A reader in its pool still refers to what it read, which must not keep
		// the body alive.
		defer func() { *in = source{} }()
		c := codings[names[i]]
		if last, err = c.open(in); err == nil {
			defer c.close(last)
		}
		bound = maxInner*bound + readAhead
	}
	if err == nil {
		plain, err = readAll(last, limit)
	}
	// A coding can be at its end where the one around it is not: its checksum
	// may be cut off.
	for i := 0; i < len(names)-1 && err == io.EOF; i++ {
		_, err = readAll(&sources[i], 0)
	}
	switch {
	case err == nil, errors.Is(err, io.ErrUnexpectedEOF): // a bound, or a cut
		return plain, false, nil
	case err == io.EOF:
		return plain, true, nil
	}
	return nil, false, fmt.Errorf("%w: decoding %s: %w", ErrCorrupt, strings.Join(names, ", "), err)
}

// parse returns the names of the codings in encoding.
func parse(encoding string) (names []string, err error) {
	for name := range strings.SplitSeq(encoding, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case name == "", name == "identity":
		case codings[name] == nil:
			return nil, fmt.Errorf("%w %q", ErrUnknown, name)
		case len(names) == MaxCodings:
			return nil, fmt.Errorf("%w: more than %d, one around the other", ErrUnknown, MaxCodings)
		default:
			names = append(names, name)
		}
	}
	return names, nil
}

// source is what a reader reads. It ends at its bound as if it was cut there.
type source struct {
	r    io.Reader
	left int
}

func (s *source) Read(p []byte) (n int, err error) {
	if s.r == nil {
		return 0, io.EOF
	}
	if s.left == 0 {
		var more [1]byte // at its very end it is not cut
		if n, err = s.r.Read(more[:]); n > 0 {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	n, err = s.r.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

// readAll reads r to its end, where err is io.EOF, or to limit.
func readAll(r io.Reader, limit int) (plain []byte, err error) {
	plain = make([]byte, 0, min(limit+1, 4<<10))
	for idle := 0; err == nil; {
		if len(plain) == cap(plain) {
			if len(plain) > limit {
				return plain[:limit], nil
			}
			plain = append(make([]byte, 0, min(limit+1, 2*cap(plain))), plain...)
		}
		var n int
		n, err = r.Read(plain[len(plain):cap(plain)])
		plain = plain[:len(plain)+n]
		if idle++; n > 0 {
			idle = 0
		} else if idle == maxIdle && err == nil {
			err = io.ErrNoProgress
		}
	}
	if len(plain) > limit {
		return plain[:limit], nil
	}
	return plain, err
}
