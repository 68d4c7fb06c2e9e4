package redact

import "slices"

// Explanation says what is secret in the calls of one method and path, and what
// is put in its place.
type Explanation struct {
	// Headers and Fields are the names that are secret beside the defaults.
	Headers, Fields []string
	// Pointers are the places of secret values in bodies.
	Pointers []string
	// Keep are the exceptions that hold.
	Keep []Keep
	// Paths are the patterns of paths with secrets that the path matches.
	Paths []string
	// Values are the detectors: "jwt", "pem", "card".
	Values []string
	Mode   Mode
}

// Explain says what holds for the calls that are like c.
func (r *Redactor) Explain(c Call) Explanation {
	e := r.listed
	e.Headers, e.Fields = slices.Clone(e.Headers), slices.Clone(e.Fields)
	e.Pointers, e.Values = slices.Clone(e.Pointers), slices.Clone(e.Values)
	for i := range r.keeps {
		if x := &r.keeps[i]; x.holds(c) {
			e.Keep = append(e.Keep, x.Keep)
		}
	}
	path := []byte(c.Path)
	for i := range r.paths {
		if p := &r.paths[i]; p.mayFit(path) {
			e.Paths = append(e.Paths, p.text)
		}
	}
	return e
}
