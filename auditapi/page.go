package auditapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

const (
	// pageBuffer is how much of a page is held back, in bytes, and one record
	// more. A page that fits is sent when it is finished. Of a longer one the end
	// is looked up, without bodies, before the beginning is sent: the marker stands
	// in a header, too. The rest is read as much at a time, and not while the
	// client takes what was read.
	pageBuffer = 1 << 20
	// writePiece is how much is written at a time, in bytes, and writeTimeout how
	// long the client may take to accept it. The time is long because the kernel
	// holds up to 4 MB and accepts nothing until a third of them is gone: a client
	// that reads 16 kB/s was seen to stand still for 110 s. A server with a write
	// timeout keeps that instead, for the whole answer.
	writePiece   = 16 << 10
	writeTimeout = 3 * time.Minute
)

// page is one answer of a listing, while it is written.
type page struct {
	a     *API
	x     *exchange
	asked *question
	place marker // where the page begins
	turn  *turn

	out   bytes.Buffer // what is not yet sent
	begun bool         // a record was added
	next  string       // the marker of the next page; "" at the end
}

// write answers with the records of q.
func (p *page) write(s store.Store, q record.Query) error {
	var failed error
	at, err := scan(p.x.r.Context(), s, &q, p.place.limit, func(r *record.Record) bool {
		failed = p.add(r)
		return failed == nil && p.out.Len() < pageBuffer
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	if p.out.Len() < pageBuffer {
		return p.finish(s, &q, &at)
	}
	return p.stream(s, q, &at)
}

// stream answers with a page too long to be held back, whose beginning, up to
// at, is in the buffer.
func (p *page) stream(s store.Store, q record.Query, at *reach) error {
	ctx, bodies := p.x.r.Context(), q.Bodies
	q.Before, q.Bodies = at.last, false
	end, err := scan(ctx, s, &q, p.place.limit-at.count, func(*record.Record) bool { return true })
	if err != nil {
		return err
	}
	p.header(&end)
	q.Bodies = bodies
	for left := end.count; left > 0; {
		if err := p.flush(); err != nil {
			return err
		}
		if err := p.turn.resume(ctx); err != nil {
			return err
		}
		var failed error
		next, err := scan(ctx, s, &q, left, func(r *record.Record) bool {
			left--
			failed = p.add(r)
			return failed == nil && left > 0 && p.out.Len() < pageBuffer
		})
		if err = errors.Join(err, failed); err != nil {
			return err
		}
		if next.count == 0 && !next.stopped {
			return errors.New("reading records: a page ended before its end")
		}
		q.Before = next.last
	}
	gaps, incomplete, err := visibleGaps(ctx, s, &q)
	if err != nil {
		return err
	}
	if err := p.tail(&end, gaps, incomplete); err != nil {
		return err
	}
	return p.flush()
}

// flush sends what is in the buffer; others read the store meanwhile.
func (p *page) flush() error {
	p.turn.pause()
	server, _ := p.x.r.Context().Value(http.ServerContextKey).(*http.Server)
	controller := http.NewResponseController(p.x.w)
	for piece := range slices.Chunk(p.out.Bytes(), writePiece) {
		if server == nil || server.WriteTimeout <= 0 {
			// Where the server can. None is taken back: the last one is for what the
			// server itself still holds, and ends with the answer.
			_ = controller.SetWriteDeadline(time.Now().Add(writeTimeout))
		}
		if _, err := p.x.w.Write(piece); err != nil {
			return err
		}
	}
	p.out.Reset()
	return nil
}

// finish answers with what is in the buffer, which is the whole page.
func (p *page) finish(s store.Store, q *record.Query, at *reach) error {
	gaps, incomplete, err := visibleGaps(p.x.r.Context(), s, q)
	if err != nil {
		return err
	}
	p.header(at)
	if err := p.tail(at, gaps, incomplete); err != nil {
		return err
	}
	p.x.w.Header().Set("Content-Length", strconv.Itoa(p.out.Len()))
	_ = p.flush() // the writer remembers that the client has left
	return nil
}

// header sets the headers of a page that ends at at.
func (p *page) header(at *reach) {
	h := p.x.w.Header()
	h.Set("Content-Type", "application/json")
	if !at.more {
		return
	}
	m := p.place
	m.before = at.last
	m.expires = p.a.config.Now().Add(p.a.config.MarkerTTL).Unix()
	p.next = p.a.markers.seal(&m)
	query := url.Values{"marker": {p.next}}
	if p.asked.pretty {
		query.Set("pretty", "yes")
	}
	path := "/" + strings.TrimLeft(p.a.config.OriginalPath(p.x.r), "/") // with two, the first name would be a host
	h.Set("Link", "<"+path+"?"+query.Encode()+`>; rel="next"`)
}

// add appends a record.
func (p *page) add(r *record.Record) error {
	if p.asked.short {
		r.RequestHeaders, r.ResponseHeaders = nil, nil
		r.RequestTrailers, r.ResponseTrailers = nil, nil
	}
	text, err := r.MarshalJSON()
	if err != nil {
		return err
	}
	p.separate()
	text = bytes.TrimRight(text, "\n")
	if !p.asked.pretty {
		p.out.Write(text)
		return nil
	}
	p.out.WriteString("\n    ")
	return json.Indent(&p.out, text, "    ", "  ")
}

// separate writes what stands before a record.
func (p *page) separate() {
	switch {
	case p.begun:
		p.out.WriteByte(',')
	case p.asked.pretty:
		p.out.WriteString("{\n  \"logs\": [")
	default:
		p.out.WriteString(`{"logs":[`)
	}
	p.begun = true
}

// tail appends what stands behind the records of a page that ends at at. Its gaps
// were looked for when those were read: what was then found missing is among them.
func (p *page) tail(at *reach, gaps []*record.Record, incomplete bool) error {
	var rest bytes.Buffer
	enc := json.NewEncoder(&rest)
	enc.SetEscapeHTML(false)
	if p.asked.pretty {
		enc.SetIndent("", "  ")
	}
	err := enc.Encode(struct {
		Marker   string           `json:"marker,omitempty"`
		Complete bool             `json:"complete"`
		Gaps     []*record.Record `json:"gaps"`
	}{p.next, !incomplete && !at.stopped, gaps})
	if err != nil {
		return err
	}
	switch {
	case !p.begun:
		p.separate()
	case p.asked.pretty:
		p.out.WriteString("\n  ")
	}
	p.out.WriteString("],")
	p.out.Write(rest.Bytes()[1:]) // its opening brace was that of the page
	return nil
}
