package identity

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// The file of a [Book]: bookMagic, then pages that are only appended. A page is its
// length (4 bytes, little endian), a nonce of 12 bytes, and JSON sealed with
// AES-256-GCM, whose additional data is the magic. The last page of a token, or of a
// user, counts. The file ends where a page cannot be opened: one that is torn was
// never whole on the disk. At each start it is written anew, and whenever it has
// doubled since. A file that begins with bookMagic1 has not said whether a page is a
// request's word, and is read as if all were.
const (
	bookMagic   = "auditgate learned 2\n"
	bookMagic1  = "auditgate learned 1\n"
	maxPage     = 64 << 10
	rewriteFrom = 4 << 20         // bytes; a smaller file is not written anew while it is in use
	maxWaiting  = 16_384          // pages that wait for the disk; past it all is written anew
	retryAfter  = 5 * time.Second // when the disk has failed
)

// page is one thing that was learned.
type page struct {
	Token *Learned `json:"t,omitempty"`
	User  *Known   `json:"u,omitempty"`
}

// bookFile keeps a book. One goroutine writes it, so that no call waits for the
// disk: what a call has taught is with the system a moment later, and then on the
// disk.
type bookFile struct {
	path string
	seal cipher.AEAD
	log  func(msg string, err error)
	all  func() []page // all that counts now

	wake chan struct{} // that there is something to write
	stop chan struct{} // closed by close
	done chan struct{} // closed when the goroutine has ended
	// mu guards waiting, and dropped: that not all of it is there.
	mu      sync.Mutex
	waiting []page
	dropped bool

	// The rest belongs to the writing goroutine.
	file    *os.File // nil after an error: the next one is written anew
	size    int64
	written int64 // the size when it was last written anew
	failing bool
}

// Load reads what was kept in a file, and keeps there what is learned from now on,
// until Close. key is 32 secret bytes, without which the file tells nothing. Of a file
// that is damaged or has another key what cannot be read is given up, and log told;
// so it is when the disk fails later. Whoever asks the book meanwhile waits, if that
// was said with Expect.
func (b *Book) Load(path string, key []byte, log func(msg string, err error)) error {
	defer b.Unkept()
	block, err := aes.NewCipher(key)
	if err != nil {
		return fmt.Errorf("keying what was learned: %w", err)
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return fmt.Errorf("keying what was learned: %w", err)
	}
	f := &bookFile{
		path: path, seal: seal, log: log, all: b.pages,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making the directory for what is learned: %w", err)
	}
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading what was learned: %w", err)
	}
	tokens, users, err := f.read(content)
	if err != nil {
		log("a part of what was learned about tokens cannot be read, and is given up", err)
	}
	now := b.now()
	// What ends later was learned later, as a rule.
	first := slices.SortedFunc(maps.Values(tokens), func(a, b Learned) int { return a.Expires.Compare(b.Expires) })
	b.mu.Lock()
	for _, l := range first {
		if b.tokens[l.ID] == nil && l.Expires.Add(KeptAfter).After(now) { // what was learned meanwhile is newer
			b.put(l, now)
		}
	}
	for id, k := range users {
		if _, ok := b.users[id]; !ok {
			b.note(k)
		}
	}
	b.file = f
	b.mu.Unlock()
	f.write() // anew, and with what was learned meanwhile
	go f.run()
	return nil
}

// Unkept says that nothing will be loaded any more.
func (b *Book) Unkept() {
	if b.loaded != nil {
		b.loadedOnce.Do(func() { close(b.loaded) })
	}
}

// Close writes what waits, until ctx ends, and ends the keeping: what is learned later
// ends with the process.
func (b *Book) Close(ctx context.Context) error {
	b.Unkept()
	b.mu.Lock()
	f := b.file
	b.file = nil
	b.mu.Unlock()
	if f == nil {
		return nil
	}
	close(f.stop)
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("keeping what was learned about tokens failed: %w", ctx.Err())
	}
}

// pages returns all that counts now.
func (b *Book) pages() []page {
	now := b.now()
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]page, 0, len(b.tokens)+len(b.users))
	for _, e := range b.tokens {
		if l := e.Learned; l.Expires.Add(KeptAfter).After(now) {
			all = append(all, page{Token: &l})
		}
	}
	for _, k := range b.users {
		all = append(all, page{User: &k})
	}
	return all
}

// read reads the pages of a file. An error says that there are more bytes than can
// be read.
func (f *bookFile) read(content []byte) (tokens map[string]Learned, users map[string]Known, err error) {
	tokens, users = make(map[string]Learned), make(map[string]Known)
	magic := []byte(bookMagic)
	if bytes.HasPrefix(content, []byte(bookMagic1)) {
		magic = []byte(bookMagic1)
		f.log("what was learned about tokens was kept by an earlier version, which did not say who vouches for it: it is not verified until the next login", nil)
	}
	claimed := string(magic) != bookMagic
	rest, ok := bytes.CutPrefix(content, magic)
	if !ok {
		if len(content) > 0 {
			err = errors.New("it does not begin as such a file does")
		}
		return tokens, users, err
	}
	nonce := f.seal.NonceSize()
	for len(rest) > 0 {
		if len(rest) < 4 {
			break // torn
		}
		n := int64(binary.LittleEndian.Uint32(rest))
		if n > maxPage || n < int64(nonce+f.seal.Overhead()) {
			return tokens, users, fmt.Errorf("a page of %d bytes, %d from the end", n, len(rest))
		}
		if int64(len(rest)) < 4+n {
			break // torn
		}
		sealed := rest[4 : 4+n]
		plain, err := f.seal.Open(nil, sealed[:nonce], sealed[nonce:], magic)
		var p page
		if err == nil {
			err = json.Unmarshal(plain, &p)
		}
		if err != nil {
			return tokens, users, fmt.Errorf("a page %d bytes from the end: %w", len(rest), err)
		}
		if p.Token != nil {
			p.Token.UserClaimed, p.Token.ProjectClaimed = p.Token.UserClaimed || claimed, p.Token.ProjectClaimed || claimed
			tokens[p.Token.ID] = *p.Token
		}
		if p.User != nil {
			p.User.Claimed = p.User.Claimed || claimed
			users[p.User.UserID] = *p.User
		}
		rest = rest[4+n:]
	}
	return tokens, users, nil
}

// add hands over a page. It does not wait for the disk.
func (f *bookFile) add(p page) {
	f.mu.Lock()
	if len(f.waiting) < maxWaiting {
		f.waiting = append(f.waiting, p)
	} else {
		f.dropped = true
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run writes until it is stopped.
func (f *bookFile) run() {
	defer close(f.done)
	again := time.NewTimer(retryAfter)
	defer again.Stop()
	for {
		select {
		case <-f.wake:
			if f.file != nil {
				f.write()
			}
		case <-again.C:
			if f.file == nil {
				f.write()
			}
			again.Reset(retryAfter)
		case <-f.stop:
			f.write()
			if f.file != nil {
				f.file.Close()
			}
			return
		}
	}
}

// write writes what waits, or all anew where there is no file or it has grown too
// long.
func (f *bookFile) write() {
	f.mu.Lock()
	pages, dropped := f.waiting, f.dropped
	f.waiting, f.dropped = nil, false
	f.mu.Unlock()
	var err error
	if f.file == nil || dropped || f.size > max(rewriteFrom, 2*f.written) {
		err = f.anew()
	} else if len(pages) > 0 {
		text := f.append(nil, pages)
		_, err = f.file.Write(text)
		f.size += int64(len(text))
		if err == nil {
			err = f.file.Sync()
		}
	}
	if err != nil && f.file != nil { // how much of it is there is not known
		f.file.Close()
		f.file = nil
	}
	switch {
	case err != nil && !f.failing:
		f.log("what is learned about tokens cannot be kept: it ends with the process unless the disk recovers", err)
	case err == nil && f.failing:
		f.log("what is learned about tokens is kept again", nil)
	}
	f.failing = err != nil
}

// anew writes all that counts now into a new file, which takes the place of the
// old one when it is whole.
func (f *bookFile) anew() error {
	temporary := f.path + ".new"
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	text := f.append([]byte(bookMagic), f.all())
	if _, err = file.Write(text); err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = os.Rename(temporary, f.path)
	}
	if err == nil {
		err = syncDirectory(filepath.Dir(f.path))
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if f.file != nil {
		f.file.Close()
	}
	f.file, f.size, f.written = file, int64(len(text)), int64(len(text))
	return nil
}

// append appends pages, sealed.
func (f *bookFile) append(text []byte, pages []page) []byte {
	var nonce [12]byte
	for _, p := range pages {
		plain, err := json.Marshal(p)
		if err != nil || len(plain) > maxPage-len(nonce)-f.seal.Overhead() {
			continue // it is known until the process ends
		}
		rand.Read(nonce[:])
		text = binary.LittleEndian.AppendUint32(text, uint32(len(nonce)+len(plain)+f.seal.Overhead()))
		text = append(text, nonce[:]...)
		text = f.seal.Seal(text, nonce[:], plain, []byte(bookMagic))
	}
	return text
}

// syncDirectory makes the names in a directory durable.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
