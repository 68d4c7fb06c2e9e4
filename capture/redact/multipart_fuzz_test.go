package redact_test

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// FuzzMultipart reads what was redacted as a server would: no file and no
// password is in it.
func FuzzMultipart(f *testing.F) {
	for part := range strings.SplitSeq(whole(), "--xx") { // small seeds
		f.Add("x", []byte("--x"+part+"--x--"), 20)
		f.Add("x", []byte(strings.ReplaceAll("--x"+part+"--x"+part, "\r\n", "\n")), 60)
	}
	f.Add("x", []byte("--x\r\nContent-Disposition: form-data; name=\"password\"; a=\"\\\"\"\r\n\r\nx\r\n--xy\r\n--x--"), 30)
	f.Add("x", []byte("--x\nContent-Disposition: form-data;\n name=a; filename*0=b\n\n<file 1 bytes>\n--x--\n\n"), 3)
	f.Fuzz(func(t *testing.T, boundary string, in []byte, cut int) {
		contentType := mime.FormatMediaType("multipart/form-data", map[string]string{"boundary": boundary})
		if contentType == "" {
			t.Skip()
		}
		res := bodyOf(t, contentType, string(in), false)
		if res.State == record.BodyComplete {
			if (len(res.Redacted) > 0) != res.Changed || !res.Changed && !bytes.Equal(in, res.Content) {
				t.Fatalf("%q became %q at %q, changed %t", in, res.Content, res.Redacted, res.Changed)
			}
			sent, kept := received(boundary, in), received(boundary, res.Content)
			for i, p := range sent {
				if !p.secret || len(p.content) == 0 || bytes.HasPrefix(p.content, []byte("hmac:")) || bytes.HasPrefix(p.content, []byte("<")) {
					continue
				}
				if i < len(kept) && bytes.Equal(p.content, kept[i].content) {
					t.Fatalf("%q kept %q in %q", in, p.content, res.Content)
				}
			}
		}
		// Each byte grows to no more than what stands for a file, or for a
		// header, a pair and so on of two bytes.
		if len(res.Content) > 64*len(in)+128 {
			t.Fatalf("%d bytes became %d", len(in), len(res.Content))
		}
		// Of a body that is cut no more is promised than that no secret is left.
		content := "--" + boundary + "\r\nContent-Disposition: form-data; name=password\r\n\r\n" + canary + "\r\n" + string(in)
		if cut >= 0 && cut < len(content) {
			res := newRedactor(t).Body(redact.Body{ContentType: contentType, Content: []byte(content[:cut]), Truncated: true, Side: "request_body"})
			if len(res.Content) > 64*cut+128 {
				t.Fatalf("%d bytes became %d", cut, len(res.Content))
			}
			if leaks(string(res.Content)) != "" && !leaksBeside(content) {
				t.Fatalf("%q kept the canary in %q", content[:cut], res.Content)
			}
		}
	})
}

type part struct {
	secret  bool
	content []byte
}

// received returns the parts of a body as the standard library reads it.
func received(boundary string, body []byte) (parts []part) {
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		p, err := r.NextRawPart()
		if err != nil {
			return parts
		}
		content, err := io.ReadAll(p)
		if err != nil {
			return parts
		}
		parts = append(parts, part{strings.HasSuffix(p.FormName(), "password") || p.FileName() != "", content})
	}
}
