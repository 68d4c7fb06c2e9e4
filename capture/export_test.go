package capture

import "time"

// Overdue takes the oldest live exchange, as the announcer does when its time has
// come, and returns what announces it.
func (p *Pipeline) Overdue() (announce func()) {
	x := p.live.oldest(time.Now().Add(time.Hour))
	return func() { p.announce(new(worker), x) }
}

// Judged is what a rule's text may have of one of the server's placeholders.
var Judged = judged
