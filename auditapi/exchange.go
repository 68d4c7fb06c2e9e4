package auditapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// The bounds of what the record of a request keeps, in bytes.
const (
	maxField  = 512  // of each text that the client chose
	maxPath   = 2048 // of path and query
	maxDetail = 300  // of an error's words, in problems
)

// exchange is one request while it is answered.
type exchange struct {
	w       *responseWriter
	r       *http.Request
	id      record.ID
	started time.Time
	action  string
	caller  *caller // nil: nobody that is known
	project string  // as it stands in the path
	seen    bool    // the caller may see the project
	query   url.Values
	asked   string // the query as the record has it, without secrets
}

// serve makes a handler of do, which answers, or returns why it cannot: a
// problem, or an error of the store.
func (a *API) serve(action string, do func(*exchange) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{
			w: &responseWriter{ResponseWriter: w}, r: r,
			id: record.NewID(), started: time.Now(),
			action: action, project: r.PathValue("project"),
		}
		defer a.audit(x)
		if err := a.answer(x, do); err != nil {
			a.fail(x, err)
		}
	}
}

func (a *API) answer(x *exchange, do func(*exchange) error) (err error) {
	if x.caller, err = a.authenticate(x.r); err != nil {
		x.action = "token.refused"
		return err
	}
	if x.query, err = url.ParseQuery(x.r.URL.RawQuery); err != nil {
		return invalidParameter.because("the query cannot be read: %s", cut(err.Error(), maxDetail))
	}
	return do(x)
}

// fail answers with what err comes to. An answer that has begun is broken off.
func (a *API) fail(x *exchange, err error) {
	if x.w.status != 0 || x.r.Context().Err() != nil {
		x.w.broken = true
		panic(http.ErrAbortHandler)
	}
	var p *problemError
	switch {
	case errors.As(err, &p):
	case errors.Is(err, store.ErrClosed):
		p = unavailable.because("the store is closing").with("Retry-After", retryAfter)
	default:
		a.config.Log("reading records for the audit API", err)
		p = internal.because("the gateway's log says more")
		if errors.Is(err, store.ErrCorrupt) {
			p = internal.because("a part of the store is damaged; the gateway's log says more")
		}
	}
	p.write(x.w, x.r)
}

// store returns the store, or the problem that there is none.
func (a *API) store() (store.Store, error) {
	s, err := a.config.Store()
	if err != nil {
		return nil, unavailable.because("%s", cut(err.Error(), maxDetail)).with("Retry-After", retryAfter)
	}
	return s, nil
}

// onlyPretty refuses parameters of requests that have no others.
func (x *exchange) onlyPretty() (pretty bool, err error) {
	var wrong []parameterError
	for name := range x.query {
		if name != "pretty" {
			wrong = append(wrong, parameterError{cut(name, 64), "is not a parameter here"})
		}
	}
	if pretty, err = readPretty(x.query); err != nil {
		wrong = append(wrong, parameterError{"pretty", err.Error()})
	}
	return pretty, parameterProblem(wrong)
}

// json answers with one object.
func (x *exchange) json(object []byte, pretty bool) {
	if pretty {
		object = indent(object)
	}
	object = append(bytes.TrimRight(object, "\n"), '\n')
	x.w.Header().Set("Content-Type", "application/json")
	x.w.Header().Set("Content-Length", strconv.Itoa(len(object)))
	_, _ = x.w.Write(object) // the writer remembers that the client has left
}

// indent returns an object on several lines.
func indent(object []byte) []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, object, "", "  "); err != nil {
		return object
	}
	return out.Bytes()
}

// audit hands over the record of a request that has ended, also where it ended
// with a panic.
func (a *API) audit(x *exchange) {
	if a.config.Audit == nil {
		return
	}
	// What a cut leaves of a secret might not be known as one any more.
	text := func(name, value string, most int) string { return cut(a.config.Redact(name, value), most) }
	r := &record.Record{
		EventID: x.id, Timestamp: x.id.Time(),
		Source: record.Self, Action: x.action,
		Method: cut(x.r.Method, 32), Host: text("host", x.r.Host, maxField), Protocol: x.r.Proto,
		URI: text("uri", a.config.OriginalPath(x.r), maxPath), Query: cut(x.asked, maxPath),
		Status: x.w.status, Outcome: record.OutcomeComplete, Success: record.SuccessYes,
		UserIP: cut(a.config.ClientIP(x.r), maxField), PeerIP: peer(x.r),
		UserAgent: text("user_agent", x.r.UserAgent(), maxField), RequestID: text("request_id", x.r.Header.Get("X-Request-Id"), maxField),
	}
	r.EndTime = r.Timestamp.Add(time.Since(x.started).Round(time.Microsecond))
	switch {
	case x.w.broken, x.w.status == 0:
		r.Outcome, r.Success = record.OutcomeAborted, record.SuccessUnknown
	case x.w.status >= 400:
		r.Success = record.SuccessNo
	}
	if x.caller != nil {
		r.Actor = x.caller.actor
	}
	if project := text("project", x.project, maxField); x.seen && project != anyProject {
		r.Project = project
	} else if project != anyProject {
		r.ClaimedProject = project
	}
	a.config.Audit(r)
}

// responseWriter remembers how the answer went.
type responseWriter struct {
	http.ResponseWriter
	status int  // 0: it has not begun
	broken bool // it did not reach the client whole
}

func (w *responseWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *responseWriter) Write(data []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(data)
	w.broken = w.broken || err != nil
	return n, err
}

// Unwrap is for [http.ResponseController].
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// peer returns the address of the other end of the connection.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return cut(r.RemoteAddr, maxField)
	}
	return host
}

// cut bounds a text of somebody else's to n bytes of UTF-8.
func cut(s string, n int) string {
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
