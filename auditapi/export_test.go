package auditapi

import (
	"net/http"
	"net/url"
	"time"
)

// PageBuffer lets tests make pages that are longer.
const PageBuffer = pageBuffer

// Canonical reads the parameters of a listing and returns the canonical query.
func Canonical(rawQuery string, header http.Header) (string, error) {
	return canonical(listings, rawQuery, header)
}

// CanonicalSummary does the same for those of a summary.
func CanonicalSummary(rawQuery string) (string, error) { return canonical(summaries, rawQuery, nil) }

func canonical(kind asking, rawQuery string, header http.Header) (string, error) {
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return "", err
	}
	l, err := readQuestion(kind, values, header)
	if err != nil {
		return "", err
	}
	return l.canonical, nil
}

// OpenMarker reads a marker that was sealed with key and seals it again.
func OpenMarker(key []byte, text string) (again string, err error) {
	s, err := newSealer(key)
	if err != nil {
		return "", err
	}
	m, err := s.open(text)
	if err != nil {
		return "", err
	}
	return s.seal(m), nil
}

func (l *HashLimits) Take(caller [32]byte, now time.Time) time.Duration { return l.take(caller, now) }

func (l *HashLimits) Callers() int { return len(l.callers) }
