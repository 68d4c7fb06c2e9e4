package auditapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

const (
	// pageBuffer is how much of a page is held back, in bytes, and one record
	// more. A page that fits is sent when it is finished. Of a longer one the end
	// is looked up, without bodies, before the beginning is sent: the marker stands
	// in a header, too.
	pageBuffer = 1 << 20
	// writeTimeout is how long a client may take to accept one record of a long
	// page, for which the store is kept reading.
	writeTimeout = 30 * time.Second
)

// page is one answer of a listing, while it is written.
type page struct {
	a       *API
	x       *exchange
	listing *listing
	place   marker // where the page begins
	leave   func() // ends the scan's turn

	gaps       []*record.Record
	incomplete bool // because of gaps

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
		p.leave()
		return p.finish(&at)
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
	controller := http.NewResponseController(p.x.w)
	defer func() { _ = controller.SetWriteDeadline(time.Time{}) }()
	flush := func() error {
		_ = controller.SetWriteDeadline(time.Now().Add(writeTimeout)) // where the server can
		_, err := p.x.w.Write(p.out.Bytes())
		p.out.Reset()
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	left := end.count
	if left > 0 {
		var failed error
		q.Bodies = bodies
		_, err = scan(ctx, s, &q, left, func(r *record.Record) bool {
			left--
			if failed = p.add(r); failed == nil {
				failed = flush()
			}
			return failed == nil && left > 0
		})
		if err = errors.Join(err, failed); err != nil {
			return err
		}
	}
	if left > 0 {
		return errors.New("reading records: a page ended before its end")
	}
	if err := p.tail(&end); err != nil {
		return err
	}
	return flush()
}

// finish answers with what is in the buffer, which is the whole page.
func (p *page) finish(at *reach) error {
	p.header(at)
	if err := p.tail(at); err != nil {
		return err
	}
	p.x.w.Header().Set("Content-Length", strconv.Itoa(p.out.Len()))
	_, _ = p.x.w.Write(p.out.Bytes()) // the writer remembers that the client has left
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
	if p.listing.pretty {
		query.Set("pretty", "yes")
	}
	h.Set("Link", "<"+p.a.config.OriginalPath(p.x.r)+"?"+query.Encode()+`>; rel="next"`)
}

// add appends a record.
func (p *page) add(r *record.Record) error {
	if p.listing.summary {
		r.RequestHeaders, r.ResponseHeaders = nil, nil
	}
	text, err := r.MarshalJSON()
	if err != nil {
		return err
	}
	p.separate()
	text = bytes.TrimRight(text, "\n")
	if !p.listing.pretty {
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
	case p.listing.pretty:
		p.out.WriteString("{\n  \"logs\": [")
	default:
		p.out.WriteString(`{"logs":[`)
	}
	p.begun = true
}

// tail appends what stands behind the records of a page that ends at at.
func (p *page) tail(at *reach) error {
	if p.gaps == nil {
		p.gaps = []*record.Record{}
	}
	var rest bytes.Buffer
	enc := json.NewEncoder(&rest)
	enc.SetEscapeHTML(false)
	if p.listing.pretty {
		enc.SetIndent("", "  ")
	}
	err := enc.Encode(struct {
		Marker   string           `json:"marker,omitempty"`
		Complete bool             `json:"complete"`
		Gaps     []*record.Record `json:"gaps"`
	}{p.next, !p.incomplete && !at.stopped, p.gaps})
	if err != nil {
		return err
	}
	switch {
	case !p.begun:
		p.separate()
	case p.listing.pretty:
		p.out.WriteString("\n  ")
	}
	p.out.WriteString("],")
	p.out.Write(rest.Bytes()[1:]) // its opening brace was that of the page
	return nil
}
