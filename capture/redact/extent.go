package redact

import "bytes"

// extent returns the value that begins at value and belongs to the name that
// begins at name: see the rule at text. Quotes are not part of it.
func (j *job) extent(in []byte, name, value int, d dialect, cut bool) (from, to int) {
	if size := j.r.standIn(in[value:]); size > 0 && endsValue(in, value+size) {
		return value, value + size
	}
	open := value // behind the u of Python's u'text'
	if d == embedded && value+1 < len(in) && folded[in[value]] != 0 && in[value+1] == '\'' {
		open++
	}
	slashes := skip(in, open, `\`) - open
	open += slashes
	inURL := name > 0 && bytes.IndexByte([]byte("?&#;"), in[name-1]) >= 0
	end := value // where the search for the end goes on
	switch {
	case open < len(in) && bytes.IndexByte([]byte("\"'`"), in[open]) >= 0:
		to = closingQuote(in, open+1, slashes)
		// Before a letter it closes nothing: password="a"b is not quoted.
		if end = min(to+slashes+1, len(in)); end == len(in) || folded[in[end]] == 0 {
			return open + 1, to
		}
	case !inURL && value < len(in) && (in[value] == '{' || in[value] == '['):
		if end = closingBracket(in, value); endsValue(in, end) {
			return value, end
		}
	}
	switch {
	case inURL && in[name-1] == '&' && d == plainText:
		return value, trimEnd(in, value, end+untilAny(in[end:], "&\n"))
	case inURL || d == embedded:
		end = word(in, end)
		if inURL && in[name-1] == ';' { // Password=two words; in a list
			if next := end + untilAny(in[end:], ";\n\"'`<>"); next < len(in) && in[next] == ';' || cut && next == len(in) {
				end = next
			}
		}
		return value, end
	}
	return value, lines(in, name, end)
}

// endsValue reports whether what stands at i ends a value that stands before it.
func endsValue(in []byte, i int) bool {
	i = skip(in, i, " \t")
	return i == len(in) || bytes.IndexByte([]byte("\r\n,;)]}<>&\"'`\\"), in[i]) >= 0
}

// closingQuote returns where the text ends whose opening quote stands before i
// behind so many backslashes: at the same quote, behind as many. Written once
// more inside a string, \ becomes \\ and " becomes \", so a quote within the
// text has more of them. A quote that is doubled is part of the text.
func closingQuote(in []byte, i, slashes int) int {
	quote, run := in[i-1], 0
	for ; i < len(in); i++ {
		switch {
		case in[i] == '\\':
			run++
			continue
		case in[i] != quote || run%(2*slashes+2) != slashes:
		case slashes == 0 && i+1 < len(in) && in[i+1] == quote:
			i++
		default:
			return i - slashes
		}
		run = 0
	}
	return len(in)
}

// closingBracket returns where the object or array ends that begins at i.
func closingBracket(in []byte, i int) int {
	for depth := 0; i < len(in); i++ {
		switch in[i] {
		case '"', '\'':
			i = closingQuote(in, i+1, 0)
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(in)
}

// word returns the end of a value that a space ends, or what ends a value in a
// URL. The scheme of an Authorization header is not the whole value.
func word(in []byte, i int) int {
	const stop = " \t\r\n\"'`<>&"
	end := i + untilAny(in[i:], stop)
	for _, scheme := range []string{"basic", "bearer", "token", "digest", "negotiate"} {
		if bytes.EqualFold(in[i:end], []byte(scheme)) && end < len(in) && in[end] == ' ' {
			end = skip(in, end, " ")
			return end + untilAny(in[end:], stop)
		}
	}
	return end
}

// lines returns the end of a value that goes on to the end of the line or
// further.
func lines(in []byte, name, value int) int {
	end := value + until(in[value:], '\n')
	if mark := bytes.Index(in[value:end], blockMark); mark >= 0 {
		end = blockEnd(in, value+mark+len(blockMark))
		end += until(in[end:], '\n')
	}
	if end == len(in) || in[end] != '\n' {
		return trimEnd(in, value, end)
	}
	// As in YAML: lines indented deeper, and items of a list indented as deep.
	line := bytes.LastIndexByte(in[:name], '\n') + 1
	base := skip(in[:name], line, " \t-\"'") - line
	list := len(bytes.TrimSpace(in[value:end])) == 0
	empty := list
	for next := end; next < len(in) && in[next] == '\n'; {
		first := skip(in, next+1, " \t\r")
		indent := first - next - 1
		if next = first + until(in[first:], '\n'); next == first {
			continue // a blank line
		}
		if !empty && indent <= base && (!list || in[first] != '-' || indent < base) {
			break
		}
		empty, end = false, next
	}
	return trimEnd(in, value, end)
}

// trimEnd leaves out what separates a value from the next one.
func trimEnd(in []byte, from, to int) int {
	return from + len(bytes.TrimRight(in[from:to], " \t\r\n,;"))
}
