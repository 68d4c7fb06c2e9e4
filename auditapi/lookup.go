package auditapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// lookUp answers GET /v1/{project}/logs/{event_id}.
func (a *API) lookUp(x *exchange) error {
	pretty, r, err := a.find(x)
	if err != nil {
		return err
	}
	object, err := r.MarshalJSON()
	if err != nil {
		return err
	}
	x.json(object, pretty)
	return nil
}

// find returns the record that the path names, if the caller may see it.
func (a *API) find(x *exchange) (pretty bool, r *record.Record, err error) {
	scope, err := a.see(x.caller, x.project)
	if err != nil {
		return false, nil, err
	}
	x.seen = true
	x.caller.showSelf(&scope)
	if pretty, err = x.onlyPretty(); err != nil {
		return false, nil, err
	}
	id, err := record.ParseID(x.r.PathValue("event_id"))
	if err != nil {
		return false, nil, parameterProblem([]parameterError{{"event_id", cut(err.Error(), maxDetail)}})
	}
	s, err := a.store()
	if err != nil {
		return false, nil, err
	}
	r, err = s.Get(x.r.Context(), id)
	if errors.Is(err, store.ErrNotFound) || err == nil && !scope.Includes(r) {
		return false, nil, missing(x.r.Context(), s, id, scope)
	}
	if err != nil {
		return false, nil, fmt.Errorf("reading record %s: %w", id, err)
	}
	return pretty, r, nil
}

// missing is the problem that there is no record of that id, the same where it is
// hidden. It tells of the gaps in which it can have been lost.
func missing(ctx context.Context, s store.Store, id record.ID, scope record.Scope) error {
	p := notFound.because("there is no record %s here, or the token does not show it", id)
	at := id.Time()
	gaps, some, err := visibleGaps(ctx, s, &record.Query{From: at, To: at.Add(time.Microsecond), Scope: scope})
	if err != nil {
		return err
	}
	if p.gaps = gaps; some {
		p.detail += "; records of its time are missing"
	}
	return p
}

func (a *API) requestBody(x *exchange) error {
	return a.body(x, "request_body", func(r *record.Record) *record.Body { return &r.RequestBody })
}

func (a *API) responseBody(x *exchange) error {
	return a.body(x, "response_body", func(r *record.Record) *record.Body { return &r.ResponseBody })
}

// unended says of calls that have not ended why their bodies are not there.
var unended = map[record.Outcome]string{
	record.OutcomeInProgress: "the call is still in progress: its bodies are there when it has ended",
	record.OutcomeUnfinished: "the gateway died before the call ended: nothing is known of what its bodies held",
}

// body answers with the kept bytes. Whatever they are, a browser only ever
// saves them: what a component answered once must not run here.
func (a *API) body(x *exchange, name string, of func(*record.Record) *record.Body) error {
	_, r, err := a.find(x)
	if err != nil {
		return err
	}
	b := of(r)
	state := b.State
	if why := unended[r.Outcome]; why != "" {
		p := bodyNotKept.because("%s", why)
		p.state = string(state)
		return p
	}
	switch state {
	case "", record.BodyNone:
		p := bodyNotKept.because("the call had no such body")
		p.state = string(record.BodyNone)
		return p
	case record.BodyWithheld:
		p := bodyNotKept.because("nothing of the body was kept, for the reason %q", b.Reason)
		p.state, p.reason = string(state), b.Reason
		return p
	}
	file := r.EventID.String() + "-" + name
	if state == record.BodyTruncated || state == record.BodyStreamed {
		file += "." + string(state) // a cut is never silent
	}
	kind := "application/octet-stream"
	if state != record.BodyBinary && utf8.Valid(b.Content) {
		kind = "text/plain; charset=utf-8"
		file += ".txt"
	} else {
		file += ".bin"
	}
	h := x.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `attachment; filename="`+file+`"`)
	h.Set("Content-Length", strconv.Itoa(len(b.Content)))
	_, _ = x.w.Write(b.Content) // the writer remembers that the client has left
	return nil
}

// whoami answers GET /v1/whoami, whatever the roles of the caller.
func (a *API) whoami(x *exchange) error {
	pretty, err := x.onlyPretty()
	if err != nil {
		return err
	}
	c := x.caller
	who := struct {
		ID       string `json:"id"`
		Name     string `json:"name,omitempty"`
		Email    string `json:"email,omitempty"`
		Roles    []Role `json:"roles"`
		Projects any    `json:"projects"`
		Sources  any    `json:"sources"`
		// Restricted tells that all sources are not those which a token has to name.
		// Which these are is told to nobody: a look-up does not tell either.
		Restricted bool      `json:"restricted,omitempty"`
		ExpiresAt  time.Time `json:"expires_at,omitzero"`
	}{c.actor.UserID, c.actor.UserName, c.actor.UserEmail, c.roles, everything, everything, c.lacks(a.config.Restrict), c.expires}
	if who.Roles == nil {
		who.Roles = []Role{}
	}
	if !c.scope.AllProjects {
		who.Projects = append([]string{}, c.scope.Projects...)
	}
	if !c.scope.AllSources {
		who.Sources = append([]string{}, c.scope.Sources...)
	}
	object, err := json.Marshal(who)
	if err != nil {
		return err
	}
	x.json(object, pretty)
	return nil
}

// health answers GET /healthz.
func (a *API) health(w http.ResponseWriter, r *http.Request) {
	s, err := a.config.Store()
	if err == nil {
		err = s.Health()
	}
	if err != nil {
		unavailable.because("%s", cut(err.Error(), maxDetail)).write(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(healthy)) // a probe that left asks again
}

const healthy = "{\"status\":\"ok\"}\n"

// IsHealth reports whether an answer to GET /healthz, with its content, is that of an
// audit API: one that is well, or the problem of one that is not.
func IsHealth(status int, header http.Header, content []byte) bool {
	if status == http.StatusOK {
		return string(content) == healthy && header.Get("Content-Security-Policy") == sandboxed
	}
	var p struct{ Type string }
	return json.Unmarshal(content, &p) == nil && p.Type == problemBase+unavailable.name
}
