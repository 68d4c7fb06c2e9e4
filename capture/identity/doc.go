// Package identity says who made a call.
//
// Three answers differ in how much they are worth. [FromBearer] reads the
// claims of a token without checking them: it is the client's word, cheap
// enough for every call, and its actor is marked unverified. [FromCertificate]
// reads a client certificate that TLS has verified. A [Verifier] checks a
// token's signature and claims against keys of the configuration, and refuses
// everything that it was not told to accept.
//
// A token never chooses how it is checked: keys and algorithms come from the
// configuration alone, and a key id only selects among those keys.
package identity
