package redact

const minCard, maxCard = 13, 19 // digits of a card number (ISO/IEC 7812-1)

// holdsDigits reports whether in has the digits of a card number.
func holdsDigits(in []byte) bool {
	n := 0
	for _, c := range in {
		if '0' <= c && c <= '9' {
			if n++; n == minCard {
				return true
			}
		}
	}
	return false
}

// cards hides card numbers: digits in one group, or in groups of which the first
// has four and single spaces or dashes stand between, that no letter or digit
// touches. The issuer must be one that there is, and the last digit right.
func (j *job) cards(in []byte, cut bool) {
	for i := 0; i < len(in); {
		if in[i] < '0' || '9' < in[i] {
			i++
			continue
		}
		end := groupEnd(in, i)
		if (i == 0 || folded[in[i-1]] == 0) && (end == len(in) || folded[in[end]] == 0) {
			if to, half := card(in, i, cut); half {
				j.drop(i, len(in))
				return
			} else if to > i {
				j.hideWord(i, to, digitsOf(in[i:to]))
				end = to
			}
		}
		i = end
	}
}

// card returns where the card number ends that begins at i, or that the text was
// cut in one.
func card(in []byte, i int, cut bool) (to int, half bool) {
	if in[i] < '2' || '6' < in[i] {
		return i, false
	}
	digits, groups := 0, 0
	for next := i; ; {
		end := groupEnd(in, next)
		if end < len(in) && folded[in[end]] != 0 {
			return to, false
		}
		size := end - next
		if digits += size; digits > maxCard || groups > 0 && size > 6 || groups == 1 && next-1-i != 4 {
			return to, false
		}
		if cut && end >= len(in)-1 && (end == len(in) || in[end] == ' ' || in[end] == '-') {
			return 0, true
		}
		if groups++; digits >= minCard && luhn(in[i:end]) {
			to = end
		}
		if end+1 >= len(in) || in[end] != ' ' && in[end] != '-' || in[end+1] < '0' || '9' < in[end+1] {
			return to, false
		}
		next = end + 1
	}
}

// groupEnd returns where the digits end that begin at i.
func groupEnd(in []byte, i int) int {
	for i < len(in) && '0' <= in[i] && in[i] <= '9' {
		i++
	}
	return i
}

// digitsOf returns text without what stands between its digits.
func digitsOf(text []byte) []byte {
	var digits []byte
	for _, c := range text {
		if '0' <= c && c <= '9' {
			digits = append(digits, c)
		}
	}
	return digits
}

// luhn reports whether the last digit checks the ones before (ISO/IEC 7812-1,
// annex B).
func luhn(text []byte) bool {
	sum, double := 0, false
	for i := len(text) - 1; i >= 0; i-- {
		d := int(text[i]) - '0'
		if d < 0 || 9 < d {
			continue
		}
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum, double = sum+d, !double
	}
	return sum%10 == 0
}
