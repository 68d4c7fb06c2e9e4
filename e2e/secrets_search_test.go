package e2e_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// search finds plants, whole or any run of their bytes that is long enough, as
// they are, and written in hexadecimal, base64, percent-coding, escapes of JSON
// or UTF-16.
type search struct {
	pieces map[uint64][]piece
	may    [1 << 16]byte // of the first two bytes of a run: 1 where there is one
	// found says where each plant stands, with what stands around it there.
	found map[*plant]map[string]string
}

// piece is eight bytes of a plant.
type piece struct {
	plant *plant
	of    string
	at    int
}

const pieceSize = 8

func newSearch(plants []*plant) *search {
	s := &search{pieces: map[uint64][]piece{}, found: map[*plant]map[string]string{}}
	for _, p := range plants {
		for _, tell := range p.tells {
			for i := 0; i+pieceSize <= len(tell); i++ {
				key := binary.LittleEndian.Uint64([]byte(tell[i:]))
				s.pieces[key] = append(s.pieces[key], piece{p, tell, i})
				s.may[binary.LittleEndian.Uint16([]byte(tell[i:]))] = 1
			}
		}
	}
	return s
}

// in searches data, which stands at place, in all its readings.
func (s *search) in(place string, data []byte) {
	s.plain(place, data)
	if bytes.IndexByte(data, 0) >= 0 {
		s.plain(place+" (UTF-16)", bytes.ReplaceAll(data, []byte{0}, nil))
	}
	if bytes.IndexByte(data, '%') >= 0 {
		s.plain(place+" (percent-coded)", unescaped(data, "%", 2))
	}
	if bytes.Contains(data, []byte(`\u`)) {
		s.plain(place+" (escaped)", unescaped(data, `\u`, 4))
	}
	each(data, 2*pieceSize, hexDigits, func(digits []byte) {
		for offset := range 2 {
			part := digits[offset : len(digits)-(len(digits)-offset)%2]
			plain := make([]byte, len(part)/2)
			_, _ = hex.Decode(plain, part) // there are only digits
			s.plain(place+" (hexadecimal)", plain)
		}
	})
	each(data, 11, base64Digits, func(digits []byte) {
		for offset := range 4 {
			s.plain(place+" (base64)", fromBase64(digits[offset:]))
		}
	})
}

func (s *search) plain(place string, data []byte) {
	for i := 0; i+pieceSize <= len(data); i++ {
		if s.may[uint16(data[i])|uint16(data[i+1])<<8] == 0 {
			continue
		}
		for _, r := range s.pieces[binary.LittleEndian.Uint64(data[i:])] {
			from, at := i, r.at
			for from > 0 && at > 0 && data[from-1] == r.of[at-1] {
				from, at = from-1, at-1
			}
			to, end := i, r.at
			for to < len(data) && end < len(r.of) && data[to] == r.of[end] {
				to, end = to+1, end+1
			}
			if to-from < r.plant.least {
				continue
			}
			if s.found[r.plant] == nil {
				s.found[r.plant] = map[string]string{}
			}
			s.found[r.plant][place] = strconv.Quote(string(data[max(0, from-60):min(len(data), to+20)]))
		}
	}
}

// each calls do with the runs of bytes in set that are at least so long.
func each(data []byte, least int, set *[256]byte, do func([]byte)) {
	for i := 0; i < len(data); i++ {
		start := i
		for i < len(data) && set[data[i]] != 0 {
			i++
		}
		if i-start >= least {
			do(data[start:i])
		}
	}
}

// hexDigits and base64Digits have 0 for what is none, else the digit and 1.
var hexDigits, base64Digits = func() (h, b *[256]byte) {
	h, b = new([256]byte), new([256]byte)
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		b[c] = byte(i) + 1
	}
	b['-'], b['_'] = b['+'], b['/']
	for _, c := range []byte("0123456789abcdefABCDEF") {
		h[c] = 1
	}
	return h, b
}()

func fromBase64(digits []byte) (plain []byte) {
	for ; len(digits) >= 4; digits = digits[4:] {
		n := 0
		for _, c := range digits[:4] {
			n = n<<6 | int(base64Digits[c]-1)
		}
		plain = append(plain, byte(n>>16), byte(n>>8), byte(n))
	}
	return plain
}

// unescaped is data with its escapes read: a mark and so many hexadecimal digits.
func unescaped(data []byte, mark string, digits int) (plain []byte) {
	for {
		i := bytes.Index(data, []byte(mark))
		if i < 0 {
			return append(plain, data...)
		}
		plain, data = append(plain, data[:i]...), data[i:]
		size := len(mark) + digits
		if len(data) >= size {
			if v, err := strconv.ParseUint(string(data[len(mark):size]), 16, 16); err == nil {
				plain = bytes.TrimRight(plain, mark[:1]) // an escape within an escape
				plain, data = append(plain, string(rune(v))...), data[size:]
				continue
			}
		}
		plain, data = append(plain, data[0]), data[1:]
	}
}

// files searches all files in dir but the log, as they are and decompressed.
func (s *search) files(t *testing.T, when, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || path == filepath.Join(dir, "log") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path) // both are absolute
		place := when + ": " + name
		data = withoutHoles(data)
		s.in(place, data)
		if strings.HasSuffix(name, ".journal") {
			s.frames(when+": journal, decompressed", data)
		} else {
			s.blocks(when+": blocks, decompressed", data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// withoutHoles leaves out what was never written.
func withoutHoles(data []byte) (written []byte) {
	const page = 4096
	var hole [page]byte
	for ; len(data) > 0; data = data[min(page, len(data)):] {
		if p := data[:min(page, len(data))]; !bytes.Equal(p, hole[:len(p)]) {
			written = append(written, p...)
		}
	}
	return written
}

// frames searches the records in a journal file, whose frames begin with a mark
// that its header names: the format is in store/format.go.
func (s *search) frames(place string, data []byte) {
	const head = 48
	if len(data) < 16 {
		return
	}
	for mark := data[8:16]; ; {
		i := bytes.Index(data[16:], mark)
		if i < 0 {
			return
		}
		data = data[16+i:]
		if len(data) < head {
			return
		}
		settled, packed := int(binary.LittleEndian.Uint32(data[12:])), int(binary.LittleEndian.Uint32(data[40:]))
		if head+settled+packed > len(data) {
			continue
		}
		if raw, err := s2.Decode(nil, data[head+settled:][:packed]); err == nil {
			s.in(place, raw)
		}
	}
}

// blocks searches whatever zstd has compressed in data.
func (s *search) blocks(place string, data []byte) {
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd}
	for i := bytes.Index(data, magic); i >= 0; i = bytes.Index(data, magic) {
		data = data[i:]
		if d, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1)); err == nil {
			raw, _ := io.ReadAll(d) // up to the end of the frame, behind which stands anything
			d.Close()
			s.in(place, raw)
		}
		data = data[len(magic):]
	}
}
