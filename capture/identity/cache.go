package identity

import (
	"sync"
	"time"
)

// cache remembers answers about tokens, each until its own time, and no more than
// max of them.
type cache[V any] struct {
	max int
	now func() time.Time
	// mu guards the rest.
	mu      sync.Mutex
	entries map[string]cached[V]
	swept   time.Time
}

type cached[V any] struct {
	value V
	until time.Time
}

func newCache[V any](max int, now func() time.Time) *cache[V] {
	return &cache[V]{max: max, now: now, entries: make(map[string]cached[V])}
}

// get returns what is remembered under key.
func (c *cache[V]) get(key string) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok || !c.now().Before(e.until) {
		return v, false
	}
	return e.value, true
}

// put remembers v until that time. Where there is no room some other entry goes:
// whoever sends many tokens costs others their place, and no more than that.
func (c *cache[V]) put(key string, v V, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); len(c.entries) >= c.max && now.Sub(c.swept) > sweepEvery {
		c.swept = now
		for k, e := range c.entries {
			if !now.Before(e.until) {
				delete(c.entries, k)
			}
		}
	}
	if _, ok := c.entries[key]; !ok && len(c.entries) >= c.max {
		for k := range c.entries { // in no order
			delete(c.entries, k)
			break
		}
	}
	c.entries[key] = cached[V]{v, until}
}

// sweepEvery bounds how often a full cache is looked through.
const sweepEvery = time.Second
