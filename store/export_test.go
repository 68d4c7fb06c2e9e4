package store

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// Begun returns how many calls of source the calls file in dir counts, as a
// start after a crash reads it.
func Begun(dir, source string) (uint64, error) {
	run, err := readCalls(dir)
	if err != nil {
		return 0, err
	}
	return run.calls[source], nil
}

// OldestIn returns since when calls may be untold of, as the calls file in dir says.
func OldestIn(dir string) (time.Time, error) {
	run, err := readCalls(dir)
	if err != nil {
		return time.Time{}, err
	}
	return run.oldest, nil
}

// FirstFrame is where the frames of a journal file begin.
const FirstFrame = firstFrame

// SignCalls gives a changed calls file its checksum.
func SignCalls(data []byte) {
	binary.NativeEndian.PutUint32(data[48:], crc32.Checksum(data[:48], castagnoli))
}

// FrameLen is the length of the first frame of data.
func FrameLen(data []byte) int { return frameLen(data) }

// SignFrame gives a changed frame its checksum.
func SignFrame(frame []byte) { setChecksum(frame) }

// LeastBetween is how long a commit that nobody waits for comes after the one before it.
const LeastBetween = leastBetween
