package identity

import "context"

// CheckSignature is the part of Verify that looks at no claims.
func (v *Verifier) CheckSignature(ctx context.Context, token string) ([]byte, error) {
	return v.checkSignature(ctx, token, Wait)
}
