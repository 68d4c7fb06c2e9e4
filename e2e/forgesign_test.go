package e2e_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// signatures are tokens whose signatures are odd.
func (f *forge) signatures() []hostile {
	good := claims("")
	var list []hostile
	add := func(name, token string) { list = append(list, hostile{name, token, "not signed"}) }
	curve := elliptic.P256().Params()
	pair := func(r, s *big.Int) []byte {
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	zero, one, n := new(big.Int), big.NewInt(1), curve.N
	for name, sig := range map[string][]byte{
		"r and s of 0": pair(zero, zero), "r of 0": pair(zero, one), "s of 0": pair(one, zero), "r and s of 1": pair(one, one),
		"r and s of the order": pair(n, n), "r of the order, s of 1": pair(n, one), "r and s of the prime": pair(curve.P, curve.P),
		"r and s of all ones": pair(new(big.Int).Sub(new(big.Int).Lsh(one, 256), one), new(big.Int).Sub(new(big.Int).Lsh(one, 256), one)),
		"nothing at all":      nil, "132 zeros": make([]byte, 132),
	} {
		add("ES256, "+name, raw(es, good, sig))
	}
	text := b64([]byte(es)) + "." + b64([]byte(good))
	sig := must(jwt.SigningMethodES256.Sign(text, f.ec))
	add("ES256, cut by a byte", raw(es, good, sig[:63]))
	add("ES256, with a byte more", raw(es, good, append(sig[:64:64], 0)))
	add("ES256, halves exchanged", raw(es, good, append(sig[32:64:64], sig[:32]...)))
	add("ES256, in ASN.1", raw(es, good, must(asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])}))))
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	add("ES384 under the key id of P-256", by(jwt.SigningMethodES384, p384, `{"alg":"ES384","kid":"e"}`, good))
	add("ES256 of another curve", raw(es, good, must(jwt.SigningMethodES384.Sign(text, p384))))

	text = b64([]byte(rs)) + "." + b64([]byte(good))
	sig = must(jwt.SigningMethodRS256.Sign(text, f.rsa))
	add("RS256, nothing", raw(rs, good, nil))
	add("RS256, zeros", raw(rs, good, make([]byte, 256)))
	add("RS256, one", raw(rs, good, one.FillBytes(make([]byte, 256))))
	add("RS256, cut by a byte", raw(rs, good, sig[:255]))
	add("RS256, with a zero before", raw(rs, good, append([]byte{0}, sig...)))
	add("RS256, with a zero behind", raw(rs, good, append(sig[:256:256], 0)))
	add("RS256, the modulus added", raw(rs, good, new(big.Int).Add(new(big.Int).SetBytes(sig), f.rsa.N).Bytes()))
	add("RS256 of another digest", raw(rs, good, must(rsa.SignPKCS1v15(nil, f.rsa, crypto.SHA1, make([]byte, 20)))))
	digest := sha256.Sum256([]byte(b64([]byte(ps)) + "." + b64([]byte(good))))
	add("PS256 without salt", raw(ps, good, must(rsa.SignPSS(rand.Reader, f.rsa, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: 0, Hash: crypto.SHA256}))))

	add("EdDSA, zeros", raw(ed, good, make([]byte, 64)))
	text = b64([]byte(ed)) + "." + b64([]byte(good))
	sig = ed25519.Sign(f.ed, []byte(text))
	add("EdDSA, the order added", raw(ed, good, addOrder(sig)))
	add("EdDSA, cut by a byte", raw(ed, good, sig[:63]))
	add("EdDSA of other claims", raw(ed, with("sub", `"root"`), sig))
	return list
}

// addOrder returns the other Ed25519 signature that says the same where s is not
// checked to be small (RFC 8032, section 5.1.7).
func addOrder(sig []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := make([]byte, 32)
	for i := range s {
		s[i] = sig[63-i]
	}
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	other := append([]byte{}, sig...)
	for i := range sum {
		other[32+i] = sum[31-i]
	}
	return other
}
