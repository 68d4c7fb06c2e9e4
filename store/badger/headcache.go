package badger

import (
	"sync"

	"github.com/auditgate/auditgate/record"
)

// cachedHeads is how many heads are kept: about 2 KiB each, those of some million
// records.
const cachedHeads = 1024

// headCache keeps heads that were read. They never change.
type headCache struct {
	mu    sync.Mutex // guards what follows
	heads map[headKey]*head
}

// headKey names a block in all segments.
type headKey struct {
	segment *segment
	newest  record.ID
	first   uint64
}

func (c *headCache) get(key headKey) *head {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heads[key]
}

func (c *headCache) put(key headKey, h *head) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.heads == nil {
		c.heads = make(map[headKey]*head)
	}
	for other := range c.heads { // any
		if len(c.heads) < cachedHeads {
			break
		}
		delete(c.heads, other)
	}
	c.heads[key] = h
}
