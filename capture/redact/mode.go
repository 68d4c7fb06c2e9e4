package redact

import (
	"bytes"
	"fmt"
	"slices"
)

// Mode is what stands in the place of a secret.
type Mode byte

const (
	// HMAC puts "hmac:" and 32 hexadecimal digits there, by which the same
	// secret can be recognised and not be read: see [Redactor.Value].
	HMAC Mode = iota
	// Mask puts "***" there.
	Mask
	// Drop puts nothing there: in JSON the empty string. In running text, where
	// what follows would be taken for the value, it puts "***".
	Drop
)

var modes = [...]string{HMAC: "hmac", Mask: "mask", Drop: "drop"}

// ParseMode reads the name of a mode: hmac, mask or drop.
func ParseMode(name string) (Mode, error) {
	for m, known := range modes {
		if name == known {
			return Mode(m), nil
		}
	}
	return 0, fmt.Errorf("redaction mode %q: want hmac, mask or drop", name)
}

// String returns the name of the mode.
func (m Mode) String() string {
	if int(m) < len(modes) {
		return modes[m]
	}
	return fmt.Sprintf("Mode(%d)", byte(m))
}

// mask stands for a secret in the other modes.
const mask = "***"

// standsFor returns what stands for a secret, in running text or alone.
func (r *Redactor) standsFor(secret []byte, running bool) string {
	switch {
	case r.mode == HMAC:
		return r.Value(secret)
	case r.mode == Drop && !running:
		return ""
	}
	return mask
}

// standIn returns the length of what stands for a secret already at the beginning
// of text, 0 where there is none.
func (r *Redactor) standIn(text []byte) int {
	if r.mode != HMAC {
		if bytes.HasPrefix(text, []byte(mask)) {
			return len(mask)
		}
		return 0
	}
	if len(text) < valueSize || string(text[:len(valuePrefix)]) != valuePrefix {
		return 0
	}
	for _, c := range text[len(valuePrefix):valueSize] {
		if (c < '0' || '9' < c) && (c < 'a' || 'f' < c) {
			return 0
		}
	}
	return valueSize
}

// isStandIn reports whether text is what stands for some secret.
func (r *Redactor) isStandIn(text []byte) bool {
	return len(text) <= valueSize && len(text) == r.standIn(text)
}

// runsIntoStandIn reports whether a name, decoded and before the text behind, ends in
// the hmac of what stands for a secret already, as in token.%3Ahmac.
func (r *Redactor) runsIntoStandIn(name, behind []byte) bool {
	at := len(name) - len(valuePrefix) + len(":")
	if at <= 0 || inName[name[at-1]] {
		return false
	}
	return r.isStandIn(slices.Concat(name[at:], behind[:min(len(behind), valueSize-(len(name)-at))]))
}
