// Package backup is the form of a backup: a tar of parts, one after the other, and
// behind them backup.json, which says what was saved and names each part with its size
// and SHA-256. A backup without it was broken off.
package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	contentsName = "backup.json"
	format       = "auditgate backup 1"
	// maxContents is how large backup.json may be, in bytes: some million parts.
	maxContents = 256 << 20
)

// Part is one part of a backup.
type Part struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// contents are backup.json.
type contents struct {
	Format string          `json:"format"`
	About  json.RawMessage `json:"about"`
	Parts  []Part          `json:"parts"`
}

// Writer writes a backup.
type Writer struct {
	tar   *tar.Writer
	made  time.Time
	parts []Part
}

// NewWriter returns a writer of a backup that is made now.
func NewWriter(w io.Writer) *Writer {
	return &Writer{tar: tar.NewWriter(w), made: time.Now().UTC().Truncate(time.Second)}
}

// Add writes a part of size bytes.
func (w *Writer) Add(name string, size int64, content io.Reader) error {
	digest := sha256.New()
	if err := w.add(name, size, io.TeeReader(content, digest)); err != nil {
		return fmt.Errorf("saving %s: %w", name, err)
	}
	w.parts = append(w.parts, Part{name, size, hex.EncodeToString(digest.Sum(nil))})
	return nil
}

func (w *Writer) add(name string, size int64, content io.Reader) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: w.made}
	if err := w.tar.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(w.tar, content)
	if err == nil && n != size {
		err = fmt.Errorf("it has %d bytes, want %d", n, size)
	}
	return err
}

// Finish writes what the backup is about, as JSON, and the digests of its parts. Only
// now it is whole.
func (w *Writer) Finish(about any) error {
	told, err := json.Marshal(about)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(contents{format, told, w.parts}, "", " ")
	if err != nil {
		return err
	}
	if err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: contentsName, Size: int64(len(data)), Mode: 0o600, ModTime: w.made}); err != nil {
		return err
	}
	if _, err := w.tar.Write(data); err != nil {
		return err
	}
	return w.tar.Close()
}

// Read reads a backup to its end. It calls part for each, whose content need not be
// read, and sets about to what the backup is about. With an error what part was given is
// not what was saved, or not all of it.
func Read(r io.Reader, about any, part func(name string, content io.Reader) error) error {
	var found []Part
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("backup is not whole: it ends without %s", contentsName)
		}
		if err != nil {
			return fmt.Errorf("reading backup: %w", err)
		}
		if h.Name == contentsName {
			return check(archive, about, found)
		}
		digest := sha256.New()
		content := io.TeeReader(archive, digest)
		if err := part(h.Name, content); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, content); err != nil {
			return fmt.Errorf("reading %s of backup: %w", h.Name, err)
		}
		found = append(found, Part{h.Name, h.Size, hex.EncodeToString(digest.Sum(nil))})
	}
}

// check compares the parts found with those that were saved.
func check(r io.Reader, about any, found []Part) error {
	var c contents
	if err := json.NewDecoder(io.LimitReader(r, maxContents)).Decode(&c); err != nil {
		return fmt.Errorf("reading %s of backup: %w", contentsName, err)
	}
	if c.Format != format {
		return fmt.Errorf("backup is of %.40q, and this program reads %q: use the version that made it", c.Format, format)
	}
	for i := range max(len(found), len(c.Parts)) {
		switch {
		case i >= len(found):
			return fmt.Errorf("backup is damaged: %s is missing", c.Parts[i].Name)
		case i >= len(c.Parts):
			return fmt.Errorf("backup is damaged: %s was not saved", found[i].Name)
		case found[i] != c.Parts[i]:
			return fmt.Errorf("backup is damaged: %s is not %s as it was saved", found[i].Name, c.Parts[i].Name)
		}
	}
	if err := json.Unmarshal(c.About, about); err != nil {
		return fmt.Errorf("reading %s of backup: %w", contentsName, err)
	}
	return nil
}
