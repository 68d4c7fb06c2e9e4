package capture

import (
	"strings"

	"github.com/auditgate/auditgate/capture/identity"
)

// aim tells both taps what to keep, by all that is known by now: of several
// levels, what the richest may need. Called again when more is known.
func (x *Exchange) aim() {
	up, down := x.uploaded(), &x.response
	wire := down.upgraded
	// A request that was at its end when a stream began as its answer is a
	// message like any other.
	asks := wire || up.stream || down.stream && !up.over()
	answers := wire || down.stream
	level := x.level()
	if down.status == 0 {
		level, _ = candidates(x.levels)
	}
	keep := func(limit int, stream bool, most Level, reads bool) int {
		switch {
		case x.bodies == BodiesOff || level > most:
			limit = 0
		case stream:
			limit = x.rules.StreamBody
		}
		if reads { // until the lesson is over
			limit = max(limit, identity.MaxLesson)
		}
		return limit
	}
	raw := x.bodies != BodiesBinary
	up.aim(keep(x.rules.RequestBody, asks, Request, x.readsRequest), asks, raw && (wire || up.binary))
	down.aim(keep(x.rules.ResponseBody, answers, Full, x.readsResponse), answers, raw && (wire || down.binary))
}

// level returns how much of the call is kept, by the status that it has.
func (x *Exchange) level() Level {
	if len(x.levels) == 0 {
		return Full
	}
	status := x.result.status
	if status == 0 {
		status = x.response.status
	}
	return choose(x.levels, status)
}

// isStream reports whether an answer of that type goes on for as long as the
// sender likes, and whether it is binary then: gRPC, whose requests do the same.
func isStream(contentType string) (stream, binary bool) {
	const grpc = "application/grpc"
	contentType = strings.TrimSpace(contentType)
	if len(contentType) >= len(grpc) && strings.EqualFold(contentType[:len(grpc)], grpc) {
		return true, true
	}
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.TrimSpace(t)
	return strings.EqualFold(t, "text/event-stream") || strings.EqualFold(t, "multipart/x-mixed-replace"), false
}
