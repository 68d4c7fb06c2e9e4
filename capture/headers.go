package capture

import (
	"encoding/hex"
	"fmt"
	"net/http"
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

// copyHeaders copies h within these bounds.
func copyHeaders(h http.Header) record.Headers {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	if n == 0 {
		return nil
	}
	fields := record.HeadersOf(make(record.Headers, 0, n), h)
	total := 0
	for i := range fields {
		f := &fields[i]
		room := min(MaxHeaderValue, MaxHeaderBytes-total-len(f.Name))
		f.Value = redact.Cut(f.Value, max(room, 0))
		total += len(f.Name) + len(f.Value)
	}
	if n > MaxHeaderFields {
		left := n - MaxHeaderFields
		fields = append(fields[:MaxHeaderFields:MaxHeaderFields],
			record.Field{Name: "(more)", Value: fmt.Sprintf("%d lines left out", left)})
	}
	return fields
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
