package decode_test

import (
	"bytes"
	"testing"

	"github.com/auditgate/auditgate/capture/decode"
)

// What a cut may cost of a body, in bytes: what stands at the beginning of a
// block, and of zstd the whole block, since a block is read from its end.
var lostByACut = map[string]int{
	"gzip": 1 << 10, "deflate": 1 << 10, "raw": 1 << 10, "br": 4 << 10, "zstd": 128<<10 + 1<<10,
	"gzip, br": 1 << 10, "deflate, zstd, gzip": 3 * 128 << 10, // a block of what is compressed already
}

func TestWhatIsReadableOfACutBodyComesOut(t *testing.T) {
	for _, size := range []int{3000, 400_000} {
		want := text(size)
		for _, codings := range all {
			wire := encode(t, codings, want)
			before := 0
			for cut := 0; cut < len(wire); cut += max(1, len(wire)/25*size/400_000) {
				got, complete, err := decode.Body(name(codings), wire[:cut], 1<<20)
				if err != nil || complete && cut > 0 || !bytes.HasPrefix(want, got) {
					t.Fatalf("%s of %d bytes cut at %d of %d: %d bytes, complete %t, %v", codings, size, cut, len(wire), len(got), complete, err)
				}
				if due := int(int64(size)*int64(cut)/int64(len(wire))) - lostByACut[codings]; len(got) < due || len(got) < before {
					t.Errorf("%s of %d bytes cut at %d of %d: %d bytes, want %d", codings, size, cut, len(wire), len(got), max(due, before))
				}
				before = len(got)
			}
		}
	}
}
