package record

import "google.golang.org/protobuf/encoding/protowire"

// Class groups records by how long they are worth keeping.
type Class string

// The values of Class.
const (
	// ClassWrites: calls that may change something.
	ClassWrites Class = "writes"
	// ClassReads: GET, HEAD and OPTIONS.
	ClassReads Class = "reads"
	// ClassControl: gaps, and what Auditgate writes about itself.
	ClassControl Class = "control"
)

// ClassOf returns the class of the record whose stored form is meta, without
// decoding the rest of it.
func ClassOf(meta []byte) (Class, error) {
	class := ClassWrites
	err := EachField(meta, func(n protowire.Number, _ uint64, data []byte) error {
		switch n {
		case fieldMethod:
			if m := string(data); class != ClassControl && (m == "GET" || m == "HEAD" || m == "OPTIONS") {
				class = ClassReads
			}
		case fieldSource:
			if string(data) == Self {
				class = ClassControl
			}
		case fieldGap:
			class = ClassControl
		}
		return nil
	})
	return class, err
}
