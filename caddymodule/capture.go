package caddymodule

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

func init() { caddy.RegisterModule(new(Capture)) }

// defaultKept is how much is kept of a body where the configuration does not say.
const defaultKept = 64 << 10

// The variables of a request that hold its exchange, and the innermost capture
// that has part in it.
const (
	exchangeVar = "auditgate.exchange"
	captureVar  = "auditgate.capture"
)

// Capture records the calls that pass: who, when, from where, with which agent,
// method, URI, outcome, and both bodies up to a cap, secrets taken out. It
// changes and delays nothing of what passes.
//
// One call is one record. A capture that a call meets while another one is open
// (inside `handle`) joins it: the innermost source and rules win. With a capture
// in `handle_errors` the record has the answer that the client saw, under the
// source that the call had before; without, it has the status of the error, and
// `status_source` is `error`.
//
// It sets the placeholder `{audit.event_id}`, the id of the record to come, for
// the handlers behind it:
//
//	header_up X-Audit-Id {audit.event_id}
type Capture struct {
	// The name of the component API that the calls go to: letters, digits, dots,
	// dashes and underscores, at most 48. Required.
	Source string `json:"source"`

	// How many bytes are kept of each request body. What is longer is cut there;
	// its size and digest are recorded all the same. 0 keeps none, 16 MiB is the
	// most. Default: 64 KiB.
	RequestBody *int64 `json:"request_body,omitempty"`

	// The same for response bodies. Default: 64 KiB.
	ResponseBody *int64 `json:"response_body,omitempty"`

	// Whom a call belongs to: a placeholder, read when the call has been
	// handled. On an answer of 401, 403 or 404 a project that only the request
	// names is recorded as `claimed_project`. Default: calls have no project.
	Project string `json:"project,omitempty"`

	// The number of the segment of the path that names the project, from 1:
	// 2 is `demo` in `/v1/demo/servers`. Instead of `project`.
	ProjectPath int `json:"project_path,omitempty"`

	app *App
	// rules are made on the first call: the keys are there only when the app
	// has started.
	rules func() (*capture.Rules, error)
	// ledger is that of the engine that took the last call.
	ledger atomic.Pointer[ledger]
}

// CaddyModule implements caddy.Module.
func (*Capture) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.audit_capture", New: func() caddy.Module { return new(Capture) }}
}

// Provision implements caddy.Provisioner.
func (c *Capture) Provision(ctx caddy.Context) (err error) {
	if c.app, err = appOf(ctx); err != nil {
		return err
	}
	c.complete()
	c.rules = sync.OnceValues(func() (*capture.Rules, error) {
		k, err := c.app.loadKeys()
		if err != nil {
			return nil, err
		}
		redactor, err := redact.New(redact.Options{Key: k.redaction})
		if err != nil {
			return nil, err
		}
		return &capture.Rules{
			Source: c.Source, RequestBody: int(*c.RequestBody), ResponseBody: int(*c.ResponseBody), Redactor: redactor,
		}, nil
	})
	return nil
}

// complete fills in the defaults.
func (c *Capture) complete() {
	for _, size := range []**int64{&c.RequestBody, &c.ResponseBody} {
		if *size == nil {
			*size = new(int64(defaultKept))
		}
	}
}

var sourceName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// Validate implements caddy.Validator.
func (c *Capture) Validate() error {
	switch {
	case c.Source == "":
		return errors.New("source is missing: the name of the component API, as in `audit_capture nova`")
	case len(c.Source) > record.MaxSourceLen || !sourceName.MatchString(c.Source):
		return fmt.Errorf("source %q: want at most %d letters, digits, dots, dashes and underscores", c.Source, record.MaxSourceLen)
	case c.Source == record.Self:
		return fmt.Errorf("source %q is the gateway's own: choose another name", c.Source)
	case c.ProjectPath < 0:
		return fmt.Errorf("project path %d: segments count from 1", c.ProjectPath)
	case c.ProjectPath > 0 && c.Project != "":
		return errors.New("project is given twice: as a placeholder and as a segment of the path")
	case c.Project != "" && strings.Contains(c.Project, "{http.request.body"):
		return errors.New("project cannot come from {http.request.body}, which holds the body back")
	}
	for name, size := range map[string]int64{"request_body": *c.RequestBody, "response_body": *c.ResponseBody} {
		if size < 0 || size > capture.MaxKept {
			return fmt.Errorf("%s is %d bytes: want 0 to %s", name, size, humanize.IBytes(capture.MaxKept))
		}
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (c *Capture) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) (err error) {
	rules, err := c.rules()
	if err != nil { // the app cannot have started
		return next.ServeHTTP(w, r)
	}
	if x, ok := caddyhttp.GetVar(r.Context(), exchangeVar).(*capture.Exchange); ok {
		return c.join(x, rules, w, r, next)
	}
	e, release := c.app.lease()
	call := capture.Call{Rules: rules, Ledger: c.ledgerOf(e), Release: release, ClientIP: clientIP(r)}
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		call.Method, call.RequestURI = original.Method, original.RequestURI
	}
	x := e.pipeline.Begin(w, r, call)
	caddyhttp.SetVar(r.Context(), exchangeVar, x)
	caddyhttp.SetVar(r.Context(), captureVar, c)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("audit.event_id", x.ID.String())
	}
	ending := capture.Ending{Panic: errGoexit}
	defer func() {
		if v := recover(); v != nil {
			ending.Panic = v
			x.End(factsOf(r, ending), ending)
			panic(v) // the stack below is still that of the first panic
		}
		x.End(factsOf(r, ending), ending)
	}()
	err = next.ServeHTTP(x.Writer(), r)
	ending = capture.Ending{Err: err, Status: statusOf(err)}
	return err
}

// errGoexit stands for the panic of a handler that ended its goroutine.
var errGoexit = errors.New("the handler ended its goroutine")

// join lets this capture take part in an exchange that another one opened.
func (c *Capture) join(x *capture.Exchange, rules *capture.Rules, w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if x.Join(rules) {
		caddyhttp.SetVar(r.Context(), captureVar, c)
	}
	w, answering := x.Answer(w)
	if !answering {
		return next.ServeHTTP(w, r)
	}
	broken := true // by a panic
	defer func() { x.Answered(broken) }()
	err := next.ServeHTTP(w, r)
	broken = false
	return err
}

// ledgerOf returns the ledger of this source in e.
func (c *Capture) ledgerOf(e *engine) *ledger {
	l := c.ledger.Load()
	if l == nil || l.engine != e {
		l = &ledger{engine: e, source: c.Source}
		c.ledger.Store(l)
	}
	return l
}

// factsOf gathers what Caddy knows of a call that has been handled.
func factsOf(r *http.Request, ending capture.Ending) (f capture.Facts) {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if ok && (r.URL.Path != original.URL.Path || r.URL.RawPath != original.URL.RawPath || r.URL.RawQuery != original.URL.RawQuery) {
		f.UpstreamURI = r.URL.RequestURI()
	}
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	c, found := caddyhttp.GetVar(r.Context(), captureVar).(*Capture)
	if !ok || !found {
		return f
	}
	f.Actor = actorOf(r.TLS, repl)
	if ending.Err != nil || ending.Panic != nil {
		_, f.Proxied = repl.Get("http.reverse_proxy.duration") // which the proxy sets when it is through
	}
	switch {
	case c.Project != "":
		f.Project = repl.ReplaceAll(c.Project, "")
		f.ProjectVerified = vouchedFor(c.Project, r.TLS)
	case c.ProjectPath > 0:
		f.Project = segment(originalPath(r), c.ProjectPath)
	}
	return f
}

// vouchedFor reports whether somebody other than the client says what a project
// is: it is one placeholder of an authentication handler's, or of a certificate
// that was verified.
func vouchedFor(project string, conn *tls.ConnectionState) bool {
	if strings.Count(project, "{") != 1 || !strings.HasSuffix(project, "}") {
		return false
	}
	return strings.HasPrefix(project, "{http.auth.") ||
		strings.HasPrefix(project, "{http.request.tls.client.") && conn != nil && len(conn.VerifiedChains) > 0
}

// String implements fmt.Stringer for placeholders that print variables.
func (c *Capture) String() string { return c.Source }

// originalPath is the escaped path that the client sent, whatever has been
// stripped of it or rewritten since.
func originalPath(r *http.Request) string {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return original.URL.EscapedPath()
	}
	return r.URL.EscapedPath()
}

// segment returns the nth segment of an escaped path, from 1, as the component
// reads it.
func segment(path string, n int) string {
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if n--; n == 0 {
			if plain, err := url.PathUnescape(part); err == nil {
				return plain
			}
			return part
		}
	}
	return ""
}

// actorOf returns who made a call, as far as Caddy has checked.
func actorOf(conn *tls.ConnectionState, repl *caddy.Replacer) record.Actor {
	if id := placeholder(repl, "http.auth.user.id"); id != "" {
		return record.Actor{
			UserID: id, UserName: placeholder(repl, "http.auth.user.name"), UserEmail: placeholder(repl, "http.auth.user.email"),
			AuthMethod: "caddy", AuthVerified: true,
		}
	}
	if conn != nil && len(conn.VerifiedChains) > 0 && len(conn.PeerCertificates) > 0 {
		return identity.FromCertificate(conn.PeerCertificates[0])
	}
	return record.Actor{}
}

func placeholder(repl *caddy.Replacer, name string) string {
	s, _ := repl.GetString(name)
	return s
}

// statusOf returns the status that an error of a handler stands for.
func statusOf(err error) int {
	var he caddyhttp.HandlerError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &he) && he.StatusCode != 0:
		return he.StatusCode
	default:
		return http.StatusInternalServerError // what Caddy answers
	}
}

// clientIP is the client's address as far as trusted proxies tell.
func clientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Capture)(nil)
	_ caddy.Validator             = (*Capture)(nil)
	_ caddyhttp.MiddlewareHandler = (*Capture)(nil)
)
