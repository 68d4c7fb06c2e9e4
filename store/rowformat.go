package store

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/auditgate/auditgate/record"
)

// MaxRecord is the size of the largest record that a journal takes: its
// metadata and both bodies, in bytes.
const MaxRecord = 64 << 20

// appendRecord appends the stored form of r, whose metadata is meta; announced
// is that of its begin entry, 0 where it had none.
func appendRecord(dst []byte, r *record.Record, announced uint64, meta []byte) []byte {
	var flags uint64
	switch {
	case r.Gap != nil:
		flags = flagGap
	case r.Outcome == record.OutcomeInProgress:
		flags = flagBegin
	}
	var head [maxAnnounced]byte
	return appendRow(dst, flags, r.EventID, record.AppendAnnounced(head[:0], announced), meta, r.RequestBody.Content, r.ResponseBody.Content)
}

// appendRow appends a row whose metadata is in two parts.
func appendRow(dst []byte, flags uint64, id record.ID, head, meta, request, response []byte) []byte {
	dst = append(binary.AppendUvarint(dst, flags), id[:]...)
	dst = binary.AppendUvarint(dst, uint64(len(head)+len(meta)))
	dst = binary.AppendUvarint(dst, uint64(len(request)))
	dst = binary.AppendUvarint(dst, uint64(len(response)))
	dst = append(dst, head...)
	dst = append(dst, meta...)
	dst = append(dst, request...)
	return append(dst, response...)
}

// rawRow is a record as it stands among the raw records of a frame.
type rawRow struct {
	id                record.ID
	flags             uint64
	meta              []byte // part of the frame
	at                int    // where the request body begins
	request, response int    // lengths
}

// eachRow calls do for each of the records.
func eachRow(raw []byte, do func(rawRow)) error {
	for at := 0; at < len(raw); {
		var r rawRow
		var lengths [3]int
		flags, n := binary.Uvarint(raw[at:])
		if n <= 0 || len(raw)-at-n < len(r.id) {
			return fmt.Errorf("%w: record head", errFormat)
		}
		r.flags = flags
		at += n + copy(r.id[:], raw[at+n:])
		for i := range lengths {
			length, n := binary.Uvarint(raw[at:])
			if n <= 0 || length > uint64(len(raw)) {
				return fmt.Errorf("%w: record lengths", errFormat)
			}
			lengths[i] = int(length)
			at += n
		}
		if lengths[0]+lengths[1]+lengths[2] > len(raw)-at {
			return fmt.Errorf("%w: record of %s is cut off", errFormat, r.id)
		}
		r.meta = raw[at : at+lengths[0]]
		r.at, r.request, r.response = at+lengths[0], lengths[1], lengths[2]
		at = r.at + r.request + r.response
		do(r)
	}
	return nil
}

// cutBytes cuts a length and as many bytes off data.
func cutBytes(data []byte) (value, rest []byte, ok bool) {
	length, n := binary.Uvarint(data)
	if n <= 0 || length > uint64(len(data)-n) {
		return nil, nil, false
	}
	return data[n:][:length], data[n+int(length):], true
}

// isZero reports whether nothing was ever written to data.
func isZero(data []byte) bool { return len(bytes.Trim(data, "\x00")) == 0 }
