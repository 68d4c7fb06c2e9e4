package redact

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/auditgate/auditgate/capture/uripath"
)

const (
	// MaxPlaces is how many places of one body, header or query are named. The
	// name of the whole stands for those beyond.
	MaxPlaces = 64
	// MaxPlace is how long the name of a place may be, in bytes. The name of
	// the whole stands for one that is longer.
	MaxPlace = 256
	// MaxNesting is how many times text may be written inside text, as JSON in a
	// string of JSON. What is deeper is taken for a secret.
	MaxNesting = 4
)

// maxPasses is how often a text is searched at most.
const maxPasses = 4

// maxIdle is how much memory a job keeps between two texts, in bytes.
const maxIdle = 256 << 10

// A job is the search for secrets in one text. It is used again for another.
type job struct {
	r *Redactor
	// edits are what has to change, in order and apart from each other. While a
	// text within the text is searched, those of it stand last and count in it.
	edits []edit
	// A place is named by side, "request_body"; by item, the name of a header;
	// and by levels and path, a JSON pointer without its first slash, behind
	// lead. The names are listed in places, from the index own on.
	side   string
	item   string
	lead   string
	levels []level
	path   []step
	places []string
	own    int
	// scratch holds unescaped text, as a stack; used is how high it has been.
	scratch []byte
	used    int
	// pointers and keeps are the rules that hold for the body.
	pointers, keeps []pointer
	spans           []uripath.Span // of the path that is read
	// known are the edits of a text that has been searched, for one more search.
	known []edit
	// rough is true where a text was changed by more than one rule, or not at the
	// value of a name. What stands there then may look like a secret in turn, so
	// it is searched once more.
	rough bool
	// records allows the record separators of RFC 7464 between JSON values.
	records bool
}

// edit puts another text in the place of text[from:to].
type edit struct {
	from, to int
	with     string
}

// level is a text whose names are part of the path, from the step base on.
type level struct {
	in   []byte
	json bool // names are escaped as JSON strings
	base int
}

// step leads into an object by the name in[from:to] of its level, or into an
// array where from is element.
type step struct{ from, to int }

const element = -1

// start returns a job whose places begin with side and lead, and are appended to
// places.
func (r *Redactor) start(side, lead string, places []string) *job {
	j := r.jobs.Get().(*job)
	j.side, j.lead, j.places, j.own = side, lead, places, len(places)
	return j
}

// end gives j back, without what it has read.
func (j *job) end() []string {
	places := j.places
	clear(j.edits)
	clear(j.levels)
	clear(j.scratch[:min(j.used, cap(j.scratch))])
	if cap(j.scratch) > maxIdle {
		j.scratch = nil
	}
	*j = job{
		r: j.r, edits: j.edits[:0], levels: j.levels[:0], path: j.path[:0], scratch: j.scratch[:0],
		keeps: j.keeps[:0], spans: j.spans[:0],
	}
	j.r.jobs.Put(j)
	return places
}

// enter makes name part of the path until leave is called.
func (j *job) enter(name []byte) {
	j.levels = append(j.levels, level{name, false, len(j.path)})
	j.path = append(j.path, step{0, len(name)})
}

func (j *job) leave() {
	j.path = j.path[:j.levels[len(j.levels)-1].base]
	j.levels = j.levels[:len(j.levels)-1]
}

// decode returns the text that raw stands for, which lives until the caller
// sets scratch back to the length that it had before.
func (j *job) decode(c coding, raw []byte) []byte {
	if c.special(raw) == len(raw) {
		return raw
	}
	mark := len(j.scratch)
	j.scratch = c.decode(j.scratch, raw)
	j.used = max(j.used, len(j.scratch))
	return j.scratch[mark:]
}

// search finds the secrets in a text that is written inside another one. It
// returns false, and edits nothing, where all of it has to be taken for one.
func (j *job) search(in []byte, cut bool, nesting int, around coding) bool {
	isJSON, tags := beginsWith(in, `{["`), around != betweenTags && hasTag(in)
	if nesting > MaxNesting && (isJSON || mayHoldPairs(in) || isCoded(in) || tags) {
		return false
	}
	if isJSON && j.json(in, cut, nesting) {
		return true
	}
	edits, places := len(j.edits), len(j.places)
	if !tags && around != betweenTags && mayHold(in, '&') {
		mark := len(j.scratch)
		if plain := j.decode(markupCoding, in); len(plain) < len(in) && hasTag(plain) {
			ok := j.search(plain, cut, nesting+1, markupCoding)
			markupCoding.outward(j.edits[edits:], in, 0)
			j.scratch = j.scratch[:mark]
			return ok
		}
		j.scratch = j.scratch[:mark]
	}
	d := embedded
	if beginsWith(in, "{[") { // as a language other than JSON writes objects
		d = plainText
	}
	if d == embedded && around == percentCoding {
		j.pairs(in, cut, nesting)
		d = behind
	}
	ok := true
	switch {
	case tags:
		ok = j.markup(in, cut, nesting, d, false)
	case d != behind || mayHold(in, ' ') || mayHold(in, '"') || mayHold(in, '\'') || mayHold(in, '\n'): // or there is nothing left
		ok = j.again(in, cut, nesting, d, edits)
	}
	if !ok {
		j.edits, j.places = j.edits[:edits], j.places[:places]
		return false
	}
	j.merge(edits)
	j.detect(in, cut, nesting == 0 && around == percentCoding && j.item == "", edits)
	return true
}

// again searches a text in which the edits from the index first on have been found.
func (j *job) again(in []byte, cut bool, nesting int, d dialect, first int) bool {
	at := len(j.edits)
	if at > first {
		j.known = slices.Clone(j.edits[first:])
	}
	ok := j.text(in, cut, nesting, d)
	if at > first && len(j.edits) > at {
		j.rough = true
		j.merge(first)
	}
	return ok
}

// hide replaces the secret text[from:to] by what stands for plain, between
// quotes.
func (j *job) hide(from, to int, plain []byte, quote string) {
	if len(plain) > 0 && !j.r.isStandIn(plain) {
		j.replace(from, to, quote+j.r.standsFor(plain, false)+quote)
	}
}

// hideWord replaces a secret in running text.
func (j *job) hideWord(from, to int, plain []byte) {
	if len(plain) > 0 && !j.r.isStandIn(plain) {
		j.replace(from, to, j.r.standsFor(plain, true))
	}
}

func (j *job) replace(from, to int, with string) {
	j.edits = append(j.edits, edit{from, to, with})
	j.note()
}

// drop takes text[from:to] away: what the cut has left of a secret.
func (j *job) drop(from, to int) {
	if from == to {
		return
	}
	j.edits = append(j.edits, edit{from, to, ""})
	j.note()
}

// note lists the place where the job stands.
func (j *job) note() {
	own := j.places[j.own:]
	if len(own) > MaxPlaces {
		return
	}
	place := j.pointer()
	if len(own) == MaxPlaces || len(place) > MaxPlace {
		place = j.side
	}
	if !slices.Contains(own, place) {
		j.places = append(j.places, place)
	}
}

// pointer returns the name of the place where the job stands.
func (j *job) pointer() string {
	b := []byte(j.side)
	if j.item != "" || len(j.path) > 0 {
		b = append(append(b, ':'), j.item...)
	}
	if len(j.path) > 0 {
		b = append(b, j.lead...)
	}
	for i, l := range j.levels {
		end := len(j.path)
		if i+1 < len(j.levels) {
			end = j.levels[i+1].base
		}
		for n, s := range j.path[l.base:end] {
			if len(b) > MaxPlace {
				return string(b)
			}
			if l.base+n > 0 {
				b = append(b, '/')
			}
			if s.from == element {
				b = strconv.AppendInt(b, int64(s.to), 10)
				continue
			}
			name := l.in[s.from:s.to]
			if l.json && bytes.IndexByte(name, '\\') >= 0 {
				name = jsonCoding.decode(nil, name)
			}
			b = appendReference(b, name)
		}
	}
	return string(bytes.ToValidUTF8(b, []byte("\uFFFD")))
}

// appendReference appends a token of a JSON pointer (RFC 6901, section 3).
func appendReference(dst, name []byte) []byte {
	for _, c := range name {
		switch c {
		case '~':
			dst = append(dst, "~0"...)
		case '/':
			dst = append(dst, "~1"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// apply returns text as changed by the edits; text itself where there are none.
func (j *job) apply(text []byte) []byte {
	if len(j.edits) == 0 {
		return text
	}
	return splice(text, 0, len(text), j.edits)
}

// splice returns text[from:to] as changed by edits, all of which stand in it.
func splice(text []byte, from, to int, edits []edit) []byte {
	out := make([]byte, 0, to-from+len(edits)*(valueSize+2))
	for _, e := range edits {
		out = append(out, text[from:e.from]...)
		out = append(out, e.with...)
		from = e.to
	}
	return append(out, text[from:to]...)
}
