package identity

import (
	"cmp"
	"container/heap"
	"container/list"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/auditgate/auditgate/record"
)

// The bounds of what is learned.
const (
	// MaxLearned is how many tokens are known at once. For a new one that which
	// ends first goes.
	MaxLearned = 100_000
	// MaxLearnedOfUser is how many tokens of one user are known at once. For a new one
	// that goes which was learned first: who logs in again and again pushes out nobody
	// else.
	MaxLearnedOfUser = 1000
	// MaxLearnedRoles is how much of a user's roles is known, in bytes. What is beyond
	// is left out.
	MaxLearnedRoles = 2 << 10
	// MaxUsers is how many users' names and e-mail addresses are known at once.
	MaxUsers = 100_000
	// LearnedFor is how long a token is known whose end is not told.
	LearnedFor = time.Hour
	// KeptAfter is how long a token is known after its end, for the calls that it
	// began.
	KeptAfter = time.Minute
)

// Learned is who holds a token, and until when.
type Learned struct {
	ID        string // of the token
	UserID    string
	UserName  string
	UserEmail string
	UserRoles []string
	Project   string
	Expires   time.Time
	// UserClaimed and ProjectClaimed tell that it was the request which said so, or
	// some of it: the word of whoever logged in.
	UserClaimed    bool `json:",omitempty"`
	ProjectClaimed bool `json:",omitempty"`
}

// Known is what is known of a user beside tokens.
type Known struct {
	UserID, UserName, UserEmail string
	// Claimed tells that it was the request which said so, or some of it.
	Claimed bool `json:",omitempty"`
}

// Book holds what was learned from logins that passed. It may be used from many
// goroutines. Of tokens it knows the IDs alone.
type Book struct {
	now func() time.Time

	// loaded is closed when what was kept of former times is there, or will not
	// be; nil where nothing is expected. See [Book.Expect].
	loaded     chan struct{}
	loadedOnce sync.Once

	// mu guards the rest.
	mu     sync.RWMutex
	tokens map[string]*entry
	ends   ending                // the same, by their end
	of     map[string]*list.List // the same, by their holder, as they were learned
	users  map[string]Known
	file   *bookFile // nil: what is learned ends with the process
}

type entry struct {
	Learned
	at    int           // in ends
	among *list.Element // of its holder's
}

// holder tells holders apart. Who only claims to be somebody is another one.
func (l *Learned) holder() string {
	kind := "id "
	if l.UserID == "" {
		kind = "name "
	}
	if l.UserClaimed {
		kind = "claimed " + kind
	}
	return kind + cmp.Or(l.UserID, l.UserName)
}

// ending is a heap: what ends first is first.
type ending []*entry

func (h ending) Len() int           { return len(h) }
func (h ending) Less(i, j int) bool { return h[i].Expires.Before(h[j].Expires) }
func (h ending) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = i, j }
func (h *ending) Push(x any)        { e := x.(*entry); e.at = len(*h); *h = append(*h, e) }
func (h *ending) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}

// NewBook returns an empty book. now may be nil.
func NewBook(now func() time.Time) *Book {
	if now == nil {
		now = time.Now
	}
	return &Book{now: now, tokens: make(map[string]*entry), of: make(map[string]*list.List), users: make(map[string]Known)}
}

// Expect says that [Book.Load] or [Book.Unkept] will be called: whoever asks the book
// waits for it. It is called before the book is used.
func (b *Book) Expect() { b.loaded = make(chan struct{}) }

// Learn notes who holds a token. It is known when Learn returns.
func (b *Book) Learn(l Learned) {
	now := b.now()
	if l.Expires.IsZero() {
		l.Expires = now.Add(LearnedFor)
	}
	if l.ID == "" || !l.Expires.After(now) {
		return
	}
	room := MaxLearnedRoles
	l.UserRoles = l.UserRoles[:min(len(l.UserRoles), MaxRoles)]
	for i, role := range l.UserRoles {
		if room -= len(role); room < 0 {
			l.UserRoles = slices.Clone(l.UserRoles[:i])
			break
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(l, now)
	b.keep(page{Token: &l})
}

// put notes a token. The caller holds mu.
func (b *Book) put(l Learned, now time.Time) {
	if e := b.tokens[l.ID]; e != nil {
		b.drop(e)
	}
	for len(b.ends) > 0 && !b.ends[0].Expires.Add(KeptAfter).After(now) {
		b.drop(b.ends[0])
	}
	holder := l.holder()
	if all := b.of[holder]; all != nil && all.Len() >= MaxLearnedOfUser {
		b.drop(all.Front().Value.(*entry)) // first, so that it makes room for this one, and nobody else has to
	}
	for len(b.ends) >= MaxLearned {
		b.drop(b.ends[0])
	}
	if b.of[holder] == nil {
		b.of[holder] = list.New()
	}
	e := &entry{Learned: l}
	b.tokens[l.ID], e.among = e, b.of[holder].PushBack(e)
	heap.Push(&b.ends, e)
}

// drop takes out a token. The caller holds mu.
func (b *Book) drop(e *entry) {
	delete(b.tokens, e.ID)
	heap.Remove(&b.ends, e.at)
	holder := e.Learned.holder()
	if b.of[holder].Remove(e.among); b.of[holder].Len() == 0 {
		delete(b.of, holder)
	}
}

// Know notes the name and the e-mail address of a user, of whoever's tokens are
// known or will be. What is claimed takes the place of nothing that is not.
func (b *Book) Know(k Known) {
	if k.UserID == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if known, ok := b.users[k.UserID]; known == k || ok && k.Claimed && !known.Claimed {
		return // most calls tell nothing new
	}
	b.note(k)
	b.keep(page{User: &k})
}

// note notes a user. The caller holds mu.
func (b *Book) note(k Known) {
	if _, ok := b.users[k.UserID]; !ok && len(b.users) >= MaxUsers {
		for id := range b.users { // in no order: there is no telling who comes again
			delete(b.users, id)
			break
		}
	}
	b.users[k.UserID] = k
}

// Forget ends a token.
func (b *Book) Forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.tokens[id]
	if e == nil {
		return
	}
	e.Expires = b.now() // calls that it began are still its own
	heap.Fix(&b.ends, e.at)
	l := e.Learned
	b.keep(page{Token: &l})
}

// keep hands a page to the file, if there is one. The caller holds mu.
func (b *Book) keep(p page) {
	if b.file != nil {
		b.file.add(p)
	}
}

// FromBook answers with whom the book of the evidence knows to hold a token; of a call
// without one, a login, with who got one by it. With [Never] it does not wait for what
// is still being loaded.
func FromBook(ctx context.Context, e *Evidence, p Patience) (Identity, bool) {
	if e.Book == nil || len(e.Tokens) == 0 && e.Issued == "" {
		return Identity{}, false
	}
	if !e.Book.wait(ctx, p) {
		return Identity{}, false
	}
	if len(e.Tokens) == 0 {
		id := e.Book.holder(e.Issued, e.At)
		if id.Known() {
			id.TokenID = e.Issued
		}
		return id, false
	}
	return byToken(e, func(t Token) (Identity, bool) { return e.Book.holder(t.ID, e.At), false })
}

// holder returns who held a token at a time.
func (b *Book) holder(id string, at time.Time) Identity {
	b.mu.RLock()
	defer b.mu.RUnlock()
	e := b.tokens[id]
	if e == nil || !at.Before(e.Expires) {
		return Identity{}
	}
	claimed := e.UserClaimed || e.ProjectClaimed
	who := Identity{Project: e.Project, ProjectVerified: e.Project != "" && !e.ProjectClaimed, Actor: record.Actor{
		UserID: e.UserID, UserName: e.UserName, UserEmail: e.UserEmail, UserRoles: e.UserRoles, AuthMethod: "learned",
	}}
	if user, ok := b.users[e.UserID]; ok {
		was := who.Actor
		who.UserName, who.UserEmail = cmp.Or(who.UserName, user.UserName), cmp.Or(who.UserEmail, user.UserEmail)
		claimed = claimed || user.Claimed && (who.UserName != was.UserName || who.UserEmail != was.UserEmail)
	}
	who.AuthVerified = !claimed
	return who
}

// wait waits until the book is loaded, unless p is [Never], and reports whether it is.
func (b *Book) wait(ctx context.Context, p Patience) bool {
	if b.loaded == nil {
		return true
	}
	select {
	case <-b.loaded:
		return true
	default:
	}
	if p == Never {
		return false
	}
	select {
	case <-b.loaded:
		return true
	case <-ctx.Done():
		return false
	}
}
