package capture

import (
	"crypto/sha256"
	"hash"
	"sync"

	"github.com/auditgate/auditgate/record"
)

// side is what a tap has seen of one direction of an exchange.
type side struct {
	budget *Budget
	// stream and binary are what the header says of the message: see isStream.
	stream, binary bool

	// mu guards the rest: a transport may still read a request's body when the
	// exchange has ended, since the answer came early.
	mu       sync.Mutex
	limit    int // bytes to keep; 0 keeps none
	hint     int // room to begin with, 0 where the length is not announced
	kept     []byte
	size     int64
	expected int64     // Content-Length of a request; a reader that counts stops there
	digest   hash.Hash // of all so far, once more has passed than was kept
	short    string    // why less was kept than passed: record.ReasonCap, …
	streamed bool      // this is a stream, or a direction of an upgraded connection
	raw      bool      // what passes is binary of which nothing is kept
	closed   bool      // what passes now is not seen any more
	present  bool      // there is a body
	end      bool      // its end was seen
}

// aim says what to keep from now on. Of a body of which more has been kept, the
// rest is dropped.
func (s *side) aim(limit int, streamed, raw bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit, s.streamed, s.raw = limit, streamed, raw
	if len(s.kept) <= limit {
		return
	}
	if s.short == "" {
		s.cut(record.ReasonCap)
	}
	clear(s.kept[limit:])
	s.kept = s.kept[:limit]
}

// see takes note of bytes that have passed.
func (s *side) see(p []byte) {
	if len(p) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.short == "" {
		s.keep(p)
	}
	if s.digest != nil && s.size < record.DigestLimit {
		s.digest.Write(p[:min(int64(len(p)), record.DigestLimit-s.size)])
	}
	s.size += int64(len(p))
}

// keep keeps what may be kept of p. With the first byte that may not, the
// digest begins: until then it can wait, and be made of kept by a worker.
func (s *side) keep(p []byte) {
	n := max(0, min(len(p), s.limit-len(s.kept)))
	switch {
	case s.raw:
		n, s.short = 0, record.ReasonType
	case n < len(p):
		s.short = record.ReasonCap
	}
	if n > 0 && !s.grow(len(s.kept)+n) {
		n, s.short = min(n, cap(s.kept)-len(s.kept)), record.ReasonMemory
	}
	if s.short != "" {
		s.cut(s.short) // see adds p to the digest
	}
	s.kept = append(s.kept, p[:n]...)
}

// cut notes why no more is kept than now. From here the digest goes on by itself.
func (s *side) cut(reason string) {
	s.short = reason
	s.digest = sha256.New()
	s.digest.Write(s.kept)
}

// maxHint is the largest first buffer for a body of announced length, in bytes.
const maxHint = 64 << 10

// hint is how far an announced length is believed: it costs nothing to say one.
func hint(length int64) int { return int(max(0, min(length, maxHint))) }

// grow makes room for n bytes in all, or reports that there is none.
func (s *side) grow(n int) bool {
	if n <= cap(s.kept) {
		return true
	}
	// A body that grows goes in steps of four, so that little of it is copied.
	bigger := s.budget.get(min(max(n, 4*cap(s.kept), s.hint), s.limit))
	if bigger == nil {
		return false
	}
	bigger = append(bigger, s.kept...)
	s.budget.put(s.kept)
	s.kept = bigger
	return true
}

// idle reports whether nothing that passes from now on makes a difference but
// for its length.
func (s *side) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed || (s.short != "" && s.size >= record.DigestLimit)
}

// add counts n bytes that passed while the side was idle.
func (s *side) add(n int64) {
	s.mu.Lock()
	if !s.closed {
		s.size += n
	}
	s.mu.Unlock()
}

// finish notes that the body came to its end.
func (s *side) finish() {
	s.mu.Lock()
	if !s.closed {
		s.end = true
	}
	s.mu.Unlock()
}

// whole reports whether the end of the body was seen.
func (s *side) whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

// over reports whether all of the body has passed, be its end seen or not.
func (s *side) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end || s.size == s.expected
}

// close ends the observation: what passes later is not seen.
func (s *side) close() {
	s.mu.Lock()
	s.closed = true
	s.end = s.end || s.size == s.expected
	s.mu.Unlock()
}

// release gives the kept bytes back.
func (s *side) release() {
	s.budget.put(s.kept)
	s.kept = nil
}

// sum returns the SHA-256 of what passed, of its first record.DigestLimit
// bytes, and whether that is not all.
func (s *side) sum() (digest [sha256.Size]byte, partial bool) {
	if s.digest == nil {
		return sha256.Sum256(s.kept), false
	}
	s.digest.Sum(digest[:0])
	return digest, s.size > record.DigestLimit
}
