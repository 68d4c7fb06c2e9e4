package caddymodule

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/redact"
)

// Calls are those that match; all of them where nothing is said.
type Calls struct {
	// Sets of request matchers, as in a route: a call is meant if all matchers
	// of one set match. They are asked once, before the next handler runs, on
	// the request as it stands at the directive. Where servers read a path in
	// different ways (`%2F`, dots) they are asked for each. Default: every call.
	Match caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	sets caddyhttp.MatcherSets
}

func (c *Calls) provision(ctx caddy.Context) error {
	if len(c.Match) == 0 {
		return nil
	}
	sets, err := ctx.LoadModule(c, "Match")
	if err != nil {
		return fmt.Errorf("loading matchers: %w", err)
	}
	return c.sets.FromInterface(sets)
}

// Level is how much is kept of which calls.
type Level struct {
	// How much is kept of a call: `full`; `request`, all but the body of the
	// answer; `metadata`, no body; or `none`: no record. What is not kept of a
	// body is counted and digested all the same.
	Level string `json:"level"`
	Calls
	// The statuses of those calls: `404`, or `4xx` for a class. Where a level
	// depends on them a call is observed until its status is known. Default: any.
	Statuses []string `json:"statuses,omitempty"`

	choice capture.Choice
}

// levelNames are the names of levels, by capture.Level.
var levelNames = []string{capture.Full: "full", capture.Request: "request", capture.Metadata: "metadata", capture.None: "none"}

// maxLevels is how many levels, and how many rules for bodies, a capture may
// have: each is one bit of what holds for a call.
const maxLevels = 64

// check makes the choice that l stands for.
func (l *Level) check() error {
	n := slices.Index(levelNames, l.Level)
	if n < 0 {
		return fmt.Errorf("level %q is unknown: want one of %q", l.Level, levelNames)
	}
	l.choice = capture.Choice{Level: capture.Level(n)}
	for _, text := range l.Statuses {
		if err := l.choice.On.Add(text); err != nil {
			return fmt.Errorf("level %s: %w", l.Level, err)
		}
	}
	return nil
}

// checkLevels makes the choices of all levels, and refuses one that none can reach.
func checkLevels(all []Level) error {
	if len(all) > maxLevels {
		return fmt.Errorf("%d levels: want %d at most", len(all), maxLevels)
	}
	for i := range all {
		if err := all[i].check(); err != nil {
			return err
		}
		if len(all[i].Match) == 0 && len(all[i].Statuses) == 0 && i < len(all)-1 {
			return fmt.Errorf("level %s is never reached: `level %s` before it holds for every call", all[i+1].Level, all[i].Level)
		}
	}
	return nil
}

// policy decides what is kept of a call. It holds what a capture says, made ready.
type policy struct {
	id     string // see fingerprint
	levels []Level
	none   uint64 // those that are none, by their bits
	bodies []BodyRule
	log    *slog.Logger
	failed atomic.Bool // a matcher has, and was logged
	// choices are those that were made so far, by which levels hold: they are
	// made once, so that a call allocates nothing. Never changed, but replaced.
	choices atomic.Pointer[map[holding][]capture.Choice]
}

// provision loads the matchers of c, which has been checked.
func (p *policy) provision(ctx caddy.Context, c *Capture) error {
	p.levels, p.log = c.Levels, ctx.Slogger().With(slog.String("source", c.Source))
	if c.Redact != nil {
		p.bodies = c.Redact.Bodies
	}
	for i := range p.levels {
		if err := p.levels[i].provision(ctx); err != nil {
			return fmt.Errorf("level %s: %w", p.levels[i].Level, err)
		}
		if p.levels[i].choice.Level == capture.None {
			p.none |= 1 << i
		}
	}
	for i := range p.bodies {
		if err := p.bodies[i].provision(ctx); err != nil {
			return fmt.Errorf("body %s: %w", p.bodies[i].Body, err)
		}
	}
	return nil
}

// maxChoices bounds the map of choices: which levels hold is up to the client.
const maxChoices = 1024

// level returns the levels that may hold for a call, the last of them whatever
// its status; none is full.
func (p *policy) level(r *http.Request) []capture.Choice {
	if len(p.levels) == 0 {
		return nil
	}
	if others := otherReadings(r); len(others) > 0 {
		return choicesOf(p.weigh(r, others))
	}
	h := p.hold(r)
	known := p.choices.Load()
	if known != nil {
		if c, ok := (*known)[h]; ok {
			return c
		}
	}
	made := choicesOf(p.verdicts(h))
	more := make(map[holding][]capture.Choice)
	if known != nil {
		if len(*known) >= maxChoices {
			return made
		}
		maps.Copy(more, *known)
	}
	more[h] = made
	p.choices.CompareAndSwap(known, &more) // whoever loses makes it again
	return made
}

// holding are the levels that may hold for a call, the first in the lowest bit.
type holding struct {
	yes   uint64
	maybe uint64 // their matchers fail
}

// hold returns which levels may hold for a call, by one reading of its path. Where a
// matcher fails none is a level without a record.
func (p *policy) hold(r *http.Request) (h holding) {
	for i := range p.levels {
		l := &p.levels[i]
		yes, failed := p.match(&l.Calls, r, l.Level)
		if failed {
			h.maybe |= 1 << i
		}
		if !yes || h.maybe != 0 && l.choice.Level == capture.None {
			continue
		}
		if h.yes |= 1 << i; len(l.Statuses) == 0 {
			break
		}
	}
	if h.maybe != 0 {
		h.yes &^= p.none
	}
	return h
}

// body returns what the rules say of the bodies of a call.
func (p *policy) body(r *http.Request) capture.Bodies {
	if i := p.bodyRule(r); i >= 0 {
		return p.bodies[i].bodies
	}
	return capture.BodiesDefault
}

// bodyRule returns the number of the rule that holds for the bodies of a call, or
// -1: one that withholds them by some reading of the path, else one by all.
func (p *policy) bodyRule(r *http.Request) int {
	if len(p.bodies) == 0 {
		return -1
	}
	rule := p.bodyRuleOf(r)
	for _, other := range otherReadings(r) {
		switch also := p.bodyRuleOf(other); {
		case rule >= 0 && p.bodies[rule].bodies == capture.BodiesOff:
			return rule
		case also < 0 || rule >= 0 || p.bodies[also].bodies == capture.BodiesOff:
			rule = also
		}
	}
	return rule
}

// bodyRuleOf is bodyRule for one reading of the path.
func (p *policy) bodyRuleOf(r *http.Request) int {
	return slices.IndexFunc(p.bodies, func(b BodyRule) bool {
		yes, failed := p.match(&b.Calls, r, b.Body)
		return yes || failed && b.bodies == capture.BodiesOff
	})
}

// match reports whether a call is one of those that a rule is for, or whether that
// cannot be told.
func (p *policy) match(calls *Calls, r *http.Request, rule string) (yes, failed bool) {
	if len(calls.sets) == 0 {
		return true, false
	}
	yes, err := calls.sets.AnyMatchWithError(r)
	if err == nil {
		return yes, false
	}
	if !p.failed.Swap(true) {
		// The text of the error may hold what the client sent.
		p.log.Error("a matcher of audit_capture fails: such calls are recorded, and without bodies where its rule keeps bodies out; this is logged once",
			slog.String("rule", rule), slog.String("error_type", fmt.Sprintf("%T", err)))
	}
	return false, true
}

// dropped reports whether a call is not recorded, whatever becomes of it.
func dropped(choices []capture.Choice) bool {
	return len(choices) == 1 && choices[0].Level == capture.None
}

// shaping is counted up when the same configuration comes to shape records in
// another way.
const shaping = 1

// fingerprint names what shapes the records of a capture: 16 hexadecimal digits,
// the same for the same rules on every node and at every start. Keys and the
// project have no part in it. It is taken before the matchers are loaded, which
// takes them out of the configuration.
func (c *Capture) fingerprint() (string, error) {
	redaction := Redaction{Mode: redact.HMAC.String()}
	if r := c.redaction(); r != nil {
		redaction = *r
		redaction.Mode = cmp.Or(redaction.Mode, redact.HMAC.String())
	}
	shape := []any{
		shaping, redact.DefaultsVersion, c.Source, c.requestBody(), c.responseBody(), c.streamBody(), c.Levels, redaction,
	}
	if c.closed() {
		shape = append(shape, c.Fail)
	}
	if known, err := c.knows(); err != nil {
		return "", err
	} else if len(known.Withheld) > 0 {
		shape = append(shape, known.Withheld)
	}
	text, err := written(shape)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}
