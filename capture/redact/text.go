package redact

import (
	"bytes"
	"slices"
)

// dialect is how much of a text is scanned.
type dialect byte

const (
	// embedded is text inside something else, as a string of JSON: prose like
	// "invalid token: expired" is what an audit wants to read.
	embedded dialect = iota
	// behind is embedded text in which pairs and URLs have been found.
	behind
	// plain text is a log, a script, a page.
	plainText
	// table is text whose names stand apart from their values: CSV.
	table
)

// text finds the secrets in text of no known grammar, by a rule that rather
// takes too much.
//
// A name is a run of letters, digits, and of - _ . % [ and ]. Where a secret
// name is followed by = or :, with spaces and closing quotes or brackets
// between, a value follows:
//
//   - in quotes, to the closing quote, also where both are escaped;
//   - in plain text behind & before the name, as in forms, to the next & or the
//     end of the line;
//   - behind ?, &, # or ; before the name, as in URLs, to the next space,
//     quote, < or &;
//   - in brackets, to the closing bracket;
//   - else to the end of the line, with the lines after it that are indented
//     deeper than the name; to the end of the next line, where this one has no
//     more.
//
// A word follows a secret name that begins with a dash, as --password does, and
// the words Bearer and Basic, where it looks like credentials.
//
// Where a secret name stands alone as if it labelled something, in a tag, a
// column or a cell, its value cannot be found: text returns false, and nothing
// of the text may be kept. In prose a name is only a word.
//
// In embedded text a name counts only before =, in quotes, at the beginning of a
// line, as the member of a list (see isMember), or where it is no word of prose, as
// db_password; its value is one word, except at the beginning of a line. A header
// holds no prose.
//
// A value is also secret by a label beside it: see labelledName.
func (j *job) text(in []byte, cut bool, nesting int, d dialect) bool {
	known := j.known
	j.known = nil
	inside := d == embedded || d == behind
	severalLines := inside && mayHold(in, '\n')
	users := d != behind && (cut || mayHold(in, '@'))
	paired := -1 // where the name of a value begins that is secret by its label
	plain := 0   // in[:plain] has been searched for text that is written in it
	for i := 0; i < len(in); {
		name, end := nextName(in, i)
		start := end - len(name)
		for len(known) > 0 && known[0].to <= start {
			known = known[1:]
		}
		if len(known) > 0 && known[0].from <= start {
			i = max(end, known[0].to)
			continue
		}
		if users && start-i >= len("//") {
			if next := j.networkPath(in, i, start, cut); next > i {
				i = next
				continue
			}
		}
		if len(name) == 0 {
			return true
		}
		i = end
		if bytes.HasPrefix(in[end:], []byte("://")) {
			continue // a scheme
		}
		if next := j.labelledName(in, start, end); next > end {
			i, paired = next, next
			continue
		}
		if from, to := credentialsBehind(in, start, end, cut); to > from {
			j.hideOrDrop(in, from, to, cut)
			i = to
			continue
		}
		if paired == start {
			// judged by its label
		} else if inside && !(end < len(in) && mayAssign[in[end]]) && name[0] != '-' || inside && isHost(in, start, end) || !j.secretWord(in, start, end) ||
			inside && name[0] != '-' && !mayBeAssigned(in, end) {
			if d != behind && end < len(in) && in[end] == '=' && end >= plain {
				i, plain = j.codedValue(in, end+1, cut, nesting)
			}
			continue
		}
		around := d
		if inside {
			if d == behind && end < len(in) && in[end] == '=' && !inQuotes(in, start, end) {
				continue
			}
			around = dialectOf(in, start, end, severalLines)
			switch {
			case around != table:
			case paired == start:
				around = embedded
			case nesting == 0 && j.item != "": // no prose, but a header
				around = plainText
			default:
				continue
			}
		}
		value, ok := assigned(in, end, around)
		if !ok {
			if from, to := argument(in, start, end); to > from {
				j.enter(name)
				j.hideOrDrop(in, from, to, cut)
				j.leave()
				i = to
				continue
			}
			ended := cut && skip(in, end, " \t\r\n") == len(in)
			if !inside && !ended && (d == table || labels(in, start, end)) {
				return false
			}
			continue
		}
		from, to := j.extent(in, start, value, around, cut)
		if i = to; slices.ContainsFunc(known[:min(len(known), 2)], func(e edit) bool { return e.from <= from && to <= e.to }) {
			continue
		}
		j.enter(name)
		j.hideOrDrop(in, from, to, cut)
		j.leave()
	}
	return true
}

// labelledName returns where the name of a value begins that is secret since the
// label in[start:end] names it, as in "name: DB_PASSWORD\n  value: x"; 0 where it is
// no such label.
func (j *job) labelledName(in []byte, start, end int) int {
	const quotes = "\\\"'`"
	if roleOf(in[start:end]) != label {
		return 0
	}
	at, ok := assigned(in, end, plainText)
	if !ok {
		return 0
	}
	at = skip(in, at, quotes)
	name, to := nextName(in, at)
	if len(name) == 0 || to != at+len(name) || !j.secretWord(in, at, to) {
		return 0
	}
	next := skip(in, to, quotes+" \t\r\n,;")
	name, to = nextName(in, next)
	if to != next+len(name) || roleOf(name) != value || !mayBeAssigned(in, to) {
		return 0
	}
	return next
}

// hideOrDrop takes a secret away that running text holds.
func (j *job) hideOrDrop(in []byte, from, to int, cut bool) {
	if cut && to == len(in) {
		j.drop(from, to)
	} else {
		j.hideWord(from, to, in[from:to])
	}
}

// secretWord judges the name in[start:end].
func (j *job) secretWord(in []byte, start, end int) bool {
	name := in[start:end]
	coded := bytes.IndexByte(name, '%') >= 0
	escaped := bytes.IndexByte(name, '\\') >= 0
	afterSlash := start > 0 && in[start-1] == '\\'
	if !coded && !escaped && !afterSlash && j.r.names.harmless(name) && !bytes.ContainsAny(name, ".[]") {
		return false
	}
	mark := len(j.scratch)
	if escaped {
		name = j.decode(jsonCoding, name)
	}
	if coded {
		name = j.decodeName(name)
	}
	// What follows a backslash may be the rest of an escape: \ntoken.
	secret := j.r.names.field(name) || afterSlash && len(name) > 1 && j.r.names.field(name[1:])
	if secret && coded {
		secret = !j.r.runsIntoStandIn(name, in[end:])
	}
	j.scratch = j.scratch[:mark]
	return secret
}

// codedValue searches the value at i of a name that is not secret for text that
// is written in it. It returns where to go on, and where the value ends.
func (j *job) codedValue(in []byte, i int, cut bool, nesting int) (next, end int) {
	if !mayHold(in[i:], '%') {
		return i, len(in)
	}
	end = i + untilAny(in[i:], " \t\r\n\"'`<>&")
	if !mayHold(in[i:end], '%') {
		return i, end
	}
	edits := len(j.edits)
	j.nested(in, i, end, cut && end == len(in), nesting)
	if len(j.edits) == edits {
		return i, end
	}
	return end, end
}

// networkPath hides the user information behind the slashes in in[i:end], in
// which there is no name, and returns where it ends; i where there is none.
func (j *job) networkPath(in []byte, i, end int, cut bool) int {
	mark, size := i, 0
	for at := i; at < end; at++ { // the last slashes
		if n := slashesAt(in[:end], at); n > 0 {
			mark, size = at, n
		}
	}
	if size == 0 {
		return i
	}
	stop := authorityEnd(in, mark+size)
	for mark > 0 && in[mark-1] == '/' {
		mark--
	}
	if next := j.authority(in, mark, stop, cut && stop == len(in)); next > mark {
		return next
	}
	return i
}
