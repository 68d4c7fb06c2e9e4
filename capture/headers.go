package capture

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// The bounds of what is kept beside bodies, in bytes. What is longer is cut, and
// says so at its end.
const (
	MaxHeaderValue  = 8 << 10  // of one value
	MaxHeaderFields = 256      // lines of one header
	MaxHeaderBytes  = 64 << 10 // of one header in all; past it values are cut to nothing
	MaxURI          = 16 << 10 // of a path, and of a query
	MaxName         = 512      // of a method, a host, a project, a request id
)

// copyHeaders copies h within these bounds, without what [http.TrailerPrefix]
// marks. It reports whether that is not all.
func copyHeaders(h http.Header) (fields record.Headers, cut bool) {
	n, marked := 0, false
	for name, values := range h {
		n += len(values)
		marked = marked || strings.HasPrefix(name, http.TrailerPrefix)
	}
	if n == 0 {
		return nil, false
	}
	fields = record.HeadersOf(make(record.Headers, 0, n), h)
	if marked {
		fields = slices.DeleteFunc(fields, func(f record.Field) bool { return strings.HasPrefix(f.Name, http.TrailerPrefix) })
	}
	total := 0
	for i := range fields {
		f := &fields[i]
		room := min(MaxHeaderValue, MaxHeaderBytes-total-len(f.Name))
		cut = cut || len(f.Value) > room
		f.Value = redact.Cut(f.Value, max(room, 0))
		total += len(f.Name) + len(f.Value)
	}
	if left := len(fields) - MaxHeaderFields; left > 0 {
		cut = true
		fields = append(fields[:MaxHeaderFields:MaxHeaderFields],
			record.Field{Name: "(more)", Value: fmt.Sprintf("%d lines left out", left)})
	}
	return fields, cut
}

// pick returns the lines of a header that have one of these names, in canonical form:
// so many of each at most, and of each value no more than one byte beyond most.
func pick(h http.Header, names []string, lines, most int) (fields record.Headers) {
	for _, name := range names {
		values := h[name]
		for _, value := range values[:min(len(values), lines)] {
			value = strings.TrimSpace(value)
			fields = append(fields, record.Field{Name: name, Value: strings.Clone(value[:min(len(value), most+1)])})
		}
	}
	return fields
}

// contentType returns the value of the header of that name.
func contentType(h http.Header) string {
	if values := h["Content-Type"]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// requestID returns the component's own name for the call, else the client's.
func requestID(response, request record.Headers) string {
	for _, name := range [...]string{"X-Openstack-Request-Id", "X-Compute-Request-Id", "X-Request-Id"} {
		if id := response.Get(name); id != "" {
			return id
		}
	}
	for _, name := range [...]string{"X-Request-Id", "X-Openstack-Request-Id", "X-Correlation-Id"} {
		if id := request.Get(name); id != "" {
			return id
		}
	}
	return ""
}

// traceID returns the trace of a traceparent header (W3C Trace Context,
// section 3.2), or "" where there is none or it is invalid.
func traceID(traceparent string) string {
	if len(traceparent) < 55 || traceparent[2] != '-' || traceparent[35] != '-' || traceparent[52] != '-' ||
		traceparent[:2] == "ff" || (traceparent[:2] == "00" && len(traceparent) != 55) {
		return ""
	}
	id := traceparent[3:35]
	if strings.ToLower(id) != id || id == strings.Repeat("0", 32) {
		return ""
	}
	if _, err := hex.DecodeString(id); err != nil {
		return ""
	}
	return id
}
