package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
)

// detectors finds secrets by what they look like.
type detectors struct{ jwt, pem, card bool }

// MaxToken is how long the header of a JWT may be, coded, to be known as one.
const MaxToken = 16 << 10

func newDetectors(names []string) (d detectors, err error) {
	if names == nil {
		return detectors{jwt: true, pem: true}, nil
	}
	for _, name := range names {
		switch name {
		case "jwt":
			d.jwt = true
		case "pem":
			d.pem = true
		case "card":
			d.card = true
		default:
			return d, fmt.Errorf("detector of values %q: want jwt, pem or card", name)
		}
	}
	return d, nil
}

// names returns what [Options.Values] would be.
func (d detectors) names() []string {
	list := []string{}
	for _, n := range []struct {
		on   bool
		name string
	}{{d.jwt, "jwt"}, {d.pem, "pem"}, {d.card, "card"}} {
		if n.on {
			list = append(list, n.name)
		}
	}
	return list
}

// suspect reports whether in may hold what detect looks for. It is a cheap first
// look.
func (r *Redactor) suspect(in []byte) bool {
	d := &r.detectors
	return len(r.paths) > 0 && mayHold(in, '/') || d.jwt && holds(in, tokenMark, 'J') || d.pem && holds(in, blockMark, 'G') || d.card && holdsDigits(in)
}

var tokenMark, blockMark = []byte("eyJ"), []byte("BEGIN")

// holds reports whether mark stands in in. It looks for rare, a letter of mark
// that texts seldom have.
func holds(in, mark []byte, rare byte) bool {
	before := bytes.IndexByte(mark, rare)
	for i := before; i < len(in); i++ {
		next := bytes.IndexByte(in[i:], rare)
		if next < 0 {
			return false
		}
		i += next
		if bytes.HasPrefix(in[i-before:], mark) {
			return true
		}
	}
	return false
}

// detect hides what the detectors and the patterns of paths find in a text, in
// which the edits from the index first on have been found. whole is true where the
// text is a URL.
func (j *job) detect(in []byte, cut, whole bool, first int) {
	at := len(j.edits)
	d := j.r.detectors
	if d.jwt {
		j.tokens(in, cut)
	}
	if d.pem {
		j.blocks(in, cut)
	}
	if d.card {
		j.cards(in, cut)
	}
	if len(j.r.paths) > 0 {
		j.paths(in, cut, whole)
	}
	if len(j.edits) > at {
		j.rough = true
		j.merge(first)
	}
}

// merge puts the edits from the index first on in order, and makes one of those
// that overlap.
func (j *job) merge(first int) {
	list := j.edits[first:]
	if len(list) < 2 {
		return
	}
	slices.SortStableFunc(list, func(a, b edit) int {
		if a.from != b.from {
			return a.from - b.from
		}
		return b.to - a.to
	})
	n := 0
	for _, e := range list {
		if n > 0 && e.from < list[n-1].to {
			list[n-1].to = max(list[n-1].to, e.to)
			continue
		}
		list[n] = e
		n++
	}
	clear(list[n:])
	j.edits = j.edits[:first+n]
}

// tokens hides JSON Web Tokens, signed (RFC 7515) and encrypted (RFC 7516), and
// what may be the beginning of one that the text was cut in.
func (j *job) tokens(in []byte, cut bool) {
	const tries = 8 // in one run of letters: what stands before a token, as the n of \n, is short
	for i, end, left := 0, 0, 0; ; {
		next := bytes.Index(in[i:], tokenMark)
		if next < 0 {
			return
		}
		from := i + next
		if from >= end {
			end, left = base64End(in, from), tries
		}
		if left--; left < 0 || end < len(in) && in[end] != '.' || end == len(in) && !cut {
			i = end
			continue
		}
		if end < len(in) && !j.isTokenHeader(in[from:end]) {
			i = from + len(tokenMark)
			continue
		}
		to, parts := end, 1
		for ; parts < 5 && to < len(in) && in[to] == '.'; parts++ {
			part := base64End(in, to+1)
			if part == to+1 && parts > 2 {
				break // the end of a sentence
			}
			to = part
		}
		switch {
		case cut && to == len(in):
			j.drop(from, to)
		case parts >= 3:
			j.hideWord(from, to, in[from:to])
		}
		i = max(to, from+len(tokenMark))
	}
}

// base64End returns where the run of base64url (RFC 4648, section 5) ends that
// begins at i.
func base64End(in []byte, i int) int {
	for i < len(in) && (folded[in[i]] != 0 || in[i] == '-' || in[i] == '_') {
		i++
	}
	return i
}

func (j *job) isTokenHeader(coded []byte) bool {
	if len(coded) > MaxToken {
		return false
	}
	mark := len(j.scratch)
	header, err := base64.RawURLEncoding.AppendDecode(j.scratch[mark:], coded)
	j.used = max(j.used, min(mark+len(header), cap(j.scratch)))
	return err == nil && bytes.Contains(header, []byte(`"alg"`)) && json.Valid(header)
}

// blocks hides private keys in PEM (RFC 7468), from the line that begins one to
// the line that ends it, whatever stands between; to the end of the text where no
// such line is.
func (j *job) blocks(in []byte, cut bool) {
	for i := 0; ; {
		next := bytes.Index(in[i:], blockMark)
		if next < 0 {
			return
		}
		from, label := i+next, i+next+len(blockMark)
		i = label
		label = labelEnd(in, label)
		key := bytes.Contains(in[i:label], []byte("PRIVATE KEY"))
		for from > 0 && (in[from-1] == '-' || in[from-1] == ' ') {
			from--
		}
		if !key || from == i-len(blockMark) || bytes.IndexByte(in[from:i], '-') < 0 {
			continue
		}
		from += bytes.IndexByte(in[from:i], '-')
		to := blockEnd(in, label)
		if cut && to == len(in) {
			j.drop(from, to)
		} else {
			j.hideWord(from, to, in[from:to])
		}
		i = to
	}
}

// blockEnd returns where the block ends that goes on at i.
func blockEnd(in []byte, i int) int {
	for {
		next := bytes.Index(in[i:], []byte("END"))
		if next < 0 {
			return len(in)
		}
		before := bytes.TrimRight(in[i:i+next], " ")
		if i += next + len("END"); bytes.HasSuffix(before, []byte("-")) {
			return skip(in, labelEnd(in, i), "-")
		}
	}
}

// labelEnd returns where the label of a block ends that begins at i.
func labelEnd(in []byte, i int) int {
	for start := i; i < len(in) && i-start < MaxName && (in[i] == ' ' || 'A' <= in[i] && in[i] <= 'Z' || '0' <= in[i] && in[i] <= '9'); {
		i++
	}
	return i
}
