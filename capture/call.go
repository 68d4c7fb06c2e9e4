package capture

import (
	"context"
	"crypto/x509"

	"github.com/auditgate/auditgate/capture/naming"
	"github.com/auditgate/auditgate/record"
)

// Ledger counts the calls of one source and takes their records.
type Ledger interface {
	// Begin notes that a call has begun. Settle without an error, Lose or Forget
	// follows, once.
	Begin()
	// Announce takes what is known of a call that is still running: a record
	// whose outcome is in_progress, under the id of the final one. The ledger
	// does not keep r. With an error it was not taken, and nothing is lost.
	Announce(r *record.Record) error
	// Receipt takes what Announce takes, and returns when it is stored: then there
	// will be a record of the call, and room for it is set aside. With an error,
	// which comes when ctx ends at the latest, it may be stored yet or not.
	Receipt(ctx context.Context, r *record.Record) error
	// Settle takes the final record of a call, which it does not keep.
	Settle(r *record.Record) error
	// Lose notes that a call became no final record: one that was announced stays
	// unfinished, another is part of a gap.
	Lose(id record.ID, reason string)
	// Forget takes the beginning of a call back: its level is None. It has not
	// been announced.
	Forget()
}

// The reasons for which calls become no record.
const (
	LostQueue    = "queue"    // too many calls wait to become records
	LostMemory   = "memory"   // those that wait take too much memory, without their bodies
	LostStore    = "store"    // the store did not take the record
	LostPanic    = "panic"    // making the record failed
	LostShutdown = "shutdown" // the call ended after the gateway
)

// Facts are what is known of a call beside what its bytes tell.
type Facts struct {
	// Actor is whom the authentication of the server itself has let in.
	Actor record.Actor
	// Certificate is the client's, where TLS has verified it; else nil.
	Certificate *x509.Certificate
	// TrustedPeer tells that the other end of the connection is a proxy whose word
	// is taken.
	TrustedPeer bool
	// Project is whom the call belongs to. ProjectVerified tells that it does
	// not come from the request alone.
	Project         string
	ProjectVerified bool
	// Projects stand instead where the path of the call names its project, and servers
	// read it differently: what each makes of it.
	Projects []string
	// UpstreamURI is path and query as the component got them, where they
	// differ from what the client sent.
	UpstreamURI string
	// Naming is what the namer of the rules knows beside the record. Its values are
	// as the server has them: secrets are taken out later.
	Naming naming.Call
	// Proxied tells, of a call that failed, that it was passed on to a component
	// or should have been.
	Proxied bool
}

// Ending tells how the handler of an exchange returned.
type Ending struct {
	// Err is what the handler returned, Status the status that the error
	// stands for, 0 where it says none.
	Err    error
	Status int
	// Panic is what the handler panicked with.
	Panic any
}

// Call is what an exchange begins with.
type Call struct {
	Rules  *Rules
	Ledger Ledger
	// Levels are tried in order; the first whose statuses have that of the
	// answer decides. The last has every status. None at all: Full. They are not
	// changed, and may be shared.
	Levels []Choice
	Bodies Bodies
	// Facts gathers the facts. It is called on the request's own goroutine when
	// the handler has returned; and before, with the zero Ending, when the header
	// of a stream or of an upgrade goes out. Default: there are none.
	Facts func(Ending) Facts
	// Release is called when the call has become a record, was lost or forgotten.
	Release func()
	// ClientIP is the client's address as far as trusted proxies tell.
	ClientIP string
	// Method and RequestURI are those that the client sent, where something has
	// changed the request since. Default: those of the request.
	Method, RequestURI string
}
