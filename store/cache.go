package store

import "sync"

// cachedFrames is how many decompressed frames a journal keeps: 8 MiB.
const cachedFrames = 128

// frameCache keeps the frames read last. Rows that are near in time are mostly
// in few frames, so reading them in order decompresses each frame about once.
type frameCache struct {
	mu     sync.Mutex // guards all below
	frames map[frameKey][]byte
	order  [cachedFrames]frameKey // a ring: who came first goes first
	next   int
}

// frameKey names a frame without holding on to its file.
type frameKey struct {
	number uint64
	offset int64
}

func newFrameCache() *frameCache {
	return &frameCache{frames: make(map[frameKey][]byte, cachedFrames)}
}

func (c *frameCache) get(fr *frame) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frames[frameKey{fr.file.number, fr.offset}]
}

// put keeps raw, unless it is one large record, which is a frame of its own and
// seldom read twice.
func (c *frameCache) put(fr *frame, raw []byte) {
	if len(raw) > frameSize {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := frameKey{fr.file.number, fr.offset}
	if _, ok := c.frames[key]; ok {
		return
	}
	delete(c.frames, c.order[c.next])
	c.frames[key] = raw
	c.order[c.next] = key
	c.next = (c.next + 1) % cachedFrames
}
