package caddymodule

import "time"

// Keys and their functions, for tests.
type Keys = keys

var LoadKeys = loadKeys

func (k *keys) Token(role string, projects, sources []string, ttl time.Duration) (string, error) {
	return k.token(role, projects, sources, ttl)
}

func (k *keys) Redaction() []byte { return k.redaction }
