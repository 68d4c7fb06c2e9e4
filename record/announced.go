package record

import "google.golang.org/protobuf/encoding/protowire"

// AppendAnnounced appends to dst what stands before the stored form of a record
// whose call has, or had, a begin entry: next, the sequence of the record that
// would have come next when that entry was added. It appends nothing for 0. A
// snapshot of the records before next shows the call, whichever of the two it
// finds.
func AppendAnnounced(dst []byte, next uint64) []byte { return appendInt(dst, fieldAnnounced, next) }

// Announced returns what AppendAnnounced put before the stored form meta, 0
// where there is nothing. It reads no more than that.
func Announced(meta []byte) (next uint64) {
	n, kind, size := protowire.ConsumeTag(meta)
	if size < 0 || n != fieldAnnounced || kind != protowire.VarintType {
		return 0
	}
	next, size = protowire.ConsumeVarint(meta[size:])
	if size < 0 {
		return 0
	}
	return next
}
