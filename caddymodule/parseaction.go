package caddymodule

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// parseAction reads
//
//	action server.create {
//		match       <method> <path> | <matcher>      # repeatable
//		alias       <name…>
//		object      <type> [<id> [<name>]]
//		description <text>
//		success     <placeholder> <value>
//	}
func parseAction(h httpcaddyfile.Helper, c *Capture) error {
	d := h.Dispenser
	var a Action
	if !d.AllArgs(&a.Name) {
		return d.Err("action: want one name, as in `action server.create`")
	}
	b := block{Dispenser: d, nesting: d.Nesting()}
	for b.next() {
		switch d.Val() {
		case "match":
			b.try(func() error { return parseMatch(h, &a) })
		case "alias":
			b.words(&a.Aliases)
		case "object":
			b.once(func() error {
				args := d.RemainingArgs()
				if len(args) == 0 || len(args) > 3 {
					return d.Err("object: want a type, an id and a name, as in `object server {audit.res.json./server/id} {audit.req.json./server/name}`")
				}
				args = append(args, "", "")
				a.Object = &ActionObject{Type: args[0], ID: args[1], Name: args[2]}
				return nil
			})
		case "description":
			b.once(func() error { return word(d, &a.Description) })
		case "success":
			b.once(func() error {
				a.Success = new(ActionSuccess)
				if !d.AllArgs(&a.Success.Value, &a.Success.Is) {
					return d.Err("success: want a placeholder and the value that means success, as in `success {audit.res.json./ok} true`")
				}
				return nil
			})
		default:
			b.unknown("match", "alias", "object", "description", "success")
		}
	}
	c.Actions = append(c.Actions, a)
	return b.err
}

// parseMatch reads `match POST /v2.1/servers` or `match @creates`.
func parseMatch(h httpcaddyfile.Helper, a *Action) error {
	d := h.Dispenser
	switch d.CountRemainingArgs() {
	case 1:
		set, is, err := h.MatcherToken()
		if err != nil {
			return d.WrapErr(err)
		}
		if is && set != nil { // not `*`
			a.Match = append(a.Match, set)
			return nil
		}
	case 2:
		var p ActionPath
		if d.Args(&p.Method, &p.Path) && strings.HasPrefix(p.Path, "/") {
			a.Paths = append(a.Paths, p)
			return nil
		}
	}
	return d.Err("match: want a method and a path, or a matcher, as in `match POST /v2.1/servers` or `match @creates`")
}
