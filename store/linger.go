package store

import "time"

// leastBetween is the least time between the beginnings of two commits that nobody
// waits for: what comes meanwhile shares one frame and one sync of the disk. A crash
// costs the records of that much more.
const leastBetween = 25 * time.Millisecond

// linger waits before a commit until it is due: when the last one has begun long
// enough ago, somebody waits for it, much is waiting, or the journal is being closed.
func (c *committer) linger() {
	wait := leastBetween - time.Since(c.begun)
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.queue.hurry:
	case <-c.closing:
	}
}

// hasten lets the next commit begin at once.
func (q *queue) hasten() {
	select {
	case q.hurry <- struct{}{}:
	default:
	}
}
