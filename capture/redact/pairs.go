package redact

import (
	"bytes"
	"strings"
)

// beforeName ends where a name of a pair may begin: separators, and what cannot
// stand in a query unescaped and so belongs to the text around one.
const beforeName = "&;?#=,|(){}<>\"'` \t\r\n"

// afterAuthority ends the authority of a URL, or the URL.
const afterAuthority = "/?# \t\r\n\"'<>\\"

// pairs finds the secrets in a form or a query: pairs of name and value, which
// & separates (WHATWG URL, section 5.1). Some servers separate by ; too, so a
// name may follow one, and a secret value goes on behind one. All of a URL may
// be given: its path is a pair without a value.
func (j *job) pairs(in []byte, cut bool, nesting int) {
	i := 0
	if mark, size := findSlashes(in[:untilAny(in, "?#&=")]); size > 0 && (cut || mayHold(in, '@')) {
		stop := authorityEnd(in, mark+size)
		i = j.authority(in, 0, stop, cut && stop == len(in)) // an & in it separates nothing
	}
	if path := i + untilAny(in[i:], "?#"); nesting == 0 && i < path && in[i] == '/' && isCoded(in[i:path]) {
		for i < path {
			end := i + 1 + until(in[i+1:path], '/')
			if j.nextSecret(in, i, end, beforeName+"/") < end {
				break // what stands behind may belong to a secret
			}
			j.bare(in, i+1, end, cut && end == len(in), nesting)
			i = end
		}
	}
	for i < len(in) {
		end := i + until(in[i:], '&')
		j.pair(in, i, end, cut && end == len(in), nesting)
		i = end + 1
	}
}

// pair searches in[i:end], which has no & in it.
func (j *job) pair(in []byte, i, end int, cut bool, nesting int) {
	user := i // where the next user information begins, once it is looked for
	for first := true; i < end; {
		if user <= i {
			user, _ = userInformation(in, i, end, cut)
		}
		equal := i + until(in[i:end], '=')
		if equal == end {
			j.bare(in, i, end, cut, nesting)
			return
		}
		if user < equal {
			i = j.authority(in, i, end, cut)
			continue
		}
		start := i + bytes.LastIndexAny(in[i:equal], beforeName) + 1
		j.bare(in, i, max(i, start-1), false, nesting)
		mark := len(j.scratch)
		name, value := j.decodeName(in[start:equal]), equal+1
		if slash := bytes.LastIndexByte(name, '/'); slash >= 0 && j.r.names.field(name[slash+1:]) {
			name = name[slash+1:] // a pair may be a segment of a path
		}
		// Nobody knows which name a server makes of one that is no percent-coding.
		secret := nesting == 0 && !percentValid(in[start:equal]) || j.r.names.field(name)
		j.enter(name)
		secret = j.judge(secret)
		if !secret && !beginsWith(in[value:end], "{[") && (!first || !isCoded(in[value:end])) {
			j.leave()
			j.scratch = j.scratch[:mark]
			i, first = value, false
			continue
		}
		next := end
		switch {
		case !secret:
			next = j.nextSecret(in, value, end, beforeName)
			j.nested(in, value, next, cut && next == end, nesting)
		case cut:
			j.drop(value, end)
		default:
			j.hide(value, end, j.decode(percentCoding, in[value:end]), "")
			j.rough = j.rough || len(j.r.paths) > 0 // a path may match without its end
		}
		j.leave()
		j.scratch = j.scratch[:mark]
		i = next
	}
}

// decodeName returns the name that raw stands for, which may be coded more than
// once. It lives as long as what decode returns.
func (j *job) decodeName(raw []byte) []byte {
	name := j.decode(percentCoding, raw)
	for n := 1; n < MaxNesting && mayHold(name, '%'); n++ {
		name = j.decode(percentCoding, name)
	}
	return name
}

// nextSecret returns where the separator stands before the first secret name in the
// text in[i:end], or end: decoded with the rest, what a secret holds would look
// like its end. JSON is not taken apart.
func (j *job) nextSecret(in []byte, i, end int, separators string) int {
	mark := len(j.scratch)
	defer func() { j.scratch = j.scratch[:mark] }()
	if beginsWith(j.decode(percentCoding, in[i:min(end, i+len("%7B"))]), `{["`) {
		return end
	}
	for value := i; value < end; {
		equal := value + until(in[value:end], '=')
		separator := bytes.LastIndexAny(in[value:equal], separators)
		if equal < end && separator >= 0 && j.r.names.field(j.decodeName(in[value+separator+1:equal])) {
			return value + separator
		}
		value = equal + 1
	}
	return end
}

// bare searches what is no pair.
func (j *job) bare(in []byte, from, to int, cut bool, nesting int) {
	if isCoded(in[from:to]) || beginsWith(in[from:to], "{[") {
		j.nested(in, from, to, cut, nesting)
		return
	}
	for next := from; next < to; {
		if from, next = next, j.authority(in, next, to, cut); next == from {
			return
		}
	}
}

// nested searches what in[from:to] stands for, percent-coded.
func (j *job) nested(in []byte, from, to int, cut bool, nesting int) {
	mark, edits := len(j.scratch), len(j.edits)
	raw := in[from:to]
	if i := bytes.LastIndexByte(raw, '%'); cut && i >= 0 && i+3 > len(raw) {
		raw = raw[:i] // half an escape stands for nothing
	}
	plain := j.decode(percentCoding, raw)
	if cut {
		plain = wholeRunes(plain)
	}
	switch {
	case j.search(plain, cut, nesting+1, percentCoding):
		found := j.edits[edits:]
		toEnd := cut && len(found) > 0 && found[len(found)-1].to == len(plain)
		percentCoding.outward(found, raw, from)
		if toEnd {
			found[len(found)-1].to = to // with what is left of a character
		}
	case cut:
		j.drop(from, to)
	default:
		j.hide(from, to, plain, "")
	}
	j.scratch = j.scratch[:mark]
}

// authority hides the user information of the first URL in in[i:end] that has
// some, and returns where that ends; i where there is none.
func (j *job) authority(in []byte, i, end int, cut bool) int {
	from, to := userInformation(in, i, end, cut)
	switch {
	case from == end:
		return i
	case to == end:
		j.drop(from, to)
	default:
		j.hide(from, to, in[from:to], "")
	}
	return to
}

// userInformation returns what stands before the @ in the authority of a URL in
// in[i:end] (RFC 3986, section 3.2.1), or all of an authority that in is cut in:
// an @ may have followed. Where there is none from is end.
func userInformation(in []byte, i, end int, cut bool) (from, to int) {
	if !cut && !mayHold(in[i:end], '@') {
		return end, end
	}
	for {
		mark, size := findSlashes(in[i:end])
		if size == 0 {
			return end, end
		}
		mark, i = i+mark, i+mark+size
		if inPath(in, mark) {
			continue
		}
		stop := authorityEnd(in[:end], i)
		if at := bytes.LastIndexByte(in[i:stop], '@'); at >= 0 {
			return i, i + at
		}
		if cut && stop == len(in) {
			return i, stop
		}
		i = stop
	}
}

// authorityEnd returns where the authority ends that begins at i.
func authorityEnd(in []byte, i int) int { return i + untilAny(in[i:], afterAuthority) }

// findSlashes returns where the first slashes stand that may come before an
// authority, and their size, 0 where there are none.
func findSlashes(in []byte) (at, size int) {
	for at = 0; at < len(in); at++ {
		at += until(in[at:], '/')
		if size = slashesAt(in, at); size > 0 {
			return at, size
		}
	}
	return len(in), 0
}

// slashesAt returns the size of the two slashes at i, 0 where they are none. The
// second may be escaped, as JSON may write it.
func slashesAt(in []byte, i int) int {
	switch rest := in[min(i, len(in)):]; {
	case bytes.HasPrefix(rest, []byte("//")):
		return 2
	case bytes.HasPrefix(rest, []byte(`/\/`)):
		return 3
	}
	return 0
}

// inPath reports whether the slashes at mark are two of a path, as in a//b.
func inPath(in []byte, mark int) bool {
	for mark > 0 && in[mark-1] == '\\' {
		mark--
	}
	return mark > 0 && inName[in[mark-1]]
}

// mayHoldPairs reports whether in may hold name=value or user information.
func mayHoldPairs(in []byte) bool { return mayHold(in, '=') || mayHoldUsers(in) }

// mayHoldUsers reports whether in may hold user information.
func mayHoldUsers(in []byte) bool {
	if !mayHold(in, '@') {
		return false
	}
	_, size := findSlashes(in)
	return size > 0
}

func mayHold(in []byte, c byte) bool { return bytes.IndexByte(in, c) >= 0 }

// isCoded reports whether decoding in makes another text of it.
func isCoded(in []byte) bool {
	for {
		i := bytes.IndexAny(in, "%+")
		if i < 0 {
			return false
		}
		if _, ok := hexByte(in[i:]); ok || in[i] == '+' {
			return true
		}
		in = in[i+1:]
	}
}

// beginsWith reports whether the first byte of in that is no space is in set.
func beginsWith(in []byte, set string) bool {
	for _, c := range in {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return strings.IndexByte(set, c) >= 0
		}
	}
	return false
}

// until returns how many bytes stand before the first c; all, where there is
// none.
func until(in []byte, c byte) int {
	if i := bytes.IndexByte(in, c); i >= 0 {
		return i
	}
	return len(in)
}
