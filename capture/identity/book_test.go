package identity_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/auditgate/auditgate/capture/identity"
)

// holder returns whom a book knows to have held a token at a time.
func holder(t *testing.T, b *identity.Book, id string, at time.Time) identity.Identity {
	t.Helper()
	who, pending := identity.FromBook(t.Context(), &identity.Evidence{At: at, Book: b, Tokens: []identity.Token{{ID: id}}}, identity.Wait)
	if pending {
		t.Error("a book has nobody to ask")
	}
	return who
}

// openBook returns a book that is kept in a file.
func openBook(t *testing.T, c *clock, path string, key []byte) (b *identity.Book, complaints *[]string) {
	t.Helper()
	b, complaints = identity.NewBook(c.Now), new([]string)
	if err := b.Load(path, key, func(msg string, err error) { *complaints = append(*complaints, fmt.Sprint(msg, ": ", err)) }); err != nil {
		t.Fatal(err)
	}
	return b, complaints
}

func closeBook(t *testing.T, b *identity.Book) {
	t.Helper()
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestLearnedTokenIsKnownUntilItEnds(t *testing.T) {
	c := newClock()
	b := identity.NewBook(c.Now)
	b.Learn(identity.Learned{ID: "a", UserID: "u1", UserName: "Ann", UserRoles: []string{"member"}, Project: "p", Expires: now.Add(time.Minute)})
	b.Learn(identity.Learned{ID: "no end", UserID: "u2"})
	b.Learn(identity.Learned{ID: "ended", UserID: "u3", Expires: now})
	who := holder(t, b, "a", now)
	if who.UserID != "u1" || who.UserName != "Ann" || who.Project != "p" || who.AuthMethod != "learned" || !who.AuthVerified || who.TokenID != "a" || len(who.UserRoles) != 1 {
		t.Errorf("got %+v", who)
	}
	for _, tc := range []struct {
		id    string
		after time.Duration
		known bool
	}{
		{"a", time.Minute - 1, true},
		{"a", time.Minute, false},
		{"other", 0, false},
		{"ended", 0, false},
		{"no end", identity.LearnedFor - 1, true},
		{"no end", identity.LearnedFor, false},
	} {
		if who := holder(t, b, tc.id, now.Add(tc.after)); who.Known() != tc.known {
			t.Errorf("%s after %s: %+v", tc.id, tc.after, who)
		}
	}
	// What has ended still names the calls that it began.
	c.forward(time.Minute + identity.KeptAfter/2)
	if who := holder(t, b, "a", now); !who.Known() {
		t.Error("a call that began before the token's end has lost its user")
	}
}

func TestRevokedTokenNamesOnlyTheCallsBefore(t *testing.T) {
	c := newClock()
	b := identity.NewBook(c.Now)
	b.Learn(identity.Learned{ID: "a", UserID: "u1", Expires: now.Add(time.Hour)})
	c.forward(time.Minute)
	b.Forget("a")
	b.Forget("unknown")
	if !(holder(t, b, "a", now.Add(time.Minute-1)).UserID == "u1") || holder(t, b, "a", now.Add(time.Minute)).UserID != "" {
		t.Error("a revoked token does not end when it is revoked")
	}
}

func TestUsersAreNamedFromElsewhereAsWell(t *testing.T) {
	b := identity.NewBook(newClock().Now)
	b.Learn(identity.Learned{ID: "a", UserID: "u1", UserName: "Ann", Expires: now.Add(time.Hour)})
	b.Know(identity.Known{UserID: "u1", UserName: "another", UserEmail: "ann@example.org"})
	if who := holder(t, b, "a", now); who.UserName != "Ann" || who.UserEmail != "ann@example.org" {
		t.Errorf("got %+v", who)
	}
}

func TestBookIsBoundedAndDropsWhatEndsFirst(t *testing.T) {
	c := newClock()
	b := identity.NewBook(c.Now)
	const tokens, first = identity.MaxLearned + 10, identity.MaxLearned + 10 - identity.MaxLearnedOfUser
	learn := func(i int) {
		user := fmt.Sprint("u", i)
		if i >= first {
			user = "mallory"
		}
		b.Learn(identity.Learned{ID: fmt.Sprint(i), UserID: user, Expires: now.Add(time.Hour + time.Duration(i)*time.Second)})
	}
	known := func(when string, want map[int]bool) {
		t.Helper()
		for id, known := range want {
			if who := holder(t, b, fmt.Sprint(id), now); who.Known() != known {
				t.Errorf("%s, token %d: %+v", when, id, who)
			}
		}
	}
	for i := range tokens {
		learn(i)
	}
	known("full", map[int]bool{0: false, 9: false, 10: true, first: true, tokens - 1: true})
	// One who has as many as they may pushes out tokens of their own alone.
	learn(tokens)
	learn(tokens + 1)
	known("full, of one who has many", map[int]bool{10: true, 11: true, first: false, first + 1: false, first + 2: true, tokens + 1: true})
}

// Who logs in again and again pushes out tokens of their own alone.
func TestOneUserPushesOutNobodyElse(t *testing.T) {
	c, path, key := newClock(), filepath.Join(t.TempDir(), "learned"), bytes.Repeat([]byte{7}, 32)
	b, _ := openBook(t, c, path, key)
	learn := func(id string, l identity.Learned, after time.Duration) {
		l.ID, l.Expires = id, now.Add(after)
		b.Learn(l)
	}
	learn("ann's", identity.Learned{UserID: "ann"}, time.Minute) // which ends first of all
	learn("named", identity.Learned{UserName: "u"}, time.Minute)
	learn("claimed", identity.Learned{UserID: "u", UserClaimed: true}, time.Minute)
	learn("another's by now", identity.Learned{UserID: "u"}, time.Hour)
	learn("another's by now", identity.Learned{UserID: "ann"}, time.Hour)
	const more = 10
	for i := range identity.MaxLearnedOfUser + more {
		learn(fmt.Sprint(i), identity.Learned{UserID: "u"}, time.Hour+time.Duration(i)*time.Second)
	}
	learn(fmt.Sprint(more), identity.Learned{UserID: "u"}, 2*time.Hour) // anew, and so the last
	learn("last", identity.Learned{UserID: "u"}, 2*time.Hour)
	for range 2 {
		for id, known := range map[string]bool{
			"ann's": true, "named": true, "claimed": true, "another's by now": true, "last": true,
			fmt.Sprint(0): false, fmt.Sprint(more - 1): false, fmt.Sprint(more): true, fmt.Sprint(more + 1): false, fmt.Sprint(more + 2): true,
		} {
			if knows(t, b, id, now) != known {
				t.Errorf("%s is known: %t", id, !known)
			}
		}
		closeBook(t, b)
		b, _ = openBook(t, c, path, key)
	}
	closeBook(t, b)
}

func TestRolesOfALearnedTokenAreBounded(t *testing.T) {
	b := identity.NewBook(newClock().Now)
	var roles []string
	for range 3 * identity.MaxRoles {
		roles = append(roles, strings.Repeat("r", identity.MaxClaimLen/2))
	}
	b.Learn(identity.Learned{ID: "long", UserID: "u", UserRoles: roles, Expires: now.Add(time.Hour)})
	if n := len(holder(t, b, "long", now).UserRoles); n != 2*identity.MaxLearnedRoles/identity.MaxClaimLen {
		t.Errorf("%d long roles are known", n)
	}
	b.Learn(identity.Learned{ID: "many", UserID: "u", UserRoles: strings.Split(strings.Repeat("r ", 100), " "), Expires: now.Add(time.Hour)})
	if n := len(holder(t, b, "many", now).UserRoles); n != identity.MaxRoles {
		t.Errorf("%d roles are known", n)
	}
}

func TestBookSurvivesARestartAndHoldsNoToken(t *testing.T) {
	c, path, key := newClock(), filepath.Join(t.TempDir(), "state", "learned"), bytes.Repeat([]byte{7}, 32)
	b, _ := openBook(t, c, path, key)
	b.Learn(identity.Learned{ID: "hmac:1", UserID: "ann-the-user", Project: "p", Expires: now.Add(time.Hour)})
	b.Learn(identity.Learned{ID: "hmac:2", UserID: "bob", Expires: now.Add(time.Hour)})
	b.Learn(identity.Learned{ID: "hmac:3", UserID: "eve", Expires: now.Add(time.Second)})
	b.Forget("hmac:2")
	b.Know(identity.Known{UserID: "ann-the-user", UserEmail: "ann@example.org"})
	closeBook(t, b)
	c.forward(2 * time.Minute)

	for range 3 { // each start writes it anew
		b, complaints := openBook(t, c, path, key)
		if who := holder(t, b, "hmac:1", c.Now()); who.UserID != "ann-the-user" || who.Project != "p" || who.UserEmail != "ann@example.org" {
			t.Errorf("after a restart: %+v", who)
		}
		if who := holder(t, b, "hmac:2", c.Now()); who.Known() {
			t.Errorf("a revoked token came back: %+v", who)
		}
		if who := holder(t, b, "hmac:3", now); who.Known() {
			t.Errorf("a token that has ended came back: %+v", who)
		}
		if len(*complaints) > 0 {
			t.Error(*complaints)
		}
		closeBook(t, b)
	}
	content := must(os.ReadFile(path))
	if bytes.Contains(content, []byte("ann-the-user")) || bytes.Contains(content, []byte("hmac:1")) {
		t.Error("without the key the file tells who was there")
	}
	if mode := must(os.Stat(path)).Mode().Perm(); mode != 0o600 {
		t.Errorf("the file has mode %#o", mode)
	}
}

// A file that ends anywhere is read up to there, and one that is damaged costs what
// stands behind the damage.
func TestBookReadsWhatIsWhole(t *testing.T) {
	c, dir, key := newClock(), t.TempDir(), bytes.Repeat([]byte{7}, 32)
	path := filepath.Join(dir, "learned")
	b, _ := openBook(t, c, path, key)
	for i := range 5 {
		b.Learn(identity.Learned{ID: fmt.Sprint(i), UserID: fmt.Sprint("u", i), Expires: now.Add(time.Hour)})
	}
	closeBook(t, b)
	whole := must(os.ReadFile(path))
	known := func(content, key []byte) (n int, complaints []string) {
		copied := filepath.Join(dir, "copy")
		if err := os.WriteFile(copied, content, 0o600); err != nil {
			t.Fatal(err)
		}
		b, all := openBook(t, c, copied, key)
		defer closeBook(t, b)
		for i := range 5 {
			if who := holder(t, b, fmt.Sprint(i), now); who.Known() {
				n++
			}
		}
		return n, *all
	}
	last := 0
	for n := len("auditgate learned 2\n"); n <= len(whole); n += 7 {
		got, complaints := known(whole[:n], key)
		if got < last || len(complaints) > 0 {
			t.Fatalf("cut after %d bytes: %d tokens, %v", n, got, complaints)
		}
		last = got
	}
	if got, _ := known(whole, key); got != 5 {
		t.Errorf("%d tokens, want 5", got)
	}
	damaged := bytes.Clone(whole)
	damaged[len(damaged)-1] ^= 1
	if got, complaints := known(damaged, key); got != 4 || len(complaints) != 1 || !strings.Contains(complaints[0], "authentication failed") {
		t.Errorf("damaged at its end: %d tokens, %v", got, complaints)
	}
	if got, complaints := known(whole, bytes.Repeat([]byte{8}, 32)); got != 0 || len(complaints) != 1 {
		t.Errorf("with another key: %d tokens, %v", got, complaints)
	}
	if got, complaints := known([]byte("something else"), key); got != 0 || len(complaints) != 1 {
		t.Errorf("of something else: %d tokens, %v", got, complaints)
	}
}

// Files of the first format do not say whether it was a request that told who somebody
// is: they are read as if it were.
func TestWhatOlderFilesHoldIsAClaim(t *testing.T) {
	c, path, key := newClock(), filepath.Join(t.TempDir(), "learned"), bytes.Repeat([]byte{7}, 32)
	const magic = "auditgate learned 1\n"
	seal := must(cipher.NewGCM(must(aes.NewCipher(key))))
	old := []byte(magic)
	for n, page := range []string{
		`{"t":{"ID":"a","UserID":"u1","UserName":"","UserEmail":"","UserRoles":null,"Project":"p","Expires":"2026-11-21T11:00:00Z"}}`,
		`{"u":{"UserID":"u1","UserName":"ann","UserEmail":"mallory@example.org"}}`,
	} {
		nonce := bytes.Repeat([]byte{byte(n)}, seal.NonceSize())
		old = binary.LittleEndian.AppendUint32(old, uint32(len(nonce)+len(page)+seal.Overhead()))
		old = append(old, nonce...)
		old = seal.Seal(old, nonce, []byte(page), []byte(magic))
	}
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	for n := range 2 { // the first start writes it anew
		b, complaints := openBook(t, c, path, key)
		if who := holder(t, b, "a", now); who.UserID != "u1" || who.UserEmail != "mallory@example.org" || who.Project != "p" || who.AuthVerified || who.ProjectVerified {
			t.Errorf("start %d: %+v", n, who)
		}
		if want := 1 - n; len(*complaints) != want {
			t.Errorf("start %d: %q", n, *complaints)
		}
		closeBook(t, b)
	}
	b, _ := openBook(t, c, path, key)
	b.Know(identity.Known{UserID: "u1", UserName: "Ann", UserEmail: "ann@example.org", Claimed: true})
	if who := holder(t, b, "a", now); who.UserEmail != "ann@example.org" {
		t.Errorf("what a request says now does not count: %+v", who)
	}
	b.Learn(identity.Learned{ID: "a", UserID: "u1", UserEmail: "ann@example.org", UserName: "Ann", Expires: now.Add(time.Hour)})
	if who := holder(t, b, "a", now); !who.AuthVerified {
		t.Errorf("after the next login: %+v", who)
	}
	closeBook(t, b)
}

// What is learned before the book is loaded is newer than what was kept.
func TestWhatIsLearnedWhileLoadingCounts(t *testing.T) {
	c, path, key := newClock(), filepath.Join(t.TempDir(), "learned"), bytes.Repeat([]byte{7}, 32)
	b, _ := openBook(t, c, path, key)
	b.Learn(identity.Learned{ID: "a", UserID: "old", Expires: now.Add(time.Hour)})
	closeBook(t, b)

	b = identity.NewBook(c.Now)
	b.Expect()
	b.Learn(identity.Learned{ID: "a", UserID: "new", Expires: now.Add(time.Hour)})
	e := &identity.Evidence{At: now, Book: b, Tokens: []identity.Token{{ID: "a"}}}
	if who, _ := identity.FromBook(t.Context(), e, identity.Never); who.Known() {
		t.Error("a book that is not loaded was read")
	}
	if err := b.Load(path, key, func(string, error) {}); err != nil {
		t.Fatal(err)
	}
	if who, _ := identity.FromBook(t.Context(), e, identity.Wait); who.UserID != "new" {
		t.Errorf("got %+v", who)
	}
	closeBook(t, b)
}

func TestBookOnADiskThatFailsIsKeptWhenItRecovers(t *testing.T) {
	c, dir, key := newClock(), t.TempDir(), bytes.Repeat([]byte{7}, 32)
	path := filepath.Join(dir, "learned")
	if err := os.MkdirAll(path+".new", 0o700); err != nil { // so that it cannot be written
		t.Fatal(err)
	}
	b, complaints := openBook(t, c, path, key)
	b.Learn(identity.Learned{ID: "a", UserID: "u", Expires: now.Add(time.Hour)})
	if who := holder(t, b, "a", now); who.UserID != "u" || len(*complaints) != 1 {
		t.Errorf("while the disk fails: %+v, %v", who, *complaints)
	}
	if err := os.Remove(path + ".new"); err != nil {
		t.Fatal(err)
	}
	closeBook(t, b)
	b, _ = openBook(t, c, path, key)
	if who := holder(t, b, "a", now); who.UserID != "u" {
		t.Errorf("after the disk recovered: %+v", who)
	}
	closeBook(t, b)
}
