package capture

import (
	"crypto/sha256"
	"hash"
	"sync"

	"github.com/auditgate/auditgate/record"
)

// side is what a tap has seen of one direction of an exchange.
type side struct {
	// mu guards the rest: a transport may still read a request's body when the
	// exchange has ended, since the answer came early.
	mu     sync.Mutex
	budget *Budget
	limit  int // bytes to keep; 0 keeps none
	hint   int // expected size, 0 where unknown

	kept    []byte
	size    int64
	digest  hash.Hash // of all so far, once more has passed than was kept
	short   string    // why less was kept than passed: record.ReasonCap, …
	raw     bool      // the bytes are no message: an upgraded connection
	closed  bool      // what passes now is not seen any more
	present bool      // there is a body
	whole   bool      // its end was seen

	expected int64 // Content-Length of a request; a reader that counts stops there
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
	before := s.kept
	s.kept = append(s.kept, p[:n]...)
	if s.short != "" {
		s.digest = sha256.New()
		s.digest.Write(before) // see adds p
	}
}

// maxHint is the largest first buffer for a body of announced length, in bytes.
const maxHint = 64 << 10

// grow makes room for n bytes in all, or reports that there is none.
func (s *side) grow(n int) bool {
	if n <= cap(s.kept) {
		return true
	}
	// What the sender announces is believed only so far: it costs it nothing.
	bigger := s.budget.get(min(max(n, min(s.hint, maxHint)), s.limit))
	if bigger == nil {
		return false
	}
	bigger = append(bigger, s.kept...)
	s.budget.put(s.kept)
	s.kept = bigger
	return true
}

// setLimit changes how much is kept, for what passes from now on.
func (s *side) setLimit(limit int) {
	s.mu.Lock()
	s.limit = limit
	s.mu.Unlock()
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

// end notes that the body came to its end.
func (s *side) end() {
	s.mu.Lock()
	if !s.closed {
		s.whole = true
	}
	s.mu.Unlock()
}

// upgrade notes that what passes from now on is no message, but the raw bytes of
// an upgraded connection.
func (s *side) upgrade() {
	s.mu.Lock()
	s.present, s.raw = true, true
	s.mu.Unlock()
}

// close ends the observation: what passes later is not seen.
func (s *side) close() {
	s.mu.Lock()
	s.closed = true
	s.whole = s.whole || s.size == s.expected
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
