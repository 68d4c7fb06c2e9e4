package identity_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/record"
)

func TestCertificateNamesTheActor(t *testing.T) {
	spiffe, err := url.Parse("spiffe://example.com/ns/prod/sa/billing")
	if err != nil {
		t.Fatal(err)
	}
	subject := pkix.Name{CommonName: "ann", Organization: []string{"Example"}}
	tests := []struct {
		name string
		cert x509.Certificate
		want record.Actor
	}{
		{
			"subject",
			x509.Certificate{Subject: subject},
			record.Actor{UserID: "CN=ann,O=Example", UserName: "ann"},
		},
		{
			"everything",
			x509.Certificate{Subject: subject, URIs: []*url.URL{spiffe}, DNSNames: []string{"a.example.com"}, EmailAddresses: []string{"ann@example.com", "b@example.com"}},
			record.Actor{UserID: spiffe.String(), UserName: "ann", UserEmail: "ann@example.com"},
		},
		{
			"names alone",
			x509.Certificate{DNSNames: []string{"a.example.com"}},
			record.Actor{UserName: "a.example.com"},
		},
		{
			"too long",
			x509.Certificate{Subject: pkix.Name{CommonName: strings.Repeat("x", 600)}, EmailAddresses: []string{"a@example.com"}},
			record.Actor{UserEmail: "a@example.com"},
		},
		{
			"control characters",
			x509.Certificate{Subject: pkix.Name{CommonName: "a\x1b[0m"}, DNSNames: []string{"a.example.com"}},
			record.Actor{UserName: "a.example.com"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.AuthMethod, tt.want.AuthVerified = "mtls", true
			if diff := cmp.Diff(tt.want, identity.FromCertificate(&tt.cert)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
