package decode_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"

	"github.com/auditgate/auditgate/capture/decode"
)

// bomb returns 10 GiB of zeros in a coding, cut at its end. Only its first mebibytes
// are compressed, and then what can stand in a row is repeated: members of gzip,
// frames of zstd, and elsewhere blocks, each flushed to a whole byte.
func bomb(t *testing.T, coding string) []byte {
	t.Helper()
	const repeats = 10 << 10
	zeros := make([]byte, 1<<20)
	if coding == "gzip" || coding == "zstd" {
		return bytes.Repeat(encode(t, coding, zeros), repeats)
	}
	var out bytes.Buffer
	var w interface {
		io.Writer
		Flush() error
	}
	switch coding {
	case "br":
		w = brotli.NewWriterLevel(&out, 1)
	case "deflate":
		w, _ = flate.NewWriter(&out, flate.BestSpeed)
	}
	var size [3]int
	for i := range size {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		size[i] = out.Len()
	}
	block := out.Bytes()[size[1]:size[2]]
	return append(bytes.Clone(out.Bytes()), bytes.Repeat(block, repeats-len(size))...)
}

func TestABombOfTenGibibytesStaysInItsMemory(t *testing.T) {
	const limit = 16 << 20
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		wire := bomb(t, coding)
		for encoding, wire := range map[string][]byte{coding: wire, coding + ", gzip": encode(t, "gzip", wire)} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			plain, complete, err := decode.Body(encoding, wire, limit)
			runtime.ReadMemStats(&after)
			// The result as it grows, and the largest window.
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 6*limit {
				t.Errorf("%s: %d MiB were allocated", encoding, allocated>>20)
			}
			if want := min(limit, decode.MaxRatio*len(wire)); complete || err != nil || !bytes.Equal(plain, make([]byte, want)) {
				t.Errorf("%s of %d bytes: %d bytes, want %d zeros, complete %t, %v", encoding, len(wire), len(plain), want, complete, err)
			}
		}
	}
}

// Codings in another one cost time by what they read. One that has nothing in it
// is not read to its end.
func TestNothingIsReadForLong(t *testing.T) {
	for _, coding := range []string{"gzip", "zstd"} {
		nothing := bytes.Repeat(encode(t, coding, nil), 1<<16)
		wire := append(nothing, encode(t, coding, []byte("the end"))...)
		if plain, complete, err := decode.Body(coding, wire, 1<<20); string(plain) != "the end" || !complete || err != nil {
			t.Errorf("%s: %q, complete %t, %v", coding, plain, complete, err)
		}
		for _, around := range []string{"gzip", "deflate", "br", "zstd", "gzip, gzip"} {
			wire := encode(t, around, wire)
			if plain, complete, err := decode.Body(coding+", "+around, wire, 1<<20); len(plain) > 0 || complete || err != nil {
				t.Errorf("%s in %s of %d bytes: %q, complete %t, %v", coding, around, len(wire), plain, complete, err)
			}
		}
	}
}

func TestAReaderForgetsTheBodyBeforeIt(t *testing.T) {
	want := text(300_000)
	for _, codings := range all {
		wire := encode(t, codings, want)
		damaged := bytes.Clone(wire)
		for i := 20; i < len(damaged); i += 50 {
			damaged[i] ^= 0x55
		}
		for _, before := range [][]byte{wire[:1], wire[:len(wire)/2], damaged, []byte("this is in no coding at all"), wire} {
			if _, _, err := decode.Body(name(codings), before, len(want)/3); err != nil && !errors.Is(err, decode.ErrCorrupt) {
				t.Errorf("%s: %v", codings, err)
			}
			plain, complete, err := decode.Body(name(codings), wire, len(want))
			if !bytes.Equal(plain, want) || !complete || err != nil {
				t.Fatalf("%s after %d other bytes: %d bytes, complete %t, %v", codings, len(before), len(plain), complete, err)
			}
		}
	}
}

func TestABodyOfExactlyTheLimitIsComplete(t *testing.T) {
	want := text(5000)
	for _, codings := range all {
		wire := encode(t, codings, want)
		if plain, complete, err := decode.Body(name(codings), wire, len(want)); len(plain) != len(want) || !complete || err != nil {
			t.Errorf("%s: %d bytes, complete %t, %v", codings, len(plain), complete, err)
		}
		if plain, complete, err := decode.Body(name(codings), wire, len(want)-1); !bytes.Equal(plain, want[:len(want)-1]) || complete || err != nil {
			t.Errorf("%s, one less: %d bytes, complete %t, %v", codings, len(plain), complete, err)
		}
	}
}

func TestDamageIsAnError(t *testing.T) {
	want := text(5000)
	for _, codings := range []string{"gzip", "deflate", "zstd", "gzip, br"} {
		wire := encode(t, codings, want)
		wire[len(wire)/2] ^= 0x55
		if plain, complete, err := decode.Body(name(codings), wire, 1<<20); complete || plain != nil || !errors.Is(err, decode.ErrCorrupt) {
			t.Errorf("%s: %d bytes, complete %t, %v", codings, len(plain), complete, err)
		}
	}
}

func BenchmarkBody(b *testing.B) {
	want := text(2048)
	for _, codings := range []string{"gzip", "deflate", "br", "zstd"} {
		wire := encode(b, codings, want)
		b.Run(codings, func(b *testing.B) {
			b.SetBytes(int64(len(want)))
			b.ReportAllocs()
			for b.Loop() {
				if _, complete, err := decode.Body(codings, wire, 64<<10); !complete || err != nil {
					b.Fatal(complete, err)
				}
			}
		})
	}
}
