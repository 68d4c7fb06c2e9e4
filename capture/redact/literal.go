package redact

// space skips what may stand between tokens.
func (s *scanner) space(i int) int {
	for i < len(s.in) {
		switch s.in[i] {
		case ' ', '\n', '\t', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// hidden reads a value that is secret, and hides it.
func (s *scanner) hidden(i int) int {
	s.secret = true
	end := s.value(i)
	s.secret = false
	if end == ended {
		s.drop(i, len(s.in))
	}
	if end < 0 || s.in[i] == 'n' { // null
		return end
	}
	if s.in[i] != '"' {
		s.hide(i, end, s.in[i:end], `"`)
		return end
	}
	mark := len(s.scratch)
	s.hide(i+1, end-1, s.decode(jsonCoding, s.in[i+1:end-1]), "")
	s.scratch = s.scratch[:mark]
	return end
}

func (s *scanner) literal(i int, word string) int {
	rest := s.in[i:]
	if len(rest) >= len(word) && string(rest[:len(word)]) == word {
		return i + len(word)
	}
	if len(rest) < len(word) && word[:len(rest)] == string(rest) {
		return ended
	}
	return invalid
}

// number reads a number. One that the text ends with is not known to be whole,
// unless it stands alone.
func (s *scanner) number(i int) int {
	if s.in[i] == '-' {
		i++
	}
	start := i
	if i = s.digits(i); i < 0 {
		return i
	}
	if s.in[start] == '0' && i > start+1 {
		return invalid
	}
	if i < len(s.in) && s.in[i] == '.' {
		if i = s.digits(i + 1); i < 0 {
			return i
		}
	}
	if i < len(s.in) && (s.in[i] == 'e' || s.in[i] == 'E') {
		if i++; i < len(s.in) && (s.in[i] == '+' || s.in[i] == '-') {
			i++
		}
		if i = s.digits(i); i < 0 {
			return i
		}
	}
	if i == len(s.in) && s.depth > 0 {
		return ended
	}
	return i
}

// digits reads one digit or more.
func (s *scanner) digits(i int) int {
	start := i
	for i < len(s.in) && '0' <= s.in[i] && s.in[i] <= '9' {
		i++
	}
	switch {
	case i > start:
		return i
	case i == len(s.in):
		return ended
	}
	return invalid
}
