package identity

import (
	"context"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/auditgate/auditgate/record"
)

// Identity is who made a call, and whom the call belongs to as far as the same
// source tells.
type Identity struct {
	record.Actor
	Project string
	// ProjectVerified tells that somebody other than the client says what the project
	// is, though nobody else may say who the user is.
	ProjectVerified bool
	// Disputed tells that tokens of the call name different people, so that a method
	// named nobody.
	Disputed bool
}

// Evidence is all that may tell who made a call.
type Evidence struct {
	// At is when the call began: a token that was good then is good for the call.
	At time.Time
	// Tokens are those that came with the call: see [TokensOf].
	Tokens []Token
	// Server is whom the authentication of the server itself has let in.
	Server record.Actor
	// Certificate is the client's, where TLS has verified it; else nil.
	Certificate *x509.Certificate
	// Trusted tells that the other end of the connection is a proxy whose word is
	// taken.
	Trusted bool
	// Headers are the request's, as they came: those that a method reads, whole.
	Headers record.Headers
	// Book is what was learned of tokens, or nil.
	Book *Book
	// Issued is the ID of the token that the answer to the call issued, as a lesson has
	// read it; else "".
	Issued string
}

// Token is a token that came with a call.
type Token struct {
	Raw string
	// ID is what stands for it in records: its keyed hash.
	ID string
}

// maxTokens is how many different tokens of one call are looked at.
const maxTokens = 4

// TokensOf returns the different tokens of a request, without their IDs: those of
// Authorization headers with the scheme Bearer, then those of X-Auth-Token, or else of
// X-Storage-Token, which services of OpenStack read where that is missing. Both are also
// read with underscores, since many of them cannot tell those from dashes.
// X-Subject-Token is none of them: it is what a call is about.
func TokensOf(h http.Header) (tokens []string) {
	add := func(to []string, token string) []string {
		token = strings.TrimSpace(token)
		if token == "" || len(to) == maxTokens || slices.Contains(to, token) {
			return to
		}
		return append(to, token)
	}
	for _, value := range h["Authorization"] {
		if scheme, token, ok := strings.Cut(strings.TrimSpace(value), " "); ok && strings.EqualFold(scheme, "Bearer") {
			tokens = add(tokens, token)
		}
	}
	var others []string
	for _, names := range cloudHeaders {
		for _, name := range names {
			for _, value := range h[name] {
				others = add(others, value)
			}
		}
		if len(others) > 0 {
			break
		}
	}
	// What one header has too many of does not push out the other's: a component goes
	// by one of them alone.
	tokens = tokens[:min(len(tokens), maxTokens-min(len(others), maxTokens/2))]
	for _, token := range others {
		tokens = add(tokens, token)
	}
	return tokens
}

// cloudHeaders are the headers with a token of OpenStack, in canonical form.
var cloudHeaders = [...][4]string{
	{"X-Auth-Token", "X_auth_token", "X-Auth_token", "X_auth-Token"},
	{"X-Storage-Token", "X_storage_token", "X-Storage_token", "X_storage-Token"},
}

// Patience says what a [Method] does that would have to ask over the network.
type Patience byte

const (
	// Probe reports that it would have to ask.
	Probe Patience = iota
	// Never goes without an answer.
	Never
	// Wait asks, and waits for the answer.
	Wait
)

// Method is one way of knowing who made a call. It returns an identity that is
// not Known where it cannot tell. With [Probe] it may report that its answer is
// pending; the call is then to be tried again with another patience.
type Method func(ctx context.Context, e *Evidence, p Patience) (id Identity, pending bool)

// Methods are tried in order; the first that knows wins.
type Methods []Method

// Default are the methods where nothing else is said.
func Default() Methods { return Methods{Server, Certificate, FromBook, Claims} }

// Who returns who made a call. TokenID is set wherever there is a token, known
// caller or not: that of the token which told, else of the first.
func (m Methods) Who(ctx context.Context, e *Evidence, p Patience) (id Identity, pending bool) {
	disputed := false
	for _, method := range m {
		if id, pending = method(ctx, e, p); pending {
			return Identity{}, true
		}
		if id.Known() {
			break
		}
		disputed = disputed || id.Disputed
		id = Identity{}
	}
	id.Disputed = disputed
	if id.TokenID == "" && len(e.Tokens) > 0 {
		id.TokenID = e.Tokens[0].ID
	}
	return id, false
}

// Server answers with whom the server's own authentication let in.
func Server(_ context.Context, e *Evidence, _ Patience) (Identity, bool) {
	return Identity{Actor: e.Server}, false
}

// Certificate answers with the client certificate that TLS has verified.
func Certificate(_ context.Context, e *Evidence, _ Patience) (Identity, bool) {
	if e.Certificate == nil {
		return Identity{}, false
	}
	return Identity{Actor: FromCertificate(e.Certificate)}, false
}

// Claims answers with what the first token that is a JWT says of itself: nobody
// has checked it.
func Claims(_ context.Context, e *Evidence, _ Patience) (Identity, bool) {
	for _, t := range e.Tokens {
		if actor, ok := FromBearer(t.Raw); ok {
			actor.TokenID = t.ID
			return Identity{Actor: actor}, false
		}
	}
	return Identity{}, false
}

// Header returns the method that takes the word of a trusted proxy: one header
// has the user's id, and email, where it is not "", another one the e-mail
// address. From anybody else these headers mean nothing, and neither do headers
// that come twice.
func Header(id, email string) Method {
	return func(_ context.Context, e *Evidence, _ Patience) (Identity, bool) {
		if !e.Trusted {
			return Identity{}, false
		}
		actor := record.Actor{UserID: single(e.Headers, id), AuthMethod: "header", AuthVerified: true}
		if actor.UserID == "" {
			return Identity{}, false
		}
		if email != "" {
			actor.UserEmail = single(e.Headers, email)
		}
		return Identity{Actor: actor}, false
	}
}

// single returns the value of a header that comes once and is fit for a record.
func single(headers record.Headers, name string) (value string) {
	found := false
	for i := range headers {
		if strings.EqualFold(headers[i].Name, name) {
			if found {
				return ""
			}
			value, found = clean(strings.TrimSpace(headers[i].Value)), true
		}
	}
	return value
}

// byToken asks about each token of a call. Where they name different people
// nobody is named: which of them the component goes by is not known here.
func byToken(e *Evidence, ask func(Token) (id Identity, pending bool)) (found Identity, pending bool) {
	for _, t := range e.Tokens {
		id, pending := ask(t)
		if pending {
			return Identity{}, true
		}
		if !id.Known() {
			continue
		}
		if found.Known() && (id.UserID != found.UserID || id.UserName != found.UserName || id.UserEmail != found.UserEmail || id.Project != found.Project) {
			return Identity{Disputed: true}, false
		}
		id.TokenID = t.ID
		found = id
	}
	return found, false
}

// Verified returns the method that checks tokens with v.
func Verified(v *Verifier) Method {
	return func(ctx context.Context, e *Evidence, p Patience) (Identity, bool) {
		return byToken(e, func(t Token) (Identity, bool) { return v.who(ctx, t, e.At, p) })
	}
}

// wholeHeaders returns the values of a header; none, where one of them is longer than
// a token may be.
func wholeHeaders(headers record.Headers, name string) (values []string) {
	for i := range headers {
		if f := &headers[i]; strings.EqualFold(f.Name, name) {
			if len(f.Value) > MaxTokenLen {
				return nil
			}
			values = append(values, f.Value)
		}
	}
	return values
}
