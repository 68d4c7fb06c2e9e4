package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/naming"
	"github.com/auditgate/auditgate/record"
)

func init() { caddy.RegisterModule(new(Capture)) }

// defaultKept is how much is kept of a body where the configuration does not say.
const defaultKept = 64 << 10

// defaultStream is the same for each direction of a stream.
const defaultStream = 8 << 10

// exchangeVar is the variable of a request that holds its exchange; nil where a
// capture has passed the call on unrecorded.
const exchangeVar = "auditgate.exchange"

// Capture records the calls that pass: who, when, from where, with which agent,
// method, URI, outcome, and both bodies up to a cap, secrets taken out. It
// changes and delays nothing of what passes.
//
// One call is one record. A capture that a call meets while another one is open
// (inside `handle`) joins it: the innermost source and rules win. With a capture
// in `handle_errors` the record has the answer that the client saw, under the
// source, the project and the rules that the call had before: what such a capture
// says itself of levels, sizes, project and redaction holds only for calls that no
// other capture has begun. Without one the record has the status of the error, and
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

	// How much is kept of which calls; the first that matches decides. At most
	// 64. Default: all is kept of every call.
	Levels []Level `json:"levels,omitempty"`

	// How many bytes are kept of each request body. What is longer is cut there;
	// its size and digest are recorded all the same. 0 keeps none, 16 MiB is the
	// most. Default: 64 KiB.
	RequestBody *int64 `json:"request_body,omitempty"`

	// The same for response bodies. Default: 64 KiB.
	ResponseBody *int64 `json:"response_body,omitempty"`

	// How many bytes are kept of each direction of streams (event streams, gRPC)
	// and of upgraded connections, instead of those. Default: 8 KiB.
	StreamBody *int64 `json:"stream_body,omitempty"`

	// Whom a call belongs to: a placeholder, read when the call has been
	// handled. On an answer of 401, 403 or 404, and where the call failed before the
	// component answered, a project that only the request
	// names is recorded as `claimed_project`. Default: the project of a verified
	// or learned identity.
	Project string `json:"project,omitempty"`

	// The number of the segment of the path that names the project, from 1:
	// 2 is `demo` in `/v1/demo/servers`. The path is read as servers do that clean it;
	// where a slash in it is coded (`%2F`), so that they may read it differently, the
	// project is that of the verified identity, if one of them reads it there; else
	// what they make of it is `claimed_project`. Instead of `project`.
	ProjectPath int `json:"project_path,omitempty"`

	// How it is found out who makes the calls. Default: by Caddy's authentication,
	// by a verified client certificate, by what was learned of the token, else by
	// the claims of a bearer JWT, which are marked unverified.
	Identity *Identity `json:"identity,omitempty"`

	// What the calls do: the first action that matches names a call. At most 1,000,
	// 64 of them with matchers. Default: every action is `unknown`.
	Actions []Action `json:"actions,omitempty"`

	// A file with an OpenAPI 3 document of the component, in JSON or YAML: it names
	// the calls that no action names. The action is the operationId, the object the
	// last parameter of the path, its type that parameter's name without `_id` or
	// `Id`, and the description the summary. Default: none.
	OpenAPI string `json:"openapi,omitempty"`

	// A product of whose APIs Auditgate knows the actions, the objects and the secrets:
	// `openstack`. It names the calls that neither an action nor `openapi` names.
	// Default: none.
	Preset *Preset `json:"preset,omitempty"`

	// What is secret, beside what always is.
	Redact *Redaction `json:"redact,omitempty"`

	// What becomes of a call that cannot be put on record. `open`: it goes on, and
	// is part of a gap if there is never a record of it. `closed`: it begins only
	// when a receipt of it is stored as durably as records are (see `durability`),
	// for which it waits up to 2 seconds; if that fails, or is known to be in vain,
	// the answer is 503 with a `Retry-After`, and the component is not called.
	// Calls of level `none` need no receipt; what has one becomes a record,
	// whatever its level says of its status later. Where captures join and one of
	// them is `closed`, the handlers behind that one run only with a receipt. In
	// `handle_errors` it has no say in calls that another capture has begun.
	// Default: `open`.
	Fail string `json:"fail,omitempty"`

	app    *App
	policy policy
	namer  *namer
	held   held
	// known is what the preset knows, and withheld finds the calls of which it keeps no
	// body: see knows and withholds.
	known    *naming.Preset
	withheld *naming.Namer
	// rules are made on the first call: what is only validated makes no keys.
	rules     func() (*capture.Rules, error)
	complaint complaint // about calls that were refused
	// ledger is that of the engine that took the last call.
	ledger atomic.Pointer[ledger]
}

// CaddyModule implements caddy.Module.
func (*Capture) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.audit_capture", New: func() caddy.Module { return new(Capture) }}
}

// Provision implements caddy.Provisioner.
func (c *Capture) Provision(ctx caddy.Context) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	text, err := written(c)
	if err != nil {
		return err
	}
	if c.policy.id, err = c.fingerprint(); err != nil { // before matchers are loaded
		return err
	}
	if err := c.policy.provision(ctx, c); err != nil {
		return err
	}
	if c.namer, err = newNamer(ctx, c); err != nil {
		return err
	}
	known, err := c.knows()
	if err != nil {
		return err
	}
	if c.withheld, err = newWithheld(known); err != nil {
		return fmt.Errorf("preset: %w", err)
	}
	if c.app, err = appOf(ctx); err != nil {
		return err
	}
	c.app.note("audit_capture", text)
	if c.restricts() {
		c.app.restricted = append(c.app.restricted, c.Source)
	}
	methods, err := c.Identity.methods(ctx, &c.held)
	if err != nil {
		return err
	}
	lessons, err := c.Identity.lessons()
	if err != nil {
		return err
	}
	c.rules = sync.OnceValues(func() (*capture.Rules, error) {
		options, err := c.redaction().options()
		if err != nil {
			return nil, err
		}
		redactor, err := c.app.redactor(options)
		if err != nil {
			return nil, err
		}
		rules := &capture.Rules{
			Source: c.Source, Redactor: redactor, Policy: c.policy.id,
			RequestBody: c.requestBody(), ResponseBody: c.responseBody(), StreamBody: c.streamBody(),
			Identity: methods, IdentityHeaders: c.Identity.headers(), Lessons: lessons, IdentityProject: c.Project == "" && c.ProjectPath == 0,
		}
		if c.namer != nil {
			rules.Namer = c.namer.Namer
		}
		if n := c.ProjectPath; n > 0 {
			rules.Project = func(path string) (string, []string) { return projectIn(path, n) }
		}
		return rules, nil
	})
	return nil
}

// How many bytes are kept of each body, and of each direction of a stream.
func (c *Capture) requestBody() int  { return kept(c.RequestBody, defaultKept) }
func (c *Capture) responseBody() int { return kept(c.ResponseBody, defaultKept) }
func (c *Capture) streamBody() int   { return kept(c.StreamBody, defaultStream) }

func kept(size *int64, otherwise int) int {
	if size == nil {
		return otherwise
	}
	return int(*size)
}

var sourceName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// check says what is wrong with a configuration before its matchers are loaded.
func (c *Capture) check() error {
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
	for name, size := range map[string]*int64{
		"request_body": c.RequestBody, "response_body": c.ResponseBody, "stream_body": c.StreamBody,
	} {
		if size != nil && (*size < 0 || *size > capture.MaxKept) {
			return fmt.Errorf("%s is %d bytes: want 0 to %s", name, *size, humanize.IBytes(capture.MaxKept))
		}
	}
	if c.Fail != "" && !slices.Contains(failPolicies, c.Fail) {
		return fmt.Errorf("fail %q is unknown: want one of %q", c.Fail, failPolicies)
	}
	if err := checkLevels(c.Levels); err != nil {
		return err
	}
	if err := checkActions(c.Actions); err != nil {
		return err
	}
	if err := c.Identity.check(); err != nil {
		return err
	}
	if _, err := c.knows(); err != nil {
		return err
	}
	return c.redaction().check()
}

// hasRules reports whether c says more than its source.
func (c *Capture) hasRules() bool {
	return len(c.Levels) > 0 || c.RequestBody != nil || c.ResponseBody != nil || c.StreamBody != nil ||
		c.Project != "" || c.ProjectPath > 0 || c.Identity != nil || c.Redact != nil || len(c.Actions) > 0 || c.OpenAPI != "" || c.Preset != nil || c.closed()
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (c *Capture) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) (err error) {
	levels := c.policy.level(r)
	x, met := caddyhttp.GetVar(r.Context(), exchangeVar).(*capture.Exchange)
	joins := x != nil
	// What was not to be recorded is not when it fails, either.
	if !joins && (dropped(levels) || met && r.Context().Value(caddyhttp.ErrorCtxKey) != nil) {
		caddyhttp.SetVar(r.Context(), exchangeVar, (*capture.Exchange)(nil))
		return next.ServeHTTP(w, r)
	}
	rules, err := c.rules()
	if err != nil { // the app cannot have started
		return next.ServeHTTP(w, r)
	}
	bodies := c.body(r)
	matched := c.namer.match(r)
	facts := func(ending capture.Ending) capture.Facts { return c.factsOf(r, ending, matched) }
	if joins {
		if x.Join(rules, levels, bodies, facts) && c.closed() && !dropped(levels) {
			if err := receipt(x, r); err != nil {
				c.refuse(w, err)
				return nil
			}
		}
		return answer(x, w, r, next)
	}
	e, release := c.app.lease()
	call := capture.Call{
		Rules: rules, Ledger: c.ledgerOf(e), Levels: levels, Bodies: bodies, Facts: facts,
		Release: release, ClientIP: clientIP(r),
	}
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		call.Method, call.RequestURI = original.Method, original.RequestURI
	}
	x = e.pipeline.Begin(w, r, call)
	caddyhttp.SetVar(r.Context(), exchangeVar, x)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("audit.event_id", x.ID.String())
	}
	ending := capture.Ending{Panic: errGoexit}
	defer func() {
		if v := recover(); v != nil {
			ending.Panic = v
			x.End(ending)
			panic(v) // the stack below is still that of the first panic
		}
		x.End(ending)
	}()
	if c.closed() {
		err = receipt(x, r)
	}
	if err != nil {
		c.refuse(x.Writer(), err)
		ending = capture.Ending{}
		return nil
	}
	err = next.ServeHTTP(x.Writer(), r)
	ending = capture.Ending{Err: err, Status: statusOf(err)}
	return err
}

// errGoexit stands for the panic of a handler that ended its goroutine.
var errGoexit = errors.New("the handler ended its goroutine")

// answer runs next for an exchange that another capture opened: where that has
// failed, and this is an error route, under the taps of the exchange.
func answer(x *capture.Exchange, w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
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

// Cleanup implements caddy.CleanerUpper. Calls may still run.
func (c *Capture) Cleanup() error {
	c.held.release()
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Capture)(nil)
	_ caddy.CleanerUpper          = (*Capture)(nil)
	_ caddyhttp.MiddlewareHandler = (*Capture)(nil)
)
