package identity

import (
	"context"
	"time"
)

// CheckSignature is the part of Verify that looks at no claims.
func (v *Verifier) CheckSignature(ctx context.Context, token string) ([]byte, error) {
	return v.checkSignature(ctx, token, Wait)
}

// SetTimeout bounds one question, before the first.
func (i *Introspection) SetTimeout(d time.Duration) { i.asker.timeout = d }

// SetTimeout bounds one question, before the first.
func (k *Keystone) SetTimeout(d time.Duration) { k.asker.timeout = d }

// SetTimeout bounds one fetch, before the first.
func (k *RemoteKeys) SetTimeout(d time.Duration) { k.client.Timeout = d }
