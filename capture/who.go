package capture

import (
	"context"

	"github.com/auditgate/auditgate/capture/identity"
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

var standard = identity.Default()
