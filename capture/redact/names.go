package redact

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// MaxName is the greatest length of a listed name, in bytes.
const MaxName = 64

// defaultHeaders are the headers whose values are secret. So are those that a
// field of that name would be, and those that end in one of headerEndings.
var defaultHeaders = []string{
	"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie",
	"X-Auth-Token", "X-Subject-Token", "X-Service-Token", "X-Api-Key",
}

// headerEndings are narrower than they look: a header that ends in Token names
// a credential, where a field next_token names a page.
var headerEndings = []string{"token", "authorization", "cookie"}

// defaultFields are the names of secret fields; so are those of defaultHeaders,
// since services repeat the headers of a request in their answers.
var defaultFields = []string{
	// Passwords that do not end in the word.
	"pass", "admin_pass", "root_pass", "user_pass", "db_pass",
	"passcode", "pin", "otp", "totp", "cvv", "cvc",
	// Secrets of no one kind, and several at once.
	"secrets", "credential", "credentials", "kubeconfig",
	// Tokens.
	"token", "tokens", "cookies", "session_id", "id_token", "api_token", "security_token", "csrf_token", "xsrf_token", "jwt",
	// Keys.
	"auth_key", "account_key", "signing_key", "encryption_key", "master_key", "client_key_data",
	// OAuth and SAML: what is exchanged for a token.
	"assertion", "client_assertion", "code_verifier", "device_code", "saml_response",
	// Signatures that make a URL a credential.
	"sig", "signature", "temp_url_sig", "x_amz_signature", "x_goog_signature", "x_amz_security_token",
	// What a new machine runs first: full of the above.
	"user_data",
}

// endings make a field secret whatever stands before them. "secret" covers
// client_secret; "access_key" covers secret_access_key, not access_key_id.
var endings = []string{
	"password", "passwd", "passphrase", "pwd", "secret",
	"passwords", "password1", "password2", "password_confirmation", "password_hash", "connection_string",
	"access_token", "refresh_token", "auth_token", "session_token",
	"api_key", "private_key", "secret_key", "access_key", "encryption_customer_key",
}

// names tells secret names from others.
type names struct {
	fields, headers             map[string]bool // by their folded form
	fieldEndings, headerEndings [][]byte
	// tails has, for the last two letters of every name and ending, the set of
	// letters that stand before these. Most names are harmless by their tails.
	tails [32 * 32]uint32
}

func newNames(headers, fields []string) (*names, error) {
	n := &names{fields: map[string]bool{}, headers: map[string]bool{}}
	for _, list := range []struct {
		kind     string
		names    []string
		set      map[string]bool
		suffixes *[][]byte
	}{
		{"header", defaultHeaders, n.fields, nil},
		{"header", headers, n.headers, nil},
		{"header", headerEndings, nil, &n.headerEndings},
		{"field", defaultFields, n.fields, nil},
		{"field", fields, n.fields, nil},
		{"field", endings, nil, &n.fieldEndings},
	} {
		for _, name := range list.names {
			var buf [MaxName]byte
			folded, _ := fold(&buf, []byte(name), false)
			if len(folded) == 0 || len(name) > MaxName {
				return nil, fmt.Errorf("secret %s %q: want a name of 1 to %d bytes with a letter or digit", list.kind, name, MaxName)
			}
			if list.suffixes != nil {
				*list.suffixes = append(*list.suffixes, bytes.Clone(folded))
			} else {
				list.set[string(folded)] = true
			}
			if tail, third, ok := tailOf(folded); ok {
				if len(folded) == 2 {
					third = ^uint32(0)
				}
				n.tails[tail] |= third
			}
		}
	}
	// Not harmless either, since it stands for the value of another name.
	tail, third, _ := tailOf("value")
	n.tails[tail] |= third
	return n, nil
}

// harmless reports that a name is no secret one, from its last three bytes. It is
// not asked of names with dots.
func (n *names) harmless(name []byte) bool {
	if i := len(name) - 3; i >= 0 && folded[name[i]] != 0 && folded[name[i+1]] != 0 && folded[name[i+2]] != 0 {
		return n.tails[int(name[i+1]&31)<<5|int(name[i+2]&31)]&(1<<(name[i]&31)) == 0 // most names: half the time of tailOf
	}
	tail, third, ok := tailOf(name)
	return ok && n.tails[tail]&third == 0
}

// tailOf returns a number for the last two bytes of name and a set for the one
// that counts before them, the same in either case: of 0 where there is none,
// of all where it is not known. It is not ok where the last two are not letters
// or digits of ASCII.
func tailOf[T []byte | string](name T) (tail int, third uint32, ok bool) {
	i := len(name) - 3
	if i < -1 {
		return 0, 0, false
	}
	a, b := name[i+1], name[i+2]
	switch {
	case i < 0:
		third = 1
	case folded[name[i]] != 0:
		third = 1 << (name[i] & 31)
	case i > 0 && name[i] < utf8.RuneSelf && folded[name[i-1]] != 0: // order_id
		third = 1 << (name[i-1] & 31)
	default:
		third = ^uint32(0)
	}
	return int(a&31)<<5 | int(b&31), third, folded[a] != 0 && folded[b] != 0
}

// field reports whether a field of this name, unescaped, is secret.
func (n *names) field(name []byte) bool {
	var buf [MaxName]byte
	whole, _ := fold(&buf, name, false)
	if n.fields[string(whole)] || endsIn(whole, n.fieldEndings) {
		return true
	}
	if !bytes.ContainsAny(name, ".[]") {
		return false
	}
	for len(name) > 0 {
		var part []byte
		part, name = fold(&buf, name, true)
		if n.fields[string(part)] || endsIn(part, n.fieldEndings) {
			return true
		}
	}
	return false
}

// header reports whether the header of this name is secret.
func (n *names) header(name string) bool {
	if tail, third, ok := tailOf(name); ok && n.tails[tail]&third == 0 {
		return false
	}
	var buf [MaxName]byte
	folded, _ := fold(&buf, []byte(name), false)
	return n.headers[string(folded)] || n.fields[string(folded)] ||
		endsIn(folded, n.fieldEndings) || endsIn(folded, n.headerEndings)
}

func endsIn(name []byte, endings [][]byte) bool {
	for _, e := range endings {
		if bytes.HasSuffix(name, e) {
			return true
		}
	}
	return false
}

// folded has the lower case of letters and digits, and 0 for what does not
// count in a name.
var folded = func() (t [256]byte) {
	for c := '0'; c <= '9'; c++ {
		t[c] = byte(c)
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = byte(c), byte(c)
	}
	return t
}()

// fold writes the form of name that is compared to the end of buf. It works
// from the end of name, where the telling letters are, and stops when buf is
// full: such a name is longer than any listed one, but may end like one. With
// parts it folds the last part of name only, and returns what stands before.
func fold(buf *[MaxName]byte, name []byte, parts bool) (result, rest []byte) {
	at := len(buf)
	for len(name) > 0 {
		c := name[len(name)-1]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeLastRune(name)
			// A parser that ignores case takes the long s and the Kelvin sign
			// for s and k.
			r = unicode.ToLower(unicode.ToUpper(r))
			if at < utf8.RuneLen(r) {
				break
			}
			name = name[:len(name)-size]
			at -= utf8.RuneLen(r)
			utf8.EncodeRune(buf[at:], r)
			continue
		}
		if parts && (c == '.' || c == '[' || c == ']') {
			return buf[at:], name[:len(name)-1]
		}
		if c = folded[c]; c != 0 {
			if at == 0 {
				break
			}
			at--
			buf[at] = c
		}
		name = name[:len(name)-1]
	}
	return buf[at:], name
}
