package auditapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// DefaultMarkerTTL is how long a marker is good.
const DefaultMarkerTTL = time.Hour // VK-10

// minMarkerKey is the least that a key of markers has, in bytes.
const minMarkerKey = 32

// Verifier checks tokens.
type Verifier interface {
	// Verify returns who the token speaks for and its claims, as decoded from
	// JSON. Its error says why the token is refused, in words for whoever sent
	// it, and nothing secret. An error whose method Unavailable returns true says
	// nothing of the token: it cannot be judged now.
	Verify(ctx context.Context, token string) (record.Actor, map[string]any, error)
}

// Keystone knows the tokens of an OpenStack cloud.
type Keystone interface {
	// Issued reports whether a token may be one of Keystone's.
	Issued(token string) bool
	// Verify returns who holds a token, the names of their roles in it, the project
	// that it is scoped to, "" where it is to none, and when it ends. Its errors are
	// as those of [Verifier].
	Verify(ctx context.Context, token string) (holder record.Actor, project string, expires time.Time, err error)
}

// Config says what an API serves, and to whom.
type Config struct {
	// Store returns the store; its error, shown to callers, says why there is
	// none now. The store stays open until the request that asked has ended.
	Store func() (store.Store, error)
	// Verifier checks the tokens.
	Verifier Verifier
	// Keystone checks those tokens in X-Auth-Token that may be Keystone's, in place of
	// Verifier. Nil: nobody's.
	Keystone Keystone

	// RolesClaim, ProjectsClaim and SourcesClaim name the claims that say what a
	// caller may see; a dotted path leads into nested claims, as
	// realm_access.roles. Empty: "roles", "projects" and "sources". The last two
	// are lists, or "*"; a token without sources sees those that are not
	// restricted.
	RolesClaim    string
	ProjectsClaim string
	SourcesClaim  string
	// Roles lists the values of the roles claim that mean a role. A role that is
	// not in it has its default: owner, super_admin and admin are admin; auditor
	// is auditor; ingest is ingest.
	Roles map[Role][]string
	// Restrict lists the sources that are seen only with tokens that name them.
	Restrict []string

	// MarkerKey seals the markers: 32 bytes and more. MarkerTTL is how long they
	// are good; 0: [DefaultMarkerTTL].
	MarkerKey []byte
	MarkerTTL time.Duration

	// Hashes returns what stands for a secret value in the records, newest key
	// first, and whether that is all: false where an old key cannot be read. It
	// must not keep the value. Nil: there is no /v1/hashes.
	Hashes func(value []byte) (hashes []Hash, complete bool)
	// HashLimits bounds how often hashes are asked for, over all that share it.
	// Nil: limits of its own.
	HashLimits *HashLimits

	// Audit takes the record of each request, when it has ended; the record is
	// the function's only until it returns. Nil: no records.
	Audit func(*record.Record)
	// Redact takes the secrets out of a value that goes into such a record: "uri",
	// "user_agent", "request_id", "host", "project", and each parameter of a
	// listing under its own name; of "q", whose words may be anything, nothing may
	// be left that can be read. Nil: values are kept as they are.
	Redact func(name, value string) string
	// ClientIP returns the address of the client as far as trusted proxies tell;
	// nil: that of the connection.
	ClientIP func(*http.Request) string
	// OriginalPath returns the path that the client sent, escaped as it was, where
	// a prefix of it was stripped; nil: that of the request.
	OriginalPath func(*http.Request) string
	// Log takes failures of which callers are not told everything; nil: nobody.
	Log func(msg string, err error)
	// Now is the clock of markers and ranges; nil: [time.Now].
	Now func() time.Time
}

// API is the handler of the audit API. It may be used from many goroutines.
type API struct {
	config  Config
	mux     *http.ServeMux
	markers *sealer
	gate    *gate
}

// New returns an API, or an error that says what is wrong with c.
func New(c Config) (*API, error) {
	switch {
	case c.Store == nil:
		return nil, errors.New("store is missing")
	case c.Verifier == nil:
		return nil, errors.New("verifier is missing")
	case len(c.MarkerKey) < minMarkerKey:
		return nil, fmt.Errorf("marker key has %d bytes, want %d or more", len(c.MarkerKey), minMarkerKey)
	case c.MarkerTTL < 0:
		return nil, fmt.Errorf("marker_ttl is %s, want more than 0s", c.MarkerTTL)
	}
	roles := make(map[Role][]string, len(defaultRoles))
	for role, values := range defaultRoles {
		roles[role] = values
	}
	for role, values := range c.Roles {
		if _, ok := roles[role]; !ok {
			return nil, fmt.Errorf("role %q is not known, want %s, %s or %s", role, Auditor, Admin, Ingest)
		}
		roles[role] = values
	}
	c.Roles = roles
	for field, value := range map[*string]string{
		&c.RolesClaim: "roles", &c.ProjectsClaim: "projects", &c.SourcesClaim: "sources",
	} {
		if *field == "" {
			*field = value
		}
	}
	if c.MarkerTTL == 0 {
		c.MarkerTTL = DefaultMarkerTTL
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = func(string, error) {}
	}
	if c.Redact == nil {
		c.Redact = func(_, value string) string { return value }
	}
	if c.HashLimits == nil {
		c.HashLimits = NewHashLimits()
	}
	if c.ClientIP == nil {
		c.ClientIP = peer
	}
	if c.OriginalPath == nil {
		c.OriginalPath = func(r *http.Request) string { return r.URL.EscapedPath() }
	}
	markers, err := newSealer(c.MarkerKey)
	if err != nil {
		return nil, err
	}
	a := &API{config: c, mux: http.NewServeMux(), markers: markers, gate: newGate()}
	a.handle(http.MethodGet, "/v1/{project}/logs", a.serve("log.list", a.list))
	a.handle(http.MethodGet, "/v1/{project}/logs/{event_id}", a.serve("log.read", a.lookUp))
	a.handle(http.MethodGet, "/v1/{project}/logs/{event_id}/request_body", a.serve("body.read", a.requestBody))
	a.handle(http.MethodGet, "/v1/{project}/logs/{event_id}/response_body", a.serve("body.read", a.responseBody))
	a.handle(http.MethodGet, "/v1/{project}/summary", a.serve("log.summary", a.summarize))
	a.handle(http.MethodGet, "/v1/whoami", a.serve("whoami.read", a.whoami))
	a.handle(http.MethodGet, "/healthz", a.health)
	if c.Hashes != nil {
		a.handle(http.MethodPost, "/v1/hashes", a.serve("hash.lookup", a.hashes))
	}
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		notFound.because("there is nothing at this path").write(w, r)
	})
	return a, nil
}

// handle registers a handler for a method; other methods are told so.
func (a *API) handle(method, pattern string, h http.HandlerFunc) {
	allow := method
	if method == http.MethodGet {
		allow = "GET, HEAD" // the mux takes one for the other
	}
	a.mux.HandleFunc(method+" "+pattern, h)
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		methodNotAllowed.because("%s is not served here", cut(r.Method, 32)).with("Allow", allow).write(w, r)
	})
}

// sandboxed has a browser run nothing of an answer.
const sandboxed = "sandbox; default-src 'none'"

// ServeHTTP answers one request. It panics with [http.ErrAbortHandler] where an
// answer that has begun cannot be finished, so that no part of a listing looks
// like the whole.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", sandboxed)

	// A slash at the end is as none. Nothing is redirected: the way back through
	// a stripped prefix is not known here, and some clients drop their token.
	u := *r.URL
	u.Path, u.RawPath = trimSlash(u.Path), trimSlash(u.RawPath)
	if path.Clean(u.Path) != u.Path {
		notFound.because("there is nothing at this path").write(w, r)
		return
	}
	inner := *r
	inner.URL = &u
	a.mux.ServeHTTP(w, &inner)
}

func trimSlash(path string) string {
	if path == "/" {
		return path
	}
	return strings.TrimSuffix(path, "/")
}

var _ http.Handler = (*API)(nil)
