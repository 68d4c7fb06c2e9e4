package capture

import (
	"context"
	"net/http"

	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/record"
)

// MaxAsking is how many calls may wait at once for what is asked over the network
// about who made them. They wait beside the workers. Those that come then are
// recorded without that answer.
const MaxAsking = 64

// who finds out who made a call. It alone, and what learns from logins, reads what
// has not been redacted yet.
func (x *Exchange) who(ctx context.Context, rules *Rules, facts *Facts, p identity.Patience) (id identity.Identity, pending bool) {
	e := identity.Evidence{
		At: x.ID.Time(), Server: facts.Actor, Certificate: facts.Certificate,
		Trusted: facts.TrustedPeer, Headers: x.headers, Book: x.pipeline.book,
	}
	x.mu.Lock()
	e.Issued = x.issued
	if x.whole != nil {
		e.Headers = rules.naming(x.whole)
	} else if x.named != nil {
		e.Headers = x.named
	}
	x.mu.Unlock()
	for _, token := range x.tokens {
		e.Tokens = append(e.Tokens, identity.Token{Raw: token, ID: rules.Redactor.Value([]byte(token))})
	}
	methods := rules.Identity
	if methods == nil {
		methods = standard
	}
	return methods.Who(ctx, &e, p)
}

// naming are the lines of a header that name a user.
func (r *Rules) naming(h http.Header) record.Headers {
	return pick(h, r.IdentityHeaders, 2, identity.MaxClaimLen) // two are as good as more: they name nobody
}

// letGo lets go of the whole header at the end, but for what names the user.
func (x *Exchange) letGo() {
	if x.whole == nil {
		return
	}
	named := x.rules.naming(x.whole)
	x.mu.Lock()
	x.whole, x.named = nil, append(record.Headers{}, named...)
	x.mu.Unlock()
}

var standard = identity.Default()
