package capture

import (
	"fmt"
	"strconv"

	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/capture/naming"
	"github.com/auditgate/auditgate/capture/redact"
)

// Rules say what is kept of the calls to one source. They are read only.
type Rules struct {
	// Source is the name of the component API.
	Source string
	// RequestBody and ResponseBody are how many bytes are kept of each, 0 to
	// MaxKept.
	RequestBody, ResponseBody int
	// StreamBody is how many bytes are kept, instead of those, of each direction
	// of streams and upgraded connections, 0 to MaxKept. See [BodiesBinary].
	StreamBody int
	// Redactor takes the secrets out.
	Redactor *redact.Redactor
	// Identity is how it is found out who makes the calls. Nil: [identity.Default].
	Identity identity.Methods
	// IdentityHeaders are the headers, by their canonical names, that those methods read.
	IdentityHeaders []string
	// Lessons are what calls teach about the tokens of others. Nil: nothing.
	Lessons *identity.Lessons
	// IdentityProject has calls belong to the project of whoever makes them, where
	// somebody other than the client says who that is.
	IdentityProject bool
	// Project returns the project that the path of a call names, as its client sent
	// it, or several instead, as in [Facts]: what is said of a call before its facts are
	// gathered. Nil: not known yet.
	Project func(path string) (project string, several []string)
	// Namer says what a call does. Nil: every action is unknown.
	Namer *naming.Namer
	// Policy is what the records of such calls say in their Policy.
	Policy string
}

// Level says how much of a call is kept. Sizes and digests of bodies are kept
// wherever there is a record.
type Level byte

// The levels, each of which keeps less than the one before.
const (
	Full     Level = iota
	Request        // no response body
	Metadata       // no bodies
	None           // no record
)

// Choice is a level for the calls whose final status is in On. The zero On is
// every status.
type Choice struct {
	Level Level
	On    Statuses
}

// choose returns the level of a call that ended with status. One that got no
// answer at all is taken for a 500: who asks for failures means it too.
func choose(levels []Choice, status int) Level {
	if status == 0 {
		status = 500
	}
	for i := range levels {
		if levels[i].On.Has(status) {
			return levels[i].Level
		}
	}
	return Full
}

// candidates returns the most and the least that may be kept of a call whose
// status is not known yet.
func candidates(levels []Choice) (most, least Level) {
	most, least = None, Full
	for i := range levels {
		most, least = min(most, levels[i].Level), max(least, levels[i].Level)
		if levels[i].On == (Statuses{}) {
			return most, least
		}
	}
	return Full, least
}

// Statuses is a set of HTTP statuses, 100 to 599. The zero Statuses is not the
// empty set: it has every status, also those beyond.
type Statuses struct {
	bits [8]uint64 // 100 is the first
}

// Add adds one status, "404", or a class of them, "4xx". Other texts are errors.
func (s *Statuses) Add(text string) error {
	if len(text) != 3 || text[0] < '1' || text[0] > '5' {
		return fmt.Errorf("status %q: want a number from 100 to 599, or a class such as 4xx", text)
	}
	first, n := 100*int(text[0]-'1'), 1
	switch tens, ones := text[1], text[2]; {
	case text[1:] == "xx":
		n = 100
	case '0' <= tens && tens <= '9' && '0' <= ones && ones <= '9':
		first += 10*int(tens-'0') + int(ones-'0')
	default:
		return fmt.Errorf("status %q: want a number from 100 to 599, or a class such as 4xx", text)
	}
	for i := first; i < first+n; i++ {
		s.bits[i/64] |= 1 << (i % 64)
	}
	return nil
}

// Has reports whether status is in the set.
func (s *Statuses) Has(status int) bool {
	if *s == (Statuses{}) {
		return true
	}
	i := status - 100
	return 0 <= i && i < 500 && s.bits[i/64]&(1<<(i%64)) != 0
}

// Texts are what to add to have the set; none for that of every status.
func (s Statuses) Texts() (texts []string) {
	if s == (Statuses{}) {
		return nil
	}
	for class := 100; class < 600; class += 100 {
		var some []string
		for status := class; status < class+100; status++ {
			if s.Has(status) {
				some = append(some, strconv.Itoa(status))
			}
		}
		if len(some) == 100 {
			some = []string{strconv.Itoa(class/100) + "xx"}
		}
		texts = append(texts, some...)
	}
	return texts
}

// And returns what is in both sets, and whether there is anything.
func (s Statuses) And(other Statuses) (both Statuses, some bool) {
	switch (Statuses{}) {
	case s:
		return other, true
	case other:
		return s, true
	}
	for i := range s.bits {
		both.bits[i] = s.bits[i] & other.bits[i]
	}
	return both, both != (Statuses{})
}

// Without returns what is in s and not in other, and whether there is anything. Of every
// status nothing is taken away but every status.
func (s Statuses) Without(other Statuses) (rest Statuses, some bool) {
	switch (Statuses{}) {
	case other:
		return Statuses{}, false
	case s:
		return s, true
	}
	for i := range s.bits {
		rest.bits[i] = s.bits[i] &^ other.bits[i]
	}
	return rest, rest != (Statuses{})
}

// Bodies says what a rule says of the bodies of a call, beside its level.
type Bodies byte

// The values of Bodies.
const (
	// BodiesDefault: text is kept, and the binary types that the redactor lets
	// pass. Of gRPC and of upgraded connections nothing is kept.
	BodiesDefault Bodies = iota
	// BodiesOff: none is kept.
	BodiesOff
	// BodiesBinary: binary is kept as well that would be withheld. What is kept
	// of an upgraded connection are its raw bytes: frames, which a WebSocket's
	// client has masked, and which may be compressed.
	BodiesBinary
)
