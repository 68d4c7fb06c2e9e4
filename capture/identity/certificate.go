package identity

import (
	"cmp"
	"crypto/x509"

	"github.com/auditgate/auditgate/record"
)

// FromCertificate returns the actor of a client certificate that TLS has
// verified. UserID is the certificate's first URI (a SPIFFE ID, say), else its
// subject as a distinguished name (RFC 2253). UserName is the subject's common
// name, else the first DNS name; UserEmail the first e-mail address. What is
// longer than [MaxClaimLen] or has control characters is left out.
func FromCertificate(cert *x509.Certificate) record.Actor {
	a := record.Actor{AuthMethod: "mtls", AuthVerified: true}
	if len(cert.URIs) > 0 {
		a.UserID = clean(cert.URIs[0].String())
	}
	a.UserID = cmp.Or(a.UserID, clean(cert.Subject.String()))
	a.UserName = clean(cert.Subject.CommonName)
	if a.UserName == "" && len(cert.DNSNames) > 0 {
		a.UserName = clean(cert.DNSNames[0])
	}
	if len(cert.EmailAddresses) > 0 {
		a.UserEmail = clean(cert.EmailAddresses[0])
	}
	return a
}
