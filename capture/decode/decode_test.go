package decode_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/auditgate/auditgate/capture/decode"
)

// encode applies codings in the order of a Content-Encoding header; "raw" is
// deflate without the zlib header.
func encode(t testing.TB, codings string, plain []byte) []byte {
	t.Helper()
	for name := range strings.SplitSeq(codings, ", ") {
		var out bytes.Buffer
		var w io.WriteCloser
		switch name {
		case "gzip":
			w = gzip.NewWriter(&out)
		case "deflate":
			w = zlib.NewWriter(&out)
		case "raw":
			w, _ = flate.NewWriter(&out, 6)
		case "br":
			w = brotli.NewWriter(&out)
		case "zstd":
			w, _ = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
		}
		if _, err := w.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		plain = out.Bytes()
	}
	return plain
}

// text is like JSON that does not repeat.
func text(size int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	var b bytes.Buffer
	for b.Len() < size {
		fmt.Fprintf(&b, `{"id":"%016x","n":%d},`, r.Uint64(), r.IntN(1000))
	}
	return b.Bytes()[:size]
}

var all = []string{"gzip", "deflate", "raw", "br", "zstd", "gzip, br", "deflate, zstd, gzip"}

func name(codings string) string { return strings.ReplaceAll(codings, "raw", "deflate") }

func TestCodingsAreUndone(t *testing.T) {
	for _, codings := range all {
		for _, size := range []int{1, 1000, 200_000} {
			want := text(size)
			for range 2 { // the second time with readers that were used
				got, complete, err := decode.Body(" "+strings.ToUpper(name(codings)), encode(t, codings, want), 1<<20)
				if err != nil || !complete || !bytes.Equal(got, want) {
					t.Errorf("%s of %d bytes: %d bytes, complete %v, %v", codings, size, len(got), complete, err)
				}
			}
		}
	}
}

func TestBodyWithoutCodingIsItself(t *testing.T) {
	for _, encoding := range []string{"", "identity", " , "} {
		if got, complete, err := decode.Body(encoding, []byte("abc"), 10); string(got) != "abc" || !complete || err != nil {
			t.Errorf("%q: %q, %v, %v", encoding, got, complete, err)
		}
	}
	if got, complete, _ := decode.Body("", []byte("abc"), 2); string(got) != "ab" || complete {
		t.Errorf("over the limit: %q, complete %v", got, complete)
	}
}

func TestMembersOfGzipAreOneBody(t *testing.T) {
	wire := append(encode(t, "gzip", []byte("one ")), encode(t, "gzip", []byte("two"))...)
	if got, complete, err := decode.Body("gzip", wire, 100); string(got) != "one two" || !complete || err != nil {
		t.Errorf("%q, %v, %v", got, complete, err)
	}
}

func TestWhatIsUnknownIsRefused(t *testing.T) {
	for _, encoding := range []string{"compress", "gzip, rot13", "gzip, gzip, gzip, gzip", strings.Repeat("gzip, gzip, br, ", 20), "\x00", "gzip;q=1"} {
		if _, _, err := decode.Body(encoding, []byte("x"), 10); !errors.Is(err, decode.ErrUnknown) {
			t.Errorf("%q: %v", encoding, err)
		}
	}
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd"} {
		if got, complete, _ := decode.Body(encoding, []byte(`{"password": "this is no such thing"}`), 100); complete || len(got) > 64 {
			t.Errorf("plain text as %s: %q", encoding, got)
		}
	}
}

func FuzzBody(f *testing.F) {
	for _, codings := range all {
		f.Add(name(codings), encode(f, codings, text(300)))
	}
	f.Fuzz(func(t *testing.T, encoding string, wire []byte) {
		const limit = 4096
		got, complete, err := decode.Body(encoding, wire, limit)
		if len(got) > limit || err != nil && (len(got) > 0 || complete) {
			t.Errorf("%d bytes, complete %t, %v", len(got), complete, err)
		}
		if less, _, lessErr := decode.Body(encoding, wire, limit/2); err == nil && (lessErr != nil || !bytes.Equal(less, got[:min(len(got), limit/2)])) {
			t.Errorf("half of %q is %q, %v", got, less, lessErr)
		}
		if cut := len(wire) / 2; complete {
			if part, _, _ := decode.Body(encoding, wire[:cut], limit); !bytes.HasPrefix(got, part) {
				t.Errorf("%q, cut %q", got, part)
			}
		}
	})
}
