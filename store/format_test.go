package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/auditgate/auditgate/record"
)

// sampleFrame is a frame of two records, one of them a gap, and a begin entry
// between them.
func sampleFrame() (frame []byte, m mark, rows int) {
	when := time.UnixMicro(1_700_000_000_000_000).UTC()
	r := &record.Record{EventID: record.FirstID(when), Source: "nova", RequestBody: record.Body{Content: []byte("in")}, ResponseBody: record.Body{Content: []byte("out")}}
	g := foundGap("nova", when, when, record.Gap{Count: 3, Reason: ReasonKilled}, "sample")
	begin := &record.Record{EventID: record.IDAt(when), Source: "nova", Outcome: record.OutcomeInProgress}
	raw := appendRecord(nil, r, 0, r.AppendMeta(nil))
	raw = appendRecord(raw, begin, 5, begin.AppendMeta(nil))
	raw = appendRecord(raw, g, 0, g.AppendMeta(nil))
	frame = appendFrame(nil, 7, when, 3, appendSettled(nil, "nova", 4), raw, false)
	m = mark{1, 2, 3, 4, 5, 6, 7, 8}
	setMarks(frame, m)
	return frame, m, 3
}

func TestFrameHoldsWhatWasPut(t *testing.T) {
	data, m, n := sampleFrame()
	h, settled, raw, err := openFrame(data, m, nil, nil)
	if err != nil || h.first != 7 || int(h.records) != n || h.size() != int64(len(data)) {
		t.Fatalf("%+v, %v", h, err)
	}
	if err := eachSettled(settled, func(source string, count uint64) {
		if source != "nova" || count != 4 {
			t.Errorf("settled %d of %q", count, source)
		}
	}); err != nil {
		t.Error(err)
	}
	rows, gaps, next := new(frame).rows(nil, nil, h.first, raw)
	if len(rows) != n || len(gaps) != 1 || rows[0].Sequence != 7 || rows[1].Sequence != 0 || gaps[0].Sequence != 8 || next != 9 {
		t.Fatalf("rows %+v, gaps %+v, next %d", rows, gaps, next)
	}
	if got := record.Announced(rows[1].Meta); got != 5 {
		t.Errorf("the begin entry was announced before %d, want 5", got)
	}
	if got := raw[rows[0].at:][:5]; string(got) != "inout" {
		t.Errorf("bodies are %q", got)
	}
	if _, _, _, err := openFrame(data, mark{}, nil, nil); err == nil {
		t.Error("a frame with another file's mark was read")
	}
}

func TestHeaderHoldsWhatWasPut(t *testing.T) {
	want := header{mark{9}, 42, time.UnixMicro(1_700_000_000_000_000).UTC(), "node", "boot", KeyID{7}, 41}
	data := want.append(nil)
	for at := range data {
		broken := bytes.Clone(data)
		broken[at] ^= 0x10
		var got header
		if err := got.parse(broken); err != nil || got != want {
			t.Fatalf("byte %d is broken: %+v, %v", at, got, err)
		}
	}
}

// FuzzFrame reads hostile frames whose checksum is right.
func FuzzFrame(f *testing.F) {
	sample, m, _ := sampleFrame()
	f.Add(sample)
	f.Add(make([]byte, frameHead))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= frameHead {
			data = bytes.Clone(data)
			copy(data, m[:])
			binary.LittleEndian.PutUint32(data[8:], crc32.Checksum(data[12:], castagnoli))
		}
		h, settled, raw, err := openFrame(data, m, nil, nil)
		if err != nil {
			return
		}
		if err := eachSettled(settled, func(string, uint64) {}); err != nil {
			t.Fatal(err)
		}
		rows, _, _ := new(frame).rows(nil, nil, h.first, raw)
		if len(rows) != int(h.records) {
			t.Fatalf("%d rows, want %d", len(rows), h.records)
		}
		for _, row := range rows {
			if int(row.at)+int(row.request)+int(row.response) > len(raw) {
				t.Fatalf("bodies at %d, %d and %d bytes, of %d", row.at, row.request, row.response, len(raw))
			}
			_ = new(record.Record).SetMeta(row.ID, row.Meta)
		}
	})
}

// FuzzJournalFile opens hostile files.
func FuzzJournalFile(f *testing.F) {
	sample, m, _ := sampleFrame()
	h := header{m, 7, time.UnixMicro(1_700_000_000_000_000).UTC(), "node", "boot", KeyID{}, 6}
	good := append(h.append(nil), sample...)
	f.Add(good)
	f.Add(append(good, sample...))
	f.Add(append(good[:len(good)-3:len(good)-3], sample...))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filePath(dir, 1), data, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := replayFiles(dir, 0, time.Time{}, nil, func(string, error) {})
		r.close()
		if err != nil {
			return
		}
		for _, file := range r.files {
			for _, run := range file.runs {
				for _, row := range run {
					if row.Sequence != 0 && (row.Sequence < file.first || row.Sequence > r.last) {
						t.Fatalf("sequence %d in a file of %d to %d", row.Sequence, file.first, r.last)
					}
				}
			}
		}
	})
}

// FuzzCalls reads hostile calls files.
func FuzzCalls(f *testing.F) {
	dir := f.TempDir()
	c, err := createCalls(dir, uuid.New(), time.UnixMicro(1_700_000_000_000_000), 9)
	if err != nil {
		f.Fatal(err)
	}
	c.claim("nova").Add(3)
	sample, err := os.ReadFile(filepath.Join(dir, callsName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample[:callsHead+slotSize])
	f.Fuzz(func(t *testing.T, head []byte) {
		data := make([]byte, callsSize)
		copy(data, head)
		binary.NativeEndian.PutUint32(data[48:], crc32.Checksum(data[:48], castagnoli))
		run, err := parseCalls(data, machineID())
		if err != nil {
			return
		}
		for source := range run.calls {
			if len(source) > record.MaxSourceLen {
				t.Fatalf("a source has %d bytes", len(source))
			}
		}
		if _, err := parseCalls(head, machineID()); err == nil && len(head) != callsSize {
			t.Fatal("a calls file of another size was read")
		}
	})
}

// What keeps a start from going on must not be a byte that has flipped.
func TestCallsOfAnotherVersionAreToldFromDamage(t *testing.T) {
	sound := newCalls(uuid.New(), time.UnixMicro(1_700_000_000_000_000), 9)
	for i := range 52 {
		data := bytes.Clone(sound)
		data[i] ^= 0x10
		if _, err := parseCalls(data, machineID()); !errors.Is(err, errFormat) || errors.Is(err, errVersion) {
			t.Errorf("byte %d is another: %v, want damage", i, err)
		}
	}
	next := bytes.Clone(sound)
	next[7]++
	binary.NativeEndian.PutUint32(next[48:], crc32.Checksum(next[:48], castagnoli))
	for _, data := range [][]byte{next, next[:100]} {
		if _, err := parseCalls(data, machineID()); !errors.Is(err, errVersion) {
			t.Errorf("a later version, of %d bytes: %v, want that", len(data), err)
		}
	}
}
