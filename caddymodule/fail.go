package caddymodule

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/auditgate/auditgate/capture"
)

// The values of Capture.Fail.
const (
	failOpen   = "open"
	failClosed = "closed"
)

var failPolicies = []string{failOpen, failClosed}

// receiptTimeout is how long a call waits for its receipt: also for a store that is
// being opened, and for a disk that hangs.
const receiptTimeout = 2 * time.Second

// retryAfter is when a client that was refused may try again.
const retryAfter = 5 * time.Second

// closed is the failure policy: whether a call without a receipt is refused.
func (c *Capture) closed() bool { return c.Fail == failClosed }

// receipt makes the receipt of a call.
func receipt(x *capture.Exchange, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), receiptTimeout)
	defer cancel()
	return x.Receipt(ctx)
}

// refuse answers a call whose receipt could not be stored because of err, about
// which the client learns nothing.
func (c *Capture) refuse(w http.ResponseWriter, err error) {
	if c.complaint.due(time.Now()) {
		c.policy.log.Error("calls are refused, since no receipt of them can be stored; this is logged once a minute", slog.Any("error", err))
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, refusal) // a client that has left is seen by the exchange
}

// refusal is what a client is told (RFC 9457).
const refusal = `{"type":"tag:auditgate.github.io,2026:no-receipt","title":"The call cannot be put on record","status":503,` +
	`"detail":"Calls are let through only once it is certain that there will be a record of them, which is not so just now. Nothing was done: try again later."}` + "\n"

// complaint keeps what happens often from being logged more than once a minute.
type complaint struct{ last atomic.Int64 }

func (c *complaint) due(now time.Time) bool {
	last := c.last.Load()
	return now.UnixNano()-last >= int64(time.Minute) && c.last.CompareAndSwap(last, now.UnixNano())
}
