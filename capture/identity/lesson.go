package identity

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auditgate/auditgate/capture/uripath"
	"github.com/auditgate/auditgate/record"
)

// MaxLesson is how much of a body a lesson reads, in bytes: what stands behind it
// is not found.
const MaxLesson = 64 << 10

// MaxLessons is how many lessons one capture may have.
const MaxLessons = 64

// Lesson says what calls of one kind teach, once they were answered with a 2xx. Its
// fields but for the first two are placeholders, which are read before redaction:
//
//	{audit.res.header.<name>}  {audit.res.json.<pointer>}
//	{audit.req.header.<name>}  {audit.req.json.<pointer>}  {audit.req.form.<name>}
//
// What a request says is the word of whoever sends it: where it names the user or the
// project, or any part of them, nobody vouches for who holds the token.
//
// There are three kinds. With Token it teaches who holds a token, and needs UserID
// or UserName; with Forget that a token has ended; with neither what the user of
// that UserID is called.
type Lesson struct {
	// Method and Path are those of the calls: "*" and :name in the path are any
	// one segment, a last /* is the rest.
	Method, Path string

	Token, Forget    string
	UserID, UserName string
	UserEmail        string
	UserRoles        string // a pointer in which * is every element of a list
	Project          string
	Expires          string // a time (RFC 3339), seconds from now, or seconds since 1970
}

// Lessons are the lessons of a capture, made ready. Nil are none.
type Lessons struct {
	all     []lesson
	headers []string
}

type lesson struct {
	method string
	path   []string
	fields [fieldCount]place
}

// The fields of a lesson.
const (
	fieldToken = iota
	fieldForget
	fieldUserID
	fieldUserName
	fieldUserEmail
	fieldUserRoles
	fieldProject
	fieldExpires
	fieldCount
)

// NewLessons returns lessons, or an error that says what is wrong with one.
func NewLessons(list []Lesson) (*Lessons, error) {
	if len(list) > MaxLessons {
		return nil, fmt.Errorf("%d lessons: want %d at most", len(list), MaxLessons)
	}
	all := &Lessons{headers: []string{"Content-Encoding", "Content-Type"}} // how bodies are read
	for i := range list {
		l, err := list[i].ready()
		if err != nil {
			return nil, err
		}
		all.all = append(all.all, l)
		for _, f := range l.fields {
			if f.from == requestHeader || f.from == responseHeader {
				all.headers = append(all.headers, http.CanonicalHeaderKey(f.name))
			}
		}
	}
	slices.Sort(all.headers)
	all.headers = slices.Clip(slices.Compact(all.headers))
	return all, nil
}

// Headers are the names of the headers that are read for lessons, in canonical form.
// They are not to be changed.
func (l *Lessons) Headers() []string { return l.headers }

func (l *Lesson) ready() (ready lesson, err error) {
	switch {
	case l.Method == "" || !strings.HasPrefix(l.Path, "/"):
		return ready, errors.New("want the method and the path of the calls that teach, as in `on POST /v3/auth/tokens`")
	case l.Token != "" && l.Forget != "":
		return ready, errors.New("token and forget do not go together: the one begins a token, the other ends it")
	case l.Token != "" && l.UserID == "" && l.UserName == "":
		return ready, errors.New("user_id is missing: nothing says who holds the token")
	case l.Forget != "" && l.UserID+l.UserName+l.UserEmail+l.UserRoles+l.Project+l.Expires != "":
		return ready, errors.New("forget stands alone: it only ends a token")
	case l.Token == "" && l.Forget == "" && (l.UserID == "" || l.UserName+l.UserEmail == "" || l.UserRoles+l.Project+l.Expires != ""):
		return ready, errors.New("token is missing; without it only a user's name and e-mail address can be learned, by user_id")
	}
	ready.method, ready.path = l.Method, strings.Split(l.Path[1:], "/")
	for i, text := range [fieldCount]string{l.Token, l.Forget, l.UserID, l.UserName, l.UserEmail, l.UserRoles, l.Project, l.Expires} {
		if text == "" {
			continue
		}
		if ready.fields[i], err = parsePlace(text); err != nil {
			return ready, err
		}
	}
	return ready, nil
}

// Reads returns which bodies of a call are read by some lesson.
func (l *Lessons) Reads(method, path string) (request, response bool) {
	for _, lesson := range l.about(method, path) {
		for _, f := range lesson.fields {
			request = request || f.from == requestJSON || f.from == requestForm
			response = response || f.from == responseJSON
		}
	}
	return request, response
}

// Fit reports whether some lesson is about a call.
func (l *Lessons) Fit(method, path string) bool {
	return len(l.about(method, path)) > 0
}

// about returns the lessons that are about a call, its path as the client sent it.
func (l *Lessons) about(method, path string) (some []*lesson) {
	if l == nil {
		return nil
	}
	var all [][]string
	for i := range l.all {
		one := &l.all[i]
		if one.method != "*" && one.method != method {
			continue
		}
		if all == nil {
			all = uripath.Readings(path)
		}
		if slices.ContainsFunc(all, one.leads) {
			some = append(some, one)
		}
	}
	return some
}

// leads reports whether the lesson is about a path with these segments.
func (l *lesson) leads(path []string) bool {
	for i, want := range l.path {
		switch {
		case want == "*" && i == len(l.path)-1:
			return len(path) >= i
		case want == "" && len(l.path) == 1: // the root
			return len(path) == 0
		case i >= len(path) || want != path[i] && want != "*" && !strings.HasPrefix(want, ":"):
			return false
		}
	}
	return len(path) == len(l.path)
}

// Passed is a call that has passed, as lessons read it.
type Passed struct {
	Method, Path                    string         // as the client sent them
	RequestHeaders, ResponseHeaders record.Headers // those that a lesson reads, whole
	// RequestBody and ResponseBody are decoded, and as much of the bodies as is
	// there.
	RequestBody, ResponseBody []byte
}

// Teach writes into b what a call teaches, which was answered with a 2xx. id makes
// a token its ID. It returns that of the token that the answer issued, if it did.
func (l *Lessons) Teach(p *Passed, id func(token string) string, b *Book) (issued string) {
	for _, lesson := range l.about(p.Method, p.Path) {
		issued = cmp.Or(issued, lesson.teach(p, id, b))
	}
	return issued
}

func (l *lesson) teach(p *Passed, id func(token string) string, b *Book) (issued string) {
	read := func(field int) string { return clean(l.fields[field].one(p)) }
	if token := l.fields[fieldForget].one(p); token != "" {
		b.Forget(id(token))
		return ""
	}
	known := Known{UserID: read(fieldUserID), UserName: read(fieldUserName), UserEmail: read(fieldUserEmail)}
	known.Claimed = l.claims(fieldUserID, fieldUserName, fieldUserEmail)
	if l.fields[fieldToken].from == nowhere {
		if known.UserName != "" || known.UserEmail != "" {
			b.Know(known)
		}
		return ""
	}
	token := strings.TrimSpace(l.fields[fieldToken].one(p))
	if token == "" || known.UserID == "" && known.UserName == "" {
		return ""
	}
	learned := Learned{
		ID: id(token), UserID: known.UserID, UserName: known.UserName, UserEmail: known.UserEmail,
		Project: read(fieldProject), Expires: endOf(l.fields[fieldExpires].one(p), b.now()),
		UserClaimed: known.Claimed || l.claims(fieldUserRoles), ProjectClaimed: l.claims(fieldProject),
	}
	for _, role := range l.fields[fieldUserRoles].each(p) {
		if role = clean(role); role != "" && len(learned.UserRoles) < MaxRoles {
			learned.UserRoles = append(learned.UserRoles, role)
		}
	}
	b.Learn(learned)
	if l.fields[fieldToken].from.answers() {
		return learned.ID
	}
	return "" // the call is about a token of the past
}

// claims reports whether one of these fields stands in the request.
func (l *lesson) claims(fields ...int) bool {
	return slices.ContainsFunc(fields, func(i int) bool {
		from := l.fields[i].from
		return from != nowhere && !from.answers()
	})
}

// endOf reads when a token ends: a time, or a number of seconds, which is from now
// on where it is less than a billion, else since 1970. The zero time where it says
// nothing that can be read.
func endOf(text string, now time.Time) time.Time {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		switch {
		case !(seconds > 0 && seconds < maxTime):
			return time.Time{}
		case seconds < 1e9:
			return now.Add(time.Duration(seconds * float64(time.Second)))
		}
		return time.Unix(int64(seconds), 0)
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} { // the second is in UTC
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return time.Time{}
}
