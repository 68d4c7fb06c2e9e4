package redact_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// orders and page are bodies of about 2 KB without a secret.
func orders() []byte {
	var b bytes.Buffer
	b.WriteString(`{"items":[`)
	for i := range 12 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"sku":"A-%06d","qty":%d,"name":"Ada Lovelace","email":"ada%d@example.com","note":"leave it at the door, please"}`, i*7919, i+1, i)
	}
	fmt.Fprintf(&b, `],"pad":"%s"}`, strings.Repeat("x", 600))
	return b.Bytes()
}

func page() []byte {
	var b bytes.Buffer
	b.WriteString(`{"request_id":"req-4e57f1c3-8c0c-4b3a-9d7f-0f2f8f5d7a11","items":[`)
	for i := range 14 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"%08x-8c0c-4b3a-9d7f-0f2f8f5d7a11","customer":"Customer %d","total":12.34,"created_at":"2026-11-21T10:00:%02dZ"}`, i*2654435761&0xffffffff, i, i)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func BenchmarkBody(b *testing.B) {
	r := newRedactor(b)
	for name, content := range map[string][]byte{
		"orders":   orders(),
		"page":     page(),
		"indented": []byte(strings.NewReplacer(`,"`, ",\n      \"", `{"`, "{\n      \"", `":`, `": `).Replace(string(orders()))),
		"links":    []byte(`{"links":[` + strings.Repeat(`{"href":"http://127.0.0.1:8774/v2.1/servers?marker=b5b7","rel":"next"},`, 25) + `{}]}`),
		"secrets":  []byte(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"ada","password":"hunter2"}}}},"adminPass":"x1","items":[1,2,3]}`),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				res := r.Body(redact.Body{ContentType: "application/json", Content: content, Side: "request_body"})
				if res.State != record.BodyComplete {
					b.Fatal(res.State)
				}
			}
		})
	}
}

func BenchmarkPaths(b *testing.B) {
	r := newRules(b, redact.Options{Paths: []string{"/reset/:secret", "/a/:secret/b"}})
	for name, path := range map[string]string{
		"other": "/v2.1/servers/b5b7c1d2-8c0c-4b3a-9d7f-0f2f8f5d7a11/action", "secret": "/reset/one-time", "coded": "/v1/container/a%2Fb%20c",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.URL(path, "uri", nil)
			}
		})
	}
}

func BenchmarkHeaders(b *testing.B) {
	r := newRedactor(b)
	h := record.HeadersOf(nil, http.Header{
		"Accept": {"application/json"}, "Authorization": {"Bearer " + strings.Repeat("abc.", 150)},
		"Cache-Control": {"max-age=0"}, "Content-Length": {"1024"}, "Content-Type": {"application/json"},
		"Etag": {`"0815"`}, "Referer": {"https://example.com/a?b=c&d=e"},
		"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64)"}, "X-Request-Id": {"req-4e57f1c3-8c0c-4b3a-9d7f-0f2f8f5d7a11"},
	})
	work := make(record.Headers, len(h))
	b.ReportAllocs()
	for b.Loop() {
		copy(work, h)
		r.Headers(work, "request_headers", nil)
	}
}
