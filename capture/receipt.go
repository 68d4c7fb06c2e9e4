package capture

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/auditgate/auditgate/record"
)

// MaxPromised is how many exchanges with a receipt there may be that are not yet
// records.
const MaxPromised = MaxWaiting

// The errors for which a pipeline refuses a receipt by itself.
var (
	errTooMany = errors.New("too many calls have a receipt and no record yet")
	errRefused = errors.New("the call was refused a receipt before")
	errMemory  = errors.New("the memory for calls is used up")
)

// clerks are workers that write receipts: on the request's own goroutine, which
// waits for them anyway.
var clerks = sync.Pool{New: func() any { return new(worker) }}

// Receipt stores what is known of the call, so that there will be a record of it,
// and returns when that is stored; see [Ledger.Receipt]. It is called before the
// handler, for calls that must not pass unrecorded. With an error the call must be
// answered in place of the handler, and further calls return one too; after one
// without an error they do nothing.
func (x *Exchange) Receipt(ctx context.Context) (err error) {
	switch {
	case x.refused: // there may be a receipt, and nobody knows
		return errRefused
	case x.promised:
		return nil
	}
	defer func() {
		if err != nil {
			x.refused = true
			x.pipeline.refuse(x.rules.Source)
		}
	}()
	if x.pipeline.budget.tight() {
		return errMemory
	}
	if x.pipeline.promises.Add(1) > MaxPromised {
		x.pipeline.promises.Add(-1)
		return errTooMany
	}
	x.pipeline.live.remove(x)
	x.announcing.Lock()
	x.promised, x.announced = true, true
	x.announcing.Unlock()

	w := clerks.Get().(*worker)
	defer clerks.Put(w)
	defer func() {
		if v := recover(); v != nil {
			x.pipeline.panicked(w, x.ID, x.rules.Source, v, "making a receipt panicked, the call is refused")
			err = fmt.Errorf("making a receipt: a panic of type %s", typeName(v))
		}
	}()
	if err = x.ledger.Receipt(ctx, w.progress(x, seen{rules: x.rules, facts: x.facts})); err == nil {
		x.pipeline.unknown.remove(x)
	}
	return err
}

// settleLess gives the ledger the record without its bodies, and then without what
// else a receipt has not seen, as far as that is long.
func (x *Exchange) settleLess(r *record.Record) error {
	r.Redacted = slices.DeleteFunc(r.Redacted, func(place string) bool {
		return strings.HasPrefix(place, "request_body:") || strings.HasPrefix(place, "response_body:")
	})
	for _, b := range [...]*record.Body{&r.RequestBody, &r.ResponseBody} {
		if len(b.Content) > 0 {
			withhold(b, record.ReasonMemory)
			var digest [sha256.Size]byte
			if n, err := hex.Decode(digest[:], []byte(b.SHA256)); err == nil && n == len(digest) {
				b.SHA256, b.HMACSHA256 = "", x.rules.Redactor.Digest(digest)
			}
		}
	}
	err := x.ledger.Settle(r)
	if err == nil {
		return nil
	}
	for _, h := range [...]*record.Headers{&r.ResponseHeaders, &r.RequestTrailers, &r.ResponseTrailers} {
		if n := len(*h); n > 0 {
			*h = record.Headers{{Name: "(more)", Value: fmt.Sprintf("%d lines left out", n)}}
		}
	}
	r.UpstreamURI = ""
	r.Redacted = slices.DeleteFunc(r.Redacted, func(place string) bool {
		return !strings.HasPrefix(place, "request_headers:") && !strings.HasPrefix(place, "query:")
	})
	return x.ledger.Settle(r)
}

// refuse counts a call that was refused for want of a receipt.
func (p *Pipeline) refuse(source string) {
	n, ok := p.refusals.Load(source)
	if !ok {
		n, _ = p.refusals.LoadOrStore(source, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}

// Refusals calls do with how many calls of each source were refused for want of a
// receipt.
func (p *Pipeline) Refusals(do func(source string, n uint64)) {
	p.refusals.Range(func(source, n any) bool {
		do(source.(string), n.(*atomic.Uint64).Load())
		return true
	})
}
