package auditapi

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/auditgate/auditgate/record"
)

// marker is a place in a listing, and all that must be known to go on there.
type marker struct {
	expires int64             // Unix seconds
	caller  [sha256.Size]byte // for whom it is good
	upTo    uint64            // the sequence that the first page pinned
	before  record.ID         // the next page has what is older
	limit   int               // of the page that the marker came with
	project string            // as it stands in the path
	query   string            // canonical; see listing
}

// The text of a marker is base64url without padding of
//
//	version, 1 byte | nonce, 12 | sealed with AES-256-GCM | tag, 16
//
// where the version is sealed in as additional data, and within stand
//
//	expires, 8 | caller, 32 | upTo, 8 | before, 16 | limit, 2 | length of project, 2 | project | query
//
// with numbers in big endian. It is sealed and not only signed, because before
// can be the ID of a record that the caller may not see.
const (
	markerVersion = 1
	markerFixed   = 8 + sha256.Size + 8 + 16 + 2 + 2
	maxMarkerLen  = 8 << 10 // of the text; a project and a query have their own bounds
)

// sealer makes and reads the text of markers.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*sealer, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, "auditgate marker 1", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of markers: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of markers: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of markers: %w", err)
	}
	return &sealer{aead}, nil
}

func (s *sealer) seal(m *marker) string {
	plain := make([]byte, 0, markerFixed+len(m.project)+len(m.query))
	plain = binary.BigEndian.AppendUint64(plain, uint64(m.expires))
	plain = append(plain, m.caller[:]...)
	plain = binary.BigEndian.AppendUint64(plain, m.upTo)
	plain = append(plain, m.before[:]...)
	plain = binary.BigEndian.AppendUint16(plain, uint16(m.limit))
	plain = binary.BigEndian.AppendUint16(plain, uint16(len(m.project)))
	plain = append(plain, m.project...)
	plain = append(plain, m.query...)
	version := []byte{markerVersion}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(version, nil, plain, version))
}

// errMarker is what every text comes to that is no marker of this gateway.
var errMarker = errors.New("not a marker, or it was changed")

func (s *sealer) open(text string) (*marker, error) {
	if len(text) > maxMarkerLen || strings.ContainsAny(text, "\r\n") { // the decoder steps over those
		return nil, errMarker
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(data) == 0 || data[0] != markerVersion {
		return nil, errMarker
	}
	plain, err := s.aead.Open(nil, nil, data[1:], data[:1])
	if err != nil || len(plain) < markerFixed {
		return nil, errMarker
	}
	take := func(n int) []byte {
		part := plain[:n]
		plain = plain[n:]
		return part
	}
	m := &marker{}
	m.expires = int64(binary.BigEndian.Uint64(take(8)))
	copy(m.caller[:], take(len(m.caller)))
	m.upTo = binary.BigEndian.Uint64(take(8))
	copy(m.before[:], take(len(m.before)))
	m.limit = int(binary.BigEndian.Uint16(take(2)))
	n := int(binary.BigEndian.Uint16(take(2)))
	if n > len(plain) {
		return nil, errMarker
	}
	m.project, m.query = string(take(n)), string(plain)
	return m, nil
}
