package caddymodule

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/auditgate/auditgate/capture/naming"
)

// Action is what some calls do.
//
// Its texts may have placeholders: `{audit.req.json.<pointer>}`,
// `{audit.res.json.<pointer>}`, `{audit.req.form.<name>}`,
// `{audit.req.header.<name>}`, `{audit.res.header.<name>}`, `{audit.path.<n>}` for a
// segment, from 1, `{audit.path.<name>}` for one that `match` names, `{audit.path.*}`
// for the rest,
// `{audit.status}`, `{audit.user_id}` and so on for the fields of a record, all as
// they are recorded, without secrets; `{audit.tail.res.header.Location}`, and so on
// for each of these, for what stands behind its last slash; and those of Caddy, read when the call
// has been handled. What a body does not have, or was cut off, is nothing.
type Action struct {
	// The name of the action, such as `server.create`: at most 128 bytes without
	// spaces, and no dot at its end. Required.
	Name string `json:"name"`

	// Methods and paths of the calls that are meant: any of them.
	Paths []ActionPath `json:"paths,omitempty"`

	// Instead of those, or beside them. Without both every call is meant.
	Calls

	// Other words for the action, which it is found by as well.
	Aliases []string `json:"aliases,omitempty"`

	// What the calls act on. Where neither id nor name come to something there
	// is no object.
	Object *ActionObject `json:"object,omitempty"`

	// What the call does, in words: at most 1,024 bytes are kept.
	Description string `json:"description,omitempty"`

	// Whether the call did what was asked, where its status alone does not tell.
	Success *ActionSuccess `json:"success,omitempty"`
}

// ActionPath is a method and the shape of a path.
type ActionPath struct {
	// As in `GET`; `*` is any.
	Method string `json:"method"`
	// As the client sent it: `:name` is one segment, `*` any one segment, a last
	// `/*` the rest, as in `/v2.1/servers/:id/action`. The path of a call is read as
	// servers do: empty segments and dots count for nothing, two dots take one back.
	// They do not agree on coded slashes (`%2F`): a call that is another action to
	// each of them is `unknown`, and a segment that they read differently is nothing.
	Path string `json:"path"`
}

// ActionObject is what a call acts on, each a text with placeholders.
type ActionObject struct {
	Type string `json:"type,omitempty"`
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// ActionSuccess asks the answer of a call whether it did what was asked.
type ActionSuccess struct {
	// A placeholder, as `{audit.res.json./ok}`. Where it has no value, `success` is
	// `unknown`; where it has another than `is`, `no`.
	Value string `json:"value"`
	// Its value where the call did what was asked.
	Is string `json:"is"`
}

// maxActions is how many actions a capture may have.
const maxActions = 1000

// rules are the rules that a stands for: those of its paths, and those of its
// matchers, which have the number given.
func (a *Action) rules(matcher int) (rules []naming.Rule) {
	r := naming.Rule{Name: a.Name, Aliases: a.Aliases, Description: a.Description}
	if o := a.Object; o != nil {
		r.Objects = []naming.Object{naming.Object(*o)}
	}
	if s := a.Success; s != nil {
		r.Success, r.Want = s.Value, s.Is
	}
	for _, p := range a.Paths {
		r.Matches = append(r.Matches, naming.Match{Method: p.Method, Path: p.Path})
	}
	if len(a.Paths) > 0 || len(a.Match) == 0 {
		rules = append(rules, r)
	}
	if len(a.Match) > 0 {
		r.Matches, r.Matcher = nil, matcher
		rules = append(rules, r)
	}
	return rules
}

// checkActions says what is wrong with the last action: they are checked one by one
// as they come, and all of them again when a namer is made.
func checkActions(all []Action) error {
	if len(all) > maxActions {
		return fmt.Errorf("%d actions: want %d at most", len(all), maxActions)
	}
	if len(all) == 0 {
		return nil
	}
	_, err := naming.New(all[len(all)-1].rules(1))
	return err
}

// namer names the calls of a capture.
type namer struct {
	*naming.Namer
	matchers []*Calls
	log      *slog.Logger
	failed   atomic.Bool
}

// newNamer makes the namer of c, and loads its matchers; nil where it has no rules.
func newNamer(ctx caddy.Context, c *Capture) (*namer, error) {
	n := &namer{log: ctx.Slogger().With(slog.String("source", c.Source))}
	var rules []naming.Rule
	for i := range c.Actions {
		a := &c.Actions[i]
		if len(a.Match) > 0 {
			n.matchers = append(n.matchers, &a.Calls)
		}
		rules = append(rules, a.rules(len(n.matchers))...)
		if err := a.provision(ctx); err != nil {
			return nil, fmt.Errorf("action %s: %w", a.Name, err)
		}
	}
	if c.OpenAPI != "" {
		more, err := readOpenAPI(c.OpenAPI)
		if err != nil {
			return nil, fmt.Errorf("openapi: %w", err)
		}
		rules = append(rules, more...)
	}
	known, err := c.knows()
	if err != nil {
		return nil, err
	}
	rules = append(rules, known.Rules...)
	if len(rules) == 0 {
		return nil, nil
	}
	n.Namer, err = naming.New(rules)
	return n, err
}

// readOpenAPI returns the rules of the document in a file, whose name may have
// placeholders.
func readOpenAPI(name string) ([]naming.Rule, error) {
	name, err := caddy.NewReplacer().ReplaceOrErr(name, true, true)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	document, err := io.ReadAll(io.LimitReader(f, naming.MaxOpenAPI+1))
	if err != nil {
		return nil, err
	}
	rules, err := naming.OpenAPI(document)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rules, nil
}

// match returns which of the matchers hold for a call, the first in the lowest bit.
// One that fails does not.
func (n *namer) match(r *http.Request) (matched uint64) {
	if n == nil {
		return 0
	}
	for i, m := range n.matchers {
		yes, err := m.sets.AnyMatchWithError(r)
		if err != nil && !n.failed.Swap(true) {
			// The text of the error may hold what the client sent.
			n.log.Error("a matcher of an action fails: it names no calls; this is logged once", slog.String("error_type", fmt.Sprintf("%T", err)))
		}
		if yes && err == nil {
			matched |= 1 << i
		}
	}
	return matched
}

// known is what naming knows of a call beside its record.
func (n *namer) known(repl *caddy.Replacer, matched uint64) naming.Call {
	if n == nil {
		return naming.Call{}
	}
	call := naming.Call{Matched: matched}
	for _, name := range n.Placeholders() {
		call.Values = append(call.Values, placeholder(repl, name))
	}
	return call
}
