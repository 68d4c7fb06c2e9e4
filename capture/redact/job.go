package redact

import (
	"bytes"
	"slices"
	"strconv"
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
	*j = job{r: j.r, edits: j.edits[:0], levels: j.levels[:0], path: j.path[:0], scratch: j.scratch[:0]}
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
	isJSON := beginsWith(in, `{["`)
	if nesting > MaxNesting && (isJSON || mayHoldPairs(in) || isCoded(in)) {
		return false
	}
	if isJSON && j.json(in, cut, nesting) {
		return true
	}
	edits, places := len(j.edits), len(j.places)
	ok := true
	switch {
	case beginsWith(in, "{["): // as a language other than JSON writes objects
		ok = j.text(in, cut, nesting, plainText)
	case around == percentCoding:
		j.pairs(in, cut, nesting)
	default:
		j.text(in, cut, nesting, embedded)
	}
	if !ok {
		j.edits, j.places = j.edits[:edits], j.places[:places]
	}
	return ok
}

// hide replaces the secret text[from:to] by the value that stands for plain,
// between quotes.
func (j *job) hide(from, to int, plain []byte, quote string) {
	if len(plain) == 0 || isValue(plain) {
		return
	}
	j.edits = append(j.edits, edit{from, to, quote + j.r.Value(plain) + quote})
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
