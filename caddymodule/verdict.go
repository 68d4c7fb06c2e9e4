package caddymodule

import (
	"net/http"

	"github.com/auditgate/auditgate/capture"
)

// verdict is how much is kept of the calls that end with certain statuses, and the
// levels that say so, by their bits; none is the default.
type verdict struct {
	capture.Choice
	by uint64
}

// weigh returns what holds for a call whose path is read in several ways. There is no
// record where all say so; else the least is kept that one says which makes a record.
func (p *policy) weigh(r *http.Request, others []*http.Request) []verdict {
	all := p.verdicts(p.hold(r))
	for _, other := range others {
		all = least(all, p.verdicts(p.hold(other)))
	}
	return all
}

// verdicts returns what holds for a call where these levels do. Of a level that may hold
// no more is kept than it says.
func (p *policy) verdicts(h holding) (all []verdict) {
	open := true // no level holds whatever the status
	for i := range p.levels {
		if h.yes&(1<<i) != 0 {
			all = append(all, verdict{p.levels[i].choice, 1 << i})
			open = len(p.levels[i].Statuses) > 0
		}
	}
	if open {
		all = append(all, verdict{})
	}
	for i := range p.levels {
		if h.maybe&^p.none&(1<<i) != 0 {
			all = least(all, []verdict{{p.levels[i].choice, 1 << i}, {}})
		}
	}
	return all
}

// least returns of two lists of verdicts what keeps less of a call, but a record.
func least(a, b []verdict) (all []verdict) {
	for _, one := range a {
		for _, other := range b {
			on, some := one.On.And(other.On)
			for i := 0; i < len(all) && some; i++ { // what stands before decides
				on, some = on.Without(all[i].On)
			}
			if !some {
				continue
			}
			v := one
			switch {
			case one.Level == other.Level:
				v.by |= other.by
			case one.Level == capture.None, other.Level != capture.None && other.Level > one.Level:
				v = other
			}
			v.On = on
			all = append(all, v)
		}
	}
	return all
}

func choicesOf(all []verdict) (choices []capture.Choice) {
	for _, v := range all {
		choices = append(choices, v.Choice)
	}
	return choices
}
