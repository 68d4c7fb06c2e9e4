package naming

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/auditgate/auditgate/record"
)

// Unknown is the action of a call that no rule names.
const Unknown = "unknown"

// The bounds of rules.
const (
	MaxRules    = 20_000 // of one Namer, those of OpenAPI files and presets too
	MaxMatchers = 64     // rules with a matcher
	MaxName     = 128    // bytes of the name of an action, or of an alias
)

// Rule names the calls that match.
type Rule struct {
	// Name is the action, such as server.create. Required.
	Name string
	// Matches are the calls that are meant: any of them. None: those that Matcher
	// says, and without one too every call.
	Matches []Match
	// Matcher, from 1, is the number of a matcher that must hold as well, see
	// [Call]; 0: none.
	Matcher int
	// Key must be the name of the first member of the JSON object in the request's
	// body, as in {"reboot": …}; with ? before it that of a parameter in the query, as
	// in ?bulk-delete; empty: any call.
	Key string
	// Aliases are other words for the action.
	Aliases []string
	// Objects say what the call acts on: templates. Of type, id and name each is
	// that of the first of them in which it has a value; those whose id and name
	// come to nothing do not count.
	Objects []Object
	// Description says in words what the call does: a template.
	Description string
	// Success is a template whose text tells whether the call did what was asked,
	// where its status alone does not: Want is what it is then. Empty: the status tells.
	Success, Want string
}

// Match is a method and the shape of a path: `:name` is one segment, `*` any one
// segment, a last `/*` the rest.
type Match struct {
	Method string // `*` or empty for any
	Path   string

	template bool // Path is written as in OpenAPI
	rank     int  // matches of a lower rank go before others, whatever their rules
}

// Object are the templates of type, id and name of an object.
type Object struct{ Type, ID, Name string }

// Call is what is known of a call beside its record.
type Call struct {
	// Matched are the matchers that held, the first in the lowest bit.
	Matched uint64
	// Values are those of [Namer.Placeholders], in that order, free of secrets.
	Values []string
}

// Namer names calls. It may be used from many goroutines.
type Namer struct {
	rules    []compiled
	tree     node
	foreigns []string
}

// compiled is a rule, read.
type compiled struct {
	name, want           string
	aliases              []string
	matcher              uint64 // its bit, 0 for none
	objects              [][3]template
	description, success template
	pointers             [2][]pointer // into the request's and the response's body
	judges               bool
}

// builder is what reading a rule needs to know.
type builder struct {
	foreigns []string
	names    map[string]bool // of segments, in the rule that is being read
	pointers [2][]pointer
}

// New returns the namer of rules, of which the first that matches wins. An error
// says which rule is wrong, and how.
func New(rules []Rule) (*Namer, error) {
	if len(rules) > MaxRules {
		return nil, fmt.Errorf("%d rules name actions: want %d at most", len(rules), MaxRules)
	}
	n := &Namer{}
	b := &builder{}
	for i := range rules {
		if err := n.add(b, &rules[i]); err != nil {
			return nil, fmt.Errorf("action %s: %w", cmp.Or(rules[i].Name, "without a name"), err)
		}
	}
	n.foreigns = b.foreigns
	return n, nil
}

// Placeholders are those of the server that templates name, without braces.
func (n *Namer) Placeholders() []string { return n.foreigns }

func (n *Namer) add(b *builder, r *Rule) error {
	c := compiled{name: r.Name, want: r.Want, aliases: r.Aliases}
	for _, name := range append([]string{r.Name}, r.Aliases...) {
		switch {
		case name == "" || len(name) > MaxName || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }):
			return fmt.Errorf("%q is no name of an action: want 1 to %d bytes without spaces, such as server.create", name, MaxName)
		case strings.HasSuffix(name, "."):
			return fmt.Errorf("%q ends in a dot, which asks for a prefix where actions are looked for", name)
		}
	}
	if r.Matcher > MaxMatchers {
		return fmt.Errorf("more than %d rules have a matcher", MaxMatchers)
	}
	if r.Matcher > 0 {
		c.matcher = 1 << (r.Matcher - 1)
	}
	b.names, b.pointers = map[string]bool{}, [2][]pointer{}
	matches := r.Matches
	if len(matches) == 0 {
		matches = []Match{{Path: "/*"}}
	}
	for _, m := range matches {
		parse := parsePattern
		if m.template {
			parse = parseTemplate
		}
		p, err := parse(m.Path)
		if err != nil {
			return fmt.Errorf("match: %w", err)
		}
		if err := n.match(b, m, r.Key, p); err != nil {
			return err
		}
	}
	return n.compile(b, c, r)
}

// match puts one shape of the rule to come into the tree.
func (n *Namer) match(b *builder, m Match, key string, p pattern) error {
	method := m.Method
	if method == "*" {
		method = ""
	}
	if method != strings.ToUpper(method) || strings.ContainsAny(method, "/ :") {
		return fmt.Errorf("match: %q is no method: want one such as GET, or * for any", method)
	}
	b.names["*"] = p.rest || b.names["*"]
	for _, s := range p.segments {
		b.names[s.name] = s.name != "" || b.names[s.name]
	}
	n.tree.add(p, entry{rule: len(n.rules), rank: m.rank, method: method, key: key})
	return nil
}

// compile reads the templates of a rule whose shapes are in the tree.
func (n *Namer) compile(b *builder, c compiled, r *Rule) (err error) {
	for _, o := range r.Objects {
		var object [3]template
		for i, text := range [...]string{o.Type, o.ID, o.Name} {
			if object[i], err = b.parse(text); err != nil {
				return fmt.Errorf("object: %w", err)
			}
		}
		c.objects = append(c.objects, object)
	}
	if c.description, err = b.parse(r.Description); err != nil {
		return fmt.Errorf("description: %w", err)
	}
	if c.judges = r.Success != ""; c.judges && r.Want == "" {
		return errors.New("success: want a placeholder and the value that means success, as in `success {audit.res.json./ok} true`")
	}
	if c.success, err = b.parse(r.Success); err != nil {
		return fmt.Errorf("success: %w", err)
	}
	c.pointers = b.pointers
	n.rules = append(n.rules, c)
	return nil
}

// call is one call that is being named.
type call struct {
	record *record.Record
	values []string

	number   int // of rule
	rule     *compiled
	readings []reading // those of the path which the rule is for
	room     [2]reading
	bodies   [2]values // of the pointers, by body
	form     url.Values
}

// reading is a path as some components read it.
type reading struct {
	path  []string
	names []segment // of the shape that matched
}

// agreed returns what of says of the path, nothing where its readings differ in that.
func (c *call) agreed(of func(reading) (string, bool)) (value string, ok bool) {
	for i, r := range c.readings {
		one, there := of(r)
		if i > 0 && (one != value || there != ok) {
			return "", false
		}
		value, ok = one, there
	}
	return value, ok
}

// nth returns the nth segment, from 1.
func (r reading) nth(n int) (string, bool) {
	if n > len(r.path) {
		return "", false
	}
	return r.path[n-1], true
}

// named returns the segment of that name; that of * is the rest.
func (r reading) named(name string) (string, bool) {
	if name == "*" {
		rest := r.path[min(len(r.names), len(r.path)):]
		return strings.Join(rest, "/"), len(rest) > 0
	}
	for i := range r.names {
		if r.names[i].name == name && i < len(r.path) {
			return r.names[i].value(r.path[i]), true
		}
	}
	return "", false
}

// Find returns the number of the rule, from 0 in the order given, that names the
// call of r, or -1.
func (n *Namer) Find(r *record.Record, matched uint64) int {
	c := &call{record: r}
	if !n.look(c, matched) {
		return -1
	}
	return c.number
}

// look looks for the rule of a call. Where a path can be read in two ways, and there are
// rules for both, they must say the same action: else nobody knows what the component did.
// The rule is then that of the path whose coded slashes are none.
func (n *Namer) look(c *call, matched uint64) bool {
	c.readings = c.room[:0]
	for _, coded := range [...]bool{false, true} {
		path, ok := segments(c.record.URI, coded)
		if !ok {
			break
		}
		e, ok := n.find(c.record, path, matched)
		if !ok {
			continue
		}
		switch {
		case len(c.readings) == 0:
			c.number = e.rule
		case n.rules[c.number].name != n.rules[e.rule].name:
			return false
		case c.number != e.rule: // whose names are others
			continue
		}
		c.readings = append(c.readings, reading{path, e.names})
	}
	return len(c.readings) > 0
}

func (n *Namer) find(r *record.Record, path []string, matched uint64) (best entry, ok bool) {
	s := search{method: r.Method, query: r.Query, body: r.RequestBody.Content}
	n.tree.find(&s, path)
	for _, e := range s.found {
		if m := n.rules[e.rule].matcher; m != 0 && m&matched == 0 {
			continue
		}
		if !ok || cmp.Or(cmp.Compare(e.rank, best.rank), cmp.Compare(e.rule, best.rule)) < 0 {
			best, ok = e, true
		}
	}
	return best, ok
}

// Name says in r, which is final but for that, what its call does. What no rule
// names is [Unknown].
func (n *Namer) Name(r *record.Record, known Call) {
	r.Action = Unknown
	c := &call{record: r, values: known.Values}
	if !n.look(c, known.Matched) {
		return
	}
	rule := &n.rules[c.number]
	c.rule = rule
	r.Action, r.ActionAliases = rule.name, rule.aliases
	var o record.Object
	for i := 0; i < len(rule.objects) && (o.Type == "" || o.ID == "" || o.Name == ""); i++ {
		var texts [3]string
		for at := range texts {
			texts[at], _ = rule.objects[i][at].fill(c)
		}
		if texts[1]+texts[2] == "" {
			continue
		}
		o = record.Object{Type: cmp.Or(o.Type, texts[0]), ID: cmp.Or(o.ID, texts[1]), Name: cmp.Or(o.Name, texts[2])}
	}
	if o.ID != "" || o.Name != "" {
		r.Object = &o
	}
	r.Description, _ = rule.description.fill(c)
	if rule.judges && r.Success == record.SuccessYes {
		switch text, found := rule.success.fill(c); {
		case !found:
			r.Success = record.SuccessUnknown
		case text != rule.want:
			r.Success = record.SuccessNo
		}
	}
}
