package caddymodule

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// parseCapture reads the directive:
//
//	audit_capture [<matcher>] <source> {
//		level         full|request|metadata|none [<matcher>] [on <status…>]   # repeatable
//		request_body  <size>
//		response_body <size>
//		stream_body   <size>
//		project       <placeholder> | path <n>
//		identity      { … }                                                   # see parseIdentity
//		action        <name> { … }                                          # repeatable, see parseAction
//		openapi       <file>
//		preset        openstack [<service…>]
//		fail          open|closed
//		redact {
//			headers <name…>
//			fields  <name…>
//			pointer <json pointer…>
//			keep    <json pointer…> [on <method> <path>]   # repeatable
//			path    <pattern…>
//			values  card… | none
//			mode    hmac|mask|drop
//			body    off [<matcher>] | on <matcher>         # repeatable
//		}
//	}
func parseCapture(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	d := h.Dispenser
	d.Next() // consume directive name
	c, at := new(Capture), origin{File: d.File(), Line: d.Line()}
	b := block{Dispenser: d}
	if !d.AllArgs(&c.Source) {
		b.err = d.Err("want one source: the name of the component API, as in `audit_capture nova`")
	}
	// What Caddy would find later it would find without file and line.
	b.check(c.check)
	for b.next() {
		switch d.Val() {
		case "level":
			at.Levels = append(at.Levels, d.Line())
			b.try(func() error { return parseLevel(h, c) })
		case "request_body":
			b.once(func() error { c.RequestBody = new(int64); return size(d, c.RequestBody, 0) })
		case "response_body":
			b.once(func() error { c.ResponseBody = new(int64); return size(d, c.ResponseBody, 0) })
		case "stream_body":
			b.once(func() error { c.StreamBody = new(int64); return size(d, c.StreamBody, 0) })
		case "project":
			b.once(func() error { return parseProject(d, c) })
		case "identity":
			b.once(func() error { return parseIdentity(d, c) })
		case "action":
			b.try(func() error { return parseAction(h, c) })
		case "openapi":
			b.once(func() error { return word(d, &c.OpenAPI) })
		case "preset":
			b.once(func() error { return parsePreset(d, c) })
		case "fail":
			b.once(func() error { return oneOf(d, &c.Fail, failPolicies...) })
		case "redact":
			b.once(func() error { return parseRedact(h, c, &at) })
		default:
			b.unknown("level", "request_body", "response_body", "stream_body", "project", "identity", "action", "openapi", "preset", "fail", "redact")
		}
		b.check(c.check)
	}
	if b.err == nil && adapted != nil {
		adapted(c, at)
	}
	return c, b.err
}

// parseLevel reads `level none @health on 2xx`.
func parseLevel(h httpcaddyfile.Helper, c *Capture) (err error) {
	if !h.NextArg() {
		return h.Errf("level: want one of %q, as in `level none @health on 2xx`", levelNames)
	}
	l := Level{Level: h.Val()}
	more, err := parseCalls(h, &l.Calls)
	if err != nil {
		return err
	}
	if more {
		if h.Val() != "on" {
			return h.Errf("level %s: %q is neither a matcher (a name as in @health, or a path) nor `on` with statuses, as in `level none @health on 2xx`", l.Level, h.Val())
		}
		if l.Statuses = h.RemainingArgs(); len(l.Statuses) == 0 {
			return h.Errf("level %s: want statuses behind `on`, as in `on 404 5xx`", l.Level)
		}
	}
	c.Levels = append(c.Levels, l)
	return nil
}

// parseCalls reads a matcher, if one comes next. It reports whether there is an
// argument behind it, or in its place, and goes to it.
func parseCalls(h httpcaddyfile.Helper, calls *Calls) (more bool, err error) {
	if h.CountRemainingArgs() == 0 {
		return false, nil
	}
	set, is, err := h.MatcherToken()
	switch {
	case err != nil:
		return false, h.WrapErr(err)
	case !is:
		return true, nil
	case set != nil: // not `*`
		calls.Match = caddyhttp.RawMatcherSets{set}
	}
	return h.NextArg(), nil
}

func parseProject(d *caddyfile.Dispenser, c *Capture) error {
	args := d.RemainingArgs()
	switch {
	case len(args) == 1 && args[0] != "path":
		c.Project = args[0]
	case len(args) == 2 && args[0] == "path":
		n, err := strconv.Atoi(args[1])
		if err != nil || n < 1 {
			return d.Errf("project path %q: want the number of a segment, from 1", args[1])
		}
		c.ProjectPath = n
	default:
		return d.Err("project: want a placeholder, or `path` and the number of a segment")
	}
	return nil
}

func parseRedact(h httpcaddyfile.Helper, c *Capture, at *origin) error {
	d := h.Dispenser
	if d.NextArg() {
		return d.Errf("redact: want lines in a block, not %q", d.Val())
	}
	r := new(Redaction)
	c.Redact = r
	b := block{Dispenser: d, nesting: d.Nesting()}
	for b.next() {
		switch d.Val() {
		case "headers":
			b.words(&r.Headers)
		case "fields":
			b.words(&r.Fields)
		case "pointer":
			b.words(&r.Pointers)
		case "keep":
			b.try(func() error { return parseKeep(d, r) })
		case "path":
			b.words(&r.Paths)
		case "values":
			b.words(&r.Values)
			b.check(r.valuesNone)
		case "mode":
			b.once(func() error { return oneOf(d, &r.Mode, "hmac", "mask", "drop") })
		case "body":
			at.Bodies = append(at.Bodies, d.Line())
			b.try(func() error { return parseBody(h, r) })
		default:
			b.unknown("headers", "fields", "pointer", "keep", "path", "values", "mode", "body")
		}
		b.check(c.check)
	}
	return b.err
}

// parseKeep reads `keep /token /auth on POST /v3/auth/tokens`.
func parseKeep(d *caddyfile.Dispenser, r *Redaction) error {
	args := d.RemainingArgs()
	var k Keep
	if on := slices.Index(args, "on"); on >= 0 {
		if len(args) != on+3 {
			return d.Err("keep: want a method and a path behind `on`, as in `keep /token on POST /v3/auth/tokens`; `*` is any method")
		}
		k.Method, k.Path = args[on+1], args[on+2]
		args = args[:on]
	}
	for _, pointer := range args {
		if !strings.HasPrefix(pointer, "/") {
			return d.Errf("keep: %q is no JSON pointer; a line is as in `keep /token on POST /v3/auth/tokens`", pointer)
		}
		k.Pointer = pointer
		r.Keep = append(r.Keep, k)
	}
	if len(args) == 0 {
		return d.Err("keep: want JSON pointers, as in `keep /token on POST /v3/auth/tokens`")
	}
	return nil
}

// valuesNone makes of the word `none` the empty list that it stands for.
func (r *Redaction) valuesNone() error {
	switch {
	case !slices.Contains(r.Values, "none"):
	case len(r.Values) > 1:
		return errors.New("values: `none` stands alone")
	default:
		r.Values = []string{}
	}
	return nil
}

// parseBody reads `body off @uploads`.
func parseBody(h httpcaddyfile.Helper, r *Redaction) error {
	if !h.NextArg() {
		return h.Err("body: want off or on, as in `body off @uploads`")
	}
	rule := BodyRule{Body: h.Val()}
	more, err := parseCalls(h, &rule.Calls)
	if err != nil {
		return err
	}
	if more {
		return h.Errf("body %s: %q is no matcher: want a name as in @uploads, or a path", rule.Body, h.Val())
	}
	r.Bodies = append(r.Bodies, rule)
	return nil
}

// origin is where in a Caddyfile a capture stands.
type origin struct {
	File string
	Line int
	// Levels and Bodies are the lines of its levels, and of its rules for bodies.
	Levels, Bodies []int
}

// adapted, if there is one, is told of each capture of a Caddyfile and where it
// stands: JSON has no place for it. For commands that run alone.
var adapted func(*Capture, origin)
