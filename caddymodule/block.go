package caddymodule

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/auditgate/auditgate/store"
)

// block reads a block of lines, and keeps the first error.
type block struct {
	*caddyfile.Dispenser
	nesting int
	seen    map[string]bool
	err     error
}

// next goes to the next line of the block; not after an error.
func (b *block) next() bool { return b.err == nil && b.NextBlock(b.nesting) }

// once parses a line that may stand there once.
func (b *block) once(parse func() error) {
	if b.seen == nil {
		b.seen = make(map[string]bool)
	}
	name := b.Val()
	if b.seen[name] {
		b.err = b.Errf("%s is given twice", name)
		return
	}
	b.seen[name] = true
	b.err = parse()
}

// words reads a line of one argument or more that may stand there once.
func (b *block) words(to *[]string) {
	if b.seen[b.Val()] {
		b.err = b.Errf("%s is given twice: one line takes several", b.Val())
		return
	}
	b.once(func() error {
		name := b.Val()
		if *to = b.RemainingArgs(); len(*to) == 0 {
			return b.Errf("%s: want one argument or more", name)
		}
		return nil
	})
}

// try parses a line that may be repeated.
func (b *block) try(parse func() error) { b.err = parse() }

// unknown is the end of a line that the block does not know.
func (b *block) unknown(known ...string) {
	if b.Val() == "{" {
		b.err = b.Err("a block cannot stand here; where a matcher may, it is a path, or a name such as @health that is given before")
		return
	}
	b.err = b.Errf("unknown option %q: want one of %q", b.Val(), known)
}

// check lets find look for what is wrong after a line that was read well.
func (b *block) check(find func() error) {
	if b.err != nil {
		return
	}
	if err := find(); err != nil {
		b.err = b.WrapErr(err)
	}
}

// word reads the one argument of a line.
func word(d *caddyfile.Dispenser, to *string) error {
	name := d.Val()
	if !d.AllArgs(to) || *to == "" {
		return d.Errf("%s: want one argument", name)
	}
	return nil
}

func oneOf(d *caddyfile.Dispenser, to *string, values ...string) error {
	name := d.Val()
	if err := word(d, to); err != nil {
		return err
	}
	for _, v := range values {
		if *to == v {
			return nil
		}
	}
	return d.Errf("%s %q is unknown: want one of %q", name, *to, values)
}

// size reads a number of bytes, at least least.
func size(d *caddyfile.Dispenser, to *int64, least int64) error {
	name := d.Val()
	var text string
	if err := word(d, &text); err != nil {
		return err
	}
	n, err := humanize.ParseBytes(text)
	if err != nil {
		return d.Errf("%s %q is no size: want bytes or a unit, as in 64KiB", name, text)
	}
	if n > 1<<62 || int64(n) < least {
		return d.Errf("%s %s is out of range: want %s or more", name, text, humanize.IBytes(uint64(least)))
	}
	*to = int64(n)
	return nil
}

// duration reads a duration, from least to most.
func duration(d *caddyfile.Dispenser, to *caddy.Duration, least, most time.Duration) error {
	name := d.Val()
	var text string
	if err := word(d, &text); err != nil {
		return err
	}
	t, err := caddy.ParseDuration(text)
	if err != nil {
		return d.Errf("%s %q is no duration: want one as in 30s, 1h or 30d", name, text)
	}
	if t < least || t > most {
		return d.Errf("%s %s is out of range: want %s to %s", name, text, store.Days(least), store.Days(most))
	}
	*to = caddy.Duration(t)
	return nil
}
